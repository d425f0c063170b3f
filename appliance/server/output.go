package server

import (
	"strings"

	"skerry/appliance/chat"
	"skerry/appliance/chat/tools"
	"skerry/appliance/infer"
)

// outputParser turns the tokens of an answer into what is shown: text up to a stop string,
// and tool calls. It depends on the tokens alone, so that an answer that goes on
// after a restart shows what it would have.
type outputParser struct {
	thoughts chat.Thoughts
	stops    *chat.Stops
	parser   *tools.Parser
	over     bool // a stop string was met, or the last token was taken
}

func newOutputParser(m *Model, q *task, id string) *outputParser {
	p := &outputParser{stops: chat.NewStops(q.Stop), parser: tools.NewParser(m.Template.Style(), q.Request, id, q.opt.Sampling.Grammar != "")}
	if q.SplitThoughts && (q.opt.Sampling.Grammar == "" || tools.Lazy(q.Request)) { // any other binds the answer from its first token on
		p.thoughts = chat.NewThoughts(m.opensThought(q.prompt))
	}
	return p
}

// opensThought says whether a prompt ends within the model's thoughts, as templates of
// models have it that always think.
func (m *Model) opensThought(prompt []int32) bool {
	var tail []byte
	for _, id := range prompt[max(0, len(prompt)-8):] {
		tail = append(tail, m.Vocab.Piece(id, true)...)
	}
	return strings.HasSuffix(strings.TrimSpace(string(tail)), chat.ThinkTag)
}

// push takes a token's text; with last nothing is held back.
func (p *outputParser) push(text string, last bool) (thought, out string, calls []infer.CallDelta) {
	thought, text = p.thoughts.Push(text, last)
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
	return thought, out, calls
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
	s.thought, s.text, s.calls = p.push(t.Text, last)
	return s
}
