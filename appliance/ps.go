package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/status"
)

type psCmd struct {
	daemonFlags
	JSON bool `name:"json" help:"Print the result as JSON."`
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

func (c *psCmd) Run(ctx context.Context, out *cli.Console) error {
	s, err := c.status(ctx)
	if err != nil {
		return err
	}
	r := psReport{State: s.State, Models: []status.Model{}, Requests: status.UnderWay(s.Sessions), Queue: s.Queue}
	r.Models = append(r.Models, s.Loaded()...)
	if c.JSON {
		return json.NewEncoder(out.Stdout).Encode(r)
	}
	return r.print(out, s.Time)
}

func (r psReport) print(out *cli.Console, now time.Time) error {
	if len(r.Models) == 0 {
		out.Note("no model is loaded: the daemon is %s (skerry status says more)", r.State)
	}
	rows := [][]string{{"MODEL", "TYPE", "WEIGHTS", "KV CACHE", "CONTEXT", "WHERE", "USERS", "STAYS"}}
	for _, m := range r.Models {
		rows = append(rows, []string{m.Name, m.Quantization, status.Bytes(m.WeightBytes), status.Bytes(m.KVBytes), fmt.Sprintf("%d x %d", m.Parallel, m.Context), m.Where(), fmt.Sprint(m.Users), m.Stays(now)})
	}
	if len(r.Models) > 0 {
		if err := cli.Table(out.Stdout, rows...); err != nil {
			return err
		}
	}
	if len(r.Requests) > 0 {
		rows := [][]string{{"REQUEST", "STATE", "TOKENS", "CLIENT", "MODE", "FOR"}}
		for _, s := range r.Requests {
			if s.StalledS > 0 {
				s.State += ", stalled " + status.Span(time.Duration(s.StalledS*float64(time.Second)))
			}
			rows = append(rows, []string{s.ID, s.State, fmt.Sprint(s.Tokens), s.Client, s.Mode, status.Span(now.Sub(s.Updated))})
		}
		fmt.Fprintln(out.Stdout)
		if err := cli.Table(out.Stdout, rows...); err != nil {
			return err
		}
	}
	fmt.Fprintf(out.Stdout, "\n%d running, %d of %d waiting, %d refused since the start\n", r.Queue.Running, r.Queue.Waiting, r.Queue.Limit, r.Queue.Refused)
	return nil
}
