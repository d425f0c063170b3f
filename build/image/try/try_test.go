package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
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
	text, err := order(said{strings.NewReader(`{"QMP":{"version":{}}}{"return":{}}{"event":"X"}{"return":"the ports"}`), &asked}, "info usernet")
	if err != nil || text != "the ports" || !strings.Contains(asked.String(), "info usernet") {
		t.Errorf("%q, %v", text, err)
	}
	for _, bad := range []string{`{"QMP":{}}{"error":{"desc":"no"}}`, `{"QMP":{}}{"return":{}}`, `{`} {
		if _, err := order(said{strings.NewReader(bad), io.Discard}, "info usernet"); err == nil {
			t.Errorf("%s is no answer", bad)
		}
	}
}

// The updates that are served can be opened with the key of the run, and differ in the root.
func TestServedUpdates(t *testing.T) {
	from, dir := t.TempDir(), t.TempDir()
	var files []publish.File
	for _, name := range []string{rootFile, "kernel.efi"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bytes.Repeat([]byte(name), 200<<10), 0o644); err != nil {
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
	rotten := filepath.Join(dir, "rotten")
	if err := os.WriteFile(rotten, []byte("rotten"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := u.make(t.Context(), "rotten", rotten); err != nil {
		t.Fatal(err)
	}
	u.breaks.Store(true)
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
		m, err := manifest.Open(text, signature, manifest.Policy{Keys: []string{u.key.Public()}, Kind: manifest.System, Board: "uefi", Arch: "arm64", Installed: &manifest.Version{}, Now: made})
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
	if u.breaks.Load() || u.ranges.Load() == 0 {
		t.Errorf("no download was broken off and gone on with")
	}
}

// Every update that has to be refused is, by the rules that a board has, and for its reason alone.
func TestRefusals(t *testing.T) {
	made := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var keys [2]publish.Key
	for i := range keys {
		path := filepath.Join(t.TempDir(), "key")
		if _, err := publish.NewKey(path); err != nil {
			t.Fatal(err)
		}
		var err error
		if keys[i], err = publish.ReadKey(path, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range refusals {
		m := manifest.Manifest{Format: manifest.Format, Kind: manifest.System, Version: manifest.Version{Major: 1}, Board: "uefi", Arch: "arm64", Created: made, Expires: made.AddDate(1, 0, 0),
			Files: []manifest.Entry{{Name: rootFile, Size: 1, SHA256: strings.Repeat("0", 64)}}}
		r.change(&m)
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		signature := keys[0].Sign(text, made, manifest.File)
		switch r.reason {
		case manifest.Unsigned:
			signature = nil
		case manifest.UnknownKey:
			signature = keys[1].Sign(text, made, manifest.File)
		}
		_, err = manifest.Open(text, signature, manifest.Policy{Keys: []string{keys[0].Public()}, Kind: manifest.System, Board: "uefi", Arch: "arm64", Installed: &manifest.Version{Minor: 1}, Now: made.Add(time.Hour)})
		var no *manifest.Refusal
		if !errors.As(err, &no) || no.Reason != r.reason {
			t.Errorf("%s: %v", r.what, err)
		}
	}
}

// A run that was stopped goes on with the steps and cuts that are left, of the same image.
func TestProgress(t *testing.T) {
	dir, image := filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "skerry-uefi-1.0.0.img")
	if _, err := loadProgress(dir, image); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without an image: %v", err)
	}
	if err := os.WriteFile(image, []byte("image"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := loadProgress(dir, image)
	if err != nil {
		t.Fatal(err)
	}
	run := &try{progress: p}
	ctx := t.Context()
	fails := errors.New("it is red")
	good := step{name: "start", do: func(r *try, _ context.Context) error { r.note(nil, "a check", "green"); return nil }}
	if err := run.do(ctx, good); err != nil {
		t.Fatal(err)
	}
	if err := run.do(ctx, step{name: "update", do: func(r *try, _ context.Context) error { r.note(fails, "a check", "red"); return nil }}); err != nil {
		t.Fatal(err)
	}
	if err := run.do(ctx, step{name: "rollback", do: func(*try, context.Context) error { return fails }}); !errors.Is(err, fails) {
		t.Errorf("a step that does not work: %v", err)
	}
	p.Pulls = 7
	if err := p.save(); err != nil {
		t.Fatal(err)
	}
	p, err = loadProgress(dir, image)
	if err != nil || !p.done("start") || p.done("update") || p.done("rollback") || p.Pulls != 7 || p.failed() != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	run = &try{progress: p}
	if err := run.do(ctx, good); err != nil || len(p.Rows) != 2 || len(p.Steps) != 1 {
		t.Errorf("again: %+v, %v", p, err)
	}
	if got := p.table(); !strings.Contains(got, "FAILED: it is red") || !strings.Contains(got, "7 power cuts; 1 of 2 checks have failed") {
		t.Errorf("%s", got)
	}
	if err := os.WriteFile(image, []byte("another"), 0o644); err != nil {
		t.Fatal(err)
	}
	if p, err := loadProgress(dir, image); err != nil || len(p.Rows) != 0 || p.Pulls != 0 {
		t.Errorf("another image: %+v, %v", p, err)
	}
}

func TestSteps(t *testing.T) {
	if all, again, err := choose("", false); err != nil || again || len(all) != len(steps) {
		t.Errorf("%d steps, %v, %v", len(all), again, err)
	}
	got, again, err := choose("pulls,update", false)
	if err != nil || !again || len(got) != 2 || got[0].name != "update" || got[1].name != pulls {
		t.Errorf("%v, %v, %v", got, again, err)
	}
	if _, _, err := choose("updates", false); err == nil {
		t.Error("a step that there is not")
	}
	if all, _, err := choose("", true); err != nil || len(all) != 3 {
		t.Errorf("of a Raspberry Pi: %v, %v", all, err)
	}
	if _, _, err := choose("update", true); err == nil {
		t.Error("a Raspberry Pi in qemu is updated")
	}
	if got := updateOf("build/out/skerry-uefi-1.2.0+x.img"); got != "build/out/update-uefi-1.2.0+x" {
		t.Error(got)
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
	m := &machine{dir: t.TempDir(), starts: new(int)}
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
