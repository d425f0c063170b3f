package calibrate

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
)

// believedDraft is the agreement asked of what a draft model is believed on: it is right
// far more often than an exit is, and what it is sure of hardly ever wrong.
const believedDraft = 0.98

// quoted is a document of one kind without its states: what a draft model is measured on.
type quoted struct {
	kind string
	*document
}

// quote keeps of a document what a draft model is measured on.
func quote(kind string, d *document) quoted {
	return quoted{kind, &document{tokens: d.tokens, from: d.from, text: d.text, greedy: d.greedy}}
}

// draft is the bundle's draft model at work.
type draft struct {
	stage *engine.Stage
	as    decode.DraftModel // whose tokens are the bundle's model's
	limit int               // positions that it can see
	sum   string            // sha256 of its file
}

func openDraft(b *bundle.Bundle, threads int) (*draft, error) {
	m := b.Manifest.Draft
	s, err := engine.OpenStage(b.Path(bundle.DraftModel), engine.Options{
		Context: window, Rows: reportRows, Threads: threads, NoFlashAttention: true,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", bundle.ErrDraft, err)
	}
	d := &draft{stage: s, limit: min(window, m.ContextLength), sum: m.SHA256}
	d.as.Tokens = m.Tokens
	for _, e := range m.Ends {
		d.as.Ends = append(d.as.Ends, decode.EndToken{Draft: e.Draft, Model: e.Model})
	}
	return d, nil
}

// words is what the draft says where the whole model's greedy tokens are known: of each
// position the draft's own token (-1: none) and the spectrum of its logits.
func (d *draft) words(ctx context.Context, q *document) (*document, error) {
	if err := d.stage.Truncate(0, 0); err != nil {
		return nil, err
	}
	out := &document{tokens: q.tokens, from: q.from}
	ids, err := d.as.IDs(q.tokens)
	if err != nil { // it lacks a token of this text, and says nothing on what follows
		ids = nil
		for _, id := range q.tokens {
			one, err := d.as.IDs([]int32{id})
			if err != nil {
				break
			}
			ids = append(ids, one...)
		}
	}
	ids = ids[:min(len(ids), d.limit)]
	v := d.stage.VocabSize()
	for at := 0; at < len(ids); at += reportRows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(reportRows, len(ids)-at)
		b := engine.NewBatch(0, at, n, 0)
		b.Tokens = ids[at : at+n]
		for i := range n {
			if at+i >= q.from {
				b.Want[i] = engine.WantLogits
			}
		}
		rows, err := d.stage.Forward(b)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", bundle.ErrDraft, err)
		}
		for logits := range slices.Chunk(rows.Logits, v) {
			row := d.as.Logits(logits)
			out.greedy = append(out.greedy, int32(engine.Best(row)))
			out.addStates(spectrumOf(row, int(q.greedy[len(out.greedy)-1])))
		}
	}
	for len(out.greedy) < q.rows() {
		out.greedy = append(out.greedy, -1)
		out.addStates(silence())
	}
	return out, nil
}

// drafted is what the draft says on a document, unless it is known from before.
func (r *run) drafted(ctx context.Context, d *draft, q quoted) (*document, error) {
	path := r.draftPath(d, q)
	r.parts = append(r.parts, path)
	if docs, err := loadDocuments(path, spectrumWidth); err == nil && len(docs) == 1 && docs[0].rows() == q.rows() {
		r.progress(q.rows())
		return docs[0], nil
	}
	out, err := d.words(ctx, q.document)
	if err != nil {
		return nil, err
	}
	if err := saveDocuments(path, []*document{out}, spectrumWidth); err != nil {
		r.noteUnsaved(err)
	}
	r.progress(q.rows())
	return out, nil
}

// draftPath is where the draft's words on a document are kept: under a name that says all
// that they follow from.
func (r *run) draftPath(d *draft, q quoted) string {
	h := sha256.New()
	fmt.Fprintln(h, "draft", recipe, d.sum, r.kernels, d.limit, spectrumWidth, noDistance, q.from)
	binary.Write(h, binary.LittleEndian, q.tokens)
	binary.Write(h, binary.LittleEndian, q.greedy)
	return filepath.Join(r.cache, d.sum[:12]+"-"+hex.EncodeToString(h.Sum(nil)[:12])+wordsFile)
}

// draftStep is what the progress calls the measuring of the draft model.
const draftStep = "measure the draft model"

