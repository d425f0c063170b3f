package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/gguf"

	"golang.org/x/sys/unix"
)

// ErrNotBundle is of a path that holds no bundle.
var ErrNotBundle = errors.New("not a bundle")

// IsGGUF says whether path is a file that begins as a GGUF does.
func IsGGUF(path string) bool {
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == "GGUF"
}

// ManifestFile is the manifest's name in a bundle.
const ManifestFile = "manifest.json"

// The versions of the manifest that this program reads. It writes the lowest that the
// bundle can do with: a program that knows no drafts refuses a bundle that has one by
// its version, in plain words.
const (
	Format      = 1 // of a bundle without a draft
	FormatDraft = 2 // with a draft
	// FormatProjector is with a projector, which programs of before it do not know.
	FormatProjector = 3
)

const MaxManifest = 4 << 20

// ErrManifest is wrapped by errors about a manifest that cannot be used.
var ErrManifest = errors.New("unusable manifest")

// Manifest describes a bundle. It holds no times and no paths: the same source
// and options give the same bytes, but for Parity.Kernels and what was measured.
type Manifest struct {
	Format        int            `json:"format"`
	Name          string         `json:"name"`
	Source        Source         `json:"source"`
	Architecture  string         `json:"architecture"`
	Blocks        int            `json:"blocks"`
	Exits         []int          `json:"exits"` // e1, or e1 and e2
	Embedding     int            `json:"n_embd"`
	Vocab         int            `json:"n_vocab"`
	ContextLength int            `json:"context_length"` // tokens the model was trained for
	Type          string         `json:"type"`           // as requested
	Tensors       map[string]int `json:"tensor_types"`   // tensors of the unsplit model by type
	WholeBytes    int64          `json:"whole_bytes"`    // of the unsplit model, stored or not
	Stages        []Stage        `json:"stages"`
	Heads         []Head         `json:"exit_heads"`
	Parity        *ParityResult  `json:"parity,omitempty"` // absent if it was not checked
	Calibration   *Calibration   `json:"calibration,omitempty"`
	Draft         *Draft         `json:"draft,omitempty"` // nil: the bundle has none
	// Projector turns images into what the model reads; nil: it reads text alone.
	Projector *Projector `json:"projector,omitempty"`
}

// Source is the file the bundle was made from.
type Source struct {
	File    string         `json:"file"` // base name
	SHA256  string         `json:"sha256"`
	Bytes   int64          `json:"bytes"`
	Tensors map[string]int `json:"tensor_types"` // number of tensors by type
}

