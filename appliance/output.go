package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"skerry/appliance/decode"
	"skerry/appliance/engine"
)

// tints are the terminal colours by source: what the board said is coloured,
// what the full model said is plain, what nobody was sure of stands out.
var tints = map[decode.Source]string{
	decode.Exit1:    "\x1b[32m",   // green
	decode.Exit2:    "\x1b[36m",   // cyan
	decode.Fallback: "\x1b[33;4m", // yellow, underlined
}

const untint = "\x1b[0m"

// tinter prints tokens as they come: tinted by source on a terminal, plain
// elsewhere, not at all for JSON.
type tinter struct {
	out    *os.File
	colour bool
	quiet  bool
	any    bool
}

// speakers are the sources that a mode's tokens may have.
var speakers = map[decode.Mode][]decode.Source{
	decode.Standalone:    {decode.Exit1, decode.Exit2},
	decode.Collaborative: {decode.Exit1, decode.Exit2, decode.FromCloud, decode.Fallback},
	decode.Unsplit:       {decode.FromUnsplit},
}

func newTinter(c *console, mode decode.Mode, quiet bool) *tinter {
	t := &tinter{out: c.stdout, quiet: quiet}
	t.colour = !quiet && term.IsTerminal(int(c.stdout.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if t.colour {
		var legend []string
		for _, s := range speakers[mode] {
			legend = append(legend, tints[s]+string(s)+untint)
		}
		fmt.Fprintln(c.stderr, "said by: "+strings.Join(legend, "  "))
	}
	return t
}

func (t *tinter) token(tok decode.Token) {
	if t.quiet || tok.Text == "" {
		return
	}
	t.any = true
	if tint := tints[tok.Source]; t.colour && tint != "" {
		fmt.Fprint(t.out, tint+tok.Text+untint)
		return
	}
	fmt.Fprint(t.out, tok.Text)
}

func (t *tinter) end() {
	if t.any {
		t.any = false
		fmt.Fprintln(t.out)
	}
}

// linkStats is what went over the link for an answer.
type linkStats struct {
	BytesUp   int64   `json:"bytes_up"`   // UDP payload
	BytesDown int64   `json:"bytes_down"` // UDP payload
	Asks      int     `json:"asks"`
	RTTms     float64 `json:"smoothed_rtt_ms"`
	Emulated  string  `json:"emulated,omitempty"`
	Lost      string  `json:"lost,omitempty"`
}

func bySource(tokens []decode.Token) map[decode.Source]int {
	n := map[decode.Source]int{}
	for _, t := range tokens {
		n[t.Source]++
	}
	return n
}

// closingLine sums an answer up: tokens by source, tokens a second, bytes up,
// asks a token.
func closingLine(a decode.Answer, l *linkStats) string {
	n := bySource(a.Tokens)
	var parts []string
	for _, s := range decode.Sources {
		if n[s] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", s, n[s]))
		}
	}
	line := fmt.Sprintf("[%d tokens: %s | %.1f tokens/s, first after %.2f s", len(a.Tokens), cmp.Or(strings.Join(parts, ", "), "none"), rate(a), seconds(a.FirstToken))
	if l != nil {
		line += fmt.Sprintf(" | up %s, %.2f asks/token", bytesText(l.BytesUp), perToken(a.Asks, a))
	}
	return line + "]"
}

// rate is tokens per second after the first.
func rate(a decode.Answer) float64 {
	d := seconds(a.Total - a.FirstToken)
	if len(a.Tokens) < 2 || d <= 0 {
		return 0
	}
	return float64(len(a.Tokens)-1) / d
}

func perToken(n int, a decode.Answer) float64 { return float64(n) / float64(max(1, len(a.Tokens))) }

func bytesText(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// runReport is what run --json prints.
type runReport struct {
	Text   string         `json:"text"`
	Tokens []decode.Token `json:"tokens"`
	Mode   string         `json:"mode"`
	Finish decode.Finish  `json:"finish"`
	Model  string         `json:"model"`
	Usage  struct {
		Prompt     int                   `json:"prompt_tokens"`
		Completion int                   `json:"completion_tokens"`
		BySource   map[decode.Source]int `json:"by_source"`
	} `json:"usage"`
	Timings struct {
		FirstToken float64 `json:"first_token_s"`
		Total      float64 `json:"total_s"`
		Rate       float64 `json:"tokens_per_s"`
		CaughtUp   int     `json:"caught_up_rows"`
	} `json:"timings"`
	Link   *linkStats `json:"link,omitempty"`
	Memory struct {
		Board int64 `json:"board_rss"`
		Cloud int64 `json:"cloud_rss,omitempty"`
	} `json:"memory"`
	Kernels engine.Kernels `json:"kernels"`
}

func writeReport(w io.Writer, mode string, a decode.Answer, b *boardSide, l *linkStats) error {
	r := runReport{Text: a.Text, Tokens: a.Tokens, Mode: mode, Finish: a.Finish, Model: b.name, Link: l, Kernels: engine.Init("")}
	if r.Tokens == nil {
		r.Tokens = []decode.Token{}
	}
	r.Usage.Prompt, r.Usage.Completion, r.Usage.BySource = a.PromptTokens, len(a.Tokens), bySource(a.Tokens)
	r.Timings.FirstToken, r.Timings.Total, r.Timings.Rate, r.Timings.CaughtUp = seconds(a.FirstToken), seconds(a.Total), rate(a), a.CaughtUp
	if l != nil {
		l.Asks = a.Asks
		if a.Lost != nil {
			l.Lost = oneLine(a.Lost)
		}
	}
	r.Memory.Board = rss(os.Getpid())
	if b.local != nil {
		r.Memory.Cloud = rss(b.local.pid())
	}
	return json.NewEncoder(w).Encode(r)
}