// measureDraft says what the bundle's draft is worth on the texts that were read and
// written: as much of the manifest's entry as is measured.
func (r *run) measureDraft(ctx context.Context) (*bundle.Draft, error) {
	d, err := openDraft(r.b, r.opt.Threads)
	if err != nil {
		return nil, err
	}
	defer d.stage.Close()
	r.begin(draftStep, nil, 1)
	for _, q := range slices.Concat(r.quotedTune, r.quotedReport) {
		r.total += q.rows()
	}
	r.until = r.total
	m := &bundle.Draft{Temperature: 1}
	for _, t := range r.texts {
		if t.Use != "fit" {
			m.Texts = append(m.Texts, t)
		}
	}
	var tuned [][]float32
	for _, q := range r.quotedTune {
		out, err := r.drafted(ctx, d, q)
		if err != nil {
			return nil, err
		}
		for i := range out.rows() {
			row := make([]float32, spectrumWidth)
			if out.stream(i, 0, 0, row); row[0] < noDistance {
				tuned = append(tuned, row)
			}
		}
	}
	if len(tuned) > 0 {
		m.Temperature, err = coldest(ctx, func(t float64) float64 {
			sum := 0.0
			for _, row := range tuned {
				sum += math.Log(partition(row, t)) + float64(row[0])/t
			}
			return sum
		})
		if err != nil {
			return nil, err
		}
	}
	if err := r.judgeDraft(ctx, d, m); err != nil {
		return nil, err
	}
	if m.FreeText, err = r.freeText(ctx, d.writesAlone(r.m.vocab.End)); err != nil {
		return nil, err
	}
	m.Cost, err = r.draftCost(ctx, d)
	return m, err
}

// judgeDraft compares the draft with the whole model on the report texts.
func (r *run) judgeDraft(ctx context.Context, d *draft, m *bundle.Draft) error {
	all, byKind, trust, words := newTally(), map[string]*tally{}, map[string]*reliability{}, map[int][]word{}
	var answers []checked
	row := make([]float32, spectrumWidth)
	for _, q := range r.quotedReport {
		out, err := r.drafted(ctx, d, q)
		if err != nil {
			return err
		}
		if byKind[q.kind] == nil {
			byKind[q.kind], trust[q.kind] = newTally(), &reliability{}
		}
		for i := range out.rows() {
			out.stream(i, 0, 0, row)
			w := word{1 / partition(row, m.Temperature), out.greedy[i] == q.greedy[i]}
			all.add(w.confidence, w.right)
			byKind[q.kind].add(w.confidence, w.right)
			trust[q.kind].add(w.confidence, w.right)
			words[q.text] = append(words[q.text], w)
		}
		if q.kind == kindChat { // each of which is a text of its own
			answers = append(answers, checked{words[q.text], lookUps(q.document)})
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		k := bundle.DraftMeasured{Kind: kind, Reliability: trust[kind].summary(), Calibration: byKind[kind].measured()}
		if kind == kindChat {
			k.PerCheck, k.AfterLookup = perCheck(answers, false), perCheck(answers, true)
		}
		m.Measured = append(m.Measured, k)
	}
	if len(m.Measured) == 0 {
		return fmt.Errorf("%w: the whole model reads and writes nothing to measure a draft on: give text with --report", ErrText)
	}
	m.Threshold = threshold(all.measured(), believedDraft)
	var docs []verdicts
	for _, text := range slices.Sorted(maps.Keys(words)) {
		docs = append(docs, verdicts{words[text]})
	}
	var err error
	if m.Bound, err = r.bound(docs); m.Bound != nil {
		m.Threshold = m.Bound.Threshold
	}
	return err
}

// draftCost times one token through the draft and the whole model, in turn, and gives the
// draft's median as a share of the model's.
func (r *run) draftCost(ctx context.Context, d *draft) (float64, error) {
	if err := errors.Join(d.stage.Truncate(0, 0), r.m.stage.Truncate(0, 0)); err != nil {
		return 0, err
	}
	pass := func(s *engine.Stage) func(i int) error {
		return func(i int) error {
			b := engine.NewBatch(0, i, 1, engine.WantLogits)
			if s == r.m.stage {
				b.Want[0] |= r.m.want()
			}
			b.Tokens = []int32{int32(i)}
			_, err := s.Forward(b)
			return err
		}
	}
	times, err := takeTurns(ctx, pass(d.stage), pass(r.m.stage))
	if err != nil {
		return 0, fmt.Errorf("timing the draft model: %w", err)
	}
	return float64(times[0]) / float64(times[1]), nil
}

// takeTurns times works one after the other, several rounds of them, and returns their
// medians. Each is told which round it is.
func takeTurns(ctx context.Context, works ...func(round int) error) ([]time.Duration, error) {
	const rounds = 15
	times := make([][]time.Duration, len(works))
	for i := range rounds + 1 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for k, work := range works {
			start := time.Now()
			if err := work(i); err != nil {
				return nil, err
			}
			if i > 0 { // the first builds graphs
				times[k] = append(times[k], time.Since(start))
			}
		}
	}
	medians := make([]time.Duration, len(works))
	for k, t := range times {
		slices.Sort(t)
		medians[k] = t[rounds/2]
	}
	return medians, nil
}
