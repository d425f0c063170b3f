package engine

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"math"
	"unsafe"
)

// Sampling is how a token is chosen from logits. The zero value is greedy.
type Sampling struct {
	Seed        uint64  `json:"seed"`
	Temperature float32 `json:"temperature"` // 0: the most likely token
	TopK        int     `json:"top_k"`       // 0: all
	TopP        float32 `json:"top_p"`       // 0 or 1: all
	MinP        float32 `json:"min_p"`       // 0: all
	// Penalties over the last PenaltyLast tokens (default 64 where any is set):
	// Repeat divides (1 or 0: off), Frequency and Presence subtract.
	PenaltyLast int     `json:"penalty_last_n,omitempty"`
	Repeat      float32 `json:"repeat_penalty,omitempty"`
	Frequency   float32 `json:"frequency_penalty,omitempty"`
	Presence    float32 `json:"presence_penalty,omitempty"`
	// Grammar in GBNF, with rule root; empty for none.
	Grammar string `json:"grammar,omitempty"`
}

// Check returns what is wrong with the settings.
func (o Sampling) Check() error {
	finite := func(f float32) bool { return !math.IsNaN(float64(f)) && !math.IsInf(float64(f), 0) }
	switch {
	case !finite(o.Temperature) || o.Temperature < 0:
		return fmt.Errorf("temperature is %v: choose 0 (greedy) or more", o.Temperature)
	case o.TopK < 0:
		return fmt.Errorf("top_k is %d: choose 0 (all) or more", o.TopK)
	case !finite(o.TopP) || o.TopP < 0 || o.TopP > 1:
		return fmt.Errorf("top_p is %v: choose 0 to 1", o.TopP)
	case !finite(o.MinP) || o.MinP < 0 || o.MinP > 1:
		return fmt.Errorf("min_p is %v: choose 0 to 1", o.MinP)
	case !finite(o.Repeat) || o.Repeat < 0:
		return fmt.Errorf("repeat_penalty is %v: choose 1 (off) or more", o.Repeat)
	case !finite(o.Frequency) || !finite(o.Presence):
		return fmt.Errorf("frequency and presence penalties must be finite")
	case o.PenaltyLast < 0 || o.PenaltyLast > 1<<16:
		return fmt.Errorf("penalty_last_n is %d: choose 0 to 65536", o.PenaltyLast)
	}
	return nil
}

func (o Sampling) penalized() bool {
	return o.Repeat != 0 && o.Repeat != 1 || o.Frequency != 0 || o.Presence != 0
}

// Sampler is the one sampler of every mode: llama.cpp's filters, then the
// Gumbel-max (Gumbel 1954; Maddison et al. 2014, arXiv 1411.0030) with noise keyed
// by seed, position and token, so that the token depends on logits, settings and
// history alone and not on which machine computed the logits, or how often.
type Sampler struct {
	opt     Sampling
	vocab   *Vocab
	chain   *C.struct_llama_sampler // nil when greedy without filters
	grammar *C.struct_llama_sampler // owned by chain
	history []int32
	scratch []C.struct_llama_token_data
	ids     []int32
	logits  []float32
}

// NewSampler makes a sampler; Close it when done. The vocabulary must stay open.
func NewSampler(v *Vocab, o Sampling) (*Sampler, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s := &Sampler{opt: o, vocab: v}
	if o.Temperature == 0 && !o.penalized() && o.Grammar == "" {
		return s, nil
	}
	s.chain = C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())
	add := func(f *C.struct_llama_sampler) { C.llama_sampler_chain_add(s.chain, f) }
	if o.Grammar != "" {
		text, root := C.CString(o.Grammar), C.CString("root")
		defer C.free(unsafe.Pointer(text))
		defer C.free(unsafe.Pointer(root))
		if s.grammar = C.llama_sampler_init_grammar(v.c, text, root); s.grammar == nil {
			s.Close()
			return nil, fmt.Errorf("grammar is not valid GBNF: %w", lastError("no reason given"))
		}
		add(s.grammar)
	}
	if o.penalized() {
		last, repeat := o.PenaltyLast, o.Repeat
		if last == 0 {
			last = 64
		}
		if repeat == 0 {
			repeat = 1
		}
		add(C.skerry_penalties(C.int32_t(v.n), C.int32_t(last), C.float(repeat), C.float(o.Frequency), C.float(o.Presence)))
	}
	if o.Temperature > 0 {
		if o.TopK > 0 {
			add(C.llama_sampler_init_top_k(C.int32_t(o.TopK)))
		}
		if o.TopP > 0 && o.TopP < 1 {
			add(C.llama_sampler_init_top_p(C.float(o.TopP), 1))
		}
		if o.MinP > 0 {
			add(C.llama_sampler_init_min_p(C.float(o.MinP), 1))
		}
		add(C.llama_sampler_init_temp(C.float(o.Temperature)))
	}
	return s, nil
}

// Close frees the filters.
func (s *Sampler) Close() {
	if s.chain != nil {
		C.llama_sampler_free(s.chain)
		s.chain, s.grammar = nil, nil
	}
}

