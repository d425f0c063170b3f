package grammar

import (
	"slices"
	"unicode/utf8"
)

// complement is every rune that is in none of the ranges.
func complement(ranges [][2]rune) (out [][2]rune) {
	sorted := slices.Clone(ranges)
	slices.SortFunc(sorted, func(a, b [2]rune) int { return int(a[0]) - int(b[0]) })
	next := rune(0)
	for _, r := range sorted {
		if r[0] > next {
			out = append(out, [2]rune{next, r[0] - 1})
		}
		next = max(next, r[1]+1)
	}
	if next <= utf8.MaxRune {
		out = append(out, [2]rune{next, utf8.MaxRune})
	}
	return out
}

// bytesOf calls emit with the ranges of bytes that, one behind the other, are the UTF-8
// of the runes from lo to hi. Surrogates have none (RFC 3629 section 3).
func bytesOf(lo, hi rune, emit func([][2]byte)) {
	if lo > hi {
		return
	}
	if lo < surrogates[0] && hi >= surrogates[0] {
		bytesOf(lo, surrogates[0]-1, emit)
		lo = surrogates[0]
	}
	if lo >= surrogates[0] && lo <= surrogates[1] {
		bytesOf(surrogates[1]+1, hi, emit)
		return
	}
	for _, last := range []rune{0x7f, 0x7ff, 0xffff} { // of one, two and three bytes
		if lo <= last && hi > last {
			bytesOf(lo, last, emit)
			bytesOf(last+1, hi, emit)
			return
		}
	}
	// The last bytes have to run over all of their values, or over some behind the same
	// first bytes.
	for bits := 6; bits <= 18; bits += 6 {
		low := rune(1)<<bits - 1
		if hi < 0x80 || lo&^low == hi&^low {
			break
		}
		if lo&low != 0 {
			bytesOf(lo, lo|low, emit)
			bytesOf((lo|low)+1, hi, emit)
			return
		}
		if hi&low != low {
			bytesOf(lo, hi&^low-1, emit)
			bytesOf(hi&^low, hi, emit)
			return
		}
	}
	var a, b [utf8.UTFMax]byte
	n := utf8.EncodeRune(a[:], lo)
	utf8.EncodeRune(b[:], hi)
	out := make([][2]byte, n)
	for i := range out {
		out[i] = [2]byte{a[i], b[i]}
	}
	emit(out)
}

var surrogates = [2]rune{0xd800, 0xdfff}
