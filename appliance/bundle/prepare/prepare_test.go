package prepare

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
)

func TestExits(t *testing.T) {
	for text, want := range map[string][]int{"": nil, "4": {4}, " 4, 8": {4, 8}} {
		if got, err := ParseExits(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	var e *ExitsError
	for _, text := range []string{"some", "0", "4,", "-1"} {
		if _, err := ParseExits(text); !errors.As(err, &e) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := CheckExits("m", []int{4, 8}, 12); err != nil {
		t.Error(err)
	}
	for _, exits := range [][]int{{0}, {12}, {8, 4}, {4, 4}, {1, 2, 3}} {
		if err := CheckExits("m", exits, 12); !errors.As(err, &e) {
			t.Errorf("%v: %v", exits, err)
		}
	}
	for blocks, want := range map[int][]int{2: {1}, 12: {3, 6}, 30: {8, 15}} {
		if got := QuarterAndHalf(blocks); !slices.Equal(got, want) {
			t.Errorf("%d blocks: %v", blocks, got)
		}
	}
}

// A GGUF is told from a bundle, and what is in the cache is listed by what it is.
func TestPathAndList(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("SKERRY_CACHE", cache)
	src := filepath.Join(cache, "models", "abc", "small.gguf")
	if err := os.MkdirAll(filepath.Dir(src), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := synth.Write(t.Context(), "tiny", src, synth.Options{Seed: 1, Type: split.TypeQ4_0}); err != nil {
		t.Fatal(err)
	}
	if got := Fetched(cache); len(got) != 1 || got[0].Bundle || got[0].Name != "small" || got[0].Bytes == 0 {
		t.Errorf("%+v", got)
	}
	if _, err := Path(t.Context(), src, false, nil); !errors.Is(err, bundle.ErrNotBundle) {
		t.Errorf("%v", err)
	}
	if dir, err := Path(t.Context(), cache, false, nil); err != nil || dir != cache {
		t.Errorf("%s, %v", dir, err)
	}
	if got := FileName("a b/c.d"); got != "a_b_c.d" {
		t.Error(got)
	}
}
