package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"skerry/appliance/infer"
)

// fake is a backend whose model says words at random, by the seed, and obeys
// schemas, tools and stop strings.
type fake struct {
	limit int           // of answers under way, 0: none
	pace  time.Duration // of each token
	fail  error         // of every Ask
	// refuse is the error of the n-th Ask, from 1; nil: of none.
	refuse func(n int) error
	// script replaces the answer's events.
	script func(ctx context.Context, from int) iter.Seq[infer.Event]
	// forgets is a backend that keeps no session that nobody has named.
	forgets bool
	// empty is a backend that has no model yet, vision one whose model reads images.
	empty, vision bool

	mu       sync.Mutex // guards all following
	followed []infer.Following
	running  int
	full     chan struct{} // closed when an answer is refused, and made anew
	asked    []infer.Request
	kept     map[string]*fakeAnswer // by session
	loads    []time.Duration
}

var fakeModel = infer.Model{
	Name: "fake-135m", Digest: strings.Repeat("ab", 32), Modified: time.Unix(1.7e9, 0).UTC(), Bytes: 1 << 27, Loaded: true,
	LoadedBytes: 1 << 28, Architecture: "llama", Parameters: 134515008, Quantization: "Q4_0", Context: 4096, Trained: 8192,
	Embedding: 576, Blocks: 30, Exits: []int{8, 15}, Template: "{{ messages }}{% if enable_thinking %}<think>{% endif %}", Licence: "Apache 2.0", Tools: true, Embeds: true,
}

func (f *fake) Resolve(name string) (infer.Model, error) { return infer.ByName(f.Models(), name) }

func (f *fake) Models() []infer.Model {
	if f.empty {
		return nil
	}
	m := fakeModel
	m.Vision = f.vision
	return []infer.Model{m, {Name: "other", Context: 8192, Template: "{{ messages }}"}}
}

// Count fails, as Ask does, for what has over 20,000 bytes.
func (f *fake) Count(_ context.Context, r infer.Request) (int, error) {
	for _, m := range r.Messages {
		for _, img := range m.Images {
			if img.Data == nil {
				return 0, errors.New("an image was not read")
			}
		}
	}
	return 3, tooLong(r)
}

// Remember has a conversation by the name of remembered, and those that were answered.
func (f *fake) Remember(_ context.Context, _ infer.By, session string) ([]infer.Message, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if session == "remembered" {
		return []infer.Message{{Role: "system", Content: "be brief"}, {Role: "user", Content: "a"}, {Role: "assistant", Content: "b"}}, "a0", nil
	}
	a := f.kept[session]
	if a == nil {
		return nil, "", infer.Errorf(infer.NoSession, "session", "no session %s", session)
	}
	return append(slices.Clone(a.asks), infer.Message{Role: "assistant", Content: "answered"}), a.id, nil
}

// The fake's tokens are bytes.
func (f *fake) Tokenize(_ context.Context, model, text string, special, markup bool) (ids []int32, err error) {
	f.note(infer.Request{Model: model, Prompt: fmt.Sprint(text, special, markup)})
	for _, b := range []byte(text) {
		ids = append(ids, int32(b))
	}
	return ids, nil
}

func (f *fake) Pieces(_ context.Context, model string, ids []int32) (pieces [][]byte, err error) {
	f.note(infer.Request{Model: model, PromptTokens: ids})
	for _, id := range ids {
		if id < 0 || id > 255 {
			return nil, infer.Errorf(infer.BadRequest, "tokens", "token %d is none", id)
		}
		pieces = append(pieces, []byte{byte(id)})
	}
	return pieces, nil
}

func (f *fake) Render(_ context.Context, r infer.Request) (string, error) {
	f.note(r)
	return fmt.Sprint(r.Messages), nil
}

func (f *fake) note(r infer.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r)
}

func tooLong(r infer.Request) error {
	if n := promptBytes(r); n > 20000 {
		return infer.TooLongErrorf(n, 20000, "prompt", "prompt is %d tokens, context 20000: shorten it or raise num_ctx", n)
	}
	return nil
}

func (f *fake) Wake(ctx context.Context, name string) error { return f.Load(ctx, name, -2) }

func (f *fake) Load(_ context.Context, _ string, keep time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loads = append(f.loads, keep)
	return nil
}

func (f *fake) Pull(ctx context.Context, name string, progress func(infer.Progress)) error {
	if name != "new-model" {
		return infer.Errorf(infer.NoModel, "model", "no model %q is to be had: skerry model recommend names some", name)
	}
	for i := range int64(3) {
		progress(infer.Progress{What: "fetching new-model", Done: i * 50, Total: 100})
	}
	return nil
}

