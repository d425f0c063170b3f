package httpd

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"skerry/build/testseed"
)

// malformed is a request as no client should make it.
func malformed(r *rand.Rand) []byte {
	noise := func(n int) string {
		b := make([]byte, r.IntN(n)+1)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return string(b)
	}
	const head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
	all := []string{
		noise(3000),
		"GET",
		"GET / HTTP/9.9\r\n\r\n",
		noise(20) + " / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /" + strings.Repeat("a", r.IntN(20_000)) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /%zz" + noise(10) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET / HTTP/1.1\r\n" + noise(50) + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\nX:" + strings.Repeat("y", r.IntN(100_000)) + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("a: b\r\n", r.IntN(5000)) + "\r\n",
		head + "Content-Length: -1\r\n\r\n",
		head + "Content-Length: 99999999999999999999\r\n\r\n",
		head + "Content-Length: 900000000\r\n\r\n" + noise(100),
		head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
		head + "Content-Length: 100\r\n\r\n{\"model\":",
		head + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\nGET /",
		head + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n" + noise(100),
		head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		head + "Transfer-Encoding: gzip\r\n\r\n" + noise(100),
		head + "Expect: 200-maybe\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + noise(100),
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise(300),
		"\r\n\r\n\r\n\r\n",
		"GET / HTTP/1.1\nHost: localhost\n\n",
		"CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
		strings.Repeat("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 50),
		"\x00",
	}
	return []byte(all[r.IntN(len(all))])
}

// attack makes one malformed request and reads what comes for a moment.
func attack(addr string, r *rand.Rand) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.(*net.TCPConn).SetLinger(0) // a reset: 10,000 of them leave no ports behind
	c.Write(malformed(r))         // it may be refused in the middle of it
	if r.IntN(2) == 0 {
		c.(*net.TCPConn).CloseWrite()
	}
	if r.IntN(2) == 0 { // the others leave at once
		c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		io.Copy(io.Discard, c)
	}
	return nil
}

// dribble opens more connections than there may be and sends a byte of a header on
// each now and then, opening anew those that were closed.
func dribble(ctx context.Context, addr string, n int) (opened int) {
	conns := make([]net.Conn, n)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i = (i + 1) % n {
		select {
		case <-ctx.Done():
			return opened
		case <-tick.C:
		}
		if c := conns[i]; c != nil {
			if _, err := c.Write([]byte("a")); err == nil {
				continue
			}
			c.Close()
			conns[i] = nil
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			continue
		}
		opened++
		conns[i] = c
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
	}
}

// memory that is in use once garbage is collected.
func memory() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// 10,000 malformed requests and a crowd of slow clients, from the very address that
// honest clients have, disturb nobody and leave nothing behind.
func TestFlood(t *testing.T) {
	const limit = 128
	attacks := 10_000
	if testing.Short() {
		attacks = 2000
	}
	seed := testseed.Of(t)
	s := start(t, Options{Connections: limit, HeaderTimeout: time.Minute, Policy: Policy{Body: 1 << 20, BodyTimeout: time.Minute}}, whoami)
	addr := s.Addrs()[0].String()
	var honest, cut atomic.Int64
	payload := strings.Repeat("x", 100_000)
	crowd := func() (leave func()) {
		ctx, cancel := context.WithCancel(context.Background())
		var others sync.WaitGroup
		others.Go(func() {
			if n := dribble(ctx, addr, 2*limit); n < 2*limit {
				t.Logf("only %d slow connections were made", n)
			}
		})
		for range 3 {
			others.Go(func() {
				tr := &http.Transport{DisableKeepAlives: true}
				for ctx.Err() == nil {
					r, _ := http.NewRequest("POST", s.url("/v1/chat/completions"), strings.NewReader(payload))
					resp, err := tr.RoundTrip(r)
					if err != nil { // it said nothing while 128 others came, on a busy machine
						cut.Add(1)
						continue
					}
					text, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err != nil || string(text) != "loopback local 100000" {
						t.Errorf("an honest request got %s %q %v", resp.Status, text, err)
						return
					}
					honest.Add(1)
				}
			})
		}
		return func() { cancel(); others.Wait() }
	}
	flood := func(n int) {
		before := honest.Load()
		leave := crowd()
		defer leave()
		var left atomic.Int64
		left.Store(int64(n))
		var wg sync.WaitGroup
		for w := range uint64(16) {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(n)+w))
				for left.Add(-1) >= 0 {
					if err := attack(addr, r); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		await(t, "20 honest requests that are answered beside slow clients", func() bool { return t.Failed() || honest.Load() >= before+20 })
	}
	// Memory is compared where nobody is connected: what connections hold depends on how
	// many there are at the moment.
	gone := func() bool {
		for _, l := range s.listeners {
			l.gate.mu.Lock()
			n := len(l.gate.conns)
			l.gate.mu.Unlock()
			if n > 0 {
				return false
			}
		}
		return stacks("net/http.(*conn).serve") == 0
	}
	flood(attacks / 10)
	await(t, "an end to the connections of those who left", gone)
	before := memory()
	flood(attacks - attacks/10)
	await(t, "an end to the connections of those who left", gone)
	after := memory()
	const slack = 8 << 20 // what pools and the runtime happen to keep
	if after > before+slack {
		t.Errorf("memory went from %d to %d bytes", before, after)
	}
	t.Logf("%d honest requests beside %d malformed, and %d cut; %d KiB before, %d after", honest.Load(), attacks, cut.Load(), before>>10, after>>10)
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// await looks again every few milliseconds, with no claim about time.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(2 * time.Minute); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// stacks counts the goroutines in whose stacks a function is.
func stacks(function string) int {
	buf := make([]byte, 4<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), function+"(")
}
