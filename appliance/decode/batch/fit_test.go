package batch

import (
	"strings"
	"testing"
)

// machine without limits.
func machine(total, available int64, cores int) Memory {
	return Memory{Total: total, Available: available, Cores: cores}
}

// A limit of the process bounds what it is given, however much the machine has; and
// what is not known is not 0.
func TestFitWithinLimits(t *testing.T) {
	const gib, mib = 1 << 30, 1 << 20
	model := Sizes{Weights: 100 * mib, Position: 24 << 10, Scratch: 100 * mib, Trained: 8192}
	limited := func(limits ...Limit) Memory {
		return Memory{Total: 24 * gib, Available: 20 * gib, Limits: limits, Cores: 4}
	}
	for name, c := range map[string]struct {
		want              Want
		mem               Memory
		context, parallel int
		err               []string // parts of it
	}{
		"no limit":          {Want{}, limited(), 8192, 4, nil},
		"a wide one":        {Want{}, limited(Limit{"cgroup /a", 10 * gib, 9 * gib}), 8192, 4, nil},
		"a narrow one":      {Want{}, limited(Limit{"cgroup /a", 400 * mib, 380 * mib}), 2048, 3, nil},
		"the narrowest":     {Want{}, limited(Limit{"cgroup /a/b", 4 * gib, 3 * gib}, Limit{"cgroup /a", 800 * mib, 360 * mib}), 2048, 2, nil},
		"full already":      {Want{}, limited(Limit{"cgroup /a", 400 * mib, 3 * mib}), 0, 0, []string{"3 MB of memory are free of cgroup /a, limited to 419 MB", "raise the limit"}},
		"more than fits":    {Want{Context: 8192, Parallel: 4}, limited(Limit{"cgroup /a", 400 * mib, 400 * mib}), 0, 0, []string{"limited to 419 MB", "set context to 1792 or less"}},
		"a machine smaller": {Want{}, Memory{Total: 2 * gib, Available: 14 * gib / 10, Limits: []Limit{{"cgroup /a", 2 * gib, 2 * gib}}, Cores: 4}, 4096, 2, nil},
		"nothing known":     {Want{}, Memory{Cores: 4}, 2048, 1, nil},
		"one thing asked":   {Want{Parallel: 3}, Memory{Cores: 4}, 2048, 3, nil},
		"all asked":         {Want{Context: 8192, Parallel: 4}, Memory{Cores: 4}, 8192, 4, nil},
		"beyond training":   {Want{Context: 9000}, Memory{Cores: 4}, 0, 0, []string{"trained with 8192"}},
		"only a limit":      {Want{}, Memory{Limits: []Limit{{"cgroup /a", 400 * mib, 380 * mib}}, Cores: 4}, 2048, 3, nil},
	} {
		p, err := Fit(c.want, c.mem, model)
		if len(c.err) > 0 {
			for _, part := range c.err {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("%s: %v, without %q", name, err, part)
				}
			}
			continue
		}
		if err != nil || p.Context != c.context || p.Parallel != c.parallel {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		for _, l := range c.mem.Limits {
			if p.Bytes > l.Free {
				t.Errorf("%s: %d MiB of %+v", name, p.Bytes>>20, l)
			}
		}
	}
}

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
		"all there is":     {Want{}, machine(8*gib, 7*gib, 4), small, 8192, 4, ""},
		"fewer at once":    {Want{}, machine(4*gib, 17*gib/10, 4), small, 8192, 2, ""},
		"less context":     {Want{}, machine(4*gib, 15*gib/10, 4), small, 4096, 3, ""},
		"one at once":      {Want{}, machine(4*gib, 36*gib/10, 4), large, 2048, 1, ""},
		"one as asked for": {Want{Parallel: 1}, machine(4*gib, 37*gib/10, 4), large, 4096, 1, ""},
		"trained for less": {Want{}, machine(8*gib, 7*gib, 4), Sizes{Weights: 1, Position: 1, Trained: 4095}, 2048, 4, ""},
		"trained for 512":  {Want{}, machine(8*gib, 7*gib, 4), Sizes{Weights: 1, Position: 1, Trained: 512}, 512, 4, ""},
		"asked for":        {Want{Context: 6000}, machine(8*gib, 7*gib, 4), small, 6000, 4, ""},
		"too much":         {Want{Context: 8192}, machine(4*gib, 37*gib/10, 4), large, 0, 0, "set context to 4096 or less"},
		"too many":         {Want{Context: 4096, Parallel: 2}, machine(4*gib, 37*gib/10, 4), large, 0, 0, "set context to 2048 or less"},
		"far too many":     {Want{Parallel: 16}, machine(4*gib, 37*gib/10, 4), large, 0, 0, "set context to 256 or less"},
		"one instead":      {Want{Parallel: 32}, machine(4*gib, 37*gib/10, 4), large, 0, 0, "set parallel to 1 and context to 4096 or less"},
		"beyond training":  {Want{Context: 9000}, machine(8*gib, 7*gib, 4), small, 0, 0, "trained with 8192"},
		"the last GiB":     {Want{}, machine(2*gib, 11*gib/10, 4), small, 0, 0, "1.1 GB stay untouched"},
		"a fifth of 32":    {Want{}, machine(32*gib, 7*gib, 4), large, 0, 0, "choose a model of at most"},
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
	if p, _ := Fit(Want{Parallel: 2, Threads: 6}, machine(8*gib, 7*gib, 1), small); p.Parallel != 2 || p.Threads != 6 {
		t.Errorf("%+v", p)
	}
	if p, _ := Fit(Want{}, machine(8*gib, 7*gib, 1), small); p.Threads != 1 {
		t.Errorf("%+v", p)
	}
}

