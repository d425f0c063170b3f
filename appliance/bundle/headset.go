package bundle

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/heads"
)

// A set of heads is a zip of a bundle's fitted heads, as their files lie there, and of
// headSetFile, which says whose they are and what was measured of them. Another bundle of
// the same source and exits can take it in.
const headSetFile = "heads.json"

// maxHeadSet bounds each member of a set of heads, in bytes.
const maxHeadSet = 256 << 20

// ErrHeadSet is wrapped by errors about what is no set of heads.
var ErrHeadSet = errors.New("unusable set of exit heads")

// headSet is headSetFile.
type headSet struct {
	Source      string       `json:"source_sha256"`
	Exits       []int        `json:"exits"`
	Heads       []Head       `json:"exit_heads"`
	Calibration *Calibration `json:"calibration"`
}

// WriteHeads writes the bundle's fitted heads as a set. The same heads give the same bytes.
func (b *Bundle) WriteHeads(ctx context.Context, w io.Writer) error {
	m := b.Manifest
	if m.Calibration == nil {
		return fmt.Errorf("%s: its exits are not fitted: do so with `skerry model calibrate`", b.Dir)
	}
	z := zip.NewWriter(w)
	text, err := json.MarshalIndent(headSet{m.Source.SHA256, m.Exits, m.Heads, m.Calibration}, "", "  ")
	if err != nil {
		return err
	}
	put := func(name string, content []byte) error {
		f, err := z.Create(name)
		if err == nil {
			_, err = f.Write(content)
		}
		return err
	}
	if err := put(headSetFile, append(text, '\n')); err != nil {
		return err
	}
	for _, h := range m.Heads {
		if _, err := b.FittedHead(ctx, h.Exit); err != nil {
			return err
		}
		content, err := os.ReadFile(filepath.Join(b.Dir, h.File))
		if err != nil {
			return err
		}
		if err := put(h.File, content); err != nil {
			return err
		}
	}
	return z.Close()
}

// TakeHeads gives the bundle the heads of a set of size bytes that WriteHeads wrote, with
// what was measured of them. Errors wrap ErrForeign where they are of another model or for
// other exits, ErrHeadSet where it is none; the bundle is then as it was. The caller holds
// the Lock.
func (b *Bundle) TakeHeads(ctx context.Context, r io.ReaderAt, size int64) error {
	bad := func(err error) error { return fmt.Errorf("%w: %w", ErrHeadSet, err) }
	z, err := zip.NewReader(r, size)
	if err != nil {
		return bad(err)
	}
	text, err := readSetMember(z, headSetFile)
	if err != nil {
		return bad(err)
	}
	var set headSet
	if err := json.Unmarshal(text, &set); err != nil {
		return bad(fmt.Errorf("%s: %w", headSetFile, err))
	}
	m := b.Manifest
	if set.Source != m.Source.SHA256 || !slices.Equal(set.Exits, m.Exits) {
		return fmt.Errorf("the exit heads are %w: fitted to the model of sha256 %.12s with exits after %v, this one is %.12s with exits after %v",
			ErrForeign, set.Source, set.Exits, m.Source.SHA256, m.Exits)
	}
	if set.Calibration == nil || len(set.Heads) != len(m.Exits) {
		return bad(fmt.Errorf("%d heads for %d exits", len(set.Heads), len(m.Exits)))
	}
	var fitted []*FittedHead
	for i, h := range set.Heads {
		content, err := readSetMember(z, h.File)
		if err != nil {
			return bad(err)
		}
		f, err := gguf.Read(bytes.NewReader(content), int64(len(content)), h.File)
		if err != nil {
			return bad(err)
		}
		head, err := heads.Read(f, m.Source.SHA256, m.Embedding, m.Vocab)
		if err != nil {
			return bad(fmt.Errorf("%s: %w", h.File, err))
		}
		if head.Exit != m.Exits[i] {
			return bad(fmt.Errorf("%s is of exit %d, not %d", h.File, head.Exit, m.Exits[i]))
		}
		fitted = append(fitted, head)
	}
	return b.SetHeads(ctx, fitted, set.Heads, set.Calibration)
}

func readSetMember(z *zip.Reader, name string) ([]byte, error) {
	f, err := z.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxHeadSet+1))
	if err == nil && len(content) > maxHeadSet {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxHeadSet)
	}
	return content, err
}
