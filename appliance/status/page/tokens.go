package page

import (
	"strings"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// share of the tokens, and where its bar lies.
type share struct {
	Source   infer.SourceInfo
	Count    int
	Of, From float64
	Total    uint64
	Pattern  string
}

func (s share) Middle() float64 { return s.From + s.Of/2 }

type reason struct {
	Name    string
	Count   int
	Meaning string
}

func (v *view) tokens() {
	var at float64
	var words []string
	for _, s := range status.Shares(v.S.Tokens.Recent) {
		next := share{Source: infer.Source(s.Name).Info(), Count: s.Count, Of: s.Of, From: at, Total: v.S.Tokens.Total[s.Name], Pattern: sourcePattern(s.Name)}
		v.Counted += s.Count
		v.Shares = append(v.Shares, next)
		words = append(words, next.Source.Name+" "+status.Percent(s.Of))
		at += s.Of
	}
	v.SharesText = "Said by " + strings.Join(words, ", ")
	for _, s := range status.Shares(v.S.Tokens.Reasons) {
		v.Reasons = append(v.Reasons, reason{s.Name, s.Count, infer.Reason(s.Name).Meaning()})
	}
}

// sourcePattern is the fill that tells a source where colours cannot; the first, exit 1,
// is plain.
func sourcePattern(source string) string {
	for _, s := range infer.Sources[1:] {
		if string(s.Key) == source {
			return "p-" + source
		}
	}
	return ""
}

// utterance is what one answer has said, in runs of one source each.
type utterance struct {
	Session string
	Next    int // the index of the token that would go on with it
	Runs    []run
}

type run struct {
	Source infer.SourceInfo
	Text   string
}

// utterances puts tokens of several answers, as they came, into one paragraph
// for each stretch of one answer.
func utterances(said []status.Said) (u []utterance) {
	var last status.Said
	for i, t := range said {
		if i == 0 || t.Session != last.Session || t.Index != last.Index+1 {
			u = append(u, utterance{Session: t.Session})
		}
		u[len(u)-1].say(t.Source, t.Text)
		u[len(u)-1].Next = t.Index + 1
		last = t
	}
	return u
}

func (u *utterance) say(source, text string) {
	if n := len(u.Runs); n > 0 && u.Runs[n-1].Source.Key == infer.Source(source) {
		u.Runs[n-1].Text += text
		return
	}
	u.Runs = append(u.Runs, run{infer.Source(source).Info(), text})
}
