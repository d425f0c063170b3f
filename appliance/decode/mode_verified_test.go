package decode

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/appliance/infer"
	"skerry/cloudlink/hidden"
)

// rowsTail is the cloud's stage in this process, asked for several rows.
type rowsTail struct {
	*tail
	rows int // asked for
	cuts int // truncations
}

func (c *rowsTail) Truncate(pos int) error {
	c.cuts++
	return c.tail.Truncate(pos)
}

func (c *rowsTail) AskRows(_ context.Context, pos, n, topK int) (rows []Row, err error) {
	if c.fail != nil {
		if err := c.fail(pos); err != nil {
			return nil, err
		}
	}
	c.asked++
	c.rows += n
	from, states := c.lane.queue.Take(c.lane.queue.Len())
	have := len(states) / c.lane.stage.Width()
	if from+have-1 != pos || n > have {
		return nil, fmt.Errorf("asked for %d rows up to position %d, have %d from %d on", n, pos, have, from)
	}
	b := engine.NewBatch(c.lane.seq, from, have, 0)
	b.Hidden = states
	for i := have - n; i < have; i++ {
		b.Want[i] = engine.WantLogits
	}
	out, err := c.lane.stage.Forward(b)
	if err != nil {
		return nil, err
	}
	for i := range n {
		rows = append(rows, topOf(out.Logits[i*c.vocab:(i+1)*c.vocab], topK))
	}
	return rows, nil
}

// topOf is a row as a cloud sends it.
func topOf(row []float32, topK int) Row {
	r := Row{Logits: row, LogSumExp: engine.Describe(row).LogSumExp}
	if topK == 0 {
		return r
	}
	r.Logits = nil
	for id, logit := range row {
		at := len(r.Logits)
		for at > 0 && r.Logits[at-1] < logit {
			at--
		}
		if at < topK {
			r.IDs = slices.Insert(r.IDs, at, int32(id))[:min(len(r.IDs)+1, topK)]
			r.Logits = slices.Insert(r.Logits, at, logit)[:min(len(r.Logits)+1, topK)]
		}
	}
	return r
}

// checking is a session with a cloud that is asked for several rows.
func (r *rig) checking(t *testing.T, draft Stage) (*Session, *rowsTail) {
	t.Helper()
	_, c := r.session(t)
	cloud := &rowsTail{tail: c}
	m := r.board
	if draft != nil {
		m.Draft = &DraftModel{Stage: draft}
	}
	return NewSession(m, 0, cloud), cloud
}

