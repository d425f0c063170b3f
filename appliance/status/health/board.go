package health

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"skerry/appliance/status"
)

// ClockWrong is a clock that stands before this program was written.
var ClockWrong = declare(Problem{
	Code: "clock-wrong", Title: "Clock is wrong", Severity: status.Warning,
	Text:  "the clock says {now}, which has long passed: certificates may look expired or not yet valid",
	Do:    "set it: `sudo timedatectl set-ntp true`",
	After: 15 * time.Second, Gone: 5 * time.Second,
	judge: func(s seen) ([]string, bool) {
		return []string{"now", s.Time.Format(time.DateTime)}, s.Time.Before(written)
	},
})

// written is a day that has passed wherever this program runs.
var written = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// UnderVoltage is a supply too weak for the board.
var UnderVoltage = declare(Problem{
	Code: "under-voltage", Title: "Supply voltage too low", Severity: status.Warning,
	Text:  "the board reports {why}: it slows down, and may lose power",
	Do:    "use the power supply and cable that the board's maker recommends, then run `skerry doctor`",
	After: 5 * time.Second, Gone: time.Minute,
	judge: func(s seen) ([]string, bool) {
		return []string{"why", s.Board.Throttled}, slices.Contains(s.Board.ThrottledBy, "under-voltage") || slices.Contains(s.Board.ThrottledBy, "over-current")
	},
})

// TooHot is a temperature at which boards slow down. A limit of the maker's own, as
// far as the board reports it, comes as Throttled.
var TooHot = declare(Problem{
	Code: "too-hot", Title: "Too hot", Severity: status.Warning,
	Text:  "{sensor} is at {value} °C; boards slow down from {limit} °C",
	Do:    "cool it better (air, a fan), or lower `threads` in the configuration; `skerry status --watch` shows the effect",
	After: 20 * time.Second, Gone: time.Minute,
	judge: func(s seen) ([]string, bool) {
		limit := 80.0
		if s.raised {
			limit = 75
		}
		hottest, known := s.Board.Temperature()
		return []string{"sensor", hottest.Name, "value", strconv.Itoa(int(hottest.Value)), "limit", "80"}, known && hottest.Value >= limit
	},
})

// Throttled is a board that computes slower than it could.
var Throttled = declare(Problem{
	Code: "throttled", Title: "Board is slowed down", Severity: status.Warning,
	Text:   "the board lowers its clock: {why}",
	Do:     "check the temperatures and the power supply: `skerry status`",
	Causes: []*Problem{UnderVoltage, TooHot},
	After:  20 * time.Second, Gone: time.Minute,
	judge: func(s seen) ([]string, bool) {
		return []string{"why", s.Board.Throttled}, s.Board.Throttled != ""
	},
})

// SensorFailed is a sensor that the board has and that cannot be read.
var SensorFailed = declare(Problem{
	Code: "sensor-failed", Title: "A sensor cannot be read", Severity: status.Notice,
	Text:  "what it measures is unknown, and nothing is done about it: {errors}",
	Do:    "see what the kernel says of its driver: `sudo dmesg --level=err,warn`",
	After: 30 * time.Second, Gone: 10 * time.Second,
	judge: func(s seen) ([]string, bool) {
		var errs []string
		for _, e := range s.Board.SensorErrors {
			errs = append(errs, e.Kind+" ("+e.Err+")")
		}
		return []string{"errors", strings.Join(errs, "; ")}, len(errs) > 0
	},
})

// OutOfMemory is a model that was not loaded, or an answer that ended, for want of
// memory.
var OutOfMemory = declare(Problem{
	Code: "out-of-memory", Title: "Out of memory", Severity: status.Trouble,
	Text: "{err}",
	Do:   "use a smaller model (`bundle`), or lower `context` and `parallel`: `skerry config show` lists them",
	Gone: 10 * time.Second,
})

// MemoryLow is a board about to swap, or to end a process.
var MemoryLow = declare(Problem{
	Code: "memory-low", Title: "Memory is low", Severity: status.Warning,
	Text:   "{free} of {total} of memory are available; the daemon uses {rss}",
	Do:     "stop other programs, or lower `context` and `parallel` (`skerry config show`)",
	Causes: []*Problem{OutOfMemory},
	After:  15 * time.Second, Gone: 30 * time.Second,
	judge: func(s seen) ([]string, bool) {
		b := s.Board
		limit := b.MemoryTotal / 20
		if s.raised {
			limit = b.MemoryTotal / 12
		}
		return []string{"free", status.Bytes(b.MemoryFree), "total", status.Bytes(b.MemoryTotal), "rss", status.Bytes(b.RSS)}, b.MemoryFree < limit
	},
})
