package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"skerry/appliance/chat/template"
	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// letters is a tokenizer of one token a byte; 0 ends an answer.
type letters struct{}

func (letters) Tokenize(text string, special, markup bool) ([]int32, error) {
	var ids []int32
	for _, b := range []byte(text) {
		ids = append(ids, int32(b))
	}
	return ids, nil
}
func (letters) Infill() (prefix, suffix, middle int32, ok bool) { return 'P', 'S', 'M', true }
func (letters) Piece(id int32, markup bool) []byte              { return []byte{byte(id)} }
func (letters) End(id int32) bool                               { return id == 0 }

// world is a loader, slots and what they have done.
type world struct {
	mu     sync.Mutex // guards all following
	fail   []error    // of the next loads
	load   time.Duration
	pace   time.Duration // of a token
	loads  int
	closed int
	saves  int
	script string // what is said, over and over; "\x00" ends it
	free   chan struct{}
	full   error // of Acquire
	broken error // of Generate, once 3 tokens are there
	begun  int   // calls of Generate
	draft  error // why answers have no draft model
	// the model's
	template    *template.Template
	templateErr error
	context     int
	modes       []infer.Mode // default: unsplit and standalone
	pictures    *pictures
	prompts     [][]int32 // of all calls of Generate
}

func newWorld() *world {
	w := &world{pace: 10 * time.Millisecond, free: make(chan struct{}, 2), context: 100}
	w.free <- struct{}{}
	w.free <- struct{}{}
	return w
}

func (w *world) Resolve(name string) (infer.Model, error) {
	return infer.ByName([]infer.Model{{Name: "tiny", Digest: "d1"}}, name)
}

