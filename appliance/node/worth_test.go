package node

import (
	"strings"
	"testing"

	"skerry/appliance/bundle"
)

func TestExitsWorth(t *testing.T) {
	h := bundle.Head{Exit: 20}
	for _, c := range []struct {
		heads []bundle.Head
		want  string
	}{
		{nil, "nobody has measured"},
		{[]bundle.Head{h}, "nobody has measured"},
		{[]bundle.Head{{Exit: 10}, {Exit: 20, Measured: []bundle.HeadMeasured{{Agreement: 0.384}}}}, "of the exit after block 20, 38 % agree"},
	} {
		if got := ExitsWorth(&bundle.Manifest{Heads: c.heads}); !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q lacks %q", c.heads, got, c.want)
		}
	}
}
