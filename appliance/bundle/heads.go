package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/heads"
)

// The kinds of exit heads.
const (
	HeadModel  = "model"  // the model's own norm and LM head
	HeadFitted = "fitted" // norm, fitted translator and bias, LM head over a shortlist
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
	// Temperature is what the fitted head's logits were divided by, once it was fitted, so
	// that its confidence means what it says; the division is part of its translator.
	Temperature float64 `json:"temperature,omitempty"`
	// ByKind is how far the confidence can be trusted, by the kind of report text.
	ByKind map[string]Reliability `json:"by_kind,omitempty"`
	// FreeText is what the deepest exit writes alone; nil where that was not measured.
	FreeText *FreeText `json:"free_text,omitempty"`
}

// Reliability compares a head's confidence with its agreement on one kind of text.
type Reliability struct {
	Tokens    int     `json:"tokens"`
	Agreement float64 `json:"agreement"`
	// CalibrationError is the expected calibration error (Naeini et al. 2015): the mean
	// distance, over the bins of Curve and weighed by their tokens, of agreement from
	// confidence.
	CalibrationError float64 `json:"expected_calibration_error"`
	// Coverage95 and Coverage98 are the largest shares of tokens, the most confident
	// first, that agree with the whole model on 0.95 and on 0.98.
	Coverage95 float64          `json:"coverage_at_0.95"`
	Coverage98 float64          `json:"coverage_at_0.98"`
	Curve      []ReliabilityBin `json:"curve"`
}

// ReliabilityBin are the tokens of a tenth of the range of confidences: how many, their
// mean confidence and the share that agrees with the whole model.
type ReliabilityBin struct {
	Confidence float64 `json:"confidence"`
	Agreement  float64 `json:"agreement"`
	Tokens     int     `json:"tokens"`
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
	// Bound is what was promised of the exits' disagreement, nil for nothing.
	Bound *DisagreementBound `json:"disagreement_bound,omitempty"`
	// PerCheck is how many tokens a check of some drafts of the exits yields on the model's own
	// answers, where it is greedy, and AfterLookup where prompt lookup is asked first.
	PerCheck    []PerCheck `json:"tokens_per_check,omitempty"`
	AfterLookup []PerCheck `json:"tokens_per_check_after_lookup,omitempty"`
}

