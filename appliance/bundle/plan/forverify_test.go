package plan

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"skerry/appliance/bundle/parity"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
	"skerry/appliance/predict"
)

// A type is taken for its time in checks, unless it says another text or hardly saves any.
func TestTypeForVerify(t *testing.T) {
	of := func(name string, pass, m, agreement float64) TypeMeasured {
		x := TypeMeasured{Type: name, Pass: pass, Check: predict.EvenBatch(m), Agreement: agreement}
		if err := x.predict(.3); err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, c := range []struct {
		name  string
		types []TypeMeasured
		want  string
		pays  bool
		why   string
	}{
		{"batches decide, though a pass takes longer", []TypeMeasured{of("auto", 1, .8, .97), of("q4_0", 1.1, .2, .95), of("keep", 1, .8, 1)}, "q4_0", true, "a token takes 0."},
		{"a pass decides where no drafts pay", []TypeMeasured{of("auto", 1.5, .9, .97), of("q8_0", 1, 1, .99)}, "q8_0", false, "drafts do not pay"},
		{"another text", []TypeMeasured{of("auto", 1, .8, .97), of("q4_0", 1, .2, .6)}, "auto", false, "q4_0, which is faster, would change 40 %"},
		{"the next best that says the same", []TypeMeasured{of("auto", 1, .8, .97), of("q4_0", 1, .2, .6), of("q8_0", 1, .25, .99)}, "q8_0", true, ""},
		{"hardly faster", []TypeMeasured{of("auto", 1, .2, .97), of("q4_0", .99, .2, .99)}, "auto", true, "a twentieth"},
		{"no other", []TypeMeasured{of("auto", 1, 1, 1)}, "auto", false, "no other type"},
	} {
		choice := TypeChoice{Types: c.types}
		choice.choose()
		if choice.Type != c.want || choice.Pays != c.pays || !strings.Contains(choice.Why, c.why) {
			t.Errorf("%s: %s, pays %v: %s", c.name, choice.Type, choice.Pays, choice.Why)
		}
	}
}

// Every type of a model is run, and nothing is left behind.
func TestTypesAreTried(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(dir, "tiny.gguf")
	if err := synth.Write(t.Context(), "tiny", src, synth.Options{Seed: 1, Type: split.TypeQ8_0}); err != nil {
		t.Fatal(err)
	}
	c, err := ForVerify(t.Context(), TypeOptions{Source: src, Draft: src, Dir: dir, Threads: 1, Quantizer: parity.Quantize})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, x := range c.Types {
		seen[x.Type] = true
		if !(x.Pass > 0) || !(x.Token > 0) || len(x.Check) != len(checkRows) || x.Type == split.TypeAuto && x.Agreement != 1 {
			t.Errorf("%+v", x)
		}
	}
	if len(seen) != 2 || !seen[split.TypeAuto] || !seen[split.TypeQ4_0] || !seen[c.Type] {
		t.Errorf("%v, chosen %s", seen, c.Type)
	}
	var out bytes.Buffer
	if err := c.Text(&out, func(w io.Writer, rows ...[]string) error { return nil }); err != nil || !strings.HasPrefix(out.String(), "type "+c.Type+": ") {
		t.Errorf("%v: %s", err, out.String())
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
