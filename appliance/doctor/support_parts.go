package doctor

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"skerry/appliance/bundle/fetch"
	"skerry/appliance/config"
	"skerry/appliance/status"
)

func findingsText(found Findings) []byte {
	var b bytes.Buffer
	for _, f := range found {
		fmt.Fprintf(&b, "%-4s  %-11s  %s\n", f.Result, f.Check, f.Detail)
	}
	fmt.Fprintln(&b, Verdict(found))
	return b.Bytes()
}

func indented(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "  ")
	return append(b, '\n'), err
}

func systemText(d *Doctor) []byte {
	var b bytes.Buffer
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		fmt.Fprintf(&b, "%s %s %s\n", unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]))
	}
	for _, name := range []string{"/etc/os-release", "/proc/device-tree/model", "/proc/meminfo", "/proc/loadavg"} {
		if data, err := os.ReadFile(name); err == nil {
			fmt.Fprintf(&b, "\n%s:\n%s\n", name, bytes.TrimRight(data, "\x00\n"))
		}
	}
	fmt.Fprintf(&b, "\nclock: %s\n", d.host.now().UTC().Format(time.RFC3339))
	return b.Bytes()
}

// settings are the daemon's where it runs, else those it would have. Neither is a
// file as it is, whose comments might hold anything.
func (d *Doctor) settings(ctx context.Context) ([]byte, error) {
	if d.status != nil {
		if text, err := d.daemon.Config(ctx); err == nil {
			return []byte(text), nil
		}
	}
	c, origins, err := d.opt.Settings()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = config.Show(&b, c, origins)
	return b.Bytes(), err
}

// environment is what of the variables concerns skerry. Of a proxy it matters that
// there is one.
func environment(vars []string) []byte {
	var lines []string
	for _, v := range vars {
		name, _, _ := strings.Cut(v, "=")
		switch {
		case strings.HasPrefix(name, "SKERRY_"), strings.HasSuffix(name, "_DIRECTORY"), strings.HasSuffix(strings.ToLower(name), "_proxy"):
			lines = append(lines, v)
		}
	}
	slices.Sort(lines)
	return []byte(strings.Join(lines, "\n") + "\n")
}

// sizes lists the files of the state directory, whose content stays where it is, and
// what else lies in the cache by directory.
func sizes(d *Doctor) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s:\n", d.state)
	images, size := 0, int64(0) // whose names tell which they are
	walk(d.state, func(rel string, fi fs.FileInfo, err error) {
		if err != nil {
			fmt.Fprintf(&b, "  %s\n", status.OneLine(err))
			return
		}
		if strings.HasPrefix(rel, "images/") {
			images, size = images+1, size+fi.Size()
			return
		}
		fmt.Fprintf(&b, "  %s %8s  %s  %s\n", fi.Mode(), status.Bytes(fi.Size()), fi.ModTime().UTC().Format(time.DateTime), rel)
	})
	if images > 0 {
		fmt.Fprintf(&b, "  %s of conversations: %s\n", status.Plural(images, "image"), status.Bytes(size))
	}
	cache, err := fetch.CacheDir()
	if err != nil {
		return b.Bytes()
	}
	sums := map[string]int64{}
	walk(cache, func(rel string, fi fs.FileInfo, err error) {
		if err == nil {
			parts := strings.SplitN(rel, "/", 3)
			sums[strings.Join(parts[:min(len(parts), 2)], "/")] += fi.Size()
		}
	})
	fmt.Fprintf(&b, "\n%s:\n", cache)
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		fmt.Fprintf(&b, "  %8s  %s\n", status.Bytes(sums[name]), name)
	}
	return b.Bytes()
}

// walk visits every file below dir, and what cannot be looked at.
func walk(dir string, visit func(rel string, fi fs.FileInfo, err error)) {
	filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			visit("", nil, err)
			return nil
		}
		if fi, err := e.Info(); err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			visit(rel, fi, nil)
		}
		return nil
	})
}

func statusText(s status.Status) ([]byte, error) {
	var b bytes.Buffer
	err := status.Text(&b, s, 100)
	return b.Bytes(), err
}

func linkCSV(minutes []status.Minute) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Write([]string{"start", "state", "rtt_ms", "loss", "goodput_bytes_per_s", "reason"})
	for _, m := range minutes {
		w.Write([]string{m.Start.UTC().Format(time.RFC3339), m.State, figure(m.RTTms), figure(m.Loss), figure(m.Goodput), m.Reason})
	}
	w.Flush()
	return b.Bytes()
}

func figure(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }

// logText are the daemon's newest lines, without names.
func (d *Doctor) logText(ctx context.Context, p pseudonyms) ([]byte, error) {
	lines, err := d.daemon.Logs(ctx, 0)
	if err != nil {
		return nil, err
	}
	var text []byte
	for _, r := range lines {
		text = fmt.Appendf(text, "%s %s\n", r.Time.Format("2006-01-02T15:04:05.000Z"), p.record(r))
	}
	return text, nil
}
