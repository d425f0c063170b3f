package page

import (
	"bytes"
	"reflect"
	"slices"

	"skerry/appliance/status"
)

// part of the page that is sent anew when it has changed: a template, and the id
// of the element that holds it. It is rendered anew when what it is made of, from,
// is no longer what it was.
type part struct {
	name string
	all  bool // only for viewers that may see everything
	from func(v *view) any
}

var live = []part{
	{"head", false, func(v *view) any { return []string{v.S.Name, v.S.Version, v.S.Summary(), v.StateClass, v.Up} }},
	{"health", true, func(v *view) any { return []any{v.S.Health, v.S.Progress, v.S.State, v.S.Time.YearDay()} }},
	{"now", false, func(v *view) any { return v.Tiles }},
	{"asknote", false, func(v *view) any { return v.AskNote }},
	{"sources", true, func(v *view) any { return []any{v.Shares, v.Reasons, v.S.Tokens.Asks, v.S.Tokens.Prompt} }},
	{"model", false, func(v *view) any {
		return []any{v.S.Model, v.S.Models, v.S.State, v.S.Progress, v.S.Mode, v.S.Link.Connected, v.S.Link.Encoding, v.S.Queue.Running > 0}
	}},
	{"board", true, func(v *view) any { return []any{v.S.Board, v.S.Kernels, v.S.Update} }},
	{"link", true, func(v *view) any {
		link := v.S.Link
		link.Hour = nil
		return []any{link, v.NextDial, v.S.Time.YearDay()}
	}},
	{"hour", true, hourParts},
	{"sessions", false, func(v *view) any { return []any{v.S.Queue, v.S.Sessions, v.More, v.S.Time.YearDay()} }},
	{"storage", true, func(v *view) any { return []any{v.S.Storage, v.S.Tokens.CacheBytes} }},
	{"log", true, func(v *view) any { return v.Logs }},
}

// hourParts change with the minute, the state and the mode, not with each figure of
// the minute that is under way.
func hourParts(v *view) any {
	hour := v.S.Link.Hour
	if len(hour) == 0 {
		return v.S.Link.Wanted
	}
	last := hour[len(hour)-1]
	return []any{hour[:len(hour)-1], last.Start, last.State, v.S.Changes}
}

// rendered is a part as it was last, and what it was made from.
type rendered struct {
	from any
	html string
}

// sections renders the live parts, by name.
func (s *server) sections() map[string]string {
	v := newView(s.Status())
	v.Viewer = Viewer{Reads: true}
	v.Logs = s.newestLogs()
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := make(map[string]string, len(live))
	var b bytes.Buffer
	for _, p := range live {
		from := p.from(v)
		if last, ok := s.parts[p.name]; !ok || !reflect.DeepEqual(last.from, from) {
			b.Reset()
			if err := templates.ExecuteTemplate(&b, p.name, v); err != nil {
				continue // the whole page says so, with a status
			}
			s.parts[p.name] = rendered{from, b.String()}
		}
		parts[p.name] = s.parts[p.name].html
	}
	return parts
}

// changedHealth returns the problems whenever they are others than before.
func (s *server) changedHealth() func() any {
	var last []status.Problem
	known := false
	return func() any {
		now := s.Status().Health
		if known && slices.Equal(now, last) {
			return nil
		}
		last, known = now, true
		return append([]status.Problem{}, now...)
	}
}