// With any drafter, right or wrong, under any sampling, the text is the whole model's, and
// nobody else has said any of it.
func TestVerifiedEqualsUnsplit(t *testing.T) {
	r := newRig(t)
	qs, n := questions[:7], 12
	if testing.Short() {
		qs = questions[:2]
	}
	if *equalTokens > 0 {
		qs, n = questions, *equalTokens
	}
	rng := rand.New(rand.NewPCG(14, 3))
	names := []string{"greedy", "sampled", "penalized", "grammar", "both"}
	proposed := map[infer.Source]infer.Agreement{}
	for i, q := range qs {
		if i%3 == 0 {
			q += " " + q + " Answer with these words: " + q
		}
		prompt := r.prompt(t, q)
		o := Options{MaxTokens: n, Sampling: samplings(uint64(i))[names[i%len(names)]]}
		o.IgnoreEnd = o.Sampling.Grammar == "" && i%2 == 0
		want := r.unsplit(t, prompt, o)
		text := slices.Concat(prompt, ids(want))
		script := func(wrong func(int) bool) Stage {
			return &scripted{vocab: r.vocab.Size(), text: text, wrong: wrong}
		}
		all := []struct {
			name  string
			draft Stage
			o     infer.Drafting
		}{
			{"lookup", nil, infer.DraftLookup}, {"exits", nil, infer.DraftModel}, {"right", script(nil), infer.DraftModel},
			{"wrong", script(func(int) bool { return true }), infer.DraftModel}, {"some", script(func(int) bool { return rng.IntN(3) == 0 }), infer.DraftModel},
			{"auto", script(func(int) bool { return rng.IntN(4) == 0 }), infer.DraftAuto}, {"none", nil, infer.DraftOff},
		}
		if *equalTokens == 0 { // two of them for each prompt
			all = slices.Concat(all, all)[2*i%len(all):][:2]
		}
		for _, c := range all {
			s, cloud := r.checking(t, c.draft)
			o.Mode, o.Draft = Verified, c.o
			got := generate(t, s, prompt, o)
			if !reflect.DeepEqual(ids(got), ids(want)) || got.Text != want.Text || got.Finish != want.Finish {
				t.Fatalf("%q, %s, draft %s:\n%q (%s)\nwant %q (%s)", q, names[i%len(names)], c.name, got.Text, got.Finish, want.Text, want.Finish)
			}
			again := 0
			if o.Sampling.Grammar != "" { // whole rows are asked for where it binds, for 16 tokens at a time
				again = 1 + n/16
			}
			checkDrafts(t, c.name, got, infer.FromCloud, again)
			if got.Asks != got.Checks || got.Asks != cloud.asked {
				t.Errorf("%s: %d asks, %d checks, the cloud has %d", c.name, got.Asks, got.Checks, cloud.asked)
			}
			if c.name == "none" && cloud.rows != 0 {
				t.Errorf("%d rows asked for at once, and nothing was drafted", cloud.rows)
			}
			if s.head > len(s.Tokens()) || s.uploaded > s.head {
				t.Errorf("%s: %d positions computed and %d sent of %d", c.name, s.head, s.uploaded, len(s.Tokens()))
			}
			for source, a := range got.Proposed {
				p := proposed[source]
				proposed[source] = infer.Agreement{Checked: p.Checked + a.Checked, Agreed: p.Agreed + a.Agreed}
			}
		}
	}
	t.Logf("%+v", proposed)
}

// A cloud that answers one row at a time, by its interface or as it turns out, is asked for
// every token.
func TestVerifiedRowByRow(t *testing.T) {
	r := newRig(t)
	prompt := r.prompt(t, questions[3])
	o := Options{MaxTokens: 12, IgnoreEnd: true}
	want := r.unsplit(t, prompt, o)
	text := slices.Concat(prompt, ids(want))
	o.Mode, o.Draft = Verified, infer.DraftModel
	for name, tell := range map[string]bool{"by its interface": false, "as it turns out": true} {
		_, plain := r.session(t)
		var cloud Cloud = plain
		if tell {
			cloud = &oneRowCloud{tail: plain}
		}
		m := r.board
		m.Draft = &DraftModel{Stage: &scripted{vocab: r.vocab.Size(), text: text}}
		got := generate(t, NewSession(m, 0, cloud), prompt, o)
		if got.Text != want.Text || plain.asked != 12 || got.Asks != 12 {
			t.Errorf("%s: %q after %d asks, want %q", name, got.Text, plain.asked, want.Text)
		}
		if c, ok := cloud.(*oneRowCloud); ok && c.refused != 1 {
			t.Errorf("%d asks for several rows", c.refused)
		}
	}
}

// oneRowCloud knows how to ask for several rows, and its far end does not.
type oneRowCloud struct {
	*tail
	refused int
}

func (c *oneRowCloud) AskRows(context.Context, int, int, int) ([]Row, error) {
	c.refused++
	return nil, fmt.Errorf("cloud of an older version: %w", ErrOneRow)
}

// Wherever the cloud is lost in the midst of checks and comes back, the text is the whole
// model's where that stands in.
func TestVerifiedOutlivesLosses(t *testing.T) {
	r := newRig(t)
	for i := range r.board.Exits {
		r.board.Exits[i].Alone = false
	}
	for n, temp := range []float32{0, 0.8} {
		rng, asked := rand.New(rand.NewPCG(14, uint64(n))), 0
		prompt := r.prompt(t, questions[4+n])
		o := Options{MaxTokens: 24, IgnoreEnd: true, Sampling: infer.Sampling{Temperature: temp, Seed: 7}}
		want := r.unsplit(t, prompt, o)
		s, cloud := r.checking(t, nil)
		lost := 0
		cloud.fail = func(int) error {
			if asked++; asked == 3 || rng.IntN(3) == 0 {
				lost++
				return lostForNow
			}
			return nil
		}
		o.Mode, o.Draft, o.OnLoss = Verified, infer.DraftLookup, infer.AwaitCloud
		got, err := s.Generate(t.Context(), prompt, o, nil)
		if err != nil || got.Text != want.Text || lost == 0 || got.Resumed == 0 {
			t.Errorf("%q after %d losses and %d returns, %v; want %q", got.Text, lost, got.Resumed, err, want.Text)
		}
		checkDrafts(t, "losses", got, infer.FromCloud, 0)
	}
}

