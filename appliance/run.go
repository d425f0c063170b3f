package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"skerry/appliance/cli"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/cloudlink/linksim"
	"skerry/storage"
)

type runCmd struct {
	Prompt []string `arg:"" optional:"" help:"Answer this prompt. Without one it is read from stdin, or a chat begins."`

	Mode            string        `help:"Answer in this mode: ${modes}." default:"collaborative"`
	Threshold       *string       `help:"Believe an exit from this confidence on: T, or T1,T2 by exit; above 1 is never reached. Without it that is what calibration found, else 0.99." placeholder:"T[,T2]"`
	ExitPolicy      string        `help:"Believe an exit by this rule: ${policies}." placeholder:"RULE" hidden:""`
	OnLoss          string        `help:"While the cloud is lost, go on alone (with the whole model where memory has room for it, else the answer ends), wait, or stop." default:"alone"`
	MaxTokenLatency time.Duration `name:"max-token-latency" help:"Have the board say its own token past this time after the last one; 0 waits for the cloud however long it takes." default:"0" placeholder:"TIME"`
	MaxTokens       int           `help:"End the answer after so many tokens; 0 sets no limit." default:"256"`
	Seed            uint64        `help:"Draw tokens with this seed; the same seed gives the same text in every mode." default:"1"`
	Temp            float32       `name:"temperature" help:"Sample at this temperature; 0 takes the likeliest token." default:"0"`
	TopK            int           `help:"Sample among the K likeliest; 0 takes all." default:"40"`
	TopP            float32       `help:"Sample among the likeliest with this much probability; 0 takes all." default:"0.95"`
	MinP            float32       `help:"Sample among tokens at least this likely relative to the best." default:"0.05"`
	System          string        `help:"Put this system message before the prompt."`
	IgnoreEnd       bool          `name:"ignore-end" help:"Go on past the end of the answer, up to --max-tokens."`
	Raw             bool          `help:"Give the model the prompt as it is, without the chat template; control tokens in it, as <|fim_prefix|>, are meant."`

	Cloud   string `help:"Ask the cloud partition at this address. Without it that is the one this board is enrolled with, else one that is started here for the time of the run." placeholder:"HOST:PORT"`
	Link    string `help:"Put an emulated link before the cloud, as rtt=80ms,rate=2mbit,loss=1%." placeholder:"SPEC"`
	Eager   bool   `help:"Ask once exit 1 is unsure, before exit 2 is computed: sooner, and for nothing where exit 2 is sure."`
	Draft   string `help:"Have the whole model check drafted tokens several at a time, in modes whose text is the same without: where that is faster (auto), never (off), of what followed the same words before (lookup), or of the bundle's draft model (model)." default:"auto" enum:"auto,off,lookup,model"`
	Bundle  string `help:"Run this bundle. Without it the default model is fetched and split." placeholder:"DIR" type:"path"`
	Split   bool   `help:"Make a bundle in the cache, once, if --bundle is a GGUF."`
	State   string `help:"Keep certificates, sessions and counted bytes in this directory." placeholder:"DIR" type:"path"`
	Context int    `help:"Let the context hold so many positions." default:"4096"`
	Threads int    `help:"Compute with so many threads; 0 takes all cores but one, so that a cloud here has one too." default:"0"`
	JSON    bool   `name:"json" help:"Print one JSON object instead of text."`
	Events  bool   `help:"Print a line of JSON for every token as it is said, with begin and end."`

	Session    string `help:"Keep the conversation under this name for a day: an answer that was cut goes on where it was, one whose end was not written is given again, and a later run asks on. Where a daemon has the state directory, the daemon answers." placeholder:"NAME"`
	Again      bool   `help:"Ask anew where the session's last answer was cut or not written to its end; what there is of it is dropped."`
	MonthlyMB  uint64 `name:"monthly-mb" help:"Send and receive at most so many megabytes (10^6 bytes) a month, counted in the state directory. Once half are spent f32 is refused, once all are the board is alone; 0 sets no bound." default:"0" placeholder:"N"`
	Encoding   string `help:"Send hidden states as ${encodingsHelp}." default:"f32" enum:"${encodings}"`
	Durability string `help:"Write the tokens of a session down in groups (auto, or fast with longer ones) or one by one (strict)." default:"auto" enum:"auto,strict,fast"`
}

func (c *runCmd) Run(ctx context.Context, out *cli.Console) (err error) {
	opt, err := c.options()
	if err != nil {
		return cli.Usagef("%w", err)
	}
	prompt, chat, err := c.prompt(out)
	if err != nil {
		return err
	}
	r := &conversation{runCmd: c, out: out, opt: opt}
	defer func() {
		if e := r.close(); err == nil {
			err = e
		}
	}()
	if err := r.open(ctx); err != nil {
		return err
	}
	if chat {
		return r.chat(ctx)
	}
	a, err := r.answer(ctx, func(ctx context.Context) (infer.Answer, error) { return r.ask(ctx, prompt) })
	if err != nil {
		return err
	}
	return r.verdict(a)
}

