// Package config is the settings of the daemon: one struct, filled from defaults,
// /etc/skerry/skerry.toml, conf.d/*.toml beside it, SKERRY_* variables and flags,
// the later winning. Whatever is wrong is told with file, line and column.
//
// Config is the single source: its tags give a setting's key (toml), what it means
// (help), its bounds (min, max, enum, check) and whether a running daemon takes a
// change up (live). The variable of cloud.address is SKERRY_CLOUD_ADDRESS. No
// setting is a secret: keys and certificates are files of their own.
package config

import (
	"time"

	"skerry/appliance/engine/gpu"
)

// Config is every setting. Default has the defaults.
type Config struct {
	Listen       []string `toml:"listen" len:"32" check:"address" help:"Where the page and the APIs are served, as HOST:PORT. Any address but loopback requires an API key (skerry key new NAME). :7537 (or *:7537) is every address of the board; over it a key is required even from this machine."`
	OllamaListen []string `toml:"ollama_listen" len:"32" check:"address" help:"The same at the address where Ollama's clients look, as \"127.0.0.1:11434\"."`
	Socket       string   `toml:"socket" check:"text" help:"The unix socket of the command line. Empty: /run/skerry/skerry.sock where that directory is, else skerry.sock in the state directory."`
	State        string   `toml:"state" check:"text" help:"The directory for keys, certificates and sessions. Empty: $STATE_DIRECTORY, else ~/.local/state/skerry."`
	Name         string   `toml:"name" check:"text" live:"true" help:"The board's name on its page. Empty: its host name."`

	Model           string    `toml:"model" check:"text" help:"The model that is loaded first, and answers requests that name none: by a name that skerry model ls lists, or one that skerry model pull takes, which then fetches it. Empty: bundle."`
	Bundle          string    `toml:"bundle" check:"text" help:"The directory of the model's bundle. Empty: the default model, fetched and split once."`
	Split           bool      `toml:"split" help:"bundle names a GGUF file: a bundle is made of it in the cache, once."`
	Mode            string    `toml:"mode" enum:"modes" help:"auto: with a cloud whichever of verified, the whole model on the board and, where a bound or thresholds are set, collaborative is predicted to be the fastest, and collaborative until that is known; without one the whole model where it fits in memory, else questions are refused."`
	Threshold       []float64 `toml:"threshold" min:"0" max:"2" len:"2" live:"true" help:"Confidence from which an exit's token is taken: one for all exits or one for each; above 1 is never reached. Empty: what calibration found, else 0.99."`
	MaxTokenLatency Duration  `toml:"max_token_latency" min:"0s" max:"10m" live:"true" help:"How long after the last token the board waits for the cloud before it answers itself. 0s: as long as it takes."`
	OnLoss          string    `toml:"on_loss" enum:"alone,wait,stop" live:"true" help:"What happens while the cloud is lost: alone (the board goes on with the whole model where it fits in memory, else questions are refused), wait, or stop."`
	Eager           bool      `toml:"eager" live:"true" help:"Ask the cloud as soon as exit 1 is not confident, before exit 2 is computed: sooner, and in vain where exit 2 is confident."`

	Draft string `toml:"draft" enum:"auto,off,lookup,model" live:"true" help:"Which drafts the whole model checks several at a time, in modes whose text does not depend on them: auto (where it is faster), off, lookup (what followed the same words before), or model (the bundle's draft model)."`

	Context  int `toml:"context" min:"0" max:"1048576" help:"Positions (tokens) one conversation may hold, prompt and answer together. 0: the largest of 8192, 4096, 2048 that fits in memory."`
	Parallel int `toml:"parallel" min:"0" max:"64" help:"Answers decoded at once, in one batch. 0: as many as fit in memory, at most 4."`
	Queue    int `toml:"queue" min:"0" max:"10000" help:"Requests that may wait for their turn; any more are answered 429 with Retry-After."`
	Threads  int `toml:"threads" min:"0" max:"1024" help:"Threads that compute. 0: one less than there are cores."`

	GPULayers gpu.Layers `toml:"gpu_layers" min:"auto" max:"all" help:"How many of a model's last layers are put on the GPU: a number, all, or auto, which is as many as its memory holds. Without a GPU that is none."`

	MaxTokens int      `toml:"max_tokens" min:"0" max:"1048576" live:"true" help:"Most tokens of an answer whose request sets no limit. 0: up to the end of the context."`
	Memory    Size     `toml:"memory" min:"0B" max:"100TB" help:"Most memory for the models that are loaded, with what they compute in. Those that were used least recently go where another needs their room. 0B: what the machine has free."`
	Pin       []string `toml:"pin" len:"32" check:"text" help:"Names of models that are loaded at the start and never unloaded, beside the default one."`
	KeepAlive Duration `toml:"keep_alive" min:"0s" max:"8760h" live:"true" help:"Unload a model after this long without a request; a request may say otherwise for the time after it (keep_alive). 0s: not before another model needs its room."`

	Durability  string   `toml:"durability" enum:"auto,strict,fast" help:"How tokens of a session are written to disk: auto (in groups), fast (in larger groups), or strict (one by one)."`
	SessionKeep Duration `toml:"session_keep" min:"1m" max:"8760h" help:"How long a session is kept after its last use."`
	SessionSize Size     `toml:"session_size" min:"1MB" max:"1TB" help:"Most disk space for kept sessions; the least recently used are deleted first."`
	Cache       Size     `toml:"prefix_cache" min:"0B" max:"1TB" help:"Most disk space for the KV cache of shared prefixes, which saves computing the system prompts of sessions again after a restart. 0B: none."`
	CacheAll    bool     `toml:"prefix_cache_all" help:"Also keep prompts of requests without a session in that cache; sessions rm does not delete them."`
	Grace       Duration `toml:"grace" min:"0s" max:"10m" live:"true" help:"How long answers may take to finish at a shutdown; what is cut off is kept and can be resumed."`

	Calibrate Calibrate `toml:"calibrate" help:"Measuring how far a bundle's draft model or exits can be trusted, where nobody has done so: skerry model calibrate, by itself while the board has nothing to do."`

	Update Update `toml:"update" help:"Where skerry update check looks for updates, and what they are signed with: /etc/skerry/update.pub."`

	Board  Board  `toml:"board" help:"The board itself: heat, a status LED and a button."`
	Cloud  Cloud  `toml:"cloud" help:"The link to the cloud."`
	Access Access `toml:"access" help:"Who may do what."`
	TLS    TLS    `toml:"tls" help:"Listeners that are not loopback speak TLS with this certificate. The files are read again when they change."`
	Limits Limits `toml:"limits" help:"What one client may use, so that others are not disturbed."`
	Log    Log    `toml:"log" help:"What is logged. Prompts never are."`
}

