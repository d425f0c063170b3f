package openai

import (
	"net/http"

	"skerry/appliance/api/exchange"
	"skerry/appliance/api/fields"
	"skerry/appliance/infer"
)

// infillRequest is the body of llama-server's /infill, by which editors complete code.
type infillRequest struct {
	common
	Prefix string `json:"input_prefix"`
	Suffix string `json:"input_suffix"`
	Prompt string `json:"prompt"` // behind the prefix
}

// infilled is a reply of /infill, or an event of its stream.
type infilled struct {
	Content   string            `json:"content"`
	Stop      bool              `json:"stop"`
	Model     string            `json:"model,omitempty"`
	Predicted int               `json:"tokens_predicted,omitempty"`
	Evaluated int               `json:"tokens_evaluated,omitempty"`
	Cached    int               `json:"tokens_cached,omitempty"`
	Why       string            `json:"stop_type,omitempty"` // eos or limit
	Skerry    *infer.Provenance `json:"skerry,omitempty"`
	// Progress of the prompt, where return_progress asks for it.
	Progress *exchange.Progress `json:"prompt_progress,omitempty"`
}

func (s server) infill(w http.ResponseWriter, r *http.Request) error {
	var body infillRequest
	ignored, err := s.Read(w, r, &body, fields.Infill)
	if err != nil {
		return err
	}
	q := infer.Request{Model: body.Model, Prompt: body.Prefix + body.Prompt, Suffix: body.Suffix, Raw: true}
	if q.Options, err = body.options(); err != nil {
		return err
	}
	if exchange.Value(body.N) > 1 {
		return exchange.BadRequest("n", "/infill gives one answer: leave n out")
	}
	if err := body.bind(&q, body.Response); err != nil {
		return err
	}
	if q.Suffix == "" {
		return exchange.BadRequest("input_suffix", "there is no input_suffix: to go on with a text, send it to /v1/completions")
	}
	a, _, err := s.Begin(r, q, body.Skerry)
	if err != nil {
		return err
	}
	exchange.NameAnswer(w, a)
	end := func(text string, e infer.Event) infilled {
		why := "eos"
		if *finish(e.Finish) == string(infer.Length) {
			why = "limit"
		}
		return infilled{text, true, a.Model(), e.Usage.Completion, e.Usage.Prompt, e.Usage.Cached, why, exchange.Provenance(a, e, ignored), nil}
	}
	if !body.Stream {
		all, err := s.Collect(r.Context(), a)
		if err != nil {
			return err
		}
		exchange.WriteJSON(w, http.StatusOK, end(all.Text, all.End))
		return nil
	}
	o := s.Stream(w, "text/event-stream")
	err = s.Relay(r.Context(), a, 0, func(e infer.Event) error {
		one := infilled{Content: e.Text}
		switch {
		case e.Err != nil:
			return e.Err
		case e.Kind == infer.End:
			one = end(e.Text, e)
		case e.Kind == infer.Prefill && body.Progress:
			one.Progress = exchange.ProgressOf(a, e)
		case e.Text == "":
			return nil
		}
		if err := o.Event("", "", one); err != nil {
			return err
		}
		return o.Flush()
	}, func() error { return o.Comment("waiting") })
	if err == nil || !o.Started {
		return err
	}
	o.Event("", "", Shape{}.Fault(exchange.ProblemOf(err)))
	o.Flush() // nobody is left to tell of an error
	return nil
}
