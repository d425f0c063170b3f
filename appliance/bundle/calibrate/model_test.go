package calibrate

import (
	"slices"
	"strings"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/engine"
)

// vocabWith is the tokenizer of a model with a chat template, "" for none.
func vocabWith(t *testing.T, source string) *engine.Vocab {
	t.Helper()
	path := bundletest.Synth(t, "tiny", "q4_0")
	if source != "" {
		path = bundletest.Edit(t, path, func(kvs []gguf.KV, outs []gguf.Out) ([]gguf.KV, []gguf.Out) {
			return bundletest.Set(kvs, gguf.StringKV("tokenizer.chat_template", source)), outs
		})
	}
	v, err := engine.OpenVocab(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// Prompts are what the daemon makes of a question, by the model's own template, whatever it
// looks like.
func TestPromptIsTheTemplates(t *testing.T) {
	for name, c := range map[string]struct {
		template, want string
		bad            bool
	}{
		"its own":    {"{% for m in messages %}[{{ m.role | upper }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[SAYS]{% endif %}", "[USER]Why?[SAYS]", false},
		"none":       {"", "Why?\n", false},
		"broken":     {"{% for m in messages %}", "Why?\n", true},
		"it refuses": {"{{ raise_exception('never') }}", "Why?\n", true},
	} {
		v := vocabWith(t, c.template)
		m := &model{vocab: v}
		if m.template, m.badTemplate = templateOf(v); (m.badTemplate != nil) != c.bad || (m.template == nil) != (c.bad || c.template == "") {
			t.Errorf("%s: %v, %v", name, m.template, m.badTemplate)
		}
		got, err := m.prompt("Why?")
		if err != nil {
			t.Fatal(err)
		}
		var text string
		for _, id := range got {
			text += string(v.Piece(id, false))
		}
		if text = strings.ReplaceAll(text, "\u2581", ""); text != c.want { // which this tokenizer begins texts with
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}

// Where nothing was asked, nothing is known of what is written alone.
func TestNoPromptsNoFreeText(t *testing.T) {
	r := &run{opt: Options{}.withDefaults(), quotedReport: []quoted{{kindText, &document{}}}}
	if f, err := r.freeText(t.Context(), nil); f != nil || err != nil {
		t.Errorf("%+v, %v", f, err)
	}
}

// A prompt may be as long as a window leaves room for behind an answer, and no longer.
func TestLongPrompts(t *testing.T) {
	dir, _ := tiny(t)
	b, err := bundle.Open(t.Context(), dir, bundle.Board1, bundle.Unsplit)
	if err != nil {
		t.Fatal(err)
	}
	m, err := openModel(b, []int{1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	one, err := m.prompt("a")
	if err != nil {
		t.Fatal(err)
	}
	asks := []string{strings.Repeat("a", 1+prompt-len(one)), strings.Repeat("a", 2+prompt-len(one))}
	for i, ask := range asks {
		if ids, err := m.prompt(ask); err != nil || len(ids) != prompt+i {
			t.Fatalf("%d tokens, %v", len(ids), err)
		}
	}
	docs, err := m.write(t.Context(), asks, false, 1, func(int) {})
	if err != nil || len(docs) != 1 {
		t.Fatalf("%d answers, %v", len(docs), err)
	}
	if d := docs[0]; d.from != prompt-1 || d.rows() < 1 || len(d.tokens) > window || len(d.greedy) != d.rows() || len(d.states) != d.rows()*m.d*m.streams {
		t.Errorf("%d tokens from %d, %d greedy ones, %d states", len(d.tokens), d.from, len(d.greedy), len(d.states))
	}
}

// The first head is made behind whatever was read, as where all else was read before an
// interruption.
func TestHeadBehindAFullWindow(t *testing.T) {
	dir, _ := tiny(t)
	b, err := bundle.Open(t.Context(), dir, bundle.Board1, bundle.Unsplit)
	if err != nil {
		t.Fatal(err)
	}
	m, err := openModel(b, []int{1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	if _, err := m.read(t.Context(), slices.Repeat([]int32{5}, window), false, func(int) {}); err != nil {
		t.Fatal(err)
	}
	head, err := NewHead(b, nil, m.stage, m.stage, engine.HeadOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	head.Close()
}
