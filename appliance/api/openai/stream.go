package openai

import (
	"net/http"

	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
)

// openAIStream sends an answer as server-sent events. Each has the id by which
// Last-Event-ID goes on from it.
func (s server) openAIStream(w http.ResponseWriter, r *http.Request, reply openAIReply, from int, qs []infer.Request, c *common) error {
	o := &openAISender{Stream: s.Stream(w, "text/event-stream"), reply: reply, usage: c.usageChunk(), progress: c.Progress, several: len(qs) > 1, total: &usage{}}
	o.open = from > 0 // whoever goes on has had the role
	idle := func() error { return o.Comment("waiting") }
	var err error
	for i, q := range qs {
		if i > 0 {
			o.next(i, q)
			if o.reply.answer, err = s.another(r, q, c.Skerry, idle); err != nil {
				break
			}
		}
		o.last = i == len(qs)-1
		if err = s.Relay(r.Context(), o.reply.answer, from, o.send, idle); err != nil {
			break
		}
	}
	if err == nil || !o.Started {
		return err
	}
	o.fail(err)
	return nil
}

type openAISender struct {
	*exchange.Stream
	reply openAIReply
	usage bool // a last chunk has the usage
	// progress of the prompt is wanted as chunks, and not as comments alone.
	progress bool
	open     bool // the role, or the prompt that is said again, has been sent
	index    int  // of the choice
	// several answers come one after the other; the last ends the stream, with the usage of
	// all in total.
	several, last bool
	total         *usage
}

// next begins another answer.
func (o *openAISender) next(i int, q infer.Request) {
	o.index, o.open = i, false
	o.reply.prompt(q)
}

func (o *openAISender) send(e infer.Event) error {
	if e.Err != nil {
		return e.Err
	}
	switch e.Kind {
	case infer.Queued:
		return o.Comment("queued %d", e.Queue)
	case infer.Prefill:
		return o.prefill(e)
	case infer.Rewind:
		return o.rewind(e)
	case infer.Text, infer.Tools:
		return o.say(e)
	case infer.End:
		return o.end(e)
	}
	return nil
}

// prefill tells how far the prompt is computed.
func (o *openAISender) prefill(e infer.Event) error {
	if !o.progress {
		return o.Comment("prefill %d/%d", e.Done, e.Total)
	}
	c := o.reply.head("chat.completion.chunk")
	c.Choices, c.Progress = []choice{{Index: o.index}}, exchange.ProgressOf(o.reply.answer, e)
	if o.reply.chat {
		c.Choices[0].Delta = &said{}
	} else {
		c.Choices[0].Text = new(string)
	}
	if o.usage {
		c.Usage = (*usage)(nil)
	}
	if err := o.Event("", "", c); err != nil {
		return err
	}
	return o.Flush()
}

// rewound says that what was sent after Index tokens is void.
type rewound struct {
	Answer string `json:"answer"`
	Index  int    `json:"index"`
}

func (o *openAISender) rewind(e infer.Event) error {
	if err := o.Event("skerry.rewind", exchange.EventID(o.reply.answer, e), rewound{o.reply.answer.ID(), e.Index}); err != nil {
		return err
	}
	return o.Flush()
}

// chunk adds one, with at most one choice.
func (o *openAISender) chunk(e infer.Event, choices []choice, last bool) error {
	c := o.reply.head("chat.completion.chunk")
	for i := range choices {
		choices[i].Index = o.index
	}
	c.Choices = choices
	if o.usage {
		c.Usage = (*usage)(nil)
	}
	if last {
		c.Skerry = exchange.Provenance(o.reply.answer, e, o.reply.ignored)
		if o.usage {
			c.Usage = o.total
		}
	}
	return o.Event("", exchange.EventID(o.reply.answer, e), c)
}

// role is the first piece of a chat, and the prompt that of a completion with echo.
func (o *openAISender) role() error {
	if o.open || !o.reply.chat && o.reply.before == "" {
		return nil
	}
	o.open = true
	if !o.reply.chat {
		return o.chunk(infer.Event{}, []choice{{Text: &o.reply.before}}, false)
	}
	empty := ""
	return o.chunk(infer.Event{}, []choice{{Delta: &said{Role: "assistant", Content: &empty, Refusal: (*string)(nil)}}}, false)
}

func (o *openAISender) say(e infer.Event) error {
	if e.Text == "" && e.Thought == "" && len(e.Calls) == 0 && (!o.reply.logprobs || len(e.Tokens) == 0) {
		return nil // half a character, or half a call's name
	}
	if err := o.role(); err != nil {
		return err
	}
	one := choice{Logprobs: o.reply.probabilities(e.Tokens)}
	if o.reply.chat {
		one.Delta = delta(e)
	} else {
		one.Text = &e.Text
	}
	o.reply.offset += len([]rune(e.Text))
	if err := o.chunk(e, []choice{one}, false); err != nil {
		return err
	}
	return o.Flush()
}

func delta(e infer.Event) *said {
	d := &said{Reasoning: e.Thought}
	if e.Text != "" || len(e.Calls) == 0 && e.Thought == "" {
		d.Content = &e.Text
	}
	for _, c := range e.Calls {
		piece := saidCall{Index: &c.Index, ID: c.ID, Function: saidFunction{c.Name, c.Arguments}}
		if c.ID != "" {
			piece.Type = "function"
		}
		d.Calls = append(d.Calls, piece)
	}
	return d
}

func (o *openAISender) end(e infer.Event) error {
	if e.Text != "" || e.Thought != "" || len(e.Calls) > 0 || len(e.Tokens) > 0 {
		if err := o.say(e); err != nil {
			return err
		}
	}
	if err := o.role(); err != nil {
		return err
	}
	one := choice{Finish: finish(e.Finish)}
	if o.reply.chat {
		one.Delta = &said{}
	} else {
		one.Text = new(string)
	}
	o.total.add(usageOf(e.Usage))
	if o.several {
		one.Skerry = exchange.Provenance(o.reply.answer, e, o.reply.ignored)
	}
	if err := o.chunkEnd(e, one); err != nil {
		return err
	}
	if !o.last {
		return o.Flush()
	}
	o.Buf.WriteString("data: [DONE]\n\n")
	return o.Flush()
}

// chunkEnd adds the chunk with the reason, and the one with the usage where it was
// asked for. The last of them tells the truth.
func (o *openAISender) chunkEnd(e infer.Event, one choice) error {
	if err := o.chunk(e, []choice{one}, o.last && !o.usage); err != nil || !o.usage || !o.last {
		return err
	}
	return o.chunk(e, []choice{}, true)
}

// fail ends a stream that has begun as OpenAI's clients expect of an error.
func (o *openAISender) fail(err error) {
	o.Event("", "", Shape{}.Fault(exchange.ProblemOf(err)))
	o.Buf.WriteString("data: [DONE]\n\n")
	o.Flush() // nobody is left to tell of an error
}
