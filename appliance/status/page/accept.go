package page

import (
	"mime"
	"strconv"
	"strings"
)

// accepted returns the form of those on offer that an Accept header likes best
// (RFC 9110, section 12.5.1): the first where it says nothing, likes none, or
// likes several as much.
func accepted(header string, offers []string) string {
	best, bestQ := offers[0], 0.0
	for _, offer := range offers {
		if q := quality(header, offer); q > bestQ {
			best, bestQ = offer, q
		}
	}
	return best
}

// quality of a media type: what the most specific range that covers it says.
func quality(header, offer string) (q float64) {
	family, _, _ := strings.Cut(offer, "/")
	closest := 0
	for part := range strings.SplitSeq(header, ",") {
		kind, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		close := 0
		switch kind {
		case offer:
			close = 3
		case family + "/*":
			close = 2
		case "*/*":
			close = 1
		}
		if close <= closest {
			continue
		}
		closest, q = close, 1
		if text, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(text, 64); err != nil || !(q >= 0 && q <= 1) {
				q = 0
			}
		}
	}
	return q
}
