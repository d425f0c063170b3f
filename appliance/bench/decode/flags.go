package decode

import (
	"fmt"
	"runtime"
	"time"
)

// Flags say what is measured, and where the report goes. Its fields are flags.
type Flags struct {
	Model     string        `help:"Measure this bundle with the exits it has. Without it the default model is measured, and random weights in the shape of Llama-3.2-1B." placeholder:"DIR" type:"path"`
	Exits     string        `help:"Place one or two exits above so many blocks. Without it they are at a quarter and half of the depth." placeholder:"A[,B]"`
	Threads   int           `help:"Compute with so many threads; 0 takes all cores, as nothing else should run." default:"0"`
	Poll      int           `help:"Have idle threads spin so eagerly, from 0 to 100." default:"0"`
	Prompt    int           `help:"Begin with a prompt of so many tokens." default:"256"`
	Tokens    int           `help:"Decode so many tokens in a turn." default:"16"`
	Rounds    int           `help:"Measure so many rounds at most; each gives every candidate one turn." default:"15"`
	Budget    time.Duration `help:"Take so long for each model once it is loaded; the first round is always finished." default:"80s"`
	Shortlist int           `help:"Give the exit heads with a short list so many tokens." default:"8192"`
	Seed      uint64        `help:"Draw the order of turns with this seed." default:"1"`
	NoPeer    bool          `help:"Leave llama.cpp's own build out."`
	Quick     bool          `help:"Leave the shape of Llama-3.2-1B out, which takes 2 GB of memory and of the cache."`
	Out       string        `help:"Also write bench.json, bench.txt, bench.md and the plots to this directory." placeholder:"DIR" type:"path"`
	JSON      bool          `name:"json" help:"Print the result as JSON."`
}

// Options checks the flags before anything is loaded, but for the exits, which depend on the
// model.
func (f *Flags) Options() (Options, error) {
	o := Options{Threads: f.Threads, Poll: f.Poll, Prompt: f.Prompt, Decode: f.Tokens, Rounds: f.Rounds, Budget: f.Budget, Seed: f.Seed, Shortlist: f.Shortlist}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	for _, n := range []struct {
		flag      string
		v, lo, hi int
	}{
		{"threads", o.Threads, 1, 512}, {"poll", o.Poll, 0, 100}, {"prompt", o.Prompt, 16, 4096}, {"tokens", o.Decode, 1, 4096},
		{"rounds", o.Rounds, 1, 1 << 20}, {"shortlist", o.Shortlist, 1, 1 << 20},
	} {
		if n.v < n.lo || n.v > n.hi {
			return o, fmt.Errorf("--%s is %d: choose %d to %d", n.flag, n.v, n.lo, n.hi)
		}
	}
	if o.Budget <= 0 {
		return o, fmt.Errorf("--budget is %s: choose a time, as 80s", o.Budget)
	}
	return o, nil
}
