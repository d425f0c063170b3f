package trust

import "fmt"

// Disclosure is what a device may send to the cloud. Hidden states can be inverted to
// text, so that hidden is no secrecy from a cloud that means harm.
type Disclosure string

const (
	Unset   Disclosure = ""        // not said yet
	Text    Disclosure = "text"    // token ids and hidden states
	Hidden  Disclosure = "hidden"  // hidden states, no token ids
	Nothing Disclosure = "nothing" // neither: no session is opened
)

var disclosures = []Disclosure{Unset, Nothing, Hidden, Text} // by how much they allow

// ParseDisclosure takes text, hidden or nothing, or the empty string.
func ParseDisclosure(s string) (Disclosure, error) {
	for _, m := range disclosures {
		if string(m) == s {
			return m, nil
		}
	}
	return Unset, fmt.Errorf("what the cloud may see is %q: choose text, hidden or nothing", s)
}

func (d Disclosure) rank() int {
	for i, n := range disclosures {
		if n == d {
			return i
		}
	}
	return 0
}

// Within reports whether d allows no more than limit does; Unset limits nothing.
func (d Disclosure) Within(limit Disclosure) bool { return limit == Unset || d.rank() <= limit.rank() }
