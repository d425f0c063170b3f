package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time with its unit, as "2s" or "1h30m".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf(`write a duration with its unit, as "2s", "500ms" or "1h"`)
	}
	*d = Duration(v)
	return nil
}

// String leaves out the units that are zero: "24h", not "24h0m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText is String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Size is bytes, with a unit: "256MB" (10^6 each) or "256MiB" (2^20 each).
type Size int64

// units of a Size, the largest first of those that print.
var units = []struct {
	name  string
	bytes int64
}{
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3},
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1},
}

// UnmarshalText reads a number and a unit, of which case does not count.
func (s *Size) UnmarshalText(text []byte) error {
	t := strings.TrimSpace(string(text))
	number := strings.TrimRight(t, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit := strings.TrimSpace(t[len(number):])
	for _, u := range units {
		if !strings.EqualFold(unit, u.name) {
			continue
		}
		v, err := strconv.ParseFloat(number, 64)
		if v *= float64(u.bytes); err != nil || math.IsNaN(v) || v < 0 || v >= math.MaxInt64 {
			break
		}
		*s = Size(math.Round(v))
		return nil
	}
	return fmt.Errorf(`write a size with its unit, as "256MB", "1.5GB" or "64MiB"`)
}

// String has the largest unit that needs no fraction, of 1000 before 1024.
func (s Size) String() string {
	best := units[len(units)-1]
	for _, u := range units {
		if s != 0 && int64(s)%u.bytes == 0 && u.bytes > best.bytes {
			best = u
		}
	}
	return strconv.FormatInt(int64(s)/best.bytes, 10) + best.name
}

// MarshalText is String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
