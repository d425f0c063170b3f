package linksim

import (
	"errors"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"skerry/build/testleak"
)

func TestMain(m *testing.M) { testleak.Main(m) }

func TestParse(t *testing.T) {
	for in, want := range map[string]Spec{
		"rtt=50ms,rate=10mbit,loss=0.5%": {50 * time.Millisecond, 10e6, 0.005},
		"rate=512kbit":                   {0, 512e3, 0},
		" rtt=1.5s , loss=0%":            {1500 * time.Millisecond, 0, 0},
		"loss=100%,rtt=200us,rate=1gbit": {200 * time.Microsecond, 1e9, 1},
	} {
		if got, err := Parse(in); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"":                    "has no value",
		"rtt":                 "has no value",
		"rtt=50":              "needs a number in us, ms, s",
		"rtt=-5ms":            "needs a number",
		"rtt=2h":              "needs a number",
		"rtt=61s":             "over 60s",
		"rtt=1ms,rtt=2ms":     "given twice",
		"rate=10":             "kbit, mbit, gbit",
		"rate=0mbit":          "not between",
		"rate=NaNmbit":        "needs a number",
		"loss=101%":           "over 100%",
		"loss=0.1":            "needs a number in %",
		"jitter=5ms":          `unknown key "jitter"`,
		"rtt=50ms;rate=1mbit": "needs a number",
	} {
		_, err := Parse(in)
		if !errors.Is(err, ErrSpec) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want an error with %q", in, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("rtt=50ms,rate=10mbit,loss=0.5%")
	f.Add("rtt=1e-3s")
	f.Add("rate=0x1p4gbit")
	f.Fuzz(func(t *testing.T, in string) {
		s, err := Parse(in)
		if err != nil {
			return
		}
		if s.RTT < 0 || s.RTT > time.Minute || s.Loss < 0 || s.Loss > 1 || s.Rate < 0 || s.Rate > 1e12 {
			t.Fatalf("%q gave %+v", in, s)
		}
		again, err := Parse(s.String())
		if err != nil || again.RTT-s.RTT > 1 || s.RTT-again.RTT > 1 ||
			math.Abs(again.Rate-s.Rate) > 1e-9*s.Rate || math.Abs(again.Loss-s.Loss) > 1e-9*s.Loss {
			t.Fatalf("%q is %s is %+v, %v", in, s, again, err)
		}
	})
}

func TestShaper(t *testing.T) {
	now := time.Unix(0, 0)
	s := newShaper(Spec{RTT: 100 * time.Millisecond, Rate: 8e6}, 1, 0) // 1 byte/us
	for i := range 3 {
		at, ok := s.admit(now, 1000)
		if want := now.Add(50*time.Millisecond + time.Duration(i+1)*time.Millisecond); !ok || !at.Equal(want) {
			t.Fatalf("packet %d at %v, %v, want %v", i, at, ok, want)
		}
	}
	sent := 3
	for ; ; sent++ {
		if _, ok := s.admit(now, 1000); !ok {
			break
		}
	}
	if sent < 100 || sent > 102 { // 100 ms of queue at 1 ms each
		t.Fatalf("the queue held %d packets", sent)
	}
	if _, ok := s.admit(now.Add(time.Second), 1000); !ok {
		t.Fatal("a drained queue dropped")
	}
}

func TestShaperLosesBySeed(t *testing.T) {
	lost := func(seed uint64) (n int, pattern string) {
		s := newShaper(Spec{Loss: 0.1}, seed, 0)
		for range 10000 {
			if _, ok := s.admit(time.Time{}, 1); !ok {
				n++
				pattern += "x"
			} else {
				pattern += "."
			}
		}
		return n, pattern
	}
	n, p1 := lost(1)
	_, p2 := lost(1)
	_, p3 := lost(2)
	if n < 900 || n > 1100 || p1 != p2 || p1 == p3 {
		t.Fatalf("lost %d of 10000; repeatable %v; other seed differs %v", n, p1 == p2, p1 != p3)
	}
}

// TestForwards sends both ways in order, and nothing while cut.
func TestForwards(t *testing.T) {
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	link, err := Start(t.Context(), Spec{RTT: 2 * time.Millisecond}, server.LocalAddr().(*net.UDPAddr), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	client, err := net.DialUDP("udp", nil, link.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	start := time.Now()
	buf := make([]byte, 10)
	for i := range byte(5) {
		client.Write([]byte{i})
	}
	for i := range byte(5) {
		n, from, err := server.ReadFromUDP(buf)
		if err != nil || n != 1 || buf[0] != i {
			t.Fatalf("packet %d: %v, %v", i, buf[:n], err)
		}
		server.WriteToUDP(buf[:n], from)
		if n, err := client.Read(buf); err != nil || n != 1 || buf[0] != i {
			t.Fatalf("answer %d: %v, %v", i, buf[:n], err)
		}
	}
	if d := time.Since(start); d < 2*time.Millisecond {
		t.Fatalf("a round trip took %v", d)
	}
	link.Down(true)
	client.Write([]byte{9})
	await(t, func() bool { return link.Up().Dropped == 1 })
	client.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := client.Read(buf); err == nil {
		t.Fatal("a cut link delivered")
	}
	if up, back := link.Up(), link.Back(); up.Bytes != 5 || back.Packets != 5 {
		t.Fatalf("up %+v, back %+v", up, back)
	}
}
