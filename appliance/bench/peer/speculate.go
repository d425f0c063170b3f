package peer

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"
)

// Drafts says which of llama.cpp's ways of drafting is used. The zero value is none: the
// model says one token at a time, in the same loop.
type Drafts struct {
	// Kind by llama.cpp's name: "draft-simple" with a Model, or one of those that need
	// none, as "ngram-simple", "ngram-map-k" and "ngram-mod".
	Kind  string
	Model string // path of the draft model
	// Max tokens in a draft, and the probability of a token below which a draft ends; 0 for
	// llama.cpp's defaults.
	Max     int
	PMin    float64
	Options // of both models
}

func (d Drafts) args() []string {
	kind, model, longest, pmin := d.Kind, d.Model, "-", "-"
	if kind == "" {
		kind = "none"
	}
	if model == "" {
		model = "-"
	}
	if d.Max > 0 {
		longest = strconv.Itoa(d.Max)
	}
	if d.PMin > 0 {
		pmin = strconv.FormatFloat(d.PMin, 'g', -1, 64)
	}
	return append(d.Options.args()[:3], kind, model, longest, pmin)
}

// Speculator is one process of llama.cpp that says greedy tokens with drafts of its own.
// Its methods run one at a time.
type Speculator struct{ r *Runner }

// Speculate loads a model, and that which drafts for it, into a process of their own, which
// ends with ctx. Both compute on one pool of Options.Threads, with flash attention.
func (p *Peer) Speculate(ctx context.Context, modelPath string, d Drafts) (*Speculator, error) {
	r, _, err := start(ctx, modelPath, p.speculator(), append([]string{p.libs(), modelPath}, d.args()...)...)
	if err != nil {
		return nil, err
	}
	return &Speculator{r}, nil
}

// Said is an answer, and what it took.
type Said struct {
	Tokens                    []int32
	Checks, Drafted, Accepted int
	Took                      time.Duration // after the prompt
}

// Say continues a prompt [n] greedily by tokens, to the end of the answer or somewhat more
// than so many: a check may accept several at once.
func (s *Speculator) Say(ctx context.Context, prompt []int32, tokens int) (*Said, error) {
	data, took, err := s.r.call(ctx, opSpeak, append([]int32{int32(tokens)}, prompt...))
	if err != nil {
		return nil, err
	}
	var words []int32
	for ; len(data) >= 4; data = data[4:] {
		words = append(words, int32(binary.LittleEndian.Uint32(data)))
	}
	if len(words) < 3 {
		return nil, fmt.Errorf("the llama.cpp peer: an answer of %d numbers", len(words))
	}
	return &Said{words[3:], int(words[0]), int(words[1]), int(words[2]), took}, nil
}

// Close ends the process and waits for it.
func (s *Speculator) Close() error { return s.r.Close() }
