package status

import (
	"fmt"
	"time"
)

// Work is what a daemon has loaded, and whom it answers. It is what skerry ps --json prints.
type Work struct {
	State    State     `json:"state"`
	Models   []Model   `json:"models"`
	Requests []Session `json:"requests"` // under way, those that compute first
	Queue    Queue     `json:"queue"`
}

// Work of the daemon.
func (s Status) Work() Work {
	return Work{State: s.State, Models: append([]Model{}, s.Loaded()...), Requests: UnderWay(s.Sessions), Queue: s.Queue}
}

// ModelTable has a row for each model that is loaded, under a row of heads.
func (w Work) ModelTable(now time.Time) [][]string {
	rows := [][]string{{"MODEL", "TYPE", "WEIGHTS", "KV CACHE", "CONTEXT", "WHERE", "USERS", "STAYS"}}
	for _, m := range w.Models {
		rows = append(rows, []string{m.Name, m.Quantization, Bytes(m.WeightBytes), Bytes(m.KVBytes), fmt.Sprintf("%d x %d", m.Parallel, m.Context), m.Where(), fmt.Sprint(m.Users), m.Stays(now)})
	}
	return rows
}

// RequestTable has a row for each request under way, under a row of heads.
func (w Work) RequestTable(now time.Time) [][]string {
	rows := [][]string{{"REQUEST", "STATE", "TOKENS", "CLIENT", "MODE", "FOR"}}
	for _, s := range w.Requests {
		if s.StalledS > 0 {
			s.State += ", stalled " + Span(time.Duration(s.StalledS*float64(time.Second)))
		}
		rows = append(rows, []string{s.ID, s.State, fmt.Sprint(s.Tokens), s.Client, s.Mode, Span(now.Sub(s.Updated))})
	}
	return rows
}

// SessionTable has a row for each session, under a row of heads.
func SessionTable(sessions []Session, now time.Time) [][]string {
	rows := [][]string{{"SESSION", "STATE", "TOKENS", "KEPT", "MODE", "CLIENT", "LAST USED"}}
	for _, s := range sessions {
		kept := "no"
		if s.Kept {
			kept = "yes"
		}
		rows = append(rows, []string{s.ID, s.State, fmt.Sprint(s.Tokens), kept, s.Mode, s.Client, Since(s.Updated, now)})
	}
	return rows
}