// Whenever the board's whole model is expected to be faster than the cloud, or no more, the
// answer changes over in its middle, and its text is the whole model's, greedy and sampled.
func TestVerifiedChangesOver(t *testing.T) {
	r := newRig(t)
	rest := enginetest.Open(t, enginetest.Bundle(t).Path(bundle.Cloud), engine.Options{Context: context1, Threads: 1})
	for i := range r.board.Exits {
		r.board.Exits[i].Alone = false
	}
	r.board.Tail = rest
	for n, temp := range []float32{0, 0.8} {
		if err := rest.Truncate(0, 0); err != nil {
			t.Fatal(err)
		}
		prompt := r.prompt(t, questions[2+n])
		o := Options{MaxTokens: 24, IgnoreEnd: true, Sampling: infer.Sampling{Temperature: temp, Seed: 7}}
		want := r.unsplit(t, prompt, o)
		s, _ := r.checking(t, nil)
		asked := 0
		o.Mode, o.Draft, o.OnLoss = Verified, infer.DraftLookup, infer.GoAlone
		o.BoardLeads = func() bool { asked++; return asked%8 > 4 }
		got, err := s.Generate(t.Context(), prompt, o, nil)
		by := bySource(got)
		if err != nil || got.Text != want.Text || by[infer.FromUnsplit] == 0 || by[infer.FromCloud] == 0 {
			t.Errorf("temperature %v: %q by %v, %v; want %q", temp, got.Text, by, err, want.Text)
		}
		if c := got.Changes; len(c) < 3 || c[0].To != Unsplit || c[1].To != Verified || !strings.Contains(c[1].Reason, "faster") || got.Lost != nil || got.Resumed != 0 {
			t.Errorf("%+v, lost %v", c, got.Lost)
		}
		for _, tok := range got.Tokens {
			if !tok.Verified || tok.Source == infer.FromUnsplit && tok.Why != infer.WhyTooSlow {
				t.Errorf("%+v", tok)
			}
		}
	}
}

// A board whose whole model turns out not to be had goes on with the cloud.
func TestVerifiedHasNoWhole(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		cloud := &rowsCloud{text: verse, takes: 20 * time.Millisecond}
		b, _ := withRest(board(cloud))
		b.tail.stage = &fakeRest{fail: fmt.Errorf("%w: 3 MiB are free", ErrNoTail)}
		a, err := answerVerified(b, Options{MaxTokens: 10, BoardLeads: func() bool { return true }})
		if err != nil || bySource(a)[infer.FromCloud] != 10 || len(a.Changes) != 0 {
			t.Errorf("%v, %+v, %v", bySource(a), a.Changes, err)
		}
	})
}

// rowsCloud is a scripted cloud that says a text, whatever it is sent, row by row.
type rowsCloud struct {
	fakeCloud
	text    func(pos int) int32 // the token after pos tokens
	takes   time.Duration       // a check
	further time.Duration       // each further row of it
	spoil   func(n int, rows []Row) ([]Row, error)
	most    int // rows of one ask
	cuts    int
	checks  int
}

func (c *rowsCloud) Truncate(pos int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cuts++
	c.end = min(c.end, pos)
	return nil
}

func (c *rowsCloud) Ask(ctx context.Context, pos, topK int) (Row, error) {
	rows, err := c.AskRows(ctx, pos, 1, topK)
	if err != nil || len(rows) == 0 {
		return Row{}, err
	}
	return rows[0], nil
}

