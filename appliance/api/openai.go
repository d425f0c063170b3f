package api

import (
	"net/http"

	"skerry/appliance/answer"
)

func (s *server) chatCompletions(w http.ResponseWriter, r *http.Request) error {
	var body chatRequest
	if err := s.decode(w, r, &body); err != nil {
		return err
	}
	q, err := body.request()
	if err != nil {
		return err
	}
	return s.openAI(w, r, q, &body.common, true)
}

func (s *server) completions(w http.ResponseWriter, r *http.Request) error {
	var body completionRequest
	if err := s.decode(w, r, &body); err != nil {
		return err
	}
	q, err := body.request()
	if err != nil {
		return err
	}
	return s.openAI(w, r, q, &body.common, false)
}

// openAI answers q, or goes on with an answer that the request names.
func (s *server) openAI(w http.ResponseWriter, r *http.Request, q answer.Request, c *common, chat bool) error {
	a, from, err := s.begin(r, q, c.Skerry)
	if err != nil {
		return err
	}
	tell(w, a)
	reply := openAIReply{answer: a, chat: chat, logprobs: q.Logprobs, print: s.fingerprint(a.Model())}
	if c.Stream {
		return s.openAIStream(w, r, reply, from, c.usageChunk())
	}
	all, err := s.collect(r.Context(), a)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, reply.whole(all))
	return nil
}

// fingerprint names the weights: the same seed and fingerprint is the same text.
func (s *server) fingerprint(model string) string {
	m, err := s.find(model)
	if err != nil || m.Digest == "" {
		return "fp_unknown"
	}
	return "fp_" + m.Digest[:min(12, len(m.Digest))]
}

// openAIReply makes the replies of one answer.
type openAIReply struct {
	answer   answer.Answer
	chat     bool // else a completion
	logprobs bool
	print    string
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
func (o *openAIReply) probabilities(tokens []answer.Token) any {
	switch {
	case !o.logprobs:
		return nil
	case o.chat:
		return chatLogprobs{Content: logprobsOf(tokens)}
	}
	return textLogprobsOf(tokens, o.offset)
}

func (o *openAIReply) whole(all whole) completion {
	reply := o.head("chat.completion")
	one := choice{Finish: finish(all.end.Finish), Logprobs: o.probabilities(all.tokens)}
	if o.chat {
		one.Message = message(all)
	} else {
		one.Text = &all.text
	}
	reply.Choices = []choice{one}
	reply.Usage, reply.Skerry = usageOf(all.end.Usage), truth(o.answer, all.end)
	return reply
}

func message(all whole) *said {
	m := &said{Role: "assistant", Content: &all.text, Refusal: (*string)(nil)}
	if all.text == "" && len(all.calls) > 0 {
		m.Content = (*string)(nil)
	}
	for _, c := range all.calls {
		m.Calls = append(m.Calls, saidCall{ID: c.ID, Type: "function", Function: saidFunction{c.Name, c.Arguments}})
	}
	return m
}
