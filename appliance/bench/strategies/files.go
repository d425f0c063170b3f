package strategies

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// WriteFiles writes the report in every form to the directory, which is made, in files of
// the name: .json, .txt, .md and the plot, .svg.
func (r *Report) WriteFiles(dir, name string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	var text, markdown strings.Builder
	if err := errors.Join(os.MkdirAll(dir, 0o755), r.WriteText(&text), r.WriteMarkdown(&markdown)); err != nil {
		return err
	}
	path := func(ext string) string { return filepath.Join(dir, name+ext) }
	return errors.Join(os.WriteFile(path(".json"), append(data, '\n'), 0o644), os.WriteFile(path(".txt"), []byte(text.String()), 0o644),
		os.WriteFile(path(".md"), []byte(markdown.String()), 0o644), r.WritePlot(path(".svg")))
}