func (c *rowsCloud) AskRows(ctx context.Context, pos, n, topK int) (rows []Row, err error) {
	c.mu.Lock()
	c.checks++
	check := c.checks
	c.most = max(c.most, n)
	end := c.end
	c.mu.Unlock()
	if end != pos+1 {
		return nil, fmt.Errorf("asked for position %d, %d are there", pos, end)
	}
	select {
	case <-time.After(c.takes + time.Duration(n-1)*c.further):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for i := range n {
		rows = append(rows, Row{IDs: []int32{c.text(pos - n + 2 + i), 302}, Logits: []float32{9, 1}, LogSumExp: 9.1})
	}
	if c.spoil != nil {
		return c.spoil(check, rows)
	}
	return rows, nil
}

// verse is a text of some length that repeats nothing within a few tokens.
func verse(pos int) int32 { return 100 + int32(pos*pos%151) }

// checkingBoard is a fake board with a draft model that knows the cloud's text.
func checkingBoard(b *fakeBoard, c Cloud, wrong func(pos int) bool) (*fakeBoard, *scripted) {
	text := make([]int32, 30)
	for i := 30; i < 400; i++ {
		text = append(text, verse(i))
	}
	d := &scripted{vocab: b.model.Vocab.Size(), text: text, wrong: wrong, takes: 5 * time.Millisecond}
	m := b.model
	m.Exits, m.Draft = m.Exits[:1], &DraftModel{Stage: d}
	b.Session = NewSession(m, 0, c)
	return b, d
}

func answerVerified(b *fakeBoard, o Options) (Result, error) {
	o.Mode, o.IgnoreEnd = Verified, true
	if o.OnLoss == "" {
		o.OnLoss = infer.GoAlone
	}
	b.said = nil
	return b.Generate(context.Background(), make([]int32, 30), o, func(infer.Token) { b.said = append(b.said, time.Now()) })
}

// A cloud whose further rows are cheap is asked for several at once, and the sooner the more
// of the draft is right; a draft that is always wrong costs next to nothing.
func TestVerifiedChecksWhatPays(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		took := map[string]time.Duration{}
		for name, wrong := range map[string]func(int) bool{
			"right": nil, "wrong": func(int) bool { return true }, "mostly": func(pos int) bool { return pos%6 == 0 },
		} {
			cloud := &rowsCloud{text: verse, takes: 60 * time.Millisecond, further: 2 * time.Millisecond}
			b, _ := checkingBoard(board(nil), cloud, wrong)
			a, err := answerVerified(b, Options{MaxTokens: 300})
			if err != nil || len(a.Tokens) != 300 {
				t.Fatalf("%s: %d tokens, %v", name, len(a.Tokens), err)
			}
			for i, tok := range a.Tokens {
				if tok.ID != verse(30+i) || !tok.Verified || tok.Why != infer.Asked {
					t.Fatalf("%s: token %d: %+v", name, i, tok)
				}
			}
			took[name] = a.Total
			t.Logf("%s: %s, %d checks, %+v, %d rows at most, %d rollbacks", name, a.Total, a.Checks, a.Proposed, cloud.most, cloud.cuts)
		}
		plain := &rowsCloud{text: verse, takes: 60 * time.Millisecond, further: 2 * time.Millisecond}
		b, _ := checkingBoard(board(nil), plain, nil)
		a, err := answerVerified(b, Options{MaxTokens: 300, Draft: infer.DraftOff})
		if err != nil || a.Checks != 300 {
			t.Fatalf("%d checks without drafts, %v", a.Checks, err)
		}
		if took["right"] > a.Total*45/100 || took["mostly"] > a.Total*70/100 || took["wrong"] > a.Total*106/100 {
			t.Errorf("%v of %s without drafts", took, a.Total)
		}
	})
}

// narrowCloud grants fewer positions than the board has.
type narrowCloud struct {
	*rowsCloud
	limit int
}

func (c *narrowCloud) Limit() int { return c.limit }

func (c *narrowCloud) Append(pos int, hidden []float32) error {
	if end := pos + len(hidden)/fakeWidth; end > c.limit {
		return fmt.Errorf("%d positions, %d are granted", end, c.limit)
	}
	return c.rowsCloud.Append(pos, hidden)
}

