package health

import (
	"strconv"
	"strings"
	"time"

	"skerry/appliance/status"
)

// ClockWrong is a clock that stands before this program was written.
var ClockWrong = declare(Problem{
	Code: "clock-wrong", Title: "Clock is wrong", Severity: status.Warning,
	Text:  "the clock says {now}, which is not the time: certificates may seem not yet valid, or expired",
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
	Do:    "use the supply and cable that the board's maker names; then look at `skerry doctor`",
	After: 5 * time.Second, Gone: time.Minute,
	judge: func(s seen) ([]string, bool) {
		why := strings.ToLower(s.Board.Throttled)
		return []string{"why", s.Board.Throttled}, strings.Contains(why, "voltage") || strings.Contains(why, "over-current")
	},
})

// TooHot is a temperature at which boards slow down. A limit of the maker's own, as
// far as the board reports it, comes as Throttled.
var TooHot = declare(Problem{
	Code: "too-hot", Title: "Too hot", Severity: status.Warning,
	Text:  "{sensor} is at {value} °C, from {limit} °C on boards slow down",
	Do:    "give it air or a fan, or fewer `threads` in the configuration; `skerry status --watch` shows the effect",
	After: 20 * time.Second, Gone: time.Minute,
	judge: func(s seen) ([]string, bool) {
		limit := 80.0
		if s.raised {
			limit = 75
		}
		var hottest status.Sensor
		for _, x := range s.Board.Sensors {
			if x.Unit == "°C" && x.Value > hottest.Value {
				hottest = x
			}
		}
		return []string{"sensor", hottest.Name, "value", strconv.Itoa(int(hottest.Value)), "limit", "80"}, hottest.Value >= limit
	},
})

// Throttled is a board that computes slower than it could.
var Throttled = declare(Problem{
	Code: "throttled", Title: "Board is slowed down", Severity: status.Warning,
	Text:   "the board lowers its clock: {why}",
	Do:     "look at temperatures and supply: `skerry status`",
	Causes: []*Problem{UnderVoltage, TooHot},
	After:  20 * time.Second, Gone: time.Minute,
	judge: func(s seen) ([]string, bool) {
		return []string{"why", s.Board.Throttled}, s.Board.Throttled != ""
	},
})

// OutOfMemory is a model that was not loaded, or an answer that ended, for want of
// memory.
var OutOfMemory = declare(Problem{
	Code: "out-of-memory", Title: "Out of memory", Severity: status.Trouble,
	Text: "{err}",
	Do:   "take a smaller model (`bundle`), or less `context` and `parallel`: `skerry config show` has them",
	Gone: 10 * time.Second,
})

// MemoryLow is a board about to swap, or to end a process.
var MemoryLow = declare(Problem{
	Code: "memory-low", Title: "Memory is low", Severity: status.Warning,
	Text:   "{free} of {total} memory are available, the daemon has {rss}",
	Do:     "end other programs, or lower `context` and `parallel` (`skerry config show`)",
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
