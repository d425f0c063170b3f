package server

import (
	"skerry/appliance/chat"
	"skerry/appliance/chat/tools"
	"skerry/appliance/infer"
)

// outputParser turns the tokens of an answer into what is shown: text up to a stop string,
// and tool calls. It depends on the tokens alone, so that an answer that goes on
// after a restart shows what it would have.
type outputParser struct {
	stops  *chat.Stops
	parser *tools.Parser
	over   bool // a stop string was met, or the last token was taken
}

func newOutputParser(m *Model, q *task, id string) *outputParser {
	return &outputParser{stops: chat.NewStops(q.Stop), parser: tools.NewParser(q.Request, id)}
}

// push takes a token's text; with last nothing is held back.
func (p *outputParser) push(text string, last bool) (out string, calls []infer.CallDelta) {
	text = p.stops.Push(text)
	p.over = last || p.stopped()
	if last {
		text += p.stops.End()
	}
	out, calls = p.parser.Push(text)
	if p.over {
		o, c := p.parser.End()
		out, calls = out+o, append(calls, c...)
	}
	return out, calls
}

// stopped says that a stop string was met.
func (p *outputParser) stopped() bool { return p.stops.Hit() != "" }

// ends says that a token is the model's end of the answer, unless that is ignored.
func (q *task) ends(v Vocab, id int32) bool { return !q.opt.IgnoreEnd && v.End(id) }

// say takes the token before position pos of job j.
func (p *outputParser) say(j *job, t infer.Token, pos int) shownToken {
	n := pos - len(j.prompt)
	last := j.ends(j.model.Vocab, t.ID) || n >= j.opt.MaxTokens
	s := shownToken{token: t}
	s.text, s.calls = p.push(t.Text, last)
	return s
}
