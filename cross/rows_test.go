package cross_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRowsOfLibraries has each library of kernels that packages carry, on a processor that has
// its instructions, compute rows together and alone: they come to the same bits. Types are
// those that kernels of our own take.
func TestRowsOfLibraries(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: it compiles a program and emulates processors")
	}
	t.Run("amd64", func(t *testing.T) {
		libs := libraries(t, "amd64")
		program := rowsProgram(t, "c++", libs[0])
		for _, lib := range libs {
			t.Run(variant(lib), func(t *testing.T) { rowsEqual(t, exec.Command(program, lib, "equal"), lib) })
		}
	})
	t.Run("arm64", func(t *testing.T) {
		emulator, libs := qemu(t, "aarch64"), libraries(t, "arm64")
		program := rowsProgram(t, "aarch64-linux-gnu-g++", libs[0])
		for _, c := range armCPUs {
			if c.variant == "armv8.6_1" {
				continue // processors with i8mm have ggml's kernels, which round by the batch
			}
			lib := filepath.Join(filepath.Dir(libs[0]), "libggml-cpu-"+c.variant+".so")
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				cmd := exec.Command(emulator, "-cpu", c.model, program, lib, "equal")
				cmd.Env = append(os.Environ(), "QEMU_LD_PREFIX=/usr/aarch64-linux-gnu")
				rowsEqual(t, cmd, lib)
			})
		}
	})
}

func variant(lib string) string {
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(lib), "libggml-cpu-"), ".so")
}

// libraries are the kernels that packages for arch carry.
func libraries(t *testing.T, arch string) []string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("../build/out", arch, "bin/kernels"))
	if err != nil {
		t.Fatal(err)
	}
	libs, err := filepath.Glob(filepath.Join(dir, "libggml-cpu-*.so"))
	if err != nil {
		t.Fatal(err)
	}
	if len(libs) == 0 {
		t.Skipf("skipped: there are no kernels in %s: make deb or make cross builds them", dir)
	}
	return libs
}

// rowsProgram compiles rows/rows.cpp, linked to the base beside the library.
func rowsProgram(t *testing.T, compiler, lib string) string {
	t.Helper()
	if _, err := exec.LookPath(compiler); err != nil {
		t.Skipf("skipped: %v", err)
	}
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/ollama/ollama").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(lib)
	program := filepath.Join(t.TempDir(), "rows")
	out, err := exec.Command(compiler, "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror",
		"-I"+filepath.Join(strings.TrimSpace(string(module)), "ml/backend/ggml/ggml/include"), "-o", program, "rows/rows.cpp",
		filepath.Join(dir, "libggml-base.so.0"), "-ldl", "-Wl,-rpath,"+dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

func rowsEqual(t *testing.T, cmd *exec.Cmd, lib string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 3 {
		t.Skipf("skipped: %s is for another processor", filepath.Base(lib))
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", filepath.Base(lib), err, out)
	}
}

// Where the system keeps tiles from a process, the kernels that need them do not suit, and those of
// the next lower variant still do.
func TestTilesDenied(t *testing.T) {
	libs := libraries(t, "amd64")
	program := rowsProgram(t, "c++", libs[0])
	score := func(variant string, more ...string) string {
		lib := filepath.Join(filepath.Dir(libs[0]), "libggml-cpu-"+variant+".so")
		out, err := exec.Command(program, append([]string{lib, "score"}, more...)...).Output()
		if err != nil {
			t.Fatalf("%s: %v", lib, err)
		}
		return strings.TrimSpace(string(out))
	}
	if score("sapphirerapids") == "0" {
		t.Skip("skipped: this processor has no tiles, or the system denies them")
	}
	if got := score("sapphirerapids", "denied"); got != "0" {
		t.Errorf("kernels with tiles score %s where the system denies them, want 0", got)
	}
	if allowed, got := score("icelake"), score("icelake", "denied"); got != allowed || got == "0" {
		t.Errorf("kernels without tiles score %s where the system denies tiles, %s where it does not", got, allowed)
	}
}
