// Package openai speaks OpenAI's API: chats and completions, whole or streamed, and the
// list of models, below /v1/.
package openai

import (
	"errors"
	"net/http"
	"time"

	"skerry/appliance/api/exchange"
	"skerry/appliance/api/fields"
	"skerry/appliance/infer"
)

// Patterns are what Route serves outside of /v1/, as http.ServeMux has them: OpenAI's routes
// as clients ask for them whose base URL has no /v1, and those of llama.cpp's server.
var Patterns = []string{
	"/models", "/models/{id...}", "/chat/completions", "/completions", "/responses", "/embeddings",
	"/health", "/props", "/tokenize", "/detokenize", "/apply-template", "/infill",
}

// Route has the mux serve OpenAI's API, /v1/, and Patterns.
func Route(mux *http.ServeMux, b *exchange.Server) {
	s, on := server{b}, b.Route(mux, Shape{})
	for _, base := range []string{"/v1", ""} {
		on(base+"/models", "GET", s.models)
		on(base+"/models/{id...}", "GET", s.model)
		on(base+"/chat/completions", "POST", s.chatCompletions)
		on(base+"/completions", "POST", s.completions)
		on(base+"/embeddings", "POST", s.embeddings)
		on(base+"/responses", "POST", s.responses)
	}
	on("/v1/", "", exchange.Unknown)
	on("/health", "GET", s.health)
	on("/v1/health", "GET", s.health)
	on("/props", "GET", s.props)
	on("/tokenize", "POST", s.tokenize)
	on("/detokenize", "POST", s.detokenize)
	on("/apply-template", "POST", s.applyTemplate)
	on("/infill", "POST", s.infill)
}

type server struct{ *exchange.Server }

func (s server) chatCompletions(w http.ResponseWriter, r *http.Request) error {
	var body chatRequest
	ignored, err := s.Read(w, r, &body, fields.Chat)
	if err != nil {
		return err
	}
	q, err := body.request()
	if err != nil {
		return err
	}
	body.ignored = append(ignored, s.Unheard(q, &body.Thinking)...)
	return s.openAI(w, r, body.choices(q), &body.common, openAIReply{chat: true, thinks: q.SplitThoughts})
}

func (s server) completions(w http.ResponseWriter, r *http.Request) error {
	var body completionRequest
	ignored, err := s.Read(w, r, &body, fields.Completions)
	if err != nil {
		return err
	}
	all, err := body.requests()
	if err != nil {
		return err
	}
	body.ignored = ignored
	return s.openAI(w, r, all, &body.common, openAIReply{echo: body.Echo})
}

// openAI answers all of qs, one after the other, or goes on with an answer that the request
// names.
func (s server) openAI(w http.ResponseWriter, r *http.Request, qs []infer.Request, c *common, reply openAIReply) error {
	if len(qs) > 1 {
		if err := c.alone(r); err != nil {
			return err
		}
	}
	a, from, err := s.Begin(r, qs[0], c.Skerry)
	if err != nil {
		return err
	}
	exchange.NameAnswer(w, a)
	reply.logprobs, reply.print, reply.ignored = qs[0].Logprobs, s.fingerprint(a.Model()), c.ignored
	reply.answer, reply.begun = a, a
	reply.prompt(qs[0])
	if c.Stream {
		return s.openAIStream(w, r, reply, from, qs, c)
	}
	var out completion
	for i, q := range qs {
		if i > 0 {
			if reply.answer, err = s.another(r, q, c.Skerry, nil); err != nil {
				return err
			}
			reply.prompt(q)
		}
		all, err := s.Collect(r.Context(), reply.answer)
		if err != nil {
			return err
		}
		out = reply.join(out, reply.whole(all), i)
	}
	exchange.WriteJSON(w, http.StatusOK, out)
	return nil
}

