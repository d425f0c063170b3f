package cloudnode

import (
	"fmt"
	"io"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/status"
)

// WriteText prints the load by stage and by board.
func (l *Load) WriteText(out io.Writer) error {
	s, m, size := l.Stats, l.Stats.Memory, status.Bytes[int64]
	if l.Fleet != nil {
		if err := cli.Facts(out, [2]string{"workers", l.Fleet.String()}); err != nil {
			return err
		}
	}
	if err := cli.Facts(out, [][2]string{
		{"process", size(l.Resident) + " in memory"},
		{"memory", fmt.Sprintf("%s of %s: queues %s, asks %s, answers %s, sessions %s, early data %s",
			size(m.Total()), size(m.Budget), size(m.Queues), size(m.Asks), size(m.Outputs), size(m.Fixed), size(m.Early))},
		{"contexts", fmt.Sprintf("%s, %d kept for boards that are away, %d evicted, %d read from files", status.Plural(s.Sessions, "session"), s.Contexts, s.Evicted, s.Restored)},
		{"queue", fmt.Sprintf("%s, %s; an ask that came now would wait %s; %s refused as busy",
			status.Plural(s.Queued, "position"), status.Plural(s.Waiting, "ask"), s.Wait.Round(time.Millisecond), status.Plural(s.Busy, "ask"))},
		{"work", fmt.Sprintf("%s, %s", status.Plural(s.Rows, "position"), status.Plural(s.Answers, "answer"))},
	}...); err != nil {
		return err
	}
	stages := [][]string{{"BUNDLE", "WEIGHTS", "KV CACHE", "SESSIONS", "KEPT", "POSITIONS HELD", "QUEUED", "ASKS", "T", "A FURTHER POSITION"}}
	for _, b := range s.Stages {
		name := b.Bundle
		if b.Whole {
			name += " (whole)"
		}
		stages = append(stages, []string{
			name, size(b.Weights), size(b.KV), fmt.Sprintf("%d of %d", b.Sessions, b.Sequences), fmt.Sprint(b.Kept),
			fmt.Sprintf("%d of %d", b.Positions, b.Sequences*b.Context), fmt.Sprint(b.Queued), fmt.Sprint(b.Waiting), pace(b.Pass), pace(b.PerRow),
		})
	}
	fmt.Fprintln(out)
	if err := cli.Table(out, stages...); err != nil {
		return err
	}
	devices := [][]string{{"DEVICE", "CONNECTIONS", "SESSIONS", "QUEUED", "ASKS", "UNREAD", "POSITIONS", "ANSWERS", "REFUSED", "BUSY"}}
	for _, d := range l.Devices {
		devices = append(devices, []string{
			d.Device, fmt.Sprint(d.Connections), fmt.Sprint(d.Sessions), size(d.Queued), size(d.Asks), size(d.Outputs),
			fmt.Sprint(d.Rows), fmt.Sprint(d.Answers), fmt.Sprint(d.Refused), fmt.Sprint(d.Busy),
		})
	}
	fmt.Fprintln(out)
	return cli.Table(out, devices...)
}

// pace is a time of computing, which is not known before anything was computed.
func pace(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.Round(100 * time.Microsecond).String()
}
