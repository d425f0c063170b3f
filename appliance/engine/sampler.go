package engine

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"skerry/appliance/chat/grammar"
	"skerry/appliance/infer"
	"skerry/cloudlink/rank"
)

// Sampler is the one sampler of every mode: llama.cpp's filters, then the
// Gumbel-max (Gumbel 1954; Maddison et al. 2014, arXiv 1411.0030) with noise keyed
// by seed, position and token, so that the token depends on logits, settings and
// history alone and not on which machine computed the logits, or how often.
type Sampler struct {
	opt     infer.Sampling
	vocab   *Vocab
	chain   *C.struct_llama_sampler // nil when greedy without filters
	heat    *C.struct_llama_sampler // the temperature, where XTC comes before it; else nil
	grammar *grammar.Matcher        // nil for none
	wholeTo int                     // tokens, until which whole rows are wanted for the grammar
	masked  []float32               // logits, less those of what the grammar forbids
	history []int32
	scratch []C.struct_llama_token_data
	ids     []int32
	logits  []float32
	kept    []float32 // logits of what XTC leaves
}

// NewSampler makes a sampler; Close it when done. The vocabulary must stay open. What a
// grammar costs ends with ctx, whose error the methods then return; infer.ErrGrammar is
// wrapped where the grammar is too large or costs too much.
func NewSampler(ctx context.Context, v *Vocab, o infer.Sampling) (*Sampler, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s := &Sampler{opt: o, vocab: v}
	if o.Grammar != "" {
		g, err := grammar.Compile(o.Grammar)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", infer.ErrGrammar, err)
		}
		if s.grammar, err = grammar.NewMatcher(g, ctx.Err); err != nil {
			return nil, costly(err)
		}
	}
	s.open()
	return s, nil
}

// open makes llama.cpp's filters.
func (s *Sampler) open() {
	o := s.opt
	if o.Temperature == 0 && !o.Penalized() && !o.Dry() {
		return
	}
	newChain := func() *C.struct_llama_sampler {
		return C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())
	}
	s.chain = newChain()
	add := func(f *C.struct_llama_sampler) { C.llama_sampler_chain_add(s.chain, f) }
	if o.Penalized() {
		last, repeat := o.PenaltyLast, o.Repeat
		if last == 0 {
			last = 64
		}
		if repeat == 0 {
			repeat = 1
		}
		add(C.skerry_penalties(C.int32_t(s.vocab.n), C.int32_t(last), C.float(repeat), C.float(o.Frequency), C.float(o.Presence)))
	}
	if o.Dry() {
		add(s.dry())
	}
	if o.Temperature == 0 {
		return
	}
	keep := C.size_t(max(o.MinKeep, 1))
	if o.TopNSigma > 0 {
		add(C.llama_sampler_init_top_n_sigma(C.float(o.TopNSigma)))
	}
	if o.TopK > 0 {
		add(C.llama_sampler_init_top_k(C.int32_t(o.TopK)))
	}
	if o.Typical > 0 && o.Typical < 1 {
		add(C.skerry_possible()) // top_n_sigma marks what it leaves out, and does not take it away
		add(C.llama_sampler_init_typical(C.float(o.Typical), keep))
	}
	if o.TopP > 0 && o.TopP < 1 {
		add(C.llama_sampler_init_top_p(C.float(o.TopP), keep))
	}
	if o.MinP > 0 {
		add(C.llama_sampler_init_min_p(C.float(o.MinP), keep))
	}
	to := s.chain
	if o.XTCProbability > 0 {
		s.heat = newChain()
		to = s.heat
	}
	if o.DynatempRange > 0 {
		exponent := o.DynatempExponent
		if exponent == 0 {
			exponent = 1
		}
		C.llama_sampler_chain_add(to, C.llama_sampler_init_temp_ext(C.float(o.Temperature), C.float(o.DynatempRange), C.float(exponent)))
		return
	}
	C.llama_sampler_chain_add(to, C.llama_sampler_init_temp(C.float(o.Temperature)))
}

// Close frees the filters.
func (s *Sampler) Close() {
	if s.chain != nil {
		C.llama_sampler_free(s.chain)
		s.chain = nil
	}
	if s.heat != nil {
		C.llama_sampler_free(s.heat)
		s.heat = nil
	}
}

// spareCandidates are asked for beside those that are needed where a grammar binds little: a
// few may be what it forbids. After a row of which more were, the next wholeRows are wanted whole.
const (
	spareCandidates = 8
	wholeRows       = 16
)

