// Package status is what the appliance says of itself: one value, rendered as a
// page, JSON, plain text and metrics. It is a leaf: it imports nothing of the
// program, and everybody may import it.
package status

import "time"

// State of the daemon.
type State string

// The states.
const (
	Starting State = "starting"
	NoModel  State = "no model" // Health says what to do
	Fetching State = "fetching" // a model is fetched or split
	Loading  State = "loading"
	Ready    State = "ready"
	Stopping State = "stopping"
	Unloaded State = "unloaded" // a client wanted it so; the next request loads it
)

// Status is the whole of it. Times are UTC, sizes bytes, durations as the field's
// name says.
type Status struct {
	Time     time.Time `json:"time"`
	Started  time.Time `json:"started"`
	Name     string    `json:"name"` // of the host
	Version  string    `json:"version"`
	State    State     `json:"state"`
	Progress *Progress `json:"progress,omitempty"` // while Fetching or Loading
	Mode     string    `json:"mode"`
	Why      string    `json:"mode_reason"`  // why this mode
	Changes  []Change  `json:"mode_changes"` // the newest last, at most 20
	URLs     []string  `json:"urls"`         // of the page
	Board    Board     `json:"board"`
	Kernels  Kernels   `json:"kernels"`
	Model    *Model    `json:"model,omitempty"`
	Link     Link      `json:"link"`
	Tokens   Tokens    `json:"tokens"`
	Queue    Queue     `json:"queue"`
	Sessions []Session `json:"sessions"`
	Storage  Storage   `json:"storage"`
	Health   []Problem `json:"health"` // what is wrong at present, worst first
}

// Progress of fetching or loading.
type Progress struct {
	What  string  `json:"what"`
	Share float64 `json:"share"` // 0 to 1, negative: not known
	ETAs  float64 `json:"eta_s"` // 0: not known
}

// Change of mode.
type Change struct {
	Time   time.Time `json:"time"`
	To     string    `json:"to"`
	Reason string    `json:"reason"`
}

// Board is the machine.
type Board struct {
	Model       string   `json:"model"` // as the device tree has it, or the processor's name
	Addresses   []string `json:"addresses"`
	Cores       int      `json:"cores"`
	Threads     int      `json:"threads"` // that compute
	Load        float64  `json:"load_1m"`
	MemoryTotal uint64   `json:"memory_total"`
	MemoryFree  uint64   `json:"memory_available"`
	RSS         uint64   `json:"rss"` // of the daemon
	UptimeS     float64  `json:"uptime_s"`
	Sensors     []Sensor `json:"sensors"`
	Throttled   string   `json:"throttled,omitempty"` // why, empty where it is not
}

// Sensor is one reading.
type Sensor struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"` // °C, W, Hz, RPM
}

// Kernels that compute.
type Kernels struct {
	Name     string `json:"name"`
	Device   string `json:"device"`   // CPU, or the GPU's name
	Portable bool   `json:"portable"` // the slow fallback
}

// Model is the one that is loaded.
type Model struct {
	Name         string  `json:"name"`
	Bundle       string  `json:"bundle"` // its id, hex
	Architecture string  `json:"architecture"`
	Quantization string  `json:"quantization"`
	Blocks       int     `json:"blocks"`
	Stages       []Stage `json:"stages"` // in the order of the blocks
	Exits        []Exit  `json:"exits"`
	Context      int     `json:"context"`  // positions one conversation may hold
	Parallel     int     `json:"parallel"` // conversations decoded at once
	WeightBytes  int64   `json:"weight_bytes"`
	KVBytes      int64   `json:"kv_bytes"`
}

// Stage is a range of blocks [From,To) and where it is computed.
type Stage struct {
	From  int    `json:"from"`
	To    int    `json:"to"`
	Where string `json:"where"` // board, cloud, nobody (alone, never computed)
	Bytes int64  `json:"bytes"`
}

