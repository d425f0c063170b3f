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

	Mode      string  `help:"collaborative, standalone or unsplit." default:"collaborative"`
	Threshold *string `help:"Confidence from which an exit is believed: T, or T1,T2 by exit; above 1 is never reached. Default: what calibration found, else 0.99." placeholder:"T[,T2]"`
	OnLoss    string  `help:"When the cloud is lost: alone (the board finishes) or stop." default:"alone"`
	MaxTokens int     `help:"End the answer after so many tokens; 0: no limit." default:"256"`
	Seed      uint64  `help:"Seed of the sampler; the same seed gives the same text in every mode." default:"1"`
	Temp      float32 `name:"temperature" help:"0 takes the likeliest token." default:"0"`
	TopK      int     `help:"Sample among the K likeliest; 0: all." default:"40"`
	TopP      float32 `help:"Sample among the likeliest with this much probability." default:"0.95"`
	MinP      float32 `help:"Sample among tokens at least this likely relative to the best." default:"0.05"`
	System    string  `help:"A system message before the prompt."`
	IgnoreEnd bool    `name:"ignore-end" help:"Go on past the end of the answer, up to --max-tokens."`
	Raw       bool    `help:"Give the model the prompt as it is, without the chat template."`

	Cloud   string `help:"Ask the cloud partition at this address; without it one is started here for the time of the run." placeholder:"HOST:PORT"`
	Link    string `help:"Put an emulated link before the cloud, as rtt=80ms,rate=2mbit,loss=1%." placeholder:"SPEC"`
	Bundle  string `help:"The bundle to run; without it the default model is fetched and split." placeholder:"DIR" type:"path"`
	State   string `help:"Where certificates are kept." placeholder:"DIR" type:"path"`
	Context int    `help:"Positions the context holds." default:"4096"`
	Threads int    `help:"Threads that compute; 0: the cores less one, so that a cloud here has one too." default:"0"`
	JSON    bool   `name:"json" help:"One JSON object instead of text."`
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
	out.view = newTinter(out, opt.Mode, c.JSON)
	if chat {
		return c.chat(ctx, out, b, opt)
	}
	a, err := c.answer(ctx, out, b, c.messages(prompt), opt)
	if err != nil {
		return err
	}
	return c.verdict(a, b)
}

// options of the answer, checked before anything is loaded.
func (c *runCmd) options() (decode.Options, error) {
	o := decode.Options{Mode: decode.Mode(c.Mode), MaxTokens: c.MaxTokens, OnLoss: decode.OnLoss(c.OnLoss), IgnoreEnd: c.IgnoreEnd,
		Sampling: engine.Sampling{Seed: c.Seed, Temperature: c.Temp}}
	if c.Temp > 0 {
		o.Sampling.TopK, o.Sampling.TopP, o.Sampling.MinP = c.TopK, c.TopP, c.MinP
	}
	if c.Threshold != nil { // else each exit has its own
		for t := range strings.SplitSeq(*c.Threshold, ",") {
			v, err := strconv.ParseFloat(strings.TrimSpace(t), 64)
			if err != nil {
				return o, fmt.Errorf("--threshold %q: give a number, or two with a comma", *c.Threshold)
			}
			o.Thresholds = append(o.Thresholds, v)
		}
	}
	if c.Context < 16 {
		return o, fmt.Errorf("--context is %d: choose 16 or more", c.Context)
	}
	if c.Threads < 0 {
		return o, fmt.Errorf("--threads is %d: choose 0 (automatic) or more", c.Threads)
	}
	if o.Mode != decode.Collaborative && (c.Cloud != "" || c.Link != "") {
		return o, fmt.Errorf("mode %s never asks a cloud: leave out --cloud and --link", c.Mode)
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
	a, err := b.session.Generate(ctx, ids, opt, out.view.token)
	out.view.end()
	if err != nil {
		return a, err
	}
	stats := b.linkStats()
	if c.JSON {
		return a, writeReport(out.stdout, c.Mode, a, b, stats)
	}
	if a.Finish == decode.FinishCancel {
		out.note("(stopped)")
	}
	if a.Lost != nil && !b.saidLost {
		out.note("%s", lostLine(a.Lost))
		b.saidLost = true
	}
	out.note("%s", closingLine(a, stats))
	return a, nil
}

// verdict turns how the answer ended into an exit code.
func (c *runCmd) verdict(a decode.Answer, b *boardSide) error {
	switch {
	case a.Finish == decode.FinishCancel:
		return &exitCode{code: 130}
	case a.Lost != nil || b.degraded:
		return &exitCode{code: exitDegraded}
	}
	return nil
}

func lostLine(err error) string {
	return fmt.Sprintf("cloud lost (%s): the board finished the answer alone", oneLine(err))
}

// chat answers line after line. Ctrl-C ends an answer, and between answers the
// chat, as Ctrl-D does.
func (c *runCmd) chat(ctx context.Context, out *console, b *boardSide, opt decode.Options) error {
	out.note("Chat with %s. Ctrl-C stops an answer; Ctrl-D or /bye ends.", b.name)
	signal.Reset(os.Interrupt) // from ending the program to ending an answer
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	lines := readLines(out.stdin)
	messages := c.messages("")
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
		a, err := c.turn(ctx, interrupts, out, b, asked, opt)
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

// turn is one answer of a chat, ended by an interrupt.
func (c *runCmd) turn(ctx context.Context, interrupts <-chan os.Signal, out *console, b *boardSide, m []engine.Message, opt decode.Options) (decode.Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-interrupts:
			cancel()
		case <-ctx.Done():
		}
	}()
	a, err := c.answer(ctx, out, b, m, opt)
	cancel()
	<-done
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
