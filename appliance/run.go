package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"skerry/appliance/decode"
	"skerry/appliance/engine"
)

type runCmd struct {
	Prompt []string `arg:"" optional:"" help:"The prompt; without one it is read from stdin, or a chat begins."`

	Mode            string        `help:"collaborative, standalone or unsplit; or a baseline: cloud-only, naive, paper." default:"collaborative"`
	Threshold       *string       `help:"Confidence from which an exit is believed: T, or T1,T2 by exit; above 1 is never reached. Default: what calibration found, else 0.99." placeholder:"T[,T2]"`
	OnLoss          string        `help:"While the cloud is lost: alone (the board goes on), wait, or stop." default:"alone"`
	MaxTokenLatency time.Duration `name:"max-token-latency" help:"Past this time after the last token the board says its own; 0: wait for the cloud however long it takes." default:"0" placeholder:"TIME"`
	MaxTokens       int           `help:"End the answer after so many tokens; 0: no limit." default:"256"`
	Seed            uint64        `help:"Seed of the sampler; the same seed gives the same text in every mode." default:"1"`
	Temp            float32       `name:"temperature" help:"0 takes the likeliest token." default:"0"`
	TopK            int           `help:"Sample among the K likeliest; 0: all." default:"40"`
	TopP            float32       `help:"Sample among the likeliest with this much probability." default:"0.95"`
	MinP            float32       `help:"Sample among tokens at least this likely relative to the best." default:"0.05"`
	System          string        `help:"A system message before the prompt."`
	IgnoreEnd       bool          `name:"ignore-end" help:"Go on past the end of the answer, up to --max-tokens."`
	Raw             bool          `help:"Give the model the prompt as it is, without the chat template."`

	Cloud   string `help:"Ask the cloud partition at this address. Default: the one this board is enrolled with, else one that is started here for the time of the run." placeholder:"HOST:PORT"`
	Link    string `help:"Put an emulated link before the cloud, as rtt=80ms,rate=2mbit,loss=1%." placeholder:"SPEC"`
	Eager   bool   `help:"Ask once exit 1 is unsure, before exit 2 is computed: sooner, and for nothing where exit 2 is sure."`
	Bundle  string `help:"The bundle to run; without it the default model is fetched and split." placeholder:"DIR" type:"path"`
	State   string `help:"Where certificates, sessions and counted bytes are kept." placeholder:"DIR" type:"path"`
	Context int    `help:"Positions the context holds." default:"4096"`
	Threads int    `help:"Threads that compute; 0: the cores less one, so that a cloud here has one too." default:"0"`
	JSON    bool   `name:"json" help:"One JSON object instead of text."`
	Events  bool   `help:"A line of JSON for every token as it is said, with begin and end."`

	Session    string `help:"Keep the conversation under this name for a day: an answer that was cut goes on where it was, and a later run asks on." placeholder:"NAME"`
	MonthlyMB  uint64 `name:"monthly-mb" help:"The link is metered: at most so many megabytes (10^6 bytes) a month, counted in the state directory. Once half are spent f32 is refused, once all are the board is alone. 0: not metered." default:"0" placeholder:"N"`
	Encoding   string `help:"Hidden states go up as f32 (exact), f16 (half the bytes) or q8 (a quarter)." default:"f32" enum:"f32,f16,q8"`
	Durability string `help:"Tokens of a session are written down in groups: auto, or fast with longer ones; or one by one: strict." default:"auto" enum:"auto,strict,fast"`
}

func (c *runCmd) Run(ctx context.Context, out *console) error {
	opt, err := c.options()
	if err != nil {
		return usageError("%w", err)
	}
	prompt, chat, err := c.prompt(out)
	if err != nil {
		return err
	}
	b, err := openBoard(ctx, out, c)
	if err != nil {
		return err
	}
	defer b.close()
	out.view = newTinter(out, opt.Mode, c.JSON || c.Events)
	if chat {
		return c.chat(ctx, out, b, opt)
	}
	a, err := c.single(ctx, out, b, prompt, opt)
	if err != nil {
		return err
	}
	return c.verdict(a, b)
}

// single is the one answer of a run, or the rest of it where an earlier run was
// cut.
func (c *runCmd) single(ctx context.Context, out *console, b *boardSide, prompt string, opt decode.Options) (decode.Answer, error) {
	if !b.cut() {
		return c.answer(ctx, out, b, b.asked(c, prompt), opt)
	}
	if q := b.journal.question(); prompt != q {
		return decode.Answer{}, usageError("session %s has an answer that was cut, to %.60q: ask that again to have it finished, or begin another session", c.Session, q)
	}
	return c.resume(ctx, out, b, opt)
}

// neverReached stands for any threshold that no confidence reaches, so that a
// session can write down an infinite one.
const neverReached = 2

