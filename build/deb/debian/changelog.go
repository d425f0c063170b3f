package debian

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Release is an entry of CHANGELOG.md.
type Release struct {
	Version string    // 0.1.0
	Day     time.Time // zero for the first, which the package is of
	Changes []string  // a sentence or more each, on one line
}

var heading = regexp.MustCompile(`^## (\d+\.\d+\.\d+)(?: \((\d{4}-\d\d-\d\d)\))?$`)

// ParseChangelog reads the entries of a CHANGELOG.md, the newest first. Of each but the first the day has
// to be known.
func ParseChangelog(text string) (all []Release, err error) {
	for i, line := range strings.Split(text, "\n") {
		switch m := heading.FindStringSubmatch(line); {
		case m != nil:
			r := Release{Version: m[1]}
			if m[2] != "" {
				if r.Day, err = time.Parse(time.DateOnly, m[2]); err != nil {
					return nil, fmt.Errorf("line %d: %w", i+1, err)
				}
			} else if len(all) > 0 {
				return nil, fmt.Errorf("line %d: release %s has no day: write ## %[2]s (YYYY-MM-DD)", i+1, r.Version)
			}
			all = append(all, r)
		case strings.HasPrefix(line, "#") && len(all) > 0:
			return nil, fmt.Errorf("line %d: %q is no heading of a release", i+1, line)
		case len(all) == 0 || strings.TrimSpace(line) == "":
		case strings.HasPrefix(line, "- "):
			last := &all[len(all)-1]
			last.Changes = append(last.Changes, strings.TrimSpace(line[2:]))
		case strings.HasPrefix(line, "  ") && len(all[len(all)-1].Changes) > 0:
			changes := all[len(all)-1].Changes
			changes[len(changes)-1] += " " + strings.TrimSpace(line)
		default:
			return nil, fmt.Errorf("line %d: %q is no change: begin it with \"- \"", i+1, line)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("there is no release")
	}
	for _, r := range all {
		if len(r.Changes) == 0 {
			return nil, fmt.Errorf("release %s has no changes", r.Version)
		}
	}
	return all, nil
}
