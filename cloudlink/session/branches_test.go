package session

import (
	"context"
	"testing"

	"pgregory.net/rapid"

	_ "skerry/build/testseed" // of rapid
	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/wire"
)

// mirror is a cloud as far as branches matter: it has versions of rows, takes
// some uplinks, of rising branches, and skips others.
type mirror struct {
	started bool
	fresh   bool // no uplink since it was opened
	missing bool // rows are dropped until an uplink fits
	branch  uint32
	rows    []uint32 // by position, the version of the row
}

// open returns what Opened says.
func (m *mirror) open(branch, since uint32) word {
	m.fresh = true
	if !m.started || m.missing || branch <= m.branch || since > m.branch {
		return word{}
	}
	return word{m.branch, len(m.rows)}
}

// take takes up to n rows of an uplink, and returns what it has to say to that.
func (m *mirror) take(u *sentBranch, n int) (lacks, has *word) {
	if m.started && (m.fresh && u.number <= m.branch || u.since > m.branch) {
		*m = mirror{}
	}
	if m.started && u.number < m.branch {
		return nil, nil
	}
	if !m.started || u.number > m.branch {
		m.started, m.fresh, m.missing, m.branch = true, false, false, u.number
		m.rows = m.rows[:min(u.keep, len(m.rows))]
		if u.from > len(m.rows) {
			m.missing = true
			lacks = &word{m.branch, len(m.rows)}
		}
	}
	for i, v := range u.sent[:n] {
		if !m.missing && u.from+i == len(m.rows) {
			m.rows = append(m.rows, v)
		}
	}
	return lacks, &word{m.branch, len(m.rows)}
}

// word is what a cloud says it has.
type word struct {
	branch uint32
	end    int
}

type sentBranch struct {
	number, since uint32
	keep, from    int
	sent          []uint32 // versions from position from on
}

// sender is the board as far as branches matter.
type sender struct {
	branches
	rows    []uint32
	version uint32

	cloud   *mirror // nil while detached
	first   *sentBranch
	current *sentBranch
	uplinks []*sentBranch // of this attachment
	opened  *word         // not heard yet
	lacks   []word        // not heard yet
	has     []word        // receipts not heard yet
}

func (s *sender) draft(n int) {
	for range n {
		s.version++
		s.rows = append(s.rows, s.version)
	}
	if s.current != nil {
		s.current.sent = append(s.current.sent, s.rows[s.current.from+len(s.current.sent):]...)
	}
}

// start begins a branch that lets stand what there is below pos.
func (s *sender) start(pos int) {
	u := &sentBranch{since: s.named}
	u.keep = s.branches.truncate(pos)
	u.number = s.branches.current
	s.uplink(u)
}

func (s *sender) uplink(u *sentBranch) {
	if s.current = nil; s.cloud == nil {
		return
	}
	u.from = s.confirmed
	u.sent = append([]uint32(nil), s.rows[u.from:]...)
	s.current, s.uplinks = u, append(s.uplinks, u)
}

func (s *sender) attach(m *mirror) {
	s.cloud, s.uplinks, s.lacks, s.has = m, nil, nil, nil
	s.start(len(s.rows))
	s.first = s.current
	said := m.open(s.first.number, s.first.since)
	s.opened = &said
}

func (s *sender) lost() {
	s.cloud, s.current, s.uplinks, s.opened, s.lacks, s.has = nil, nil, nil, nil, nil, nil
}

// missing is told that of a branch the cloud has the rows below end.
func (s *sender) missing(w word) {
	if s.current != nil && w.branch == s.current.number {
		s.branches.missing(w.branch, w.end)
		s.start(w.end)
	}
}

func (s *sender) hearOpened() {
	have := s.branches.opened(s.opened.branch, s.opened.end, s.first.number, s.first.since)
	s.opened = nil
	if s.current.from > have {
		s.start(have) // the cloud has not said that it took the branch of now
	}
}

// arrive lets n rows of an uplink arrive.
func (s *sender) arrive(u *sentBranch, n int) {
	lacks, has := s.cloud.take(u, n)
	if lacks != nil {
		s.lacks = append(s.lacks, *lacks)
	}
	if has != nil {
		s.has = append(s.has, *has)
	}
}

