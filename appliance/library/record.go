package library

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"skerry/appliance/bundle/disk"
)

// record is what the library knows of a bundle beside the bundle itself.
type record struct {
	Version int      `json:"version"`
	Bundle  string   `json:"bundle"`            // its id, hex
	Copies  []string `json:"copies,omitempty"`  // further names, as they were given
	Asked   []string `json:"asked,omitempty"`   // names by which it was fetched, canonical
	Origin  string   `json:"origin,omitempty"`  // the first of these, as it was given
	Licence string   `json:"licence,omitempty"` // as its publisher says
	// Only says that the names were taken away that it has by its file and its directory.
	Only  bool      `json:"only,omitempty"`
	Added time.Time `json:"added"`
}

const (
	recordVersion = 1
	maxRecord     = 1 << 20 // bytes
	maxNames      = 1000    // of each kind, of one bundle
)

// parseRecord reads a record. One that cannot be read counts for nothing.
func parseRecord(text []byte) (record, bool) {
	var r record
	if len(text) > maxRecord || json.Unmarshal(text, &r) != nil || r.Version != recordVersion || len(r.Bundle) != 64 {
		return record{}, false
	}
	r.Copies = slices.DeleteFunc(r.Copies, func(name string) bool { return CheckName(name) != nil })
	r.Copies, r.Asked = r.Copies[:min(len(r.Copies), maxNames)], r.Asked[:min(len(r.Asked), maxNames)]
	return r, true
}

func (l *Library) recordsDir() string { return filepath.Join(l.cache, "library") }

// records are all, by the id of their bundle.
func (l *Library) records() map[string]record {
	all := map[string]record{}
	found, _ := filepath.Glob(filepath.Join(disk.GlobEscape(l.recordsDir()), "*.json"))
	for _, path := range found {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		text, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
		f.Close()
		if r, ok := parseRecord(text); ok && err == nil && filepath.Base(path) == recordFile(r.Bundle) {
			all[r.Bundle] = r
		}
	}
	return all
}

func recordFile(id string) string { return id[:min(len(id), 32)] + ".json" }

// keep writes a record down, and removes one that says nothing. The caller holds the
// library's lock.
func (l *Library) keep(r record) error {
	if len(r.Copies) == 0 && len(r.Asked) == 0 && r.Origin == "" && !r.Only {
		err := os.Remove(filepath.Join(l.recordsDir(), recordFile(r.Bundle)))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	r.Version = recordVersion
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return disk.PlaceFile(l.recordsDir(), recordFile(r.Bundle), func(f *os.File) error {
		_, err := f.Write(append(text, '\n'))
		return err
	})
}
