package grammar

import "strings"

// Matcher follows one text through a grammar. It belongs to one goroutine.
type Matcher struct {
	g    *Grammar
	stop func() error // asked between steps of long work, nil for nobody
	at   []*set       // after each token accepted, the first before any

	sets   map[string]*set // by content
	tabled []*set          // with a next
	bytes  int             // about what sets take
	lastID uint32

	closer closer
	kernel []item
	key    []byte
	masks  masks

	credit  int // work there may yet be
	checked int // credit when stop was last asked
	kept    int // items of the sets of at
	err     error
}

// NewMatcher begins a text. Stop, which may be nil, is asked now and then whether the
// work is still wanted; its error ends what is under way. ErrWork is returned for a
// grammar of which not even the first set can be made.
func NewMatcher(g *Grammar, stop func() error) (*Matcher, error) {
	m := &Matcher{g: g, stop: stop, sets: map[string]*set{}, lastID: rootID, credit: mostCredit, checked: mostCredit}
	m.closer = closer{m: m, known: map[[2]uint32]struct{}{}}
	first := m.close([]item{{g.rules[g.root].start, bottom}})
	if m.err != nil {
		return nil, m.err
	}
	m.at = []*set{first}
	m.refill()
	return m, nil
}

// refill is what a token adds to the credit.
func (m *Matcher) refill() {
	m.credit = min(m.credit+tokenCredit, mostCredit)
	m.checked = m.credit
}

// spend takes work off the credit.
func (m *Matcher) spend(n int) {
	if m.credit -= n; m.credit < 0 && m.err == nil {
		m.err = ErrWork
	}
	if m.checked-m.credit >= checkEvery {
		m.checked = m.credit
		m.check()
	}
}

// check asks whether to go on.
func (m *Matcher) check() {
	if m.stop != nil && m.err == nil {
		m.err = m.stop()
	}
}

// step is the set behind s and a byte; dead where none is.
func (m *Matcher) step(s *set, c byte) *set {
	sort := m.g.class[c]
	if s.next != nil && s.next[sort] != nil {
		return s.next[sort]
	}
	if s == dead {
		return dead
	}
	m.kernel = m.kernel[:0]
	for _, it := range s.steps {
		st := &m.g.states[it.state]
		m.spend(1 + int(st.ranges.to-st.ranges.from)/8)
		for _, r := range m.g.ranges[st.ranges.from:st.ranges.to] {
			if c < r.lo || c > r.hi {
				continue
			}
			origin := it.origin
			if origin == nil {
				origin = s
			}
			m.kernel = append(m.kernel, item{r.to, origin})
		}
	}
	to := dead
	if len(m.kernel) > 0 {
		to = m.close(m.kernel)
	}
	if m.err != nil {
		return dead
	}
	if s.next == nil {
		s.next = make([]*set, m.g.sorts)
		m.tabled = append(m.tabled, s)
		m.cache(8 * m.g.sorts)
	}
	s.next[sort] = to
	return to
}

// cache counts memory, and forgets what is only kept to be found again once it is too
// much.
func (m *Matcher) cache(n int) {
	if m.bytes += n; m.bytes < mostCached {
		return
	}
	for _, s := range m.tabled {
		s.next = nil
	}
	m.sets, m.tabled, m.bytes = map[string]*set{}, nil, 0
}

// Whole reports whether the text may end here.
func (m *Matcher) Whole() bool { return m.now().accept }

func (m *Matcher) now() *set { return m.at[len(m.at)-1] }

// Len is how many tokens were accepted.
func (m *Matcher) Len() int { return len(m.at) - 1 }

// Allows reports whether a token of these bytes may follow.
func (m *Matcher) Allows(token []byte) (bool, error) {
	s := m.now()
	for _, c := range token {
		s = m.step(s, c)
	}
	return s != dead && len(token) > 0, m.fault()
}

// Accept goes on behind a token, and returns false, where it was, if it may not follow.
// The token that ends a text has no bytes.
func (m *Matcher) Accept(token []byte) (bool, error) {
	s := m.now()
	for _, c := range token {
		if s = m.step(s, c); s != dead && !s.kept {
			s.kept = true
			m.kept += len(s.steps) + len(s.waits)
		}
	}
	if m.kept > mostKept {
		m.err = ErrWork
	}
	if err := m.fault(); err != nil || s == dead {
		return false, err
	}
	m.at = append(m.at, s)
	m.refill()
	return true, nil
}

// Mentions reports whether a text stands in the grammar as it was written.
func (m *Matcher) Mentions(text string) bool { return strings.Contains(m.g.source, text) }

// Truncate takes back all but the first n accepted tokens.
func (m *Matcher) Truncate(n int) { m.at = m.at[:n+1] }

// fault returns what has ended the work, once: later work begins anew, with what credit
// there is.
func (m *Matcher) fault() error {
	err := m.err
	m.err = nil
	return err
}
