package server

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"skerry/appliance/chat"
	"skerry/appliance/chat/grammar"
	"skerry/appliance/chat/grammar/schema"
	"skerry/appliance/chat/tools"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// task is a request as the decoder wants it.
type task struct {
	infer.Request
	prompt      []int32
	release     func() // of the images in the prompt; nil: there are none
	opt         decode.Options
	notes       []string // as in infer.Provenance
	notEnforced []string
}

// free ends the use of the prompt's images.
func (q *task) free() {
	if q.release != nil {
		q.release()
	}
}

// ask turns a request into a task, or returns an *infer.Error.
func (c *Core) ask(ctx context.Context, m *Model, r infer.Request) (_ *task, err error) {
	context := m.context(r)
	q := &task{Request: r, notes: notesOn(m, r)}
	defer func() {
		if err != nil {
			q.free()
		}
	}()
	if q.opt, q.notEnforced, err = c.options(m, r); err != nil {
		return nil, err
	}
	if r.Draft != "" && !decode.SpecOf(q.opt.Mode).Speculates {
		q.notes = append(q.notes, fmt.Sprintf("draft %s has no effect in mode %s, in which no drafts are checked", r.Draft, q.opt.Mode))
	}
	if q.prompt, q.release, err = c.prompt(ctx, m, r); err != nil {
		return nil, err
	}
	q.Messages = infer.WithoutImages(q.Messages) // which are rows by now
	if err := m.able(q); err != nil {
		return nil, err
	}
	if err := m.roomFor(r, len(q.prompt)); err != nil {
		return nil, err
	}
	room := context - len(q.prompt)
	if r.IgnoreEnd || r.MinTokens > 0 {
		q.opt.Sampling.EndFrom = len(q.prompt) + r.MinTokens
		if r.IgnoreEnd {
			q.opt.Sampling.EndFrom = math.MaxInt32
		}
	}
	if q.opt.MaxTokens == 0 || q.opt.MaxTokens > room {
		q.opt.MaxTokens = room
	}
	return q, nil
}

// roomFor refuses a prompt of n tokens that leaves no room for an answer.
func (m *Model) roomFor(r infer.Request, n int) error {
	if context := m.context(r); n >= context {
		return infer.TooLongErrorf(n, context, "", "prompt is %d tokens, context %d: shorten it or raise num_ctx", n, context)
	}
	return nil
}

// able says why a task would not be answered sensibly at present. One that asks for
// the exits by name, or is to wait for the cloud, always is.
func (m *Model) able(q *task) error {
	if m.Unable == nil || q.Mode != "" && q.opt.Mode == decode.Standalone || q.opt.OnLoss == infer.AwaitCloud {
		return nil
	}
	return m.Unable(len(q.prompt) + len(q.opt.Said))
}

// notesOn says what of a request the model cannot do in full.
func notesOn(m *Model, r infer.Request) (all []string) {
	if r.Context > m.Info.Context {
		all = append(all, fmt.Sprintf("num_ctx is %d, the context %d: the answer was given within the context", r.Context, m.Info.Context))
	}
	return all
}

// options of the decoding: the daemon's, for what the request leaves open; and left,
// what they do not enforce of its schemas.
func (c *Core) options(m *Model, r infer.Request) (o decode.Options, left []string, err error) {
	c.mu.Lock()
	o = c.defaults
	lean := c.preferCloud
	c.mu.Unlock()
	if o.OnLoss == "" {
		o.OnLoss = infer.GoAlone
	}
	c.leads(m, r, &o)
	o.Mode = c.choose(m, o.Mode, infer.Mode(r.Mode))
	if infer.HasImages(r.Messages) && m.Images != nil {
		if o.Mode, err = m.imageMode(o.Mode, r.Mode); err != nil {
			return o, nil, err
		}
		o.CloudLeads = nil
	}
	if !slices.Contains(m.Modes, o.Mode) {
		return o, nil, infer.Errorf(infer.BadRequest, "mode", "mode %q is not to be had here: choose %s", r.Mode, strings.Trim(fmt.Sprint(m.Modes), "[]"))
	}
	if lean && o.Mode == decode.Collaborative {
		o.Thresholds = []float64{neverReached}
	}
	if r.MaxTokens < 0 {
		return o, nil, infer.Errorf(infer.BadRequest, "max_tokens", "max_tokens is %d: choose 1 or more", r.MaxTokens)
	}
	if r.MaxTokens > 0 {
		o.MaxTokens = r.MaxTokens
	}
	if r.Draft != "" {
		o.Draft = r.Draft
	}
	o.Logprobs, o.TopLogprobs = r.Logprobs, r.TopLogprobs
	o.Sampling = c.sampling(o.Sampling, r.Options)
	if o.Sampling.PenaltyLast < 0 {
		o.Sampling.PenaltyLast = min(m.context(r), mostPenalized)
	}
	if o.Sampling.Grammar, left, err = m.grammar(r); err != nil {
		return o, nil, err
	}
	if err := o.Check(); err != nil {
		return o, nil, infer.Errorf(infer.BadRequest, "", "%s", err)
	}
	return o, left, nil
}

