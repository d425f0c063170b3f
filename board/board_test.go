package board

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the golden files anew")

// root lays a fixture out and returns where.
func root(t testing.TB, fixture string) string {
	t.Helper()
	a, err := txtar.ParseFile(fixture)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range a.Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		data := strings.ReplaceAll(string(f.Data), `\0`, "\x00")
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// describe is everything that is read off a board, a line each.
func describe(root string) string {
	var b strings.Builder
	k := Detect(root)
	fmt.Fprintf(&b, "%s | %s | %s | unified memory %v\n", k.Name, k.Family, k.Model, k.Unified)
	for _, s := range Sensors {
		readings, err := s.Read(root)
		if errors.Is(err, ErrAbsent) {
			fmt.Fprintf(&b, "%s: absent\n", s.Name)
			continue
		}
		for _, r := range readings {
			fmt.Fprintf(&b, "%s: %s = %.6g %s\n", s.Name, r.Name, r.Value, r.Unit)
		}
		if err != nil {
			fmt.Fprintf(&b, "%s: failed: %s\n", s.Name, strings.ReplaceAll(err.Error(), root, ""))
		}
	}
	t, err := Throttled(root)
	if errors.Is(err, ErrAbsent) {
		b.WriteString("throttled: absent\n")
	} else {
		fmt.Fprintf(&b, "throttled: now %q, past %q, %v\n", t.Now, t.Past, err)
	}
	return b.String()
}

func TestBoards(t *testing.T) {
	fixtures, _ := filepath.Glob("testdata/*.txtar")
	if len(fixtures) < 5 {
		t.Fatalf("%d fixtures", len(fixtures))
	}
	for _, f := range fixtures {
		golden := strings.TrimSuffix(f, ".txtar") + ".golden"
		t.Run(filepath.Base(f), func(t *testing.T) {
			got := describe(root(t, f))
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("%v\ngot:\n%swant:\n%s", err, got, want)
			}
		})
	}
}

// TestEveryKnownBoardHasItsName: each entry is found by itself and none hides a
// later, more specific one.
func TestEveryKnownBoardHasItsName(t *testing.T) {
	for _, k := range known {
		dir := t.TempDir()
		tree := filepath.Join(dir, "proc/device-tree")
		if err := os.MkdirAll(tree, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tree, "compatible"), []byte("vendor,x+"+k.compatible+"\x00vendor,soc\x00"), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := Detect(dir); got.Name != k.name || got.Family != k.family {
			t.Errorf("%s: %+v", k.compatible, got)
		}
	}
	if k := Detect(t.TempDir()); k.Family != Generic || k.Name == "" {
		t.Errorf("nothing at all: %+v", k)
	}
}

// FuzzFiles: what the firmware and the kernel say is foreign input.
func FuzzFiles(f *testing.F) {
	f.Add([]byte("raspberrypi,5-model-b\x00"), []byte("0x50005\n"), []byte("0x01 0x02\n"), []byte("MemTotal: 8 kB\n"))
	f.Fuzz(func(t *testing.T, compatible, word, life, meminfo []byte) {
		dir := t.TempDir()
		for name, data := range map[string][]byte{
			"proc/device-tree/compatible": compatible, piThrottled: word,
			"sys/block/mmcblk0/device/life_time": life, "proc/meminfo": meminfo, "sys/class/thermal/thermal_zone0/temp": word,
		} {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if describe(dir) == "" {
			t.Error("nothing said")
		}
	})
}
