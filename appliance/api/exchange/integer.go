package exchange

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// Integer is a number of a request that has to be whole. JSON has one type of number:
// 2048, 2048.0 and 2.048e3 are the same (RFC 8259 section 6), and clients whose own
// numbers are floats send the second.
type Integer int

// UnmarshalJSON returns the error that encoding/json would, which names the field.
func (n *Integer) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	digits, ok := wholeDigits(string(b))
	v, err := strconv.Atoi(digits)
	if !ok || err != nil {
		return &json.UnmarshalTypeError{Value: valueName(b), Type: reflect.TypeFor[int]()}
	}
	*n = Integer(v)
	return nil
}

// mostDigits of an integer, far above what any field holds; 1e999999999 is not written
// out to be refused.
const mostDigits = 40

// wholeDigits writes a JSON number that has no fraction as plain digits. It returns false for
// one that has a fraction, that has too many digits, or that is no number.
func wholeDigits(text string) (digits string, ok bool) {
	sign, rest := "", text
	if after, minus := strings.CutPrefix(text, "-"); minus {
		sign, rest = "-", after
	}
	mantissa, exponent := rest, 0
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		e, err := strconv.Atoi(rest[i+1:])
		if err != nil {
			return "", false
		}
		mantissa, exponent = rest[:i], e
	}
	front, fraction, _ := strings.Cut(mantissa, ".")
	if front == "" || strings.Trim(front+fraction, "0123456789") != "" {
		return "", false
	}
	all := strings.TrimLeft(front+fraction, "0")
	point := len(all) - len(fraction) + exponent // digits before the point
	all = strings.TrimRight(all, "0")
	switch {
	case all == "":
		return "0", true
	case point < len(all) || point > mostDigits:
		return "", false
	}
	return sign + all + strings.Repeat("0", point-len(all)), true
}

// valueName of a JSON value, as encoding/json writes it into its errors.
func valueName(b []byte) string {
	switch b[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "bool"
	}
	return "number " + string(b)
}
