package clock_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"skerry/cloudlink/clock"
)

const day = 24 * time.Hour

func TestFloor(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		passed []time.Time
		ahead  time.Duration
	}{
		"nothing known":      {nil, 0},
		"only the past":      {[]time.Time{now.Add(-day), {}}, 0},
		"ten days slow":      {[]time.Time{now.Add(-day), now.Add(10 * day)}, 10 * day},
		"seven months slow":  {[]time.Time{now.Add(213 * day), now.Add(10 * day), {}}, 213 * day},
		"the database knows": {[]time.Time{now.Add(time.Hour), now}, time.Hour},
	} {
		clock := clock.Floor(c.passed...)
		first := clock()
		if d := first.Sub(now.Add(c.ahead)); d < 0 || d > time.Minute {
			t.Errorf("%s: off by %v", name, d)
		}
		if clock().Before(first) {
			t.Errorf("%s: the clock went back", name)
		}
	}
}

func TestSaved(t *testing.T) {
	root := t.TempDir()
	if got := clock.Saved(root); !got.IsZero() {
		t.Errorf("without a file: %v", got)
	}
	for _, dir := range []string{"var/lib/private/systemd/timesync", "var/lib/systemd/timesync"} {
		path := filepath.Join(root, dir, "clock")
		at := time.Unix(1_700_000_000+int64(len(dir)), 0)
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o644), os.Chtimes(path, at, at))
		if err != nil {
			t.Fatal(err)
		}
		if got := clock.Saved(root); !got.Equal(at) {
			t.Errorf("%s: got %v, want %v", dir, got, at)
		}
	}
}
