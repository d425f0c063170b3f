package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tmaxmax/go-sse"
)

// question of a session, and as much of its answer as has come. All questions are the same,
// so that their answers are, too, whether they were cut or not.
type question struct {
	session string
	tokens  int
	// seen is told after each event how many tokens there are, and says whether to go on.
	seen func(count int) bool

	text    string
	lengths map[int]int // of the text, by the index of a token
	last    string      // id of the last event
	ended   bool
}

func newQuestion(session string) *question {
	return &question{session: session, tokens: 200, lengths: map[int]int{0: 0}}
}

// refusal is that the daemon says no, with HTTP's status.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the daemon refuses with %d %s: %.200s", r.status, http.StatusText(r.status), r.text)
}

// ask asks, or goes on after the last event. A stream that breaks is an error.
func (q *question) ask(ctx context.Context, m *machine) error {
	body, err := json.Marshal(map[string]any{
		"messages": []map[string]string{{"role": "user", "content": "What is a lighthouse for?"}},
		"seed":     7, "temperature": 1, "max_tokens": q.tokens, "stream": true,
	})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.page+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+m.key)
	r.Header.Set("X-Skerry-Session", q.session)
	if q.last != "" {
		r.Header.Set("Last-Event-ID", q.last)
	}
	reply, err := client.Do(r)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(reply.Body)
		return &refusal{reply.StatusCode, string(text)}
	}
	for e, err := range sse.Read(reply.Body, nil) {
		if err != nil {
			return err
		}
		if err := q.event(e); err != nil || q.ended {
			return err
		}
		if q.seen != nil && !q.seen(len(q.lengths)-1) {
			return nil
		}
	}
	return io.ErrUnexpectedEOF
}

// event takes one in. What the daemon takes back is forgotten.
func (q *question) event(e sse.Event) error {
	if e.Data == "[DONE]" {
		q.ended = true
		return nil
	}
	if e.LastEventID != "" {
		q.last = e.LastEventID
	}
	index, _ := strconv.Atoi(q.last[strings.LastIndexByte(q.last, '.')+1:]) // of the first event, 0
	if e.Type == "skerry.rewind" {
		at := 0
		for i, n := range q.lengths {
			if i > index {
				delete(q.lengths, i)
			} else {
				at = max(at, n)
			}
		}
		q.text = q.text[:at]
		return nil
	}
	var chunk struct {
		Error   *struct{ Message string }
		Choices []struct{ Delta struct{ Content string } }
	}
	if err := json.Unmarshal([]byte(e.Data), &chunk); err != nil {
		return fmt.Errorf("%w in %.100q", err, e.Data)
	}
	if chunk.Error != nil {
		return &refusal{http.StatusOK, chunk.Error.Message}
	}
	for _, c := range chunk.Choices {
		q.text += c.Delta.Content
	}
	q.lengths[index] = len(q.text)
	return nil
}

// whole asks until the answer is whole. A daemon that is not ready is asked again.
func (q *question) whole(ctx context.Context, m *machine) error {
	for {
		err := q.ask(ctx, m)
		var no *refusal
		if err == nil || errors.As(err, &no) && no.status != http.StatusServiceUnavailable {
			return err
		}
		if err := m.pause(ctx, time.Second); err != nil {
			return err
		}
	}
}
