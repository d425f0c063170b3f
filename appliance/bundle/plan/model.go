package plan

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/calibrate"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/predict"
)

// Model is what a plan is made for.
type Model struct {
	Name       string `json:"name"`
	Blocks     int    `json:"blocks"`
	Exits      []int  `json:"exits"`       // of the bundle, or those that a split would have
	WholeBytes int64  `json:"whole_bytes"` // of the unsplit model
	BoardBytes int64  `json:"board_bytes"` // of the board's stages
	PassBytes  int64  `json:"pass_bytes"`  // that a pass of one position reads
	KVBytes    int64  `json:"kv_bytes"`    // of a position, in all blocks
	Embedding  int    `json:"n_embd"`
	// Split is the first stage as a share of PassBytes.
	Split float64 `json:"split"`

	drafts []candidate
	dir    string // of the bundle, "" for a GGUF
	whole  string // the unsplit model's file, "" where it is not here
}

// candidate is a way to draft.
type candidate struct {
	name      string
	file      string // a draft model's
	bytes     int64
	draft     *predict.Draft
	exits     *predict.Exits // that are the draft
	threshold float64
	lookup    bool
	lacking   string // what is to be measured before it can be judged
}

// ReadModel reads the bundle in a directory, or the header of a GGUF, by the manifest and
// the headers of its files; nothing is hashed. Errors wrap those of bundle.Inspect or
// bundle.Check.
func ReadModel(path string) (*Model, error) {
	if bundle.IsGGUF(path) {
		return readGGUF(path)
	}
	in, err := bundle.Inspect(path)
	if err != nil {
		return nil, err
	}
	man := in.Manifest
	m := &Model{
		Name: man.Name, Blocks: man.Blocks, Exits: man.Exits, WholeBytes: in.WholeBytes, BoardBytes: in.BoardBytes, Embedding: man.Embedding, dir: path,
	}
	board := bundle.Bundle{Dir: path, Manifest: man}
	blocks := make([]int64, man.Blocks)
	for _, b := range in.Blocks {
		blocks[b.Block] = b.Bytes
	}
	var head int64
	for _, f := range in.Files {
		if f.Role == bundle.Cloud { // which is fed hidden states: of the vocabulary it has the LM head alone
			head = f.VocabBytes
		}
		if f.Role == bundle.Unsplit && f.Present {
			m.whole = board.Path(bundle.Unsplit)
		}
		if f.Present && m.KVBytes == 0 && f.To > f.From {
			if m.KVBytes, err = kvBytes(filepath.Join(path, f.File), man.Architecture, man.Embedding, man.Blocks); err != nil {
				return nil, err
			}
		}
	}
	m.setSplit(blocks, head)
	m.drafts = bundleDrafts(path, in)
	return m, nil
}

func readGGUF(path string) (*Model, error) {
	checked, err := bundle.Check(path)
	if err != nil {
		return nil, err
	}
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m := &Model{
		Name: strings.TrimSuffix(filepath.Base(path), ".gguf"), Blocks: checked.Blocks, Exits: checked.DefaultExits(), Embedding: checked.Embedding, whole: path,
		drafts: []candidate{{name: "prompt lookup", lookup: true}},
	}
	blocks, vocab := make([]int64, m.Blocks), map[string]int64{}
	for _, t := range f.Tensors {
		m.WholeBytes += t.Size
		if n, _, err := bundle.BlockOf(t.Name); err == nil && n >= 0 && n < m.Blocks {
			blocks[n] += t.Size
		}
		if bundle.VocabMatrix(t.Name) {
			vocab[t.Name] = t.Size
		}
	}
	head := cmp.Or(vocab["output.weight"], vocab["token_embd.weight"])
	m.setSplit(blocks, head)
	if n := len(m.Exits); n > 0 {
		for _, b := range blocks[:m.Exits[n-1]] {
			m.BoardBytes += b
		}
		m.BoardBytes += vocab["token_embd.weight"] + vocab["output.weight"]
	}
	m.KVBytes, err = kvBytes(path, checked.Architecture, m.Embedding, m.Blocks)
	return m, err
}

// setSplit computes what a pass reads and the first stage's share of it.
func (m *Model) setSplit(blocks []int64, head int64) {
	var first int64
	for i, b := range blocks {
		m.PassBytes += b
		if len(m.Exits) > 0 && i < m.Exits[0] {
			first += b
		}
	}
	m.PassBytes = min(max(m.PassBytes+head, 1), max(m.WholeBytes, 1))
	m.Split = min(float64(first)/float64(m.PassBytes), 1)
}

