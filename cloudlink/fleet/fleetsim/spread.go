package fleetsim

import (
	"math"
	"time"
)

// spread counts times by their size, so that its quantiles are right within 2 % whatever
// their number. The zero spread is empty.
type spread struct {
	n      int
	most   time.Duration
	counts [1400]int32
}

const growth = 1.02

func (s *spread) add(d time.Duration) {
	s.n++
	s.most = max(s.most, d)
	at := 0
	if d > time.Microsecond {
		at = min(int(math.Log(float64(d)/float64(time.Microsecond))/math.Log(growth))+1, len(s.counts)-1)
	}
	s.counts[at]++
}

// at is the time that a share q of all keep to.
func (s *spread) at(q float64) time.Duration {
	left := int(math.Ceil(q * float64(s.n)))
	for i, n := range s.counts {
		if left -= int(n); left <= 0 && s.n > 0 {
			return min(time.Duration(float64(time.Microsecond)*math.Pow(growth, float64(i))), s.most)
		}
	}
	return s.most
}
