package strategies

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/decode"
	"skerry/appliance/engine"
)

// textCloud knows a text that the unsplit model would say.
type textCloud struct {
	Cloud
	likely []int32
}

func (c textCloud) Likeliest(_ context.Context, tokens []int32, from int) ([]int32, error) {
	return c.likely[from+1 : len(tokens)+1], nil
}

// signStage and signHead make an exit that is sure of even tokens.
type signStage struct {
	width int
	rows  []int // of each batch
}

func (s *signStage) Width() int              { return s.width }
func (s *signStage) Truncate(int, int) error { return nil }
func (s *signStage) Forward(b engine.Batch) (engine.Output, error) {
	out := engine.Output{}
	s.rows = append(s.rows, len(b.Pos))
	for i := range b.Pos {
		v := float32(0)
		if b.Tokens != nil {
			v = float32(b.Tokens[i])
		} else {
			v = b.Hidden[i*s.width]
		}
		out.Hidden = append(out.Hidden, v, 0)
	}
	return out, nil
}

type signHead struct{ ids []int32 }

func (h signHead) Tokens() []int32 { return h.ids }
func (h signHead) Logits(hidden []float32) ([]float32, error) {
	if int(hidden[0])%2 == 0 {
		return []float32{0, 50}, nil
	}
	return []float32{0.1, 0}, nil
}

// What the sources say follows from one computation of each text: of the answer of three tokens the
// whole model says the first, the exits say one alone, and nothing is computed twice.
func TestRecordAndAgreement(t *testing.T) {
	stage := &signStage{width: 2}
	open := func(path string) *Bench {
		record, err := OpenRecording(path, "tiny")
		if err != nil {
			t.Fatal(err)
		}
		variants, _ := ParseVariants([]string{"standalone"})
		return &Bench{
			Edge: decode.Model{Exits: []decode.Exit{
				{Stage: stage, Head: signHead{[]int32{7, 2}}, Threshold: .9}, {Stage: stage, Head: signHead{[]int32{9, 2}}, Threshold: .9}}},
			Cloud:  textCloud{likely: []int32{0, 0, 0, 2, 7, 2, 5}},
			Record: record, Options: Options{Variants: variants, MaxTokens: 3, Prompts: [][]int32{{1, 4, 6}}},
		}
	}
	path := filepath.Join(t.TempDir(), "said.json")
	b := open(path)
	a := said{prompt: []int32{1, 4, 6}, tokens: []int32{2, 3, 2}}
	if err := b.know(t.Context(), a.text(), 3, ofWhole, ofExits); err != nil {
		t.Fatal(err)
	}
	// After 6 and 2 both exits say 2, surely; after 3 they say 7 and 9, unsurely.
	for i, want := range []struct {
		sure, e1, e2, up bool
	}{{true, true, true, true}, {true, false, false, false}, {false, false, false, true}} {
		tok := b.recorded(a).Tokens[i]
		if (tok.C1 > 0.99) != want.sure || (tok.C2 > 0.99) != want.sure || tok.Equal1 != want.e1 || tok.Equal2 != want.e2 || tok.EqualUp != want.up {
			t.Errorf("token %d: %+v", i, tok)
		}
	}
	if got, err := b.agreement(t.Context(), []said{a}); err != nil || math.Abs(got-2.0/3) > 1e-9 {
		t.Errorf("agreement %g, %v", got, err)
	}
	// The exits alone say 2 for ever, and cloud-only what the whole model says.
	for i, want := range [][]int32{{2, 7, 2}, {2, 2, 2}} {
		x, err := b.walk(t.Context(), b.Variants[i], b.Prompts[0])
		if err != nil || !slices.Equal(x.tokens, want) {
			t.Errorf("%s says %v, %v, want %v", b.Variants[i].Name, x.tokens, err, want)
		}
	}
	first, err := b.walks(t.Context(), b.Variants[1])
	if err != nil {
		t.Fatal(err)
	}
	// Whoever finds all in the file opens no model.
	again := open(path)
	again.Open = func(context.Context, *Bench) error { return errors.New("opened") }
	second, err := again.walks(t.Context(), again.Variants[1])
	if err != nil || !reflect.DeepEqual(first, second) {
		t.Errorf("%+v, then %+v: %v", first, second, err)
	}
	if again.MaxTokens = 4; true {
		if _, err := again.walks(t.Context(), again.Variants[1]); err == nil || err.Error() != "opened" {
			t.Errorf("a longer answer needs no model: %v", err)
		}
	}
	if _, err := OpenRecording(path, "another"); !errors.Is(err, ErrRecording) || strings.Contains(err.Error(), "\n") {
		t.Errorf("of another bundle: %v", err)
	}
}

// A text that goes on from another is computed from there on.
func TestTextsAreComputedOnce(t *testing.T) {
	stage := &signStage{width: 2}
	record, _ := OpenRecording("", "")
	b := &Bench{Record: record, Edge: decode.Model{Exits: []decode.Exit{{Stage: stage, Head: signHead{}}}}}
	for _, text := range [][]int32{{1, 2, 3}, {1, 2, 3, 4}, {1, 2, 3, 5, 6}, {1, 2, 3, 5}} {
		if err := b.know(t.Context(), text, 3, ofExits); err != nil {
			t.Fatal(err)
		}
	}
	if want := []int{3, 1, 2}; !slices.Equal(stage.rows, want) {
		t.Errorf("computed %v rows, want %v", stage.rows, want)
	}
}

func FuzzRecording(f *testing.F) {
	f.Add([]byte(`{"version":1,"bundle":"b","texts":[{"prompt":[1],"tokens":[2],"said":[{"whole":2,"draft":{"token":2,"confidence":0.5},"exits":[{"token":1,"confidence":1}]}]}]}`))
	f.Add([]byte(`{"version":1,"texts":[{"prompt":[1],"tokens":[2],"said":[null]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseRecording(data)
		if err != nil {
			return
		}
		written, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseRecording(written)
		if err != nil || len(again.Texts) != len(r.Texts) || len(again.at) != len(r.at) {
			t.Fatalf("%s is read as %s: %v", data, written, err)
		}
	})
}
