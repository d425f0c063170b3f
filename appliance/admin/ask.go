package admin

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/tmaxmax/go-sse"

	"skerry/appliance/infer"
)

// Between two tries to ask a daemon whose model is being loaded.
const pauseLoading = 250 * time.Millisecond

// loading is the code of a daemon's answer while it loads its model.
const loading Code = "loading"

var _ infer.Asker = (*Client)(nil)

// Model is the name under which the daemon lists the model that is meant by another name.
func (c *Client) Model(ctx context.Context, name string) (string, error) {
	var m struct {
		ID string `json:"id"`
	}
	err := c.call(ctx, http.MethodGet, "/v1/models/"+(&url.URL{Path: name}).EscapedPath(), &m)
	return m.ID, err
}

// Vision says whether a model that the daemon lists reads images.
func (c *Client) Vision(ctx context.Context, name string) (bool, error) {
	var shown struct{ Capabilities []string }
	body, err := json.Marshal(map[string]string{"model": name})
	if err == nil {
		_, err = c.send(ctx, http.MethodPost, "/api/show", body, &shown)
	}
	return slices.Contains(shown.Capabilities, "vision"), err
}

// Ask asks the daemon a chat in a session, which becomes one of the messages' conversation.
// The answer goes on whether somebody follows it or not. While the daemon loads its model Ask
// waits, until ctx ends.
func (c *Client) Ask(ctx context.Context, r infer.Request) (infer.Answer, error) {
	ask := map[string]any{"messages": chatMessages(r.Messages), "stream": true}
	if r.MaxTokens > 0 {
		ask["max_tokens"] = r.MaxTokens
	}
	if r.Model != "" {
		ask["model"] = r.Model
	}
	own := map[string]any{}
	if r.Mode != "" {
		own["mode"] = r.Mode
	}
	if r.After != nil {
		own["after"] = *r.After
	}
	ask["skerry"] = own
	for name, v := range map[string]any{"seed": r.Seed, "temperature": r.Temperature, "top_p": r.TopP, "top_k": r.TopK, "min_p": r.MinP} {
		ask[name] = v // nil leaves it to the daemon
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return nil, err
	}
	header := http.Header{"Content-Type": {"application/json"}, "X-Skerry-Session": {r.Session}}
	for {
		resp, err := c.do(ctx, http.MethodPost, "/v1/chat/completions", header, bytes.NewReader(body))
		if err == nil {
			resp.Body.Close()
			return &answer{c, r.Session, resp.Header.Get("X-Request-Id"), r.Model, time.Now()}, nil
		}
		if told := (*Error)(nil); !errors.As(err, &told) || told.Code != loading {
			return nil, err
		}
		select {
		case <-time.After(pauseLoading):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// chatMessages are messages as /v1/chat/completions takes them.
func chatMessages(messages []infer.Message) []map[string]any {
	out := make([]map[string]any, len(messages))
	for i, m := range messages {
		out[i] = map[string]any{"role": m.Role, "content": contentOf(m)}
		if m.Name != "" {
			out[i]["name"] = m.Name
		}
		if m.ToolCallID != "" {
			out[i]["tool_call_id"] = m.ToolCallID
		}
		var calls []map[string]any
		for _, t := range m.ToolCalls {
			calls = append(calls, map[string]any{"id": t.ID, "type": "function", "function": map[string]any{"name": t.Name, "arguments": string(t.Arguments)}})
		}
		if calls != nil {
			out[i]["tool_calls"] = calls
		}
	}
	return out
}

// contentOf is a message's text, or its parts where there are images in it.
func contentOf(m infer.Message) any {
	if len(m.Images) == 0 {
		return m.Content
	}
	var parts []map[string]any
	say := func(text string) {
		if text != "" {
			parts = append(parts, map[string]any{"type": "text", "text": text})
		}
	}
	from := 0
	for _, img := range m.Images {
		at := min(max(img.At, from), len(m.Content))
		say(m.Content[from:at])
		from = at
		address := "data:" + http.DetectContentType(img.Data) + ";base64," + base64.StdEncoding.EncodeToString(img.Data)
		parts = append(parts, map[string]any{"type": "image_url", "image_url": map[string]string{"url": address}})
	}
	say(m.Content[from:])
	return parts
}

// Follow finds an answer of a session, the session's last for "". One that was cut goes on.
// What is wrong with the session the events say.
func (c *Client) Follow(_ context.Context, f infer.Following) (infer.Answer, error) {
	return &answer{c, f.Session, f.ID, "", time.Now()}, nil
}

// answer is one of the daemon's.
type answer struct {
	c                  *Client
	session, id, model string
	created            time.Time
}

func (a *answer) ID() string             { return a.id }
func (a *answer) Session() string        { return a.session }
func (a *answer) Model() string          { return a.model }
func (a *answer) Created() time.Time     { return a.created }
func (a *answer) Begun() (prompt, n int) { return 0, 0 }

// Events yields those after the first from tokens. A stream that breaks off before its end
// ends with an infer.End that has Err.
func (a *answer) Events(ctx context.Context, from int) iter.Seq[infer.Event] {
	return func(yield func(infer.Event) bool) {
		failed := func(err error) { yield(infer.Event{Kind: infer.End, Finish: infer.Failed, Err: err}) }
		header := http.Header{"Accept": {"text/event-stream"}}
		if from > 0 && a.id != "" {
			header.Set("Last-Event-ID", a.id+"."+strconv.Itoa(from))
		}
		path := "/api/v1/sessions/" + url.PathEscape(a.session) + "/answer?answer=" + url.QueryEscape(a.id)
		resp, err := a.c.do(ctx, http.MethodPost, path, header, nil)
		if err != nil {
			failed(err)
			return
		}
		defer resp.Body.Close()
		for e, err := range sse.Read(resp.Body, &sse.ReadConfig{MaxEventSize: largestEvent}) {
			var got struct {
				infer.Event
				Error *struct{ Message string } `json:"error"`
			}
			if err == nil {
				err = json.Unmarshal([]byte(e.Data), &got)
			}
			if err != nil {
				failed(a.c.why(ctx, err))
				return
			}
			if got.Error != nil {
				got.Err = errors.New(got.Error.Message)
			}
			if !yield(got.Event) || got.Kind == infer.End {
				return
			}
		}
		failed(errEnded)
	}
}
