package engine_test

import (
	"testing"

	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
)

// A copied prefix goes on as the original would, whatever becomes of that.
func TestCopyContinues(t *testing.T) {
	for _, shape := range []string{"tiny", "tiny-gemma3"} { // the second has a sliding window
		t.Run(shape, func(t *testing.T) {
			path := enginetest.Synth(t, shape)
			s := enginetest.Open(t, path, engine.Options{Context: 3 * 256, Sequences: 3})
			tokens := randomTokens(120, s.VocabSize(), 1)
			feed(t, s, 0, 0, tokens[:100], nil, 64, 0)
			want := feed(t, enginetest.Open(t, path, engine.Options{Context: 512}), 0, 0, tokens, nil, 64, engine.WantHidden).Hidden
			if err := s.Copy(0, 2, 80); err != nil {
				t.Fatal(err)
			}
			if s.Position(0) != 100 || s.Position(2) != 80 {
				t.Fatalf("at %d and %d", s.Position(0), s.Position(2))
			}
			if err := s.Truncate(0, 10); err != nil { // and over it something else
				t.Fatal(err)
			}
			feed(t, s, 0, 10, randomTokens(200, s.VocabSize(), 2), nil, 64, 0)
			got := feed(t, s, 2, 80, tokens[80:], nil, 64, engine.WantHidden).Hidden
			equal(t, "copy", got, want[80*s.Width():])
		})
	}
}

func TestExportPrefix(t *testing.T) {
	path := enginetest.Tiny(t)
	s := enginetest.Open(t, path, engine.Options{Context: 2 * 256, Sequences: 2})
	tokens := randomTokens(120, s.VocabSize(), 1)
	want := feed(t, s, 0, 0, tokens, nil, 64, engine.WantHidden).Hidden
	state, err := s.ExportPrefix(0, 70)
	if err != nil {
		t.Fatal(err)
	}
	if whole := mustExport(t, s, 0); len(state) >= len(whole) || s.Position(0) != 120 {
		t.Errorf("%d bytes of %d, at %d", len(state), len(whole), s.Position(0))
	}
	if err := s.Import(1, state); err != nil {
		t.Fatal(err)
	}
	if s.Position(1) != 70 {
		t.Fatalf("at %d", s.Position(1))
	}
	equal(t, "import", feed(t, s, 1, 70, tokens[70:], nil, 64, engine.WantHidden).Hidden, want[70*s.Width():])
}

func TestCopyRefuses(t *testing.T) {
	s := enginetest.Open(t, enginetest.Tiny(t), engine.Options{Context: 2 * 100, Sequences: 2})
	feed(t, s, 0, 0, randomTokens(100, s.VocabSize(), 1), nil, 64, 0)
	feed(t, s, 1, 0, randomTokens(20, s.VocabSize(), 1), nil, 64, 0)
	if err := s.Copy(0, 1, 0); err != nil || s.Position(1) != 0 {
		t.Errorf("nothing: %v, at %d", err, s.Position(1))
	}
	for _, c := range [][3]int{{0, 0, 1}, {-1, 0, 1}, {0, 2, 1}, {0, 1, -1}} {
		if err := s.Copy(c[0], c[1], c[2]); err == nil {
			t.Errorf("copy%v worked", c)
		}
	}
	if err := s.Copy(0, 1, 20); err != nil || s.Position(1) != 20 {
		t.Errorf("%v, at %d", err, s.Position(1))
	}
}
