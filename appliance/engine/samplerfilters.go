package engine

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"cmp"
	"math"
	"slices"
	"unsafe"

	"skerry/appliance/infer"
)

// dry is llama.cpp's filter against repetitions.
func (s *Sampler) dry() *C.struct_llama_sampler {
	o := s.opt
	last := o.DRYLast
	if last < 0 {
		last = maxDRY
	}
	breakers := make([]*C.char, 0, len(o.DRYBreakers)+1)
	for _, b := range o.DRYBreakers {
		breakers = append(breakers, C.CString(b))
	}
	defer func() {
		for _, b := range breakers {
			C.free(unsafe.Pointer(b))
		}
	}()
	var first **C.char
	if len(breakers) > 0 {
		first = &breakers[0]
	}
	return C.llama_sampler_init_dry(s.vocab.c, C.int32_t(max(last, 1)), C.float(o.DRYMultiplier), C.float(o.DRYBase), C.int32_t(o.DRYAllowed), C.int32_t(last),
		first, C.size_t(len(breakers)))
}

// maxDRY is how many tokens are looked at for repetitions at most.
const maxDRY = 1 << 17

// biased is the logits with the biases, and with the tokens that end the answer at minus
// infinity where it may not end yet. Where a token that a bias is for is none of the listed
// ones, nobody knows whether it would have been the one: that is infer.ErrNoCandidate.
func (s *Sampler) biased(ids []int32, logits []float32, pos int) ([]float32, error) {
	ends := pos < s.opt.EndFrom
	if len(s.opt.Bias) == 0 && !ends {
		return logits, nil
	}
	s.masked = append(s.masked[:0], logits...)
	add := func(id int32, bias float32) (there bool) {
		i := int(id)
		if ids != nil {
			i = slices.Index(ids, id)
		}
		if there = i >= 0 && i < len(s.masked); there {
			s.masked[i] += bias
		}
		return there
	}
	for _, b := range s.opt.Bias {
		if !add(b.ID, b.Bias) && ids != nil && b.Bias > 0 && int(b.ID) < s.vocab.n {
			return nil, infer.ErrNoCandidate
		}
	}
	if ends {
		for _, id := range s.vocab.ends() {
			add(id, float32(math.Inf(-1)))
		}
	}
	return s.masked, nil
}

// ruledOut says whether a bias leaves no reason to believe in a token: it is banned, or
// others are wanted more.
func (s *Sampler) ruledOut(id int32) bool {
	wanted := false
	for _, b := range s.opt.Bias {
		switch {
		case b.ID == id:
			return b.Bias <= infer.Banned
		case b.Bias > 0:
			wanted = true
		}
	}
	return wanted
}

// isBanned says whether a bias takes a token out of what may be chosen.
func (s *Sampler) isBanned(id int32) bool {
	return slices.ContainsFunc(s.opt.Bias, func(b infer.TokenBias) bool { return b.ID == id && b.Bias <= infer.Banned })
}

// excludeTop is XTC: with XTCProbability all but the least of the tokens of at least
// XTCThreshold go. Whether they do hangs on seed and position alone, unlike in llama.cpp,
// which draws anew each time it is asked. It returns the ids that are left and puts their
// logits into kept.
func (s *Sampler) excludeTop(ids []int32, logits []float32, pos int) []int32 {
	s.kept = append(s.kept[:0], logits...)
	o := s.opt
	if len(ids) < 2 || o.XTCThreshold > 0.5 || uniform(o.Seed, pos) > float64(o.XTCProbability) {
		return ids
	}
	order := make([]int, len(ids))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(logits[b], logits[a]), cmp.Compare(ids[a], ids[b])) })
	var sum float64
	top := float64(logits[order[0]])
	for _, l := range logits {
		sum += math.Exp(float64(l) - top)
	}
	above := 0
	for _, i := range order {
		if math.Exp(float64(logits[i])-top)/sum < float64(o.XTCThreshold) {
			break
		}
		above++
	}
	drop := above - 1
	if drop <= 0 || len(ids)-drop < o.MinKeep {
		return ids
	}
	left := make([]int32, 0, len(ids)-drop)
	s.kept = s.kept[:0]
	for _, i := range order[drop:] {
		left, s.kept = append(left, ids[i]), append(s.kept, logits[i])
	}
	return left
}

// uniform is a number of [0,1), the same for the same seed and position, and unrelated to
// the noise of tokens.
func uniform(seed uint64, pos int) float64 {
	x := mix(seed ^ 0xa0761d6478bd642f)
	x = mix(x + 0xe7037ed1a0b428db*uint64(uint32(pos)+1))
	return float64(x>>11) / (1 << 53)
}