func (f *fake) Follow(_ context.Context, n infer.Following) (infer.Answer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.followed = append(f.followed, n)
	session, id := n.Session, n.ID
	a := f.kept[session]
	if a == nil || id != "" && a.id != id {
		return nil, infer.Errorf(infer.NoSession, "session", "no answer %q of session %q: ask anew", id, session)
	}
	return a, nil
}

func (f *fake) Ask(ctx context.Context, r infer.Request) (infer.Answer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r)
	switch {
	case f.fail != nil:
		return nil, f.fail
	case f.refuse != nil && f.refuse(len(f.asked)) != nil:
		return nil, f.refuse(len(f.asked))
	case f.limit > 0 && f.running >= f.limit:
		if f.full != nil {
			close(f.full)
			f.full = nil
		}
		return nil, &infer.Error{Code: infer.Busy, Message: "the queue is full: ask again in 2 s", RetryAfter: 1500 * time.Millisecond}
	case tooLong(r) != nil:
		return nil, tooLong(r)
	}
	if f.forgets && r.Unnamed {
		r.Session = ""
	}
	a := &fakeAnswer{fake: f, id: fmt.Sprintf("a%d", len(f.asked)), session: r.Session, asks: r.Messages}
	a.events = a.say(r)
	if f.limit > 0 && r.MaxTokens >= longAnswer {
		if f.full == nil {
			f.full = make(chan struct{})
		}
		a.held = f.full
	}
	f.running++
	ctx, a.done = context.WithCancel(ctx)
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.running--
	})
	if r.Session != "" {
		if f.kept == nil {
			f.kept = map[string]*fakeAnswer{}
		}
		f.kept[r.Session] = a
	}
	return a, nil
}

func promptBytes(r infer.Request) int {
	n := len(r.Prompt)
	for _, m := range r.Messages {
		n += len(m.Content)
	}
	return n
}

// last request that was asked.
func (f *fake) last() infer.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[len(f.asked)-1]
}

type fakeAnswer struct {
	*fake
	id, session string
	asks        []infer.Message
	events      []infer.Event
	done        context.CancelFunc
	held        <-chan struct{} // nil, or what the answer waits for after its first token
}

// Answers of so many tokens go on only once another was refused, however slow the machine
// is that asks; or after a while, since whoever asked may be the last.
const (
	longAnswer = 400
	longest    = 2 * time.Minute
)

func (a *fakeAnswer) hold(ctx context.Context) {
	select {
	case <-a.held:
	case <-ctx.Done():
	case <-time.After(longest):
	}
}

func (a *fakeAnswer) ID() string         { return a.id }
func (a *fakeAnswer) Session() string    { return a.session }
func (a *fakeAnswer) Model() string      { return fakeModel.Name }
func (a *fakeAnswer) Created() time.Time { return time.Unix(1.75e9, 0) }
func (a *fakeAnswer) Begun() (int, int)  { return 0, 0 }

func (a *fakeAnswer) Events(ctx context.Context, from int) iter.Seq[infer.Event] {
	if a.script != nil {
		return a.script(ctx, from)
	}
	return func(yield func(infer.Event) bool) {
		said := a.events[len(a.events)-1].Index
		if from > said {
			from = said / 2
			if !yield(infer.Event{Kind: infer.Rewind, Index: from}) {
				return
			}
		}
		for _, e := range a.events {
			if e.Kind != infer.End && e.Index <= from && from > 0 {
				continue
			}
			if a.pace > 0 {
				time.Sleep(a.pace)
			}
			if ctx.Err() != nil || !yield(e) {
				return
			}
			if a.held != nil && len(e.Tokens) > 0 {
				a.hold(ctx)
				a.held = nil
			}
		}
		a.done()
	}
}

var words = strings.Fields("a lighthouse stands on the skerry and its lamp turns while ships pass in fog by night")

