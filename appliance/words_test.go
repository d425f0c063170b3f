package main

import (
	"path/filepath"
	"skerry/appliance/node/nodetest"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A state directory that cannot be written to, and a model's directory, are named for what
// they are, once, with what to do, by every command.
func TestWordsOfDisks(t *testing.T) {
	tiny := tinyBundle(t)
	cloud := t.TempDir()
	expect(t, 0, "cloud", "init", "--state", cloud, "--name", "127.0.0.1")
	code, _ := expect(t, 0, "cloud", "invite", "--state", cloud, "--name", "b", "--may", "hidden")
	gguf := filepath.Join(t.TempDir(), "m.gguf")
	expect(t, 0, "model", "synth", "tiny", "-o", gguf)
	disks := map[string]struct {
		make  func(dir string)
		words string
	}{
		"read-only": {func(dir string) {
			if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
		}, "is read-only for this process: mount it writable, or "},
		"full": {func(dir string) { nodetest.FillDisk(t, dir) }, "no space left on device: "},
	}
	for name, disk := range disks {
		t.Run(name, func(t *testing.T) {
			dir := nodetest.SmallDisk(t)
			disk.make(dir)
			t.Setenv("SKERRY_CACHE", filepath.Join(dir, "cache"))
			state := filepath.Join(dir, "st")
			for verb, args := range map[string][]string{
				"run":         {"run", "--bundle", tiny, "--raw", "--mode", "standalone", "--threads", "1", "--context", "64", "--max-tokens", "2", "--session", "s", "--state", state, "hi"},
				"cloud init":  {"cloud", "init", "--state", state, "--name", "x"},
				"cloud":       {"cloud", "--listen", "127.0.0.1:0", "--bundle", tiny, "--state", state},
				"model split": {"model", "split", gguf, "-o", filepath.Join(dir, "out")},
				"model fetch": {"model", "fetch"},
				"enroll":      {"enroll", strings.TrimSpace(code), "--cloud", "127.0.0.1:1", "--state", state},
			} {
				_, said := expect(t, 1, args...)
				line := said[strings.LastIndex(strings.TrimSuffix(said, "\n"), "\n")+1:]
				another := "name another directory with --state"
				if strings.HasPrefix(verb, "model") {
					another = "choose another directory"
				}
				if !strings.Contains(line, disk.words) || strings.Count(line, another) != 1 || strings.Count(line, "free some space") > 1 {
					t.Errorf("%s says %q", verb, line)
				}
			}
		})
	}
}

// The daemon answers without its database, and says what is in the way.
func TestWordsOfTheDaemonsDisk(t *testing.T) {
	tiny, dir := tinyBundle(t), nodetest.SmallDisk(t)
	mend := nodetest.FillDisk(t, dir)
	p := start(t, "serve", "--listen", "127.0.0.1:0", "--socket", shortDir(t)+"/s", "--state", filepath.Join(dir, "st"), "--bundle", tiny,
		"--mode", "standalone", "--threads", "1", "--context", "128")
	p.await(t, &p.stderr, "complaint", func(s string) bool {
		return strings.Contains(s, "the database cannot be opened: sessions are not saved") && strings.Contains(s, "the file system at "+dir+" is full") && strings.Contains(s, "another directory with --state")
	})
	p.signal(t, unix.SIGTERM)
	p.wait(t)
	mend()
}