// Exit after a block.
type Exit struct {
	Block     int     `json:"block"`
	Threshold float64 `json:"threshold"`
	// Calibrated says that the threshold was measured, and to what: Agreement is
	// the share of confident tokens equal to the full model's.
	Calibrated bool    `json:"calibrated"`
	Agreement  float64 `json:"agreement,omitempty"`
}

// Link to the cloud.
type Link struct {
	Wanted     bool      `json:"wanted"` // a cloud is configured
	Cloud      string    `json:"cloud,omitempty"`
	Connected  bool      `json:"connected"`
	Since      time.Time `json:"since"`
	State      string    `json:"state"`  // down, poor, fair, good; none where not wanted
	Reason     string    `json:"reason"` // of the state, with its figures
	Transport  string    `json:"transport,omitempty"`
	WhyThat    string    `json:"transport_reason,omitempty"`
	May        string    `json:"may,omitempty"` // what the cloud may see: text, hidden, nothing
	Encoding   string    `json:"encoding,omitempty"`
	RTTms      float64   `json:"rtt_ms"`
	Loss       float64   `json:"loss"`     // share of packets
	Goodput    float64   `json:"goodput"`  // bytes/s up
	BytesUp    uint64    `json:"bytes_up"` // this month
	BytesDown  uint64    `json:"bytes_down"`
	Budget     uint64    `json:"budget,omitempty"` // bytes a month, 0: not metered
	Reconnects uint64    `json:"reconnects"`
	Migrations uint64    `json:"migrations"`
	LastError  string    `json:"last_error,omitempty"`
	Refusal    string    `json:"refusal,omitempty"` // LastError is the cloud's no, in its word: unauthorized, unknown bundle, busy
	NextDial   time.Time `json:"next_dial"`
	Expires    time.Time `json:"certificate_expires"`
	Hour       []Minute  `json:"hour"` // oldest first, at most 60
}

// Minute of the link.
type Minute struct {
	Start   time.Time `json:"start"`
	State   string    `json:"state"` // the worst in it
	Reason  string    `json:"reason,omitempty"`
	RTTms   float64   `json:"rtt_ms"`
	Loss    float64   `json:"loss"`
	Goodput float64   `json:"goodput"`
}

// Tokens counted since the start.
type Tokens struct {
	Total   map[string]uint64 `json:"total"`   // by source
	Recent  map[string]int    `json:"recent"`  // by source, of the last 1000
	Reasons map[string]int    `json:"reasons"` // why the cloud was not asked, of the last 1000 fallbacks and exits
	Asks    uint64            `json:"asks"`
	Answers uint64            `json:"answers"`
	Prompt  uint64            `json:"prompt"`
	Cached  uint64            `json:"prompt_cached"`
	Rate    float64           `json:"rate"`           // tokens/s over the last 10 s
	FirstMS float64           `json:"first_token_ms"` // of the newest answer
	// Prefix cache on disk.
	CacheBytes int64 `json:"cache_bytes"`
}

// Queue of requests.
type Queue struct {
	Running int    `json:"running"`
	Waiting int    `json:"waiting"`
	Limit   int    `json:"limit"`   // of Waiting
	Refused uint64 `json:"refused"` // since the start
}

// Session is one conversation.
type Session struct {
	ID      string    `json:"id"`
	Kept    bool      `json:"kept"`   // in the journal
	State   string    `json:"state"`  // idle, queued, prefill, decoding, cut
	Tokens  int       `json:"tokens"` // positions it holds
	Client  string    `json:"client,omitempty"`
	Mode    string    `json:"mode,omitempty"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

// Storage is the disk and the database.
type Storage struct {
	Path       string `json:"path"`
	Medium     string `json:"medium"`
	FreeBytes  uint64 `json:"free_bytes"`
	TotalBytes uint64 `json:"total_bytes"`
	DBBytes    int64  `json:"database_bytes"`
	SetAside   string `json:"set_aside,omitempty"`
	Err        string `json:"error,omitempty"`
}
