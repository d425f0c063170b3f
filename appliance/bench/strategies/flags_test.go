package strategies

import (
	"strings"
	"testing"
)

// Without flags there are modes and a link to measure, and a simulation has the link of its
// paper; what is wrong is told by the name of its flag.
func TestFlags(t *testing.T) {
	fine := func() Flags { return Flags{MaxTokens: 48, Rounds: 3} }
	f := fine()
	o, setting, err := f.Options()
	if err != nil || setting != nil || len(o.Variants) != len(Default) || len(o.Links) != 1 || !o.Links[0].InT {
		t.Errorf("%+v, %v, %v", o, setting, err)
	}
	f.Simulate, f.Sweep = "T=35ms,m=0.05", true
	if o, setting, err = f.Options(); err != nil || setting == nil || len(o.Links) != len(sweep) {
		t.Errorf("%+v, %v, %v", o, setting, err)
	}
	for want, change := range map[string]func(*Flags){
		"--max-tokens 0": func(f *Flags) { f.MaxTokens = 0 }, "--edge-slowdown is 0.5": func(f *Flags) { f.Slowdown = []float64{0.5} },
		"--modes: ": func(f *Flags) { f.Modes = []string{"fastest"} }, "--link: ": func(f *Flags) { f.Link = []string{"rtt=T"} },
		"--sweep takes one --link": func(f *Flags) { f.Sweep, f.Link = true, []string{"rtt=1ms", "rtt=2ms"} },
		"--simulate: ":             func(f *Flags) { f.Simulate = "T=fast" },
	} {
		f := fine()
		change(&f)
		if _, _, err := f.Options(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
