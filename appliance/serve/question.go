package serve

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"skerry/appliance/answer"
	"skerry/appliance/chat"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
)

// question is a request as the decoder wants it.
type question struct {
	answer.Request
	prompt []int32
	opt    decode.Options
}

// ask turns a request into a question, or returns an *answer.Error.
func (c *Core) ask(m *Model, r answer.Request) (*question, error) {
	context := m.Info.Context
	if r.Context > context {
		return nil, answer.Errorf(answer.BadRequest, "num_ctx", "num_ctx is %d, the context %d: ask for at most that, or raise context in the configuration", r.Context, context)
	}
	if r.Context > 0 {
		context = r.Context
	}
	q := &question{Request: r}
	var err error
	if q.opt, err = c.options(m, r); err != nil {
		return nil, err
	}
	if q.prompt, err = m.prompt(r); err != nil {
		return nil, err
	}
	room := context - len(q.prompt)
	if room <= 0 {
		return nil, answer.Errorf(answer.TooLong, "", "prompt is %d tokens, context %d: shorten it or raise num_ctx", len(q.prompt), context)
	}
	if q.opt.MaxTokens == 0 || q.opt.MaxTokens > room {
		q.opt.MaxTokens = room
	}
	return q, nil
}

// options of the decoding: the daemon's, where the request says nothing else.
func (c *Core) options(m *Model, r answer.Request) (decode.Options, error) {
	c.mu.Lock()
	o, lean := c.defaults, c.spared
	c.mu.Unlock()
	if o.OnLoss == "" {
		o.OnLoss = decode.GoAlone
	}
	o.Mode = m.mode(o.Mode)
	if r.Mode != "" {
		o.Mode = decode.Mode(r.Mode)
	}
	if !slices.Contains(m.Modes, o.Mode) {
		return o, answer.Errorf(answer.BadRequest, "mode", "mode %q is not to be had here: choose %s", r.Mode, strings.Trim(fmt.Sprint(m.Modes), "[]"))
	}
	if lean && o.Mode == decode.Collaborative {
		o.Thresholds = []float64{neverReached}
	}
	if r.MaxTokens < 0 {
		return o, answer.Errorf(answer.BadRequest, "max_tokens", "max_tokens is %d: choose 1 or more", r.MaxTokens)
	}
	if r.MaxTokens > 0 {
		o.MaxTokens = r.MaxTokens
	}
	o.Logprobs, o.TopLogprobs = r.Logprobs, r.TopLogprobs
	o.Sampling = c.sampling(o.Sampling, r.Options)
	var err error
	if o.Sampling.Grammar, err = chat.Grammar(chat.WantOf(m.Template, r)); err != nil {
		return o, err
	}
	if err := o.Check(); err != nil {
		return o, answer.Errorf(answer.BadRequest, "", "%s", err)
	}
	return o, nil
}

// mode that answers are decoded in by default.
func (m *Model) mode(wanted decode.Mode) decode.Mode {
	if slices.Contains(m.Modes, wanted) {
		return wanted
	}
	return m.Modes[0]
}

// leastTopP stands for a top_p of 0, the likeliest token alone, which to the sampler
// is off.
const leastTopP = 1e-6

func (c *Core) sampling(s engine.Sampling, r answer.Options) engine.Sampling {
	if s.Seed = c.opt.Random() >> 11; r.Seed != nil { // 53 bits: whole in every JSON reader
		s.Seed = *r.Seed
	}
	if r.Temperature != nil {
		s.Temperature = *r.Temperature
	}
	if r.TopP != nil {
		s.TopP = *r.TopP
		if s.TopP == 0 {
			s.TopP = leastTopP
		}
	}
	if r.TopK != nil {
		s.TopK = max(*r.TopK, 0)
	}
	if r.MinP != nil {
		s.MinP = *r.MinP
	}
	s.Repeat, s.PenaltyLast, s.Frequency, s.Presence = r.Repeat, r.PenaltyLast, r.Frequency, r.Presence
	if s.Temperature == 0 {
		s.TopK, s.TopP, s.MinP = 0, 0, 0
	}
	return s
}

// prompt renders and tokenizes what was asked.
func (m *Model) prompt(r answer.Request) ([]int32, error) {
	messages := r.Messages
	switch {
	case r.Raw || len(messages) == 0 && r.Prompt == "":
		if r.Prompt == "" {
			return nil, answer.Errorf(answer.BadRequest, "prompt", "the prompt is empty: say something")
		}
		return m.Vocab.Tokenize(r.Prompt, true, false)
	case r.Prompt != "":
		messages = append(slices.Clip(messages), answer.Message{Role: "user", Content: r.Prompt})
	}
	parts, err := m.render(messages, r.Tools)
	if err != nil {
		return nil, err
	}
	var ids []int32
	for i, p := range parts {
		more, err := m.Vocab.Tokenize(p.Text, i == 0, p.Markup)
		if err != nil {
			return nil, err
		}
		ids = append(ids, more...)
	}
	if len(ids) > 1 && parts[0].Markup && ids[0] == ids[1] { // the beginning of a text, by the tokenizer and by the template
		ids = ids[1:]
	}
	return ids, nil
}

// render takes the model's template, else what llama.cpp makes of it, else the bare
// words.
func (m *Model) render(messages []answer.Message, tools []answer.Tool) ([]chat.Part, error) {
	err := errors.New("it has none")
	if m.Template != nil {
		var parts []chat.Part
		parts, err = m.Template.RenderParts(messages, tools, true, nil)
		var bad *answer.Error
		if err == nil || errors.As(err, &bad) && bad.Code != answer.Internal {
			return parts, err
		}
	}
	if len(tools) > 0 {
		return nil, answer.Errorf(answer.BadRequest, "tools", "this model's chat template cannot be rendered with tools (%s): ask without them, or take another model", oneLine(err))
	}
	if m.Chat != nil {
		parts, err := chat.RenderBy(messages, func(masked []answer.Message) (string, error) {
			plain := make([]engine.Message, len(masked))
			for i, x := range masked {
				plain[i] = engine.Message{Role: x.Role, Content: x.Content}
			}
			return m.Chat(plain)
		})
		if err == nil {
			return parts, nil
		}
	}
	var parts []chat.Part
	for _, x := range messages {
		parts = append(parts, chat.Part{Text: x.Content + "\n"})
	}
	return parts, nil
}

// neverReached is a threshold that no confidence reaches: the exit is not computed
// where the cloud can be asked.
const neverReached = 2