// Need is how many of the most likely candidates give the same token as the
// whole row of logits would; 0 means that only the whole row does. Penalties can
// only take as many tokens out of the top as they cover.
func (s *Sampler) Need() int {
	o := s.opt
	if o.Grammar != "" || o.Repeat < 1 && o.Repeat != 0 || o.Frequency < 0 || o.Presence < 0 {
		return 0
	}
	top := 2 // the token and, for its margin, the next
	if o.Temperature > 0 {
		if o.TopK == 0 {
			return 0
		}
		top = max(top, o.TopK)
	}
	if o.penalized() {
		last := o.PenaltyLast
		if last == 0 {
			last = 64
		}
		top += last
	}
	return top
}

// Sample chooses the token at a position from a whole row of logits [n_vocab],
// or, with ids, from those of the listed tokens.
func (s *Sampler) Sample(ids []int32, logits []float32, pos int) (int32, error) {
	if len(logits) == 0 || ids != nil && len(ids) != len(logits) {
		return 0, fmt.Errorf("sample: %d logits for %d candidates", len(logits), len(ids))
	}
	if s.chain == nil {
		i := argmax(ids, logits)
		if ids != nil {
			return ids[i], nil
		}
		return int32(i), nil
	}
	if len(s.scratch) < len(logits) {
		s.scratch = make([]C.struct_llama_token_data, len(logits))
		s.ids, s.logits = make([]int32, len(logits)), make([]float32, len(logits))
	}
	var cids *C.int32_t
	if ids != nil {
		cids = (*C.int32_t)(&ids[0])
	}
	n := int(C.skerry_sampler_apply(s.chain, C.int(len(logits)), cids, (*C.float)(&logits[0]), &s.scratch[0], (*C.int32_t)(&s.ids[0]), (*C.float)(&s.logits[0])))
	left, scores := s.ids[:n], s.logits[:n]
	if s.opt.Temperature > 0 {
		for i, id := range left {
			scores[i] += float32(gumbel(s.opt.Seed, pos, id))
		}
	}
	if n == 0 {
		return 0, fmt.Errorf("sample: the filters left no token")
	}
	i := argmax(left, scores)
	if math.IsInf(float64(scores[i]), -1) {
		return 0, ErrNoCandidate
	}
	return left[i], nil
}

// ErrNoCandidate says that the grammar allows none of the candidates.
var ErrNoCandidate = fmt.Errorf("the grammar allows none of the candidates")

// Accept tells the sampler that a token was emitted.
func (s *Sampler) Accept(id int32) error {
	if s.grammar != nil && !s.allowed(id) {
		return fmt.Errorf("token %d: %w", id, ErrNoCandidate)
	}
	s.history = append(s.history, id)
	if s.chain != nil {
		C.llama_sampler_accept(s.chain, C.llama_token(id))
	}
	return nil
}

// Allows reports whether the grammar, if any, lets a token follow.
func (s *Sampler) Allows(id int32) bool { return s.grammar == nil || s.allowed(id) }

// allowed guards the grammar, which aborts the process on a token it forbids.
func (s *Sampler) allowed(id int32) bool {
	d := (*C.struct_llama_token_data)(C.calloc(1, C.sizeof_struct_llama_token_data))
	defer C.free(unsafe.Pointer(d))
	d.id = C.llama_token(id)
	a := C.llama_token_data_array{data: d, size: 1, selected: -1}
	C.llama_sampler_apply(s.grammar, &a)
	return !math.IsInf(float64(d.logit), -1)
}

// Len is the number of tokens accepted.
func (s *Sampler) Len() int { return len(s.history) }

// Truncate takes back all but the first n accepted tokens.
func (s *Sampler) Truncate(n int) error {
	if n < 0 || n > len(s.history) {
		return fmt.Errorf("truncate to %d of %d accepted tokens", n, len(s.history))
	}
	keep := s.history[:n]
	s.history = s.history[:0]
	if s.chain != nil {
		C.llama_sampler_reset(s.chain)
	}
	for _, id := range keep {
		if err := s.Accept(id); err != nil {
			return err
		}
	}
	return nil
}

// argmax is the index of the greatest logit; of equal ones that of the lowest id.
func argmax(ids []int32, logits []float32) int {
	best := 0
	for i := 1; i < len(logits); i++ {
		if logits[i] > logits[best] || logits[i] == logits[best] && ids != nil && ids[i] < ids[best] {
			best = i
		}
	}
	return best
}

// gumbel is standard Gumbel noise, the same for the same (seed, position, token).
// The hash is SplitMix64's finalizer (Steele, Lea, Flood 2014), chained.
func gumbel(seed uint64, pos int, id int32) float64 {
	x := mix(seed + 0x9e3779b97f4a7c15*uint64(uint32(pos)+1))
	x = mix(x ^ 0xd1342543de82ef95*uint64(uint32(id)+1))
	u := (float64(x>>11) + 0.5) / (1 << 53) // in (0,1)
	return -math.Log(-math.Log(u))
}

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
