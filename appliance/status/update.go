package status

import "time"

// Update is how the updates of the program, or of the whole system, are.
type Update struct {
	Kind  string `json:"kind"`           // program, system or bundle
	Slot  string `json:"slot,omitempty"` // that runs
	Trial bool   `json:"trial"`          // the version that runs has to prove itself
	// Next is the version that the next start tries, Previous the one that a rollback goes
	// to; "" for none.
	Next     string        `json:"next,omitempty"`
	Previous string        `json:"previous,omitempty"`
	Last     *UpdateResult `json:"last,omitempty"` // how the last update ended
	// Offer is the version that the cloud has told of, nil for none.
	Offer *UpdateOffer `json:"offer,omitempty"`
	// Bundle is how those of the model bundle are, nil where it was never updated.
	Bundle *Update `json:"bundle,omitempty"`
}

// UpdateOffer is an update that the cloud offers, and how this board stands to it.
type UpdateOffer struct {
	Number  uint64 `json:"number"`
	Version string `json:"version"`
	URL     string `json:"url"`
	// From and Until bound the time of day in which it may be taken, in minutes since
	// midnight by the board's clock; where both are equal any time is right.
	From   int    `json:"from"`
	Until  int    `json:"until"`
	Bundle string `json:"bundle,omitempty"` // the id of the model bundle that it is of; "": of the program
	State  string `json:"state"`            // waiting, fetching, trying, installed, failed or refused
	Reason string `json:"reason,omitempty"` // in words
}

// says is how the board stands to it, in a sentence without its end.
func (o *UpdateOffer) says() string {
	what := "version "
	if o.Bundle != "" {
		what = "a model bundle, version "
	}
	s := "the cloud offers " + what + o.Version + ", which is " + o.State
	if o.Reason != "" {
		s += ": " + o.Reason
	}
	return s
}

// UpdateResult is how an update ended.
type UpdateResult struct {
	Version string    `json:"version"`
	Kept    bool      `json:"kept"`
	Reason  string    `json:"reason,omitempty"`  // why it did not stick
	ByHand  bool      `json:"by_hand,omitempty"` // it was taken back by somebody
	At      time.Time `json:"at"`
}

// SaysBundle is how those of the model bundle are, as Says has those of the program.
func (u *Update) SaysBundle() string {
	switch {
	case u == nil || u.Bundle == nil:
		return ""
	case u.Bundle.Trial:
		return "this one is on trial: it stays once it has answered a prompt"
	}
	return u.Bundle.Says()
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
	case u.Offer != nil && u.Offer.State != "installed":
		return u.Offer.says()
	case u.Last == nil:
		return ""
	case u.Last.Kept:
		return "version " + u.Last.Version + " was installed on " + u.Last.At.UTC().Format(time.DateOnly)
	}
	return "the update to " + u.Last.Version + " did not stick: " + u.Last.Reason
}
