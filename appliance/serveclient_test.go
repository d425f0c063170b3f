package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/node/nodetest"
)

// socketClient is an HTTP client of the daemon behind a socket, whichever life of it.
func socketClient(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
}

// shortDir is a directory whose name leaves room for a socket's.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// awaitReady waits until the daemon's model is loaded.
func awaitReady(t testing.TB, socket string) {
	t.Helper()
	c := socketClient(socket)
	defer c.CloseIdleConnections()
	if !nodetest.Eventually(func() bool {
		r, err := c.Get("http://skerry/api/ps")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		return strings.Contains(string(body), `"name"`)
	}) {
		t.Fatal("the model is not loaded")
	}
}

// killQuestion is one question of a client and as much of its answer as it has.
type killQuestion struct {
	session  string
	seed     uint64
	messages []map[string]string
	most     int // tokens, 0: not said
	left     *atomic.Int64
	first    int // events to read before the client goes; 0: all

	last  string         // event id
	text  string         // so far
	at    map[int]string // text by index
	ended bool
	truth infer.Provenance
}

// again is the question as if nothing were known of the answer.
func (q *killQuestion) again() *killQuestion {
	return &killQuestion{session: fmt.Sprint("again-", q.seed), seed: q.seed, messages: q.messages, most: q.most, at: map[int]string{}}
}

func (q *killQuestion) index() int {
	n, _ := strconv.Atoi(q.last[strings.LastIndexByte(q.last, '.')+1:])
	return n
}

// killClient asks one question after the other, some on from the one before.
type killClient struct {
	http       *http.Client
	number     int
	asked      int
	last       chan struct{} // closed: the question under way is the last
	left       atomic.Int64  // tokens to come of its answer, 0: it is between two
	done       []*killQuestion
	complaints []string
}

func newKillClient(socket string, number int) *killClient {
	return &killClient{http: socketClient(socket), number: number, last: make(chan struct{})}
}

// tokens of the answers of a session, one for each turn: the first is short, since
// the tiny model's words are many tokens when they are read again.
var turns = []int{20, 200}

func (c *killClient) run(ctx context.Context) {
	defer c.http.CloseIdleConnections()
	for {
		q := c.next()
		for !q.ended && ctx.Err() == nil {
			if err := c.answer(ctx, q); err != nil {
				c.complaints = append(c.complaints, fmt.Sprintf("question %d: %v", q.seed, err))
				return
			}
		}
		c.done = append(c.done, q)
		select {
		case <-c.last:
			return
		default:
		}
	}
}

func (c *killClient) next() *killQuestion {
	n := c.asked
	c.asked++
	q := &killQuestion{session: fmt.Sprintf("s-%d-%d", c.number, n/len(turns)), seed: uint64(c.number*100000 + n), most: turns[n%len(turns)], at: map[int]string{}, left: &c.left}
	if n%len(turns) > 0 {
		before := c.done[len(c.done)-1]
		q.messages = append(q.messages, before.messages...)
		q.messages = append(q.messages, map[string]string{"role": "assistant", "content": before.text})
	}
	q.messages = append(q.messages, map[string]string{"role": "user", "content": fmt.Sprint("Question ", n)})
	return q
}

// pauseBetween is how long a client leaves a daemon alone that is not there yet.
const pauseBetween = 20 * time.Millisecond

// answer asks, or goes on where the stream was cut. It returns nil where that is to
// be tried again.
func (c *killClient) answer(ctx context.Context, q *killQuestion) error {
	ask := map[string]any{"messages": q.messages, "seed": q.seed, "temperature": 1, "stream": true}
	if q.most > 0 {
		ask["max_tokens"] = q.most
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://skerry/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return err
	}
	if q.session != "" {
		r.Header.Set("X-Skerry-Session", q.session)
	}
	if q.last != "" {
		r.Header.Set("Last-Event-ID", q.last)
	}
	reply, err := c.http.Do(r)
	if err != nil {
		time.Sleep(pauseBetween)
		return nil // it was killed, or is not back yet
	}
	defer reply.Body.Close()
	switch {
	case reply.StatusCode == http.StatusServiceUnavailable:
		time.Sleep(pauseBetween)
		return nil
	case reply.StatusCode == http.StatusNotFound && q.last != "" && q.index() == 0:
		q.last = "" // it was killed before it had written the question down
		return nil
	case reply.StatusCode == http.StatusConflict && q.last == "":
		time.Sleep(pauseBetween) // the connection broke before the stream began
		return nil
	case reply.StatusCode != http.StatusOK:
		text, _ := io.ReadAll(reply.Body)
		return fmt.Errorf("status %d after %q: %s", reply.StatusCode, q.last, text)
	}
	return q.read(reply.Body)
}

// read takes in a stream. One that breaks off is no error.
func (q *killQuestion) read(body io.Reader) error {
	var kind, id, data string
	for in := bufio.NewReader(body); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil
		}
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "event":
			kind = value
		case "id":
			id = value
		case "data":
			data = value
		case "":
			if err := q.event(kind, id, data); err != nil || q.ended {
				return err
			}
			if q.first--; q.first == 0 {
				return nil
			}
			kind, id, data = "", "", ""
		}
	}
}

func (q *killQuestion) event(kind, id, data string) error {
	switch {
	case data == "[DONE]":
		q.ended = true
		q.toCome(0)
		return nil
	case data == "":
		return nil
	case kind == "skerry.rewind":
		q.last = id
		q.text = q.until(q.index())
		return nil
	}
	var chunk struct {
		Error   *struct{ Message string }
		Choices []struct{ Delta struct{ Content string } }
		Skerry  *infer.Provenance
	}
	if err := json.Unmarshal([]byte(data), &chunk); err != nil {
		return fmt.Errorf("%w in %q", err, data)
	}
	if chunk.Error != nil {
		return errors.New(chunk.Error.Message)
	}
	if chunk.Skerry != nil {
		q.truth = *chunk.Skerry
	}
	q.last = id
	for _, o := range chunk.Choices {
		q.text += o.Delta.Content
	}
	q.at[q.index()] = q.text
	q.toCome(q.most - q.index())
	return nil
}

// toCome tells how many tokens are.
func (q *killQuestion) toCome(n int) {
	if q.left != nil {
		q.left.Store(int64(n))
	}
}

// until is the text as it was after so many tokens.
func (q *killQuestion) until(index int) string {
	for ; index > 0; index-- {
		if text, ok := q.at[index]; ok {
			return text
		}
	}
	return ""
}
