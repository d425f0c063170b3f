package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"

	"skerry/appliance/bundle/gguf"
)

// Draft describes the bundle's draft model: a whole smaller model with the vocabulary of
// the bundle's, which proposes tokens that the bundle's model checks. Its file is the one
// it was made of, unchanged. Text is turned into tokens by the bundle's own vocabulary
// (board-1's), never by the draft's.
type Draft struct {
	File          string         `json:"file"`
	Bytes         int64          `json:"bytes"`
	SHA256        string         `json:"sha256"`
	Name          string         `json:"name"`
	Source        string         `json:"source"` // base name of the file it was made of
	Architecture  string         `json:"architecture"`
	Blocks        int            `json:"blocks"`
	Embedding     int            `json:"n_embd"`
	Vocab         int            `json:"n_vocab"` // rows of its embedding, padding included
	ContextLength int            `json:"context_length"`
	Tensors       map[string]int `json:"tensor_types"` // number of tensors by type
	// Tokens is how many tokens, from 0 on, the two have in common: each has the same
	// text in both, the end tokens aside. What lies beyond is padding of the vocabulary,
	// which is never said.
	Tokens int `json:"tokens"`
	// Ends are the draft's end tokens and those of the bundle's model that stand for them.
	Ends []EndToken `json:"end_tokens"`

	// What was measured against the bundle's model, on report texts; absent where nothing
	// was. Cost is the draft's time for one token as a share of the whole model's pass,
	// and Threshold the confidence from which a drafted token is believed unchecked;
	// above 1 it never is.
	Cost      float64         `json:"cost,omitempty"`
	Threshold float64         `json:"threshold,omitempty"`
	Measured  []DraftMeasured `json:"measured,omitempty"`
	// Temperature is what the draft's logits are divided by for its confidence, so that
	// this means what it says; what is sampled does not depend on it.
	Temperature float64 `json:"temperature,omitempty"`
	// Texts are those that the temperature was chosen on and that were measured.
	Texts []CalibrationText `json:"texts,omitempty"`
	// Bound is what was promised of the disagreement, nil for nothing.
	Bound *DisagreementBound `json:"disagreement_bound,omitempty"`
	// FreeText is what the draft writes alone; nil where that was not measured.
	FreeText *FreeText `json:"free_text,omitempty"`
}

// EndToken is one end token: its role, and its ids.
type EndToken struct {
	Role  EndRole `json:"role"`
	Draft int32   `json:"draft"` // id in the draft
	Model int32   `json:"model"` // id in the bundle's model
}

// EndRole says what ends with a token.
type EndRole string

// The roles of end tokens.
const (
	EndOfText    EndRole = "text"
	EndOfTurn    EndRole = "turn"
	EndOfMessage EndRole = "message" // before the answer of a tool
)

// DraftMeasured is how a draft does on texts of one kind, as code or chat. Its agreement is
// the draft's acceptance: the share of positions at which the bundle's model says the same.
type DraftMeasured struct {
	Kind string `json:"kind"`
	Reliability
	// Calibration is the agreement by the draft's confidence.
	Calibration []HeadMeasured `json:"calibration,omitempty"`
	// PerCheck is how many tokens a check of some drafts yields, the model's own included,
	// where it is greedy; only for the model's own answers, which alone are what a draft that
	// is checked goes on with.
	PerCheck []PerCheck `json:"tokens_per_check,omitempty"`
	// AfterLookup is the same where prompt lookup is asked first, and the draft where that finds
	// nothing.
	AfterLookup []PerCheck `json:"tokens_per_check_after_lookup,omitempty"`
}

// PerCheck is the mean number of tokens from a check of so many drafts.
type PerCheck struct {
	Drafts int     `json:"drafts"`
	Tokens float64 `json:"tokens"`
}

// Speaks says that the draft may speak where the bundle's model cannot be asked: unless it was
// measured that it makes no sense.
func (d *Draft) Speaks() bool { return d.FreeText == nil || d.FreeText.Speaks() }

// ToModel is the token of the bundle's model that stands for one of the draft's, and
// whether there is one: padding stands for nothing.
func (d *Draft) ToModel(id int32) (int32, bool) {
	for _, e := range d.Ends {
		if e.Draft == id {
			return e.Model, true
		}
	}
	return id, id >= 0 && int(id) < d.Tokens
}