// settle lets everything arrive and be heard.
func (s *sender) settle() {
	for range 3 {
		if s.opened != nil {
			s.hearOpened()
		}
		s.arrive(s.current, len(s.current.sent))
		if s.cloud.missing {
			s.missing(word{s.cloud.branch, len(s.cloud.rows)})
		}
	}
}

// TestBranchesAgainstClouds lets uplinks arrive whole, in part or never, what
// clouds say early, late or never, connections end at any time, go to another
// cloud and come back, and clouds forget everything. Whatever a cloud takes,
// it may never keep a row of a draft that was rejected, and in the end it has
// all rows.
func TestBranchesAgainstClouds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clouds := []*mirror{{}, {}}
		s := &sender{cloud: clouds[0]}
		s.first = &sentBranch{}
		s.uplink(s.first)
		index := func(n int, label string) int { return rapid.IntRange(0, n-1).Draw(t, label) }
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) { s.draft(rapid.IntRange(1, 5).Draw(t, "n")) },
			"truncate": func(t *rapid.T) {
				pos := rapid.IntRange(0, len(s.rows)).Draw(t, "pos")
				s.rows = s.rows[:pos]
				s.start(pos)
				if s.confirmed > pos {
					t.Fatalf("confirmed %d, truncated to %d", s.confirmed, pos)
				}
			},
			"arrive": func(t *rapid.T) {
				if s.cloud == nil {
					t.Skip()
				}
				u := s.uplinks[index(len(s.uplinks), "uplink")]
				s.arrive(u, rapid.IntRange(0, len(u.sent)).Draw(t, "rows"))
			},
			"hear receipt": func(t *rapid.T) {
				if len(s.has) == 0 {
					t.Skip()
				}
				i := index(len(s.has), "skip")
				s.receipt(s.has[i].branch, s.has[i].end)
				if rapid.Bool().Draw(t, "twice") {
					s.receipt(s.has[i].branch, s.has[i].end)
				}
				s.has = s.has[i+1:]
			},
			"hear opened": func(t *rapid.T) {
				if s.opened == nil {
					t.Skip()
				}
				s.hearOpened()
			},
			"hear missing": func(t *rapid.T) {
				if len(s.lacks) == 0 {
					t.Skip()
				}
				w := s.lacks[0]
				s.lacks = s.lacks[1:]
				s.missing(w)
			},
			"lose":   func(*rapid.T) { s.lost() },
			"resume": func(t *rapid.T) { s.attach(clouds[index(2, "cloud")]) },
			"evict": func(t *rapid.T) {
				m := clouds[index(2, "cloud")]
				if m != s.cloud || !m.started {
					*m = mirror{fresh: m.fresh}
					return
				}
				m.rows, m.missing = nil, true
			},
			"new process": func(t *rapid.T) { // knows an older branch and some of the rows
				s.lost()
				back := rapid.IntRange(0, min(3, int(s.branches.current))).Draw(t, "forgets")
				s.branches = resumed(s.branches.current-uint32(back), min(len(s.rows), s.safe(back)))
				s.rows = s.rows[:s.confirmed]
				m := clouds[index(2, "cloud")]
				s.cloud = m
				s.first = &sentBranch{number: s.branches.current, since: s.named, keep: s.confirmed}
				s.uplink(s.first)
				said := m.open(s.first.number, s.first.since)
				s.opened = &said
			},
			"": func(t *rapid.T) {
				if s.confirmed > len(s.rows) {
					t.Fatalf("%d rows confirmed of %d", s.confirmed, len(s.rows))
				}
				if s.cloud != nil {
					s.check(t, false)
				}
			},
		})
		if s.cloud == nil {
			s.attach(clouds[0])
		}
		s.settle()
		s.check(t, true)
	})
}

// safe returns how many rows were the same on the newest branches but back.
func (s *sender) safe(back int) int {
	pos := len(s.rows)
	for _, u := range s.unnamed {
		if u.number > s.branches.current-uint32(back) {
			pos = min(pos, u.at)
		}
	}
	if back > len(s.unnamed) { // no longer known
		return 0
	}
	return pos
}

