package calibrate

import (
	"cmp"
	"slices"
)

// The sizes a shortlist may have. The smallest that reaches the coverage is taken,
// and none larger than half the vocabulary, where it would save little.
var shortlistSizes = []int{1024, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576}

// coverageTarget is the share of the whole model's greedy tokens that a shortlist
// should contain.
const coverageTarget = 0.95

// rank orders tokens by how often they were read or written; those never seen
// come by id, which in a vocabulary of merges is by frequency too.
func rank(counts []int) []int32 {
	ids := make([]int32, len(counts))
	for i := range ids {
		ids[i] = int32(i)
	}
	slices.SortStableFunc(ids, func(a, b int32) int { return cmp.Compare(counts[b], counts[a]) })
	return ids
}

// choose takes the shortlist from ranked tokens by its coverage of the greedy
// tokens counted in said. What must is always in it.
func choose(ranked []int32, said []int, must []int32) (list []int32, coverage float64) {
	all := 0
	for _, n := range said {
		all += n
	}
	most := max(1, len(ranked)/2)
	for _, size := range append(shortlistSizes, most) {
		size = min(size, most)
		list = slices.Clone(ranked[:size])
		for i, id := range must {
			if !slices.Contains(list, id) && i < size {
				list[size-1-i] = id
			}
		}
		if coverage = cover(list, said, all); coverage >= coverageTarget || size == most {
			break
		}
	}
	slices.Sort(list) // by id, as the rows lie in memory
	return list, coverage
}

func cover(list []int32, said []int, all int) float64 {
	n := 0
	for _, id := range list {
		n += said[id]
	}
	return float64(n) / float64(max(1, all))
}

// counter takes the tuning texts: it counts greedy tokens.
type counter struct {
	said []int
	n    int
}

func (c *counter) take(d *document) {
	for _, id := range d.greedy {
		c.said[id]++
		c.n++
	}
}
