package calibrate

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"skerry/appliance/bundle"
)

// Heads that are measured alone stay as they are to the byte, are worth what they were found to
// be when they were fitted, and are believed as far as is now wanted.
func TestMeasureOnlyFitsNothing(t *testing.T) {
	dir, file := tiny(t)
	if _, err := Run(t.Context(), dir, measureOnly(file)); err == nil || !strings.Contains(err.Error(), "leave --measure-only out") {
		t.Errorf("of heads that are not fitted: %v", err)
	}
	report := write(t, filepath.Join(filepath.Dir(file), "report"), words(60_000))
	o := options(file)
	o.Reports = []string{report}
	fitted, err := Run(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	o = measureOnly(file)
	o.Reports = []string{report}
	r, err := Run(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Calibration.Depths {
		for _, was := range fitted.Calibration.Depths {
			if d.Block == was.Block && (d.Fitted < was.Fitted-0.02 || d.Fitted > was.Fitted+0.02 || d.Raw != was.Raw) {
				t.Errorf("after block %d it agrees on %.3f, and did on %.3f when it was fitted", d.Block, d.Fitted, was.Fitted)
			}
		}
	}
	o.MaxDisagreement = 0.3
	last, counts := map[string]int64{}, map[string]int64{}
	o.Progress = func(step string, done, total int64) {
		if done < last[step] || done > total || step == "refine" {
			t.Errorf("%s: %d of %d after %d", step, done, total, last[step])
		}
		if last[step] = done; done == total {
			counts[step]++
		}
	}
	if r, err = Run(t.Context(), dir, o); err != nil {
		t.Fatal(err)
	}
	// More documents are read than it takes for the tokens, and it is at its end only then.
	if counts["measure"] != 1 {
		t.Errorf("the measuring ends %d times", counts["measure"])
	}
	for i, h := range r.Heads {
		if h.SHA256 != fitted.Heads[i].SHA256 || h.Temperature != fitted.Heads[i].Temperature {
			t.Errorf("head %d is another: %+v", i, h)
		}
	}
	c := r.Calibration
	if c.Tokens != fitted.Calibration.Tokens || c.Steps != fitted.Calibration.Steps || len(c.Depths) != len(r.Heads) {
		t.Errorf("%+v", c)
	}
	if c.Bound == nil || c.Bound.Threshold != r.Heads[0].Threshold || c.Bound.Held < 90 || c.Bound.Resampled != resamplings {
		t.Errorf("%+v", c.Bound)
	}
	if len(c.PerCheck) != 3 || len(c.AfterLookup) != 3 || c.PerCheck[0].Tokens < 1 || c.AfterLookup[2].Tokens < c.AfterLookup[0].Tokens {
		t.Errorf("a check yields %v, after lookup %v", c.PerCheck, c.AfterLookup)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "tokens a check of 2, 4, 8 drafts: ") ||
		!strings.Contains(text.String(), "of 100 resamplings of them ") {
		t.Errorf("%v: it prints\n%s", err, &text)
	}
	m, err := bundle.ReadManifest(dir)
	if err != nil || !reflect.DeepEqual(m.Calibration, c) {
		t.Errorf("the manifest says another thing: %v", err)
	}
}

func measureOnly(file string) Options {
	o := options(file)
	o.MeasureOnly = true
	return o
}
