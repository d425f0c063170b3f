package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"skerry/appliance/status"
)

// release is an entry of CHANGELOG.md.
type release struct {
	version string    // 0.1.0
	day     time.Time // zero for the first, which the package is of
	changes []string  // a sentence or more each, on one line
}

var heading = regexp.MustCompile(`^## (\d+\.\d+\.\d+)(?: \((\d{4}-\d\d-\d\d)\))?$`)

// parseChangelog reads the entries, the newest first. Of each but the first the day has
// to be known.
func parseChangelog(text string) (all []release, err error) {
	for i, line := range strings.Split(text, "\n") {
		switch m := heading.FindStringSubmatch(line); {
		case m != nil:
			r := release{version: m[1]}
			if m[2] != "" {
				if r.day, err = time.Parse(time.DateOnly, m[2]); err != nil {
					return nil, fmt.Errorf("line %d: %w", i+1, err)
				}
			} else if len(all) > 0 {
				return nil, fmt.Errorf("line %d: release %s has no day: write ## %[2]s (YYYY-MM-DD)", i+1, r.version)
			}
			all = append(all, r)
		case strings.HasPrefix(line, "#") && len(all) > 0:
			return nil, fmt.Errorf("line %d: %q is no heading of a release", i+1, line)
		case len(all) == 0 || strings.TrimSpace(line) == "":
		case strings.HasPrefix(line, "- "):
			last := &all[len(all)-1]
			last.changes = append(last.changes, strings.TrimSpace(line[2:]))
		case strings.HasPrefix(line, "  ") && len(all[len(all)-1].changes) > 0:
			changes := all[len(all)-1].changes
			changes[len(changes)-1] += " " + strings.TrimSpace(line)
		default:
			return nil, fmt.Errorf("line %d: %q is no change: begin it with \"- \"", i+1, line)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("there is no release")
	}
	for _, r := range all {
		if len(r.changes) == 0 {
			return nil, fmt.Errorf("release %s has no changes", r.version)
		}
	}
	return all, nil
}

// debianChangelog is the changelog as Debian's policy has it (section 4.4): the first
// entry with the package's version and time, the others with their own.
func (p Package) debianChangelog(all []release) string {
	var b strings.Builder
	for i, r := range all {
		version, at := r.version, r.day
		if i == 0 {
			version, at = p.Version, p.Time
		}
		fmt.Fprintf(&b, "%s (%s) stable; urgency=medium\n\n", p.Name, version)
		for _, change := range r.changes {
			for n, line := range status.Wrap(change, 74) {
				b.WriteString(map[bool]string{true: "  * ", false: "    "}[n == 0] + line + "\n")
			}
		}
		fmt.Fprintf(&b, "\n -- %s  %s\n", maintainer, at.UTC().Format(time.RFC1123Z))
		if i < len(all)-1 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// writeChangelog writes the package's changelog, made of CHANGELOG.md.
func (p Package) writeChangelog(path string) error {
	from := filepath.Join(p.Root, "build/deb/CHANGELOG.md")
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	all, err := parseChangelog(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return writeCompressed(path, []byte(p.debianChangelog(all)))
}

// writeCompressed writes text by gzip, the same bytes for the same text.
func writeCompressed(path string, text []byte) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(text); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
