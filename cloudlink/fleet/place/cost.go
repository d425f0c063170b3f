package place

import "math/bits"

// Rendezvous hashing (Thaler and Ravishankar 1998) draws a number u in (0, 1] for each pair of
// a key and a worker, and takes the worker with the smallest -log(u)/weight: the first of
// exponential clocks that run at the weights' rates rings with the odds of its weight, and what
// one worker's weight is has no say in the order of the others. All of it is in whole numbers,
// so that a board's worker is the same whichever processor computes it.

const (
	fraction = 32 // bits behind the binary point of a logarithm
	steps    = 10 // bits of u that the table is looked up by
)

// logs are the logarithms to base 2 of 1 to 2 in 2^steps equal steps, both ends included.
var logs = makeLogs()

func makeLogs() (table [1<<steps + 1]uint64) {
	for i := range 1 << steps {
		table[i] = log2(1<<63 | uint64(i)<<(63-steps))
	}
	table[1<<steps] = 1 << fraction
	return table
}

// log2 is the logarithm of x/2^63, which is from 1 to 2, bit by bit: squaring doubles it.
func log2(x uint64) (log uint64) {
	for range fraction {
		hi, _ := bits.Mul64(x, x) // of 2^126, from 1 to 4
		log <<= 1
		if hi>>63 == 1 { // 2 or more
			log |= 1
			x = hi
		} else {
			x = hi << 1
		}
	}
	return log
}

// negLog is -log2(h/2^64), 0 standing for the smallest h there is, with fraction bits behind
// the point.
func negLog(h uint64) uint64 {
	h |= 1
	zeros := bits.LeadingZeros64(h)
	x := h << zeros // from 2^63
	at := x << 1 >> (64 - steps)
	between := x << (1 + steps) >> (64 - fraction)
	log := logs[at] + (logs[at+1]-logs[at])*between>>fraction
	return uint64(zeros+1)<<fraction - log
}

// cost is what places a worker in the order of a key: the smallest goes first. reach is
// 2^64 over its weight.
func cost(key Key, seed, reach uint64) uint64 {
	hi, _ := bits.Mul64(negLog(mix(uint64(key)^bits.RotateLeft64(seed, 32)))<<24, reach)
	return hi
}

// mix scatters the bits of x: the finalizer of splitmix64 (Steele, Lea and Flood 2014), with
// its increment before.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
