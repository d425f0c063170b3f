package conversation

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/appliance/node"
	"skerry/appliance/status"
)

// transcript is an answer as it was heard.
type transcript struct {
	infer.Provenance
	Text       string  // with that of Said
	Said       []int32 // its first tokens, said by an earlier run
	Tokens     []infer.Token
	Finish     infer.Finish
	Prompt     int           // tokens of it
	FirstToken time.Duration // from the question to the first of Tokens
	Total      time.Duration // from the question to the end
	Link       *LinkReport   // nil where no cloud is asked
}

// LinkReport is what went over the link for an answer.
type LinkReport struct {
	BytesUp   int64   `json:"bytes_up"`   // UDP payload; of a daemon's answer what its session sent
	BytesDown int64   `json:"bytes_down"` // the same
	Asks      int     `json:"asks"`
	RTTms     float64 `json:"smoothed_rtt_ms"`
	Emulated  string  `json:"emulated,omitempty"`
	Lost      string  `json:"lost,omitempty"`
	// Resumed counts how often the cloud was back after a loss, Late the answers
	// that came after the token's deadline and LateAgreed those of them that bore
	// out what was said instead.
	Resumed    int                              `json:"resumed,omitempty"`
	Late       int                              `json:"late,omitempty"`
	LateAgreed int                              `json:"late_agreed,omitempty"`
	Agreement  map[infer.Source]infer.Agreement `json:"agreement,omitempty"` // of this answer, by the exit that spoke
	Changes    []infer.Change                   `json:"changes,omitempty"`   // of mode
	Transport  string                           `json:"transport,omitempty"` // quic or tcp
	Reconnects uint64                           `json:"reconnects,omitempty"`
	// State of the link at the end, with its figures.
	State   string `json:"state,omitempty"`
	Figures string `json:"figures,omitempty"`
}

// linkOf is what an answer says of the link, with what a board that this program has opened
// itself knows beside that: use, nil where it asks no cloud.
func linkOf(p infer.Provenance, use *node.LinkUse, emulated string) *LinkReport {
	l := &LinkReport{
		BytesUp: int64(p.BytesUp), BytesDown: int64(p.BytesDown), Asks: p.Asks, Lost: p.Lost, Emulated: emulated,
		Resumed: p.Returned, Late: p.Late, LateAgreed: p.LateAgreed, Agreement: p.Agreement, Changes: p.Changes,
	}
	if use != nil {
		l.BytesUp, l.BytesDown, l.RTTms, l.Transport, l.Reconnects = use.BytesUp, use.BytesDown, use.RTTms, use.Transport, use.Reconnects
		l.State, l.Figures = use.State, use.Figures
	}
	return l
}

// byReason counts the tokens that the board said in the cloud's place, by why the cloud
// did not.
func byReason(tokens []infer.Token) (parts []string) {
	n := map[infer.Reason]int{}
	for _, t := range tokens {
		if t.Source == infer.Fallback || t.Source == infer.FromUnsplit && t.Why != infer.WhyUnsplit {
			n[t.Why]++
		}
	}
	for _, why := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%s %d", why, n[why]))
	}
	return parts
}

func bySource(tokens []infer.Token) map[infer.Source]int {
	n := map[infer.Source]int{}
	for _, t := range tokens {
		n[t.Source]++
	}
	return n
}

// closingLine sums an answer up: tokens by source, tokens a second, bytes up,
// asks a token, and what the cloud did not say and why.
func closingLine(a transcript) string {
	n := bySource(a.Tokens)
	var parts []string
	for _, s := range infer.Sources {
		if n[s.Key] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", s.Key, n[s.Key]))
		}
	}
	line := fmt.Sprintf("[%d tokens: %s | %.1f tokens/s, first after %.2f s", len(a.Tokens), cmp.Or(strings.Join(parts, ", "), "none"), rate(a), a.FirstToken.Seconds())
	if a.Link != nil {
		line += fmt.Sprintf(" | up %s, %.2f asks/token", status.Bytes(a.Link.BytesUp), float64(a.Asks)/float64(max(1, len(a.Tokens))))
	}
	if why := byReason(a.Tokens); len(why) > 0 {
		line += " | not the cloud: " + strings.Join(why, ", ")
	}
	if a.Late > 0 {
		line += fmt.Sprintf(" | %d late answers, %d agreed", a.Late, a.LateAgreed)
	}
	return line + "]"
}

// lostLine says that the cloud was lost in the midst of an answer, and what came of it.
func lostLine(a transcript) string {
	what := "the board finished the answer alone"
	if a.Returned == 1 {
		what = "it was back once later in the answer"
	} else if a.Returned > 1 {
		what = fmt.Sprintf("it was back %d times later in the answer", a.Returned)
	}
	return fmt.Sprintf("cloud lost (%s): %s", a.Lost, what)
}

// rate is tokens per second after the first.
func rate(a transcript) float64 {
	d := (a.Total - a.FirstToken).Seconds()
	if len(a.Tokens) < 2 || d <= 0 {
		return 0
	}
	return float64(len(a.Tokens)-1) / d
}

// Report is what run --json prints.
type Report struct {
	Text   string        `json:"text"`
	Tokens []infer.Token `json:"tokens"`
	Mode   string        `json:"mode"`
	Finish infer.Finish  `json:"finish"`
	Model  string        `json:"model"`
	Usage  struct {
		Prompt     int                  `json:"prompt_tokens"`
		Completion int                  `json:"completion_tokens"` // of the whole answer
		Journal    int                  `json:"journal_tokens"`    // of them said by an earlier run; not in tokens and by_source
		BySource   map[infer.Source]int `json:"by_source"`
	} `json:"usage"`
	infer.Drafts
	Timings struct {
		FirstToken float64 `json:"first_token_s"`
		Total      float64 `json:"total_s"`
		Rate       float64 `json:"tokens_per_s"`
		CaughtUp   int     `json:"caught_up_rows"`
	} `json:"timings"`
	Link   *LinkReport `json:"link,omitempty"`
	Memory struct {
		Board int64 `json:"board_rss"`
		Cloud int64 `json:"cloud_rss,omitempty"`
	} `json:"memory"`
	Kernels engine.Kernels `json:"kernels"`
}

// writeReport prints an answer of a model; cloud is the process of a partition that this one
// has started, 0 for none.
func writeReport(w io.Writer, model string, a transcript, cloud int) error {
	r := Report{Text: a.Text, Mode: string(a.Mode), Finish: a.Finish, Model: model, Link: a.Link, Kernels: engine.Init(""), Drafts: a.Drafts}
	r.Tokens = append([]infer.Token{}, a.Tokens...) // never null
	r.Usage.Prompt, r.Usage.Completion, r.Usage.Journal, r.Usage.BySource = a.Prompt, len(a.Said)+len(a.Tokens), len(a.Said), bySource(a.Tokens)
	r.Timings.FirstToken, r.Timings.Total, r.Timings.Rate, r.Timings.CaughtUp = seconds(a.FirstToken), seconds(a.Total), rate(a), a.CaughtUp
	r.Memory.Board = node.RSS(os.Getpid())
	if cloud > 0 {
		r.Memory.Cloud = node.RSS(cloud)
	}
	return json.NewEncoder(w).Encode(r)
}

func seconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e6 }
