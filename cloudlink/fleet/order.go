package fleet

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
)

// order lists the workers that take boards in the order in which a device should go to them:
// weighted rendezvous hashing (Thaler and Ravishankar 1998), past those that are full, and
// those that are hot at the end. A bundle "" stands for any.
func order(workers []Worker, device, bundle string) []string {
	type candidate struct {
		address string
		class   int
		cost    float64
	}
	var all []candidate
	for _, w := range workers {
		if w.Draining {
			continue
		}
		weight, class, serves := uint32(1), 0, bundle == ""
		for _, s := range w.Stages {
			if s.Bundle != bundle && bundle != "" || s.Weight == 0 {
				continue
			}
			serves, weight = true, max(weight, s.Weight)
			switch {
			case s.Full:
				class = 2
			case s.Hot:
				class = 1
			}
		}
		if !serves {
			continue
		}
		sum := sha256.Sum256([]byte(w.Address + "\x00" + device))
		u := (float64(binary.BigEndian.Uint64(sum[:])>>11) + 1) / (1 << 53)
		all = append(all, candidate{w.Address, class, -math.Log(u) / float64(weight)})
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.cost, b.cost), cmp.Compare(a.address, b.address))
	})
	addresses := make([]string, len(all))
	for i, c := range all {
		addresses[i] = c.address
	}
	return addresses
}
