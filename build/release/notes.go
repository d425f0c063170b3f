package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"skerry/appliance/status"
	"skerry/build/deb/debian"
)

const changelog = "build/deb/CHANGELOG.md"

// notes writes what is new, what is here, and how to check it.
func (r *release) notes(dir string) error {
	text, err := os.ReadFile(changelog)
	if err != nil {
		return err
	}
	all, err := debian.ParseChangelog(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", changelog, err)
	}
	at := slices.IndexFunc(all, func(d debian.Release) bool { return d.Version == r.number.String() })
	if at < 0 {
		return fmt.Errorf("%s has no entry for %s: add ## %[2]s and what is new", changelog, r.number)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Skerry %s, of %s\n\n", r.version, r.at.Format(time.DateOnly))
	if r.keys.throwAway != "" {
		b.WriteString(paragraph("**This is a trial, not a release.** " + r.keys.throwAway + " of a trial, which nobody should trust."))
	}
	b.WriteString("## What is new\n\n")
	for _, change := range all[at].Changes {
		b.WriteString(bullet(change))
	}
	b.WriteString("\n## What is here\n\n| file | what it is | size |\n|---|---|---|\n")
	for _, f := range r.files {
		size := "-"
		if st, err := os.Stat(filepath.Join(dir, f.name)); err == nil && !st.IsDir() {
			size = status.Bytes(st.Size())
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.name, f.what, size)
	}
	if len(r.missing) > 0 {
		b.WriteString("\n## What was not built\n\n")
		for _, m := range r.missing {
			b.WriteString(bullet(m))
		}
	}
	b.WriteString("\n" + r.howTo())
	return os.WriteFile(filepath.Join(dir, notesFile), []byte(b.String()), 0o644)
}

func (r *release) howTo() string {
	return `## To check what was fetched

    minisign -Vm SHA256SUMS -P ` + r.keys.sums.Public() + `
    sha256sum --check --ignore-missing SHA256SUMS

## To install by apt, and be updated by it

` + paragraph("With URL the address of this directory, or file: and its path. The fingerprint of skerry-archive.asc is "+r.keys.apt.fingerprint()+".") +
		`    sudo install -D -m 644 skerry-archive.asc /etc/apt/keyrings/skerry-archive.asc
    echo "deb [signed-by=/etc/apt/keyrings/skerry-archive.asc] URL ./" | sudo tee /etc/apt/sources.list.d/skerry.list
    sudo apt-get update
    sudo apt-get install skerry
`
}

func paragraph(text string) string { return strings.Join(status.Wrap(text, 90), "\n") + "\n\n" }

func bullet(text string) string {
	return "- " + strings.Join(status.Wrap(text, 88), "\n  ") + "\n"
}
