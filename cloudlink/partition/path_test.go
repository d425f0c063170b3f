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
	var mu sync.Mutex // guards lost
	var lost []error
	l := newLink(t, c, func(conf *cloudlink.LinkConfig) {
		conf.Addr = link.Addr().String()
		conf.Observe = func(e cloudlink.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == cloudlink.EventLost {
				lost = append(lost, e.Err)
			}
		}
	})
	s := openOn(t, l, cloudlink.SessionOptions{})
	hidden := rows(rand.New(rand.NewPCG(7, 7)), 900)
	for pos := range 300 { // the connection finds out how large packets may be
		must(t, s.Append(pos, hidden[pos*width:(pos+1)*width]))
		settled(t, l, s, hidden[:(pos+1)*width])
	}
	link.SetFaults(linksim.Faults{MTU: 1320})
	for end := 336; end <= 876; end += 36 {
		must(t, s.Append(end-36, hidden[(end-36)*width:end*width])) // 2304 bytes
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		for ok := false; !ok; {
			a, err := s.Ask(ctx, end-1, 1)
			if ok = err == nil; ok && a.Candidates[0] != best(hidden[:end*width]) {
				t.Fatalf("after %d rows: %+v", end, a)
			} else if !ok && !errors.Is(err, cloudlink.ErrLost) {
				t.Fatal(err)
			} else if !ok {
				time.Sleep(10 * time.Millisecond)
			}
		}
		cancel()
	}
	mu.Lock()
	defer mu.Unlock()
	// A busy machine may lose the link for its own reasons.
	small := 0
	for _, err := range lost {
		if errors.Is(err, cloudlink.ErrPath) {
			small++
		}
	}
	if st := l.Status(); small != 1 || !strings.Contains(st.Why, "small packets") {
		t.Errorf("lost %v, %+v", lost, st)
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
