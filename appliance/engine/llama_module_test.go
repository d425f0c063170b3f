//go:build !system_llama

package engine_test

import (
	"os"
	"strings"
	"testing"

	"skerry/appliance/engine"
)

// The module says of itself which llama.cpp it carries.
func TestCommitIsTheModules(t *testing.T) {
	said, err := os.ReadFile(".include/llama/../../build-info.cpp")
	if err != nil {
		t.Fatalf("%v: run make headers", err)
	}
	if !strings.Contains(string(said), `"`+engine.LlamaCommit()+`"`) {
		t.Errorf("llama.cpp %s, but the module says\n%s", engine.LlamaCommit(), said)
	}
	if !strings.HasPrefix(engine.LlamaSource(), "github.com/ollama/ollama") {
		t.Errorf("source %q", engine.LlamaSource())
	}
}
