package health

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"skerry/appliance/status"
)

// window is how far back a Tracker looks for what happens too often; the texts
// that have a count say so.
const window = 5 * time.Minute

// Tracker knows which problems are there. Its methods may be called concurrently.
type Tracker struct {
	now func() time.Time

	mu      sync.Mutex // guards all following fields
	states  map[*Problem]*state
	samples []sample // of the last window, oldest first, at most one a second
}

// state of a problem that is, or lately was, there.
type state struct {
	since        time.Time
	gone         time.Time // when it went away; zero while it is there
	shown        bool      // it has lasted its time, and is not yet gone for long enough
	told, judged bool      // by whom it is said to be there
	text, do     string
}

func (s *state) there() bool { return s.told || s.judged }

// sample of counters that only grow.
type sample struct {
	at                  time.Time
	refused, reconnects uint64
}

// NewTracker makes one that tells the time by now.
func NewTracker(now func() time.Time) *Tracker {
	return &Tracker{now: now, states: map[*Problem]*state{}}
}

// Set says that a problem is there, with its figures as names and values in turns,
// as Set(DatabaseWrite, "err", err.Error()). It is there until Clear.
func (t *Tracker) Set(p *Problem, figures ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.raise(p, figures).told = true
}

// Clear says that a problem is no longer there, or was not.
func (t *Tracker) Clear(p *Problem) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.states[p]; s != nil {
		s.told = false
		t.lower(s)
	}
}

// Judge raises and lowers what follows from the status. Call it with every new one,
// at least a few times a minute.
func (t *Tracker) Judge(st status.Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := seen{Status: st}
	v.refused, v.reconnects = t.lately(st)
	for _, p := range declared {
		if p.judge == nil {
			continue
		}
		s := t.states[p]
		v.raised = s != nil && s.judged
		if figures, is := p.judge(v); is {
			t.raise(p, figures).judged = true
		} else if s != nil {
			s.judged = false
			t.lower(s)
		}
	}
}

// lately returns by how much the counters grew in the window. A counter that went
// back, as after a restart of its owner, begins anew.
func (t *Tracker) lately(st status.Status) (refused, reconnects uint64) {
	now := t.now()
	next := sample{now, st.Queue.Refused, st.Link.Reconnects}
	if n := len(t.samples); n > 0 && (next.refused < t.samples[n-1].refused || next.reconnects < t.samples[n-1].reconnects) {
		t.samples = t.samples[:0]
	}
	if n := len(t.samples); n == 0 || now.Sub(t.samples[n-1].at) >= time.Second { // however often it is looked
		t.samples = append(t.samples, next)
	}
	for now.Sub(t.samples[0].at) > window {
		t.samples = t.samples[1:]
	}
	return next.refused - t.samples[0].refused, next.reconnects - t.samples[0].reconnects
}

// raise has p be there. mu is held.
func (t *Tracker) raise(p *Problem, figures []string) *state {
	if s := t.states[p]; s != nil {
		t.settle(p, s)
	}
	s := t.states[p]
	if s == nil {
		s = &state{since: t.now()}
		t.states[p] = s
	}
	s.gone = time.Time{}
	s.text, s.do = fill(p.Text, figures), fill(p.Do, figures)
	return s
}

// lower notes when the last who said so took it back. mu is held.
func (t *Tracker) lower(s *state) {
	if !s.there() && s.gone.IsZero() {
		s.gone = t.now()
	}
}

// Active returns the problems to show: those that have lasted their time, worst
// first and then the oldest, less those that another one explains.
func (t *Tracker) Active() []status.Problem {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, s := range t.states {
		t.settle(p, s)
	}
	active := []status.Problem{}
	for _, p := range declared {
		if s := t.states[p]; s != nil && s.shown && !t.explained(p) {
			active = append(active, status.Problem{Code: p.Code, Title: p.Title, Severity: p.Severity,
				Text: s.text, Do: s.do, Since: s.since.UTC()})
		}
	}
	slices.SortStableFunc(active, func(a, b status.Problem) int {
		return cmp.Or(cmp.Compare(rank(a.Severity), rank(b.Severity)), a.Since.Compare(b.Since))
	})
	return active
}

// settle shows or forgets a problem whose time has come. mu is held.
func (t *Tracker) settle(p *Problem, s *state) {
	now := t.now()
	switch {
	case s.there():
		s.shown = s.shown || now.Sub(s.since) >= p.After
	case !s.shown || now.Sub(s.gone) >= p.Gone:
		delete(t.states, p)
	}
}

// explained says whether a cause of p is shown, or would be if it were not itself
// explained. mu is held.
func (t *Tracker) explained(p *Problem) bool {
	return slices.ContainsFunc(p.Causes, func(c *Problem) bool {
		s := t.states[c]
		return s != nil && s.shown
	})
}

func rank(s status.Severity) int {
	return slices.Index([]status.Severity{status.Trouble, status.Warning, status.Notice}, s)
}

// longest is how many characters a figure may have: an error may quote a file.
const longest = 400

var figure = regexp.MustCompile(`\{(\w+)\}`)

// fill puts figures into a template. They become one line without control
// characters, whatever they were.
func fill(template string, figures []string) string {
	return figure.ReplaceAllStringFunc(template, func(name string) string {
		for i := 0; i+1 < len(figures); i += 2 {
			if "{"+figures[i]+"}" == name && figures[i+1] != "" {
				return line(figures[i+1])
			}
		}
		return "(not known)"
	})
}

func line(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > longest {
		s = string(r[:longest-1]) + "…"
	}
	return s
}
