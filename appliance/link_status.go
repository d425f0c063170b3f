package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/status"
)

type linkStatusCmd struct {
	daemonFlags
	JSON bool `name:"json" help:"Print the result as JSON."`
}

// Help is shown above the flags.
func (c *linkStatusCmd) Help() string {
	return `Examples:
  skerry link status                        the link now, and its last hour
  skerry link status --json | jq .rtt_ms
  skerry link test                          which part of it fails

Exit codes: 0 it is up, or none is wanted; 4 it is down, or the cloud refuses.
`
}

func (c *linkStatusCmd) Run(ctx context.Context, out *cli.Console) error {
	s, err := c.status(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(out.Stdout).Encode(s.Link)
	} else {
		err = printLink(out, s)
	}
	if err == nil && s.Link.Wanted && (!s.Link.Connected || s.Link.State == status.LinkRefused) {
		err = &cli.CodeError{Code: cli.ExitDegraded}
	}
	return err
}

func printLink(out *cli.Console, s status.Status) error {
	l := s.Link
	if !l.Wanted {
		fmt.Fprintln(out.Stdout, "no cloud is configured: this board answers alone")
		out.Note("skerry enroll CODE makes it known to one")
		return nil
	}
	rows := [][2]string{{"cloud", l.Cloud}, {"state", l.State + ", " + l.Reason}}
	if l.Connected {
		rows = append(rows,
			[2]string{"for", status.Span(s.Time.Sub(l.Since))},
			[2]string{"by", strings.TrimSuffix(l.Transport+", "+l.WhyThat, ", ")},
			[2]string{"round trip", status.Millis(l.RTTms)},
			[2]string{"loss", status.Percent(l.Loss)})
		if l.Goodput > 0 { // known once rows have gone up
			rows = append(rows, [2]string{"goodput up", status.Bytes(l.Goodput) + "/s"})
		}
	} else {
		rows = append(rows, [2]string{"down for", status.Span(s.Time.Sub(l.Since))})
		if l.OtherError() != "" {
			rows = append(rows, [2]string{"last error", l.LastError})
		}
		if wait := l.NextDial.Sub(s.Time); wait > 0 {
			rows = append(rows, [2]string{"next try", "in " + status.Span(wait) + " (skerry link retry: now)"})
		}
	}
	if l.Pull != "" {
		rows = append(rows, [2]string{"to do", "serve this model there (skerry cloud --bundle DIR), or take the one that it has (" + l.Pull + ")"})
	}
	if l.Breaches > 0 {
		rows = append(rows, [2]string{"protocol", fmt.Sprintf("broken by the cloud %d times, last %s ago: %s", l.Breaches, status.Span(s.Time.Sub(l.BreachAt)), l.Breach)})
	}
	if l.Unanswered > 0 {
		rows = append(rows, [2]string{"unanswered", fmt.Sprintf("%d waits, the last %s ago", l.Unanswered, status.Span(s.Time.Sub(l.UnansweredAt)))})
	}
	rows = append(rows, [2]string{"it may see", l.May}, [2]string{"this month", monthText(l)})
	if !l.Expires.IsZero() {
		rows = append(rows, [2]string{"certificate", "until " + l.Expires.Format(time.DateOnly)})
	}
	if len(l.Hour) > 0 {
		rows = append(rows, [2]string{"last hour", hourText(l.Hour)})
	}
	if err := cli.Facts(out.Stdout, rows...); err != nil {
		return err
	}
	if len(l.Hour) > 0 {
		fmt.Fprintln(out.Stdout, "             (a minute each: = good, - fair, . poor, x down)")
	}
	return nil
}

func monthText(l status.Link) string {
	text := status.Bytes(l.BytesUp) + " up, " + status.Bytes(l.BytesDown) + " down"
	if l.Budget > 0 {
		text += " of " + status.Bytes(l.Budget)
	}
	return text
}

var minuteMarks = map[string]byte{"good": '=', "fair": '-', "poor": '.', "down": 'x'}

// hourText is a character for each minute.
func hourText(minutes []status.Minute) string {
	var b strings.Builder
	for _, m := range minutes {
		mark, ok := minuteMarks[m.State]
		if !ok {
			mark = ' '
		}
		b.WriteByte(mark)
	}
	return b.String()
}

type linkRetryCmd struct{ daemonFlags }

// Help is shown above the flags.
func (c *linkRetryCmd) Help() string {
	return `Examples:
  skerry link retry                         dial the cloud now, as after the
                                            network is back
`
}

func (c *linkRetryCmd) Run(ctx context.Context, out *cli.Console) error {
	d := c.dial()
	defer d.Close()
	if err := d.RetryLink(ctx); err != nil {
		return err
	}
	out.Note("the cloud is being dialled: skerry link status shows what came of it")
	return nil
}
