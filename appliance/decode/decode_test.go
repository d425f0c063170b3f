package decode

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/appliance/infer"
	"skerry/cloudlink/hidden"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// tail is the cloud's stage in this process: the same weights and the same lazy
// catch-up, without a network.
type tail struct {
	lane   *lazyStage
	vocab  int
	eager  bool
	fail   func(pos int) error // asked before each answer
	onAsk  func(pos int, row []float32)
	asked  int
	caught int // most rows one ask had to catch up
}

func (c *tail) Append(pos int, hidden []float32) error {
	if err := c.lane.push(pos, hidden); err != nil || !c.eager {
		return err
	}
	for c.lane.queue.Len() > 1 { // the last row wants logits
		if err := c.lane.catchUp(1); err != nil {
			return err
		}
	}
	return nil
}

func (c *tail) Truncate(pos int) error { return c.lane.truncate(pos) }

func (c *tail) Ask(_ context.Context, pos, topK int) (Row, error) {
	if c.fail != nil {
		if err := c.fail(pos); err != nil {
			return Row{}, err
		}
	}
	c.asked++
	c.caught = max(c.caught, c.lane.queue.Len())
	from, hidden := c.lane.queue.Take(c.lane.queue.Len())
	n := len(hidden) / c.lane.stage.Width()
	if from+n-1 != pos {
		return Row{}, fmt.Errorf("asked for position %d, have %d", pos, from+n-1)
	}
	b := engine.NewBatch(c.lane.seq, from, n, 0)
	b.Hidden = hidden
	b.Want[n-1] = engine.WantLogits
	out, err := c.lane.stage.Forward(b)
	if err != nil {
		return Row{}, err
	}
	if c.onAsk != nil {
		c.onAsk(pos, out.Logits)
	}
	return Row{Logits: out.Logits, LogSumExp: engine.Describe(out.Logits).LogSumExp}, nil
}

// watched records the logits a stage returns.
type watched struct {
	Stage
	onRow func(row []float32)
}

func (w *watched) Forward(b engine.Batch) (engine.Output, error) {
	out, err := w.Stage.Forward(b)
	if err == nil && len(out.Logits) > 0 && w.onRow != nil {
		w.onRow(out.Logits)
	}
	return out, err
}

// rig is the default model loaded every way at once.
type rig struct {
	board, whole Model
	watch        *watched
	cloud        *engine.Stage
	vocab        *engine.Vocab
}

const context1 = 1024

// The stages of all rigs, which are loaded once and stay until the tests' end.
var (
	load   sync.Once
	loaded struct {
		exits        []Exit
		cloud, whole *engine.Stage
		vocab        *engine.Vocab
	}
)