// Calibrate is when the daemon calibrates a bundle by itself.
type Calibrate struct {
	Enabled bool     `toml:"enabled" live:"true" help:"Calibrate a bundle that is not calibrated, at the lowest priority, while nobody asks anything and the board is at least 10 °C below what is hot. Any request interrupts it; it goes on where it was."`
	After   Duration `toml:"after" min:"10s" max:"24h" live:"true" help:"How long nobody must have asked anything before it begins."`
	Budget  Duration `toml:"budget" min:"1m" max:"24h" live:"true" help:"Most time that it computes in 24 hours."`
}

// Update is where updates are looked for.
type Update struct {
	URL       string   `toml:"url" check:"url" help:"The address of the directory with the newest update for this board, as https://HOST/DIRECTORY. Empty: none."`
	FromCloud bool     `toml:"from_cloud" help:"Install the updates that the cloud tells of, when it says that they may be; each has to be signed like any other."`
	Media     []string `toml:"media" len:"32" check:"pattern" help:"Where USB sticks are mounted, as patterns of directories: an update there, or one directory below, is found."`
}

// Board is what the board itself has.
type Board struct {
	Hot    int    `toml:"hot" min:"40" max:"120" live:"true" help:"°C from which the board works less: with half of its threads, and with the cloud for every token that it can give. It ends once the board has been 10 °C cooler for a minute."`
	LED    string `toml:"led" check:"text" help:"GPIO of a status LED, as GPIO17: blinks while starting, on when ready, winks without the cloud, blinks fast in trouble. Empty: none."`
	Button string `toml:"button" check:"text" help:"GPIO of a button to ground, as GPIO27: pressed, it connects to the cloud at once; held for 3 s, it switches the board off. Empty: none."`
}

