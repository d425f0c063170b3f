package cloudlink

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/wire"
)

// A cloud may be several workers, one of which has this board. What a link knows of them is
// here: where it was sent, which it cannot reach, and the newest claim that it has seen.

const (
	// awayFor is how long a worker that did not answer is not waited for.
	awayFor = 30 * time.Second
	// claimFor is how long a claim counts as the newest after it was seen last: an etcd that
	// was set up anew numbers its claims from the start.
	claimFor = 10 * time.Minute
	// mostSent is how often in a row a link goes where it is sent before it is taken by
	// whoever answers.
	mostSent = 4
	// besideAfter is how long a worker that was lost is dialled before another is, beside it.
	besideAfter = 500 * time.Millisecond
)

// moves is guarded by Link.mu.
type moves struct {
	sent   string               // where the board was sent; "": nowhere
	from   string               // who sent it
	times  int                  // in a row
	takes  bool                 // whoever answers has to take the board
	others []string             // workers that the cloud has told of
	away   map[string]time.Time // when a worker was lost or did not answer
	leaves map[string]time.Time // when a worker said that it stops
	claim  uint64               // the highest seen
	seen   time.Time            // when
}

// errOldClaim is of a worker that has lost this board and does not know it yet.
var errOldClaim = errors.New("it has lost this board to another worker, and does not know yet")

// tickets keeps the tickets of all addresses of a cloud together: any of its workers takes
// them.
type tickets struct {
	of    func(string) string
	store interface {
		PutTicket(string, []byte) error
		TakeTicket(string) ([]byte, error)
	}
}

func (t tickets) PutTicket(addr string, ticket []byte) error {
	return t.store.PutTicket(t.of(addr), ticket)
}
func (t tickets) TakeTicket(addr string) ([]byte, error) { return t.store.TakeTicket(t.of(addr)) }

// ticketName is the address under which the tickets of one are kept: its own where it is
// configured, and the first one's where a worker has told of it.
func (l *Link) ticketName(addr string) string {
	if addr == l.conf.Addr || slices.Contains(l.conf.Addrs, addr) {
		return addr
	}
	if len(l.conf.Addrs) > 0 {
		return l.conf.Addrs[0]
	}
	return l.conf.Addr
}

// moving says what the hello to a worker says of this board.
func (l *Link) moving(addr string) (wire.Moves, []byte) {
	l.judge.mu.Lock()
	wanted := l.judge.wanted
	l.judge.mu.Unlock()
	var bundle []byte
	if wanted != (wire.Hash{}) {
		bundle = wanted[:]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.moves.takes:
		return wire.TakesOver, bundle
	case addr == l.moves.sent:
		return wire.WasSent, bundle
	}
	return wire.Follows, bundle
}

// targets are the addresses to dial, in order, and how long one is dialled before the next
// is, beside it.
func (l *Link) targets() (addrs []string, beside time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.moves
	for _, a := range append(slices.Clone(l.addrs), m.others...) {
		if !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	rank := func(a string) int {
		switch {
		case !m.takes && a == m.sent, m.takes && a == m.from:
			return 0
		case time.Since(m.leaves[a]) < awayFor:
			return 2
		}
		return 1
	}
	if m.sent != "" && !slices.Contains(addrs, m.sent) {
		addrs = append(addrs, m.sent)
	}
	slices.SortStableFunc(addrs, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	beside = 2 * l.conf.TCPAfter
	if m.claim > 0 && time.Since(m.away[addrs[0]]) < awayFor {
		beside = min(beside, besideAfter)
	}
	return addrs, beside
}

// sentOn notes that the worker at from has refused this board, which another has, and reports
// whether that one is to be dialled next; else it is being dialled, and may still answer.
func (l *Link) sentOn(from, owner string, pending map[string]time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.moves
	began, dialled := pending[owner]
	away := time.Since(m.away[owner]) < awayFor
	if dialled && !(away && time.Since(began) >= besideAfter) {
		return false
	}
	m.from, m.sent = from, owner
	m.times++
	m.takes = away || owner == "" || owner == from || m.times > mostSent
	return true
}

// goesOn reports whether a link that was sent elsewhere dials at once: not one that is still sent
// on after it came to stay.
func (l *Link) goesOn() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.moves.times <= mostSent+1
}

// unreachable notes that a worker did not answer.
func (l *Link) unreachable(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moves.gone(addr)
}

func (m *moves) gone(addr string) {
	if m.away == nil || len(m.away) > 4*wire.MaxOthers {
		m.away = map[string]time.Time{}
	}
	m.away[addr] = time.Now()
	if addr == m.sent {
		m.sent = ""
	}
}

// leaving notes that a worker stops, and which others there are.
func (l *Link) leaving(addr string, others []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.moves
	if len(others) == 0 {
		return
	}
	if m.leaves == nil || len(m.leaves) > 4*wire.MaxOthers {
		m.leaves = map[string]time.Time{}
	}
	m.leaves[addr], m.others = time.Now(), slices.Clone(others)
	m.gone(addr)
}

// welcomedBy checks the claim of a worker that has let this board in, and learns which others
// there are.
func (l *Link) welcomedBy(addr string, w wire.Welcome) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &l.moves
	if w.Claim > 0 {
		if w.Claim < m.claim && time.Since(m.seen) < claimFor {
			return linkerr.Lost(addr, errOldClaim)
		}
		m.claim, m.seen = w.Claim, time.Now()
	}
	m.sent, m.from, m.times, m.takes = "", "", 0, false
	m.others = slices.Clone(w.Others)
	delete(m.away, addr)
	delete(m.leaves, addr)
	return nil
}

// ownerOf is the worker that a refusal names.
func ownerOf(err error) (owner string, ok bool) {
	var r *linkerr.RemoteError
	if errors.As(err, &r) && r.Code == wire.CodeNotOwner {
		return r.Owner, true
	}
	return "", false
}
