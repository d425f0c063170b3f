package engine

// AttentionMemory is what attention of our own kernels (cross/kernels/attention.cpp) takes
// beside llama.cpp's buffers, in bytes: of each thread that computes, and of those together
// for each position that a sequence holds. The latter is taken where a few rows are computed
// by several threads, whose sums over parts of the cache are merged. It is kept for the next
// computation of any stage; those that compute at the same time have each their own. keys and
// values are the lengths of a head's, group how many query heads share them.
func AttentionMemory(keys, values, group int64) (thread, position int64) {
	const rows, tile, chunk, parted = 96, 64, 256, 256 // as the kernels have them
	most := max(rows, group)
	sums := values + 2
	return 4 * (most*keys + 2*tile*keys + tile*values + rows*tile + 2*most*sums + 8*16), 4 * parted / chunk * sums
}
