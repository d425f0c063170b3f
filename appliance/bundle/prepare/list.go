package prepare

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"skerry/appliance/bundle"
)

// Model is a bundle, or a GGUF that was fetched, in the cache.
type Model struct {
	Name   string `json:"name"`
	Bundle bool   `json:"bundle"` // else a GGUF, to be split
	Bytes  int64  `json:"bytes"`  // of all its files
	Blocks int    `json:"blocks,omitempty"`
	Exits  []int  `json:"exits,omitempty"`
	Fitted bool   `json:"fitted"`          // its exits are
	Draft  string `json:"draft,omitempty"` // the name of its draft model
	Path   string `json:"path"`
}

// List returns the bundles and the fetched models of a cache directory. A bundle whose
// manifest cannot be read is left out: skerry model verify says what is wrong with it.
func List(cache string) []Model {
	models := []Model{}
	for _, dir := range Dirs(cache) {
		man, err := bundle.ReadManifest(dir)
		if err != nil {
			continue
		}
		m := Model{Name: man.Name, Bundle: true, Blocks: man.Blocks, Exits: man.Exits, Path: dir}
		for _, s := range man.Stages {
			m.Bytes += s.Bytes
		}
		if man.Draft != nil {
			m.Draft = man.Draft.Name
			m.Bytes += man.Draft.Bytes
		}
		for _, h := range man.Heads {
			m.Fitted = m.Fitted || h.Kind != bundle.HeadModel
		}
		models = append(models, m)
	}
	return append(models, Fetched(cache)...)
}

// Fetched are the GGUFs of a cache directory.
func Fetched(cache string) []Model {
	var models []Model
	found, _ := filepath.Glob(filepath.Join(cache, "models", "*", "*.gguf"))
	for _, path := range found {
		if st, err := os.Stat(path); err == nil {
			models = append(models, Model{Name: strings.TrimSuffix(filepath.Base(path), ".gguf"), Bytes: st.Size(), Path: path})
		}
	}
	return models
}

// Kind is what the model is, and a bundle's exits and draft, as a list shows them.
func (m *Model) Kind() (kind, exits string) {
	if !m.Bundle {
		return "GGUF", "-"
	}
	exits = strings.Trim(fmt.Sprint(m.Exits), "[]") + fmt.Sprintf(" of %d", m.Blocks)
	if m.Fitted {
		exits += ", fitted"
	}
	if m.Draft != "" {
		exits += ", draft " + m.Draft
	}
	return "bundle", exits
}
