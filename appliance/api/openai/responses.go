package openai

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"skerry/appliance/api/exchange"
	"skerry/appliance/api/fields"
	"skerry/appliance/infer"
)

// responses answers /v1/responses. A response that is stored is an answer of a session, and
// its id names both; the next one, which names it as the previous, goes on in the session.
func (s server) responses(w http.ResponseWriter, r *http.Request) error {
	var body responseRequest
	ignored, err := s.Read(w, r, &body, fields.Responses)
	if err != nil {
		return err
	}
	if r.Header.Get("Last-Event-ID") != "" {
		return exchange.BadRequest("Last-Event-ID", "events of responses have no ids to go on from: follow /api/v1/sessions/{session}/answer instead")
	}
	before, follows, err := s.before(r, &body)
	if err != nil {
		return err
	}
	q, err := body.request(before)
	if err != nil {
		return err
	}
	q.Unnamed, q.Follows = unnamed(body.Skerry.Session), follows
	if body.Truncation == "auto" {
		named := q
		if named.Model, err = s.Resolve(q.Model); err != nil {
			return err
		}
		note, err := s.Fit(r.Context(), &named)
		if err != nil {
			return err
		}
		if q.Messages = named.Messages; note != "" {
			ignored = append(ignored, infer.Ignored{Field: "input", Why: note})
		}
	}
	ignored = append(ignored, s.Unheard(q, &body.thinking)...)
	a, _, err := s.Begin(r, q, body.Skerry)
	if err != nil {
		return err
	}
	exchange.NameAnswer(w, a)
	if q.Unnamed && a.Session() == "" {
		ignored = append(ignored, infer.Ignored{Field: "store", Why: "the conversation is too long to be kept, or its images are too large: send the whole of it as the next input"})
	}
	reply := &responseReply{request: &body, answer: a, ignored: ignored}
	if body.Stream {
		return s.responseStream(w, r, reply)
	}
	all, err := s.Collect(r.Context(), a)
	if err != nil {
		return err
	}
	exchange.WriteJSON(w, http.StatusOK, reply.whole(all))
	return nil
}

// before is the conversation that a request goes on with, and the answer that it follows
// where it is to be kept behind that. It sets the session.
func (s server) before(r *http.Request, body *responseRequest) (messages []infer.Message, follows string, err error) {
	store := body.Store == nil || *body.Store
	if body.Previous == "" {
		if store && body.Skerry.Session == "" && body.Skerry.After == nil && r.Header.Get("X-Skerry-Session") == "" {
			body.Skerry.Session = newSession()
		}
		return nil, "", nil
	}
	if body.Skerry.After != nil {
		return nil, "", exchange.BadRequest("skerry.after", "skerry.after and previous_response_id both say what the input goes on from: send one of them")
	}
	session, answer, ok := parseResponseID(body.Previous)
	memory, keeps := s.Backend.(infer.Rememberer)
	if !ok || !keeps {
		return nil, "", exchange.BadRequest("previous_response_id", "previous_response_id is %q, which is no response that was stored here: send the whole conversation as input", exchange.Clip(body.Previous))
	}
	messages, last, err := memory.Remember(r.Context(), s.By(r), session)
	switch {
	case err != nil:
		return nil, "", err
	case last != answer:
		return nil, "", exchange.BadRequest("previous_response_id", "the conversation of %s has gone on since: name its last response, or send the whole conversation as input", exchange.Clip(body.Previous))
	case store:
		body.Skerry.Session, follows = session, answer
	}
	return messages, follows, nil
}

// The name of a session that nobody has chosen: a prefix and so many random bytes in hex.
const (
	unnamedPrefix = "resp-"
	unnamedBytes  = 12
)

// newSession is a name for the session of a response.
func newSession() string {
	var b [unnamedBytes]byte
	rand.Read(b[:]) // which never fails
	return unnamedPrefix + hex.EncodeToString(b[:])
}

// unnamed says whether a session's name is one of newSession.
func unnamed(session string) bool {
	digits, ok := strings.CutPrefix(session, unnamedPrefix)
	b, err := hex.DecodeString(digits)
	return ok && err == nil && len(b) == unnamedBytes
}

// responseID names a response, and so its session, if it has one, and its answer.
func responseID(a infer.Answer) string {
	if a.Session() == "" {
		return "resp_" + a.ID()
	}
	return "resp_" + a.Session() + "_" + a.ID()
}

func parseResponseID(id string) (session, answer string, ok bool) {
	rest, ok := strings.CutPrefix(id, "resp_")
	i := strings.LastIndexByte(rest, '_')
	if !ok || i <= 0 || exchange.CheckSession(rest[:i]) != nil {
		return "", "", false
	}
	return rest[:i], rest[i+1:], true
}