// Cloud is the link's settings.
type Cloud struct {
	Address   string `toml:"address" check:"hostport" help:"HOST:PORT of the cloud. Empty: the one this board is enrolled with (skerry enroll), if any."`
	Encoding  string `toml:"encoding" enum:"${encodings}" help:"How hidden states are sent: ${encodingsHelp}."`
	MonthlyMB int    `toml:"monthly_mb" min:"0" max:"1000000000" help:"Most megabytes (10^6 bytes) that the link may use in a month. 0: not metered."`
}

// Access is who may do what.
type Access struct {
	Origins []string `toml:"origins" len:"32" check:"origin" live:"true" help:"Web applications and extensions of other origins that a browser may let use the APIs, as \"http://localhost:3000\", \"app://obsidian.md\"; with *, every port (http://localhost:*), all names below a domain (https://*.example.org), or all of a scheme (chrome-extension://*)."`
	Hosts   []string `toml:"hosts" len:"32" check:"host" live:"true" help:"Names under which the loopback listeners are reached besides localhost, as behind a proxy; *.example.org is all below a domain. Others are refused, which is what stops DNS rebinding."`
}

// TLS is the certificate of the listeners.
type TLS struct {
	Cert string `toml:"cert" check:"text" help:"File of the certificate chain, PEM."`
	Key  string `toml:"key" check:"text" help:"File of its private key, PEM."`
}

// Limits of the HTTP servers.
type Limits struct {
	Body              Size     `toml:"body" min:"1kB" max:"1GB" live:"true" help:"Largest body of a request."`
	Header            Size     `toml:"header" min:"4kB" max:"16MB" help:"Largest header of a request."`
	Rate              float64  `toml:"rate" min:"0" max:"1000000" live:"true" help:"Requests per second of one client over the LAN. 0: no limit."`
	Burst             int      `toml:"burst" min:"1" max:"1000000" live:"true" help:"Requests that may come at once before the rate counts."`
	Connections       int      `toml:"connections" min:"8" max:"100000" help:"Connections in all."`
	ClientConnections int      `toml:"client_connections" min:"1" max:"100000" help:"Connections of one client over the LAN."`
	HeaderTimeout     Duration `toml:"header_timeout" min:"100ms" max:"10m" help:"Longest time for a request's header to arrive."`
	BodyTimeout       Duration `toml:"body_timeout" min:"100ms" max:"1h" live:"true" help:"Longest time for its body to arrive."`
	WriteStall        Duration `toml:"write_stall" min:"100ms" max:"1h" help:"A client that reads nothing for this long is disconnected; its answer can be resumed."`
	IdleTimeout       Duration `toml:"idle_timeout" min:"1s" max:"24h" help:"A connection without a request is closed after this long."`
}

// Log is what is logged.
type Log struct {
	Level  string `toml:"level" enum:"debug,info,warn,error" live:"true" help:"The least severe messages that are logged: debug, info, warn or error."`
	Format string `toml:"format" enum:"auto,text,json" help:"text, json, or auto: text."`
	Lines  int    `toml:"lines" min:"10" max:"100000" help:"Lines kept in memory for the page and the console."`
}

// Default is the configuration without any file.
func Default() Config {
	return Config{
		Listen: []string{"127.0.0.1:7537"},
		Board:  Board{Hot: 80},
		Mode:   "auto", OnLoss: "alone", Draft: "auto",
		Queue: 32, Durability: "auto", GPULayers: gpu.Auto,
		SessionKeep: Duration(24 * time.Hour), SessionSize: 64e6, Cache: 256e6, Grace: Duration(10 * time.Second),
		Calibrate: Calibrate{Enabled: true, After: Duration(10 * time.Minute), Budget: Duration(2 * time.Hour)},
		Cloud:     Cloud{Encoding: "f32"},
		Update:    Update{FromCloud: true, Media: []string{"/media/*", "/media/*/*", "/run/media/*/*", "/mnt", "/mnt/*"}},
		Limits: Limits{
			Body: 8e6, Header: 64e3, Rate: 20, Burst: 60, Connections: 512, ClientConnections: 64,
			HeaderTimeout: Duration(10 * time.Second), BodyTimeout: Duration(30 * time.Second),
			WriteStall: Duration(30 * time.Second), IdleTimeout: Duration(2 * time.Minute),
		},
		Log: Log{Level: "info", Format: "auto", Lines: 1000},
	}
}
