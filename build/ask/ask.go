// Package ask asks a daemon a question through its API, as a client of a person does: it reads
// the answer as it comes, and goes on where the stream was cut. It is for tests of installed
// appliances, in a container or on an imitated board.
package ask

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

	"github.com/tmaxmax/go-sse"
)

// Daemon is where a question goes.
type Daemon struct {
	URL    string // of the page
	Key    string // to it, "" for none
	Client *http.Client
}

// Question is one of a session, and as much of its answer as has come. All questions have the
// same words, so that answers of the same seed are the same, too, whether they were cut or not.
type Question struct {
	Session string
	Tokens  int // that the answer has at most
	Seed    int
	// Seen is told after each event how many tokens there are, and says whether to go on.
	Seen func(tokens int) bool

	Text    string
	Ended   bool
	Sources map[string]int // how many tokens are from where
	lengths map[int]int    // of the text, by the index of a token
	last    string         // id of the last event
}

// New is a question with an answer of so many tokens at most.
func New(session string, tokens int) *Question {
	return &Question{Session: session, Tokens: tokens, Seed: 7, lengths: map[int]int{0: 0}}
}

// Refusal is that the daemon says no, with HTTP's status.
type Refusal struct {
	Status int
	Text   string
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("the daemon refuses with %d %s: %.200s", r.Status, http.StatusText(r.Status), r.Text)
}

// Once asks, or goes on after the last event, and returns when the answer has ended or Seen
// says so. A stream that breaks is an error; one of the daemon's is a *Refusal.
func (q *Question) Once(ctx context.Context, d Daemon) error {
	body, err := json.Marshal(map[string]any{
		"messages": []map[string]string{{"role": "user", "content": "What is a lighthouse for?"}},
		"seed":     q.Seed, "temperature": 1, "max_tokens": q.Tokens, "stream": true,
	})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return err
	}
	if d.Key != "" {
		r.Header.Set("Authorization", "Bearer "+d.Key)
	}
	r.Header.Set("X-Skerry-Session", q.Session)
	if q.last != "" {
		r.Header.Set("Last-Event-ID", q.last)
	}
	reply, err := d.Client.Do(r)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(reply.Body)
		return &Refusal{reply.StatusCode, string(text)}
	}
	for e, err := range sse.Read(reply.Body, nil) {
		if err != nil {
			return err
		}
		if err := q.event(e); err != nil || q.Ended {
			return err
		}
		if q.Seen != nil && !q.Seen(len(q.lengths)-1) {
			return nil
		}
	}
	return io.ErrUnexpectedEOF
}

// Whole asks until the answer is whole. A daemon that is not ready, and a stream that breaks,
// is asked again after pause, which may say that it is in vain.
func (q *Question) Whole(ctx context.Context, d Daemon, pause func(error) error) error {
	for {
		err := q.Once(ctx, d)
		var no *Refusal
		if err == nil || errors.As(err, &no) && no.Status != http.StatusServiceUnavailable {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := pause(err); err != nil {
			return err
		}
	}
}

// event takes one in. What the daemon takes back is forgotten.
func (q *Question) event(e sse.Event) error {
	if e.Data == "[DONE]" {
		q.Ended = true
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
		q.Text = q.Text[:at]
		return nil
	}
	var chunk struct {
		Error   *struct{ Message string }
		Choices []struct{ Delta struct{ Content string } }
		Skerry  *struct {
			Sources map[string]int `json:"tokens_by_source"`
		}
	}
	if err := json.Unmarshal([]byte(e.Data), &chunk); err != nil {
		return fmt.Errorf("%w in %.100q", err, e.Data)
	}
	if chunk.Error != nil {
		return &Refusal{http.StatusOK, chunk.Error.Message}
	}
	for _, c := range chunk.Choices {
		q.Text += c.Delta.Content
	}
	if chunk.Skerry != nil {
		q.Sources = chunk.Skerry.Sources
	}
	q.lengths[index] = len(q.Text)
	return nil
}
