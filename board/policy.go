package board

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Policy says how hard a board may work, from the temperature of its processor and
// its throttling. Too hot, it computes with half of its threads and leans on the
// cloud; it goes back once it has been cool for a while, so that it does not swing.
// The zero value has the defaults.
type Policy struct {
	Hot  float64       // °C from which it is spared; default 80, where a Pi begins to throttle
	Cool float64       // °C below which it may work again; default 70
	Hold time.Duration // for how long it has to be cool; default 1 min

	spared bool
	heat   bool // it is spared for its temperature
	reason string
	cool   time.Time // since when it is cool, zero while it is not
}

// ThermalLimit is what the policy allows.
type ThermalLimit struct {
	Threads int    // to compute with
	Spared  bool   // fewer than there are; lean on the cloud
	Reason  string // with the figures, empty while not spared
}

// Judge takes readings of the temperature sensor and the throttling of the moment,
// and says with how many of threads to compute. A board that was spared for its
// temperature stays so while there are no readings.
func (p *Policy) Judge(now time.Time, threads int, zones []Reading, t Throttling) ThermalLimit {
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
	hottest, known := Hottest(zones)
	slowed := slices.DeleteFunc(slices.Clone(t.Now), func(c Cause) bool { return c.Code == ClockCapped })
	switch {
	case known && hottest.Value >= hot:
		p.spared, p.heat, p.cool = true, true, time.Time{}
		p.reason = fmt.Sprintf("%s is %.0f °C, %.0f is hot", hottest.Name, hottest.Value, hot)
	case len(slowed) > 0:
		p.spared, p.cool = true, time.Time{}
		p.reason = "the board is slowed down: " + strings.Join(Texts(slowed), ", ")
	case !p.spared:
	case known && hottest.Value > cool, !known && p.heat:
		p.cool = time.Time{}
	case p.cool.IsZero():
		p.cool = now
	case now.Sub(p.cool) >= hold:
		p.spared, p.heat, p.reason = false, false, ""
	}
	if !p.spared {
		return ThermalLimit{Threads: threads}
	}
	return ThermalLimit{Threads: max(1, threads/2), Spared: true, Reason: p.reason}
}

// Hottest is the hottest zone of the processor: of its CPU, GPU or the whole chip.
// Where no zone is known to be of it, it is the hottest of all.
func Hottest(zones []Reading) (hottest Reading, known bool) {
	ofProcessor := func(r Reading) bool { return r.Part != "" }
	all := !slices.ContainsFunc(zones, ofProcessor)
	for _, z := range zones {
		if (all || ofProcessor(z)) && (!known || z.Value > hottest.Value) {
			hottest, known = z, true
		}
	}
	return hottest, known
}