// another begins a further answer of a request. Where the queue is full it waits, calling idle
// (which may be nil) each time, and asks again: the answers before it would be lost otherwise.
func (s server) another(r *http.Request, q infer.Request, x exchange.Extra, idle func() error) (infer.Answer, error) {
	for {
		a, _, err := s.Begin(r, q, x)
		var full *infer.Error
		if !errors.As(err, &full) || full.Code != infer.Busy {
			return a, err
		}
		if idle != nil {
			if err := idle(); err != nil {
				return nil, err
			}
		}
		select {
		case <-time.After(min(max(full.RetryAfter, leastPause), mostPause)):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

// Between two tries to begin a further answer.
const (
	leastPause = 20 * time.Millisecond
	mostPause  = 2 * time.Second
)

// alone refuses what only a request for one answer can have.
func (c *common) alone(r *http.Request) error {
	if c.Skerry.Session != "" || r.Header.Get("X-Skerry-Session") != "" || r.Header.Get("Last-Event-ID") != "" {
		return exchange.BadRequest("n", "a session has one answer at a time: ask for one, or without a session")
	}
	return nil
}

// fingerprint names the weights: the same seed and fingerprint is the same text.
func (s server) fingerprint(model string) string {
	m, err := s.Find(model)
	if err != nil || m.Digest == "" {
		return "fp_unknown"
	}
	return "fp_" + m.Digest[:min(12, len(m.Digest))]
}

// openAIReply makes the replies of one answer.
type openAIReply struct {
	answer   infer.Answer
	begun    infer.Answer // the first, after which the reply is named
	chat     bool         // else a completion
	thinks   bool         // thoughts are taken apart
	echo     bool         // the prompt is said again
	before   string       // the prompt, with echo
	logprobs bool
	print    string
	ignored  []infer.Ignored
	offset   int // characters of text so far, where from the start
}

func (o *openAIReply) head(object string) completion {
	prefix := "cmpl-"
	if o.chat {
		prefix = "chatcmpl-"
	} else {
		object = "text_completion"
	}
	return completion{
		ID: prefix + o.begun.ID(), Object: object, Created: o.begun.Created().Unix(),
		Model: o.answer.Model(), Fingerprint: o.print, Choices: []choice{},
	}
}

// probabilities of tokens, nil where they were not asked for.
func (o *openAIReply) probabilities(tokens []infer.Token) any {
	switch {
	case !o.logprobs:
		return nil
	case o.chat:
		return chatLogprobs{Content: exchange.LogprobsOf(tokens)}
	}
	return textLogprobsOf(tokens, o.offset)
}

func (o *openAIReply) whole(all exchange.Whole) completion {
	reply := o.head("chat.completion")
	one := choice{Finish: finish(all.End.Finish), Logprobs: o.probabilities(all.Tokens)}
	if o.chat {
		one.Message = message(all)
	} else {
		text := o.before + all.Text
		one.Text = &text
	}
	reply.Choices = []choice{one}
	reply.Usage, reply.Skerry = usageOf(all.End.Usage), exchange.Provenance(o.answer, all.End, o.ignored)
	return reply
}

// prompt takes up the next prompt.
func (o *openAIReply) prompt(q infer.Request) {
	if o.echo {
		o.before = q.Prompt
	}
	o.offset = 0
}

// join puts the i-th whole reply behind those before it. The prompt counts once for each
// answer, as it was read once for each.
func (o *openAIReply) join(all, next completion, i int) completion {
	if i == 0 {
		return next
	}
	if i == 1 {
		all.Choices[0].Skerry = all.Skerry
	}
	one := next.Choices[0]
	one.Index, one.Skerry = i, next.Skerry
	all.Choices = append(all.Choices, one)
	all.Usage.(*usage).add(next.Usage.(*usage))
	return all
}

func message(all exchange.Whole) *said {
	m := &said{Role: "assistant", Content: &all.Text, Reasoning: all.Thought, Refusal: (*string)(nil)}
	if all.Text == "" && len(all.Calls) > 0 {
		m.Content = (*string)(nil)
	}
	for _, c := range all.Calls {
		m.Calls = append(m.Calls, saidCall{ID: c.ID, Type: "function", Function: saidFunction{c.Name, c.Arguments}})
	}
	return m
}