func (w *world) Load(ctx context.Context, _ infer.Model, report func(status.State, status.Progress)) (*Model, error) {
	for i := range 4 {
		report(status.Loading, status.Progress{What: "loading tiny", Share: float64(i) / 4})
		select {
		case <-time.After(w.load / 4):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loads++
	if len(w.fail) > 0 {
		err := w.fail[0]
		w.fail = w.fail[1:]
		return nil, err
	}
	var images Images
	if w.pictures != nil {
		images = w.pictures
	}
	return &Model{
		Images: images, NoImages: "its bundle has no projector",
		Template: w.template, TemplateErr: w.templateErr,
		Info: infer.Model{Name: "tiny", Digest: "d1", Context: w.context}, Modes: w.decodable(),
		Vocab: letters{}, Slots: fakeSlots{w}, Close: func() { w.add(&w.closed) },
	}, nil
}

func (w *world) decodable() []infer.Mode {
	if w.modes != nil {
		return w.modes
	}
	return []infer.Mode{decode.Unsplit, decode.Standalone}
}

func (w *world) add(n *int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*n++
}

func (w *world) Models() []infer.Model { return []infer.Model{{Name: "other", Digest: "d2"}} }
func (w *world) Pull(context.Context, string, func(infer.Progress)) error {
	return nil
}

type fakeSlots struct{ w *world }

func (s fakeSlots) Acquire(ctx context.Context, a batch.Ask) (Slot, error) {
	if s.w.full != nil {
		return nil, s.w.full
	}
	select {
	case <-s.w.free:
		return s, nil
	default:
		a.Progress(1)
	}
	select {
	case <-s.w.free:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
func (s fakeSlots) Release()                   { s.w.free <- struct{}{} }
func (s fakeSlots) Bytes() (up, down uint64)   { return 0, 0 }
func (s fakeSlots) Full() error                { return s.w.full }
func (s fakeSlots) Stats() batch.Stats         { return batch.Stats{Limit: 7} }
func (s fakeSlots) Save(context.Context) error { s.w.add(&s.w.saves); return nil }
func (s fakeSlots) Close() error               { return nil }

func (s fakeSlots) Forget(string) {}
func (s fakeSlots) Tidy()         {}

// said is the token at a position of a conversation under a seed.
func (w *world) said(seed uint64, pos, index int) int32 {
	if w.script != "" {
		return int32(w.script[index%len(w.script)])
	}
	return 'a' + int32((seed*31+uint64(pos)*7+uint64(pos*pos))%26)
}

func (s fakeSlots) Generate(ctx context.Context, prompt []int32, o decode.Options, emit func(infer.Token)) (decode.Result, error) {
	a := decode.Result{PromptTokens: len(prompt), Prefilled: len(prompt) + len(o.Said), Draft: s.w.draft}
	if !slices.Contains(s.w.decodable(), o.Mode) {
		return a, fmt.Errorf("mode %s needs what is not loaded", o.Mode)
	}
	o.Prefill(len(prompt), len(prompt))
	s.w.add(&s.w.begun)
	s.w.mu.Lock()
	s.w.prompts = append(s.w.prompts, prompt)
	s.w.mu.Unlock()
	for n := len(o.Said); ; n++ {
		if s.w.broken != nil && n >= 3 {
			return a, s.w.broken
		}
		select {
		case <-time.After(s.w.pace):
		case <-ctx.Done():
			a.Finish = infer.Cancelled
			return a, nil
		}
		id := s.w.said(o.Sampling.Seed, len(prompt)+n, n)
		t := infer.Token{ID: id, Source: infer.FromUnsplit, Why: infer.WhyUnsplit}
		if id == 0 && !o.IgnoreEnd {
			a.Finish = infer.Stop
		} else if t.Text = string(rune(id)); n+1 == o.MaxTokens {
			a.Finish = infer.Length
		}
		emit(t)
		if a.Finish != "" {
			return a, nil
		}
	}
}

// notes is a journal in memory.
type notes struct {
	mu       sync.Mutex // guards all following
	sessions map[string]*note
	refuse   error // of Say
	unbegun  error // of Begin
	err      error // of commits
	syncs    int
	// saving and saved are called before and after a record with an end is there.
	saving, saved func()
}

type note struct {
	n      *notes
	record Record
	tokens []int32
}

func newNotes() *notes { return &notes{sessions: map[string]*note{}} }

// crash is what a killed process leaves behind, less the newest tokens of each
// session.
func (n *notes) crash(less int) *notes {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := newNotes()
	for id, s := range maps.All(n.sessions) {
		c.sessions[id] = &note{c, s.record, slices.Clone(s.tokens[:max(len(s.tokens)-less, s.record.Answer)])}
	}
	return c
}

func (n *notes) Open(session string, create bool) (Log, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sessions[session] == nil && !create {
		return nil, fmt.Errorf("%w: %s", ErrNoSession, session)
	}
	if n.sessions[session] == nil {
		n.sessions[session] = &note{n: n}
	}
	return n.sessions[session], nil
}

func (n *notes) List(q Query) (out []Summary, counts Counts) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id := range n.sessions {
		s := n.summary(id)
		if !q.By.May(s.Owner) {
			continue
		}
		counts.Total++
		if s.Unfinished {
			counts.Unfinished++
		}
		if q.After.Updated.IsZero() || q.After.before(s.status()) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Summary) int { return newestFirst(a.status(), b.status()) })
	if q.Limit > 0 {
		out = out[:min(len(out), q.Limit)]
	}
	return out, counts
}

func (n *notes) Summary(session string) (Summary, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sessions[session] == nil {
		return Summary{}, false
	}
	return n.summary(session), true
}

func (n *notes) summary(id string) Summary {
	x := n.sessions[id]
	s, answer := x.record.Summary()
	s.ID, s.Tokens, s.Created, s.Updated = id, len(x.tokens), x.record.Created, x.record.Created
	s.Unfinished = answer > 0 && answer <= len(x.tokens)
	return s
}

func (n *notes) Delete(session string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.sessions, session)
	return nil
}
func (n *notes) Sync() error { n.syncs++; return n.err }
func (n *notes) Err() error  { return n.err }

func (s *note) Record() (Record, error) {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	return s.record, nil
}

func (s *note) Tokens() ([]int32, error) {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	return slices.Clone(s.tokens), nil
}

func (s *note) Begin(r Record, prompt []int32) error {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	if s.n.unbegun != nil {
		return s.n.unbegun
	}
	s.record, s.tokens = r, slices.Clone(prompt)
	return nil
}

func (s *note) Say(pos int, id int32) error {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	if s.n.refuse != nil {
		return s.n.refuse
	}
	if pos != len(s.tokens) {
		return fmt.Errorf("said at %d of %d", pos, len(s.tokens))
	}
	s.tokens = append(s.tokens, id)
	return nil
}

func (s *note) Note(r Record) error {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	s.record = r
	return nil
}

func (s *note) Save(r Record) error {
	if s.n.saving != nil && r.Finish != "" {
		s.n.saving()
	}
	s.n.mu.Lock()
	s.record = r
	s.n.mu.Unlock()
	if s.n.saved != nil && r.Finish != "" {
		s.n.saved()
	}
	return nil
}

// begin starts a core; the test's end, within its bubble, must shut it down.
func begin(w *world, j Journal, change ...func(*Options)) *Core {
	o := Options{Loader: w, Journal: j}
	for _, f := range change {
		f(&o)
	}
	return New(o)
}

// ready waits for the model.
func ready(t *testing.T, c *Core) {
	t.Helper()
	for range 1000 {
		if c.Snapshot().State == status.Ready {
			return
		}
		time.Sleep(time.Second)
	}
	t.Fatalf("state %s", c.Snapshot().State)
}

func stop(t *testing.T, c *Core) {
	t.Helper()
	if err := c.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// raw asks for text after a prompt as it is.
func raw(session string, n int) infer.Request {
	seed := uint64(5)
	return infer.Request{Prompt: "hello", Raw: true, Session: session, Options: infer.Options{MaxTokens: n, Seed: &seed}}
}

func ask(t *testing.T, c *Core, r infer.Request) infer.Answer {
	t.Helper()
	a, err := c.Ask(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// heard is what a client has of an answer.
type heard struct {
	text    string
	at      map[int]string // text by index
	rewinds []int
	kinds   []infer.Kind
	end     infer.Event
}

// listen reads an answer from an index on, to its end or so many events.
func listen(t *testing.T, a infer.Answer, from int, most int) heard {
	t.Helper()
	h := heard{at: map[int]string{}}
	for e := range a.Events(t.Context(), from) {
		h.text += e.Text
		h.at[e.Index] = h.text
		if n := len(h.kinds); n == 0 || h.kinds[n-1] != e.Kind {
			h.kinds = append(h.kinds, e.Kind)
		}
		switch e.Kind {
		case infer.Rewind:
			h.rewinds = append(h.rewinds, e.Index)
		case infer.End:
			h.end = e
		}
		if most--; most == 0 {
			break
		}
	}
	return h
}

// code of an *infer.Error, with its message.
func code(err error) (infer.Code, string) {
	var e *infer.Error
	if !errors.As(err, &e) {
		return "", fmt.Sprint(err)
	}
	return e.Code, e.Message
}

func wantCode(t *testing.T, err error, want infer.Code, words string) {
	t.Helper()
	if got, message := code(err); got != want || !strings.Contains(message, words) {
		t.Errorf("%s %q, want %s with %q", got, message, want, words)
	}
}

// sessionsOf are those that a status has.
func sessionsOf(c *Core) []status.Session { return c.Newest(infer.By{Every: true}).Sessions }
