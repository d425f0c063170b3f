package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tmaxmax/go-sse"

	"skerry/appliance/status"
)

// page is where the appliance answers inside the container.
const page = "http://127.0.0.1:7537"

// client of what listens inside the container, with a connection for each request.
func (i *installed) client() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, DialContext: i.Dial}}
}

// get returns the body of a page that must be there.
func (i *installed) get(path, accept string) (string, error) {
	r, err := http.NewRequestWithContext(i.ctx, http.MethodGet, page+path, nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Accept", accept)
	reply, err := i.client().Do(r)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err == nil && reply.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, reply.Status, body)
	}
	return string(body), err
}

// state is some of the appliance's status, empty where it does not answer.
func (i *installed) state() (s status.Status) {
	if text, err := i.get("/api/v1/status", "application/json"); err == nil {
		json.Unmarshal([]byte(text), &s)
	}
	return s
}

// question of a session, and as much of its answer as has come.
type question struct {
	session string
	tokens  int
	seed    int

	text    string
	lengths map[int]int // of the text by index
	last    string      // event id
	ended   bool
	seen    func(*question) // after each event
	sources map[string]int
}

func (i *installed) question(session string, tokens int) *question {
	return &question{session: session, tokens: tokens, seed: 7, lengths: map[int]int{0: 0}}
}

// errAsked is a daemon that says no.
var errAsked = errors.New("the daemon refuses")

// ask asks, or goes on where the stream was cut. A stream that breaks is an error.
func (q *question) ask(ctx context.Context, c *http.Client) error {
	body, _ := json.Marshal(map[string]any{
		"messages": []map[string]string{{"role": "user", "content": "What is a lighthouse for?"}},
		"seed":     q.seed, "temperature": 1, "max_tokens": q.tokens, "stream": true,
	})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, page+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("X-Skerry-Session", q.session)
	if q.last != "" {
		r.Header.Set("Last-Event-ID", q.last)
	}
	reply, err := c.Do(r)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(reply.Body)
		return fmt.Errorf("%w: %s: %s", errAsked, reply.Status, text)
	}
	for e, err := range sse.Read(reply.Body, nil) {
		if err != nil {
			return err
		}
		if err := q.event(e); err != nil || q.ended {
			return err
		}
		if q.seen != nil {
			q.seen(q)
		}
	}
	return io.ErrUnexpectedEOF
}

// event takes one in.
func (q *question) event(e sse.Event) error {
	if e.Data == "[DONE]" {
		q.ended = true
		return nil
	}
	q.last = e.LastEventID
	index, _ := strconv.Atoi(q.last[strings.LastIndexByte(q.last, '.')+1:])
	if e.Type == "skerry.rewind" {
		for ; index > 0; index-- {
			if _, ok := q.lengths[index]; ok {
				break
			}
		}
		q.text = q.text[:q.lengths[index]]
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
		return fmt.Errorf("%w in %q", err, e.Data)
	}
	if chunk.Error != nil {
		return fmt.Errorf("%w: %s", errAsked, chunk.Error.Message)
	}
	for _, c := range chunk.Choices {
		q.text += c.Delta.Content
	}
	if chunk.Skerry != nil {
		q.sources = chunk.Skerry.Sources
	}
	q.lengths[index] = len(q.text)
	return nil
}

// whole asks until the answer is whole.
func (q *question) whole(ctx context.Context, c *http.Client) error {
	for !q.ended {
		err := q.ask(ctx, c)
		var gone *net.OpError
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errAsked) && !strings.Contains(err.Error(), "503"), errors.As(err, &gone) && gone.Op == "dial":
			return err
		}
		if !q.ended {
			time.Sleep(50 * time.Millisecond)
		}
	}
	return nil
}

// asker asks one question after the other.
type asker struct {
	events atomic.Int64 // that have come
	last   chan struct{}
	done   chan error
}

func (i *installed) askOn() *asker {
	a := &asker{last: make(chan struct{}), done: make(chan error, 1)}
	go func() {
		for n := 0; ; n++ {
			select {
			case <-a.last:
				a.done <- nil
				return
			default:
			}
			q := i.question(fmt.Sprint("stuck-", n%3), 400)
			q.seed = n
			q.seen = func(*question) { a.events.Add(1) }
			if err := q.whole(i.ctx, i.client()); err != nil {
				a.done <- err
				return
			}
		}
	}()
	return a
}

// stop lets the question under way be the last, and waits for its answer.
func (a *asker) stop() error {
	close(a.last)
	return <-a.done
}

// stuck holds a thread in the midst of a decode: an answer is under way, and no token
// of it comes.
func (i *installed) stuck(a *asker) *held {
	i.t.Helper()
	pid, err := i.HostPID(i.pid())
	if err != nil {
		i.t.Fatal(err)
	}
	for range 50 {
		h, err := hold(pid)
		if errors.Is(err, errIdle) {
			continue
		}
		if err != nil {
			i.t.Fatal(err)
		}
		before := a.events.Load()
		time.Sleep(500 * time.Millisecond)
		if a.events.Load() == before && i.state().Queue.Running > 0 {
			return h
		}
		h.release()
	}
	i.t.Fatal("no decode could be held")
	return nil
}
