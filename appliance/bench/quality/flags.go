package quality

import "fmt"

// Flags say what is asked in which modes, and how it is told. Its fields are flags.
type Flags struct {
	Task       string   `required:"" help:"Ask these questions: a task of ours (${quality_tasks}, or all), or a file in our form or that of Alpaca, XSum, BoolQ, QuAC or IMDB." placeholder:"NAME|FILE"`
	Modes      []string `help:"Measure these of unsplit, ${strategies}. Collaborative may have another threshold, as -t0.9. Unsplit is always among them; by default they are ${quality_modes}." placeholder:"A,B"`
	Model      string   `help:"Measure this bundle instead of the default model's." placeholder:"DIR" type:"path"`
	MaxTokens  int      `help:"Say at most so many tokens in an answer; 0: what is usual for the task." default:"0"`
	Limit      int      `help:"Ask so many entries of each task at most; 0: all." default:"0"`
	Seed       uint64   `help:"Draw the intervals' resamples with this seed." default:"1"`
	Unconfined bool     `help:"Run the programs of a code task without namespaces, with the network and your files in their reach."`
	State      string   `help:"Keep certificates in this directory." placeholder:"DIR" type:"path"`
	JSON       bool     `name:"json" help:"Print the result as JSON."`
}

// Options checks the flags and reads the tasks before a model is loaded, which the options
// lack.
func (f *Flags) Options() (o Options, err error) {
	o = Options{MaxTokens: f.MaxTokens, Limit: f.Limit, Seed: f.Seed, Unconfined: f.Unconfined}
	if o.Modes, err = ParseModes(f.Modes); err != nil {
		return o, fmt.Errorf("--modes: %w", err)
	}
	if f.MaxTokens < 0 || f.MaxTokens > 4096 || f.Limit < 0 {
		return o, fmt.Errorf("--max-tokens %d --limit %d: choose 0 to 4096 tokens, and a limit of 0 (none) or more", f.MaxTokens, f.Limit)
	}
	if o.Tasks, err = Load(f.Task, f.Limit); err != nil {
		return o, fmt.Errorf("--task: %w", err)
	}
	return o, nil
}