// leads has an answer whose mode is left to the daemon ask who is expected to be faster. The
// options' mode is that of the defaults.
func (c *Core) leads(m *Model, r infer.Request, o *decode.Options) {
	if o.Mode != infer.Auto || r.Mode != "" {
		return
	}
	if leads := c.opt.BoardLeads; leads != nil {
		o.BoardLeads = func() bool { return leads(m.Info.Digest) }
	}
	if leads := c.opt.CloudLeads; leads != nil {
		o.CloudLeads = func() bool { return leads(m.Info.Digest) }
	}
}

// mostPenalized tokens are looked back at for penalties.
const mostPenalized = 1 << 16

// grammar that a request's answer is held to, "" for none.
func (m *Model) grammar(r infer.Request) (gbnf string, left []string, err error) {
	if r.Format != "" && (r.IgnoreEnd || r.MinTokens > 0) {
		return "", nil, infer.Errorf(infer.BadRequest, "min_tokens", "min_tokens and ignore_eos cannot be combined with a format, which says where the answer ends: leave one out")
	}
	switch r.Format {
	case "choice":
		var quoted []string
		for _, c := range r.Choices {
			quoted = append(quoted, schema.Quote(c))
		}
		gbnf = "root ::= " + strings.Join(quoted, " | ")
	case "grammar":
		gbnf = r.Grammar
	default:
		return tools.Grammar(tools.WantOf(m.Template.Style(), r))
	}
	if len(r.Tools) > 0 && r.ToolChoice != "none" {
		return "", nil, infer.Errorf(infer.BadRequest, "tools", "tools cannot be combined with a grammar or a list of choices: send one of them")
	}
	if _, err := grammar.Compile(gbnf); err != nil {
		return "", nil, infer.Errorf(infer.BadRequest, "grammar", "the grammar cannot be obeyed: %s", oneLine(err))
	}
	return gbnf, nil, nil
}

// choose returns the mode of an answer: the request's, that of the defaults, or where neither
// says one what Options.Choose makes of it.
func (c *Core) choose(m *Model, wanted, asked infer.Mode) infer.Mode {
	if asked != "" {
		return asked
	}
	if wanted == infer.Auto && c.opt.Choose != nil {
		if chosen := c.opt.Choose(m.Info.Digest, m.Modes); slices.Contains(m.Modes, chosen) {
			return chosen
		}
	}
	return m.mode(wanted)
}

// mode that answers are decoded in by default.
func (m *Model) mode(wanted infer.Mode) infer.Mode {
	if slices.Contains(m.Modes, wanted) {
		return wanted
	}
	return m.Modes[0]
}

// leastTopP stands for a top_p of 0, the likeliest token alone, which to the sampler
// is off.
const leastTopP = 1e-6

func (c *Core) sampling(s infer.Sampling, r infer.Options) infer.Sampling {
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
	s.Filters = r.Filters
	if s.Temperature == 0 {
		s.TopK, s.TopP, s.MinP = 0, 0, 0
	}
	return s
}

// prompt renders and tokenizes what was asked.
func (m *Model) prompt(v chat.Tokenizer, r infer.Request, images ...[]int32) ([]int32, error) {
	messages := r.Messages
	switch {
	case len(r.PromptTokens) > 0:
		for i, id := range r.PromptTokens {
			if len(m.Vocab.Piece(id, true)) == 0 {
				return nil, infer.Errorf(infer.BadRequest, "prompt", "token %d at place %d of the prompt is none of the model's", id, i)
			}
		}
		return r.PromptTokens, nil
	case r.Suffix != "":
		return m.infill(v, r)
	case r.Raw || len(messages) == 0 && r.Prompt == "":
		if r.Prompt == "" {
			return nil, infer.Errorf(infer.BadRequest, "prompt", "the prompt is empty: say something")
		}
		return chat.RawTokens(v, r.Prompt)
	case r.Prompt != "":
		messages = append(slices.Clip(messages), infer.Message{Role: "user", Content: r.Prompt})
	}
	parts, err := m.render(messages, r)
	if err != nil {
		return nil, err
	}
	if err := shown(parts, len(images)); err != nil {
		return nil, err
	}
	return chat.Tokens(v, parts, images...)
}

// infill is the prompt for what stands between two texts.
func (m *Model) infill(v chat.Tokenizer, r infer.Request) ([]int32, error) {
	prefix, suffix, middle, ok := m.Vocab.Infill()
	if !ok {
		return nil, infer.Errorf(infer.BadRequest, "suffix", "%s does not support insert: it has no tokens to fill in the middle; leave suffix out, or take a model for code that has", m.Info.Name)
	}
	return chat.InfillTokens(v, chat.Infill{Prefix: prefix, Suffix: suffix, Middle: middle}, r.Prompt, r.Suffix)
}

// neverReached is a threshold that no confidence reaches: the exit is not computed
// where the cloud can be asked.
const neverReached = 2