// FromModel is the draft's token that stands for one of the bundle's model, and whether
// there is one.
func (d *Draft) FromModel(id int32) (int32, bool) {
	for _, e := range d.Ends {
		if e.Model == id {
			return e.Draft, true
		}
	}
	return id, id >= 0 && int(id) < d.Tokens
}

func (m *Manifest) validateDraft() error {
	d := m.Draft
	if d == nil {
		return nil
	}
	if m.Format < FormatDraft {
		return fmt.Errorf("a manifest of format %d has no draft", m.Format)
	}
	if d.File != DraftModel.File() || d.Bytes < 1 || !isSHA256(d.SHA256) {
		return errors.New("the draft's file is not named as it has to be")
	}
	if _, ok := architectures[d.Architecture]; !ok {
		return fmt.Errorf("the draft's architecture %q is not supported", gguf.Short(d.Architecture))
	}
	if d.Blocks < 1 || d.Blocks > maxBlocks || d.Embedding < 1 || d.Embedding > maxWidth || d.ContextLength < 1 || d.ContextLength > maxContext ||
		d.Vocab < 1 || d.Vocab > maxVocab || d.Tokens < 1 || d.Tokens > min(d.Vocab, m.Vocab) {
		return errors.New("the draft's hyperparameters are out of range")
	}
	for _, e := range d.Ends {
		if e.Draft < 0 || int(e.Draft) >= d.Vocab || e.Model < 0 || int(e.Model) >= m.Vocab {
			return fmt.Errorf("the draft's end token %d for %d is none of the vocabulary", e.Draft, e.Model)
		}
	}
	return d.validateMeasured()
}

func (d *Draft) validateMeasured() error {
	bad := func(x, most float64) bool { return math.IsNaN(x) || x < 0 || x > most }
	if bad(d.Cost, math.MaxFloat64) || bad(d.Threshold, math.MaxFloat64) || bad(d.Temperature, math.MaxFloat64) {
		return errors.New("the draft's cost, threshold or temperature is impossible")
	}
	if err := d.FreeText.validate(); err != nil {
		return fmt.Errorf("the draft: %w", err)
	}
	for _, k := range d.Measured {
		if k.Tokens < 1 || bad(k.Agreement, 1) || bad(k.CalibrationError, 1) || bad(k.Coverage95, 1) || bad(k.Coverage98, 1) {
			return fmt.Errorf("the draft's acceptance on %q is impossible", gguf.Short(k.Kind))
		}
	}
	return nil
}

// SetDraft replaces what the manifest says was measured of the draft, in one step. The
// caller holds the Lock.
func (b *Bundle) SetDraft(measured Draft) error {
	if b.Manifest.Draft == nil {
		return fmt.Errorf("%w: %s has none", ErrDraft, b.Dir)
	}
	next := *b.Manifest
	d := *next.Draft
	d.Cost, d.Threshold, d.Temperature, d.Measured = measured.Cost, measured.Threshold, measured.Temperature, measured.Measured
	d.Texts, d.Bound, d.FreeText = measured.Texts, measured.Bound, measured.FreeText
	next.Draft = &d
	if err := next.Write(b.Dir); err != nil {
		return err
	}
	b.Manifest = &next
	return nil
}

// verifyDraft checks the draft's file against the manifest. Errors wrap ErrDraft, and
// ErrMissing, ErrCorrupt or ErrForeign, or are the context's.
func (b *Bundle) verifyDraft(ctx context.Context) error {
	d := b.Manifest.Draft
	path := b.Path(DraftModel)
	if d == nil {
		return fmt.Errorf("%w: %s has none, it is %w: split the model again with --draft SMALL", ErrDraft, b.Dir, ErrMissing)
	}
	same, err := holds(ctx, path, d.Bytes, d.SHA256)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s is %w: copy it there, or split the model again with --draft SMALL", ErrDraft, path, ErrMissing)
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %w", ErrDraft, err)
	case !same:
		return fmt.Errorf("%w: %s is %w: its sha256 is not the manifest's: copy it anew, or split the model again with --draft SMALL", ErrDraft, path, ErrCorrupt)
	}
	f, err := gguf.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDraft, err)
	}
	defer f.Close()
	m, err := CheckDraft(f)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDraft, err)
	}
	if m.Architecture != d.Architecture || m.Blocks != d.Blocks || m.Embedding != d.Embedding || m.Vocab != d.Vocab {
		return fmt.Errorf("%w: %s is %w: its shape is not the manifest's: split the model again with --draft SMALL", ErrDraft, path, ErrForeign)
	}
	return nil
}
