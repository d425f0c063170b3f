package session

// branches knows which rows of a session the cloud surely has, over
// truncations whose uplinks may be reset before anything of them arrives, and
// over connections that end before anything is known.
//
// A truncation starts branch n at position t(n). Its uplink says how much of
// what the cloud has may stand: keep(n), the least t of the branches that no
// receipt has named yet, since the cloud may have seen any of those and not
// the others. A receipt (b, r) says that on branch b the cloud had r rows; any
// uplink d > b it may have taken since cut them to keep(d). What is left is
// confirmed, and confirmed <= keep(d) for every unnamed d.
//
// What holds beyond one connection:
//
//   - One branch has one uplink. Each attachment to a connection, and each
//     repetition of rows, starts a branch, so that the above holds over them
//     and a cloud takes every branch at most once.
//   - Numbers only go up, also from one process to the next, which leaves out
//     those its predecessor may have used and not written down.
//   - keep(n) holds only for a cloud that has taken branch since(n), the
//     newest named, or a later one. Any other has rows of drafts forgotten
//     here and must keep none; so must a cloud that has taken n or more.
//   - confirmed is what this process knows. The cloud may have lost it; then
//     it says from where it wants rows, and confirmed falls to that.
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

// branchStride is how many branch numbers a new process leaves out.
const branchStride = 1 << 16

// resumed returns the branches of a process that knows of its predecessor only
// that the rows below pos are the same on branch number and on any later one.
func resumed(number uint32, pos int) branches {
	b := branches{current: number + branchStride, confirmed: pos, named: number}
	b.unnamed = []branch{{number: b.current, at: pos, keep: pos}}
	return b
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
	b.name(number)
	for _, u := range b.unnamed {
		end = min(end, u.keep)
	}
	b.confirmed = max(b.confirmed, end)
}

func (b *branches) name(number uint32) {
	b.named = max(b.named, number)
	for len(b.unnamed) > 0 && b.unnamed[0].number <= number {
		b.unnamed = b.unnamed[1:]
	}
}

// opened notes what the cloud said it had when an attachment whose first
// branch is first, with its since, was opened: nothing else that was sent
// before will ever be taken. It returns the rows that stand after all uplinks
// of the attachment so far.
func (b *branches) opened(number uint32, end int, first, since uint32) (have int) {
	if b.named >= first {
		return b.confirmed // a receipt was faster and knows more
	}
	if number >= first || number < since {
		end = 0 // the cloud drops what it has
	} else {
		b.name(number)
	}
	for _, u := range b.unnamed {
		if u.number >= first {
			end = min(end, u.keep)
		}
	}
	b.confirmed = end
	return end
}

// missing notes that the cloud took the given branch and has only the rows
// below end.
func (b *branches) missing(number uint32, end int) {
	b.name(number)
	for _, u := range b.unnamed {
		end = min(end, u.keep)
	}
	b.confirmed = end
}
