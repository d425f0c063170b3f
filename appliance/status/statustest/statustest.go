// Package statustest has whole Status values as a board would give them, for the
// tests of whatever renders them.
package statustest

import (
	"fmt"
	"math"
	"time"

	"skerry/appliance/status"
)

// Now is the time of every value.
var Now = time.Date(2026, 11, 26, 14, 37, 12, 0, time.UTC)

func board() status.Board {
	return status.Board{
		Model: "Raspberry Pi 5 Model B Rev 1.0", Addresses: []string{"192.168.1.20", "fd00::ba27:ebff:fe4d:1120"},
		Cores: 4, Threads: 3, Load: 2.87, MemoryTotal: 8_465_000_000, MemoryFree: 6_120_000_000, RSS: 412_000_000, UptimeS: 273_600,
		Sensors: []status.Sensor{
			{Kind: "temperature", Name: "pmic", Value: 65.8, Unit: "°C", Metric: "temperature_celsius"},
			{Kind: "temperature", Name: "soc", Value: 61.3, Unit: "°C", Part: "soc", Metric: "temperature_celsius"},
			{Kind: "clock", Name: "core", Value: 2.4e9, Unit: "Hz", Metric: "frequency_hertz"},
			{Kind: "fan", Name: "fan", Value: 3120, Unit: "RPM", Metric: "fan_rpm"},
			{Kind: "power", Name: "input", Value: 7.4, Unit: "W", Metric: "power_watts"},
		},
	}
}

func model() *status.Model {
	return &status.Model{
		Name: "SmolLM2-135M-Instruct", Bundle: "9f2c4e0d71ab53c8e6f01d2b94a7738855d0c1f2ab3e4d5c6b7a899001122334", Architecture: "llama", Quantization: "Q4_0", Blocks: 30,
		Stages: []status.Stage{
			{From: 0, To: 10, Where: "board", Bytes: 48_300_000},
			{From: 10, To: 20, Where: "board", Bytes: 21_100_000},
			{From: 10, To: 30, Where: "cloud", Bytes: 58_800_000},
		},
		Exits:   []status.Exit{{Block: 10, Threshold: 0.86, Calibrated: true, Agreement: 0.983}, {Block: 20, Threshold: 0.72, Calibrated: true, Agreement: 0.981}},
		Context: 8192, Parallel: 4, WeightBytes: 69_400_000, KVBytes: 141_000_000,
	}
}

func base() status.Status {
	return status.Status{
		Time: Now, Started: Now.Add(-52*time.Hour - 11*time.Minute), Name: "skerry-lab", Version: "0.9.1", State: status.Ready,
		Mode: "verified", Why: "auto: the cloud answers 2.1 times as fast as this board, exactly",
		Changes: []status.Change{
			{Time: Now.Add(-47 * time.Minute), To: "standalone", Reason: "link down: no answer to 3 probes"},
			{Time: Now.Add(-41 * time.Minute), To: "verified", Reason: "link fair: rtt 84 ms, loss 0.9 %"},
			{Time: Now.Add(-19 * time.Minute), To: "standalone", Reason: "link poor: rtt 212 ms, loss 7.5 %"},
			{Time: Now.Add(-15 * time.Minute), To: "verified", Reason: "link good: rtt 41 ms, loss 0 %"},
		},
		URLs: []string{"http://192.168.1.20:7537/", "http://localhost:7537/"}, Board: board(),
		Kernels: status.Kernels{Name: "armv8.2 dotprod fp16", Device: "CPU"},
		Model:   model(),
		Link: status.Link{
			Wanted: true, Cloud: "cloud.example.net:7537", Connected: true, Since: Now.Add(-41 * time.Minute), State: "good",
			Reason: "rtt 41 ms, loss 0.1 %", Transport: "quic", WhyThat: "UDP gets through", May: "hidden", Encoding: "f16",
			RTTms: 41.2, Loss: 0.001, Goodput: 612_000, BytesUp: 184_300_000, BytesDown: 6_720_000, Budget: 500_000_000,
			Reconnects: 3, Migrations: 1, Expires: Now.AddDate(0, 2, 11), Hour: hour(false),
		},
		Tokens: status.Tokens{
			Total:   map[string]uint64{"exit1": 81_240, "exit2": 22_914, "cloud": 39_871, "fallback": 1_206},
			Recent:  map[string]int{"exit1": 522, "exit2": 161, "cloud": 284, "fallback": 33},
			Reasons: map[string]int{"confident": 683, "deadline": 9, "link poor": 21, "cloud busy": 3},
			Asks:    41_002, Answers: 611, Prompt: 402_117, Cached: 251_900, Rate: 14.3, FirstMS: 418, CacheBytes: 96_200_000,
		},
		Queue: status.Queue{Running: 2, Waiting: 1, Limit: 16, Refused: 4},
		Sessions: []status.Session{
			{ID: "kitchen-radio", Kept: true, State: "decoding", Tokens: 1_284, Client: "radio", Mode: "verified", Created: Now.Add(-26 * time.Minute), Updated: Now.Add(-time.Second)},
			{ID: "a7c1-4410-9e", Kept: false, State: "prefill", Tokens: 512, Client: "192.168.1.31", Mode: "verified", Created: Now.Add(-3 * time.Second), Updated: Now.Add(-time.Second)},
			{ID: "notes-2026", Kept: true, State: "queued", Tokens: 2_907, Client: "tablet", Created: Now.Add(-4 * time.Hour), Updated: Now.Add(-4 * time.Second)},
			{ID: "workshop", Kept: true, State: "idle", Tokens: 402, Client: "local", Mode: "standalone", Created: Now.Add(-9 * time.Hour), Updated: Now.Add(-100 * time.Minute)},
		},
		SessionCount: 4, SessionStates: map[string]int{"decoding": 1, "prefill": 1, "queued": 1, "idle": 1},
		Storage: status.Storage{Path: "/var/lib/skerry", Medium: "SD card", FreeBytes: 21_400_000_000, TotalBytes: 31_200_000_000, DBBytes: 3_410_000},
		Health:  []status.Problem{},
	}
}

