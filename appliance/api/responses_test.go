package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/infer"
)

const responsesBody = `{"model": "fake-135m", "max_output_tokens": 6, "temperature": 0, "input": "hello"`

func TestResponses(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	whole := c.post("/v1/responses", responsesBody+`, "instructions": "be brief"}`).ok()
	text, _ := whole.json("output", 0, "content", 0, "text").(string)
	if text == "" || whole.json("status") != "incomplete" || whole.json("incomplete_details", "reason") != "max_output_tokens" || whole.json("usage", "total_tokens") != 17.0 || whole.json("skerry", "mode") != "standalone" {
		t.Errorf("the reply is %s", whole.body)
	}
	if q := f.last(); len(q.Messages) != 2 || q.Messages[0].Content != "be brief" || q.Session == "" {
		t.Errorf("the backend was asked %+v", q)
	}
	events, _ := c.post("/v1/responses", responsesBody+`, "instructions": "be brief", "stream": true}`).ok().events("")
	var kinds []string
	var said string
	for i, e := range events {
		if dig(t, []byte(e.data), "type") != e.kind || dig(t, []byte(e.data), "sequence_number") != float64(i) {
			t.Errorf("event %d, %s, has %s", i, e.kind, e.data)
		}
		if n := len(kinds); n == 0 || kinds[n-1] != e.kind {
			kinds = append(kinds, e.kind)
		}
		more, _ := dig(t, []byte(e.data), "delta").(string)
		said += more
	}
	want := "response.created response.in_progress response.output_item.added response.content_part.added response.output_text.delta " +
		"response.output_text.done response.content_part.done response.output_item.done response.incomplete"
	if got := strings.Join(kinds, " "); got != want || said != text {
		t.Errorf("events are %s, and say %q, want %q", got, said, text)
	}
	last := []byte(events[len(events)-1].data)
	if dig(t, last, "response", "output", 0, "content", 0, "text") != text || dig(t, last, "response", "skerry", "mode") != "standalone" {
		t.Errorf("the stream ends with %s", last)
	}
}

// A response goes on with the one before, by its id, in the session that keeps it.
func TestPreviousResponse(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	first := c.post("/v1/responses", responsesBody+"}").ok().json("id").(string)
	session := f.last().Session
	if !f.last().Unnamed || f.last().Follows != "" {
		t.Errorf("the backend was asked %+v", f.last())
	}
	next := fmt.Sprintf(`{"input": "and then?", "previous_response_id": %q`, first)
	if r := c.post("/v1/responses", next+`, "skerry": {"after": -1}}`); r.status != 400 || r.json("error", "param") != "skerry.after" {
		t.Errorf("with skerry.after: %d %s", r.status, r.body)
	}
	r := c.post("/v1/responses", next+`, "instructions": "be brief"}`).ok()
	q := f.last()
	if !q.Unnamed || "resp_"+session+"_"+q.Follows != first {
		t.Errorf("the backend was asked to follow %q after %s", q.Follows, first)
	}
	if len(q.Messages) != 4 || q.Messages[0].Role != "system" || q.Messages[1].Content != "hello" || q.Messages[2].Role != "assistant" || q.Messages[3].Content != "and then?" || q.Session != session || r.json("previous_response_id") != first {
		t.Errorf("the backend was asked %+v", q)
	}
	if r := c.post("/v1/responses", next+"}"); r.status != 400 || !strings.Contains(r.body, "has gone on since") {
		t.Errorf("from a response that is not the last: %d %s", r.status, r.body)
	}
	c.post("/v1/responses", `{"input": "x", "store": false}`).ok()
	if f.last().Session != "" {
		t.Errorf("stored in %q", f.last().Session)
	}
	named := c.post("/v1/responses", `{"input": "x", "skerry": {"session": "mine"}}`).ok().json("id").(string)
	c.post("/v1/responses", fmt.Sprintf(`{"input": "x", "previous_response_id": %q}`, named)).ok()
	if q := f.last(); q.Unnamed || q.Session != "mine" || q.Follows == "" {
		t.Errorf("a session that has a name: the backend was asked %+v", q)
	}
	for _, id := range []string{"nonsense", "resp_a1", "resp_no/such_a1"} {
		if r := c.post("/v1/responses", fmt.Sprintf(`{"input": "x", "previous_response_id": %q}`, id)); r.status != 400 || r.json("error", "param") != "previous_response_id" {
			t.Errorf("%s: %d %s", id, r.status, r.body)
		}
	}
	if r := c.post("/v1/responses", `{"input": "x", "previous_response_id": "resp_unknown_a1"}`); r.status != 404 {
		t.Errorf("a session that is not there: %d %s", r.status, r.body)
	}
}

