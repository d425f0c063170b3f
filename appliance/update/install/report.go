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
	case a.Bundle:
	case a.Reboot != "":
		return fmt.Sprintf("to try it: sudo reboot %q", a.Reboot)
	case i.Whole():
		return "to try it: sudo reboot"
	}
	return "to try it: sudo systemctl restart skerry"
}

// Rule says when a version that is tried stays.
func Rule(a update.Attempt) string {
	if a.Bundle {
		return "it stays once it has answered a prompt"
	}
	return "it stays once it was ready for two minutes and has answered a prompt"
}

// What is what an attempt is of, with its version.
func What(a update.Attempt) string {
	if a.Bundle {
		return "model bundle " + named(a.Version.String(), a)
	}
	return "version " + a.Version.String()
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
	Kind    string            `json:"kind,omitempty"`
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
			f.Kind = c.Manifest.Kind
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
	what := "version"
	if f.Kind == manifest.Bundle {
		what = "model bundle"
	}
	switch {
	case f.OK:
		return fmt.Sprintf("%s: %s %s of %s, %.1f MB", f.At, what, f.Version, f.Created.UTC().Format(time.DateOnly), float64(f.Bytes)/1e6)
	case f.Version != nil:
		return fmt.Sprintf("%s: %s %s: %s", f.At, what, f.Version, f.Error)
	}
	return f.At + ": " + f.Error
}

// State is how a board's updates are, for people and programs.
type State struct {
	Kind string `json:"kind"` // program, system or bundle
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
	// Bundle is how those of the model bundle are, nil where it was never updated.
	Bundle *State `json:"bundle,omitempty"`
}

// Report is the state of the updates at present.
func (i *Installation) Report() (*State, error) {
	s, r, err := i.Status()
	if s == nil {
		return nil, err
	}
	var out *State
	if err != nil { // it takes rights that only root may have
		out = &State{Kind: i.Kind, Version: i.version.String(), Phase: s.Phase, Last: s.Last, Trial: s.Phase == update.OnTrial}
	} else {
		out = stateOf(i.Kind, s, r)
	}
	out.Bundle = i.Models.report()
	return out, nil
}

func stateOf(kind string, s *update.State, r update.Running) *State {
	out := &State{Kind: kind, Slot: r.Slot, Phase: s.Phase, Last: s.Last, Trial: s.Phase == update.OnTrial && r.Slot == s.Target}
	if c, known := s.Slots[r.Slot]; known {
		out.Version = c.Version.String()
	}
	if c := s.Slots[r.Slot.Other()]; c.Whole {
		out.Previous = c.Version.String()
	}
	if s.Phase == update.Armed && r.Slot != s.Target {
		out.Next, out.Previous = s.Slots[s.Target].Version.String(), ""
	}
	return out
}

// Facts are the state as lines with labels.
func (s *State) Facts() [][2]string {
	facts := s.facts("version", "", update.Attempt{})
	if s.Bundle != nil {
		facts = append(facts, s.Bundle.facts("model bundle", "model bundle: ", update.Attempt{Bundle: true})...)
	}
	return facts
}

func (s *State) facts(what, prefix string, of update.Attempt) [][2]string {
	runs := named(s.Version, of)
	if s.Trial {
		runs += ", on trial: " + Rule(of)
	}
	facts := [][2]string{{what, runs}, {prefix + "slot", string(s.Slot)}}
	if s.Next != "" {
		facts = append(facts, [2]string{prefix + "next start", "version " + named(s.Next, of) + " is tried"})
	}
	if s.Previous != "" {
		facts = append(facts, [2]string{prefix + "previous", named(s.Previous, of)})
	}
	if s.Last != nil {
		facts = append(facts, [2]string{prefix + "last update", s.Last.At.Local().Format(time.DateTime) + ": " + s.Last.String()})
	}
	return facts
}

// named is a version for people.
func named(version string, of update.Attempt) string {
	switch {
	case version == "":
		return "unknown"
	case of.Bundle && version == (manifest.Version{}).String():
		return "of the settings"
	}
	return version
}
