package fleetsim

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"skerry/build/testseed"
)

// small is a fleet that is played in a moment.
func small(t testing.TB) Settings {
	s := Defaults()
	s.Seed = testseed.Of(t)
	s.Workers, s.Boards, s.Answers = 10, 2000, 6
	return s
}

func run(t testing.TB, s Settings) (*play, *Result) {
	t.Helper()
	p := newPlay(s)
	p.run(context.Background())
	r := p.result(0, 0)
	return p, r
}

// TestSameAgain: a seed plays the same.
func TestSameAgain(t *testing.T) {
	s := small(t)
	s.Kill, s.Cut, s.CutFor = 0.2, 0.5, 20*time.Second
	_, a := run(t, s)
	_, b := run(t, s)
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%+v and then %+v", a, b)
	}
}

// TestBoardsComeBack: when workers die every board of theirs has another in the end, and
// each that was in mid-answer goes on; no context is lost count of.
func TestBoardsComeBack(t *testing.T) {
	for _, kill := range []float64{0.1, 0.3} {
		s := small(t)
		s.Kill = kill
		p, r := run(t, s)
		if r.Killed != int(10*kill) || r.Lost == 0 || r.LostBusy == 0 {
			t.Fatalf("%d workers killed, %d boards lost, %d in mid-answer", r.Killed, r.Lost, r.LostBusy)
		}
		if r.Gone != 0 || r.Back.N != r.Lost || r.Moved != r.Lost || r.Claims < r.Moved || r.Served.N < r.LostBusy {
			t.Errorf("of %d boards lost, %d in mid-answer: %d gone, %d back, %d moved with %d claims, %d served again",
				r.Lost, r.LostBusy, r.Gone, r.Back.N, r.Moved, r.Claims, r.Served.N)
		}
		if r.Served.P50 < dialTry || r.Served.P50 > 30*time.Second {
			t.Errorf("half were served again after %v", r.Served.P50)
		}
		boards, sessions := make([]int, s.Workers), make([]int, s.Workers)
		for _, b := range p.boards {
			boards[b.owner]++
			if b.session != nil {
				sessions[b.owner]++
			}
		}
		for i, w := range p.workers {
			if w.boards != boards[i] || !w.dead && w.inUse != sessions[i] || w.dead && boards[i] > 0 {
				t.Errorf("%s, dead: %v: %d boards of %d, %d contexts of %d", w.name, w.dead, w.boards, boards[i], w.inUse, sessions[i])
			}
		}
	}
}

// TestNetworkComesBack: boards that were cut off come back to where they were, and nothing is
// claimed for it. Those that did not notice were not away.
func TestNetworkComesBack(t *testing.T) {
	s := small(t)
	s.Cut, s.CutFor = 1, 30*time.Second
	_, r := run(t, s)
	if r.Lost == 0 || r.Gone != 0 || r.Moved != 0 || r.Claims != 0 || r.Back.N != r.Lost {
		t.Errorf("of %d boards %d back, %d gone, %d moved, %d claims", r.Lost, r.Back.N, r.Gone, r.Moved, r.Claims)
	}
	if r.Lost > s.Boards/2 {
		t.Errorf("%d of %d boards noticed a cut of %v", r.Lost, s.Boards, s.CutFor)
	}
}

// TestStoreOverrun: a store that is asked for more claims than it makes refuses some, and boards
// come back all the same.
func TestStoreOverrun(t *testing.T) {
	s := small(t)
	s.Kill, s.Claims, s.Answers = 0.5, 10, 60
	_, r := run(t, s)
	if r.ClaimsLate+r.ClaimsNone == 0 || r.Gone > r.Lost/10 || r.Limits[0].Share() <= 1 {
		t.Errorf("%d claims late, %d refused, %d of %d boards gone, limits %+v", r.ClaimsLate, r.ClaimsNone, r.Gone, r.Lost, r.Limits)
	}
}

func TestCheck(t *testing.T) {
	for name, change := range map[string]func(*Settings){
		"none": func(s *Settings) { s.Workers = 0 }, "nan": func(s *Settings) { s.M = math.NaN() },
		"all dead": func(s *Settings) { s.Kill = 0.96 }, "for ever": func(s *Settings) { s.For = 1 << 62 },
		"longer than it is played": func(s *Settings) { s.Cut, s.CutFor = 1, time.Hour },
	} {
		s := Defaults()
		change(&s)
		if _, err := Run(t.Context(), s); !errors.Is(err, ErrSettings) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Defaults()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestCalendar: events come out by time, those of one time as they went in, also those that
// are added meanwhile.
func TestCalendar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCalendar(time.Second, time.Millisecond)
		n, now := int32(0), time.Duration(0)
		add := func() {
			at := now + time.Duration(rapid.IntRange(0, 5000).Draw(t, "in"))*time.Microsecond
			c.add(event{at: at, of: n})
			n++
		}
		for range rapid.IntRange(0, 50).Draw(t, "first") {
			add()
		}
		var got []event
		for {
			e, ok := c.pop()
			if !ok {
				break
			}
			got, now = append(got, e), e.at
			for range rapid.IntRange(0, 2).Draw(t, "more") {
				if n < 100 {
					add()
				}
			}
		}
		if !slices.IsSortedFunc(got, before) || len(got) != int(n) {
			t.Fatalf("%d of %d events, in the order %v", len(got), n, got)
		}
	})
}

func TestSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s spread
		all := rapid.SliceOfN(rapid.Int64Range(1000, 1e12), 1, 200).Draw(t, "times")
		for _, d := range all {
			s.add(time.Duration(d))
		}
		slices.Sort(all)
		for _, q := range []float64{0.5, 0.95, 1} {
			want := float64(all[int(math.Ceil(q*float64(len(all))))-1])
			if got := float64(s.at(q)); math.Abs(got-want) > 0.03*want {
				t.Fatalf("%v of %v is %v, want %v", q, all, got, want)
			}
		}
	})
	if d := new(spread).at(0.5); d != 0 {
		t.Errorf("%v of nothing", d)
	}
}
