package strategies

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"skerry/appliance/bench/strategies/sim"
)

// Flags say what is measured, and where the report goes. Its fields are flags.
type Flags struct {
	Model     string        `help:"Measure this bundle instead of the default model's." placeholder:"DIR" type:"path"`
	Link      []string      `help:"Measure over this emulated link, as rtt=3ms,rate=30mbit. An RTT may be given in passes of the cloud, as rtt=0.1T. It may be repeated." sep:"none" placeholder:"SPEC"`
	Prompts   string        `help:"Ask the prompts of this file, one a line, instead of the eight that are built in." placeholder:"FILE" type:"existingfile"`
	Modes     []string      `help:"Measure these of ${strategies}. Collaborative may have -f16, another threshold as -t0.9, or several of these joined. Cloud-only is always among them; auto is the one predicted to be the fastest." placeholder:"A,B"`
	MaxTokens int           `help:"Say so many tokens after each prompt." default:"48"`
	Rounds    int           `help:"Measure so many rounds; each gives every mode one turn over all prompts." default:"3"`
	Slowdown  []float64     `name:"edge-slowdown" help:"Stretch the time that the edge computes by this factor, by sleeping. That is an emulation. Of several, as 1,3,20, each has a table." placeholder:"X,Y"`
	Sweep     bool          `help:"Measure with RTTs from 0 to 5 passes of the cloud, and plot the result."`
	Simulate  string        `help:"Replay the tokens through a cloud and an edge of given cost instead, as T=35ms,m=0.05. It also takes slow=, width=, a= and b= (depths of the exits) and h= (cost of a head) and d= (of a drafted token)." placeholder:"SPEC"`
	Clients   []int         `help:"Measure instead how many clients one cloud serves in each mode as fast as it serves so many of the whole model, whose boards are played. A simulation takes the numbers too." placeholder:"N,M"`
	ClientFor time.Duration `name:"client-time" help:"Measure each number of clients for so long." default:"20s"`
	Record    string        `help:"Keep in this file what the models say to the prompts, and take from it what it has: a simulation that finds all there loads no model." placeholder:"FILE" type:"path"`
	State     string        `help:"Keep certificates in this directory." placeholder:"DIR" type:"path"`
	Seed      uint64        `help:"Draw the order of turns with this seed." default:"1"`
	Out       string        `help:"Also write strategies.json, .txt, .md and the plot to this directory." placeholder:"DIR" type:"path"`
	Name      string        `help:"Give the files in --out this name." default:"strategies"`
	JSON      bool          `name:"json" help:"Print the result as JSON."`
}

// defaultLinks are what a run and a simulation take without --link.
const (
	defaultLink = "rtt=0.1T,rate=30mbit"
	paperLink   = "rtt=3ms,rate=30mbit"
)

// Options checks the flags before anything is loaded, but for the file of prompts, which
// Texts reads. The setting is that of a simulation, nil without one.
func (f *Flags) Options() (o Options, setting *sim.Setting, err error) {
	o = Options{MaxTokens: f.MaxTokens, Rounds: f.Rounds, Slow: f.Slowdown, Seed: f.Seed, Serve: f.Clients, ServeFor: f.ClientFor}
	if f.MaxTokens < 1 || f.MaxTokens > 4096 || f.Rounds < 1 || f.Rounds > 1000 {
		return o, nil, fmt.Errorf("--max-tokens %d --rounds %d: choose at least 1 of either, at most 4096 tokens", f.MaxTokens, f.Rounds)
	}
	for _, slow := range f.Slowdown {
		if !(slow >= 1 && slow <= 1000) {
			return o, nil, fmt.Errorf("--edge-slowdown is %g: choose 1 (this machine) to 1000", slow)
		}
	}
	for _, n := range f.Clients {
		if n < 1 || n > MostServed {
			return o, nil, fmt.Errorf("--clients is %d: choose 1 to %d", n, MostServed)
		}
	}
	if len(f.Clients) > 0 && (f.ClientFor < time.Second || f.ClientFor > time.Hour) {
		return o, nil, fmt.Errorf("--client-time is %s: choose 1s to 1h", f.ClientFor)
	}
	names := f.Modes
	if len(names) == 0 {
		names = Default
	}
	if o.Variants, err = ParseVariants(names); err != nil {
		return o, nil, fmt.Errorf("--modes: %w", err)
	}
	texts := f.Link
	if len(texts) == 0 {
		if texts = []string{defaultLink}; f.Simulate != "" {
			texts = []string{paperLink}
		}
	}
	for _, text := range texts {
		l, err := ParseLink(text)
		if err != nil {
			return o, nil, fmt.Errorf("--link: %w", err)
		}
		if o.Links = append(o.Links, l); f.Sweep {
			o.Links = l.Sweep()
		}
	}
	if f.Sweep && len(texts) > 1 {
		return o, nil, errors.New("--sweep takes one --link, for its rate and loss")
	}
	if f.Simulate == "" {
		return o, nil, nil
	}
	s := sim.Paper()
	if s, err = sim.Parse(f.Simulate, s); err != nil {
		return o, nil, fmt.Errorf("--simulate: %w", err)
	}
	return o, &s, nil
}

// Texts of the prompts.
func (f *Flags) Texts() ([]string, error) {
	text := ""
	if f.Prompts != "" {
		data, err := os.ReadFile(f.Prompts)
		if err != nil {
			return nil, err
		}
		if text = string(data); strings.TrimSpace(text) == "" {
			return nil, fmt.Errorf("%s: it is empty: write one prompt a line", f.Prompts)
		}
	}
	return Prompts(text), nil
}