// kvBytes are those of a position in the KV cache of so many blocks, of float16.
func kvBytes(path, architecture string, width, blocks int) (int64, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	number := func(key string) int64 {
		kv, _ := f.KV(architecture + "." + key)
		n, _ := kv.Uint32()
		return int64(n)
	}
	heads := max(number("attention.head_count"), 1)
	return 2 * 2 * int64(blocks) * cmp.Or(number("attention.head_count_kv"), heads) * cmp.Or(number("attention.key_length"), int64(width)/heads), nil
}

// bundleDrafts are the ways to draft that a bundle has, with what was measured of them.
func bundleDrafts(dir string, in *bundle.Inspection) (all []candidate) {
	man := in.Manifest
	if d := man.Draft; d != nil {
		c := candidate{name: d.Name, file: filepath.Join(dir, d.File), bytes: d.Bytes, threshold: cmp.Or(d.Threshold, unbelieved)}
		c.draft = &predict.Draft{Cost: cmp.Or(d.Cost, float64(d.Bytes)/float64(in.WholeBytes))}
		var positions int
		for _, k := range d.Measured {
			c.draft.Acceptance += k.Agreement * float64(k.Tokens)
			positions += k.Tokens
		}
		if positions == 0 {
			c.lacking = "its acceptance was never measured: give --acceptance, or run skerry model calibrate " + dir
		} else {
			c.draft.Acceptance /= float64(positions)
			c.draft.Believed = believed(d.Measured)
		}
		all = append(all, c)
	}
	if c, ok := exitDraft(dir, man); ok {
		all = append(all, c)
	}
	return append(all, candidate{name: "prompt lookup", lookup: true})
}

// unbelieved is a threshold that no confidence reaches.
const unbelieved = 2

// believed puts together what was measured of several kinds of text, at the confidences that
// all have, by the positions of each.
func believed(kinds []bundle.DraftMeasured) (all []predict.Believed) {
	type sum struct {
		kinds, positions   int
		share, right, told float64
	}
	at := map[float64]*sum{}
	for _, k := range kinds {
		for _, c := range k.Calibration {
			s := at[c.Confidence]
			if s == nil {
				s = &sum{}
				at[c.Confidence] = s
			}
			n := float64(k.Tokens)
			s.kinds, s.positions = s.kinds+1, s.positions+k.Tokens
			s.share += c.Share * n
			s.told += c.Share * n
			s.right += c.Share * c.Agreement * n
		}
	}
	for confidence, s := range at {
		if s.kinds == len(kinds) && s.told > 0 {
			all = append(all, predict.Believed{Confidence: confidence, Share: min(s.share/float64(s.positions), 1), Right: min(s.right/s.told, 1)})
		}
	}
	slices.SortFunc(all, func(a, b predict.Believed) int { return cmp.Compare(a.Confidence, b.Confidence) })
	return all
}

// exitDraft is a draft of the bundle's exit heads. Heads that nobody has measured are none.
func exitDraft(dir string, man *bundle.Manifest) (candidate, bool) {
	if len(man.Heads) == 0 {
		return candidate{}, false
	}
	c := candidate{name: "exits", lacking: "its exits were never measured: run skerry model calibrate " + dir}
	last := man.Heads[len(man.Heads)-1]
	if len(last.Measured) == 0 {
		return c, true
	}
	share := func(h bundle.Head) (share, right float64) {
		for _, m := range h.Measured {
			if m.Confidence >= h.Threshold {
				return m.Share, m.Agreement
			}
		}
		return 0, 1
	}
	e := predict.Exits{First: float64(man.Exits[0]) / float64(man.Blocks), Head: last.Cost, Acceptance: last.Measured[0].Agreement}
	e.Second = float64(man.Exits[len(man.Exits)-1]) / float64(man.Blocks)
	e.Share1, _ = share(man.Heads[0])
	e.Share2, e.Right = share(last)
	e.Share2 = max(e.Share1, e.Share2)
	c.lacking, c.exits, c.draft = "", &e, &predict.Draft{}
	if !calibrate.SpeaksAlone(last) {
		c.draft.Unfit = fmt.Sprintf("its exits are not worth hearing alone: %.0f %% of their tokens are the whole model's", 100*e.Acceptance)
	}
	return c, true
}