// newRig returns a rig whose stages are empty.
func newRig(t *testing.T) *rig {
	t.Helper()
	b := enginetest.Bundle(t) // outside: a test that is left out leaves nothing undone for the next
	load.Do(func() {
		open := func(role bundle.Role) *engine.Stage {
			s, err := engine.OpenStage(b.Path(role), engine.Options{Context: context1, Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		first, second := open(bundle.Board1), open(bundle.Board2)
		for _, s := range []*engine.Stage{first, second} {
			h, err := engine.NewHead(engine.HeadOptions{Norm: s, LM: first, Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			loaded.exits = append(loaded.exits, Exit{Stage: s, Head: h, Alone: true})
		}
		loaded.cloud, loaded.whole = open(bundle.Cloud), open(bundle.Unsplit)
		loaded.vocab = first.Vocab()
	})
	if loaded.vocab == nil {
		t.Fatal("the default model could not be loaded: see the first test that wants it")
	}
	r := &rig{cloud: loaded.cloud, vocab: loaded.vocab, watch: &watched{Stage: loaded.whole}}
	r.whole = Model{Whole: r.watch, Vocab: r.vocab, Context: context1}
	r.board = Model{Exits: slices.Clone(loaded.exits), Vocab: r.vocab, Context: context1}
	r.session(t)
	return r
}

// newLazyStage is a stage that keeps its backlog itself.
func newLazyStage(stage Stage, seq int) *lazyStage {
	return &lazyStage{stage: stage, seq: seq, queue: hidden.New(stage.Width()), lastPos: -1}
}

// session starts over: all stages are empty.
func (r *rig) session(t *testing.T) (*Session, *tail) {
	t.Helper()
	for _, s := range []Stage{r.board.Exits[0].Stage, r.board.Exits[1].Stage, r.cloud, r.watch} {
		if err := s.Truncate(0, 0); err != nil {
			t.Fatal(err)
		}
	}
	c := &tail{lane: newLazyStage(r.cloud, 0), vocab: r.vocab.Size()}
	return NewSession(r.board, 0, c), c
}

func (r *rig) prompt(t *testing.T, question string) []int32 {
	t.Helper()
	text, err := r.vocab.Chat([]infer.Message{{Role: "user", Content: question}})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := r.vocab.Tokenize(text, true, true)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// unsplit answers with the whole model, whatever it held before.
func (r *rig) unsplit(t *testing.T, prompt []int32, o Options) Result {
	t.Helper()
	if err := r.watch.Truncate(0, 0); err != nil {
		t.Fatal(err)
	}
	o.Mode, o.Draft = Unsplit, infer.DraftOff
	return generate(t, NewSession(r.whole, 0, nil), prompt, o)
}

func generate(t *testing.T, s *Session, prompt []int32, o Options) Result {
	t.Helper()
	if o.OnLoss == "" {
		o.OnLoss = infer.GoAlone
	}
	a, err := s.Generate(context.Background(), prompt, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func ids(a Result) []int32 {
	var out []int32
	for _, t := range a.Tokens {
		out = append(out, t.ID)
	}
	return out
}

var never = []float64{1.1}

var questions = []string{
	"What is a lighthouse for?", "Write a short story about a fisherman.", "Explain how rain forms.",
	"List five fruits and their colours.", "Why is the sky blue?", "Write a Python function that adds two numbers.",
	"Summarize the plot of Romeo and Juliet.", "Give me three tips for better sleep.", "What is the capital of Norway?",
	"Translate 'good morning' into French.", "How does a bicycle stay upright?", "Write a haiku about the sea.",
	"What is 17 times 23?", "Describe the taste of a lemon.", "Who was Ada Lovelace?",
	"Write an email asking for a day off.", "What makes bread rise?", "Explain recursion to a child.",
	"Name the planets in order.", "Was ist ein Leuchtturm?",
}

var equalTokens = flag.Int("equal-tokens", 0, "greedy tokens of each of 20 prompts that the chain of slices is compared for; 0: 256 of one, 24 of seven")

// The chain of slices says what the whole model says: token for token, and on
// x86 its logits are the same to the last bit. One answer is long, for positions far
// into the context; the others are short, for prompts of other lengths and words.
func TestChainedEqualsUnsplit(t *testing.T) {
	r := newRig(t)
	first, others, qs := 256, 24, questions[:8]
	if testing.Short() {
		first, qs = 48, questions[:2]
	}
	if n := *equalTokens; n > 0 {
		first, others, qs = n, n, questions
	}
	near := 0
	for i, q := range qs {
		n := others
		if i == 0 {
			n = first
		}
		prompt := r.prompt(t, q)
		for name, o := range map[string]Options{
			"greedy":  {MaxTokens: n, IgnoreEnd: true},
			"sampled": {MaxTokens: max(n/4, 16), Sampling: infer.Sampling{Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05, Seed: uint64(i)}},
		} {
			s, c := r.session(t)
			rows := map[int][]float32{}
			pos := len(prompt) - 1
			r.watch.onRow = func(row []float32) { rows[pos] = row; pos++ }
			want := r.unsplit(t, prompt, o)
			r.watch.onRow = nil
			c.onAsk = func(pos int, row []float32) {
				d := float64(0)
				for k := range row {
					d = max(d, math.Abs(float64(row[k]-rows[pos][k])))
				}
				if runtime.GOARCH == "amd64" && d != 0 || d > 1e-2 {
					t.Fatalf("%q, position %d: logits differ by %g", q, pos, d)
				}
				delete(rows, pos)
			}
			o.Mode, o.Thresholds = Collaborative, never
			got := generate(t, s, prompt, o)
			if !reflect.DeepEqual(ids(got), ids(want)) || got.Text != want.Text {
				t.Fatalf("%q %s:\nchained %q\nunsplit %q", q, name, got.Text, want.Text)
			}
			if name == "greedy" && len(got.Tokens) != n {
				t.Fatalf("%d tokens", len(got.Tokens))
			}
			for _, tok := range got.Tokens {
				if tok.Source != infer.FromCloud || !tok.Verified {
					t.Fatalf("token %+v, not from the cloud", tok)
				}
				if tok.Margin < 0.01 {
					near++
				}
			}
		}
		t.Logf("%d of %d prompts equal", i+1, len(qs))
	}
	t.Logf("near-ties (margin below 0.01): %d", near)
}

// mixed makes exits, cloud and sampling all happen.
func mixed(n int) Options {
	return Options{Mode: Collaborative, Thresholds: []float64{0.7, 0.8}, MaxTokens: n, IgnoreEnd: true,
		Sampling: infer.Sampling{Temperature: 0.8, TopK: 40, Seed: 4}}
}

// timeless leaves out what depends on the clock.
func timeless(a Result) []infer.Token {
	out := append([]infer.Token(nil), a.Tokens...)
	for i := range out {
		out[i].WaitMS = 0
	}
	return out
}

func TestLazyEqualsEager(t *testing.T) {
	r := newRig(t)
	for _, q := range questions[:3] {
		prompt := r.prompt(t, q)
		s, c := r.session(t)
		lazy := generate(t, s, prompt, mixed(60))
		if c.caught < 2 {
			t.Fatal("nothing was ever skipped: the test shows nothing")
		}
		s, c = r.session(t)
		c.eager = true
		o := mixed(60)
		o.OnLoss = infer.GoAlone
		eager, err := s.Generate(context.Background(), prompt, o, func(infer.Token) {
			if err := s.mid.catchUp(1 << 20); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(timeless(lazy), timeless(eager)) {
			t.Fatalf("%q:\nlazy  %q\neager %q", q, lazy.Text, eager.Text)
		}
		seen := map[infer.Source]int{}
		for _, tok := range lazy.Tokens {
			seen[tok.Source]++
			if asked := tok.Why == infer.Asked; asked != (tok.Source == infer.FromCloud) || !asked && tok.WaitMS != 0 {
				t.Fatalf("record %+v", tok)
			}
		}
		if seen[infer.Exit1] == 0 || seen[infer.Exit2] == 0 || seen[infer.FromCloud] == 0 {
			t.Fatalf("sources %v: the test needs all three", seen)
		}
	}
}

// 300 positions said by exit 1 alone, more than one batch takes, are caught up, by the
// mid stage and by the cloud, and the answer goes on as the whole model's would.
func TestHundredsOfSkippedPositions(t *testing.T) {
	r := newRig(t)
	s, c := r.session(t)
	o := Options{Mode: Collaborative, Thresholds: []float64{0}, MaxTokens: 300, IgnoreEnd: true}
	skipped := generate(t, s, r.prompt(t, questions[0]), o)
	if len(skipped.Tokens) != 300 || c.asked != 0 || s.mid.rows != 0 {
		t.Fatalf("%d tokens, %d asks, %d mid rows", len(skipped.Tokens), c.asked, s.mid.rows)
	}
	prefix := append([]int32(nil), s.Tokens()...)
	o = Options{Mode: Collaborative, Thresholds: never, MaxTokens: 16, IgnoreEnd: true}
	got := generate(t, s, prefix, o)
	if got.Prefilled != 1 || c.caught < 300 || s.mid.rows < 300 {
		t.Fatalf("prefilled %d, cloud caught up %d, mid stage %d", got.Prefilled, c.caught, s.mid.rows)
	}
	if want := r.unsplit(t, prefix, o); !reflect.DeepEqual(ids(got), ids(want)) {
		t.Fatalf("after the catch-up %q, unsplit %q", got.Text, want.Text)
	}
}

// Taking tokens back leaves no trace, in any stage.
func TestRollbackEqualsNeverHavingDrafted(t *testing.T) {
	r := newRig(t)
	prompt := r.prompt(t, questions[1])
	s, _ := r.session(t)
	want := generate(t, s, prompt, mixed(60))
	s, _ = r.session(t)
	text := prompt
	for i := 0; i < 60; i += 10 {
		generate(t, s, text, mixed(10))
		text = append([]int32(nil), s.Tokens()...)
		// A draft of other words, and back.
		o := mixed(7)
		o.Sampling.Seed, o.Sampling.Temperature = 99, 3
		generate(t, s, append(append([]int32(nil), text...), r.prompt(t, "Stop")...), o)
		if err := s.Truncate(len(text)); err != nil {
			t.Fatal(err)
		}
	}
	if got := text[len(prompt):]; !reflect.DeepEqual(got, ids(want)) {
		t.Fatalf("with drafts taken back %v\nwithout %v", got, ids(want))
	}
}

func TestChatReusesThePrefix(t *testing.T) {
	r := newRig(t)
	s, _ := r.session(t)
	o := Options{Mode: Collaborative, Thresholds: never, MaxTokens: 12}
	first := r.prompt(t, questions[4])
	a := generate(t, s, first, o)
	if a.Prefilled != len(first) {
		t.Fatalf("prefilled %d of %d", a.Prefilled, len(first))
	}
	second := append(append([]int32(nil), s.Tokens()...), r.prompt(t, "And at dusk?")...)
	b := generate(t, s, second, o)
	if b.Prefilled >= len(second)-len(first) {
		t.Errorf("prefilled %d of %d, the session had %d", b.Prefilled, len(second), len(first))
	}
	if want := r.unsplit(t, second, o); !reflect.DeepEqual(ids(b), ids(want)) {
		t.Errorf("second turn %q, unsplit %q", b.Text, want.Text)
	}
}

func TestLostCloud(t *testing.T) {
	r := newRig(t)
	prompt := r.prompt(t, questions[2])
	gone := errors.New("link down")
	for _, thresholds := range [][]float64{never, {0.9}} {
		s, c := r.session(t)
		c.fail = func(int) error {
			if c.asked >= 5 {
				time.Sleep(time.Millisecond) // a wait that the record must show
				return gone
			}
			return nil
		}
		a := generate(t, s, prompt, Options{Mode: Collaborative, Thresholds: thresholds, MaxTokens: 30, IgnoreEnd: true})
		if len(a.Tokens) != 30 || !errors.Is(a.Lost, gone) || a.Asks != 6 {
			t.Fatalf("%d tokens, lost %v, %d asks", len(a.Tokens), a.Lost, a.Asks)
		}
		n, waited := map[infer.Source]int{}, 0
		for _, tok := range a.Tokens {
			n[tok.Source]++
			if tok.Source == infer.Fallback && (tok.Why != infer.WhyLost || tok.Verified) {
				t.Fatalf("record %+v", tok)
			}
			if tok.Source != infer.FromCloud && tok.WaitMS >= 1 {
				waited++
			}
		}
		if waited != 1 {
			t.Errorf("%d tokens waited in vain, expected the one at which the link was lost", waited)
		}
		if n[infer.FromCloud] != 5 || n[infer.Fallback] == 0 {
			t.Fatalf("sources %v", n)
		}
	}
	s, c := r.session(t)
	c.fail = func(int) error { return gone }
	a, err := s.Generate(context.Background(), prompt, Options{Mode: Collaborative, Thresholds: never, OnLoss: infer.EndAnswer}, nil)
	if !errors.Is(err, gone) || a.Finish != infer.CloudLost || len(a.Tokens) != 0 {
		t.Errorf("on loss stop: %v, %s, %d tokens", err, a.Finish, len(a.Tokens))
	}
}

// Standalone needs no cloud, never uses one that is there, and says exit 2's
// token where exit 1 is unsure.
func TestStandalone(t *testing.T) {
	r := newRig(t)
	prompt := r.prompt(t, questions[3])
	o := Options{Mode: Standalone, Thresholds: []float64{0.6}, MaxTokens: 60, IgnoreEnd: true}
	s, c := r.session(t)
	with := generate(t, s, prompt, o)
	if c.asked != 0 || c.lane.queue.End() != 0 {
		t.Fatalf("%d asks, %d rows sent", c.asked, c.lane.queue.End())
	}
	s, _ = r.session(t)
	s.cloud = nil
	if without := generate(t, s, prompt, o); !reflect.DeepEqual(timeless(with), timeless(without)) {
		t.Fatal("a cloud that is not asked changed the text")
	}
	n := map[infer.Source]int{}
	for _, tok := range with.Tokens {
		n[tok.Source]++
		if tok.Verified || tok.Why != infer.WhyConfident && tok.Why != infer.WhyStandalone {
			t.Fatalf("record %+v", tok)
		}
	}
	if n[infer.Exit1] == 0 || n[infer.Exit2] == 0 || n[infer.Exit1]+n[infer.Exit2] != 60 {
		t.Fatalf("sources %v", n)
	}
}

func TestCancel(t *testing.T) {
	r := newRig(t)
	s, _ := r.session(t)
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	a, err := s.Generate(ctx, r.prompt(t, questions[5]), Options{Mode: Standalone, OnLoss: infer.GoAlone}, func(infer.Token) {
		if n++; n == 7 {
			cancel()
		}
	})
	if err != nil || a.Finish != infer.Cancelled || len(a.Tokens) != 7 {
		t.Fatalf("%v, %s, %d tokens", err, a.Finish, len(a.Tokens))
	}
}

func TestRefusals(t *testing.T) {
	r := newRig(t)
	s, _ := r.session(t)
	long := make([]int32, context1)
	ok := Options{Mode: Collaborative, OnLoss: infer.GoAlone}
	for name, c := range map[string]struct {
		s      *Session
		prompt []int32
		o      Options
		want   string
	}{
		"empty prompt":    {s, nil, ok, "empty"},
		"long prompt":     {s, long, ok, "1024 tokens, the context 1024"},
		"no whole model":  {s, long[:1], Options{Mode: Unsplit, OnLoss: infer.GoAlone}, "whole model"},
		"no stages":       {NewSession(r.whole, 0, nil), long[:1], ok, "stages"},
		"no cloud":        {NewSession(r.board, 0, nil), long[:1], Options{Mode: Collaborative, OnLoss: infer.EndAnswer}, "cloud"},
		"unknown mode":    {s, long[:1], Options{Mode: "x", OnLoss: infer.GoAlone}, "mode"},
		"unknown on loss": {s, long[:1], Options{Mode: Standalone, OnLoss: "x"}, "on loss"},
		"thresholds":      {s, long[:1], Options{Mode: Standalone, OnLoss: infer.GoAlone, Thresholds: []float64{math.NaN()}}, "threshold"},
		"3 thresholds":    {s, long[:1], Options{Mode: Standalone, OnLoss: infer.GoAlone, Thresholds: []float64{1, 1, 1}}, "thresholds"},
		"max tokens":      {s, long[:1], Options{Mode: Standalone, OnLoss: infer.GoAlone, MaxTokens: -1}, "max tokens"},
		"bad token":       {s, []int32{1 << 30}, Options{Mode: Standalone, OnLoss: infer.GoAlone}, "vocabulary"},
	} {
		_, err := c.s.Generate(context.Background(), c.prompt, c.o, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Generate(context.Background(), long, ok, nil); !errors.Is(err, ErrPromptTooLong) {
		t.Error(err)
	}
}

// The context's end ends the answer, with the last position used.
func TestContextIsUsedToItsEnd(t *testing.T) {
	r := newRig(t)
	s, _ := r.session(t)
	s.model.Context = 40
	prompt := r.prompt(t, "Hi")
	a := generate(t, s, prompt, Options{Mode: Standalone, IgnoreEnd: true})
	if len(prompt)+len(a.Tokens) != 40 || a.Finish != infer.Length {
		t.Errorf("%d and %d tokens in a context of 40, %s", len(prompt), len(a.Tokens), a.Finish)
	}
}

// Pieces of a text, cut anywhere, join to the text, and no piece ends inside a
// character.
func TestTextJoiner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.OneOf(rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }), rapid.SliceOf(rapid.Byte())).Draw(t, "text")
		var j textJoiner
		var got strings.Builder
		for rest := data; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			s := j.push(rest[:n])
			if !utf8.ValidString(s) {
				t.Fatalf("invalid piece %q", s)
			}
			got.WriteString(s)
			rest = rest[n:]
		}
		got.WriteString(j.flush())
		if utf8.Valid(data) && got.String() != string(data) || !utf8.ValidString(got.String()) {
			t.Fatalf("%q became %q", data, got.String())
		}
	})
}

// Hidden states are on their way to the cloud before the mid stage computes.
func TestUploadBeginsAtExit1(t *testing.T) {
	r := newRig(t)
	s, c := r.session(t)
	mid := &ordered{Stage: s.mid.stage, before: func(b engine.Batch) {
		if last := int(b.Pos[len(b.Pos)-1]); c.lane.queue.End() <= last {
			t.Errorf("the mid stage computes position %d, the cloud has been sent %d", last, c.lane.queue.End())
		}
	}}
	s.mid.stage = mid
	generate(t, s, r.prompt(t, questions[0]), mixed(20))
	if mid.calls == 0 {
		t.Fatal("the mid stage never computed")
	}
}

type ordered struct {
	Stage
	before func(engine.Batch)
	calls  int
}

func (o *ordered) Forward(b engine.Batch) (engine.Output, error) {
	o.calls++
	o.before(b)
	return o.Stage.Forward(b)
}
