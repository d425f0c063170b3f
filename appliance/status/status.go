// Package status is what the appliance says of itself: one value, rendered as a
// page, JSON, plain text and metrics. It is a leaf: it imports nothing of the
// program, and everybody may import it.
package status

import (
	"fmt"
	"slices"
	"time"
)

// State of the daemon.
type State string

// The states.
const (
	Starting State = "starting"
	NoModel  State = "no model" // Health says what to do
	Fetching State = "fetching" // a model is fetched or split
	Loading  State = "loading"
	Ready    State = "ready"
	Unable   State = "unable" // loaded, and a question would not be answered at present: Status.Unable says why
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
	Unable   string    `json:"unable,omitempty"`   // why a question would not be answered at present
	Mode     string    `json:"mode"`
	Why      string    `json:"mode_reason"`  // why this mode
	Changes  []Change  `json:"mode_changes"` // the newest last, at most 20
	URLs     []string  `json:"urls"`         // of the page
	Board    Board     `json:"board"`
	Kernels  Kernels   `json:"kernels"`
	// Model is the default one, or while that is not loaded the one that was asked last; nil
	// while none is loaded. Models are all that are loaded, and the one on its way.
	Model  *Model  `json:"model,omitempty"`
	Models []Model `json:"models"`
	// Reloading says that the default model is not loaded, and will be for the next who ask:
	// they wait for it and are answered.
	Reloading bool `json:"reloading,omitempty"`
	// Calibration is about a model whose exits or draft model are being calibrated, or are
	// to be; nil where there is nothing to do.
	Calibration *Calibration `json:"calibration,omitempty"`
	Link        Link         `json:"link"`
	Tokens      Tokens       `json:"tokens"`
	Queue       Queue        `json:"queue"`
	// Sessions are those under way and the newest others, at most NewestSessions of them;
	// /api/v1/sessions has the rest. SessionCount is how many there are, SessionStates how
	// many in each state.
	Sessions      []Session      `json:"sessions"`
	SessionCount  int            `json:"session_count"`
	SessionStates map[string]int `json:"session_states"`
	Storage       Storage        `json:"storage"`
	Health        []Problem      `json:"health"` // what is wrong at present, worst first
	// Update is how the updates are, nil where the program is not updated by itself.
	Update *Update `json:"update,omitempty"`
	// Outlook is what mode auto chooses by, nil in other modes and as long as too little was
	// measured.
	Outlook *Outlook `json:"outlook,omitempty"`
}

// Progress of fetching or loading.
type Progress struct {
	What  string  `json:"what"`
	Share float64 `json:"share"` // 0 to 1, negative: not known
	ETAs  float64 `json:"eta_s"` // 0: not known
}

// Calibration of the model by the daemon itself.
type Calibration struct {
	Of       string    `json:"of"` // the exits, the draft model
	State    string    `json:"state"`
	Why      string    `json:"reason,omitempty"`   // of waiting or of failing
	Progress *Progress `json:"progress,omitempty"` // while it runs
	SpentS   float64   `json:"spent_s"`            // computed in the last 24 hours
}

// The states of a calibration.
const (
	CalibrationWaits  = "waiting"
	CalibrationRuns   = "running"
	CalibrationFailed = "failed" // and is tried again
	CalibrationOff    = "off"
	CalibrationDone   = "done" // and is taken up once the model is loaded anew
)

// Says is how the calibration is, in a sentence without its end.
func (c Calibration) Says() string {
	text := c.Of + " not calibrated"
	switch {
	case c.State == CalibrationRuns && c.Progress != nil:
		text += ": done now, while nobody asks: " + c.Progress.What
		if c.Progress.Share >= 0 {
			text += fmt.Sprintf(", %.0f %%", 100*c.Progress.Share)
		}
		if c.Progress.ETAs > 0 {
			text += ", " + Span(time.Duration(c.Progress.ETAs*float64(time.Second))) + " left of this step"
		}
	case c.State == CalibrationRuns:
		text += ": done now, while nobody asks"
	case c.State == CalibrationDone:
		text = c.Of + " calibrated by now: the next time the board has nothing to do, the result is taken up"
	case c.State == CalibrationFailed:
		text += ", and cannot be: " + c.Why
	case c.Why != "":
		text += ": " + c.Why
	}
	return text
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
	// SensorErrors are of what this board has and could not be read: a sensor, or
	// memory, load, uptime, throttling.
	SensorErrors []SensorError `json:"sensor_errors,omitempty"`
	Throttled    string        `json:"throttled,omitempty"`    // why, empty where it is not
	ThrottledBy  []string      `json:"throttled_by,omitempty"` // codes of the same: under-voltage, over-current, throttled ...
}

// Sensor is one reading.
type Sensor struct {
	Kind  string  `json:"sensor"` // temperature, clock, power, fan ...
	Name  string  `json:"name"`   // of the zone, rail or cluster
	Value float64 `json:"value"`
	Unit  string  `json:"unit"` // °C, W, Hz, RPM, %
	// Part that a temperature is of where it is one of the processor's: cpu, gpu, or soc
	// for the whole chip.
	Part   string `json:"part,omitempty"`
	Hidden bool   `json:"hidden,omitempty"` // for metrics alone, not for people
	// Metric is its name in Prometheus behind skerry_board_, "" for none.
	Metric string `json:"metric,omitempty"`
}