// DisagreementBound says that exits believed from Threshold on say, with a probability of
// Probability over the choice of the Documents it was measured on, at most the share Most of
// tokens that the whole model would not have said, in the mean over documents. Measured is
// that share on those documents.
type DisagreementBound struct {
	Most        float64 `json:"max_disagreement"`
	Probability float64 `json:"probability"`
	Documents   int     `json:"documents"`
	Threshold   float64 `json:"threshold"`
	Measured    float64 `json:"measured"`
	// Held is of how many of Resampled choices of as many documents, drawn from these with
	// replacement, the threshold that follows keeps to Most on all of them.
	Held      int `json:"held,omitempty"`
	Resampled int `json:"resampled,omitempty"`
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
// model's own (raw) and a fitted one, which is refined where there is an exit; agreement
// over all tokens, and by kind.
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
		case h.Kind == HeadFitted && heads.IsFile(h.File) && isSHA256(h.SHA256) && h.Bytes > 0 && h.Shortlist > 0 && h.Shortlist <= m.Vocab:
		case h.Kind == HeadModel && h.File == "":
		default:
			return fmt.Errorf("the head of exit %d is of unknown kind %q or names no file of its own", h.Exit, gguf.Short(h.Kind))
		}
	}
	for _, h := range m.Heads {
		if err := h.FreeText.validate(); err != nil {
			return fmt.Errorf("exit %d: %w", h.Exit, err)
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

// FittedHead is what calibration adds to the model's own norm and LM head, as package
// heads stores it.
type FittedHead = heads.Fitted

// SetHeads gives the bundle fitted heads, one for each exit: their files first,
// then the manifest in one step, then what no manifest names any more goes. Until
// it returns nil the bundle is as it was. entries has what is to stand in the
// manifest beside the files' names. The caller holds the Lock.
func (b *Bundle) SetHeads(ctx context.Context, fitted []*FittedHead, entries []Head, c *Calibration) error {
	if len(fitted) != len(b.Manifest.Exits) || len(entries) != len(fitted) {
		return fmt.Errorf("%s: %d heads for %d exits", b.Dir, len(fitted), len(b.Manifest.Exits))
	}
	next := *b.Manifest
	next.Heads, next.Calibration = slices.Clone(entries), c
	for i, h := range fitted {
		file, err := h.Write(ctx, b.Dir, next.Source.SHA256)
		if err != nil {
			b.sweep()
			return err
		}
		e := &next.Heads[i]
		e.Exit, e.Kind, e.Shortlist = h.Exit, HeadFitted, len(h.Shortlist)
		e.File, e.SHA256, e.Bytes = file.Name, file.SHA256, file.Bytes
	}
	err := ctx.Err()
	if err == nil {
		err = next.Write(b.Dir)
	}
	if err == nil {
		b.Manifest = &next
	}
	b.sweep()
	return err
}

// sweep removes head files that the manifest does not name.
func (b *Bundle) sweep() {
	entries, err := os.ReadDir(b.Dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		named := slices.ContainsFunc(b.Manifest.Heads, func(h Head) bool { return h.File == e.Name() })
		if heads.IsFile(e.Name()) && !named {
			os.Remove(filepath.Join(b.Dir, e.Name()))
		}
	}
}

// ThresholdAgreement is what was measured of the answers from the head's threshold on:
// the share that agreed with the whole model, 0 where nothing reached the threshold.
func (h Head) ThresholdAgreement() float64 {
	for _, m := range h.Measured {
		if m.Confidence >= h.Threshold {
			return m.Agreement
		}
	}
	return 0
}

// FittedHead reads the fitted head of an exit, nil where the exit uses the
// model's own. Errors wrap ErrMissing, ErrCorrupt or ErrForeign.
func (b *Bundle) FittedHead(ctx context.Context, exit int) (*FittedHead, error) {
	i := slices.IndexFunc(b.Manifest.Heads, func(h Head) bool { return h.Exit == exit })
	if i < 0 || b.Manifest.Heads[i].Kind != HeadFitted {
		return nil, nil
	}
	m := b.Manifest.Heads[i]
	path := filepath.Join(b.Dir, m.File)
	same, err := holds(ctx, path, m.Bytes, m.SHA256)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is %w: copy it there or calibrate the bundle again", path, ErrMissing)
	}
	if err != nil {
		return nil, err
	}
	if !same {
		return nil, fmt.Errorf("%s is %w: its sha256 is not the manifest's: copy it anew or calibrate the bundle again", path, ErrCorrupt)
	}
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h, err := heads.Read(f, b.Manifest.Source.SHA256, b.Manifest.Embedding, b.Manifest.Vocab)
	if err != nil {
		return nil, fmt.Errorf("%s is %w: %w: calibrate the bundle again", path, ErrForeign, err)
	}
	if h.Exit != exit || len(h.Shortlist) != m.Shortlist {
		return nil, fmt.Errorf("%s is %w: it is the head of exit %d", path, ErrForeign, h.Exit)
	}
	return h, nil
}

// LMRows reads rows of the model's LM head from board-1 as they lie there, in
// the type they have in it, in the order of ids.
func (b *Bundle) LMRows(ids []int32) (rows []byte, ty gguf.Type, err error) {
	f, err := gguf.Open(b.Path(Board1))
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	t, ok := f.Tensor("output.weight")
	if !ok {
		t, ok = f.Tensor("token_embd.weight")
	}
	if !ok {
		return nil, 0, fmt.Errorf("%s has no LM head: split the model again", f.Name)
	}
	row := t.Size / t.Rows()
	rows = make([]byte, int64(len(ids))*row)
	for i, id := range ids {
		if _, err := f.ReadAt(rows[int64(i)*row:int64(i+1)*row], t.Offset+int64(id)*row); err != nil {
			return nil, 0, fmt.Errorf("%s: row %d of the LM head: %w", f.Name, id, err)
		}
	}
	return rows, t.Type, nil
}
