package strategies

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/google/renameio/v2"
)

// Recording is what the models of a bundle say after texts, and how sure they are: all that a
// simulation has to know of them. Two texts that begin alike share what is said after their
// common beginning. It is not safe for concurrent use.
type Recording struct {
	Version int    `json:"version"`
	Bundle  string `json:"bundle"` // what of a bundle decides what is said
	Texts   []Text `json:"texts"`

	path string            // "" where it is not kept
	at   map[string]*After // by the text
	kept map[string]bool   // texts that are among Texts
	more bool              // than in the file
}

// Text is a prompt and the tokens of one answer to it, with what is said in place of each.
type Text struct {
	Prompt []int32  `json:"prompt"`
	Tokens []int32  `json:"tokens"`
	After  []*After `json:"said"` // [len(Tokens)]
}

// After is what is said after a text: the likeliest token of the whole model, of the draft model
// and of the exits, each as far as it was computed.
type After struct {
	Whole *int32 `json:"whole,omitempty"`
	Draft *Says  `json:"draft,omitempty"`
	Exits []Says `json:"exits,omitempty"`
}

// Says is a token and the confidence in it.
type Says struct {
	Token      int32   `json:"token"`
	Confidence float64 `json:"confidence"`
}

// recordingVersion is that of the file's format.
const recordingVersion = 1

// ErrRecording is wrapped by the errors of OpenRecording about what a file holds.
var ErrRecording = errors.New("this is no recording of this bundle")

// OpenRecording reads the recording of a file, or begins one that Save writes there; without a
// path it is not kept. The text bundle names all that decides what the models say. The errors
// wrap ErrRecording, or are those of reading.
func OpenRecording(path, bundle string) (*Recording, error) {
	if path == "" {
		return newRecording(path, bundle), nil
	}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return newRecording(path, bundle), nil
	case err != nil:
		return nil, err
	}
	r, err := parseRecording(data)
	if err == nil && r.Bundle != bundle {
		err = errors.New("it is of another model, draft or fitted exit")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %v: give --record another file, or delete this one", path, ErrRecording, err)
	}
	r.path = path
	return r, nil
}

func newRecording(path, bundle string) *Recording {
	return &Recording{Version: recordingVersion, Bundle: bundle, path: path, at: map[string]*After{}, kept: map[string]bool{}}
}

func parseRecording(data []byte) (*Recording, error) {
	read := Recording{}
	if err := json.Unmarshal(data, &read); err != nil {
		return nil, err
	}
	if read.Version != recordingVersion {
		return nil, fmt.Errorf("its format is %d, and this program reads %d", read.Version, recordingVersion)
	}
	r := newRecording("", read.Bundle)
	for i, t := range read.Texts {
		if len(t.Prompt) == 0 || len(t.Tokens) == 0 || len(t.After) != len(t.Tokens) {
			return nil, fmt.Errorf("text %d has a prompt of %d tokens, and %d tokens with what was said in place of %d", i+1, len(t.Prompt), len(t.Tokens), len(t.After))
		}
		for k, a := range t.After {
			if a == nil {
				return nil, fmt.Errorf("text %d has nothing in place of token %d", i+1, k+1)
			}
			r.after(t.text()[:len(t.Prompt)+k]).merge(a)
		}
		r.add(t.Prompt, t.Tokens)
	}
	r.more = false
	return r, nil
}

// text is the prompt and the answer.
func (t Text) text() []int32 { return append(append([]int32(nil), t.Prompt...), t.Tokens...) }

// after is what is said after a text.
func (r *Recording) after(text []int32) *After {
	k := key(text)
	a := r.at[k]
	if a == nil {
		a = &After{}
		r.at[k] = a
	}
	return a
}

// merge takes over what is not known yet.
func (a *After) merge(o *After) {
	if a.Whole == nil {
		a.Whole = o.Whole
	}
	if a.Draft == nil {
		a.Draft = o.Draft
	}
	if a.Exits == nil {
		a.Exits = o.Exits
	}
}

// add keeps an answer and what was said in place of its tokens.
func (r *Recording) add(prompt, tokens []int32) {
	t := Text{Prompt: prompt, Tokens: tokens}
	text := t.text()
	k := fmt.Sprint(len(prompt), ":", key(text))
	if r.kept[k] || len(tokens) == 0 {
		return
	}
	for i := range tokens {
		t.After = append(t.After, r.after(text[:len(prompt)+i]))
	}
	r.kept[k], r.more = true, true
	r.Texts = append(r.Texts, t)
}

// key is a text as the key of a map.
func key(text []int32) string {
	var b bytes.Buffer
	b.Grow(4 * len(text))
	binary.Write(&b, binary.LittleEndian, text)
	return b.String()
}

// Save writes the recording to its file, where it has one that lacks something.
func (r *Recording) Save() error {
	if r.path == "" || !r.more {
		return nil
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(r.path, append(data, '\n'), 0o644); err != nil {
		return err
	}
	r.more = false
	return nil
}
