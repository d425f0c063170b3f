package predict

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	_ "skerry/build/testseed" // of rapid
)

func TestChoice(t *testing.T) {
	p := func(mode string, first, token, right float64) Prediction {
		return Prediction{Mode: mode, First: first, Token: token, Right: right, Exact: right == 1, Bytes: map[string]float64{Verified: 4000, Collaborative: 900}[mode]}
	}
	slow, fast := p(Unsplit, 1, .2, 1), p(Verified, 1, .1, 1)
	bounded, alone := p(Collaborative, 1, .05, .98), p(Standalone, 0, .01, .7)
	cloud := p(CloudOnly, 1, .15, 1)
	gone := fast
	gone.Not = "the link is down"
	for _, c := range []struct {
		name         string
		of           []Prediction
		limits       Limits
		best, second string
	}{
		{"the faster of what is exact", []Prediction{slow, fast, bounded, alone}, Limits{}, Verified, Unsplit},
		{"within the user's bound", []Prediction{slow, fast, bounded, alone}, Limits{Wrong: .02}, Collaborative, Verified},
		{"within a looser one", []Prediction{slow, fast, bounded, alone}, Limits{Wrong: .3}, Standalone, Collaborative},
		{"one that cannot be had", []Prediction{slow, gone, bounded}, Limits{}, Unsplit, ""},
		{"nothing exact: what is right most often", []Prediction{gone, alone, bounded}, Limits{}, Collaborative, ""},
		{"a limit of time that one keeps", []Prediction{slow, alone, bounded}, Limits{Token: .06}, Collaborative, ""},
		{"a limit of time that none keeps", []Prediction{slow, fast}, Limits{Token: .001}, Verified, Unsplit},
		{"a budget", []Prediction{slow, fast}, Limits{Bytes: 1000}, Unsplit, ""},
		{"a budget that none keeps", []Prediction{fast}, Limits{Bytes: 1000}, Verified, ""},
		{"a hot board", []Prediction{slow, fast, cloud}, Limits{Spared: true}, CloudOnly, Verified},
		{"nothing", []Prediction{gone}, Limits{}, "", ""},
	} {
		var chooser Chooser
		got := chooser.Choose(time.Unix(1, 0), c.of, 100, c.limits)
		if got.Best != c.best || got.Second != c.second || got.Why == "" {
			t.Errorf("%s: %q before %q (%s), not %q before %q", c.name, got.Best, got.Second, got.Why, c.best, c.second)
		}
	}
}

func TestHysteresis(t *testing.T) {
	var c Chooser
	at := func(s float64) time.Time { return time.Unix(100, int64(s*1e9)) }
	of := func(unsplit, verified float64) []Prediction {
		return []Prediction{{Mode: Unsplit, Token: unsplit, Right: 1}, {Mode: Verified, Token: verified, Right: 1}}
	}
	without := []Prediction{{Mode: Unsplit, Token: 1, Right: 1}, {Mode: Verified, Not: "the link is down"}}
	for _, step := range []struct {
		at   float64
		of   []Prediction
		want string
		why  string
	}{
		{0, of(1, 2), Unsplit, "the first"},
		{1, of(2, 1), Unsplit, "another is faster, too soon"},
		{5, of(1, .95), Unsplit, "another is hardly faster"},
		{6, of(1, .8), Verified, "another is clearly faster"},
		{7, without, Unsplit, "it cannot be had any more"},
		{8, of(1, .5), Unsplit, "it is back, too soon"},
		{12, of(1, .5), Verified, "it is back for long enough"},
	} {
		if got := c.Choose(at(step.at), step.of, 100, Limits{}); got.Best != step.want {
			t.Errorf("%s: %s (%s), not %s", step.why, got.Best, got.Why, step.want)
		}
	}
}

// Whatever the predictions do: what is chosen can be had, no two changes lie closer than the
// dwell unless the first mode went away, and a change saves time unless it is forced.
func TestChangesAreFew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Chooser
		now := time.Unix(1000, 0)
		held, changed := "", time.Time{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 4000).Draw(t, "ms")) * time.Millisecond)
			var all []Prediction
			had := map[string]Prediction{}
			for _, m := range []string{Unsplit, Verified, CloudOnly} {
				p := Prediction{Mode: m, Token: rapid.Float64Range(.01, 1).Draw(t, m), Right: 1}
				if rapid.IntRange(0, 5).Draw(t, m+" away") == 0 {
					p.Not = "away"
				} else {
					had[m] = p
				}
				all = append(all, p)
			}
			got := c.Choose(now, all, 50, Limits{})
			chosen, ok := had[got.Best]
			if !ok && len(had) > 0 {
				t.Fatalf("%q cannot be had", got.Best)
			}
			before, still := had[held]
			if got.Best != held && still {
				if now.Sub(changed) < 5*time.Second {
					t.Fatalf("changed from %s to %s after %s", held, got.Best, now.Sub(changed))
				}
				if chosen.Total(50) > .9*before.Total(50)+1e-9 {
					t.Fatalf("changed from %g s to %g s", before.Total(50), chosen.Total(50))
				}
			}
			if got.Best != held {
				held, changed = got.Best, now
			}
		}
	})
}
