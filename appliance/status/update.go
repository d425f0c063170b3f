package status

import "time"

// Update is how the updates of the program, or of the whole system, are.
type Update struct {
	Kind  string `json:"kind"`           // program or system
	Slot  string `json:"slot,omitempty"` // that runs
	Trial bool   `json:"trial"`          // the version that runs has to prove itself
	// Next is the version that the next start tries, Previous the one that a rollback goes
	// to; "" for none.
	Next     string        `json:"next,omitempty"`
	Previous string        `json:"previous,omitempty"`
	Last     *UpdateResult `json:"last,omitempty"` // how the last update ended
}

// UpdateResult is how an update ended.
type UpdateResult struct {
	Version string    `json:"version"`
	Kept    bool      `json:"kept"`
	Reason  string    `json:"reason,omitempty"`  // why it did not stick
	ByHand  bool      `json:"by_hand,omitempty"` // it was taken back by somebody
	At      time.Time `json:"at"`
}

// Says is how the updates are, in a sentence without its end; "" where there were none.
func (u *Update) Says() string {
	switch {
	case u == nil:
		return ""
	case u.Trial:
		return "this version is on trial: it stays once it was ready for two minutes and has answered a prompt"
	case u.Next != "":
		return "version " + u.Next + " is tried at the next start"
	case u.Last == nil:
		return ""
	case u.Last.Kept:
		return "version " + u.Last.Version + " was installed on " + u.Last.At.UTC().Format(time.DateOnly)
	}
	return "the update to " + u.Last.Version + " did not stick: " + u.Last.Reason
}
