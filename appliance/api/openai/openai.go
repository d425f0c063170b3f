// Package openai speaks OpenAI's API: chats and completions, whole or streamed, and the
// list of models, below /v1/.
package openai

import (
	"net/http"

	"skerry/appliance/api/exchange"
	"skerry/appliance/api/fields"
	"skerry/appliance/infer"
)

// Route has the mux serve OpenAI's API, /v1/.
func Route(mux *http.ServeMux, b *exchange.Server) {
	s, on := server{b}, b.Route(mux, Shape{})
	on("/v1/models", "GET", s.models)
	on("/v1/models/{id...}", "GET", s.model)
	on("/v1/chat/completions", "POST", s.chatCompletions)
	on("/v1/completions", "POST", s.completions)
	on("/v1/embeddings", "POST", exchange.NoEmbeddings)
	on("/v1/", "", exchange.Unknown)
}

type server struct{ *exchange.Server }

func (s server) chatCompletions(w http.ResponseWriter, r *http.Request) error {
	var body chatRequest
	ignored, err := s.Read(w, r, &body, fields.Chat)
	if err != nil {
		return err
	}
	body.ignored = ignored
	q, err := body.request()
	if err != nil {
		return err
	}
	return s.openAI(w, r, q, &body.common, true)
}

func (s server) completions(w http.ResponseWriter, r *http.Request) error {
	var body completionRequest
	ignored, err := s.Read(w, r, &body, fields.Completions)
	if err != nil {
		return err
	}
	body.ignored = ignored
	q, err := body.request()
	if err != nil {
		return err
	}
	return s.openAI(w, r, q, &body.common, false)
}

// openAI answers q, or goes on with an answer that the request names.
func (s server) openAI(w http.ResponseWriter, r *http.Request, q infer.Request, c *common, chat bool) error {
	a, from, err := s.Begin(r, q, c.Skerry)
	if err != nil {
		return err
	}
	exchange.NameAnswer(w, a)
	reply := openAIReply{answer: a, chat: chat, logprobs: q.Logprobs, print: s.fingerprint(a.Model()), ignored: c.ignored}
	if c.Stream {
		return s.openAIStream(w, r, reply, from, c.usageChunk())
	}
	all, err := s.Collect(r.Context(), a)
	if err != nil {
		return err
	}
	exchange.WriteJSON(w, http.StatusOK, reply.whole(all))
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
	chat     bool // else a completion
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
		ID: prefix + o.answer.ID(), Object: object, Created: o.answer.Created().Unix(),
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
		one.Text = &all.Text
	}
	reply.Choices = []choice{one}
	reply.Usage, reply.Skerry = usageOf(all.End.Usage), exchange.Provenance(o.answer, all.End, o.ignored)
	return reply
}

func message(all exchange.Whole) *said {
	m := &said{Role: "assistant", Content: &all.Text, Refusal: (*string)(nil)}
	if all.Text == "" && len(all.Calls) > 0 {
		m.Content = (*string)(nil)
	}
	for _, c := range all.Calls {
		m.Calls = append(m.Calls, saidCall{ID: c.ID, Type: "function", Function: saidFunction{c.Name, c.Arguments}})
	}
	return m
}