// check compares what the cloud has of the current branch with the board's.
func (s *sender) check(t *rapid.T, whole bool) {
	m := s.cloud
	if whole && (!m.started || m.branch != s.branches.current || m.missing || len(m.rows) != len(s.rows)) {
		t.Fatalf("in the end the cloud has %d rows on branch %d, the board %d on %d", len(m.rows), m.branch, len(s.rows), s.branches.current)
	}
	if !m.started || m.branch != s.branches.current {
		return
	}
	for i, v := range m.rows {
		if i >= len(s.rows) || v != s.rows[i] {
			t.Fatalf("the cloud has version %d of row %d, the board has %v", v, i, s.rows)
		}
	}
}

// TestOpenedBelowUplink: a cloud that comes back with fewer rows than the board sends on from
// keeps those, also where the uplink that began too high never arrives.
func TestOpenedBelowUplink(t *testing.T) {
	for _, arrives := range []bool{false, true} {
		s := &sender{cloud: &mirror{}}
		s.first = &sentBranch{}
		s.uplink(s.first)
		s.draft(30)
		s.start(30) // as if drafts had been taken back
		s.draft(3)
		s.arrive(s.current, len(s.current.sent))
		s.receipt(s.current.number, 33)
		cloud := &mirror{started: true, branch: s.current.number, rows: append([]uint32(nil), s.rows[:30]...)}
		s.lost()
		s.draft(9)
		s.attach(cloud)
		high := s.current
		if s.hearOpened(); s.current.from != 30 || s.current.since > cloud.branch {
			t.Fatalf("the next uplink begins at %d and relies on branch %d, the cloud has 30 rows on %d", s.current.from, s.current.since, cloud.branch)
		}
		if arrives {
			s.arrive(high, len(high.sent))
		}
		if s.arrive(s.current, 0); len(cloud.rows) != 30 || cloud.missing {
			t.Errorf("the cloud kept %d rows of 30", len(cloud.rows))
		}
		s.arrive(high, len(high.sent)) // late
		s.arrive(s.current, len(s.current.sent))
		if len(cloud.rows) != 42 || cloud.missing {
			t.Errorf("in the end the cloud has %d rows of 42", len(cloud.rows))
		}
	}
}

// TestSessionOpenedBelowUplink: the same of a session, which has written the header of the
// uplink that begins too high.
func TestSessionOpenedBelowUplink(t *testing.T) {
	s, err := New(Options{Width: 1, Context: 64, Durable: true, ID: wire.SessionID{1}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	attach := func() *Attachment {
		a := &Attachment{s: s, conn: alone{}, stream: muteStream{}, opened: make(chan struct{}), outbox: wire.NewOutbox(0)}
		a.ctx, a.cancel = context.WithCancel(s.ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.begin(a)
		return a
	}
	next := func(a *Attachment, left int64) *wire.UplinkHeader {
		h, ok := s.nextBranch(a, left)
		if !ok {
			t.Fatal("no uplink")
		}
		return h
	}
	do := func(errs ...error) {
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	a := attach()
	do(s.Append(0, make([]float32, 40)), s.Truncate(30), s.Append(30, make([]float32, 3)))
	ref := next(a, -1).Ref
	_, _, err = s.nextFrame(a, nil, ref.Branch)
	ref.Position = 33
	do(err, a.Receipt(&wire.Receipt{Ref: ref}))
	a.Lose(linkerr.ErrLost)

	do(s.Append(33, make([]float32, 9)))
	b := attach()
	high := next(b, -1)
	stands := &wire.Opened{Ref: ref, Context: 64, Encoding: wire.F32, Protocol: wire.Protocol}
	stands.Position = 30
	do(s.consent(b, stands))
	got := next(b, int64(high.Branch))
	if high.Position != 33 || got.Position != 30 || got.Keep != 30 || got.Since > ref.Branch {
		t.Errorf("after an uplink from %d on, one from %d on keeps %d and relies on branch %d; the cloud has 30 rows on %d",
			high.Position, got.Position, got.Keep, got.Since, ref.Branch)
	}
	do(s.Close())
}
