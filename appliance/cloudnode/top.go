package cloudnode

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/status"
)

// Worker is one cloud as skerry cloud top and the page show it: the one that answers, and in a
// fleet all others as they told of themselves. Times are in nanoseconds.
type Worker struct {
	Name      string        `json:"name"` // of its machine, or where boards reach it
	Version   string        `json:"version"`
	State     string        `json:"state"`
	Boards    int           `json:"boards"` // connected
	Sessions  int           `json:"sessions"`
	Queued    int           `json:"queued"`  // positions not computed yet
	Waiting   int           `json:"waiting"` // asks
	Wait      time.Duration `json:"wait"`    // of an ask that came now
	Held      int64         `json:"held"`    // bytes for boards
	HeldLimit int64         `json:"held_limit"`
	Computed  uint64        `json:"computed"` // positions, in all
	// Throttled is how often a board was held back by its quota of positions. Of a worker of
	// several, Claims are the boards that belong to it, and Released how many it has given up
	// that had been away for long.
	Throttled uint64         `json:"throttled"`
	Claims    int            `json:"claims,omitempty"`
	Released  uint64         `json:"released,omitempty"`
	Bundles   []WorkerBundle `json:"bundles"`
}

// WorkerBundle is a stage of a worker.
type WorkerBundle struct {
	Name     string        `json:"name"`
	Whole    bool          `json:"whole,omitempty"`
	Contexts int           `json:"contexts"`
	InUse    int           `json:"in_use"`
	Kept     int           `json:"kept"`    // for boards that are away
	Pass     time.Duration `json:"pass"`    // T, 0 before anything was computed
	Further  time.Duration `json:"further"` // that a further position of a pass takes: m times T
}

// States of a worker.
const (
	StateServing  = "serving"
	StateBusy     = "busy" // sends boards to others
	StateFull     = "full"
	StateDraining = "draining"
)

// self is the cloud that the load is of.
func (l *Load) self() Worker {
	s := l.Stats
	w := Worker{
		Name: l.Host, Version: s.Version, State: StateServing, Sessions: s.Sessions, Queued: s.Queued, Waiting: s.Waiting, Wait: s.Wait,
		Held: s.Memory.Total(), HeldLimit: s.Memory.Budget, Computed: s.Rows, Throttled: s.Throttled,
	}
	if l.Fleet != nil {
		w.Claims, w.Released = l.Fleet.Claims, l.Fleet.Released
	}
	for _, d := range l.Devices {
		if d.Connections > 0 {
			w.Boards++
		}
	}
	full := len(s.Stages) > 0
	for _, b := range s.Stages {
		w.Bundles = append(w.Bundles, WorkerBundle{b.Bundle, b.Whole, b.Sequences, b.Sessions, b.Kept, b.Pass, b.Further})
		full = full && b.Sessions >= b.Sequences
	}
	if full {
		w.State = StateFull
	}
	return w
}

// workers are those of the fleet, or this one alone.
func (l *Load) workers() []Worker {
	if len(l.Workers) == 0 {
		return []Worker{l.self()}
	}
	return l.Workers
}