// SensorError is why a sensor could not be read.
type SensorError struct {
	Kind string `json:"sensor"`
	Err  string `json:"error"`
}

// Shown are the readings for people.
func (b Board) Shown() (shown []Sensor) {
	for _, s := range b.Sensors {
		if !s.Hidden {
			shown = append(shown, s)
		}
	}
	return shown
}

// Temperature is the board's: that of the hottest zone of its processor or, where none
// is known to be of it, of all.
func (b Board) Temperature() (hottest Sensor, known bool) {
	heat := func(s Sensor) bool { return s.Unit == "°C" }
	all := !slices.ContainsFunc(b.Sensors, func(s Sensor) bool { return heat(s) && s.Part != "" })
	for _, s := range b.Sensors {
		if heat(s) && (all || s.Part != "") && (!known || s.Value > hottest.Value) {
			hottest, known = s, true
		}
	}
	return hottest, known
}

// Kernels that compute.
type Kernels struct {
	Name     string `json:"name"`
	Device   string `json:"device"`            // CPU, or the GPU's name
	Portable bool   `json:"portable"`          // the slow fallback
	GPU      string `json:"gpu,omitempty"`     // that layers may be put on
	GPUNot   string `json:"gpu_not,omitempty"` // why none is used although there are kernels for one
}

// CanAnswer reports whether a request would be answered, at once or after its model was loaded.
func (s Status) CanAnswer() bool {
	switch s.State {
	case Ready, Unloaded:
		return true
	case Loading, Fetching:
		return s.Reloading
	}
	return false
}

// Loaded are the models that are loaded, and the one on its way.
func (s Status) Loaded() []Model {
	if len(s.Models) == 0 && s.Model != nil { // of a daemon that had one at a time
		return []Model{*s.Model}
	}
	return s.Models
}

// Model is one that is loaded.
type Model struct {
	Name         string  `json:"name"`
	Bundle       string  `json:"bundle"` // its id, hex
	Architecture string  `json:"architecture"`
	Quantization string  `json:"quantization"`
	Blocks       int     `json:"blocks"`
	Stages       []Stage `json:"stages"`                // in the order of the blocks
	Exits        []Exit  `json:"exits"`                 // that are asked: none beside a draft model
	Draft        *Draft  `json:"draft,omitempty"`       // model, nil for none
	ExitsWorth   string  `json:"exits_worth,omitempty"` // how far the exits' own answers are those of the model
	Alone        string  `json:"without_cloud"`         // what answers while the cloud cannot be asked, or why nothing does
	Context      int     `json:"context"`               // positions one conversation may hold
	Parallel     int     `json:"parallel"`              // conversations decoded at once
	WeightBytes  int64   `json:"weight_bytes"`
	GPULayers    string  `json:"gpu_layers,omitempty"` // how many layers are on the GPU; "" where none were wanted or there is no GPU
	GPUBytes     int64   `json:"gpu_bytes,omitempty"`  // that they take of its memory
	KVBytes      int64   `json:"kv_bytes"`
	DraftBehind  *int    `json:"draft_behind,omitempty"` // positions of the answers under way that the draft model lacks at most
	// TemplateError says why its chat template cannot be used, or lately could not be
	// rendered.
	TemplateError string `json:"template_error,omitempty"`
	// Of Status.Models alone: State is Ready, or how far it is on its way with Progress; Users
	// are the requests that use it, and it is unloaded at Expires if no more come, zero for
	// never; one that is Pinned stays, and others go where another needs their room.
	State    State     `json:"state,omitempty"`
	Progress *Progress `json:"progress,omitempty"`
	Default  bool      `json:"default,omitempty"`
	Pinned   bool      `json:"pinned,omitempty"`
	Users    int       `json:"users,omitempty"`
	Expires  time.Time `json:"expires,omitzero"`
	// CloudLacks says why the cloud cannot be asked about this model, "" where it can, is not
	// known, or none is wanted: it is answered on the board alone.
	CloudLacks string `json:"cloud_lacks,omitempty"`
}

// Stays says how long a model stays loaded, in a half-sentence.
func (m Model) Stays(now time.Time) string {
	switch {
	case m.State != "" && m.State != Ready:
		return string(m.State)
	case m.Pinned:
		return "pinned"
	case m.Expires.IsZero():
		return "until its room is needed"
	case m.Users > 0:
		return "in use"
	}
	return "for " + Span(max(m.Expires.Sub(now), 0))
}

// Stage is a range of blocks [From,To) and where it is computed.
type Stage struct {
	From  int    `json:"from"`
	To    int    `json:"to"`
	Where string `json:"where"` // board, cloud, nobody (alone, never computed)
	Bytes int64  `json:"bytes"`
}

