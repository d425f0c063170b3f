package serve

import (
	"skerry/appliance/answer"
	"skerry/appliance/chat"
)

// voice turns the tokens of an answer into what is shown: text up to a stop string,
// and tool calls. It depends on the tokens alone, so that an answer that goes on
// after a restart shows what it would have.
type voice struct {
	stops  *chat.Stops
	parser *chat.Parser
	over   bool // a stop string was met, or the last token was said
}

func newVoice(m *Model, q *question, id string) *voice {
	return &voice{stops: chat.NewStops(q.Stop), parser: chat.NewParser(m.Template, q.Request, id)}
}

// push takes a token's text; with last nothing is held back.
func (v *voice) push(text string, last bool) (out string, calls []answer.CallDelta) {
	text = v.stops.Push(text)
	v.over = last || v.stopped()
	if last {
		text += v.stops.End()
	}
	out, calls = v.parser.Push(text)
	if v.over {
		o, c := v.parser.End()
		out, calls = out+o, append(calls, c...)
	}
	return out, calls
}

// stopped says that a stop string was met.
func (v *voice) stopped() bool { return v.stops.Hit() != "" }

// say takes the token before position pos.
func (v *voice) say(j *job, t answer.Token, pos int) said {
	n := pos - len(j.prompt)
	last := j.model.Vocab.End(t.ID) || n == j.opt.MaxTokens
	s := said{token: t}
	s.text, s.calls = v.push(t.Text, last)
	return s
}
