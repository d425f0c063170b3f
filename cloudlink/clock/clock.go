// Package clock has what a board without a battery for its clock knows of the time.
package clock

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"time"
)

// Floor returns a clock for certificates and tickets on a board that has
// no battery for its own: the system's, but never before the latest of times
// that are known to have passed, from which it goes on. Zero times count for
// nothing.
func Floor(passed ...time.Time) func() time.Time {
	var floor time.Time
	for _, t := range passed {
		if t.After(floor) {
			floor = t
		}
	}
	start := time.Now()
	return func() time.Time {
		now := time.Now()
		if least := floor.Add(now.Sub(start)); now.Before(least) {
			return least
		}
		return now
	}
}

// Saved returns when systemd-timesyncd last kept the time below root, the
// file system's or a test's, and the zero time when it never did.
func Saved(root string) time.Time {
	for _, path := range []string{
		"var/lib/systemd/timesync/clock",
		"var/lib/private/systemd/timesync/clock", // where a dynamic user has it
	} {
		if st, err := os.Stat(filepath.Join(root, path)); err == nil {
			return st.ModTime()
		}
	}
	return time.Time{}
}

// OfBuild returns when the source of this program was committed, and the zero
// time when the build does not say.
func OfBuild() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			t, _ := time.Parse(time.RFC3339, s.Value)
			return t
		}
	}
	return time.Time{}
}
