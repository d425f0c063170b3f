package trust

import "fmt"

// May is what a device may send to the cloud. Hidden states can be inverted to
// text, so that hidden is no secrecy from a cloud that means harm.
type May string

const (
	Unset   May = ""        // not said yet
	Text    May = "text"    // token ids and hidden states
	Hidden  May = "hidden"  // hidden states, no token ids
	Nothing May = "nothing" // neither: no session is opened
)

var mays = []May{Unset, Nothing, Hidden, Text} // by how much they allow

// ParseMay takes text, hidden or nothing, or the empty string.
func ParseMay(s string) (May, error) {
	for _, m := range mays {
		if string(m) == s {
			return m, nil
		}
	}
	return Unset, fmt.Errorf("what the cloud may see is %q: choose text, hidden or nothing", s)
}

func (m May) rank() int {
	for i, n := range mays {
		if n == m {
			return i
		}
	}
	return 0
}

// Within reports whether m allows no more than limit does; Unset limits nothing.
func (m May) Within(limit May) bool { return limit == Unset || m.rank() <= limit.rank() }