// say makes the whole log of an answer.
func (a *fakeAnswer) say(r infer.Request) []infer.Event {
	h := fnv.New64()
	json.NewEncoder(h).Encode([]any{r.Messages, r.Prompt})
	s := uint64(42)
	if r.Seed != nil {
		s = *r.Seed
	}
	if r.Temperature != nil && *r.Temperature == 0 {
		s = 0
	}
	dice := rand.New(rand.NewPCG(s, h.Sum64()))
	l := &fakeLog{r: r, dice: dice, finish: infer.Stop}
	l.events = []infer.Event{{Kind: infer.Queued, Queue: 1}, {Kind: infer.Prefill, Done: 512, Total: 4096}}
	var lastRole string
	if n := len(r.Messages); n > 0 {
		lastRole = r.Messages[n-1].Role
	}
	switch {
	case len(r.Tools) > 0 && r.ToolChoice != "none" && lastRole != "tool":
		l.call()
	case r.Format != "":
		schema := []byte(`{"type":"object","properties":{"light":{"type":"boolean"}}}`)
		if r.Format == "schema" {
			schema = r.Schema
		}
		l.text(pieces(l.fill(schema)))
	case lastRole == "tool":
		l.text(append([]string{"It", " says:", " "}, pieces(r.Messages[len(r.Messages)-1].Content)...))
	default:
		var say []string
		for range 12 + dice.IntN(300) {
			say = append(say, " "+words[dice.IntN(len(words))])
		}
		say[0] = "Well,"
		l.text(say)
	}
	truth := &infer.Provenance{Answer: a.id, Session: r.Session, Mode: "standalone", Seed: s, Sources: map[infer.Source]int{"exit1": l.index}}
	u := infer.Usage{Prompt: 11, Cached: 4, Completion: l.index, Prefill: time.Millisecond, Decode: time.Second, Total: 2 * time.Second, Load: 5}
	return append(l.events, infer.Event{Kind: infer.End, Index: l.index, Finish: l.finish, Usage: u, Provenance: truth})
}

// pieces of a text, as tokens would have them.
func pieces(s string) (out []string) {
	for chunk := range slices.Chunk([]rune(s), 4) {
		out = append(out, string(chunk))
	}
	return out
}

// fakeLog is an answer in the making.
type fakeLog struct {
	r      infer.Request
	dice   *rand.Rand
	events []infer.Event
	index  int
	finish infer.Finish
}

func (l *fakeLog) token(text string) []infer.Token {
	l.index++
	t := infer.Token{ID: int32(l.index), Text: text, Source: "exit1"}
	if l.r.Logprobs {
		t.Logprob, t.Bytes = -0.25, []byte(text)
		for i := range l.r.TopLogprobs {
			alt := text + strings.Repeat("'", i)
			t.Top = append(t.Top, infer.Logprob{Text: alt, Bytes: []byte(alt), Logprob: -0.25 - float64(i)})
		}
	}
	return []infer.Token{t}
}

func (l *fakeLog) text(say []string) {
	var all string
	for _, s := range say {
		if l.r.MaxTokens > 0 && l.index == l.r.MaxTokens {
			l.finish = infer.Length
			return
		}
		for _, stop := range l.r.Stop {
			if i := strings.Index(all+s, stop); i >= 0 {
				l.events = append(l.events, infer.Event{Kind: infer.Text, Text: (all + s)[min(len(all), i):i], Tokens: l.token(s), Index: l.index})
				return
			}
		}
		all += s
		l.events = append(l.events, infer.Event{Kind: infer.Text, Text: s, Tokens: l.token(s), Index: l.index})
	}
}

func (l *fakeLog) call() {
	t := l.r.Tools[0]
	for _, other := range l.r.Tools {
		if l.r.ToolChoice == "function:"+other.Name {
			t = other
		}
	}
	l.finish = infer.ToolCalls
	add := func(d infer.CallDelta) {
		l.events = append(l.events, infer.Event{Kind: infer.Tools, Calls: []infer.CallDelta{d}, Tokens: l.token(d.Arguments), Index: l.index})
	}
	add(infer.CallDelta{ID: "call_1", Name: t.Name})
	for _, p := range pieces(l.fill(t.Parameters)) {
		add(infer.CallDelta{Arguments: p})
	}
}

// fill makes JSON of a schema's shape.
func (l *fakeLog) fill(schema json.RawMessage) string {
	var s struct {
		Type       string                     `json:"type"`
		Enum       []json.RawMessage          `json:"enum"`
		Properties map[string]json.RawMessage `json:"properties"`
		Items      json.RawMessage            `json:"items"`
	}
	json.Unmarshal(schema, &s)
	switch {
	case len(s.Enum) > 0:
		return string(s.Enum[l.dice.IntN(len(s.Enum))])
	case s.Type == "integer" || s.Type == "number":
		return fmt.Sprint(l.dice.IntN(100))
	case s.Type == "boolean":
		return "true"
	case s.Type == "array":
		return "[" + l.fill(s.Items) + "]"
	case s.Type == "string":
		return `"` + words[l.dice.IntN(len(words))] + `"`
	}
	var fields []string
	for name, p := range s.Properties {
		fields = append(fields, fmt.Sprintf("%q:%s", name, l.fill(p)))
	}
	slices.Sort(fields)
	return "{" + strings.Join(fields, ",") + "}"
}