// options of the answer, checked before anything is loaded.
func (c *runCmd) options() (decode.Options, error) {
	o := decode.Options{Mode: decode.Mode(c.Mode), MaxTokens: c.MaxTokens, OnLoss: decode.OnLoss(c.OnLoss), IgnoreEnd: c.IgnoreEnd, Eager: c.Eager,
		MaxTokenLatency: c.MaxTokenLatency,
		Sampling:        engine.Sampling{Seed: c.Seed, Temperature: c.Temp}}
	if c.Temp > 0 {
		o.Sampling.TopK, o.Sampling.TopP, o.Sampling.MinP = c.TopK, c.TopP, c.MinP
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
	if c.Context < 16 {
		return o, fmt.Errorf("--context is %d: choose 16 or more", c.Context)
	}
	if c.Threads < 0 {
		return o, fmt.Errorf("--threads is %d: choose 0 (automatic) or more", c.Threads)
	}
	if !o.Mode.NeedsCloud() && (c.Cloud != "" || c.Link != "") {
		return o, fmt.Errorf("mode %s never asks a cloud: leave out --cloud and --link", c.Mode)
	}
	if o.Mode != decode.Collaborative && c.Encoding != "f32" {
		return o, fmt.Errorf("mode %s has an encoding of its own: leave out --encoding", c.Mode)
	}
	if c.MonthlyMB > 1e9 {
		return o, fmt.Errorf("--monthly-mb is %d: choose at most 1000000000, or 0 for a link that is not metered", c.MonthlyMB)
	}
	if c.Session != "" && !o.Mode.Exits() && o.Mode != decode.Unsplit {
		return o, fmt.Errorf("mode %s is a baseline and keeps no session: leave out --session", c.Mode)
	}
	if o.Mode != decode.Collaborative && c.MaxTokenLatency > 0 {
		return o, fmt.Errorf("mode %s has no deadline: leave out --max-token-latency", c.Mode)
	}
	return o, o.Check()
}

// prompt from the arguments, else from stdin where it is not a terminal, else a
// chat. Arguments win: a script that has something on stdin may still pass one.
func (c *runCmd) prompt(out *console) (prompt string, chat bool, err error) {
	if len(c.Prompt) > 0 {
		prompt = strings.Join(c.Prompt, " ")
	} else if term.IsTerminal(int(out.stdin.Fd())) {
		return "", true, nil
	} else {
		data, err := io.ReadAll(io.LimitReader(out.stdin, 16<<20))
		if err != nil {
			return "", false, fmt.Errorf("reading the prompt from stdin: %w", err)
		}
		prompt = strings.TrimSuffix(string(data), "\n")
	}
	if strings.TrimSpace(prompt) == "" {
		return "", false, usageError("the prompt is empty: give one as argument or on stdin")
	}
	return prompt, false, nil
}

func (c *runCmd) messages(prompt string) []engine.Message {
	var m []engine.Message
	if c.System != "" {
		m = append(m, engine.Message{Role: "system", Content: c.System})
	}
	return append(m, engine.Message{Role: "user", Content: prompt})
}

// tokens renders messages by the chat template, or with --raw the last as it is.
func (c *runCmd) tokens(v *engine.Vocab, messages []engine.Message) ([]int32, error) {
	if c.Raw {
		return v.Tokenize(messages[len(messages)-1].Content, true, false)
	}
	text, err := v.Chat(messages)
	if err != nil {
		return nil, err
	}
	return v.Tokenize(text, true, true)
}

// answer decodes one answer and prints it.
func (c *runCmd) answer(ctx context.Context, out *console, b *boardSide, messages []engine.Message, opt decode.Options) (decode.Answer, error) {
	ids, err := c.tokens(b.vocab, messages)
	if err != nil {
		return decode.Answer{}, err
	}
	// One that is too long is refused below, and must not cost the session.
	if b.journal != nil && len(ids) < b.context {
		if err := b.note(messages, ids, opt); err != nil {
			return decode.Answer{}, err
		}
	}
	return c.generate(ctx, out, b, ids, opt)
}

// generate decodes an answer, keeps it in the journal and prints it.
func (c *runCmd) generate(ctx context.Context, out *console, b *boardSide, ids []int32, opt decode.Options) (decode.Answer, error) {
	var ev *events
	if c.Events {
		ev = newEvents(out.stdout)
		ev.begin(c.Session, len(ids), opt.Said)
	}
	a, err := c.decode(ctx, out, b, ids, opt, ev)
	out.view.end()
	a.Text = b.text(opt.Said) + a.Text
	if b.journal != nil {
		err = errors.Join(err, b.journal.finish(a.Finish, a.Text))
		if a.Finish == decode.FinishLost {
			err = fmt.Errorf("%w (run the same command again to go on)", err)
		}
	}
	if err != nil {
		return a, err
	}
	return a, c.sum(out, b, a, opt, ev)
}

// decode says the tokens of an answer that are still to come.
func (c *runCmd) decode(ctx context.Context, out *console, b *boardSide, ids []int32, opt decode.Options, ev *events) (decode.Answer, error) {
	if f := b.whole(opt); f != "" {
		return decode.Answer{Finish: f, PromptTokens: len(ids)}, nil
	}
	pos := len(ids) + len(opt.Said)
	return b.session.Generate(ctx, ids, opt, func(t decode.Token) {
		if b.journal != nil {
			b.journal.say(pos, t.ID)
			pos++
		}
		if b.cloud != nil {
			b.cloud.count(t.Source)
		}
		if ev != nil {
			ev.token(t)
		}
		out.view.token(t)
	})
}

// sum says how an answer went.
func (c *runCmd) sum(out *console, b *boardSide, a decode.Answer, opt decode.Options, ev *events) error {
	stats := b.linkStats()
	switch {
	case c.Events:
		ev.end(a)
		return nil
	case c.JSON:
		return writeReport(out.stdout, c.Mode, a, b, stats, len(opt.Said))
	}
	if a.Finish == decode.FinishCancel {
		how := "(stopped)"
		if b.cut() && !b.chatting {
			how = "(stopped; the same command goes on with it)"
		}
		out.note("%s", how)
	}
	if a.Lost != nil && !b.saidLost {
		out.note("%s", lostLine(a))
	}
	b.saidLost = a.Lost != nil && a.Resumed == 0
	out.note("%s", closingLine(a, stats))
	return nil
}

// verdict turns how the answer ended into an exit code.
func (c *runCmd) verdict(a decode.Answer, b *boardSide) error {
	switch {
	case a.Finish == decode.FinishCancel:
		return &exitCode{code: 130}
	case b.degraded || a.Lost != nil && (a.Resumed == 0 || bySource(a.Tokens)[decode.Fallback] > 0):
		return &exitCode{code: exitDegraded}
	}
	return nil
}

func lostLine(a decode.Answer) string {
	what := "the board finished the answer alone"
	if a.Resumed > 0 {
		what = fmt.Sprintf("it was back %s later in the answer", times(a.Resumed))
	}
	return fmt.Sprintf("cloud lost (%s): %s", oneLine(a.Lost), what)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// chat answers line after line. Ctrl-C ends an answer, and between answers the
// chat, as Ctrl-D does.
func (c *runCmd) chat(ctx context.Context, out *console, b *boardSide, opt decode.Options) error {
	out.note("Chat with %s. Ctrl-C stops an answer; Ctrl-D or /bye ends.", b.name)
	signal.Reset(os.Interrupt) // from ending the program to ending an answer
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	b.chatting = true
	if b.cut() {
		out.note("> %s", b.journal.question())
		if _, err := c.turn(ctx, interrupts, b, func(ctx context.Context) (decode.Answer, error) { return c.resume(ctx, out, b, opt) }); err != nil {
			return err
		}
	}
	lines := readLines(out.stdin)
	messages := b.asked(c, "")
	messages = messages[:len(messages)-1]
	for {
		fmt.Fprint(out.stderr, "> ")
		line := "/bye"
		select {
		case <-ctx.Done():
		case <-interrupts:
		case l, ok := <-lines:
			if ok {
				line = strings.TrimSpace(l)
			}
		}
		switch line {
		case "/bye":
			out.note("")
			return nil
		case "":
			continue
		}
		asked := append(messages, engine.Message{Role: "user", Content: line})
		a, err := c.turn(ctx, interrupts, b, func(ctx context.Context) (decode.Answer, error) { return c.answer(ctx, out, b, asked, opt) })
		switch {
		case errors.Is(err, decode.ErrPromptTooLong):
			out.note("skerry: %s", oneLine(err))
			continue
		case err != nil:
			return err
		}
		messages = append(asked, engine.Message{Role: "assistant", Content: a.Text})
	}
}

// turn is one answer of a chat, ended for good by an interrupt.
func (c *runCmd) turn(all context.Context, interrupts <-chan os.Signal, b *boardSide, answer func(context.Context) (decode.Answer, error)) (decode.Answer, error) {
	ctx, cancel := context.WithCancel(all)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-interrupts:
			cancel()
		case <-ctx.Done():
		}
	}()
	a, err := answer(ctx)
	cancel()
	<-done
	if err == nil && b.journal != nil && all.Err() == nil {
		err = b.journal.giveUp(a.Text)
	}
	return a, err
}

// readLines sends stdin's lines and closes the channel at its end. The reader
// cannot be interrupted and ends with the process.
func readLines(r io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		s := bufio.NewScanner(r)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			lines <- s.Text()
		}
	}()
	return lines
}

// rss is the resident set of a process in bytes, 0 where it cannot be read.
func rss(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

func seconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e6 }
