// Package clienttest has OpenAI's and Ollama's own python packages, unmodified, talk
// to a server: what a test in Go says of the shapes, these say of the clients.
package clienttest

import (
	"context"
	"embed"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

//go:embed *.py requirements.txt
var files embed.FS

// patience bounds a script, with a model that computes; it is no measure of speed.
const patience = 10 * time.Minute

// Run has both clients go through their scripts with the server at baseURL
// ("http://127.0.0.1:7537"), which has the model loaded and takes at least 8
// requests at once and fewer than 64.
func Run(t *testing.T, baseURL, model string) {
	packages := install(t)
	for _, client := range []string{"openai", "ollama"} {
		t.Run(client, func(t *testing.T) {
			script := filepath.Join(t.TempDir(), client+"_script.py")
			for _, name := range []string{client + "_script.py", "checks.py"} {
				text, err := files.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(filepath.Dir(script), name), text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, "python3", script, baseURL, model)
			cmd.Env = append(os.Environ(), "PYTHONPATH="+packages, "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=127.0.0.1,localhost")
			out, err := cmd.CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Errorf("the %s package is not served: %v", client, err)
			}
		})
	}
}
