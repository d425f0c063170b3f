package schema

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// maxWhole is the greatest integer written: 15 digits, exact in every JSON reader.
const maxWhole = 999_999_999_999_999

// numbers is integers or all numbers of a shape, between its bounds.
func (c *compiler) numbers(s *shape) (string, error) {
	if beyond(s.low, s.high) {
		return "", errNothing
	}
	whole := s.kinds&kindFraction == 0
	if math.IsInf(s.low.at, -1) && math.IsInf(s.high.at, 1) {
		if whole {
			return c.Common("integer"), nil
		}
		return c.Common("number"), nil
	}
	if whole {
		low, high := int64(-maxWhole), int64(maxWhole)
		if s.low.at >= -maxWhole {
			low = int64(math.Ceil(min(s.low.at, maxWhole+1)))
			if s.low.open && float64(low) == s.low.at {
				low++
			}
		}
		if s.high.at <= maxWhole {
			high = int64(math.Floor(max(s.high.at, -maxWhole-1)))
			if s.high.open && float64(high) == s.high.at {
				high--
			}
		}
		return alternatives(wholes(low, high))
	}
	return c.decimals(s)
}

func alternatives(bodies []string) (string, error) {
	if len(bodies) == 0 {
		return "", errNothing
	}
	return Either(bodies), nil
}

// wholes are the integers from low to high.
func wholes(low, high int64) (bodies []string) {
	low, high = max(low, -maxWhole), min(high, maxWhole)
	if low > high {
		return nil
	}
	if low < 0 {
		for _, b := range digits(uint64(max(-high, 1)), uint64(-low)) {
			bodies = append(bodies, `"-" `+b)
		}
	}
	if high >= 0 {
		bodies = append(bodies, digits(uint64(max(low, 0)), uint64(high))...)
	}
	return bodies
}

// digits are the numbers from low to high without leading zeros, by their lengths.
func digits(low, high uint64) (bodies []string) {
	if low > high {
		return nil
	}
	for n := len(strconv.FormatUint(low, 10)); n <= len(strconv.FormatUint(high, 10)); n++ {
		first, last := uint64(1), uint64(9)
		for range n - 1 {
			first, last = first*10, last*10+9
		}
		if n == 1 {
			first = 0
		}
		bodies = append(bodies, between(strconv.FormatUint(max(low, first), 10), strconv.FormatUint(min(high, last), 10)))
	}
	return bodies
}

// between are the texts of digits, as long as low and high, from low to high.
func between(low, high string) string {
	n := len(low)
	switch {
	case n == 0:
		return ""
	case low == strings.Repeat("0", n) && high == strings.Repeat("9", n):
		return many("[0-9]", n)
	case n == 1:
		return one(low[0], high[0])
	case low[0] == high[0]:
		return Quote(low[:1]) + " " + between(low[1:], high[1:])
	}
	var bodies []string
	from, to := low[0], high[0]
	if low[1:] != strings.Repeat("0", n-1) {
		bodies = append(bodies, Quote(low[:1])+" "+between(low[1:], strings.Repeat("9", n-1)))
		from++
	}
	last := ""
	if high[1:] != strings.Repeat("9", n-1) {
		last = Quote(high[:1]) + " " + between(strings.Repeat("0", n-1), high[1:])
		to--
	}
	if from <= to {
		bodies = append(bodies, one(from, to)+" "+many("[0-9]", n-1))
	}
	if last != "" {
		bodies = append(bodies, last)
	}
	return "(" + strings.Join(bodies, " | ") + ")"
}

func one(from, to byte) string {
	if from == to {
		return fmt.Sprintf("%q", string(from))
	}
	return fmt.Sprintf("[%c-%c]", from, to)
}

func many(item string, n int) string {
	if n == 1 {
		return item
	}
	return fmt.Sprintf("%s{%d}", item, n)
}

// decimals are numbers between bounds, without exponents. Bounds that are not whole
// are drawn in to the whole numbers between them.
func (c *compiler) decimals(s *shape) (string, error) {
	low, high := bound{at: -maxWhole}, bound{at: maxWhole}
	if s.low.at >= -maxWhole {
		low = bound{math.Ceil(s.low.at), s.low.open && s.low.at == math.Ceil(s.low.at)}
	}
	if s.high.at <= maxWhole {
		high = bound{math.Floor(s.high.at), s.high.open && s.high.at == math.Floor(s.high.at)}
	}
	if low.at > high.at || low.at == high.at && (low.open || high.open) {
		return c.Common("number"), c.cannot(s.path, "no whole number lies between its bounds: widen them")
	}
	bodies := c.upward(bound{max(low.at, 0), low.open && low.at >= 0}, high, "")
	bodies = append(bodies, c.upward(bound{max(-high.at, 0), high.open && high.at <= 0}, bound{-low.at, low.open}, `"-" `)...)
	return alternatives(bodies)
}

// upward are the numbers from low to high, both from zero on, behind a sign.
func (c *compiler) upward(low, high bound, sign string) (bodies []string) {
	if high.at < low.at {
		return nil
	}
	add := func(whole []string, fraction string) {
		if len(whole) > 0 {
			bodies = append(bodies, strings.TrimSpace(sign+"("+Either(whole)+") "+fraction))
		}
	}
	a, b := int64(low.at), int64(high.at)
	if low.open && a < b {
		add(digits(uint64(a), uint64(a)), c.Common("above"))
		a++
	}
	if a < b {
		add(digits(uint64(a), uint64(b-1)), c.Common("fraction")+"?")
	}
	if !high.open && (a < b || a == b && !(low.open && low.at == high.at)) {
		add(digits(uint64(b), uint64(b)), `("." "0"{1,15})?`)
	}
	return bodies
}
