package engine_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"skerry/appliance/engine"
)

func TestLlamaIsNamed(t *testing.T) {
	if engine.LlamaSource() == "" || engine.LlamaCommit() == "" {
		t.Errorf("llama.cpp %q from %q", engine.LlamaCommit(), engine.LlamaSource())
	}
	t.Logf("llama.cpp %s from %s", engine.LlamaCommit(), engine.LlamaSource())
}

// Kernels of another ggml than the program's are not loaded. A process of its own
// tries it, since the first Init decides.
func TestForeignKernelsAreRefused(t *testing.T) {
	if dir := os.Getenv("SKERRY_TEST_FOREIGN"); dir != "" {
		t.Logf("loaded %q, refused %q", engine.Init(dir).Path, engine.Init(dir).Refused)
		return
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "base.c")
	if err := os.WriteFile(src, []byte(`const char * ggml_version(void) { return "9.9.9"; } const char * ggml_commit(void) { return "f00"; }`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, lib := range []string{"libggml-base.so.0", "libggml-cpu-haswell.so"} {
		if out, err := exec.Command("cc", "-shared", "-fPIC", "-o", filepath.Join(dir, lib), src).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestForeignKernelsAreRefused$", "-test.v")
	cmd.Env = append(os.Environ(), "SKERRY_TEST_FOREIGN="+dir, "SKERRY_KERNELS="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), `loaded "`+dir) || !strings.Contains(string(out), "loaded ") {
		t.Fatalf("%v\n%s", err, out)
	}
	if module := strings.HasPrefix(engine.LlamaSource(), "github.com/"); module && !strings.Contains(string(out), "kernels in "+dir) {
		t.Errorf("no reason given:\n%s", out)
	}
}
