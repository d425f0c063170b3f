package anthropic

import (
	"net/http"

	"skerry/appliance/api/exchange"
	"skerry/appliance/infer"
)

// stream sends an answer as events: the message begins, blocks of content begin, grow and
// end, and the message ends.
func (s server) stream(w http.ResponseWriter, r *http.Request, a infer.Answer, ignored []infer.Ignored) error {
	o := &sender{Stream: s.Stream(w, "text/event-stream"), answer: a, ignored: ignored, call: -1}
	idle := func() error {
		if !o.begun {
			return o.Comment("waiting")
		}
		return o.flush("ping", map[string]any{"type": "ping"})
	}
	err := s.Relay(r.Context(), a, 0, o.send, idle)
	if err == nil || !o.Started {
		return err
	}
	o.flush("error", Shape{}.Fault(exchange.ProblemOf(err))) // nobody is left to tell of an error
	return nil
}

type sender struct {
	*exchange.Stream
	answer  infer.Answer
	ignored []infer.Ignored
	begun   bool   // the message has
	kind    string // of the block that is open, "" for none
	index   int    // of it
	call    int    // which call it is
	blocks  int    // that there were
}

func (o *sender) flush(kind string, data any) error {
	if err := o.Event(kind, "", data); err != nil {
		return err
	}
	return o.Flush()
}

func (o *sender) send(e infer.Event) error {
	if e.Err != nil {
		return e.Err
	}
	switch e.Kind {
	case infer.Queued:
		return o.Comment("queued %d", e.Queue)
	case infer.Prefill:
		return o.Comment("prefill %d/%d", e.Done, e.Total)
	}
	if err := o.say(e); err != nil || e.Kind != infer.End {
		return err
	}
	return o.end(e)
}

func (o *sender) begin() error {
	if o.begun {
		return nil
	}
	o.begun = true
	m := messageOf(o.answer)
	m.Usage.Input, _ = o.answer.Begun()
	return o.Event("message_start", "", map[string]any{"type": "message_start", "message": m})
}

func (o *sender) say(e infer.Event) error {
	if err := o.begin(); err != nil {
		return err
	}
	if e.Thought != "" {
		if err := o.grow(thinkingBlock(""), -1, map[string]any{"type": "thinking_delta", "thinking": e.Thought}); err != nil {
			return err
		}
	}
	if e.Text != "" {
		if err := o.grow(textBlock(""), -1, map[string]any{"type": "text_delta", "text": e.Text}); err != nil {
			return err
		}
	}
	for _, c := range e.Calls {
		if err := o.grow(block{Type: "tool_use", ID: c.ID, Name: c.Name, Input: struct{}{}}, c.Index, map[string]any{"type": "input_json_delta", "partial_json": c.Arguments}); err != nil {
			return err
		}
	}
	if o.Buf.Len() == 0 {
		return nil // half a character
	}
	return o.Flush()
}

// grow adds to the open block, or ends it and begins another where this is of another kind
// or of another call.
func (o *sender) grow(b block, call int, delta map[string]any) error {
	if o.kind != b.Type || o.call != call {
		if err := o.close(); err != nil {
			return err
		}
		o.kind, o.call, o.index = b.Type, call, o.blocks
		o.blocks++
		if err := o.Event("content_block_start", "", map[string]any{"type": "content_block_start", "index": o.index, "content_block": b}); err != nil {
			return err
		}
	}
	return o.Event("content_block_delta", "", map[string]any{"type": "content_block_delta", "index": o.index, "delta": delta})
}

func (o *sender) close() error {
	if o.kind == "" {
		return nil
	}
	o.kind = ""
	return o.Event("content_block_stop", "", map[string]any{"type": "content_block_stop", "index": o.index})
}

func (o *sender) end(e infer.Event) error {
	if o.blocks == 0 { // an answer of nothing has a block all the same
		if err := o.grow(textBlock(""), -1, map[string]any{"type": "text_delta", "text": ""}); err != nil {
			return err
		}
	}
	if err := o.close(); err != nil {
		return err
	}
	why, sequence := reason(e)
	if err := o.Event("message_delta", "", map[string]any{
		"type": "message_delta", "delta": map[string]any{"stop_reason": why, "stop_sequence": sequence}, "usage": usageOf(e.Usage),
		"skerry": exchange.Provenance(o.answer, e, o.ignored),
	}); err != nil {
		return err
	}
	return o.flush("message_stop", map[string]any{"type": "message_stop"})
}
