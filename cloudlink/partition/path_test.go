package partition_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/linksim"
)

// TestPathShrinks: a path that comes to take only smaller packets, while small ones
// pass as before, does not hold up an answer for longer than a few seconds: the
// connection is given up, and the next one keeps its packets small. The sessions go
// on where they were.
func TestPathShrinks(t *testing.T) {
	t.Parallel()
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	link, err := linksim.Start(t.Context(), linksim.Spec{}, udpAddr(c.ln.Addr()), 1)
	must(t, err)
	t.Cleanup(func() { link.Close() })
	var mu sync.Mutex // guards the following
	small, otherwise := 0, 0
	lost := func() (int, int) {
		mu.Lock()
		defer mu.Unlock()
		return small, otherwise
	}
	l := newLink(t, c, func(conf *cloudlink.LinkConfig) {
		conf.Addr = link.Addr().String()
		conf.Observe = func(e cloudlink.Event) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case e.Kind != cloudlink.EventLost:
			case errors.Is(e.Err, cloudlink.ErrPath):
				small++
			default:
				otherwise++
			}
		}
	})
	s := openOn(t, l, cloudlink.SessionOptions{})
	hidden := rows(rand.New(rand.NewPCG(7, 7)), 900)
	// Where a busy machine loses the link for its own reasons, the next connection begins
	// with small packets and has nothing to find out: the path widens and shrinks again.
	for deadline := time.Now().Add(patience); ; {
		for pos := range 300 { // the connection finds out how large packets may be
			must(t, s.Append(pos, hidden[pos*width:(pos+1)*width]))
			settled(t, l, s, hidden[:(pos+1)*width])
		}
		_, before := lost()
		link.SetFaults(linksim.Faults{MTU: 1320})
		for end := 336; end <= 876; end += 36 {
			must(t, s.Append(end-36, hidden[(end-36)*width:end*width])) // 2304 bytes
			answered(t, s, hidden[:end*width])
		}
		n, after := lost()
		if st := l.Status(); n > 1 || n == 1 && !strings.Contains(st.Why, "small packets") || n == 0 && after == before {
			t.Errorf("%d connections lost for their path, %d otherwise: %+v", n, after, st)
		}
		if n > 0 || t.Failed() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("each connection was lost for another reason")
		}
		link.SetFaults(linksim.Faults{})
		must(t, s.Truncate(0))
	}
}

// answered asks for the last of some rows, also over connections that are lost, and wants the
// right answer.
func answered(t *testing.T, s *cloudlink.Session, hidden []float32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		a, err := s.Ask(ctx, len(hidden)/width-1, 1)
		switch {
		case err == nil && a.Candidates[0] == best(hidden):
			return
		case !errors.Is(err, cloudlink.ErrLost):
			t.Fatalf("after %d rows: %+v, %v", len(hidden)/width, a, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// best is the likeliest token after some rows.
func best(hidden []float32) cloudlink.Candidate {
	row := fakestage.Expect(hidden, width, vocab)
	at := 0
	for i, v := range row {
		if v > row[at] {
			at = i
		}
	}
	return cloudlink.Candidate{ID: int32(at), Logit: row[at]}
}

// TestLargestDatagram: what a path lets pass is measured without a connection, and a
// narrow path is told from one that lets nothing pass.
func TestLargestDatagram(t *testing.T) {
	t.Parallel()
	c := newCloud(t, fakestage.New(width, vocab, 1, 1024, 64))
	link, err := linksim.Start(t.Context(), linksim.Spec{}, udpAddr(c.ln.Addr()), 1)
	must(t, err)
	t.Cleanup(func() { link.Close() })
	at := link.Addr().AddrPort()
	for mtu, want := range map[int]int{0: 1452, 1500: 1452, 1420: 1392, 1280: 1252, 1227: 100} {
		link.SetFaults(linksim.Faults{MTU: mtu})
		got, err := cloudlink.LargestDatagram(t.Context(), at, 1452, 1392, 1252, 1200, 100)
		if err != nil || got != want {
			t.Errorf("at an MTU of %d: %d, %v, want %d", mtu, got, err, want)
		}
	}
	link.BlockUDP(true)
	if got, err := cloudlink.LargestDatagram(t.Context(), at, 1200, 100); err != nil || got != 0 {
		t.Errorf("without UDP: %d, %v", got, err)
	}
	if n := c.server.Stats().Accepted; n != 0 {
		t.Errorf("%d connections", n)
	}
}