// A second model beside the first costs conversations at once before it costs positions,
// and never the context; where there is no room it is left out.
func TestFitBeside(t *testing.T) {
	const gib, mib = 1 << 30, 1 << 20
	model := Sizes{Weights: 100 * mib, Position: 20 << 10, Scratch: 100 * mib, Trained: 8192}
	beside := Sizes{Weights: 100 * mib, Position: 20 << 10, Scratch: 10 * mib}
	for name, c := range map[string]struct {
		want                     Want
		mem                      Memory
		context, parallel, holds int
	}{
		"room for all":            {Want{}, machine(8*gib, 7*gib, 4), 8192, 4, 8192},
		"fewer at once":           {Want{}, machine(4*gib, 2*gib, 4), 8192, 2, 8192},
		"fewer positions":         {Want{Parallel: 4}, machine(4*gib, 43*gib/20, 4), 8192, 4, 2816},
		"as many as asked for":    {Want{Parallel: 4}, machine(4*gib, 19*gib/10, 4), 8192, 4, 0},
		"one at once":             {Want{}, machine(4*gib, 15*gib/10, 4), 4096, 1, 4096},
		"none":                    {Want{}, machine(4*gib, 13*gib/10, 4), 2048, 2, 0},
		"nothing known of memory": {Want{}, Memory{Cores: 4}, 2048, 1, 2048},
		"within a limit":          {Want{}, Memory{Total: 24 * gib, Available: 20 * gib, Limits: []Limit{{"cgroup /a", 600 * mib, 600 * mib}}}, 8192, 1, 5120},
	} {
		plan, err := Fit(c.want, c.mem, model)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, holds := FitBeside(plan, c.want, c.mem, model, beside)
		if got.Context != plan.Context || got.Positions != got.Context*got.Parallel || holds > got.Context {
			t.Errorf("%s: %+v of %+v, %d positions", name, got, plan, holds)
		}
		if got.Context != c.context || got.Parallel != c.parallel || holds != c.holds {
			t.Errorf("%s: context %d for each of %d, %d beside", name, got.Context, got.Parallel, holds)
		}
		room, known := c.mem.Room()
		if known && got.Bytes > room.Bytes {
			t.Errorf("%s: %d MiB of %d", name, got.Bytes>>20, room.Bytes>>20)
		}
	}
}