// hour of a link that was down and poor in it, and is down again at its end if cut.
func hour(cut bool) (minutes []status.Minute) {
	for i := range 60 {
		m := status.Minute{Start: Now.Truncate(time.Minute).Add(time.Duration(i-59) * time.Minute)}
		wave := 6*math.Sin(float64(i)/3) + 4*math.Sin(float64(i)*1.7)
		m.RTTms, m.Loss, m.Goodput, m.State = 42+wave, 0, 600_000+9_000*wave, "good"
		switch {
		case i >= 12 && i < 18 || cut && i >= 55:
			m = status.Minute{Start: m.Start, State: "down", Loss: 1, Reason: "no answer to 3 probes"}
		case i >= 18 && i < 23:
			m.RTTms, m.Loss, m.State, m.Reason = 84+wave, 0.009, "fair", fmt.Sprintf("rtt %.0f ms, loss 0.9 %%", 84+wave)
		case i >= 40 && i < 44:
			m.RTTms, m.Loss, m.State, m.Reason = 205+3*wave, 0.075, "poor", fmt.Sprintf("rtt %.0f ms, loss 7.5 %%", 205+3*wave)
		case i >= 36 && i < 40:
			m.RTTms, m.Loss, m.State = 110+wave, 0.02, "fair"
		case i%9 == 0:
			m.Loss = 0.004
		}
		minutes = append(minutes, m)
	}
	return minutes
}

// Busy is a board under load, its link good, with a notice and a warning.
func Busy() status.Status {
	s := base()
	s.Health = []status.Problem{
		{Code: "throttled", Title: "The board is throttled", Severity: status.Warning, Text: "under-voltage since 14:31; the cores run at 1.5 of 2.4 GHz", Do: "use a 5 V, 5 A supply and a short cable", Since: Now.Add(-6 * time.Minute)},
		{Code: "cert-expiring", Title: "The certificate ends in 71 days", Severity: status.Notice, Text: "it is renewed by itself when the cloud is reached in the last 30 days", Do: "nothing yet; `skerry link test` checks it", Since: Now.Add(-50 * time.Hour)},
	}
	s.Board.Throttled, s.Board.ThrottledBy = "under-voltage", []string{"under-voltage"}
	return s
}

// Calm is a board with a good link, nothing to do and nothing wrong.
func Calm() status.Status {
	s := base()
	s.Queue.Running, s.Queue.Waiting = 0, 0
	s.Tokens.Rate = 0
	for i := range s.Sessions {
		s.Sessions[i].State = "idle"
	}
	s.SessionStates = map[string]int{"idle": s.SessionCount}
	return s
}

// Alone is a board without a cloud.
func Alone() status.Status {
	s := base()
	s.Mode, s.Why, s.Changes = "standalone", "no cloud is configured", nil
	s.Link = status.Link{State: "none"}
	s.Model.Stages = []status.Stage{{From: 0, To: 10, Where: "board", Bytes: 48_300_000}, {From: 10, To: 20, Where: "board", Bytes: 21_100_000}, {From: 20, To: 30, Where: "nobody"}}
	s.Tokens.Total = map[string]uint64{"exit1": 4_112, "exit2": 1_960}
	s.Tokens.Recent = map[string]int{"exit1": 671, "exit2": 329}
	s.Tokens.Reasons = map[string]int{"standalone": 1000}
	s.Tokens.Asks = 0
	return s
}

