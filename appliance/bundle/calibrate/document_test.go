package calibrate

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"skerry/appliance/bundle"
)

func someDocuments() []*document {
	a := &document{tokens: []int32{5, 6, 7}, from: 1, greedy: []int32{7, 9}}
	a.addStates([]float32{1, -2}, []float32{0.5, 4})
	a.addStates([]float32{3, 1.0 / 3}, []float32{-1e9, 0})
	b := &document{tokens: []int32{8}}
	b.addStates([]float32{1, 1}, []float32{2, 2})
	c := &document{tokens: []int32{4, 3}, from: 1, lead: 1}
	c.addStates([]float32{1, 1}, []float32{2, 2})
	c.addStates([]float32{5, 1}, []float32{2, 2})
	return []*document{a, b, c}
}

// Documents come back from their file as they were; states to within bfloat16.
func TestDocumentsSurviveTheirFile(t *testing.T) {
	var file bytes.Buffer
	docs := someDocuments()
	if err := writeDocuments(&file, docs, 4); err != nil {
		t.Fatal(err)
	}
	got, err := readDocuments(bytes.NewReader(file.Bytes()), 4)
	if err != nil || !reflect.DeepEqual(got, docs) {
		t.Fatalf("%+v: %v", got, err)
	}
	h := make([]float32, 2)
	got[0].stream(1, 0, 1, h)
	if h[0] != 3 || math.Abs(float64(h[1])-1.0/3) > 1.0/3/256 {
		t.Errorf("the stream after the first depth is %v", h)
	}
	got[0].stream(0, 1, 1, h)
	if !slices.Equal(h, []float32{0.5, 4}) {
		t.Errorf("the stream after the last block is %v", h)
	}
	if got[2].stream(0, 0, 1, h); h[0] != 5 {
		t.Errorf("behind a prompt that has states too, the first row's are %v", h)
	}
	if d := got[0].head(1, 4); d.rows() != 1 || len(d.states) != 4 || len(d.greedy) != 1 || len(d.tokens) != 2 {
		t.Errorf("the first row of a document is %+v", d)
	}
	if _, err := readDocuments(bytes.NewReader(file.Bytes()), 5); !errors.Is(err, errDocuments) {
		t.Errorf("of another width: %v", err)
	}
	file.Bytes()[file.Len()-6] ^= 4 // of a state
	if _, err := readDocuments(bytes.NewReader(file.Bytes()), 4); !errors.Is(err, errDocuments) {
		t.Errorf("with a bit that flipped: %v", err)
	}
}

// Whatever a file holds, reading it ends with an error or with documents that agree with
// themselves.
func FuzzDocuments(f *testing.F) {
	var file bytes.Buffer
	if err := writeDocuments(&file, someDocuments(), 4); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add(file.Bytes()[:file.Len()-3])
	f.Add([]byte(documentsMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		docs, err := readDocuments(bytes.NewReader(b), 4)
		if err != nil {
			return
		}
		for _, d := range docs {
			if len(d.states) != 4*(d.lead+d.rows()) || d.greedy != nil && len(d.greedy) != d.rows() {
				t.Errorf("%d tokens from %d with %d states and %d greedy tokens", len(d.tokens), d.from, len(d.states), len(d.greedy))
			}
		}
	})
}

