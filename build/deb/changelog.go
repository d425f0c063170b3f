package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"skerry/appliance/status"
	"skerry/build/deb/debian"
)

// debianChangelog is the changelog as Debian's policy has it (section 4.4): the first
// entry with the package's version and time, the others with their own.
func (p Package) debianChangelog(all []debian.Release) string {
	var b strings.Builder
	for i, r := range all {
		version, at := r.Version, r.Day
		if i == 0 {
			version, at = p.Version, p.Time
		}
		fmt.Fprintf(&b, "%s (%s) stable; urgency=medium\n\n", p.Name, version)
		for _, change := range r.Changes {
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
	all, err := debian.ParseChangelog(string(text))
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
