package cloudlink_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/rank"
)

// A board drafts, asks for all rows of a draft at once and takes back what was rejected,
// over a link that loses packets and is cut for seconds in the middle of checks: what is
// answered is of the rows of now, and after every cut there are answers again.
func TestRowsOverAFailingLink(t *testing.T) {
	inLinkWorld(t, 40*time.Millisecond, func(t *testing.T, w *linkWorld) {
		rng := rand.New(rand.NewPCG(31, 1))
		var mu sync.Mutex // guards the dice of the packets
		dice := rand.New(rand.NewPCG(31, 2))
		lossy := func(simnet.Packet) bool {
			mu.Lock()
			defer mu.Unlock()
			return dice.IntN(50) == 0
		}
		w.router.drop.Store(&lossy)
		l := cloudlink.NewLink(w.conf)
		defer l.Close()
		s, err := l.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: w.bundle, Width: 8, Context: 1024, Vocabulary: 100})
		if err != nil {
			t.Fatal(err)
		}
		hidden := randomRows(rng, 20, 8)
		s.Append(0, hidden)
		cuts, lost := 0, 0
		for round := range 80 {
			at, draft := len(hidden)/8, 1+rng.IntN(8)
			hidden = append(hidden, randomRows(rng, draft, 8)...)
			if err := s.Append(at, hidden[at*8:]); err != nil {
				t.Fatal(err)
			}
			if round%10 == 5 {
				cuts++
				time.AfterFunc(time.Duration(rng.IntN(60))*time.Millisecond, func() { w.router.cut.Store(true) })
				time.AfterFunc(time.Duration(2+rng.IntN(20))*time.Second, func() { w.router.cut.Store(false) })
			}
			n := min(draft+1, 1+rng.IntN(at+draft))
			got, err := s.AskRows(t.Context(), at+draft-1, n, 3)
			for errors.Is(err, cloudlink.ErrLost) {
				lost++
				time.Sleep(100 * time.Millisecond)
				got, err = s.AskRows(t.Context(), at+draft-1, n, 3)
			}
			if err != nil || len(got) != n {
				t.Fatalf("round %d: %d rows of %d, %v", round, len(got), n, err)
			}
			for i, a := range got {
				end := at + draft - n + i + 1
				best := rank.Top(fakestage.Expect(hidden[:end*8], 8, 100), 3)
				if !slices.EqualFunc(a.Candidates, best, func(c cloudlink.Candidate, r rank.Candidate) bool { return c.ID == r.ID && c.Logit == r.Logit }) {
					t.Fatalf("round %d: the row after %d positions is another's", round, end)
				}
			}
			accepted := at + rng.IntN(draft+1)
			if err := s.Truncate(accepted); err != nil {
				t.Fatal(err)
			}
			hidden = append(hidden[:accepted*8:accepted*8], randomRows(rng, 1, 8)...)
			s.Append(accepted, hidden[accepted*8:])
		}
		if lost == 0 {
			t.Error("no check was lost in", cuts, "cuts")
		}
		t.Logf("%d cuts, %d lost checks, %+v", cuts, lost, s.Stats())
	})
}
