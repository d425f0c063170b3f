package main

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"skerry/build/deb/debian"
)

// TestChangelog: the packages' changelog has what CHANGELOG.md says, in the form that
// Debian's own tool reads without a complaint.
func TestChangelog(t *testing.T) {
	p := Package{Name: "skerry", Version: "0.1.0~20231114221320+abc", Root: "../..", Time: epoch}
	path := filepath.Join(t.TempDir(), "changelog.gz")
	if err := p.writeChangelog(path); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if len(line) > 81 {
			t.Errorf("longer than a line of a changelog: %q", line)
		}
	}
	plain := filepath.Join(t.TempDir(), "changelog")
	if err := os.WriteFile(plain, text, 0o644); err != nil {
		t.Fatal(err)
	}
	out := tool(t, "dpkg-parsechangelog", "--file", plain, "--all")
	for _, want := range []string{"Source: skerry\n", "Version: " + p.Version + "\n", "Distribution: stable\n", "Urgency: medium\n", "sensor-failed", "Date: Tue, 14 Nov 2023"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "warning") || strings.Contains(out, "error:") {
		t.Errorf("it complains:\n%s", out)
	}
}

func TestChangelogOfSeveralReleases(t *testing.T) {
	all, err := debian.ParseChangelog("# Changes\n\nPreamble.\n\n## 0.2.0\n\n- New, and\n  more of it.\n- Newer.\n\n## 0.1.0 (2026-11-29)\n\n- First.\n")
	if err != nil || len(all) != 2 || len(all[0].Changes) != 2 || all[0].Changes[0] != "New, and more of it." {
		t.Fatalf("%+v, %v", all, err)
	}
	p := Package{Name: "skerry-cloud", Version: "0.2.0", Time: epoch}
	plain := filepath.Join(t.TempDir(), "changelog")
	if err := os.WriteFile(plain, []byte(p.debianChangelog(all)), 0o644); err != nil {
		t.Fatal(err)
	}
	out := tool(t, "dpkg-parsechangelog", "--file", plain, "--all", "--format", "rfc822")
	if !strings.Contains(out, "Version: 0.2.0\n") || !strings.Contains(out, "Version: 0.1.0\n") || !strings.Contains(out, "Date: Sun, 29 Nov 2026 00:00:00 +0000") {
		t.Errorf("%s", out)
	}
	for text, want := range map[string]string{
		"":                               "no release",
		"## 0.1.0\n":                     "no changes",
		"## 0.1.0\ntext\n":               "is no change",
		"## 0.1\n\n- a\n":                "no release",
		"## 0.1.0\n- a\n## 0.0.9\n- b\n": "has no day",
		"## 0.1.0\n- a\n### b\n":         "is no heading",
		"## 0.1.0 (2026-13-01)\n":        "line 1",
	} {
		if _, err := debian.ParseChangelog(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
