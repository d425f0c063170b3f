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

	Daemon  bool   `json:"daemon,omitempty"`  // a daemon has it, elsewhere
	Copy    string `json:"copy_of,omitempty"` // the bundle's own name, where Name is a further one
	Licence string `json:"licence,omitempty"`
	Origin  string `json:"origin,omitempty"` // what it was fetched by
}

// Describe is the bundle in dir.
func Describe(dir string, man *bundle.Manifest) Model {
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
	return m
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
	if m.Daemon {
		return "the daemon's", "-"
	}
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
	if m.Copy != "" {
		return "copy of " + m.Copy, exits
	}
	return "bundle", exits
}
