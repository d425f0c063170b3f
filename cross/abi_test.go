package cross

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// binaries lists the program and kernel libraries in a bin directory that make
// has filled.
func binaries(t *testing.T, bin string) []string {
	t.Helper()
	libraries, err := filepath.Glob(filepath.Join(bin, "kernels", "*.so"))
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(bin, "skerry")
	if _, err := os.Stat(program); err != nil {
		t.Skipf("skipped: %v: make cross builds it where a compiler is to be had", err)
	}
	return append(libraries, program)
}

func TestFloor(t *testing.T) {
	for _, bin := range []string{"../bin", "../build/out/arm64/bin"} {
		t.Run(bin, func(t *testing.T) {
			most := map[string]string{}
			for _, path := range binaries(t, bin) {
				a, err := ReadABI(path)
				if err != nil {
					t.Fatal(err)
				}
				if above := a.Above(Floor); len(above) > 0 {
					t.Errorf("%s needs %v, beyond the floor %v", path, above, Floor)
				}
				for family, version := range a.Versions {
					if Newer(version, most[family]) {
						most[family] = version
					}
				}
			}
			t.Logf("needs at most %v", most)
			if below := (ABI{Versions: most}).Above(map[string]string{"GLIBC": "2.33"}); !slices.Contains(below, "GLIBC_"+most["GLIBC"]) {
				t.Errorf("a floor of GLIBC_2.33 is kept: %v", below)
			}
		})
	}
}

// Nothing beyond what every Debian has must be installed for the program.
func TestLibraries(t *testing.T) {
	known := []string{"libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6", "libggml-base.so.0", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
	for _, path := range binaries(t, "../build/out/arm64/bin") {
		a, err := ReadABI(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range a.Libraries {
			if !slices.Contains(known, l) {
				t.Errorf("%s needs %s, which the package does not depend on", path, l)
			}
		}
	}
}

// What is shipped depends on sources and compiler, not on where it was built.
func TestNoPaths(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	modules, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range binaries(t, "../build/out/arm64/bin") {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{filepath.Dir(here), strings.TrimSpace(string(modules))} {
			if i := bytes.Index(data, []byte(dir)); i >= 0 {
				t.Errorf("%s holds %q", path, data[i:min(len(data), i+80)])
			}
		}
	}
}

func TestNewer(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"2.34", "2.4", true}, {"2.34", "2.34", false}, {"2.34", "", true}, {"3.4.9", "3.4.29", false}, {"1.3.13", "1.3", true}} {
		if got := Newer(c.a, c.b); got != c.want {
			t.Errorf("Newer(%q, %q) = %v", c.a, c.b, got)
		}
	}
}
