package page

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"skerry/appliance/status"
)

const (
	// heartbeat keeps proxies from ending a stream on which nothing happens.
	heartbeat = 15 * time.Second
	// patience with a reader that takes nothing.
	patience = 20 * time.Second
	// retry is when a client that lost the stream comes back, in milliseconds.
	retry = 2000
)

// apiKinds are the events one gets without asking for some by ?kinds=a,b.
var apiKinds = []status.Kind{status.KindStatus, status.KindTokens, status.KindLog, status.KindHealth}

// events streams what happens (server-sent events, as the HTML standard has them)
// until the client or the daemon ends. It begins with the present status; tokens
// go on after Last-Event-ID, or ?after, as far back as the hub remembers. An ID of
// another run, or that is none, is no error.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	kinds := apiKinds
	if asked := r.FormValue("kinds"); asked != "" {
		kinds = nil
		for kind := range strings.SplitSeq(asked, ",") {
			kinds = append(kinds, status.Kind(kind))
		}
	}
	reader, err := s.Hub.Subscribe(kinds...)
	if err != nil {
		w.Header().Set("Retry-After", "5")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer reader.Close()
	out := newStream(w)
	viewer := s.Viewer(r)
	if err := s.catchUp(out, viewer, kinds, cmp.Or(r.Header.Get("Last-Event-ID"), r.FormValue("after"))); err != nil {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			err = out.write(": \n\n")
		case e, open := <-reader.Events():
			if !open {
				return
			}
			if e, shown := viewer.narrow(s, e); shown {
				err = out.event(e)
			}
		}
		if err != nil {
			return
		}
	}
}

// catchUp sends what is there already.
func (s *server) catchUp(out *stream, viewer Viewer, kinds []status.Kind, after string) error {
	if err := out.write(fmt.Sprintf("retry: %d\n\n", retry)); err != nil {
		return err
	}
	last, err := strconv.ParseUint(after, 10, 64)
	said, id := s.Hub.Recent(last)
	said = viewer.said(said)
	if err == nil && len(said) > 0 && slices.Contains(kinds, status.KindTokens) {
		if err := out.send(id, status.KindTokens, said); err != nil {
			return err
		}
	}
	out.caught = id
	if slices.Contains(kinds, status.KindStatus) {
		if err := out.send(id, status.KindStatus, s.shown(viewer, s.Status())); err != nil {
			return err
		}
	}
	if slices.Contains(kinds, status.KindPage) {
		sections := s.sections
		if !viewer.Reads {
			sections = func() map[string]string { return s.ownSections(viewer) }
		}
		return out.send(id, status.KindPage, out.changed(sections()))
	}
	return nil
}

// stream of server-sent events to one client.
type stream struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	shown  map[string]string // sections, as last sent
	caught uint64            // tokens up to here are sent
}

func newStream(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no")
	return &stream{w: w, rc: http.NewResponseController(w), shown: map[string]string{}}
}

func (s *stream) write(text string) error {
	if err := s.rc.SetWriteDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.rc.Flush()
}

// event passes one of the hub's on, or what of it is news.
func (s *stream) event(e status.Event) error {
	switch value := e.Value.(type) {
	case map[string]string:
		if fresh := s.changed(value); fresh != nil {
			return s.send(e.ID, e.Kind, fresh)
		}
		return nil
	case []status.Said:
		// Tokens said before catching up, and gathered with later ones.
		news := slices.IndexFunc(value, func(t status.Said) bool { return t.ID > s.caught })
		if news < 0 {
			return nil
		}
		if news > 0 {
			return s.send(e.ID, e.Kind, value[news:])
		}
	}
	body, err := e.JSON()
	if err != nil {
		return err
	}
	return s.frame(e.ID, e.Kind, body)
}

// remade is an event with another value.
func remade(e status.Event, value any) status.Event {
	return status.Event{ID: e.ID, Kind: e.Kind, Value: value, JSON: func() ([]byte, error) { return json.Marshal(value) }}
}

func (s *stream) send(id uint64, kind status.Kind, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return s.frame(id, kind, body)
}

func (s *stream) frame(id uint64, kind status.Kind, body []byte) error {
	return s.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", id, kind, body))
}

// news of the page: the sections that have changed, and of which assets they are.
type news struct {
	Assets   string            `json:"assets"`
	Sections map[string]string `json:"sections"`
}

// changed returns the sections that this client does not have, nil without any.
func (s *stream) changed(sections map[string]string) *news {
	fresh := &news{allAssets, map[string]string{}}
	for name, html := range sections {
		if s.shown[name] != html {
			fresh.Sections[name], s.shown[name] = html, html
		}
	}
	if len(fresh.Sections) == 0 {
		return nil
	}
	return fresh
}
