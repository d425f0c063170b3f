package bundle

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"skerry/appliance/bundle/gguf"
)

// Inspection is what a bundle holds, by the headers of its files; nothing is
// hashed.
type Inspection struct {
	ID         string      `json:"id"` // Manifest.ID in hex
	Manifest   *Manifest   `json:"manifest"`
	Files      []FileInfo  `json:"files"`
	BoardBytes int64       `json:"board_bytes"` // board-1 and board-2
	WholeBytes int64       `json:"whole_bytes"` // the unsplit model
	BoardRatio float64     `json:"board_ratio"` // board over whole
	DraftBytes int64       `json:"draft_bytes,omitempty"`
	DraftRatio float64     `json:"draft_ratio,omitempty"` // draft over whole
	Blocks     []BlockInfo `json:"blocks"`
}

// FileInfo describes one stage's file.
type FileInfo struct {
	Role       Role           `json:"role"`
	File       string         `json:"file"`
	Present    bool           `json:"present"`
	From       int            `json:"from"`
	To         int            `json:"to"`
	Bytes      int64          `json:"bytes"`
	VocabBytes int64          `json:"vocab_bytes,omitempty"` // embedding and LM head
	Types      map[string]int `json:"tensor_types,omitempty"`
}

// BlockInfo is the size of one transformer block of the model.
type BlockInfo struct {
	Block int   `json:"block"`
	Bytes int64 `json:"bytes"`
}

// Inspect describes the bundle in dir. Files may be absent; one that is there
// and no GGUF is an error.
func Inspect(dir string) (*Inspection, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	id := m.ID()
	in := &Inspection{ID: hex.EncodeToString(id[:]), Manifest: m, WholeBytes: m.WholeBytes}
	bytes := make([]int64, m.Blocks)
	for _, st := range m.Stages {
		info, err := inspectFile(dir, st, bytes)
		if err != nil {
			return nil, err
		}
		in.Files = append(in.Files, info)
		if st.Role == Board1 || st.Role == Board2 {
			in.BoardBytes += st.Bytes
		}
	}
	in.BoardRatio = float64(in.BoardBytes) / float64(in.WholeBytes)
	if d := m.Draft; d != nil {
		info, err := inspectFile(dir, Stage{Role: DraftModel, File: d.File, To: d.Blocks, Bytes: d.Bytes}, nil)
		if err != nil {
			return nil, err
		}
		in.Files, in.DraftBytes = append(in.Files, info), d.Bytes
		in.DraftRatio = float64(d.Bytes) / float64(in.WholeBytes)
	}
	for i, n := range bytes {
		if n > 0 {
			in.Blocks = append(in.Blocks, BlockInfo{i, n})
		}
	}
	return in, nil
}

// inspectFile also notes the bytes of each of the file's blocks, as far as bytes has
// room for them.
func inspectFile(dir string, st Stage, bytes []int64) (FileInfo, error) {
	info := FileInfo{Role: st.Role, File: st.File, From: st.From, To: st.To, Bytes: st.Bytes}
	f, err := gguf.Open(filepath.Join(dir, st.File))
	if errors.Is(err, fs.ErrNotExist) {
		return info, nil
	}
	if err != nil {
		return info, fmt.Errorf("%w: run skerry model verify %s", err, dir)
	}
	defer f.Close()
	info.Present, info.Types = true, TensorTypes(f)
	sizes := make([]int64, len(bytes))
	for _, t := range f.Tensors {
		block, _, err := BlockOf(t.Name)
		if err == nil && block >= 0 && block < len(bytes)-st.From {
			sizes[st.From+block] += t.Size
		}
		if VocabMatrix(t.Name) {
			info.VocabBytes += t.Size
		}
	}
	for i, n := range sizes {
		bytes[i] = max(bytes[i], n)
	}
	return info, nil
}

// TensorTypes counts the tensors of a file by type.
func TensorTypes(f *gguf.File) map[string]int {
	types := map[string]int{}
	for _, t := range f.Tensors {
		types[t.Type.String()]++
	}
	return types
}

// VocabMatrix tells the matrices that have a row for each token by their names.
func VocabMatrix(name string) bool {
	return name == "token_embd.weight" || name == "output.weight"
}