// LinkDown is a board that goes on alone because its link has gone.
func LinkDown() status.Status {
	s := base()
	s.Mode, s.Why = "standalone", "link down: no answer to 3 probes"
	s.Changes = append(s.Changes, status.Change{Time: Now.Add(-4 * time.Minute), To: "standalone", Reason: s.Why})
	l := &s.Link
	l.Connected, l.Since, l.State, l.Reason = false, Now.Add(-4*time.Minute), "down", "no answer to 3 probes"
	l.RTTms, l.Loss, l.Goodput, l.Transport, l.WhyThat = 0, 1, 0, "", ""
	l.LastError, l.NextDial, l.Hour = "dial udp 203.0.113.9:7537: network is unreachable", Now.Add(8*time.Second), hour(true)
	s.Tokens.Recent = map[string]int{"exit1": 498, "exit2": 173, "cloud": 121, "fallback": 208}
	s.Tokens.Reasons = map[string]int{"confident": 671, "link down": 190, "link lost": 2, "deadline": 16}
	s.Tokens.Rate = 9.1
	s.Health = []status.Problem{{Code: "link-down", Title: "The cloud cannot be reached", Severity: status.Warning, Text: "no answer from cloud.example.net:7537 for 4 min: network is unreachable. The board answers alone, with its exits.", Do: "see which part fails: `skerry link test`", Since: l.Since}}
	return s
}

// NoModel is a first start: no model, no cloud, nothing said.
func NoModel() status.Status {
	s := base()
	s.State, s.Mode, s.Why, s.Changes, s.Model = status.NoModel, "auto", "", nil, nil
	s.Started, s.Board.Load, s.Board.RSS, s.Board.UptimeS = Now.Add(-40*time.Second), 0.31, 38_000_000, 64
	s.Board.Sensors[1].Value = 47.2
	s.Board.SensorErrors = []status.SensorError{{Kind: "storage life", Err: "read /sys/block/mmcblk0/device/life_time: input/output error"}}
	s.Link, s.Tokens, s.Queue, s.Sessions = status.Link{State: "none"}, status.Tokens{}, status.Queue{Limit: 16}, nil
	s.SessionCount, s.SessionStates = 0, map[string]int{}
	s.Storage.DBBytes = 32_768
	s.Health = []status.Problem{{Code: "no-model", Title: "There is no model", Severity: status.Trouble, Text: "no bundle in /var/lib/skerry/bundles", Do: "fetch the default one: `skerry model fetch`", Since: s.Started}}
	return s
}

// Loading is a board whose model is being loaded.
func Loading() status.Status {
	s := NoModel()
	s.State, s.Health = status.Loading, []status.Problem{}
	s.Progress = &status.Progress{What: "reading board-1.gguf of SmolLM2-135M-Instruct", Share: 0.43, ETAs: 12}
	return s
}

// Starting is all that is known in the first moment: the zero value and a name.
func Starting() status.Status {
	return status.Status{Time: Now, Started: Now, Name: "skerry-lab", Version: "0.9.1", State: status.Starting}
}

// Tokens said by every source, to be published one by one.
func Tokens() (said []status.Said) {
	words := []struct{ source, text string }{
		{"exit1", "A"}, {"exit2", " lighthouse"}, {"exit1", " warns"}, {"exit1", " ships"}, {"exit1", " of"}, {"cloud", " rocks"}, {"exit1", " and"}, {"cloud", " shoals"}, {"exit1", ","}, {"exit1", " and"},
		{"exit2", " tells"}, {"exit1", " them"}, {"exit1", " where"}, {"cloud", " the"}, {"exit1", " harbour"}, {"exit1", " is"}, {"exit1", "."}, {"fallback", " Its"}, {"exit2", " lamp"}, {"cloud", " turns"},
		{"exit1", " so"}, {"exit1", " that"}, {"exit2", " each"}, {"cloud", " has"}, {"exit1", " a"}, {"exit2", " rhythm"}, {"exit1", " of"}, {"exit1", " its"}, {"exit1", " own"}, {"fallback", ","},
		{"cloud", " which"}, {"cloud", " sailors"}, {"exit2", " look"}, {"exit1", " up"}, {"exit1", " in"}, {"exit1", " the"}, {"cloud", " list"}, {"exit1", " of"}, {"exit2", " lights"}, {"exit1", "."},
	}
	for i, w := range words {
		said = append(said, status.Said{Session: "kitchen-radio", Source: w.source, Text: w.text, Index: i})
	}
	return said
}

// All by name.
func All() map[string]status.Status {
	return map[string]status.Status{
		"busy": Busy(), "calm": Calm(), "alone": Alone(), "linkdown": LinkDown(), "nomodel": NoModel(), "loading": Loading(), "starting": Starting(),
	}
}
