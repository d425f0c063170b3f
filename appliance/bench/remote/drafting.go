package remote

import (
	"sync/atomic"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/decode/speculate"
	"skerry/appliance/engine"
	"skerry/cloudlink/partition"
)

// draftingWhole is a whole model in the cloud that drafts for itself, the baseline
// cloud-only+draft. Where the partition wants the row of one token of one session, the tokens
// that may follow are drafted and all of them computed in one pass; a row that was computed so
// is there when the token turns out to be the drafted one. What is said does not depend on it.
//
// The drafts are those of the board: prompt lookup, and the bundle's draft model where there is
// one, as many as package speculate finds worth it. Forward and Truncate are called by one
// goroutine.
type draftingWhole struct {
	wholeStage
	draft *decode.DraftModel // nil: prompt lookup alone
	count func(rows int, start time.Time)
	on    atomic.Bool
	texts map[int]*draftedText // by sequence
	token float64              // seconds of a token of the draft model, 0: not known
}

// wholeStage is what drafts are checked by.
type wholeStage interface {
	partition.WholeStage
	Bytes() (weights, kv int64)
}

// draftedText is what is known of one sequence.
type draftedText struct {
	tokens   []int32 // at the positions from 0 on that were asked for
	ahead    []int32 // drafted tokens behind them that are computed
	levels   []int   // their levels of certainty
	rows     [][]float32
	drafter  string
	verifier speculate.Verifier
	held     []int32 // tokens that the draft model has computed
	broken   bool    // the draft model is of no use to it
}

// of is the text of a sequence.
func (w *draftingWhole) of(seq int) *draftedText {
	t := w.texts[seq]
	if t == nil {
		t = &draftedText{}
		if w.texts == nil {
			w.texts = map[int]*draftedText{}
		}
		w.texts[seq] = t
	}
	return t
}

// Truncate forgets the positions of a sequence from pos on. A text that is begun anew has
// nothing learnt of the one before.
func (w *draftingWhole) Truncate(seq, pos int) error {
	t := w.of(seq)
	t.drop()
	n := min(pos, len(t.tokens))
	if t.tokens = t.tokens[:n:n]; pos == 0 { // never in place: the draft model has the old ones
		t.verifier = speculate.Verifier{}
	}
	return w.wholeStage.Truncate(seq, pos)
}

func (t *draftedText) drop() { t.ahead, t.levels, t.rows = nil, nil, nil }

// Forward computes rows, or has them computed already.
func (w *draftingWhole) Forward(rows partition.Rows) ([]float32, error) {
	single := rows.Len() == 1 && rows.Wanted[0] && w.on.Load()
	if single {
		if t := w.of(int(rows.Seq[0])); int(rows.Pos[0]) == len(t.tokens) {
			return w.next(int(rows.Seq[0]), t, rows.Tokens[0])
		}
	}
	for i, seq := range rows.Seq {
		t := w.of(int(seq))
		if len(t.ahead) > 0 { // computed for nothing
			t.drop()
			if err := w.wholeStage.Truncate(int(seq), len(t.tokens)); err != nil {
				return nil, err
			}
		}
		if at := int(rows.Pos[i]); at <= len(t.tokens) {
			t.tokens = append(t.tokens[:at:at], rows.Tokens[i])
		}
	}
	return w.wholeStage.Forward(rows)
}

// next is the row after one token more.
func (w *draftingWhole) next(seq int, t *draftedText, token int32) ([]float32, error) {
	right := len(t.ahead) > 0 && t.ahead[0] == token
	if len(t.ahead) > 0 {
		t.verifier.Checked(t.drafter, t.levels[0], right)
	}
	t.verifier.Decided(1)
	t.tokens = append(t.tokens, token)
	if right {
		row := t.rows[0]
		t.ahead, t.levels, t.rows = t.ahead[1:], t.levels[1:], t.rows[1:]
		return row, nil
	}
	if len(t.ahead) > 0 {
		t.drop()
		if err := w.wholeStage.Truncate(seq, len(t.tokens)-1); err != nil {
			return nil, err
		}
	}
	start := time.Now()
	ids, levels := w.drafts(seq, t)
	w.count(0, start)
	n, first := 1+len(ids), len(t.tokens)-1
	all := partition.Rows{Tokens: append([]int32{token}, ids...)}
	for i := range n {
		all.Seq, all.Pos, all.Wanted = append(all.Seq, int32(seq)), append(all.Pos, int32(first+i)), append(all.Wanted, true)
	}
	start = time.Now()
	logits, err := w.wholeStage.Forward(all)
	if err != nil {
		return nil, err
	}
	t.verifier.Took(n, time.Since(start).Seconds())
	size := len(logits) / n
	for i := 1; i < n; i++ {
		t.rows = append(t.rows, logits[i*size:(i+1)*size])
	}
	t.ahead, t.levels = ids, levels
	return logits[:size], nil
}

