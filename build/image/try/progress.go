package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// progress is how far a run has come. It lies beside the card, so that a run that was stopped
// goes on where it was.
type progress struct {
	// Image is which one is tried: its path, size and time.
	Image string `json:"image"`
	// Starts is how often the card that stays was switched on.
	Starts int `json:"starts"`
	// First is how much processor time the first start has taken.
	First time.Duration `json:"first_computed"`
	// Key is the page's.
	Key string `json:"key"`
	// Answer is the whole one that later ones of the same seed are compared with, Export the
	// session that it is in, as the board gave it out.
	Answer string `json:"answer"`
	Export string `json:"export"`
	// Steps are those that are done.
	Steps []string `json:"steps"`
	// Pulls is how often the power was cut.
	Pulls int `json:"pulls"`
	// Rows are the lines of the table.
	Rows []row `json:"rows"`

	path string
}

// row is a line of the table.
type row struct {
	Step  string    `json:"step"`
	What  string    `json:"what"`
	Found string    `json:"found"`
	Bad   string    `json:"bad,omitempty"` // why it has failed
	At    time.Time `json:"at"`
}

func (r row) String() string {
	verdict := "ok"
	if r.Bad != "" {
		verdict = "FAILED: " + r.Bad
	}
	return fmt.Sprintf("%-36s %-72s %s", r.What, r.Found, verdict)
}

// nameOf is what tells an image from another.
func nameOf(image string) (string, error) {
	path, err := filepath.Abs(image)
	if err != nil {
		return "", err
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("%w: make image builds one", err)
	}
	return fmt.Sprintf("%s, %d bytes of %s", path, st.Size(), st.ModTime().UTC().Format(time.RFC3339)), nil
}

// loadProgress is what a run of an image in a directory has done, nothing where it was one of
// another image: then what is left of that is removed.
func loadProgress(dir, image string) (*progress, error) {
	name, err := nameOf(image)
	if err != nil {
		return nil, err
	}
	p := &progress{path: filepath.Join(dir, "progress.json")}
	text, err := os.ReadFile(p.path)
	if err == nil {
		if err = json.Unmarshal(text, p); err == nil && p.Image == name {
			return p, nil
		}
		// Without this record the rest of the directory means nothing.
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &progress{Image: name, path: p.path}, os.MkdirAll(dir, 0o755)
}

// save writes the record, whole or not at all.
func (p *progress) save() error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.path+".new", append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(p.path+".new", p.path)
}

func (p *progress) done(step string) bool { return slices.Contains(p.Steps, step) }

// forget takes the rows of a step out, which is done again.
func (p *progress) forget(step string) {
	p.Rows = slices.DeleteFunc(p.Rows, func(r row) bool { return r.Step == step })
	p.Steps = slices.DeleteFunc(p.Steps, func(s string) bool { return s == step })
}

// failed counts the rows that have failed.
func (p *progress) failed() (n int) {
	for _, r := range p.Rows {
		if r.Bad != "" {
			n++
		}
	}
	return n
}

// table is all rows.
func (p *progress) table() string {
	var b strings.Builder
	for _, r := range p.Rows {
		fmt.Fprintln(&b, r)
	}
	fmt.Fprintf(&b, "%d power cuts; %d of %d checks have failed\n", p.Pulls, p.failed(), len(p.Rows))
	return b.String()
}
