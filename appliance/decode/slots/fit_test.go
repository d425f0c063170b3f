package slots

import (
	"strings"
	"testing"
)

func TestFit(t *testing.T) {
	const gib = 1 << 30
	small := Sizes{Weights: 100 << 20, Position: 24 << 10, Scratch: 100 << 20, Trained: 8192}
	large := Sizes{Weights: 2 * gib, Position: 128 << 10, Scratch: 200 << 20}
	for name, c := range map[string]struct {
		want              Want
		mem               Memory
		model             Sizes
		context, parallel int
		err               string // part of it
	}{
		"all there is":     {Want{}, Memory{8 * gib, 7 * gib, 4}, small, 8192, 4, ""},
		"fewer at once":    {Want{}, Memory{4 * gib, 17 * gib / 10, 4}, small, 8192, 2, ""},
		"less context":     {Want{}, Memory{4 * gib, 15 * gib / 10, 4}, small, 4096, 3, ""},
		"one at once":      {Want{}, Memory{4 * gib, 36 * gib / 10, 4}, large, 2048, 1, ""},
		"one as asked for": {Want{Parallel: 1}, Memory{4 * gib, 37 * gib / 10, 4}, large, 4096, 1, ""},
		"trained for less": {Want{}, Memory{8 * gib, 7 * gib, 4}, Sizes{Weights: 1, Position: 1, Trained: 4095}, 2048, 4, ""},
		"trained for 512":  {Want{}, Memory{8 * gib, 7 * gib, 4}, Sizes{Weights: 1, Position: 1, Trained: 512}, 512, 4, ""},
		"asked for":        {Want{Context: 6000}, Memory{8 * gib, 7 * gib, 4}, small, 6000, 4, ""},
		"too much":         {Want{Context: 8192}, Memory{4 * gib, 37 * gib / 10, 4}, large, 0, 0, "set context to 4096 or less"},
		"too many":         {Want{Context: 4096, Parallel: 2}, Memory{4 * gib, 37 * gib / 10, 4}, large, 0, 0, "set context to 2048 or less"},
		"far too many":     {Want{Parallel: 16}, Memory{4 * gib, 37 * gib / 10, 4}, large, 0, 0, "set context to 256 or less"},
		"one instead":      {Want{Parallel: 32}, Memory{4 * gib, 37 * gib / 10, 4}, large, 0, 0, "set parallel to 1 and context to 4096 or less"},
		"beyond training":  {Want{Context: 9000}, Memory{8 * gib, 7 * gib, 4}, small, 0, 0, "trained with 8192"},
		"the last GiB":     {Want{}, Memory{2 * gib, 11 * gib / 10, 4}, small, 0, 0, "1.0 GiB stay untouched"},
		"a fifth of 32":    {Want{}, Memory{32 * gib, 7 * gib, 4}, large, 0, 0, "choose a model of at most"},
	} {
		p, err := Fit(c.want, c.mem, c.model)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || p.Context != c.context || p.Parallel != c.parallel || p.Positions != c.context*c.parallel || p.Threads != 3 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if left := c.mem.Available - p.Bytes; left < max(gib, c.mem.Total/5) {
			t.Errorf("%s: %d bytes are left", name, left)
		}
	}
	if p, _ := Fit(Want{Parallel: 2, Threads: 6}, Memory{8 * gib, 7 * gib, 1}, small); p.Parallel != 2 || p.Threads != 6 {
		t.Errorf("%+v", p)
	}
	if p, _ := Fit(Want{}, Memory{8 * gib, 7 * gib, 1}, small); p.Threads != 1 {
		t.Errorf("%+v", p)
	}
}
