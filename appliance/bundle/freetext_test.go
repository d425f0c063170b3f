package bundle

import (
	"strings"
	"testing"
)

func TestFreeTextSpeaks(t *testing.T) {
	whole := FreeText{Tokens: 500, Perplexity: 1.4, Distinct: 0.95, WholePerplexity: 1.4, WholeDistinct: 0.95}
	for name, c := range map[string]struct {
		change func(*FreeText)
		want   bool
	}{
		"the whole model's own":      {func(*FreeText) {}, true},
		"a little less likely":       {func(f *FreeText) { f.Perplexity = 3 }, true},
		"noise":                      {func(f *FreeText) { f.Perplexity = 300 }, false},
		"likely, since it repeats":   {func(f *FreeText) { f.Perplexity, f.Distinct = 1.1, 0.2 }, false},
		"nothing":                    {func(f *FreeText) { f.Tokens = 0 }, false},
		"a whole model that repeats": {func(f *FreeText) { f.Distinct, f.WholeDistinct = 0.4, 0.5 }, true},
	} {
		f := whole
		c.change(&f)
		if f.Speaks() != c.want || strings.Contains(f.Text(), "makes no sense") == c.want {
			t.Errorf("%s: %s", name, f.Text())
		}
	}
}