// Need is how many of the most likely candidates give the same token as the whole row of
// logits would; 0 means that only the whole row does. Under a grammar it is what is likely to,
// while the text could end where it is, as it can until a tool is called: where Short says that
// a row's candidates were not enough, its Need is 0.
func (s *Sampler) Need() int {
	n := s.need()
	if s.grammar == nil || n == 0 {
		return n
	}
	if len(s.history) < s.wholeTo || !s.grammar.Whole() {
		return 0
	}
	return n + spareCandidates
}

// Short reports whether the candidates, the best of a row, are too few to tell which token the
// whole row gives at a position, as the grammar forbids too many of them.
func (s *Sampler) Short(ids []int32, logits []float32, pos int) (bool, error) {
	if s.grammar == nil || ids == nil {
		return false, nil
	}
	logits, err := s.biased(ids, logits, pos)
	if err != nil {
		return false, err
	}
	need := s.need()
	if need == 0 {
		return true, nil
	}
	if s.chain == nil { // the best of those that are allowed
		need = 1
	}
	for i, id := range ids {
		if logits[i] <= banned {
			continue
		}
		ok, err := s.allowed(id)
		if err != nil {
			return false, err
		}
		if ok {
			need--
		}
		if need == 0 {
			return false, nil
		}
	}
	s.wholeTo = len(s.history) + wholeRows
	return true, nil
}