// Stage is one file of the bundle, with blocks [From,To).
type Stage struct {
	Role   Role   `json:"role"`
	File   string `json:"file"`
	From   int    `json:"from"`
	To     int    `json:"to"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// ParityResult is what chained stages measured against the unsplit model.
type ParityResult struct {
	Positions   int     `json:"positions"`
	MaxAbsDiff  float64 `json:"max_abs_diff"` // of logits
	EqualTokens int     `json:"equal_tokens"` // positions with equal greedy tokens
	Kernels     string  `json:"kernels"`
}

// Stage finds the file of a role.
func (m *Manifest) Stage(r Role) (Stage, bool) {
	for _, s := range m.Stages {
		if s.Role == r {
			return s, true
		}
	}
	return Stage{}, false
}

// ID is what board and cloud know a bundle by: the sha256 of a text of source,
// exits, type and the sha256 of each slice. What was measured does not count,
// nor whether the unsplit model, a draft or a projector is there: a board with one works
// with a cloud that has none.
func (m *Manifest) ID() [32]byte {
	var b strings.Builder
	fmt.Fprintf(&b, "skerry bundle %d\nsource %s\nexits", Format, m.Source.SHA256)
	for _, e := range m.Exits {
		fmt.Fprintf(&b, " %d", e)
	}
	fmt.Fprintf(&b, "\ntype %s\n", m.Type)
	for _, s := range m.Stages {
		if s.Role != Unsplit {
			fmt.Fprintf(&b, "%s %s\n", s.Role, s.SHA256)
		}
	}
	return sha256.Sum256([]byte(b.String()))
}

// ReadManifest reads the manifest of the bundle in dir. Errors wrap ErrManifest,
// ErrNotBundle or fs.ErrNotExist.
func ReadManifest(dir string) (*Manifest, error) {
	if IsGGUF(dir) {
		return nil, fmt.Errorf("%s is a GGUF and %w: make one of it with `skerry model split %[1]s -o DIR`", dir, ErrNotBundle)
	}
	path := filepath.Join(dir, ManifestFile)
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s is %w: %w: make one with `skerry model split SRC.gguf -o %[1]s`", dir, ErrNotBundle, err)
	case errors.Is(err, unix.ENOTDIR):
		return nil, fmt.Errorf("%s is a file and %w, which is a directory: make one with `skerry model split SRC.gguf -o DIR`", dir, ErrNotBundle)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m, err := ParseManifest(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func ParseManifest(b []byte) (*Manifest, error) {
	const again = "split the model again"
	if len(b) > MaxManifest {
		return nil, fmt.Errorf("%w: it is larger than %d bytes: %s", ErrManifest, MaxManifest, again)
	}
	var version struct{ Format int }
	if err := json.Unmarshal(b, &version); err != nil {
		return nil, fmt.Errorf("%w: %v: %s", ErrManifest, err, again)
	}
	if version.Format < Format || version.Format > FormatProjector {
		return nil, fmt.Errorf("%w: it is of format %d, this program reads %d to %d: update skerry or split the model again", ErrManifest, version.Format, Format, FormatProjector)
	}
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%w: %v: %s", ErrManifest, err, again)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // which is all that can still be wrong
	if err := d.Decode(&Manifest{}); err != nil {
		return nil, fmt.Errorf("%w: %v: a newer skerry wrote it: update this one, or %s", ErrManifest, err, again)
	}
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("%w: %v: %s", ErrManifest, err, again)
	}
	return m, nil
}

// What was measured may be more by a newer program, which costs an older one nothing: it
// ignores fields that it does not know of exit heads, the calibration and the draft. What
// changes how any of them is used raises the format.

// UnmarshalJSON ignores fields that are not known.
func (h *Head) UnmarshalJSON(b []byte) error {
	type plain Head
	return json.Unmarshal(b, (*plain)(h))
}

// UnmarshalJSON ignores fields that are not known.
func (c *Calibration) UnmarshalJSON(b []byte) error {
	type plain Calibration
	return json.Unmarshal(b, (*plain)(c))
}

// UnmarshalJSON ignores fields that are not known.
func (d *Draft) UnmarshalJSON(b []byte) error {
	type plain Draft
	return json.Unmarshal(b, (*plain)(d))
}

func (m *Manifest) validate() error {
	if _, ok := architectures[m.Architecture]; !ok {
		return fmt.Errorf("architecture %q is not supported", gguf.Short(m.Architecture))
	}
	if m.Blocks < 2 || m.Blocks > maxBlocks || m.Embedding < 1 || m.Embedding > maxWidth ||
		m.Vocab < 1 || m.WholeBytes < 1 || m.Vocab > maxVocab || m.ContextLength < 1 || m.ContextLength > maxContext {
		return errors.New("its hyperparameters are out of range")
	}
	if err := CheckExits(m.Exits, m.Blocks); err != nil {
		return err
	}
	if !isSHA256(m.Source.SHA256) {
		return errors.New("the source's sha256 is not one")
	}
	want := StagesOf(m.Exits, m.Blocks)
	if len(m.Stages) == len(want)-1 {
		want = want[:len(want)-1] // without the unsplit model
	}
	if len(m.Stages) != len(want) {
		return fmt.Errorf("it has %d stages", len(m.Stages))
	}
	for i, s := range m.Stages {
		if s.Role != want[i].Role || s.From != want[i].From || s.To != want[i].To || s.File != s.Role.File() || s.Bytes < 1 || !isSHA256(s.SHA256) {
			return fmt.Errorf("stage %d is not what the exits want", i+1)
		}
	}
	if err := m.validateHeads(); err != nil {
		return err
	}
	if err := m.validateDraft(); err != nil {
		return err
	}
	return m.validateProjector()
}

// Write puts the manifest into the bundle in dir in one step.
func (m *Manifest) Write(dir string) error {
	if err := m.validate(); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	text, err := m.encode()
	if err != nil {
		return err
	}
	return disk.PlaceFile(dir, ManifestFile, func(f *os.File) error {
		_, err := f.Write(text)
		return err
	})
}

func (m *Manifest) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	return append(b, '\n'), err
}

func isSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && strings.ToLower(s) == s
}
