package sim

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Setting is what the machines and the link cost. Times are in seconds, shares
// are of the whole model's depth.
type Setting struct {
	T     float64 `json:"T_s"`       // one pass of one position in the cloud
	M     float64 `json:"m"`         // marginal cost of a further position in a batch, in passes
	Slow  float64 `json:"slow"`      // the edge's time of a pass over the cloud's
	RTT   float64 `json:"rtt_s"`     // half of it each way
	Rate  float64 `json:"bit_per_s"` // each way, 0 for no limit
	Width int     `json:"width"`     // n_embd
	Exit1 float64 `json:"exit1"`     // depth of exit 1
	Exit2 float64 `json:"exit2"`     // depth of exit 2
	Head  float64 `json:"head"`      // of an exit head, in passes
	Draft float64 `json:"draft"`     // of a token of the draft model, in passes of the edge
}

// Paper is CE-CoLLM's setting as far as it is known: its model's width and exits,
// after 8 and 16 of 32 blocks, are the paper's; a pass of 35 ms, an edge as fast
// as the cloud and a link of 3 ms and 30 Mbit/s are derived from its totals; the
// costs of a batch's further position and of a head are ours, of a GPU; that of a drafted
// token is a model's of a third of the parameters.
func Paper() Setting {
	return Setting{T: 0.035, M: 0.05, Slow: 1, RTT: 0.003, Rate: 30e6, Width: 4096, Exit1: 0.25, Exit2: 0.5, Head: 0.02, Draft: 0.36}
}

// ErrSetting is wrapped by the errors of Parse.
var ErrSetting = errors.New("bad simulation")

const hint = `write it as "T=35ms,m=0.05", with slow=, width=, a= and b= (depths of the exits), h= (cost of a head), d= (of a drafted token) where they differ`

// Parse changes a setting as a list of key=value says: T in a unit of time, m,
// slow, width, a, b, h and d as numbers.
func Parse(text string, s Setting) (Setting, error) {
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return s, fmt.Errorf("%w %q: %q has no value; %s", ErrSetting, text, part, hint)
		}
		if err := s.set(key, value); err != nil {
			return s, fmt.Errorf("%w %q: %v; %s", ErrSetting, text, err, hint)
		}
	}
	return s, s.check(text)
}

func (s *Setting) set(key, value string) error {
	if key == "T" {
		d, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("T %q is no time such as 35ms", value)
		}
		s.T = d.Seconds()
		return nil
	}
	v, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return fmt.Errorf("%s %q is no number", key, value)
	}
	switch key {
	case "m":
		s.M = v
	case "slow":
		s.Slow = v
	case "width":
		s.Width = int(v)
	case "a":
		s.Exit1 = v
	case "b":
		s.Exit2 = v
	case "h":
		s.Head = v
	case "d":
		s.Draft = v
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	return nil
}

func (s Setting) check(text string) error {
	switch {
	case s.T <= 0 || s.T > 3600:
		return fmt.Errorf("%w %q: T is %gs: choose more than 0, up to an hour", ErrSetting, text, s.T)
	case s.M < 0 || s.M > 1 || s.Head < 0 || s.Head > 1:
		return fmt.Errorf("%w %q: m and h are shares of a pass, 0 to 1", ErrSetting, text)
	case s.Draft < 0 || s.Draft > 100:
		return fmt.Errorf("%w %q: d is %g passes of the edge: choose 0 to 100", ErrSetting, text, s.Draft)
	case s.Slow <= 0 || s.Slow > 1e6:
		return fmt.Errorf("%w %q: slow is %g: choose more than 0", ErrSetting, text, s.Slow)
	case s.Width < 1 || s.Width > 1<<20:
		return fmt.Errorf("%w %q: width is %d: choose the model's n_embd", ErrSetting, text, s.Width)
	case !(0 < s.Exit1 && s.Exit1 <= s.Exit2 && s.Exit2 < 1):
		return fmt.Errorf("%w %q: exits at %g and %g: choose depths 0 < a <= b < 1", ErrSetting, text, s.Exit1, s.Exit2)
	}
	return nil
}

// pass is the time of k positions through a share of the model's depth on a
// machine that takes t for the whole of one.
func (s Setting) pass(t float64, k int, share float64) float64 {
	if k == 0 {
		return 0
	}
	return t * share * (1 + s.M*float64(k-1))
}
