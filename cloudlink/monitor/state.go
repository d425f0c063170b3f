package monitor

import "fmt"

// State is the quality of the link in one word.
type State uint8

// The states, from worst to best.
const (
	Down State = iota // no connection, or nothing comes back
	Poor              // an ask takes longer than a reader is patient
	Fair              // usable
	Good              // an ask costs little more than the cloud's computing
)

var stateNames = [...]string{Down: "down", Poor: "poor", Fair: "fair", Good: "good"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// MarshalText writes the state's name, so that JSON carries words.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a state's name.
func (s *State) UnmarshalText(b []byte) error {
	for i, name := range stateNames {
		if name == string(b) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("link state %q is unknown", b)
}