// What an interrupted calibration read and wrote is not computed again, and nothing of it
// is left once the heads are fitted.
func TestInterruptedCalibrationGoesOn(t *testing.T) {
	dir, file := tiny(t)
	o := options(file)
	o.Keep = true
	first, err := Run(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	kept := files(t, o.Cache)
	if len(kept) < 4 {
		t.Fatalf("%d parts are kept", len(kept))
	}
	// A part that was cut short by a power cut is computed again.
	var name string
	for name = range kept {
		break
	}
	write(t, filepath.Join(o.Cache, name), kept[name][:len(kept[name])/2])
	someTime := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	for n := range kept {
		os.Chtimes(filepath.Join(o.Cache, n), someTime, someTime)
	}
	second, err := Run(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range first.Heads {
		if first.Heads[i].SHA256 != second.Heads[i].SHA256 {
			t.Error("what was kept gives another head")
		}
	}
	if !reflect.DeepEqual(files(t, o.Cache), kept) {
		t.Error("the parts are others now")
	}
	for n := range kept {
		st, err := os.Stat(filepath.Join(o.Cache, n))
		if err != nil {
			t.Fatal(err)
		}
		if again := !st.ModTime().Equal(someTime); again != (n == name) {
			t.Errorf("%s computed again: %v", n, again)
		}
	}
	o.Keep = false
	if _, err := Run(t.Context(), dir, o); err != nil {
		t.Fatal(err)
	}
	if left := files(t, o.Cache); len(left) != 0 {
		t.Errorf("%d parts are left", len(left))
	}
}

// What a killed calibration left in the cache, and what nobody came back for, goes; what is
// being written by another, and what is none of calibration's, stays.
func TestOldFilesLeaveTheCache(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	for name, age := range map[string]time.Duration{
		".part-old": 2 * time.Hour, ".part-new": time.Minute,
		"old.states": 31 * 24 * time.Hour, "old.words": 31 * 24 * time.Hour, "new.states": 29 * 24 * time.Hour, "new.words": time.Hour,
		"old.txt": 365 * 24 * time.Hour,
	} {
		at := now.Add(-age)
		if err := os.Chtimes(write(t, filepath.Join(dir, name), "x"), at, at); err != nil {
			t.Fatal(err)
		}
	}
	sweepCache(dir, now)
	left := slices.Sorted(maps.Keys(files(t, dir)))
	if want := []string{".part-new", "new.states", "new.words", "old.txt"}; !slices.Equal(left, want) {
		t.Errorf("%v is left, want %v", left, want)
	}
	sweepCache(filepath.Join(dir, "nothing"), now)
}

// A source ends with its tokens, or, where documents are what counts, with enough of them
// that are whole.
func TestSourceLimits(t *testing.T) {
	r := &run{opt: Options{Progress: func(string, int64, int64) {}}, depths: []int{1}, cache: t.TempDir(), m: &model{d: 2},
		b: &bundle.Bundle{Manifest: &bundle.Manifest{Stages: []bundle.Stage{{Role: bundle.Unsplit, SHA256: strings.Repeat("0", 64)}}}}}
	parts := func(p part, documents ...int) (all []part) { // by part
		for i, n := range documents {
			p.Texts = []string{strconv.Itoa(i)}
			var docs []*document
			for range n {
				d := &document{tokens: make([]int32, 10)}
				for range d.tokens {
					d.addStates([]float32{1, 2}, []float32{3, 4})
				}
				docs = append(docs, d)
			}
			if err := saveDocuments(r.partPath(p), docs, 4); err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
		return all
	}
	read := parts(part{}, 1, 1, 1, 1, 1, 1)
	short := parts(part{Greedy: true}, 1, 0, 1, 0, 1, 2, 1, 1) // texts of less than two tokens, and one of two windows
	answers := parts(part{Answer: true}, 3, 0, 3, 3)
	for _, c := range []struct {
		parts                           []part
		limit, texts, tokens, documents int
	}{
		{read, 25, 0, 25, 3}, {read, 25, 5, 50, 5}, {read, 45, 2, 50, 5},
		{short, 10, 4, 50, 4}, {answers, 10, 5, 50, 5}, {answers, 10, 6, 60, 6}, {answers, 10, 7, 70, 7},
	} {
		documents := map[int]bool{}
		s := source{kind: kindText, name: "some", use: "report", parts: c.parts, limit: c.limit, texts: c.texts}
		n, err := r.consume(t.Context(), s, func(_ context.Context, d *document) error { documents[d.text] = true; return nil })
		if err != nil || n != c.tokens || len(documents) != c.documents {
			t.Errorf("%d tokens, %d documents wanted: %d tokens of %d documents, %v", c.limit, c.texts, n, len(documents), err)
		}
	}
}
