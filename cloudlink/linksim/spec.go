// Package linksim puts an emulated link before a cloud on loopback: a forwarder
// of UDP, and TCP on the same port, with delay, rate and loss, for demonstrations
// and tests on kernels without netem. A running link can be cut, changed and made
// to duplicate, re-order and record what it carries.
package linksim

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ErrSpec is wrapped by every error of Parse.
var ErrSpec = errors.New("bad link")

const hint = `as "rtt=50ms,rate=10mbit,loss=0.5%"`

// Spec is an emulated link. The zero value delays, limits and loses nothing.
type Spec struct {
	RTT  time.Duration // half of it each way
	Rate float64       // bit/s each way, 0 for no limit
	Loss float64       // share of packets lost each way, 0 to 1
}

// Parse reads "rtt=50ms,rate=10mbit,loss=0.5%": any of the three, each once;
// times in us, ms or s, rates in kbit, mbit or gbit per second.
func Parse(s string) (Spec, error) {
	var spec Spec
	seen := map[string]bool{}
	for part := range strings.SplitSeq(s, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return Spec{}, fmt.Errorf("%w %q: %q has no value; write it %s", ErrSpec, s, part, hint)
		}
		if seen[key] {
			return Spec{}, fmt.Errorf("%w %q: %s is given twice", ErrSpec, s, key)
		}
		seen[key] = true
		if err := spec.set(key, value); err != nil {
			return Spec{}, fmt.Errorf("%w %q: %v; write it %s", ErrSpec, s, err, hint)
		}
	}
	return spec, nil
}

func (s *Spec) set(key, value string) error {
	switch key {
	case "rtt":
		v, err := number(key, value, unit{"us", 1e-6}, unit{"ms", 1e-3}, unit{"s", 1})
		if err == nil && v > 60 {
			err = fmt.Errorf("rtt %s is over 60s", value)
		}
		s.RTT = time.Duration(math.Round(v * 1e9))
		return err
	case "rate":
		v, err := number(key, value, unit{"kbit", 1e3}, unit{"mbit", 1e6}, unit{"gbit", 1e9})
		if err == nil && (v < 1e3 || v > 1e12) {
			err = fmt.Errorf("rate %s is not between 1kbit and 1000gbit", value)
		}
		s.Rate = v
		return err
	case "loss":
		v, err := number(key, value, unit{"%", 1e-2})
		if err == nil && v > 1 {
			err = fmt.Errorf("loss %s is over 100%%", value)
		}
		s.Loss = v
		return err
	}
	return fmt.Errorf("unknown key %q", key)
}

type unit struct {
	name  string
	scale float64
}

func number(key, value string, units ...unit) (float64, error) {
	var names []string
	for _, u := range units {
		names = append(names, u.name)
		digits, ok := strings.CutSuffix(value, u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(digits, 64)
		if err == nil && v >= 0 && v <= math.MaxFloat64 {
			return v * u.scale, nil
		}
	}
	return 0, fmt.Errorf("%s %q needs a number in %s", key, value, strings.Join(names, ", "))
}

// String writes s as Parse reads it.
func (s Spec) String() string {
	parts := []string{fmt.Sprintf("rtt=%sms", float(float64(s.RTT)/1e6))}
	if s.Rate > 0 {
		parts = append(parts, fmt.Sprintf("rate=%skbit", float(s.Rate/1e3)))
	}
	if s.Loss > 0 {
		parts = append(parts, fmt.Sprintf("loss=%s%%", float(s.Loss*100)))
	}
	return strings.Join(parts, ",")
}

func float(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