// The drafters, as package speculate knows them.
const (
	byLookup = "lookup"
	byModel  = "draft"
)

// left is how many tokens of an answer are taken to be still to come: the partition's stage is
// not told.
const left = 64

// drafts are the tokens that may follow a text, as far as they are worth a check.
func (w *draftingWhole) drafts(seq int, t *draftedText) (ids []int32, levels []int) {
	most := min(speculate.MostDraft, w.Context()-len(t.tokens), w.MaxRows()-1)
	if t.verifier.Cost(1) == 0 || most <= 0 {
		return nil, nil
	}
	ids, levels = decode.LookUp(t.tokens, most)
	n, rate := t.verifier.Free(byLookup, levels)
	ids, levels = ids[:n], levels[:n]
	if n == 0 {
		rate = 0
	}
	if more, at := w.modelled(seq, t, rate, most); len(more) > 0 {
		t.drafter = byModel
		t.verifier.Used(byModel)
		return more, at
	}
	if n > 0 {
		t.drafter = byLookup
		t.verifier.Used(byLookup)
	}
	return ids, levels
}

// modelled are the draft model's, where that promises more than the rate.
func (w *draftingWhole) modelled(seq int, t *draftedText, rate float64, most int) (ids []int32, levels []int) {
	if w.draft == nil || t.broken {
		return nil, nil
	}
	lacks := max(0, len(t.tokens)-1-common(t.held, t.tokens))
	d := speculate.Draft{Drafter: byModel, Token: w.token, Backlog: float64(lacks) * w.token * backlogShare, Left: left, Rate: rate}
	if w.token > 0 && !t.verifier.Worth(d) {
		return nil, nil
	}
	text := t.tokens
	for len(ids) < most && t.verifier.More(d, levels) {
		id, level, err := w.modelSays(seq, t, text)
		if err != nil {
			t.broken = true
			return nil, nil
		}
		ids, levels, text = append(ids, id), append(levels, level), append(text[:len(text):len(text)], id)
		if d.Token = w.token; d.Token == 0 { // its first pass had the prompt to compute
			d.Token = t.verifier.Cost(1)
		}
	}
	return ids, levels
}

// backlogShare is what a position of a batch costs of a single one, about.
const backlogShare = 0.5

// modelSays is the draft model's likeliest token after a text.
func (w *draftingWhole) modelSays(seq int, t *draftedText, text []int32) (id int32, level int, err error) {
	from := min(common(t.held, text), len(text)-1)
	if from < len(t.held) {
		if err := w.draft.Stage.Truncate(seq, from); err != nil {
			return 0, 0, err
		}
	}
	given, err := w.draft.IDs(text[from:])
	if err != nil {
		return 0, 0, err
	}
	b := engine.NewBatch(seq, from, len(given), 0)
	b.Tokens, b.Want[len(given)-1] = given, engine.WantLogits
	start := time.Now()
	out, err := w.draft.Stage.Forward(b)
	if err != nil {
		return 0, 0, err
	}
	if took := time.Since(start).Seconds(); len(given) == 1 {
		if w.token == 0 {
			w.token = took
		}
		w.token += (took - w.token) / 8
	}
	t.held = text
	row := w.draft.Logits(out.Logits)
	return int32(engine.Best(row)), speculate.LevelOf(w.draft.Describe(row).Confidence), nil
}

// common is how many tokens a and b begin with alike.
func common(a, b []int32) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
