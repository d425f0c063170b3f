package partition

import (
	"cmp"
	"slices"

	"skerry/cloudlink/wire"
)

// This file is about asks for several rows, of which a board has the logits after each
// position of a draft. Its rows are collected as forward passes compute them, those that
// were computed for an ask before from what is kept.

// next is the position of the first row that the ask has not got.
func (a *ask) next() int { return a.First() + len(a.got) }

// wholeRows reports whether an answer takes whole rows to make.
func (a *ask) wholeRows() bool {
	return a.gen == nil && (a.mask != nil || a.TopK == 0 || a.TopK > quickBest)
}

// candidates is how many logits of a row the ask wants; of a generation, a token and what
// its margin is over.
func (a *ask) candidates(vocab int) int {
	switch {
	case a.gen != nil:
		return min(2, vocab)
	case a.TopK == 0:
		return vocab
	}
	return min(int(a.TopK), vocab)
}

// answerBytes is what the answer takes on the wire, without a mask.
func (a *ask) answerBytes(vocab int) int {
	if a.TopK == 0 {
		return 4 * vocab * a.Wanted()
	}
	return 8 * a.candidates(vocab) * a.Wanted()
}

// rowBytes is what the rows of the ask take until it is answered.
func (a *ask) rowBytes(vocab int) int64 {
	if a.wholeRows() {
		return 4 * int64(vocab) * int64(a.Wanted())
	}
	return int64(a.answerBytes(vocab))
}

// add gives the ask its next row.
func (a *ask) add(r row, vocab int) {
	if r.suffices(a, vocab) {
		r.all = nil
	}
	a.got = append(a.got, r)
}

// suffices reports whether the best of the row are all that the ask wants of it.
func (r row) suffices(a *ask, vocab int) bool {
	return !a.wholeRows() && a.candidates(vocab) <= len(r.best)
}

// serves reports whether the ask can be answered from the row.
func (r row) serves(a *ask, vocab int) bool { return r.all != nil || r.suffices(a, vocab) }

// collect gives an ask of the current branch those of its rows that are kept. It returns
// the position of the first that was computed and is neither kept nor under way, -1 for none.
func (t *tail) collect(a *ask) (lost int) {
	a.got = nil
	for pos := a.First(); pos <= a.pos() && pos < t.queue.Base(); pos++ {
		switch r, ok := t.kept.at(pos); {
		case ok && pos == a.next() && r.serves(a, t.vocab()):
			a.add(r, t.vocab())
		case !t.comes(pos):
			return pos
		}
	}
	return -1
}

// comes reports whether the forward pass that runs will deliver the row at pos.
func (t *tail) comes(pos int) bool {
	_, found := slices.BinarySearchFunc(t.underWay, pos, func(w wanted, pos int) int { return cmp.Compare(w.pos, pos) })
	return found
}

// maxKept bounds the candidates that are kept for repeated asks, of a session.
const maxKept = 2048

// keptRows are the rows of a tail that were delivered last, at consecutive positions: an
// ask that is repeated is answered from them. The newest is kept whole.
type keptRows struct {
	from int
	rows []row
	best int // candidates in rows
}

// at returns the row at pos, if it is kept.
func (k *keptRows) at(pos int) (row, bool) {
	if pos < k.from || pos >= k.from+len(k.rows) {
		return row{}, false
	}
	return k.rows[pos-k.from], true
}

// add keeps the row at pos, and as many of those before it as there is room for.
func (k *keptRows) add(pos int, r row) {
	if n := len(k.rows); n > 0 && pos == k.from+n {
		k.rows[n-1].all = nil
	} else {
		k.truncate(0)
		k.from = pos
	}
	k.rows = append(k.rows, r)
	k.best += len(r.best)
	drop := 0
	for n := len(k.rows); drop < n-1 && (k.best > maxKept || n-drop > wire.MaxAskRows); drop++ {
		k.best -= len(k.rows[drop].best)
	}
	if drop > 0 {
		n := copy(k.rows, k.rows[drop:])
		clear(k.rows[n:])
		k.rows, k.from = k.rows[:n], k.from+drop
	}
}

// truncate forgets the rows at pos and above.
func (k *keptRows) truncate(pos int) {
	n := min(max(pos-k.from, 0), len(k.rows))
	for _, r := range k.rows[n:] {
		k.best -= len(r.best)
	}
	clear(k.rows[n:])
	k.rows = k.rows[:n]
}
