package cloudlink

// branches knows which rows of a session the cloud surely has, over
// truncations whose uplinks may be reset before anything of them arrives.
//
// A truncation starts branch n at position t(n). Its uplink says how much of
// what the cloud has may stand: keep(n), the least t of the branches that no
// receipt has named yet, since the cloud may have seen any of those and not
// the others. A receipt (b, r) says that on branch b the cloud had r rows; any
// uplink d > b it may have taken since cut them to keep(d). What is left is
// confirmed, and confirmed <= keep(d) for every unnamed d.
type branches struct {
	current   uint32
	confirmed int
	named     uint32   // newest branch a receipt named
	unnamed   []branch // those above it, rising
}

type branch struct {
	number uint32
	at     int // where the truncation was
	keep   int // what its uplink lets stand
}

// truncate starts the next branch at pos and returns its keep.
func (b *branches) truncate(pos int) (keep int) {
	keep = pos
	for _, u := range b.unnamed {
		keep = min(keep, u.at)
	}
	b.current++
	b.unnamed = append(b.unnamed, branch{number: b.current, at: pos, keep: keep})
	b.confirmed = min(b.confirmed, keep)
	return keep
}

// receipt notes that the cloud had the rows below end on the given branch. One
// that comes late, or names a branch never made, changes nothing.
func (b *branches) receipt(number uint32, end int) {
	if number < b.named || number > b.current {
		return
	}
	b.named = number
	for len(b.unnamed) > 0 && b.unnamed[0].number <= number {
		b.unnamed = b.unnamed[1:]
	}
	for _, u := range b.unnamed {
		end = min(end, u.keep)
	}
	b.confirmed = max(b.confirmed, end)
}
