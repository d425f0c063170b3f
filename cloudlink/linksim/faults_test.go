package linksim

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"
)

// patience is a safety net for a busy machine, not a claim.
const patience = 2 * time.Minute

// await looks again and again, with no claim about time.
func await(t *testing.T, f func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !f(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it never came about")
		}
	}
}

// udpLink starts a link to a fresh server and a client of it.
func udpLink(t *testing.T, spec Spec, seed uint64) (link *Link, server, client *net.UDPConn) {
	t.Helper()
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if link, err = Start(t.Context(), spec, server.LocalAddr().(*net.UDPAddr), seed); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close() })
	if client, err = net.DialUDP("udp", nil, link.Addr()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return link, server, client
}

func sendNumber(c io.Writer, n int) { c.Write(binary.LittleEndian.AppendUint32(nil, uint32(n))) }

// numbers reads n datagrams of sendNumber.
func numbers(t *testing.T, c *net.UDPConn, n int) (got []int) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 16)
	for range n {
		if _, _, err := c.ReadFromUDP(buf); err != nil {
			t.Fatalf("after %v: %v", got, err)
		}
		got = append(got, int(binary.LittleEndian.Uint32(buf)))
	}
	return got
}

func TestDuplicates(t *testing.T) {
	link, server, client := udpLink(t, Spec{}, 3)
	link.SetFaults(Faults{Duplicate: 1})
	for i := range 20 {
		sendNumber(client, i)
	}
	got := numbers(t, server, 40)
	slices.Sort(got)
	for i := range 20 {
		if got[2*i] != i || got[2*i+1] != i {
			t.Fatalf("%v", got)
		}
	}
	link.SetFaults(Faults{})
	sendNumber(client, 99)
	sendNumber(client, 100)
	if got := numbers(t, server, 2); got[0] != 99 || got[1] != 100 {
		t.Fatalf("after the fault: %v", got)
	}
	if c := link.Up(); c.Duplicated != 20 || c.Packets != 42 {
		t.Fatalf("%+v", c)
	}
}

// TestReorders: those that are late arrive after all others, since these are
// sent before the late ones are due; nothing is missing.
func TestReorders(t *testing.T) {
	link, server, client := udpLink(t, Spec{}, 4)
	link.SetFaults(Faults{Reorder: 1, Late: time.Second})
	sendNumber(client, 0)
	await(t, func() bool { return link.Up().Reordered > 0 })
	link.SetFaults(Faults{})
	sendNumber(client, 1)
	got := numbers(t, server, 2)
	slices.Sort(got)
	if !slices.Equal(got, []int{0, 1}) {
		t.Fatalf("%v", got)
	}
}

// TestReordersInOrderOfArrival drives a direction without sockets.
func TestReordersInOrderOfArrival(t *testing.T) {
	d := newDirection(Spec{}, 5, 0)
	d.faults = Faults{Reorder: 0.5, Late: 1}
	base := time.Now().Add(-time.Hour) // all of them are due
	rng := rand.New(rand.NewPCG(5, 2))
	var early, late []byte
	for i := range byte(100) {
		d.mu.Lock()
		l, twice := d.faults.draw(rng)
		d.push(packet{data: []byte{i}, at: base.Add(l)})
		d.mu.Unlock()
		if twice {
			t.Fatal("twice")
		}
		if l > 0 {
			late = append(late, i)
		} else {
			early = append(early, i)
		}
	}
	if len(late) < 20 || len(early) < 20 {
		t.Fatalf("%d late, %d early", len(late), len(early))
	}
	var got []byte
	for range 100 {
		p, wait := d.next()
		if wait != 0 {
			t.Fatalf("%d packets, then a wait of %v", len(got), wait)
		}
		got = append(got, p.data...)
	}
	if !bytes.Equal(got, append(early, late...)) {
		t.Fatalf("%v, want %v then %v", got, early, late)
	}
}

func TestFaultsBySeed(t *testing.T) {
	pattern := func(seed uint64) (p []bool) {
		d := newDirection(Spec{}, seed, 0)
		for range 1000 {
			late, twice := Faults{Duplicate: 0.1, Reorder: 0.2, Late: 1}.draw(d.rng)
			p = append(p, late > 0, twice)
		}
		return p
	}
	a, b, c := pattern(1), pattern(1), pattern(2)
	if !slices.Equal(a, b) || slices.Equal(a, c) {
		t.Fatal("the faults do not go by the seed")
	}
	late, twice := 0, 0
	for i := 0; i < len(a); i += 2 {
		if a[i] {
			late++
		}
		if a[i+1] {
			twice++
		}
	}
	if late < 150 || late > 250 || twice < 60 || twice > 140 {
		t.Fatalf("of 1000: %d late, %d twice", late, twice)
	}
}