// neverReached stands for any threshold that no confidence reaches, so that a
// session can write down an infinite one.
const neverReached = 2

// options of the answer, checked before anything is loaded.
func (c *runCmd) options() (decode.Options, error) {
	o := decode.Options{Mode: infer.Mode(c.Mode), MaxTokens: c.MaxTokens, OnLoss: infer.OnLoss(c.OnLoss), IgnoreEnd: c.IgnoreEnd, Eager: c.Eager, Draft: infer.Drafting(c.Draft),
		MaxTokenLatency: c.MaxTokenLatency, Policy: c.ExitPolicy,
		Sampling: infer.Sampling{Seed: c.Seed, Temperature: c.Temp, TopK: c.TopK, TopP: c.TopP, MinP: c.MinP}}
	if err := o.Sampling.Check(); err != nil { // which names the field that the flag is
		return o, errors.New("--" + strings.Replace(err.Error(), "_", "-", 1))
	}
	if c.Temp == 0 { // nothing of them has an effect
		o.Sampling.TopK, o.Sampling.TopP, o.Sampling.MinP = 0, 0, 0
	} else if c.TopP == 0 { // all, where a request's 0 is the likeliest token alone
		o.Sampling.TopP = 1
	}
	if c.Threshold != nil { // else each exit has its own
		for t := range strings.SplitSeq(*c.Threshold, ",") {
			v, err := strconv.ParseFloat(strings.TrimSpace(t), 64)
			if err != nil {
				return o, fmt.Errorf("--threshold %q: give a number, or two with a comma", *c.Threshold)
			}
			o.Thresholds = append(o.Thresholds, min(v, neverReached))
		}
	}
	if c.Link != "" {
		if _, err := linksim.Parse(c.Link); err != nil {
			return o, fmt.Errorf("--link: %w", err)
		}
	}
	if c.Cloud != "" {
		if _, _, err := net.SplitHostPort(c.Cloud); err != nil {
			return o, fmt.Errorf("--cloud %q: give HOST:PORT", c.Cloud)
		}
	}
	if c.Context < 16 {
		return o, fmt.Errorf("--context is %d: choose 16 or more", c.Context)
	}
	if c.Threads < 0 {
		return o, fmt.Errorf("--threads is %d: choose 0 (automatic) or more", c.Threads)
	}
	mode := decode.SpecOf(o.Mode)
	if mode.Name != "" && !mode.Cloud && (c.Cloud != "" || c.Link != "") {
		return o, fmt.Errorf("mode %s never asks a cloud: leave out --cloud and --link", c.Mode)
	}
	if !mode.Bounded && c.Encoding != "f32" {
		return o, fmt.Errorf("mode %s has an encoding of its own: leave out --encoding", c.Mode)
	}
	if c.MonthlyMB > 1e9 {
		return o, fmt.Errorf("--monthly-mb is %d: choose at most 1000000000, or 0 for a link that is not metered", c.MonthlyMB)
	}
	if c.Session != "" {
		if err := storage.CheckSession(c.Session); err != nil {
			return o, fmt.Errorf("--session: %w", err)
		}
	}
	if c.Again && c.Session == "" {
		return o, errors.New("--again is about a session: name it with --session")
	}
	if c.Session != "" && !mode.Exits && mode.Stages != decode.WholeModel {
		return o, fmt.Errorf("mode %s is a baseline and keeps no session: leave out --session", c.Mode)
	}
	if !mode.Bounded && c.MaxTokenLatency > 0 {
		return o, fmt.Errorf("mode %s has no deadline: leave out --max-token-latency", c.Mode)
	}
	return o, o.Check()
}

// prompt from the arguments, else from stdin where it is not a terminal, else a
// chat. Arguments win: a script that has something on stdin may still pass one.
func (c *runCmd) prompt(out *cli.Console) (prompt string, chat bool, err error) {
	if len(c.Prompt) > 0 {
		prompt = strings.Join(c.Prompt, " ")
	} else if term.IsTerminal(int(out.Stdin.Fd())) {
		return "", true, nil
	} else {
		data, err := io.ReadAll(io.LimitReader(out.Stdin, 16<<20))
		if err != nil {
			return "", false, fmt.Errorf("reading the prompt from stdin: %w", err)
		}
		prompt = strings.TrimSuffix(string(data), "\n")
	}
	if strings.TrimSpace(prompt) == "" {
		return "", false, cli.Usagef("the prompt is empty: give one as argument or on stdin")
	}
	return prompt, false, nil
}
