package strategies

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"skerry/cloudlink/linksim"
)

// Link is an emulated link whose RTT may be given in passes of the cloud, which
// are measured later.
type Link struct {
	linksim.Spec
	OverT float64 // the RTT in passes, where InT
	InT   bool
}

// ParseLink reads "rtt=3ms,rate=30mbit,loss=1%", or with "rtt=0.1T".
func ParseLink(s string) (Link, error) {
	var l Link
	var rest []string
	for part := range strings.SplitSeq(s, ",") {
		v, ok := strings.CutPrefix(strings.TrimSpace(part), "rtt=")
		digits, inT := strings.CutSuffix(v, "T")
		if !ok || !inT {
			rest = append(rest, part)
			continue
		}
		f, err := strconv.ParseFloat(digits, 64)
		if err != nil || !(f >= 0 && f <= 1e4) {
			return l, fmt.Errorf("%w %q: rtt %q is no number of passes, as 0.1T", linksim.ErrSpec, s, v)
		}
		l.OverT, l.InT = f, true
	}
	if len(rest) == 0 {
		return l, nil
	}
	var err error
	l.Spec, err = linksim.Parse(strings.Join(rest, ","))
	if err == nil && l.InT && l.RTT > 0 {
		err = fmt.Errorf("%w %q: rtt is given twice", linksim.ErrSpec, s)
	}
	return l, err
}

// At is the link where the cloud takes t seconds for a pass.
func (l Link) At(t float64) linksim.Spec {
	if l.InT {
		l.RTT = time.Duration(l.OverT * t * float64(time.Second)).Round(time.Microsecond)
	}
	return l.Spec
}

// sweep is the RTTs of a sweep, in passes.
var sweep = []float64{0, 0.1, 0.5, 1, 2, 5}

// Sweep is the link with a range of RTTs.
func (l Link) Sweep() []Link {
	var all []Link
	for _, f := range sweep {
		s := l
		s.RTT, s.OverT, s.InT = 0, f, true
		all = append(all, s)
	}
	return all
}
