package main

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/appliance/update"
	"skerry/appliance/update/install"
	"skerry/appliance/update/manifest"
	"skerry/appliance/update/publish"
)

func TestPortsThatQEMUHasChosen(t *testing.T) {
	text := "Hub -1 (n):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n" +
		"  TCP[HOST_FORWARD]  14       127.0.0.1 39563       10.0.2.15    22     0     0\r\n" +
		"  TCP[HOST_FORWARD]  13       127.0.0.1 40001       10.0.2.15  7537     0     0\r\n" +
		"  UDP[236 sec]       30       10.0.2.15 57333 192.0.2.1    53     0     0\r\n"
	if got := portsOf(text); !maps.Equal(got, map[string]string{"22": "39563", "7537": "40001"}) {
		t.Errorf("%v", got)
	}
}

// said is a monitor that has said all that it will.
type said struct {
	io.Reader
	io.Writer
}

func TestMonitor(t *testing.T) {
	var asked strings.Builder
	text, err := usernet(said{strings.NewReader(`{"QMP":{"version":{}}}{"return":{}}{"event":"X"}{"return":"the ports"}`), &asked})
	if err != nil || text != "the ports" || !strings.Contains(asked.String(), "info usernet") {
		t.Errorf("%q, %v", text, err)
	}
	for _, bad := range []string{`{"QMP":{}}{"error":{"desc":"no"}}`, `{"QMP":{}}{"return":{}}`, `{`} {
		if _, err := usernet(said{strings.NewReader(bad), io.Discard}); err == nil {
			t.Errorf("%s is no answer", bad)
		}
	}
}

// The updates that are served can be opened with the key of the run, and differ in the root.
func TestServedUpdates(t *testing.T) {
	from, dir := t.TempDir(), t.TempDir()
	var files []publish.File
	for _, name := range []string{"root.erofs", "kernel.efi"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, publish.File{Name: name, From: path})
	}
	made := time.Now()
	m := manifest.Manifest{Kind: manifest.System, Version: manifest.Version{Major: 1}, Board: "uefi", Arch: "arm64", Created: made, Expires: made.Add(time.Hour)}
	if err := publish.Write(t.Context(), from, "", m, files, publish.Key{}); err != nil {
		t.Fatal(err)
	}
	u, err := (&try{options: options{dir: dir, update: from}}).newUpdates(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer u.close()
	roots := map[string]bool{}
	for _, name := range []string{"sound", "rotten"} {
		source, err := update.NewSource(strings.Replace(u.url, host, "127.0.0.1", 1)+name+"/", t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		text, signature, err := source.Manifest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m, err := manifest.Open(text, signature, manifest.Policy{Keys: []string{u.public}, Kind: manifest.System, Board: "uefi", Arch: "arm64", Installed: &manifest.Version{}, Now: made})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := source.Files(t.Context(), m.Files, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		roots[m.Files[0].SHA256] = true
	}
	if len(roots) != 2 {
		t.Errorf("the roots are %v", roots)
	}
}

func TestOutcome(t *testing.T) {
	for want, s := range map[string]*install.State{
		"nothing is recorded":          nil,
		"kept, in slot b":              {Slot: update.B, Last: &update.Result{Kept: true}},
		"slot a: it was not ready yet": {Slot: update.A, Last: &update.Result{Reason: "it was not ready yet"}},
	} {
		if got := outcome(s); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestKeyOnTheConsole(t *testing.T) {
	m := &machine{dir: t.TempDir()}
	for text, want := range map[string]string{"": "", "Its key:   sk-sker": "", "\r\r\nIts key:   sk-skerry-x\r\r\nssh:": "sk-skerry-x"} {
		if err := os.WriteFile(m.log(), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := m.shownKey(); got != want {
			t.Errorf("%q in %q", got, text)
		}
	}
}

func TestProcessorTime(t *testing.T) {
	stat := "42 (a ) name) S 1 2 3 0 -1 4 5 6 7 8 1234 66 0 0 20 0"
	if got, err := processorTime(stat); err != nil || got != 13*time.Second {
		t.Errorf("%s, %v", got, err)
	}
	for _, bad := range []string{"", "42 (x) S 1", strings.Replace(stat, "66", "x", 1)} {
		if _, err := processorTime(bad); err == nil {
			t.Errorf("%q has a time", bad)
		}
	}
}