// Nothing is drafted beyond what the cloud grants: every token up to there is its own.
func TestVerifiedWithinWhatIsGranted(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		for limit := 60; limit < 68; limit++ {
			cloud := &narrowCloud{&rowsCloud{text: verse, takes: 60 * time.Millisecond, further: time.Millisecond}, limit}
			b, _ := checkingBoard(board(nil), cloud, nil)
			a, err := answerVerified(b, Options{MaxTokens: 60})
			if err != nil || len(a.Tokens) != 60 || cloud.most < 3 {
				t.Fatalf("limit %d: %d tokens, %d rows at most, %v", limit, len(a.Tokens), cloud.most, err)
			}
			for i, tok := range a.Tokens {
				if tok.Verified != (30+i <= limit) {
					t.Errorf("limit %d: token %d: %+v", limit, i, tok)
				}
			}
		}
	})
}

// A cloud that answers wrongly for the positions asked is given up, and the draft goes on,
// marked as such, or the answer ends; nothing that was not verified is said to be.
func TestVerifiedWithABadCloud(t *testing.T) {
	for name, spoil := range map[string]func(n int, rows []Row) ([]Row, error){
		"too few rows":  func(n int, rows []Row) ([]Row, error) { return rows[:len(rows)-1], nil },
		"too many rows": func(n int, rows []Row) ([]Row, error) { return append(rows, rows[0]), nil },
		"an empty row":  func(n int, rows []Row) ([]Row, error) { rows[len(rows)-1] = Row{IDs: []int32{}}; return rows, nil },
		"refuses":       func(n int, rows []Row) ([]Row, error) { return nil, errUnauthorized },
	} {
		for _, onLoss := range []infer.OnLoss{infer.GoAlone, infer.EndAnswer, infer.AwaitCloud} {
			t.Run(name+" "+string(onLoss), func(t *testing.T) {
				virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
					cloud := &rowsCloud{text: verse, takes: 20 * time.Millisecond, spoil: func(n int, rows []Row) ([]Row, error) {
						if n < 5 {
							return rows, nil
						}
						return spoil(n, rows)
					}}
					b, _ := checkingBoard(board(nil), cloud, func(pos int) bool { return pos%4 == 0 })
					a, err := answerVerified(b, Options{MaxTokens: 60, OnLoss: onLoss, Draft: infer.DraftModel})
					for i, tok := range a.Tokens {
						if tok.Verified != (tok.Source != infer.Fallback) || tok.Verified && tok.ID != verse(30+i) {
							t.Errorf("token %d: %+v", i, tok)
						}
					}
					if onLoss == infer.GoAlone {
						if err != nil || len(a.Tokens) != 60 || bySource(a)[infer.Fallback] == 0 || a.Lost == nil {
							t.Errorf("%v, lost %v, %v", bySource(a), a.Lost, err)
						}
					} else if !errors.Is(err, errLost) || a.Finish != infer.CloudLost || bySource(a)[infer.Fallback] != 0 {
						t.Errorf("%v, %s, %v", bySource(a), a.Finish, err)
					}
				})
			})
		}
	}
}

// While the link is cut in the midst of a check the draft speaks, marked, until the cloud
// answers again; with wait nothing is said meanwhile.
func TestVerifiedThroughACut(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		for _, onLoss := range []infer.OnLoss{infer.GoAlone, infer.AwaitCloud, infer.EndAnswer} {
			start := time.Now()
			cloud := &rowsCloud{text: verse, takes: 40 * time.Millisecond, spoil: func(n int, rows []Row) ([]Row, error) {
				if at := time.Since(start); at > time.Second && at < 3*time.Second {
					return nil, lostForNow
				}
				return rows, nil
			}}
			b, _ := checkingBoard(board(nil), cloud, func(pos int) bool { return pos%5 == 0 })
			a, err := answerVerified(b, Options{MaxTokens: 300, OnLoss: onLoss, Draft: infer.DraftModel})
			n := bySource(a)
			switch onLoss {
			case infer.GoAlone:
				last := a.Tokens[len(a.Tokens)-1]
				if err != nil || n[infer.Fallback] == 0 || a.Resumed == 0 || !last.Verified || count(a)[infer.WhyLost]+count(a)[infer.WhyDown] != n[infer.Fallback] {
					t.Errorf("%v, back %d times, %v", n, a.Resumed, err)
				}
			case infer.AwaitCloud:
				if err != nil || n[infer.Fallback] != 0 || len(a.Tokens) != 300 || a.Resumed == 0 {
					t.Errorf("%v, back %d times, %v", n, a.Resumed, err)
				}
			case infer.EndAnswer:
				if !errors.Is(err, errLost) || n[infer.Fallback] != 0 {
					t.Errorf("%v, %v", n, err)
				}
			}
		}
	})
}

