package decode

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// scripted is a draft model that knows a text and proposes what comes next in it, or something
// else where it is to be wrong.
type scripted struct {
	vocab  int
	text   []int32
	wrong  func(pos int) bool // nil: never
	fail   error              // from its 4th batch on
	takes  time.Duration      // a batch
	held   []int32
	passes int
}

func (s *scripted) Width() int { return fakeWidth }

func (s *scripted) Truncate(_, pos int) error {
	s.held = s.held[:min(pos, len(s.held))]
	return nil
}

func (s *scripted) Forward(b engine.Batch) (out engine.Output, err error) {
	if int(b.Pos[0]) != len(s.held) {
		return out, fmt.Errorf("position %d after %d", b.Pos[0], len(s.held))
	}
	if s.passes++; s.fail != nil && s.passes >= 4 {
		return out, s.fail
	}
	time.Sleep(s.takes)
	s.held = append(s.held, b.Tokens...)
	if b.Want[len(b.Want)-1] == engine.WantLogits {
		next := int32(1)
		if n := len(s.held); n < len(s.text) && slices.Equal(s.held, s.text[:n]) {
			next = s.text[n]
		}
		if s.wrong != nil && s.wrong(len(s.held)) {
			next = (next + 1) % int32(s.vocab)
		}
		out.Logits = make([]float32, s.vocab)
		out.Logits[next] = 30
	}
	return out, nil
}

// aList is a grammar whose answers are lists of numbers.
const aList = `root ::= "[" number ("," " " number)* "]"
number ::= [1-9] [0-9]? [0-9]?`

// samplings are the ways to sample that every check of drafts has to be exact for.
func samplings(seed uint64) map[string]infer.Sampling {
	return map[string]infer.Sampling{
		"greedy":    {},
		"sampled":   {Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05, Seed: seed},
		"penalized": {Temperature: 0.9, TopK: 40, Repeat: 1.2, Seed: seed},
		"grammar":   {Grammar: aList},
		"both":      {Temperature: 0.8, TopK: 40, Seed: seed, Grammar: aList},
	}
}

// With any draft, however good, and any sampling the text is that of the model alone.
func TestUnsplitWithADraftEqualsUnsplit(t *testing.T) {
	r := newRig(t)
	qs, n := questions[:6], 16
	if testing.Short() {
		qs = questions[:2]
	}
	if *equalTokens > 0 {
		qs, n = questions, *equalTokens
	}
	rng := rand.New(rand.NewPCG(14, 2))
	bad := &DraftModel{Stage: r.board.Exits[0].Stage} // the first blocks with the model's own head
	names := []string{"greedy", "sampled", "penalized", "grammar", "both"}
	proposed := map[infer.Source]infer.Agreement{}
	for i, q := range qs {
		prompt := r.prompt(t, q)
		if i%3 == 0 {
			prompt = r.prompt(t, q+" "+q+" Answer with these words: "+q)
		}
		name := names[i%len(names)]
		o := Options{MaxTokens: n, IgnoreEnd: i%2 == 0, Sampling: samplings(uint64(i))[name]}
		if o.Sampling.Grammar != "" {
			o.IgnoreEnd = false
		}
		want := r.unsplit(t, prompt, o)
		text := slices.Concat(prompt, ids(want))
		right := &scripted{vocab: r.vocab.Size(), text: text}
		some := &scripted{vocab: r.vocab.Size(), text: text, wrong: func(int) bool { return rng.IntN(3) == 0 }}
		wrong := &scripted{vocab: r.vocab.Size(), text: text, wrong: func(int) bool { return true }}
		cases := []struct {
			name   string
			draft  *DraftModel
			choice infer.Drafting
		}{
			{"lookup", nil, infer.DraftLookup}, {"right", &DraftModel{Stage: right}, infer.DraftModel},
			{"wrong", &DraftModel{Stage: wrong}, infer.DraftModel}, {"some", &DraftModel{Stage: some}, infer.DraftModel},
			{"blocks", bad, infer.DraftModel}, {"auto", &DraftModel{Stage: some}, infer.DraftAuto},
		}
		if *equalTokens == 0 { // two of them for each prompt
			cases = slices.Concat(cases, cases)[2*i%len(cases):][:2]
		}
		for _, c := range cases {
			name := c.name
			if err := errors.Join(r.watch.Truncate(0, 0), bad.Stage.Truncate(0, 0)); err != nil {
				t.Fatal(err)
			}
			if c.draft != nil {
				c.draft.Stage.Truncate(0, 0)
			}
			m := r.whole
			m.Draft = c.draft
			s := NewSession(m, 0, nil)
			o.Mode, o.Draft = Unsplit, c.choice
			got := generate(t, s, prompt, o)
			if !reflect.DeepEqual(ids(got), ids(want)) || got.Text != want.Text || got.Finish != want.Finish {
				t.Fatalf("%q, draft %s:\n%q (%s)\nwant %q (%s)", q, name, got.Text, got.Finish, want.Text, want.Finish)
			}
			checkDrafts(t, name, got, infer.FromUnsplit, 0)
			if name == "right" && got.Checks > 1+(n+2)/2 && len(got.Tokens) == n {
				t.Errorf("%q: %d checks for %d tokens of a draft that is always right", q, got.Checks, n)
			}
			for source, a := range got.Proposed {
				p := proposed[source]
				proposed[source] = infer.Agreement{Checked: p.Checked + a.Checked, Agreed: p.Agreed + a.Agreed}
			}
			// The stage holds what was decided and nothing beyond.
			if k, ok := r.watch.Stage.(SequenceStore); ok && (k.Position(0) > len(s.Tokens()) || k.Position(0) != s.head) {
				t.Fatalf("%s: the stage holds %d positions of %d, %d counted", name, k.Position(0), len(s.Tokens()), s.head)
			}
		}
	}
	t.Logf("%+v", proposed)
}