// tables are what there is to show of a load; before, nil for none, is one of some time ago.
func (l *Load) tables(before *Load, ago time.Duration) (line string, workers, bundles [][]string) {
	all, was := l.workers(), map[string]uint64{}
	if before != nil {
		for _, w := range before.workers() {
			was[w.Name] = w.Computed
		}
	}
	workers = [][]string{{"WORKER", "VERSION", "STATE", "BOARDS", "SESSIONS", "QUEUED", "ASKS", "WAIT", "POSITIONS/S", "HELD", "OVER QUOTA", "OWNED", "GIVEN UP"}}
	bundles = [][]string{{"BUNDLE", "WORKER", "CONTEXTS IN USE", "KEPT", "T", "M"}}
	boards, sessions := 0, 0
	versions, served := map[string]int{}, map[string]bool{}
	for _, w := range all {
		rate := "-"
		if n, ok := was[w.Name]; ok && ago > 0 && w.Computed >= n {
			rate = fmt.Sprintf("%.1f", float64(w.Computed-n)/ago.Seconds())
		}
		workers = append(workers, []string{
			w.Name, w.Version, w.State, fmt.Sprint(w.Boards), fmt.Sprint(w.Sessions), fmt.Sprint(w.Queued), fmt.Sprint(w.Waiting),
			w.Wait.Round(time.Millisecond).String(), rate, status.Bytes(w.Held) + " of " + status.Bytes(w.HeldLimit),
			fmt.Sprint(w.Throttled), fmt.Sprint(w.Claims), fmt.Sprint(w.Released),
		})
		boards, sessions = boards+w.Boards, sessions+w.Sessions
		versions[w.Version]++
		for _, b := range w.Bundles {
			name := b.Name
			if b.Whole {
				name += " (whole)"
			}
			served[name] = true
			bundles = append(bundles, []string{name, w.Name, fmt.Sprintf("%d of %d", b.InUse, b.Contexts), fmt.Sprint(b.Kept), pace(b.Pass), b.m()})
		}
	}
	slices.SortStableFunc(bundles[1:], func(a, b []string) int { return cmp.Compare(a[0], b[0]) })
	parts := []string{
		status.Plural(len(all), "worker"), status.Plural(boards, "board"), status.Plural(sessions, "session"), status.Plural(len(served), "bundle"),
	}
	if len(versions) > 1 { // as while they are being updated
		for _, v := range slices.Sorted(maps.Keys(versions)) {
			parts = append(parts, fmt.Sprintf("%d of version %s", versions[v], cmp.Or(v, "-")))
		}
	}
	return strings.Join(parts, ", "), workers, bundles
}

// rollouts has a row for each bundle that boards are offered, nil where none is.
func (l *Load) rollouts() (table [][]string) {
	for _, o := range l.Offers {
		if o.Bundle == "" {
			continue
		}
		if table == nil {
			table = [][]string{{"BUNDLE OFFERED", "VERSION", "RING", "WORKERS THAT SERVE IT"}}
		}
		table = append(table, []string{o.Name, o.Version, o.Ring, o.progress()})
	}
	return table
}

// m is what a further position costs of a pass, "-" while that is not known.
func (b WorkerBundle) m() string {
	if b.Pass <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(b.Further)/float64(b.Pass))
}

// WriteTop prints the workers and their bundles; before, nil for none, is a load of so long
// ago, from which positions a second are told.
func (l *Load) WriteTop(out io.Writer, before *Load, ago time.Duration) error {
	line, workers, bundles := l.tables(before, ago)
	fmt.Fprintf(out, "%s\n\n", line)
	if err := cli.Table(out, workers...); err != nil {
		return err
	}
	fmt.Fprintln(out)
	if err := cli.Table(out, bundles...); err != nil {
		return err
	}
	if offered := l.rollouts(); offered != nil {
		fmt.Fprintln(out)
		return cli.Table(out, offered...)
	}
	return nil
}

// topScreen paints WriteTop over what a terminal of that size shows.
func (l *Load) topScreen(before *Load, ago time.Duration, wrong error, width, height int) []byte {
	var b bytes.Buffer
	if wrong != nil {
		fmt.Fprintf(&b, "%s\n\n", status.OneLine(wrong))
	}
	l.WriteTop(&b, before, ago)
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	if room := max(height-1, 1); len(lines) > room {
		lines = append(lines[:room-1], "…")
	}
	for i, line := range lines {
		if r := []rune(line); len(r) > width {
			lines[i] = string(r[:max(width-1, 0)]) + "…"
		}
	}
	return []byte("\x1b[H" + strings.Join(lines, "\x1b[K\n") + "\x1b[K\x1b[J")
}