// Without a session in the cloud the draft answers alone from the start, where it may.
func TestVerifiedWithoutACloud(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		b, _ := checkingBoard(board(nil), nil, nil)
		a, err := answerVerified(b, Options{MaxTokens: 20})
		if err != nil || bySource(a)[infer.Fallback] != 20 || a.Lost == nil {
			t.Errorf("%v, lost %v, %v", bySource(a), a.Lost, err)
		}
		b, _ = checkingBoard(board(nil), nil, nil)
		if _, err := answerVerified(b, Options{MaxTokens: 20, OnLoss: infer.EndAnswer}); err == nil || !strings.Contains(err.Error(), "needs a cloud partition") {
			t.Errorf("%v", err)
		}
	})
}

// A rollback at every check leaves the session, its rows and the cloud as if nothing had been
// drafted: memory does not grow, and the next answer goes on.
func TestVerifiedRollbackStorm(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		cloud := &rowsCloud{text: verse, takes: 10 * time.Millisecond}
		b, d := checkingBoard(board(nil), cloud, func(int) bool { return true })
		for range 2 {
			a, err := answerVerified(b, Options{MaxTokens: 300, Draft: infer.DraftModel})
			if err != nil || len(a.Tokens) != 300 || bySource(a)[infer.FromCloud] != 300 {
				t.Fatalf("%v, %v", bySource(a), err)
			}
		}
		if cloud.cuts < 250 || len(d.held) > 400 || b.head > len(b.Tokens()) || cloud.end != b.head {
			t.Errorf("%d rollbacks, the draft holds %d, the head stage %d of %d, the cloud %d", cloud.cuts, len(d.held), b.head, len(b.Tokens()), cloud.end)
		}
		blocks := (b.head + hidden.BlockRows - 1) / hidden.BlockRows
		if got, most := b.Session.rows.buffer.Bytes(), (blocks+1)*hidden.BlockRows*fakeWidth*4; got > most {
			t.Errorf("%d bytes of rows for %d positions", got, b.head)
		}
	})
}

// An answer that is cancelled in the midst of a check can be gone on with.
func TestVerifiedCancelled(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		cloud := &rowsCloud{text: verse, takes: 40 * time.Millisecond}
		b, _ := checkingBoard(board(nil), cloud, func(pos int) bool { return pos%5 == 0 })
		ctx, cancel := context.WithTimeout(context.Background(), 1013*time.Millisecond)
		defer cancel()
		o := Options{Mode: Verified, IgnoreEnd: true, OnLoss: infer.GoAlone, Draft: infer.DraftModel, MaxTokens: 300}
		a, err := b.Generate(ctx, make([]int32, 30), o, nil)
		if err != nil || a.Finish != infer.Cancelled || len(a.Tokens) == 0 {
			t.Fatalf("%s after %d tokens, %v", a.Finish, len(a.Tokens), err)
		}
		o.Said, o.MaxTokens = ids(a), len(a.Tokens)+50
		rest, err := b.Generate(context.Background(), make([]int32, 30), o, nil)
		if err != nil || len(rest.Tokens) != 50 {
			t.Fatalf("%d tokens, %v", len(rest.Tokens), err)
		}
		for i, tok := range rest.Tokens {
			if tok.ID != verse(30+len(a.Tokens)+i) || !tok.Verified {
				t.Fatalf("token %d after the cut: %+v", i, tok)
			}
		}
	})
}