// need is Need without a grammar, or of those candidates that it allows. Biases, ends that may
// not come yet and penalties can only take as many tokens out of the top as they cover.
func (s *Sampler) need() int {
	o := s.opt
	if o.Repeat < 1 && o.Repeat != 0 || o.Frequency < 0 || o.Presence < 0 || o.Dry() || o.TopNSigma > 0 {
		return 0
	}
	top := 2 // the token and, for its margin, the next
	if o.Temperature > 0 {
		if o.TopK == 0 {
			return 0
		}
		top = max(top, o.TopK)
	}
	for _, b := range o.Bias { // each may take one out of the top
		if b.Bias > 0 {
			return 0
		}
		top++
	}
	if o.EndFrom > 0 {
		top += len(s.vocab.ends())
	}
	if o.Penalized() {
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
	logits, err := s.biased(ids, logits, pos)
	if err != nil {
		return 0, err
	}
	if s.grammar != nil {
		if id := likeliest(ids, logits); s.chain == nil {
			if ok, err := s.allowed(id); ok || err != nil {
				return id, err
			}
		}
		if logits, err = s.mask(ids, logits); err != nil {
			return 0, err
		}
	}
	if s.chain == nil {
		return s.candidate(likeliest(ids, logits), slices.Max(logits))
	}
	if n := s.need(); n > 0 {
		ids, logits = best(ids, logits, n)
	}
	left, scores := s.filter(s.chain, ids, logits)
	if len(left) == 0 {
		return 0, infer.ErrNoCandidate
	}
	if s.heat != nil {
		left = s.excludeTop(left, scores, pos)
		left, scores = s.filter(s.heat, left, s.kept)
	}
	if s.opt.Temperature > 0 {
		for i, id := range left {
			scores[i] += float32(gumbel(s.opt.Seed, pos, id))
		}
	}
	i := argmax(left, scores)
	return s.candidate(left[i], scores[i])
}

// banned is the logit at and below which a token counts as ruled out by a bias, whatever its
// logit was.
const banned = infer.Banned / 10

// filter has llama.cpp filter the candidates. Those that are ruled out do not take part: they
// would make the spread of the logits that of the bias.
func (s *Sampler) filter(chain *C.struct_llama_sampler, ids []int32, logits []float32) ([]int32, []float32) {
	if len(s.scratch) < len(logits) {
		s.scratch = make([]C.struct_llama_token_data, len(logits))
		s.ids, s.logits = make([]int32, len(logits)), make([]float32, len(logits))
	}
	var cids *C.int32_t
	if ids != nil {
		cids = (*C.int32_t)(&ids[0])
	}
	n := int(C.skerry_sampler_apply(chain, banned, C.int(len(logits)), cids, (*C.float)(&logits[0]), &s.scratch[0], (*C.int32_t)(&s.ids[0]), (*C.float)(&s.logits[0])))
	return s.ids[:n], s.logits[:n]
}

// best are the n best candidates, best first. llama.cpp's top-k takes any of equal logits
// at its edge; which ones must not depend on how many candidates it is given.
func best(ids []int32, logits []float32, n int) ([]int32, []float32) {
	top := rank.Best(func(yield func(rank.Candidate) bool) {
		for i, logit := range logits {
			c := rank.Candidate{ID: int32(i), Logit: logit}
			if ids != nil {
				c.ID = ids[i]
			}
			if !yield(c) {
				return
			}
		}
	}, min(n, len(logits)))
	ids, logits = make([]int32, len(top)), make([]float32, len(top))
	for i, c := range top {
		ids[i], logits[i] = c.ID, c.Logit
	}
	return ids, logits
}

// candidate is the token chosen, if the grammar leaves it any chance.
func (s *Sampler) candidate(id int32, score float32) (int32, error) {
	if math.IsInf(float64(score), -1) {
		return 0, infer.ErrNoCandidate
	}
	return id, nil
}

// mask is the logits with those that the grammar forbids at minus infinity.
func (s *Sampler) mask(ids []int32, logits []float32) ([]float32, error) {
	tokens := s.vocab.tokens()
	mask, err := s.grammar.Mask(tokens.all)
	if err != nil {
		return nil, costly(err)
	}
	s.masked = append(s.masked[:0], logits...)
	for i := range s.masked {
		id := int32(i)
		if ids != nil {
			id = ids[i]
		}
		if !s.may(tokens, id, mask.Has(id)) {
			s.masked[i] = float32(math.Inf(-1))
		}
	}
	return s.masked, nil
}

// may reports whether a token may follow whose text the grammar lets follow or not. A
// control token is never shown: it may where the grammar asks for it by its text, and not
// where just any text may stand, as within a string.
func (s *Sampler) may(tokens *tokenTable, id int32, follows bool) bool {
	switch tokens.kinds[id] {
	case endToken:
		return s.grammar.Whole()
	case controlToken:
		return follows && s.grammar.Mentions(string(tokens.pieces[id]))
	}
	return follows
}

// costly marks what is the grammar's own fault.
func costly(err error) error {
	if errors.Is(err, grammar.ErrWork) {
		return fmt.Errorf("%w: %w", infer.ErrGrammar, err)
	}
	return err
}

// Accept tells the sampler that a token was emitted.
func (s *Sampler) Accept(id int32) error {
	if s.grammar != nil {
		ok, err := s.allowed(id)
		if err == nil && ok {
			ok, err = s.grammar.Accept(s.vocab.tokens().piece(id))
		}
		if err != nil {
			return costly(err)
		}
		if !ok {
			return fmt.Errorf("token %d: %w", id, infer.ErrNoCandidate)
		}
	}
	s.history = append(s.history, id)
	if s.chain != nil {
		C.llama_sampler_accept(s.chain, C.llama_token(id))
	}
	return nil
}

// Allows reports whether the grammar, if any, lets a token follow at a position, and it is not
// ruled out in another way: what a bias wants less than others is no token to believe in.
func (s *Sampler) Allows(id int32, pos int) bool {
	return !s.ruledOut(id) && s.Possible(id, pos)
}

// Possible reports whether some logits could have Sample choose a token at a position: the grammar
// lets it follow, it is not banned, and it ends the answer only where that may end.
func (s *Sampler) Possible(id int32, pos int) bool {
	if pos < s.opt.EndFrom && slices.Contains(s.vocab.ends(), id) {
		return false
	}
	if s.grammar == nil {
		return !s.isBanned(id)
	}
	ok, err := s.allowed(id) // of a banned token too: it may be all that the grammar leaves
	return ok && err == nil
}

// allowed reports whether the grammar lets a token follow.
func (s *Sampler) allowed(id int32) (bool, error) {
	tokens := s.vocab.tokens()
	if id < 0 || int(id) >= len(tokens.pieces) {
		return false, nil
	}
	ok, err := s.grammar.Allows(tokens.piece(id))
	return err == nil && s.may(tokens, id, ok), costly(err)
}

// Len is the number of tokens accepted.
func (s *Sampler) Len() int { return len(s.history) }

// Truncate takes back all but the first n accepted tokens.
func (s *Sampler) Truncate(n int) error {
	if n < 0 || n > len(s.history) {
		return fmt.Errorf("truncate to %d of %d accepted tokens", n, len(s.history))
	}
	s.history = s.history[:n]
	if s.grammar != nil {
		s.grammar.Truncate(n)
	}
	if s.chain != nil {
		C.llama_sampler_reset(s.chain)
		for _, id := range s.history {
			C.llama_sampler_accept(s.chain, C.llama_token(id))
		}
	}
	return nil
}

// likeliest is the token of the greatest logit; of equal ones the lowest id.
func likeliest(ids []int32, logits []float32) int32 {
	i := argmax(ids, logits)
	if ids != nil {
		return ids[i]
	}
	return int32(i)
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
