package openai

import (
	"net/http"

	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
)

// responseStream sends a response as the events of its items.
func (s server) responseStream(w http.ResponseWriter, r *http.Request, reply *responseReply) error {
	o := &responseSender{Stream: s.Stream(w, "text/event-stream"), reply: reply, call: -1}
	err := s.Relay(r.Context(), reply.answer, 0, o.send, func() error { return o.Comment("waiting") })
	if err == nil || !o.Started {
		return err
	}
	failed := reply.head()
	failed.Status, failed.Error = "failed", Shape{}.Fault(exchange.ProblemOf(err)).(map[string]any)["error"]
	o.event("response.failed", map[string]any{"response": failed})
	o.Flush() // nobody is left to tell of an error
	return nil
}

type responseSender struct {
	*exchange.Stream
	reply  *responseReply
	number int // of the next event
	begun  bool
	output []outputItem // that are whole
	open   *outputItem  // that grows
	text   string       // of it, so far
	call   int          // which call it is, -1 for none
}

func (o *responseSender) event(kind string, data map[string]any) error {
	data["type"], data["sequence_number"] = kind, o.number
	o.number++
	return o.Event(kind, "", data)
}

func (o *responseSender) send(e infer.Event) error {
	if e.Err != nil {
		return e.Err
	}
	switch e.Kind {
	case infer.Queued:
		return o.Comment("queued %d", e.Queue)
	case infer.Prefill:
		return o.Comment("prefill %d/%d", e.Done, e.Total)
	}
	if err := o.say(e); err != nil {
		return err
	}
	if e.Kind == infer.End {
		if err := o.end(e); err != nil {
			return err
		}
	}
	if o.Buf.Len() == 0 {
		return nil // half a character
	}
	return o.Flush()
}

func (o *responseSender) begin() error {
	if o.begun {
		return nil
	}
	o.begun = true
	if err := o.event("response.created", map[string]any{"response": o.reply.head()}); err != nil {
		return err
	}
	return o.event("response.in_progress", map[string]any{"response": o.reply.head()})
}

func (o *responseSender) say(e infer.Event) error {
	if err := o.begin(); err != nil {
		return err
	}
	if e.Thought != "" {
		if err := o.grow("reasoning", -1, e.Thought, func(i int) outputItem { return o.reply.thoughtItem(i, "") }); err != nil {
			return err
		}
	}
	if e.Text != "" {
		if err := o.grow("message", -1, e.Text, func(i int) outputItem { return o.reply.messageItem(i, "in_progress") }); err != nil {
			return err
		}
	}
	for _, c := range e.Calls {
		if err := o.grow("function_call", c.Index, c.Arguments, func(i int) outputItem { return o.reply.callItem(i, "in_progress", c.ID, c.Name, "") }); err != nil {
			return err
		}
	}
	return nil
}

// grow adds text to the item that is open, or ends it and begins another, which make makes
// for its place in the output.
func (o *responseSender) grow(kind string, call int, text string, make func(i int) outputItem) error {
	if o.open == nil || o.open.Type != kind || o.call != call {
		if err := o.close(); err != nil {
			return err
		}
		if err := o.start(make(len(o.output)), call); err != nil {
			return err
		}
	}
	o.text += text
	at := o.at()
	at["delta"] = text
	switch kind {
	case "message":
		at["logprobs"] = []any{}
		return o.event("response.output_text.delta", at)
	case "reasoning":
		return o.event("response.reasoning_text.delta", at)
	}
	return o.event("response.function_call_arguments.delta", at)
}

// at is where the open item is.
func (o *responseSender) at() map[string]any {
	m := map[string]any{"item_id": o.open.ID, "output_index": len(o.output)}
	if o.open.Type != "function_call" {
		m["content_index"] = 0
	}
	return m
}

func (o *responseSender) start(item outputItem, call int) error {
	o.open, o.call, o.text = &item, call, ""
	if err := o.event("response.output_item.added", map[string]any{"output_index": len(o.output), "item": item}); err != nil || item.Type != "message" {
		return err
	}
	at := o.at()
	at["part"] = textPart("")
	return o.event("response.content_part.added", at)
}

// close ends the item that is open.
func (o *responseSender) close() error {
	if o.open == nil {
		return nil
	}
	i := len(o.output)
	whole, done, text := o.at(), "", "text"
	var item outputItem
	switch o.open.Type {
	case "message":
		done, item = "response.output_text.done", o.reply.messageItem(i, "completed", textPart(o.text))
		whole["logprobs"] = []any{}
	case "reasoning":
		done, item = "response.reasoning_text.done", o.reply.thoughtItem(i, o.text)
	default:
		done, text, item = "response.function_call_arguments.done", "arguments", o.reply.callItem(i, "completed", o.open.CallID, o.open.Name, o.text)
		whole["name"] = o.open.Name
	}
	whole[text] = o.text
	if err := o.event(done, whole); err != nil {
		return err
	}
	if o.open.Type == "message" {
		at := o.at()
		at["part"] = textPart(o.text)
		if err := o.event("response.content_part.done", at); err != nil {
			return err
		}
	}
	err := o.event("response.output_item.done", map[string]any{"output_index": i, "item": item})
	o.output, o.open, o.call = append(o.output, item), nil, -1
	return err
}

func (o *responseSender) end(e infer.Event) error {
	if o.open == nil && len(o.output) == 0 { // an answer of nothing is a message all the same
		if err := o.start(o.reply.messageItem(0, "in_progress"), -1); err != nil {
			return err
		}
	}
	if err := o.close(); err != nil {
		return err
	}
	out := o.reply.ended(o.output, e)
	return o.event("response."+out.Status, map[string]any{"response": out})
}
