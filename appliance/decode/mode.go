package decode

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"skerry/appliance/infer"
)

// ModeSpec is a mode: what it is called and told by, what it needs, and how it decides
// tokens. Each mode is declared in a file of its own, mode_NAME.go; all else that differs
// by mode is read from here.
type ModeSpec struct {
	infer.ModeInfo
	// Stages are those that it computes with on the board.
	Stages Stages
	// Exits is set where exits are sampled: without them a lost cloud ends the answer.
	Exits bool
	// Drafts is set where a draft model is asked in place of the exits, if there is one.
	Drafts bool
	// Speculates is set where the full model checks what is drafted, and where a draft model
	// is loaded for that if there is one.
	Speculates bool
	// Threshold is the confidence from which exits are believed unless the user gives another;
	// 0: each exit has its own.
	Threshold float64
	// Bounded is set where MaxTokenLatency, eager asks and a choice of encodings apply.
	Bounded bool
	// StandsIn is set where an answer may begin and go on without a cloud if something on the
	// board may stand in.
	StandsIn bool
	// Greedy is set where there is no sampler: the likeliest token is taken.
	Greedy bool
	Upload Upload
	step   step
}

// Stages are what a mode computes with on the board.
type Stages int

// The stages.
const (
	NoStages   Stages = iota
	ExitStages        // those with the exits, or a draft model in their place
	WholeModel
)

// Upload is how a mode sends to the cloud.
type Upload struct {
	Tokens  bool // token ids, to a cloud that has the whole model (Generator)
	Repeats bool // what was sent before goes up again (Resender)
	// Encoding of hidden states, as the wire calls it; "" for whichever the user chose,
	// float32 unless told otherwise. With an encoding the text is not called exact.
	Encoding string
}

// step decides the next token, or several at once, after the session's tokens. What it
// returns beside an error was decided before it.
type step func(l *loop, ctx context.Context) ([]infer.Token, error)

var modes []ModeSpec

// register adds a mode to the modes.
func register(m ModeSpec) bool {
	infer.AddMode(m.ModeInfo)
	modes = append(modes, m)
	slices.SortFunc(modes, func(a, b ModeSpec) int { return cmp.Compare(a.Name, b.Name) })
	return true
}

// SpecOf finds a mode by its name; the zero value is of one that there is not.
func SpecOf(name infer.Mode) ModeSpec {
	for _, m := range modes {
		if m.Name == name {
			return m
		}
	}
	return ModeSpec{}
}

// NeedsCloud reports whether a mode asks a cloud partition.
func NeedsCloud(m infer.Mode) bool { return SpecOf(m).Cloud }

// HasExits reports whether exits are sampled in a mode: without them a lost cloud ends
// the answer.
func HasExits(m infer.Mode) bool { return SpecOf(m).Exits }

// checkMode returns what is wrong with the mode, and with what only some modes can do.
func (o Options) checkMode() error {
	m := SpecOf(o.Mode)
	sampling := o.Sampling
	sampling.Seed = 0
	switch {
	case m.Name == "":
		return fmt.Errorf("mode %q is unknown: choose %s", o.Mode, ModeChoices())
	case o.Eager && !m.Bounded:
		return fmt.Errorf("mode %s has no eager asks: they are of %s", o.Mode, Collaborative)
	case m.Greedy && !sampling.IsZero():
		return fmt.Errorf("mode %s is greedy, the cloud has no sampler: leave temperature, penalties and grammar out", o.Mode)
	}
	return nil
}

// ModeChoices names the modes in a half-sentence, the baselines last.
func ModeChoices() string {
	var usual, baselines []string
	for _, m := range modes {
		if m.Baseline {
			baselines = append(baselines, string(m.Name))
		} else {
			usual = append(usual, string(m.Name))
		}
	}
	return orList(usual) + ", or of the baselines " + orList(baselines)
}

// orList joins names as in "a, b or c".
func orList(names []string) string {
	last := len(names) - 1
	if last <= 0 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// cloudFor returns why the session's cloud does not serve the mode.
func (s *Session) cloudFor(o Options) error {
	m := SpecOf(o.Mode)
	if !m.Cloud {
		return nil
	}
	if s.cloud == nil && m.StandsIn && o.OnLoss == infer.GoAlone && s.standIn() != nobody {
		s.giveUpCloud(errNoCloud)
		return nil
	}
	if s.cloud == nil {
		return fmt.Errorf("mode %s needs a cloud partition", m.Name)
	}
	if _, ok := s.cloud.(Generator); m.Upload.Tokens && !ok {
		return fmt.Errorf("mode %s needs the whole model in the cloud, which this session has not", m.Name)
	}
	if _, ok := s.cloud.(Resender); m.Upload.Repeats && !ok {
		return fmt.Errorf("mode %s needs a session that can send its hidden states again", m.Name)
	}
	return nil
}