func TestBlackholeOneWay(t *testing.T) {
	link, server, client := udpLink(t, Spec{}, 6)
	sendNumber(client, 1)
	buf := make([]byte, 16)
	server.SetReadDeadline(time.Now().Add(patience))
	_, from, err := server.ReadFromUDP(buf)
	if err != nil {
		t.Fatal(err)
	}
	link.Blackhole(false, true)
	server.WriteToUDP(buf[:4], from)
	sendNumber(client, 2)
	if got := numbers(t, server, 1); got[0] != 2 {
		t.Fatalf("up: %v", got)
	}
	await(t, func() bool { return link.Back().Dropped > 0 })
	link.Blackhole(true, false)
	sendNumber(client, 3)
	await(t, func() bool { return link.Up().Dropped > 0 })
	server.WriteToUDP([]byte{7, 0, 0, 0}, from)
	if got := numbers(t, client, 1); got[0] != 7 {
		t.Fatalf("back: %v", got)
	}
	link.Blackhole(false, false)
	link.BlockUDP(true)
	sendNumber(client, 4)
	await(t, func() bool { return link.Up().Dropped > 1 })
	link.BlockUDP(false)
	sendNumber(client, 5)
	if got := numbers(t, server, 1); got[0] != 5 {
		t.Fatalf("mended: %v", got)
	}
}

func TestRebind(t *testing.T) {
	link, server, client := udpLink(t, Spec{}, 7)
	buf := make([]byte, 16)
	before := "" // an earlier port may be given again once it is free
	server.SetReadDeadline(time.Now().Add(patience))
	client.SetReadDeadline(time.Now().Add(patience))
	for i := range byte(5) {
		client.Write([]byte{i})
		n, from, err := server.ReadFromUDP(buf)
		if err != nil || n != 1 || buf[0] != i || before == from.String() {
			t.Fatalf("packet %d from %v: %v, %v", i, from, buf[:n], err)
		}
		before = from.String()
		server.WriteToUDP([]byte{i}, from)
		if n, err := client.Read(buf); err != nil || n != 1 || buf[0] != i {
			t.Fatalf("answer %d: %v, %v", i, buf[:n], err)
		}
		if err := link.Rebind(); err != nil {
			t.Fatal(err)
		}
		server.WriteToUDP([]byte{99}, from) // to the port that is gone
	}
}

func TestSetSpec(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newShaper(Spec{RTT: 100 * time.Millisecond, Rate: 8e3}, 1, 0) // 1 byte/ms
	for range 100 {
		s.admit(now, 1000)
	}
	s.set(Spec{RTT: 20 * time.Millisecond, Rate: 8e6}, now)
	at, ok := s.admit(now, 1000)
	if wait := at.Sub(now); !ok || wait < 11*time.Millisecond || wait > 200*time.Millisecond {
		t.Fatalf("after a slow link a fast one took %v, %v", wait, ok)
	}
	s.set(Spec{Loss: 1}, now)
	if _, ok := s.admit(now, 1); ok {
		t.Fatal("a link that loses everything did not")
	}
	link, server, client := udpLink(t, Spec{}, 8)
	link.SetSpec(Spec{Loss: 1})
	sendNumber(client, 1)
	await(t, func() bool { return link.Up().Dropped > 0 })
	link.SetSpec(Spec{RTT: 60 * time.Millisecond})
	start := time.Now()
	sendNumber(client, 2)
	if got := numbers(t, server, 1); got[0] != 2 || time.Since(start) < 30*time.Millisecond {
		t.Fatalf("%v after %v", got, time.Since(start))
	}
}

func TestRecordAndReplay(t *testing.T) {
	link, server, client := udpLink(t, Spec{}, 9)
	rec := link.Record()
	for i := range 3 {
		sendNumber(client, i)
	}
	numbers(t, server, 2)
	buf := make([]byte, 16)
	_, from, err := server.ReadFromUDP(buf)
	if err != nil {
		t.Fatal(err)
	}
	server.WriteToUDP([]byte{9, 0, 0, 0}, from)
	numbers(t, client, 1)
	sendNumber(client, 3)
	numbers(t, server, 1)
	who := rec.Clients()
	if len(who) != 1 || who[0].String() != client.LocalAddr().String() {
		t.Fatalf("recorded %v", who)
	}
	first := rec.FirstFlight(who[0])
	if len(first) != 3 || len(rec.Sent(who[0])) != 4 || first[2][0] != 2 {
		t.Fatalf("first flight %v of %v", first, rec.Sent(who[0]))
	}
	rec.Stop()
	sendNumber(client, 4)
	numbers(t, server, 1)
	if len(rec.Sent(who[0])) != 4 {
		t.Fatal("recorded after Stop")
	}
	again, err := link.Replay(first)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for i := range 3 {
		_, other, err := server.ReadFromUDP(buf)
		if err != nil || int(buf[0]) != i || other.Port == from.Port {
			t.Fatalf("replayed %v from %v, %v", buf[:4], other, err)
		}
		server.WriteToUDP(buf[:4], other)
	}
	if got := numbers(t, again, 3); !slices.Equal(got, []int{0, 1, 2}) {
		t.Fatalf("answers to the replay: %v", got)
	}
}
