package enginecheck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"skerry/appliance/chat/tools"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/appliance/infer"
)

// hostile are schemas whose grammars take other matchers time exponential in n, or a
// state of the parse for each way there is to read a text.
func hostile(n int) map[string]string {
	text := func(pattern string) string {
		b, _ := json.Marshal(map[string]string{"type": "string", "pattern": pattern})
		return string(b)
	}
	times := func(s string) string { return "^" + strings.Repeat(s, n) }
	alike := make([]string, n)
	for i := range alike {
		alike[i] = fmt.Sprintf(`{"type":"array","minItems":1,"maxItems":%d,"items":{"$ref":"#/$defs/a"}}`, 100+i)
	}
	return map[string]string{
		"optional nullable":  text(times("(a?)?") + "b$"),
		"empty alternative":  text(times("(|a)?") + "b$"),
		"optional":           text(times("a?") + "b$"),
		"stars":              text(times("a*") + "b$"),
		"optional stars":     text(times("(a*)?") + "b$"),
		"starred stars":      text(times("(a*)*") + "b$"),
		"alike":              text(times("(a|a)") + "b$"),
		"optional alike":     text(times("(a|a)?") + "b$"),
		"counts":             text(times("(a{0,50})") + "$"),
		"counts of counts":   text("^(([a-z]{0,30}){0,30})$"),
		"anything":           text(times(".*") + "$"),
		"nullable words":     text(times("(ab?)?(a?b)?") + "$"),
		"recursive":          `{"$defs":{"a":{"anyOf":[` + strings.Join(alike, ",") + `]}},"$ref":"#/$defs/a"}`,
		"optional members":   `{"type":"object","properties":{` + strings.TrimSuffix(members(n), ",") + `},"additionalProperties":{"type":"null"}}`,
		"alternatives alike": `{"anyOf":[` + strings.TrimSuffix(strings.Repeat(`{"type":"object","properties":{"a":{"type":"object","properties":{"b":{"type":"string","maxLength":9}}}}},`, n), ",") + `]}`,
	}
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"p%d":{"type":"integer"},`, i)
	}
	return b.String()
}

// A client's schema costs what is bounded: it is obeyed, or ends with an error of its
// own, and never holds a slot.
func TestHostileSchemasAreObeyed(t *testing.T) {
	v := openVocab(t, enginetest.Tiny(t))
	for name, schema := range hostile(60) {
		g, _, err := tools.Grammar(tools.Want{Format: "schema", Schema: json.RawMessage(schema)})
		if err != nil {
			if e := (*infer.Error)(nil); !errors.As(err, &e) || e.Code != infer.BadRequest {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		follow(t, v, g, 1, 60)
	}
}

// Beyond reason the work ends with an error that names the grammar, and cancellation
// ends it where it is.
func TestGrammarWorkEnds(t *testing.T) {
	v := openVocab(t, enginetest.Tiny(t))
	g := "root ::= " + strings.Repeat("x{0,1000} ", 150) + "\nx ::= \"a\" y\ny ::= \"a\"{0,50} | \"ab\"{0,50}"
	say := func(ctx context.Context) error {
		s, err := engine.NewSampler(ctx, v, infer.Sampling{Grammar: g, Temperature: 1})
		if err != nil {
			return err
		}
		defer s.Close()
		logits := make([]float32, v.Size())
		for pos := 0; ; pos++ {
			id, err := s.Sample(nil, logits, pos)
			if err == nil {
				err = s.Accept(id)
			}
			if err != nil {
				return err
			}
		}
	}
	if err := say(t.Context()); !errors.Is(err, infer.ErrGrammar) {
		t.Errorf("the work ended with %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := say(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled, the work ended with %v", err)
	}
	if _, err := engine.NewSampler(t.Context(), v, infer.Sampling{Grammar: "root ::= " + strings.Repeat("[a-zé]{2000} ", 200)}); !errors.Is(err, infer.ErrGrammar) {
		t.Errorf("a large grammar: %v", err)
	}
}
