package engine

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The mappings of a file are found by its name, whatever else is mapped, and none that is written to.
func TestMappings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b.gguf")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	maps := "00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/x\n" +
		"7f0000000000-7f0000100000 r--s 00000000 fe:00 10 " + path + "\n" +
		"7f0000200000-7f0000300000 r--s 00100000 fe:00 10       " + path + "\n" +
		"7f0000400000-7f0000500000 rw-p 00100000 fe:00 10 " + path + "\n" +
		"7f0000600000-7f0000700000 r--s 00000000 fe:00 11 " + path + ".part\n" +
		"7f0000800000-7f0000900000 ---p 00000000 00:00 0\n"
	want := []mapping{{0x7f0000000000, 0x7f0000100000}, {0x7f0000200000, 0x7f0000300000}}
	if got := mappings([]byte(maps), path); !slices.Equal(got, want) {
		t.Errorf("%x", got)
	}
}

func FuzzMappings(f *testing.F) {
	f.Add([]byte("7f0000000000-7f0000100000 r--s 00000000 fe:00 10 /m.gguf\n"))
	f.Add([]byte("0 r 0 0 0 /m.gguf"))
	f.Fuzz(func(t *testing.T, maps []byte) {
		for _, m := range mappings(maps, "/m.gguf") {
			if m.from >= m.to {
				t.Errorf("%x", m)
			}
		}
	})
}
