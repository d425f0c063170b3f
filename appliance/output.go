package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
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
	decode.CloudOnly:     {decode.FromCloud},
	decode.Naive:         {decode.FromCloud},
	decode.Paper:         {decode.Exit1, decode.Exit2, decode.FromCloud, decode.Fallback},
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
	// Resumed counts how often the cloud was back after a loss, Late the answers
	// that came after the token's deadline and LateAgreed those of them that bore
	// out what was said instead.
	Resumed    int                                `json:"resumed,omitempty"`
	Late       int                                `json:"late,omitempty"`
	LateAgreed int                                `json:"late_agreed,omitempty"`
	Agreement  map[decode.Source]decode.Agreement `json:"agreement,omitempty"` // of this session, by the exit that spoke
	Changes    []decode.Change                    `json:"changes,omitempty"`   // of mode
	Transport  string                             `json:"transport,omitempty"` // quic or tcp
	Reconnects uint64                             `json:"reconnects,omitempty"`
	// State of the link at the end, with its figures.
	State   string `json:"state,omitempty"`
	Figures string `json:"figures,omitempty"`
}

// answered takes in what the answer says of the link.
func (l *linkStats) answered(a decode.Answer) {
	l.Asks, l.Resumed, l.Late, l.LateAgreed = a.Asks, a.Resumed, a.Late, a.LateAgreed
	l.Agreement, l.Changes = a.Agreement, a.Changes
	if a.Lost != nil {
		l.Lost = oneLine(a.Lost)
	}
}

// byReason counts the tokens that the board said unsure, by why the cloud did not.
func byReason(tokens []decode.Token) (parts []string) {
	n := map[decode.Reason]int{}
	for _, t := range tokens {
		if t.Source == decode.Fallback {
			n[t.Why]++
		}
	}
	for _, why := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%s %d", why, n[why]))
	}
	return parts
}

func bySource(tokens []decode.Token) map[decode.Source]int {
	n := map[decode.Source]int{}
	for _, t := range tokens {
		n[t.Source]++
	}
	return n
}

// closingLine sums an answer up: tokens by source, tokens a second, bytes up,
// asks a token, and what the cloud did not say and why.
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
	if why := byReason(a.Tokens); len(why) > 0 {
		line += " | not the cloud: " + strings.Join(why, ", ")
	}
	if a.Late > 0 {
		line += fmt.Sprintf(" | %d late answers, %d agreed", a.Late, a.LateAgreed)
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
		Completion int                   `json:"completion_tokens"` // of the whole answer
		Journal    int                   `json:"journal_tokens"`    // of them said by an earlier run; not in tokens and by_source
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

func writeReport(w io.Writer, mode string, a decode.Answer, b *boardSide, l *linkStats, journaled int) error {
	r := runReport{Text: a.Text, Tokens: a.Tokens, Mode: mode, Finish: a.Finish, Model: b.name, Link: l, Kernels: engine.Init("")}
	if r.Tokens == nil {
		r.Tokens = []decode.Token{}
	}
	r.Usage.Prompt, r.Usage.Completion, r.Usage.Journal, r.Usage.BySource = a.PromptTokens, journaled+len(a.Tokens), journaled, bySource(a.Tokens)
	r.Timings.FirstToken, r.Timings.Total, r.Timings.Rate, r.Timings.CaughtUp = seconds(a.FirstToken), seconds(a.Total), rate(a), a.CaughtUp
	if l != nil {
		l.answered(a)
	}
	r.Memory.Board = rss(os.Getpid())
	if b.local != nil {
		r.Memory.Cloud = rss(b.local.pid())
	}
	return json.NewEncoder(w).Encode(r)
}
