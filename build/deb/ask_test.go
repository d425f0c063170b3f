package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"skerry/appliance/status"
	"skerry/build/ask"
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

// daemon is where questions go.
func (i *installed) daemon() ask.Daemon { return ask.Daemon{URL: page, Client: i.client()} }

// whole asks until the answer is whole. A connection that is refused is an error: systemd holds
// the socket.
func (i *installed) whole(q *ask.Question) error {
	return q.Whole(i.ctx, i.daemon(), func(err error) error {
		var gone *net.OpError
		if errors.As(err, &gone) && gone.Op == "dial" {
			return err
		}
		time.Sleep(50 * time.Millisecond)
		return nil
	})
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
			q := ask.New(fmt.Sprint("stuck-", n%3), 400)
			q.Seed = n
			q.Seen = func(int) bool { a.events.Add(1); return true }
			if err := i.whole(q); err != nil {
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
