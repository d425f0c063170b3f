package place

import (
	"cmp"
	"slices"
)

// Divide shares a device's quota out among the workers that it uses, so that together they
// give it no more than total: nobody gets more than wanted while another wants for some, and
// what is too little is shared evenly (max-min fairness). What nobody wants is shared evenly
// too, so that a worker need not ask before it serves the first rows. The shares sum to total;
// what does not divide goes to the first.
func Divide(total int, wanted []int) []int {
	shares := make([]int, len(wanted))
	order := make([]int, len(wanted))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(wanted[a], wanted[b]) })
	left := max(total, 0)
	for n, i := range order { // who wants least first
		shares[i] = min(max(wanted[i], 0), left/(len(order)-n))
		left -= shares[i]
	}
	for i := range shares {
		each := left / (len(shares) - i)
		if left%(len(shares)-i) != 0 {
			each++
		}
		shares[i] += each
		left -= each
	}
	return shares
}
