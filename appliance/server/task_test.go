package server

import (
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/chat/template"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

const turns = `{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% if enable_thinking %}<think>
{% endif %}{% endif %}`

func modelOf(t *testing.T, source string) *Model {
	t.Helper()
	m := &Model{Vocab: letters{}, Modes: []infer.Mode{decode.Unsplit}, Info: infer.Model{Name: "tiny", Context: 100}}
	if source != "" {
		var err error
		if m.Template, err = template.New(source, "", ""); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func promptOf(t *testing.T, m *Model, r infer.Request) string {
	t.Helper()
	ids, err := m.prompt(m.Vocab, r)
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	for _, id := range ids {
		text = append(text, byte(id))
	}
	return string(text)
}

// An answer goes on with the last message, whatever the template puts behind it.
func TestContinue(t *testing.T) {
	chat := []infer.Message{{Role: "user", Content: "say it"}, {Role: "assistant", Content: "It is: "}}
	for source, want := range map[string]string{
		turns: "<|user|>say it<|end|><|assistant|>It is:",
		`{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}`: "<|user|>say it<|end|><|assistant|>It is: ",
		"": "say it\nIt is: ",
	} {
		if got := promptOf(t, modelOf(t, source), infer.Request{Messages: chat, Continue: true}); got != want {
			t.Errorf("%s: the prompt is %q, want %q", source, got, want)
		}
	}
	if got := promptOf(t, modelOf(t, turns), infer.Request{Messages: chat}); !strings.HasSuffix(got, "It is:<|end|><|assistant|>") {
		t.Errorf("without: %q", got)
	}
	chat[1].Content = " "
	if got := promptOf(t, modelOf(t, turns), infer.Request{Messages: chat, Continue: true}); !strings.HasSuffix(got, "<|end|><|assistant|>") {
		t.Errorf("an empty message: %q", got)
	}
	chat[1].Content = "lost"
	m := modelOf(t, `{% for m in messages %}{{ m.role }}{% endfor %}`)
	if _, err := m.prompt(m.Vocab, infer.Request{Messages: chat, Continue: true}); err == nil {
		t.Error("a template that does not show the message is no error")
	}
}

func TestPromptOfTokens(t *testing.T) {
	m := modelOf(t, "")
	if got := promptOf(t, m, infer.Request{Raw: true, PromptTokens: []int32{'a', 'b'}}); got != "ab" {
		t.Errorf("the prompt is %q", got)
	}
}

// Thoughts are taken apart only where that is asked for, and nothing binds the answer.
func TestThoughtsAreTakenApart(t *testing.T) {
	m := modelOf(t, turns)
	for _, one := range []struct {
		r                 infer.Request
		grammar           string
		say               string
		thought, answered string
	}{
		{infer.Request{SplitThoughts: true}, "", "<think>a</think>b", "a", "b"},
		{infer.Request{SplitThoughts: true, TemplateArgs: map[string]any{"enable_thinking": true}}, "", "a</think>b", "a", "b"},
		{infer.Request{SplitThoughts: true, TemplateArgs: map[string]any{"enable_thinking": true}}, "root ::= [a-z]+", "ab", "", "ab"},
		{infer.Request{}, "", "<think>a</think>b", "", "<think>a</think>b"},
		{infer.Request{SplitThoughts: true, Options: infer.Options{Stop: []string{"a"}}}, "", "<think>a</think>bac", "a", "b"},
	} {
		one.r.Messages = []infer.Message{{Role: "user", Content: "x"}}
		ids, err := m.prompt(m.Vocab, one.r)
		if err != nil {
			t.Fatal(err)
		}
		q := &task{Request: one.r, prompt: ids}
		q.opt.Sampling.Grammar = one.grammar
		p := newOutputParser(m, q, "id")
		var thought, answer string
		for i, c := range one.say {
			more, text, _ := p.push(string(c), i == len(one.say)-1)
			thought, answer = thought+more, answer+text
		}
		if thought != one.thought || answer != one.answered {
			t.Errorf("%+v: thought %q, answered %q", one.r, thought, answer)
		}
	}
}

func TestGrammarOfARequest(t *testing.T) {
	m := modelOf(t, "")
	for _, one := range []struct {
		r     infer.Request
		gbnf  string
		wrong string
	}{
		{infer.Request{Format: "choice", Choices: []string{"yes", `n"o`}}, `root ::= "yes" | "n\"o"`, ""},
		{infer.Request{Format: "grammar", Grammar: "root ::= [0-9]+"}, "root ::= [0-9]+", ""},
		{infer.Request{Format: "grammar", Grammar: "root ::= ("}, "", "the grammar cannot be obeyed"},
		{infer.Request{Format: "grammar", Grammar: "root ::= [0-9]+", Tools: []infer.Tool{{Name: "f"}}}, "", "cannot be combined"},
		{infer.Request{Format: "json", Options: infer.Options{MinTokens: 3}}, "", "cannot be combined"},
	} {
		gbnf, _, err := m.grammar(one.r)
		if one.wrong != "" {
			wantCode(t, err, infer.BadRequest, one.wrong)
		} else if err != nil || gbnf != one.gbnf {
			t.Errorf("%+v: %q, %v", one.r, gbnf, err)
		}
	}
}

// What a request says of sampling reaches the sampler.
func TestSamplingOfARequest(t *testing.T) {
	c := begin(newWorld(), nil)
	defer stop(t, c)
	m := modelOf(t, "")
	r := raw("", 5)
	r.MinTokens, r.PenaltyLast, r.Repeat = 3, -1, 1.5
	r.Filters = infer.Filters{Typical: 0.5, Bias: []infer.TokenBias{{ID: 1, Bias: 2}}}
	m.Slots, m.Info.Context = fakeSlots{newWorld()}, 50
	q, err := c.ask(t.Context(), m, r)
	if err != nil {
		t.Fatal(err)
	}
	if s := q.opt.Sampling; s.EndFrom != len("hello")+3 || s.PenaltyLast != 50 || s.Typical != 0.5 || !slices.Equal(s.Bias, r.Bias) {
		t.Errorf("the sampler has %+v", s)
	}
	r.MinTokens, r.IgnoreEnd = 0, true
	if q, err = c.ask(t.Context(), m, r); err != nil || q.opt.Sampling.EndFrom != math.MaxInt32 {
		t.Errorf("to ignore the end: %+v, %v", q, err)
	}
	r.Filters.Typical = 2
	if _, err = c.ask(t.Context(), m, r); err == nil {
		t.Error("a typical_p of 2 is taken")
	}
}

// A request says which drafts are checked, and is told where none are.
func TestDraftOfATask(t *testing.T) {
	for _, c := range []struct {
		mode  infer.Mode
		draft infer.Drafting
		want  infer.Drafting
		notes int
	}{
		{decode.Unsplit, "", infer.DraftAuto, 0}, {decode.Unsplit, infer.DraftOff, infer.DraftOff, 0}, {decode.Standalone, infer.DraftLookup, infer.DraftLookup, 1},
	} {
		core := begin(newWorld(), nil)
		core.defaults = decode.Options{Mode: c.mode, Draft: infer.DraftAuto}
		m := modelOf(t, "")
		m.Modes, m.Slots, m.Info.Context = []infer.Mode{c.mode}, fakeSlots{newWorld()}, 50
		r := raw("", 5)
		r.Draft = c.draft
		q, err := core.ask(t.Context(), m, r)
		stop(t, core)
		if err != nil || q.opt.Draft != c.want || len(q.notes) != c.notes {
			t.Errorf("%+v: %+v, notes %q, %v", c, q, q.notes, err)
		}
	}
}

// A session's conversation is remembered with its last answer, and what stop string it met.
func TestRemember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.script = "abcdef\x00"
		c := begin(w, newNotes())
		defer stop(t, c)
		ready(t, c)
		r := infer.Request{Messages: []infer.Message{{Role: "user", Content: "hello"}}, Session: "s", By: infer.By{Owner: "me"}, Options: infer.Options{Stop: []string{"de"}}}
		a := ask(t, c, r)
		h := listen(t, a, 0, 0)
		if h.text != "abc" || h.end.StopString != "de" {
			t.Errorf("said %q, stopped by %q", h.text, h.end.StopString)
		}
		messages, last, err := c.Remember(t.Context(), r.By, "s")
		if err != nil || last != a.ID() || len(messages) != 2 || messages[1].Content != "abc" {
			t.Errorf("remembered are %v, %s, %v", messages, last, err)
		}
		_, _, err = c.Remember(t.Context(), infer.By{Owner: "another"}, "s")
		if got, _ := code(err); got != infer.Forbidden && got != infer.NoSession {
			t.Errorf("another's: %v", err)
		}
		_, _, err = c.Remember(t.Context(), r.By, "none")
		wantCode(t, err, infer.NoSession, "none")
	})
}

