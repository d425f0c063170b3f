package decode

import (
	"regexp"
	"testing"

	"skerry/appliance/infer"
)

// shortlisted is a head that only has a few tokens.
type shortlisted struct {
	Head
	ids []int32
}

func (h *shortlisted) Tokens() []int32 { return h.ids }

func (h *shortlisted) Logits(hidden []float32) ([]float32, error) {
	all, err := h.Head.Logits(hidden)
	if err != nil {
		return nil, err
	}
	var out []float32
	for _, id := range h.ids {
		out = append(out, all[id])
	}
	return out, nil
}

// A grammar that allows none of an exit's shortlist does not end the answer: the
// next exit, the cloud, or the deepest exit's full head says the token.
func TestGrammarBeyondTheShortlist(t *testing.T) {
	r := newRig(t)
	// Neither digits nor brackets.
	var few []int32
	for id := int32(1000); len(few) < 200; id++ {
		if !regexp.MustCompile(`[\[\]0-9,]`).Match(r.vocab.Piece(id, true)) {
			few = append(few, id)
		}
	}
	exits := r.board.Exits
	short := func(i int) Exit {
		return Exit{Stage: exits[i].Stage, Head: &shortlisted{exits[i].Head, few}, Full: exits[i].Head}
	}
	prompt := r.prompt(t, "Name three numbers.")
	for name, c := range map[string]struct {
		mode   infer.Mode
		exits  []Exit
		source []infer.Source
	}{
		"deeper":  {Standalone, []Exit{short(0), exits[1]}, []infer.Source{infer.Exit2}},
		"full":    {Standalone, []Exit{short(0), short(1)}, []infer.Source{infer.Exit2}},
		"single":  {Standalone, []Exit{short(0)}, []infer.Source{infer.Exit1}},
		"sampled": {Standalone, []Exit{short(0), short(1)}, []infer.Source{infer.Exit2}},
		"cloud":   {Collaborative, []Exit{short(0), short(1)}, []infer.Source{infer.FromCloud}},
	} {
		t.Run(name, func(t *testing.T) {
			m := r.board
			m.Exits = c.exits
			fresh := func() *Session {
				_, cloud := r.session(t) // it empties the stages
				return NewSession(m, 0, cloud)
			}
			s := fresh()
			o := Options{Mode: c.mode, Thresholds: []float64{0}, MaxTokens: 40, OnLoss: infer.GoAlone, Logprobs: true,
				Sampling: infer.Sampling{Grammar: `root ::= "[" [0-9] [0-9] "," [0-9] [0-9] "," [0-9] "]"`}}
			if name == "sampled" {
				o.Sampling.Temperature, o.Sampling.TopK, o.Sampling.Repeat = 0.9, 40, 1.2
			}
			a := generate(t, s, prompt, o)
			if !regexp.MustCompile(`^\[\d\d,\d\d,\d\]$`).MatchString(a.Text) || a.Finish != infer.Stop {
				t.Errorf("%q, %s", a.Text, a.Finish)
			}
			for _, tok := range a.Tokens {
				if tok.Source != c.source[0] || tok.Logprob >= 0 {
					t.Errorf("%+v", tok)
				}
			}
			// The stages stand where they should: the conversation goes on as it would.
			text := append(append([]int32(nil), s.Tokens()...), prompt...)
			plain := Options{Mode: Standalone, Thresholds: []float64{1.1, 0}, MaxTokens: 10, IgnoreEnd: true}
			got := generate(t, s, text, plain)
			if want := generate(t, fresh(), text, plain); got.Text != want.Text {
				t.Errorf("goes on %q, afresh %q", got.Text, want.Text)
			}
		})
	}
}
