package engine

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// standIn is a file that make standin has built.
func standIn(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", "standin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("there is no stand-in for a GPU: make standin builds it")
	}
	return path
}

func copyOf(t *testing.T, from, to string) string {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return to
}

// Whatever is wrong with a library is said in one line, and leaves what is in use as it is.
func TestLibrariesOfNoUse(t *testing.T) {
	lacking := standIn(t, "lacking/libggml-lacking.so")
	dir := t.TempDir()
	for name, c := range map[string]struct {
		path func() string
		why  string
	}{
		"a symbol that it lacks": {func() string { return lacking }, "undefined symbol: skerry_nobody_has_this"},
		"another library": {func() string {
			return copyOf(t, filepath.Join(filepath.SplitList(os.Getenv("SKERRY_KERNELS"))[0], "libggml-base.so.0"), filepath.Join(dir, "libggml-other.so"))
		}, "it has no ggml_backend_init"},
		"no library": {func() string { return copyOf(t, "doc.go", filepath.Join(dir, "libggml-text.so")) }, "invalid ELF header"},
		"no GPU": {func() string {
			t.Setenv("SKERRY_STANDIN_DEVICES", "0")
			return standIn(t, "libggml-standin.so")
		}, "it finds no GPU in this machine"},
	} {
		before := Device().Name
		why := loadGPU(c.path())
		t.Setenv("SKERRY_STANDIN_DEVICES", "")
		if !strings.Contains(why, c.why) || strings.Contains(why, "\n") {
			t.Errorf("%s: %q, without %q", name, why, c.why)
		}
		if got := Device().Name; got != before || got == "" {
			t.Errorf("%s: the GPU is now %q", name, got)
		}
	}
}

// The best library is the one that is spoken of, and a failure of the last process keeps all of
// them from being loaded.
func TestOpenGPU(t *testing.T) {
	library := standIn(t, "libggml-standin.so")
	was := Device()
	restore := func() {
		device.mu.Lock()
		defer device.mu.Unlock()
		device.library, device.not, device.guard, device.unified = was.Library, "", "", false
	}
	t.Cleanup(restore)
	dir, root := t.TempDir(), t.TempDir()
	look := func() string {
		restore()
		openGPU([]string{dir}, root)
		return device.not
	}
	if not := look(); not != "" {
		t.Errorf("with no library: %q", not)
	}
	cuda := copyOf(t, library, filepath.Join(dir, "cuda12", "libggml-cuda.so"))
	if not := look(); !strings.HasPrefix(not, cuda+" is not used: no driver of NVIDIA is installed") {
		t.Errorf("without a driver: %q", not)
	}
	copyOf(t, "doc.go", filepath.Join(root, "usr/lib/x86_64-linux-gnu/libcuda.so.470.1.2"))
	if not := look(); !strings.Contains(not, "the driver 470.1.2 is too old for CUDA 12") {
		t.Errorf("with an old driver: %q", not)
	}
	good := copyOf(t, library, filepath.Join(dir, "libggml-standin.so"))
	if not := look(); not != "" || device.library != good {
		t.Errorf("with one that works: %q, %s", not, device.library)
	}
	if d := Device(); d.Name == "" || d.Unified {
		t.Errorf("with one that works: %+v", d)
	}
	copyOf(t, "doc.go", filepath.Join(root, "etc/nv_tegra_release"))
	if err := os.WriteFile(filepath.Join(root, "etc/nv_tegra_release"), []byte("# R36 (release), REVISION: 4.0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if not := look(); not != "" || device.library != cuda || !Device().Unified {
		t.Errorf("on a Jetson: %q, %s", not, device.library)
	}

	state := t.TempDir()
	GuardGPU(state)
	guard := device.guard
	stale := filepath.Join(state, "gpu-failed-an-earlier-start")
	for _, f := range []string{stale, guard} {
		if err := os.WriteFile(f, []byte("ggml-cuda.cu:94: CUDA error\nmore"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	GuardGPU(state)
	if _, err := os.Stat(stale); err == nil {
		t.Error("what an earlier start of the machine has left is kept")
	}
	device.not = ""
	openGPU([]string{dir}, root)
	if not := device.not; !strings.Contains(not, "a failure of the GPU has ended skerry (ggml-cuda.cu:94: CUDA error): start the machine again, or remove "+guard) {
		t.Errorf("after a failure: %q", not)
	}
}
