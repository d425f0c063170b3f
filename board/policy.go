package board

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Policy says how hard a board may work, from its hottest zone and its throttling.
// Too hot, it computes with half of its threads and leans on the cloud; it goes
// back once it has been cool for a while, so that it does not swing. The zero value
// has the defaults.
type Policy struct {
	Hot  float64       // °C from which it is spared; default 80, where a Pi begins to throttle
	Cool float64       // °C below which it may work again; default 70
	Hold time.Duration // for how long it has to be cool; default 1 min

	spared bool
	reason string
	cool   time.Time // since when it is cool, zero while it is not
}

// Effort is what the policy allows.
type Effort struct {
	Threads int    // to compute with
	Spared  bool   // fewer than there are; lean on the cloud
	Reason  string // with the figures, empty while not spared
}

// Judge takes readings of the temperature sensor and the throttling of the moment,
// and says with how many of threads to compute.
func (p *Policy) Judge(now time.Time, threads int, zones []Reading, t Throttling) Effort {
	hot, cool, hold := p.Hot, p.Cool, p.Hold
	if hot == 0 {
		hot = 80
	}
	if cool == 0 {
		cool = hot - 10
	}
	if hold == 0 {
		hold = time.Minute
	}
	hottest := Reading{Unit: "°C"}
	for _, z := range zones {
		if z.Unit == "°C" && z.Value > hottest.Value {
			hottest = z
		}
	}
	slowed := slices.DeleteFunc(slices.Clone(t.Now), func(why string) bool { return why == "clock capped" })
	switch {
	case hottest.Value >= hot:
		p.spared, p.cool = true, time.Time{}
		p.reason = fmt.Sprintf("%s is %.0f °C, %.0f is hot", hottest.Name, hottest.Value, hot)
	case len(slowed) > 0:
		p.spared, p.cool = true, time.Time{}
		p.reason = "the board is slowed down: " + strings.Join(slowed, ", ")
	case !p.spared:
	case hottest.Value > cool:
		p.cool = time.Time{}
	case p.cool.IsZero():
		p.cool = now
	case now.Sub(p.cool) >= hold:
		p.spared, p.reason = false, ""
	}
	if !p.spared {
		return Effort{Threads: threads}
	}
	return Effort{Threads: max(1, threads/2), Spared: true, Reason: p.reason}
}