// checkDrafts checks what an answer says of its drafts: every token is verified, and as many
// are a draft's as were accepted. Again is how many rows may have been asked for a second time.
func checkDrafts(t *testing.T, name string, a Result, full infer.Source, again int) {
	t.Helper()
	accepted := 0
	for _, p := range a.Proposed {
		accepted += p.Agreed
	}
	of := 0
	for i, tok := range a.Tokens {
		if !tok.Verified {
			t.Errorf("%s: token %d is not verified: %+v", name, i, tok)
		}
		if tok.Source != full {
			of++
		}
	}
	if of != accepted || a.Checks == 0 || a.Checks > len(a.Tokens)+again || len(a.Tokens)-of > a.Checks {
		t.Errorf("%s: %d tokens, %d of them a draft's of %d accepted, %d checks", name, len(a.Tokens), of, accepted, a.Checks)
	}
}

// A second question in the session goes on from what the first one left, drafts or not.
func TestDraftedSessionGoesOn(t *testing.T) {
	r := newRig(t)
	o := Options{Mode: Unsplit, MaxTokens: 12, IgnoreEnd: true, Draft: infer.DraftLookup}
	prompt := r.prompt(t, "Say it: red, green, blue, red, green, blue, red, green.")
	s := NewSession(r.whole, 0, nil)
	generate(t, s, prompt, o)
	next := slices.Concat(s.Tokens(), r.prompt(t, "And once more."))
	got := generate(t, s, next, o)
	if got.Prefilled > len(next)-len(prompt)-10 {
		t.Errorf("%d of %d positions computed again", got.Prefilled, len(next))
	}
	if want := r.unsplit(t, next, o); got.Text != want.Text {
		t.Errorf("goes on %q, want %q", got.Text, want.Text)
	}
}

// A draft model that fails is given up; the answer goes on without, and says so.
func TestUnsplitOutlivesItsDraft(t *testing.T) {
	r := newRig(t)
	prompt := r.prompt(t, questions[0])
	o := Options{Mode: Unsplit, MaxTokens: 24, IgnoreEnd: true}
	want := r.unsplit(t, prompt, o)
	broken := errors.New("out of memory")
	m := r.whole
	m.Draft = &DraftModel{Stage: &scripted{vocab: r.vocab.Size(), text: slices.Concat(prompt, ids(want)), wrong: func(pos int) bool { return pos%3 == 0 }, fail: broken}}
	if err := r.watch.Truncate(0, 0); err != nil {
		t.Fatal(err)
	}
	o.Draft = infer.DraftModel
	if got := generate(t, NewSession(m, 0, nil), prompt, o); got.Text != want.Text || !errors.Is(got.Draft, broken) {
		t.Errorf("%q, given up for %v, want %q", got.Text, got.Draft, want.Text)
	}
}

// Lookup's draft repeats what followed, and what it says itself.
func TestLookupRun(t *testing.T) {
	for _, c := range []struct {
		tokens []int32
		most   int
		want   []int32
	}{
		{[]int32{7, 1, 2, 3, 8, 9, 5, 1, 2, 3}, 3, []int32{8, 9, 5}},
		{[]int32{1, 2, 1, 2, 1, 2}, 5, []int32{1, 2, 1, 2, 1}},
		{[]int32{1, 2, 3}, 5, nil},
		{[]int32{4, 4, 4}, 3, []int32{4, 4, 4}},
	} {
		var got []int32
		for _, d := range lookUpRun(c.tokens, c.most) {
			got = append(got, d.id)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.tokens, got, c.want)
		}
	}
}
