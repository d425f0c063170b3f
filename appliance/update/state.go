package update

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"skerry/appliance/update/manifest"
)

// Phase is how far an update is.
type Phase string

// Phases, in their order.
const (
	Idle    Phase = "idle"
	Writing Phase = "writing" // the idle slot is being written
	Armed   Phase = "armed"   // written, and the next boot tries it
	OnTrial Phase = "trial"   // it was booted, and has not proved itself
	Keeping Phase = "keeping" // it has, and is becoming the default
)

// stateFormat is the version of the record.
const stateFormat = 1

// State is the record of the updates of a board, as it lies in its file.
type State struct {
	Format int   `json:"format"`
	Phase  Phase `json:"phase"`
	// Target is the slot of the update that is going on.
	Target Slot `json:"target,omitempty"`
	// Slots is what was written to them.
	Slots map[Slot]Content `json:"slots,omitempty"`
	// Newest is when the newest update was made that was taken: that time has passed,
	// whatever the clock says.
	Newest time.Time `json:"newest"`
	// Failing is why the trial is about to be given up.
	Failing string `json:"failing,omitempty"`
	// Last is how the last update ended, nil where there was none.
	Last *Result `json:"last,omitempty"`
}

// Content is what is in a slot.
type Content struct {
	Version manifest.Version `json:"version"`
	Files   []manifest.Entry `json:"files"`
	// Whole is set once all of it was read back.
	Whole bool `json:"whole"`
}

// Result is how an update ended.
type Result struct {
	Version manifest.Version `json:"version"`
	Kept    bool             `json:"kept"`
	// Reason is why it did not stick, in words.
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// byHand is how the reason of an update begins that somebody has taken back.
const byHand = "it was taken back by hand"

// ByHand says whether somebody has taken the update back.
func (r *Result) ByHand() bool { return !r.Kept && strings.HasPrefix(r.Reason, byHand) }

func (r *Result) String() string {
	if r.Kept {
		return fmt.Sprintf("version %s was installed", r.Version)
	}
	return fmt.Sprintf("the update to %s did not stick: %s", r.Version, r.Reason)
}

// load reads the record. One that is not there, or that a damaged disk has made
// unreadable, is that of a board without updates: what boots does not depend on it.
func (u *Updater) load() (*State, error) {
	s := &State{Format: stateFormat, Phase: Idle, Slots: map[Slot]Content{}}
	text, err := os.ReadFile(u.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	read, err := parseState(text)
	if err != nil {
		s.Last = &Result{Reason: "the record of updates could not be read (" + err.Error() + "), and a new one was begun"}
		return s, nil
	}
	return read, nil
}

// Flashed is the record of a board whose slot a an image has brought: it is there from the
// first start, so that a rollback to it is possible.
func Flashed(version manifest.Version, files []manifest.Entry) ([]byte, error) {
	return (&State{Format: stateFormat, Phase: Idle, Slots: map[Slot]Content{A: {version, files, true}}}).text()
}

func (s *State) text() ([]byte, error) {
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

func parseState(text []byte) (*State, error) {
	s := new(State)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, err
	}
	switch s.Phase {
	case Idle:
	case Writing, Armed, OnTrial, Keeping:
		if !s.Target.valid() {
			return nil, fmt.Errorf("it names no slot for its phase %s", s.Phase)
		}
	default:
		return nil, fmt.Errorf("it has an unknown phase %.20q", s.Phase)
	}
	if s.Format != stateFormat {
		return nil, fmt.Errorf("it has format %d", s.Format)
	}
	if s.Slots == nil {
		s.Slots = map[Slot]Content{}
	}
	return s, nil
}

func (u *Updater) save(s *State) error {
	text, err := s.text()
	if err != nil {
		return err
	}
	return u.steps.replace(u.path, text)
}

// end closes the update that is going on.
func (u *Updater) end(s *State, kept bool, reason string) error {
	s.Last = &Result{s.Slots[s.Target].Version, kept, reason, u.now()}
	s.Phase, s.Failing = Idle, ""
	if !kept {
		// The slot that runs was never written to; the other one may not be booted
		// again without being written anew, or asked for.
		c := s.Slots[s.Target]
		c.Whole = false
		s.Slots[s.Target] = c
	}
	s.Target = ""
	return u.save(s)
}
