package decode

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// WriteFiles writes the report in every form to the directory, which is made:
// bench.json, bench.txt, bench.md and the plots.
func (r Report) WriteFiles(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	var text, markdown strings.Builder
	if err := errors.Join(r.WriteText(&text), r.WriteMarkdown(&markdown)); err != nil {
		return err
	}
	for name, s := range map[string]string{"bench.json": string(b) + "\n", "bench.txt": text.String(), "bench.md": markdown.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(s), 0o644); err != nil {
			return err
		}
	}
	return r.WritePlots(dir)
}