// What a session holds is remembered where no model can be loaded.
func TestRememberWithoutAModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := newNotes()
		c := begin(newWorld(), kept)
		ready(t, c)
		r := infer.Request{Messages: []infer.Message{{Role: "user", Content: "hello"}}, Session: "s", Options: infer.Options{MaxTokens: 3}}
		a := ask(t, c, r)
		listen(t, a, 0, 0)
		stop(t, c)
		w := newWorld()
		w.load = time.Hour
		c = begin(w, kept.crash(0))
		defer stop(t, c)
		messages, last, err := c.Remember(t.Context(), r.By, "s")
		if err != nil || last != a.ID() || len(messages) != 2 {
			t.Errorf("remembered are %v, %s, %v", messages, last, err)
		}
	})
}

// What is too long for the journal is answered without a session, unless that was asked for.
func TestTooLongToBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, kept := newWorld(), newNotes()
		w.context = 2 * longestRecord
		c := begin(w, kept)
		defer stop(t, c)
		ready(t, c)
		r := raw("s", 3)
		r.Stop = []string{strings.Repeat("x", longestRecord)}
		_, err := c.Ask(t.Context(), r)
		wantCode(t, err, infer.BadRequest, "ask without a session")
		r.Unnamed = true
		a := ask(t, c, r)
		if h := listen(t, a, 0, 0); a.Session() != "" || h.end.Finish != infer.Length || len(sessionsOf(c)) != 0 {
			t.Errorf("%q, of session %q, and there are %v", h.end.Finish, a.Session(), sessionsOf(c))
		}
		r = raw("tokens", 3)
		r.Prompt, r.PromptTokens = "", make([]int32, longestRecord)
		listen(t, ask(t, c, r), 0, 0)
		if record := kept.sessions["tokens"].record; record.Request.PromptTokens != nil || record.Answer != longestRecord {
			t.Errorf("%d tokens are kept, and %d in the record", record.Answer, len(record.Request.PromptTokens))
		}
	})
}

// The tokenizer takes what is not too long, and names tokens that there are not.
func TestTokenizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := begin(newWorld(), nil)
		defer stop(t, c)
		ready(t, c)
		ids, err := c.Tokenize(t.Context(), "", "ab", false, true)
		if err != nil || !slices.Equal(ids, []int32{'a', 'b'}) {
			t.Errorf("tokens are %v, %v", ids, err)
		}
		pieces, err := c.Pieces(t.Context(), "", ids)
		if err != nil || len(pieces) != 2 || string(pieces[1]) != "b" {
			t.Errorf("pieces are %q, %v", pieces, err)
		}
		_, err = c.Tokenize(t.Context(), "", strings.Repeat("x", mostText+1), false, true)
		wantCode(t, err, infer.BadRequest, "send at most")
		_, err = c.Pieces(t.Context(), "", make([]int32, mostText+1))
		wantCode(t, err, infer.BadRequest, "send at most")
		text, err := c.Render(t.Context(), infer.Request{Messages: []infer.Message{{Role: "user", Content: "hi"}}})
		if err != nil || text != "hi\n" {
			t.Errorf("rendered is %q, %v", text, err)
		}
	})
}
