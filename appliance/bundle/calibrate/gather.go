package calibrate

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
)

// part is a piece of the work of reading and writing that is kept once it is done, so
// that a calibration that was interrupted, or the next one, does not do it again.
type part struct {
	Texts  []string // documents to read, or prompts to answer
	Answer bool
	// Greedy wants the whole model's greedy token with a document that is read; Sampled
	// wants every other answer sampled, with Seed.
	Greedy, Sampled bool
	Seed            uint64
}

// A part to read has documents of about so many characters.
const partChars = 6_000

// readParts cuts documents into parts, in seeded order.
func readParts(docs []string, seed uint64) (parts []part) {
	docs = shuffled(docs, seed)
	p, chars := part{}, 0
	for i, d := range docs {
		p.Texts, chars = append(p.Texts, d), chars+min(len(d), 4*docLimit*window)
		if chars >= partChars || i == len(docs)-1 {
			parts = append(parts, p)
			p, chars = part{}, 0
		}
	}
	return parts
}

// reportParts makes each document a part of its own, with the whole model's greedy tokens,
// in seeded order.
func reportParts(docs []string, seed uint64) (parts []part) {
	for _, d := range shuffled(docs, seed) {
		parts = append(parts, part{Texts: []string{d}, Greedy: true})
	}
	return parts
}

func shuffled(docs []string, seed uint64) []string {
	docs = slices.Clone(docs)
	rand.New(rand.NewPCG(seed, 5)).Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
	return docs
}

// answerParts pairs forms and topics and cuts the prompts into parts.
func (o Options) answerParts(forms, topics []string, sampled bool) (parts []part) {
	for asks := range slices.Chunk(prompts(forms, topics, o.Seed), o.prompts) {
		parts = append(parts, part{Texts: asks, Answer: true, Sampled: sampled, Seed: o.Seed + uint64(len(parts)*o.prompts)})
	}
	return parts
}

// gather does a part, unless it was done before.
func (r *run) gather(ctx context.Context, p part) ([]*document, error) {
	path, width := r.partPath(p), r.width()
	r.parts = append(r.parts, path)
	if docs, err := loadDocuments(path, width); err == nil {
		for _, d := range docs {
			r.progress(d.rows())
		}
		return docs, nil
	}
	docs, err := r.do(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := saveDocuments(path, docs, width); err != nil {
		r.noteUnsaved(err)
	}
	return docs, nil
}

// noteUnsaved says once that what was computed could not be kept.
func (r *run) noteUnsaved(err error) {
	if !r.unsaved {
		r.unsaved = true
		r.opt.Note("what was read is not kept for another calibration: %v", err)
	}
}

// width is how many values a document has for each row.
func (r *run) width() int {
	if r.m.bare {
		return 0
	}
	return (len(r.depths) + 1) * r.m.d
}

func (r *run) do(ctx context.Context, p part) ([]*document, error) {
	if p.Answer {
		return r.m.write(ctx, p.Texts, p.Sampled, p.Seed, r.progress)
	}
	var docs []*document
	for _, text := range p.Texts {
		windows, err := r.m.tokenize(text)
		if err != nil {
			return nil, err
		}
		for _, w := range windows {
			d, err := r.m.read(ctx, w, p.Greedy, r.progress)
			if err != nil {
				return nil, err
			}
			docs = append(docs, d)
		}
	}
	return docs, nil
}

// recipe numbers how parts are made: it goes up with the program's way to prompt, to sample
// or to compute, so that parts of before are not taken for those of now.
const recipe = 2

// partPath is where a part's documents are kept: under a name that says all that they
// follow from.
func (r *run) partPath(p part) string {
	s, _ := r.b.Manifest.Stage(bundle.Unsplit)
	h := sha256.New()
	json.NewEncoder(h).Encode(struct {
		Recipe                       int
		Model, Kernels               string
		Depths                       []int
		Window, Limit, Slots, Answer int
		Part                         part
		Bare, Whole                  bool `json:",omitempty"`
	}{recipe, s.SHA256, r.kernels, r.depths, window, docLimit, slots, answer, p, r.m.bare, r.m.whole})
	return filepath.Join(r.cache, s.SHA256[:12]+"-"+hex.EncodeToString(h.Sum(nil)[:12])+statesFile)
}

// What lies in the cache: the beginning of the name of a file that is being written, and the
// ends of those of what the whole model, and what a draft model, said.
const (
	unfinished = ".part-"
	statesFile = ".states"
	wordsFile  = ".words"
)

// How long a file may lie in the cache: one that is being written is finished in seconds, and
// who has not gone on with a calibration for so long is not expected to.
const (
	longestWrite = time.Hour
	longestKept  = 30 * 24 * time.Hour
)

// sweepCache removes from the cache what a program that was killed did not finish, and what
// nobody came back for. What cannot be removed stays.
func sweepCache(dir string, now time.Time) {
	entries, _ := os.ReadDir(dir) // without one there is nothing to remove
	for _, e := range entries {
		most, name := longestKept, e.Name()
		switch {
		case strings.HasPrefix(name, unfinished):
			most = longestWrite
		case filepath.Ext(name) != statesFile && filepath.Ext(name) != wordsFile && filepath.Ext(name) != trainingFile:
			continue
		}
		if st, err := e.Info(); err == nil && st.Mode().IsRegular() && now.Sub(st.ModTime()) > most {
			os.Remove(filepath.Join(dir, name))
		}
	}
}

func loadDocuments(path string, width int) ([]*document, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readDocuments(bufio.NewReaderSize(f, 1<<20), width)
}

// headRoom is left free on the disk beside what is kept, in bytes: the heads must fit behind
// it, or the whole calibration was for nothing.
const headRoom = 256 << 20

func saveDocuments(path string, docs []*document, width int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	size := int64(headRoom)
	for _, d := range docs {
		size += int64(2*width*(d.lead+d.rows()) + 8*len(d.tokens))
	}
	if err := disk.CheckSpace(filepath.Dir(path), size); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), unfinished)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is there once it was renamed
	w := bufio.NewWriterSize(f, 1<<20)
	if err = writeDocuments(w, docs, width); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
