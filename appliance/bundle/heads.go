package bundle

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// Head is an exit head as the manifest has it. Kind HeadModel is the model's own
// norm and LM head; HeadFitted has a file. What was measured is agreement with
// the whole model's greedy token on report texts (Calibration.Texts).
type Head struct {
	Exit      int    `json:"exit"`
	Kind      string `json:"kind"`
	File      string `json:"file,omitempty"`
	SHA256    string `json:"sha256,omitempty"`
	Bytes     int64  `json:"bytes,omitempty"`
	Shortlist int    `json:"shortlist,omitempty"` // tokens it can say
	// Threshold is the confidence the exit is believed from unless the user says
	// otherwise; above 1 it never is. 0 where nothing was measured.
	Threshold float64        `json:"threshold,omitempty"`
	Measured  []HeadMeasured `json:"measured,omitempty"`
	// Raw is what the model's own norm and LM head measure at this exit.
	Raw []HeadMeasured `json:"measured_raw,omitempty"`
	// Cost is the time of the head for one token as a share of the whole model's
	// pass, RawCost that of the model's own norm and LM head.
	Cost    float64 `json:"cost,omitempty"`
	RawCost float64 `json:"cost_raw,omitempty"`
}

// HeadMeasured is the agreement with the unsplit model, 0 to 1, among the Tokens
// whose confidence is at least Confidence, which are Share of all; and among those
// of them below the next step, BinTokens, BinAgreement.
type HeadMeasured struct {
	Confidence   float64 `json:"confidence"`
	Agreement    float64 `json:"agreement"`
	Tokens       int     `json:"tokens"`
	Share        float64 `json:"share"`
	BinAgreement float64 `json:"bin_agreement"`
	BinTokens    int     `json:"bin_tokens"`
}

// Calibration says what the fitted heads were made from and how they do.
type Calibration struct {
	Seed   uint64            `json:"seed"`
	Tokens int               `json:"tokens"` // fitted on
	Steps  int               `json:"steps"`  // of gradient descent after the ridge regression
	Texts  []CalibrationText `json:"texts"`
	// Coverage is the share of the whole model's greedy tokens that lie in the
	// shortlist: on held-out text of the fitted sources, by which its size was
	// chosen to reach CoverageTarget, and on the report texts.
	CoverageTarget float64            `json:"coverage_target"`
	Coverage       float64            `json:"coverage"`
	CoverageReport float64            `json:"coverage_report"`
	Depths         []CalibrationDepth `json:"depths"`
}

// CalibrationText is one kind of text from one source, and what it was used for:
// "fit", "tune" (the shortlist's size, the regression's strength) or "report".
type CalibrationText struct {
	Kind      string `json:"kind"`
	Source    string `json:"source"`
	Use       string `json:"use"`
	Documents int    `json:"documents"`
	Tokens    int    `json:"tokens"`
}

// CalibrationDepth compares heads after some block on the report texts: the
// model's own (raw) and a fitted one; agreement over all tokens, and by kind.
type CalibrationDepth struct {
	Block        int                `json:"block"`
	Raw          float64            `json:"raw"`
	Fitted       float64            `json:"fitted"`
	RawByKind    map[string]float64 `json:"raw_by_kind,omitempty"`
	FittedByKind map[string]float64 `json:"fitted_by_kind,omitempty"`
}

func (m *Manifest) validateHeads() error {
	for i, h := range m.Heads {
		if i >= len(m.Exits) || h.Exit != m.Exits[i] {
			return fmt.Errorf("there is a head for %d, which is no exit or not in order", h.Exit)
		}
		switch {
		case math.IsNaN(h.Threshold) || h.Threshold < 0:
			return fmt.Errorf("the threshold of exit %d is impossible", h.Exit)
		case h.Kind == HeadFitted && headFile(h.File) && isSHA256(h.SHA256) && h.Bytes > 0 && h.Shortlist > 0 && h.Shortlist <= m.Vocab:
		case h.Kind == HeadModel && h.File == "":
		default:
			return fmt.Errorf("the head of exit %d is of unknown kind %q or names no file of its own", h.Exit, short(h.Kind))
		}
	}
	if len(m.Heads) != len(m.Exits) {
		return fmt.Errorf("%d exits have %d heads", len(m.Exits), len(m.Heads))
	}
	if p := m.Parity; p != nil && (math.IsNaN(p.MaxAbsDiff) || p.EqualTokens > p.Positions) {
		return errors.New("its parity is impossible")
	}
	return nil
}

// Lock keeps other processes from writing the bundle in dir until release is
// called. The error wraps ErrBusy where one does.
func Lock(dir string) (release func(), err error) {
	real, err := resolve(dir)
	if err != nil {
		return nil, err
	}
	l, err := tryLock(filepath.Join(filepath.Dir(real), "."+filepath.Base(real)+".lock"))
	if errors.Is(err, ErrBusy) {
		return nil, fmt.Errorf("%s: %w: wait for it to end", dir, ErrBusy)
	}
	if err != nil {
		return nil, writeError(dir, err)
	}
	return l.release, nil
}

// SetHeads gives the bundle fitted heads, one for each exit: their files first,
// then the manifest in one step, then what no manifest names any more goes. Until
// it returns nil the bundle is as it was. Heads has what is to stand in the
// manifest beside the files' names. The caller holds the Lock.
func (b *Bundle) SetHeads(ctx context.Context, fitted []*FittedHead, heads []Head, c *Calibration) error {
	if len(fitted) != len(b.Manifest.Exits) || len(heads) != len(fitted) {
		return fmt.Errorf("%s: %d heads for %d exits", b.Dir, len(fitted), len(b.Manifest.Exits))
	}
	next := *b.Manifest
	next.Heads, next.Calibration = slices.Clone(heads), c
	for i, h := range fitted {
		if err := h.write(ctx, b.Dir, next.Source.SHA256, &next.Heads[i]); err != nil {
			b.sweep()
			return err
		}
	}
	err := ctx.Err()
	if err == nil {
		err = next.place(b.Dir)
	}
	if err == nil {
		b.Manifest = &next
	}
	b.sweep()
	return err
}

// place writes the manifest in one step.
func (m *Manifest) place(dir string) error {
	if err := m.validate(); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	text, err := m.encode()
	if err != nil {
		return err
	}
	return placeFile(dir, ManifestFile, func(f *os.File) error {
		_, err := f.Write(text)
		return err
	})
}

// sweep removes head files that the manifest does not name.
func (b *Bundle) sweep() {
	entries, err := os.ReadDir(b.Dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		named := slices.ContainsFunc(b.Manifest.Heads, func(h Head) bool { return h.File == e.Name() })
		if headFile(e.Name()) && !named {
			os.Remove(filepath.Join(b.Dir, e.Name()))
		}
	}
}