// A response that cannot be kept is answered without a session, and says so.
func TestResponseThatIsNotKept(t *testing.T) {
	c := newClient(t, &fake{forgets: true})
	r := c.post("/v1/responses", responsesBody+"}").ok()
	if names := ignoredIn(r); !slices.Equal(names, []string{"store"}) {
		t.Errorf("ignored are %q: %s", names, r.body)
	}
	id := r.json("id").(string)
	if r := c.post("/v1/responses", fmt.Sprintf(`{"input": "x", "previous_response_id": %q}`, id)); r.status != 400 || !strings.Contains(r.body, "send the whole conversation") {
		t.Errorf("to go on with it: %d %s", r.status, r.body)
	}
}

func TestResponsesTools(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	body := `{"input": "weather?", "store": false, "tools": [{"type": "function", "name": "time"},
		{"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {"city": {"enum": ["Oslo"]}}}}], "tool_choice": {"type": "function", "name": "weather"}`
	r := c.post("/v1/responses", body+"}").ok()
	if r.json("output", 0, "type") != "function_call" || r.json("output", 0, "arguments") != `{"city":"Oslo"}` || r.json("output", 0, "call_id") != "call_1" || r.json("status") != "completed" {
		t.Errorf("the reply is %s", r.body)
	}
	events, _ := c.post("/v1/responses", body+`, "stream": true}`).ok().events("")
	done := dig(t, []byte(events[len(events)-2].data), "item").(map[string]any)
	if done["arguments"] != `{"city":"Oslo"}` || done["name"] != "weather" || events[len(events)-1].kind != "response.completed" {
		t.Errorf("streamed: %v", done)
	}
	c.post("/v1/responses", `{"store": false, "input": [{"role": "user", "content": [{"type": "input_text", "text": "weather?"}]},
		{"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}, {"type": "function_call", "call_id": "c2", "name": "time", "arguments": "{}"},
		{"type": "function_call_output", "call_id": "c1", "output": "rain"}, {"type": "function_call_output", "call_id": "c2", "output": "noon"}]}`).ok()
	m := f.last().Messages
	if len(m) != 4 || len(m[1].ToolCalls) != 2 || m[1].ToolCalls[1].Name != "time" || m[2].ToolCallID != "c1" || m[3].Content != "noon" {
		t.Errorf("the backend was told %+v", m)
	}
	for body, param := range map[string]string{
		`{}`: "input", `{"input": []}`: "input", `{"input": [{"type": "item_reference"}]}`: "input[0].type", `{"input": [{"role": "wizard", "content": "x"}]}`: "input[0]",
		`{"input": "x", "tools": [{"type": "web_search"}]}`: "tools[0].type", `{"input": "x", "truncation": "some"}`: "truncation",
		`{"input": [{"type": "function_call_output", "output": "x"}]}`: "input[0]", `{"input": [{"type": "reasoning"}]}`: "input",
	} {
		if r := c.post("/v1/responses", body); r.status != 400 || r.json("error", "param") != param {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
}

// Clients that keep the conversation themselves send back the items of a response as input.
func TestResponsesTakeTheirOutput(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	first := c.post("/v1/responses", responsesBody+`, "store": false}`).ok()
	items, err := json.Marshal(first.json("output"))
	if err != nil {
		t.Fatal(err)
	}
	c.post("/v1/responses", `{"store": false, "input": [{"role": "user", "content": "hello"}, `+string(items[1:len(items)-1])+`, {"role": "user", "content": "and then?"}]}`).ok()
	m := f.last().Messages
	if len(m) != 3 || m[1].Role != "assistant" || m[1].Content != first.json("output", 0, "content", 0, "text") || m[2].Content != "and then?" {
		t.Errorf("the backend was asked %+v after %s", m, items)
	}
}

func TestResponsesFailInMidStream(t *testing.T) {
	broken := newClient(t, &fake{script: saying("half", &infer.Error{Code: infer.Internal, Message: "the weights are gone"})})
	events, _ := broken.post("/v1/responses", responsesBody+`, "stream": true}`).ok().events("")
	if last := events[len(events)-1]; last.kind != "response.failed" || dig(t, []byte(last.data), "response", "error", "message") != "the weights are gone" {
		t.Errorf("the stream ends with %v", last)
	}
}
