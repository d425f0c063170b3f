package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"skerry/appliance/status"
)

type psCmd struct {
	daemonFlags
	JSON bool `name:"json" help:"As JSON."`
}

// Help is shown above the flags.
func (c *psCmd) Help() string {
	return `Examples:
  skerry ps                                 what is loaded, and who is served
  skerry ps --json | jq .requests           the same for a program
`
}

// psReport is what skerry ps --json prints.
type psReport struct {
	State    status.State     `json:"state"`
	Models   []status.Model   `json:"models"`
	Requests []status.Session `json:"requests"` // under way, those that compute first
	Queue    status.Queue     `json:"queue"`
}

func (c *psCmd) Run(ctx context.Context, out *console) error {
	s, err := c.status(ctx)
	if err != nil {
		return err
	}
	r := psReport{State: s.State, Models: []status.Model{}, Requests: underWay(s.Sessions), Queue: s.Queue}
	if s.Model != nil {
		r.Models = append(r.Models, *s.Model)
	}
	if c.JSON {
		return json.NewEncoder(out.stdout).Encode(r)
	}
	return r.print(out, s.Time)
}

// busy are the states of sessions that are being answered, the busiest first.
var busy = []string{"decoding", "prefill", "queued"}

func underWay(sessions []status.Session) []status.Session {
	list := []status.Session{}
	for _, s := range sessions {
		if slices.Contains(busy, s.State) {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b status.Session) int {
		return cmp.Or(slices.Index(busy, a.State)-slices.Index(busy, b.State), a.Created.Compare(b.Created))
	})
	return list
}

func (r psReport) print(out *console, now time.Time) error {
	if len(r.Models) == 0 {
		out.note("no model is loaded: the daemon is %s (skerry status says more)", r.State)
	}
	for _, m := range r.Models {
		if err := table(out.stdout,
			[]string{"MODEL", "TYPE", "WEIGHTS", "KV CACHE", "CONTEXT", "WHERE"},
			[]string{m.Name, m.Quantization, status.Bytes(m.WeightBytes), status.Bytes(m.KVBytes), fmt.Sprintf("%d x %d", m.Parallel, m.Context), whereText(m)},
		); err != nil {
			return err
		}
	}
	if len(r.Requests) > 0 {
		rows := [][]string{{"REQUEST", "STATE", "TOKENS", "CLIENT", "MODE", "FOR"}}
		for _, s := range r.Requests {
			rows = append(rows, []string{s.ID, s.State, fmt.Sprint(s.Tokens), s.Client, s.Mode, status.Span(now.Sub(s.Updated))})
		}
		fmt.Fprintln(out.stdout)
		if err := table(out.stdout, rows...); err != nil {
			return err
		}
	}
	fmt.Fprintf(out.stdout, "\n%d running, %d of %d waiting, %d refused since the start\n", r.Queue.Running, r.Queue.Waiting, r.Queue.Limit, r.Queue.Refused)
	return nil
}

// whereText is where the model's blocks are computed, as "board 0-19, cloud 20-29".
func whereText(m status.Model) string {
	var merged []status.Stage
	for _, s := range m.Stages {
		if last := len(merged) - 1; last >= 0 && merged[last].Where == s.Where && merged[last].To == s.From {
			merged[last].To = s.To
		} else {
			merged = append(merged, s)
		}
	}
	var parts []string
	for _, s := range merged {
		parts = append(parts, fmt.Sprintf("%s %d-%d", s.Where, s.From, s.To-1))
	}
	return strings.Join(parts, ", ")
}
