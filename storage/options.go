package storage

import (
	"cmp"
	"fmt"
	"time"
)

// Values of Options.Durability.
const (
	// Auto commits at the end of an answer and at most every 2 s on SD and eMMC,
	// every 250 ms elsewhere. A power cut costs the tokens since.
	Auto = "auto"
	// Strict commits every append by itself: two syncs each, some 10 ms on a card.
	Strict = "strict"
	// Fast is Auto with 2 s everywhere: the fewest writes.
	Fast = "fast"
)

// Options of Open and OpenStore. The zero value is good.
type Options struct {
	// Durability is Auto, Strict or Fast; default Auto.
	Durability string
	// KeepFor is how long a session is kept after its last use; default 24 h.
	KeepFor time.Duration
	// KeepBytes is what all sessions may take, the least recently used going
	// first; default 64 MB. The file may be twice as large until Compact.
	KeepBytes int64
	// KeepTickets is how many tickets are kept of one cloud; default 4.
	KeepTickets int
	// LockTimeout is how long to wait for another process; default 3 s.
	LockTimeout time.Duration
	// Summarize makes the summary of a session from its Options, whenever those are
	// written. Sessions whose summary is not of SummaryVersion, as those that an older
	// program has written, get it at Open. With nil the summaries are empty, and a later
	// Open with Summarize makes up for it.
	Summarize      func(options []byte) Summary
	SummaryVersion int
	// Sys is where the kernel's /sys is; default /sys.
	Sys string
}

const (
	slowInterval = 2 * time.Second
	fastInterval = 250 * time.Millisecond
	// lazyInterval is for what may be lost: it wakes no idle card more often.
	lazyInterval = time.Minute
)

func (o Options) withDefaults() (Options, error) {
	o.Durability = cmp.Or(o.Durability, Auto)
	switch o.Durability {
	case Auto, Strict, Fast:
	default:
		return o, fmt.Errorf("durability %q: set it to auto, strict or fast", o.Durability)
	}
	o.KeepFor = cmp.Or(o.KeepFor, 24*time.Hour)
	o.KeepBytes = cmp.Or(o.KeepBytes, 64<<20)
	o.KeepTickets = cmp.Or(o.KeepTickets, 4)
	o.LockTimeout = cmp.Or(o.LockTimeout, 3*time.Second)
	o.Sys = cmp.Or(o.Sys, "/sys")
	return o, nil
}

// interval returns how long a change may wait for its commit, on the medium.
func (o Options) interval(m Medium) time.Duration {
	if o.Durability == Fast || m == SD || m == EMMC {
		return slowInterval
	}
	return fastInterval
}
