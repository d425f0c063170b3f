package main

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skerry/appliance/conversation"
	"skerry/appliance/node/nodetest"
	"skerry/cloudlink/linksim"
)

// BenchmarkResume measures, over real processes and sockets and the default
// model, how long the next token takes once a link is back after a cut of two
// seconds, and once the cloud is back that was killed with a context of 1000 tokens,
// without and with contexts in files. Run it with -benchtime 5x; round trips are of
// 40 ms.
func BenchmarkResume(b *testing.B) {
	prompt := strings.Repeat("The keeper climbs the stairs and lights the lamp. ", 95)
	lost := 0.0
	for _, c := range []struct {
		name   string
		prompt string
		disk   string
		breaks func(b *testing.B, r *resumeRig)
	}{
		{"cut", "The sea", "0", func(b *testing.B, r *resumeRig) {
			r.link.Down(true)
			time.Sleep(2 * time.Second)
			r.link.Down(false)
		}},
		{"context lost", prompt, "0", killCloud},
		{"context kept", prompt, "512", killCloud},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := newResumeRig(b, c.disk)
			board := follow(b, "run", "--events", "--state", r.state, "--cloud", r.link.Addr().String(), "--bundle", bundleDir(b),
				"--threads", "1", "--context", "2048", "--threshold", "1.1", "--on-loss", "wait", "--ignore-end", "--raw", "--max-tokens", "800", c.prompt)
			tokens := r.tokens(b, board)
			<-tokens
			var total time.Duration
			for b.Loop() {
				for range 8 {
					<-tokens
				}
				c.breaks(b, r)
				for len(tokens) > 0 {
					<-tokens
				}
				back := time.Now()
				<-tokens
				total += time.Since(back)
			}
			each := float64(total.Milliseconds()) / float64(b.N)
			b.ReportMetric(each, "ms/resume")
			switch c.name {
			case "context lost":
				lost = each
			case "context kept":
				b.ReportMetric(each/lost, "of-lost")
			}
		})
	}
}

type resumeRig struct {
	state, addr string
	disk        string // what the cloud is given for files
	cloud       *process
	link        *linksim.Link
}

func newResumeRig(b *testing.B, disk string) *resumeRig {
	r := &resumeRig{state: b.TempDir(), addr: nodetest.FreePort(b), disk: disk}
	r.startCloud(b)
	target, err := net.ResolveUDPAddr("udp", r.addr)
	if err != nil {
		b.Fatal(err)
	}
	if r.link, err = linksim.Start(context.Background(), linksim.Spec{RTT: 40 * time.Millisecond, Rate: 50e6}, target, 1); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.link.Close() })
	return r
}

func killCloud(b *testing.B, r *resumeRig) {
	r.cloud.signal(b, unix.SIGKILL)
	r.cloud.wait(b)
	r.startCloud(b)
}

func (r *resumeRig) startCloud(b *testing.B) {
	r.cloud = start(b, "cloud", "--json", "--listen", r.addr, "--bundle", bundleDir(b), "--state", r.state, "--threads", "1", "--sessions", "1", "--context", "2048", "--disk", r.disk)
	r.cloud.await(b, &r.cloud.stdout, "address", func(s string) bool { return len(s) > 0 })
}

// tokens sends a token's index as the board says it.
func (r *resumeRig) tokens(b *testing.B, board *follower) <-chan int {
	out := make(chan int, 4096)
	go func() {
		defer close(out)
		for line := range board.lines {
			var e conversation.Event
			if json.Unmarshal(line, &e) == nil && e.Event == "token" {
				out <- e.Index
			}
		}
	}()
	return out
}
