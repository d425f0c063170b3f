package install

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"skerry/appliance/update"
	"skerry/appliance/update/manifest"
)

// Unit is the daemon's, with a package.
const Unit = "skerry.service"

// Whole says whether a whole system is updated, which takes a reboot, and not only a program.
func (i *Installation) Whole() bool { return i.Kind == manifest.System }

// HowToTry says how an attempt is made by hand.
func (i *Installation) HowToTry(a update.Attempt) string {
	switch {
	case a.Reboot != "":
		return fmt.Sprintf("to try it: sudo reboot %q", a.Reboot)
	case i.Whole():
		return "to try it: sudo reboot"
	}
	return "to try it: sudo systemctl restart skerry"
}

// NothingAt is said where no update was found.
func NothingAt(url string) string {
	if url == "" {
		return "no update was found: plug in a stick that has one, name one, or set update.url in /etc/skerry/skerry.toml"
	}
	return "no update was found: plug in a stick that has one, or name one"
}

// Explain says of an error of the disk what to do.
func Explain(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("%w: only root may change what is installed: sudo skerry update", err)
	}
	return err
}

// Found is a candidate for people and programs.
type Found struct {
	At      string            `json:"at"`
	Version *manifest.Version `json:"version,omitempty"`
	Created *time.Time        `json:"created,omitempty"`
	Bytes   int64             `json:"bytes,omitempty"`
	OK      bool              `json:"ok"` // it may be applied
	Reason  manifest.Reason   `json:"reason,omitempty"`
	Error   string            `json:"error,omitempty"`
}

// Report is a list of candidates.
func Report(list []Candidate) []Found {
	out := make([]Found, len(list))
	for i, c := range list {
		f := Found{At: c.At, OK: c.Err == nil}
		if c.Manifest != nil {
			f.Version, f.Created, f.Bytes = &c.Manifest.Version, &c.Manifest.Created, c.Manifest.Total()
		}
		if c.Err != nil {
			f.Error = c.Err.Error()
			if r := (*manifest.Refusal)(nil); errors.As(c.Err, &r) {
				f.Reason = r.Reason
			}
		}
		out[i] = f
	}
	return out
}

func (f Found) String() string {
	switch {
	case f.OK:
		return fmt.Sprintf("%s: version %s of %s, %.1f MB", f.At, f.Version, f.Created.UTC().Format(time.DateOnly), float64(f.Bytes)/1e6)
	case f.Version != nil:
		return fmt.Sprintf("%s: version %s: %s", f.At, f.Version, f.Error)
	}
	return f.At + ": " + f.Error
}

// State is how a board's updates are, for people and programs.
type State struct {
	Kind string `json:"kind"` // program or system
	// Version is of what runs, as far as it is known.
	Version string       `json:"version,omitempty"`
	Slot    update.Slot  `json:"slot"`
	Phase   update.Phase `json:"phase"`
	// Next is the version that the next start tries; Trial says that this one was started so.
	Next     string `json:"next,omitempty"`
	Trial    bool   `json:"trial"`
	Previous string `json:"previous,omitempty"` // that a rollback goes to
	// Last is how the last update ended.
	Last *update.Result `json:"last,omitempty"`
}

// Report is the state of the updates at present.
func (i *Installation) Report() (*State, error) {
	s, r, err := i.Status()
	if s == nil {
		return nil, err
	}
	if err != nil { // it takes rights that only root may have
		return &State{Kind: i.Kind, Version: i.version.String(), Phase: s.Phase, Last: s.Last, Trial: s.Phase == update.OnTrial}, nil
	}
	out := &State{Kind: i.Kind, Slot: r.Slot, Phase: s.Phase, Last: s.Last, Trial: s.Phase == update.OnTrial && r.Slot == s.Target}
	if c, known := s.Slots[r.Slot]; known {
		out.Version = c.Version.String()
	}
	if c := s.Slots[r.Slot.Other()]; c.Whole {
		out.Previous = c.Version.String()
	}
	if s.Phase == update.Armed && r.Slot != s.Target {
		out.Next, out.Previous = s.Slots[s.Target].Version.String(), ""
	}
	return out, nil
}

// Facts are the state as lines with labels.
func (s *State) Facts() [][2]string {
	runs := s.Version
	if runs == "" {
		runs = "unknown"
	}
	if s.Trial {
		runs += ", on trial: it stays once it was ready for two minutes and has answered a prompt"
	}
	facts := [][2]string{{"version", runs}, {"slot", string(s.Slot)}}
	if s.Next != "" {
		facts = append(facts, [2]string{"next start", "version " + s.Next + " is tried"})
	}
	if s.Previous != "" {
		facts = append(facts, [2]string{"previous", s.Previous})
	}
	if s.Last != nil {
		facts = append(facts, [2]string{"last update", s.Last.At.Local().Format(time.DateTime) + ": " + s.Last.String()})
	}
	return facts
}