// Draft model on the board, which proposes tokens.
type Draft struct {
	Name      string  `json:"name"`
	Bytes     int64   `json:"bytes"`
	Threshold float64 `json:"threshold"` // confidence from which it is believed
	// Measured says that the threshold was.
	Measured bool `json:"measured"`
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

// LinkRefused is the state of a link over which nothing can be asked though there is a
// connection.
const LinkRefused = "refused"

// Link to the cloud.
type Link struct {
	Wanted     bool      `json:"wanted"` // a cloud is configured
	Cloud      string    `json:"cloud,omitempty"`
	Connected  bool      `json:"connected"`
	Since      time.Time `json:"since"`
	State      string    `json:"state"`  // down, poor, fair, good; refused: connected, and nothing can be asked; none where not wanted
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
	// Breaches counts what the cloud sent that no cloud may, since the start; Breach
	// is the newest of it, at BreachAt.
	Breaches uint64    `json:"protocol_errors"`
	Breach   string    `json:"protocol_error,omitempty"`
	BreachAt time.Time `json:"protocol_error_at,omitzero"`
	// Unanswered counts the waits for an answer that were given up though the link
	// was alive, since the start; the newest at UnansweredAt.
	Unanswered   uint64    `json:"unanswered"`
	UnansweredAt time.Time `json:"unanswered_at,omitzero"`
	LastError    string    `json:"last_error,omitempty"` // of the last dial or connection that failed, also while connected
	// Refusal is the cloud's no of now, in its word: unauthorized, revoked, unknown
	// bundle, busy. RefusalText is what it said; where it lacks the bundle, Pull is a
	// command that fetches one that it has, if it lets boards have one.
	Refusal     string    `json:"refusal,omitempty"`
	RefusalText string    `json:"refusal_text,omitempty"`
	Pull        string    `json:"pull,omitempty"`
	NextDial    time.Time `json:"next_dial"`
	Expires     time.Time `json:"certificate_expires"`
	Hour        []Minute  `json:"hour"` // oldest first, at most 60
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
	Rate    float64           `json:"rate"`           // tokens/s of the last 8 answers, each from its first token on
	FirstMS float64           `json:"first_token_ms"` // of the newest answer
	// Checks are the passes of the full model that decided tokens where it checks drafts,
	// Drafted the tokens that were proposed to it, by drafter, and Accepted those of them that
	// it said itself.
	Checks   uint64            `json:"checks"`
	Drafted  map[string]uint64 `json:"drafted,omitempty"`
	Accepted map[string]uint64 `json:"accepted,omitempty"`
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

// NewestSessions is how many sessions a status has beside those under way.
const NewestSessions = 20

// SessionList is a part of the list of sessions, the newest first.
type SessionList struct {
	Sessions []Session
	Count    int            // in all, of those that the caller may see
	States   map[string]int // of all, by state
	Next     string         // where the list goes on, empty at its end
}

// UnderWay reports whether the session is being answered or waits for that.
func (s Session) UnderWay() bool { return s.State != "idle" && s.State != "cut" }

// Session is one conversation.
type Session struct {
	ID      string    `json:"id"`
	Kept    bool      `json:"kept"`             // in the journal
	State   string    `json:"state"`            // idle, queued, prefill, decoding, cut
	Tokens  int       `json:"tokens"`           // positions it holds
	Client  string    `json:"client,omitempty"` // that asked last
	Owner   string    `json:"owner,omitempty"`  // the key that made it, "" for this machine
	Model   string    `json:"model,omitempty"`  // that was asked last
	Mode    string    `json:"mode,omitempty"`
	Title   string    `json:"title,omitempty"` // beginning of the first question; not in a status
	Bytes   int64     `json:"bytes,omitempty"` // that the journal holds of it
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// StalledS is for how many seconds an answer under way has made no progress, 0 below
	// StalledAfter: neither a token nor a batch of its prompt.
	StalledS float64 `json:"stalled_s,omitempty"`
	// NoDraft is why its last answer was given without the draft model, empty where it was
	// not: the conversation goes on without, and another asks it again.
	NoDraft string `json:"no_draft,omitempty"`
}

// StalledAfter is longer than a batch of prompt takes on the slowest board.
const StalledAfter = 40 * time.Second

// Storage is the disk and the database.
type Storage struct {
	Path       string `json:"path"`
	Medium     string `json:"medium"`
	FreeBytes  uint64 `json:"free_bytes"`
	TotalBytes uint64 `json:"total_bytes"`
	DBBytes    int64  `json:"database_bytes"`
	SetAside   string `json:"set_aside,omitempty"`
	// Unerased is why what was forgotten could not yet be taken out of the file.
	Unerased string `json:"unerased,omitempty"`
	Err      string `json:"error,omitempty"`
	// ErrCode is DiskFull or DiskFails where that is what Err amounts to.
	ErrCode string `json:"error_code,omitempty"`
}

// Codes of Storage.ErrCode.
const (
	DiskFull  = "disk-full"  // or a quota is used up
	DiskFails = "disk-fails" // it cannot be read or written, or is mounted read-only
)
