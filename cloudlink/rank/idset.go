package rank

import "math/bits"

// IDSet is a set of token ids, a bit for each of the vocabulary: however many ids
// an ask names, and however often, it takes no more.
type IDSet []uint64

// NewIDSet returns the set of ids below vocab, nil when ids is empty. Other ids are
// left out.
func NewIDSet(ids []int32, vocab int) IDSet {
	if len(ids) == 0 {
		return nil
	}
	s := make(IDSet, (vocab+63)/64)
	for _, id := range ids {
		if id >= 0 && int(id) < vocab {
			s[id/64] |= 1 << (id % 64)
		}
	}
	return s
}

// Bytes is the memory it takes.
func (s IDSet) Bytes() int { return 8 * len(s) }

// Len is how many ids there are.
func (s IDSet) Len() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// All yields the ids, rising.
func (s IDSet) All(yield func(id int32) bool) {
	for i, word := range s {
		for ; word != 0; word &= word - 1 {
			if !yield(int32(64*i + bits.TrailingZeros64(word))) {
				return
			}
		}
	}
}