// response is a reply of /v1/responses, or what its stream says of it.
type response struct {
	ID         string            `json:"id"`
	Object     string            `json:"object"`
	Created    int64             `json:"created_at"`
	Status     string            `json:"status"`
	Error      any               `json:"error"`
	Incomplete any               `json:"incomplete_details"`
	Model      string            `json:"model"`
	Output     []outputItem      `json:"output"`
	Parallel   bool              `json:"parallel_tool_calls"`
	Previous   any               `json:"previous_response_id"`
	Choice     any               `json:"tool_choice"`
	Tools      []responseTool    `json:"tools"`
	Usage      *responseUsage    `json:"usage"`
	Skerry     *infer.Provenance `json:"skerry,omitempty"`
}

type responseUsage struct {
	Input   int `json:"input_tokens"`
	Details struct {
		Cached int `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	Output        int `json:"output_tokens"`
	OutputDetails struct {
		Reasoning int `json:"reasoning_tokens"` // they are not told apart, and counted as output
	} `json:"output_tokens_details"`
	Total int `json:"total_tokens"`
}

// outputItem is a message, a call of a function, or thoughts.
type outputItem struct {
	Type    string       `json:"type"`
	ID      string       `json:"id"`
	Status  string       `json:"status,omitempty"`
	Role    string       `json:"role,omitempty"`
	Content []outputPart `json:"content,omitzero"`
	Summary []outputPart `json:"summary,omitzero"`
	CallID  string       `json:"call_id,omitempty"`
	Name    string       `json:"name,omitempty"`
	// Arguments of a call, in JSON.
	Arguments *string `json:"arguments,omitempty"`
}

type outputPart struct {
	Type        string `json:"type"`
	Text        string `json:"text"`
	Annotations []any  `json:"annotations,omitzero"`
}

func textPart(text string) outputPart {
	return outputPart{Type: "output_text", Text: text, Annotations: []any{}}
}

// responseReply makes the replies of one answer.
type responseReply struct {
	request *responseRequest
	answer  infer.Answer
	ignored []infer.Ignored
}

// messageItem is the i-th of the output, with status in_progress or completed.
func (o *responseReply) messageItem(i int, status string, parts ...outputPart) outputItem {
	return outputItem{Type: "message", ID: o.itemID("msg", i), Status: status, Role: "assistant", Content: append([]outputPart{}, parts...)}
}

func (o *responseReply) thoughtItem(i int, text string) outputItem {
	item := outputItem{Type: "reasoning", ID: o.itemID("rs", i), Summary: []outputPart{}}
	if text != "" {
		item.Content = []outputPart{{Type: "reasoning_text", Text: text}}
	}
	return item
}

func (o *responseReply) callItem(i int, status, id, name, arguments string) outputItem {
	return outputItem{Type: "function_call", ID: o.itemID("fc", i), Status: status, CallID: id, Name: name, Arguments: &arguments}
}

func (o *responseReply) itemID(kind string, i int) string {
	return fmt.Sprintf("%s_%s_%d", kind, o.answer.ID(), i)
}

// head is the response before there is anything in it.
func (o *responseReply) head() response {
	q := o.request
	out := response{
		ID: responseID(o.answer), Object: "response", Created: o.answer.Created().Unix(), Status: "in_progress", Model: o.answer.Model(), Output: []outputItem{},
		Parallel: q.Parallel == nil || *q.Parallel, Previous: orNull(q.Previous), Choice: "auto", Tools: q.Tools,
	}
	if len(q.Choice) > 0 && string(q.Choice) != "null" {
		out.Choice = q.Choice
	}
	if out.Tools == nil {
		out.Tools = []responseTool{}
	}
	return out
}

// ended is the response with its output.
func (o *responseReply) ended(output []outputItem, e infer.Event) response {
	out := o.head()
	out.Output, out.Status = output, "completed"
	if *finish(e.Finish) == string(infer.Length) {
		out.Status, out.Incomplete = "incomplete", map[string]string{"reason": "max_output_tokens"}
	}
	u := &responseUsage{Input: e.Usage.Prompt, Output: e.Usage.Completion, Total: e.Usage.Prompt + e.Usage.Completion}
	u.Details.Cached = e.Usage.Cached
	out.Usage, out.Skerry = u, exchange.Provenance(o.answer, e, o.ignored)
	return out
}

func (o *responseReply) whole(all exchange.Whole) response {
	items := []outputItem{}
	if all.Thought != "" {
		items = append(items, o.thoughtItem(len(items), all.Thought))
	}
	if all.Text != "" || len(all.Calls) == 0 {
		items = append(items, o.messageItem(len(items), "completed", textPart(all.Text)))
	}
	for _, c := range all.Calls {
		items = append(items, o.callItem(len(items), "completed", c.ID, c.Name, c.Arguments))
	}
	return o.ended(items, all.End)
}
