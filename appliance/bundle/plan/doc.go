// Package plan says of a model what to make of it on a board: which draft, where to split,
// which mode, and what to expect, and which models a board has room for. The figures come
// from a bundle's manifest, from the sizes of a GGUF's tensors, and from a profile of board,
// cloud and link; package predict makes times of them.
package plan
