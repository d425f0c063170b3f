package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skerry/appliance/conversation"
	"skerry/cloudlink"
	"skerry/cloudlink/linksim"
	"skerry/cloudlink/trust"
)

// BenchmarkFleetMoves measures, with two real workers, a real etcd and the default model, how
// long the next token takes when the worker is killed (SIGKILL) or drained (skerry cloud drain)
// that has the board: with a short text, and with a context of 1,000 tokens, which the other
// worker has to compute again. A token of before stands beside it, which is not moved. Round
// trips are those of the link. Run it with -benchtime 3x.
func BenchmarkFleetMoves(b *testing.B) {
	long := strings.Repeat("The keeper climbs the stairs and lights the lamp. ", 95)
	for _, rtt := range []time.Duration{10 * time.Millisecond, 200 * time.Millisecond} {
		for _, how := range []string{"drain", "kill"} {
			for _, c := range []struct{ name, prompt string }{{"short", "The sea"}, {"1000", long}} {
				b.Run(fmt.Sprintf("rtt=%v/%s/%s", rtt, how, c.name), func(b *testing.B) { moves(b, rtt, how, c.prompt) })
			}
		}
	}
}

func moves(b *testing.B, rtt time.Duration, how, prompt string) {
	r := newFleetRig(b, 2, linksim.Spec{RTT: rtt, Rate: 50e6}, bundleDir(b))
	board := follow(b, "run", "--events", "--state", r.board, "--bundle", r.bundle, "--threads", "1", "--context", "2048",
		"--threshold", "1.1", "--on-loss", "wait", "--ignore-end", "--raw", "--max-tokens", "900", prompt)
	tokens := tokensOf(board)
	begun := time.Now()
	<-tokens
	first := time.Since(begun)
	var moved []time.Duration
	var each []time.Duration // tokens that were not moved
	for b.Loop() {
		for len(tokens) > 0 {
			<-tokens // said while the worker before was started again
		}
		<-tokens
		last := time.Now()
		for range 8 {
			if _, ok := <-tokens; !ok {
				b.Fatal("the answer has ended")
			}
			each = append(each, time.Since(last))
			last = time.Now()
		}
		w := r.owner(r.board)
		for len(tokens) > 0 {
			<-tokens
		}
		gone := time.Now()
		drained := make(chan struct{})
		if how == "drain" {
			go func() {
				defer close(drained)
				expect(b, 0, "cloud", "drain", "--state", w.state)
			}()
			for !strings.Contains(w.stderr.String(), `"msg":"draining`) && !w.ended() {
				time.Sleep(2 * time.Millisecond)
			}
			gone = time.Now()
		} else {
			close(drained)
			w.signal(b, unix.SIGKILL)
		}
		// Tokens of before may be under way still: the longest pause is the move.
		longest, last := time.Duration(0), gone
		for range 6 {
			if _, ok := <-tokens; !ok {
				b.Fatal("the answer has ended")
			}
			longest = max(longest, time.Since(last))
			last = time.Now()
		}
		moved = append(moved, longest)
		<-drained
		w.wait(b)
		r.start(w)
	}
	slices.Sort(moved)
	slices.Sort(each)
	median := func(all []time.Duration) float64 { return float64(all[len(all)/2].Microseconds()) / 1000 }
	b.ReportMetric(median(moved), "ms/move")
	b.ReportMetric(median(each), "ms/token")
	b.ReportMetric((median(moved)-median(each))/(float64(rtt.Microseconds())/1000), "round-trips-more")
	b.ReportMetric(float64(first.Milliseconds()), "ms/first-token")
}

// tokensOf sends a token's index as the board says it.
func tokensOf(board *follower) <-chan int {
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

// BenchmarkFleetRevoked measures how long it takes, from the start of skerry cloud revoke at one
// of three workers, until every worker refuses the board, and its connection has ended; and how
// long after the first of them the last does, which is without the start of a process. An
// iteration is one board.
func BenchmarkFleetRevoked(b *testing.B) {
	r := newFleetRig(b, 3, linksim.Spec{}, bundleDir(b))
	var all, after, closed []time.Duration
	for n := 0; b.Loop(); n++ {
		name, state := fmt.Sprintf("board-%d", n), b.TempDir()
		r.enroll(name, r.workers[n%3], state)
		id, err := trust.LoadCredentials(trust.Options{State: state, Dial: cloudlink.DialEnrolment, Software: "test"})
		if err != nil {
			b.Fatal(err)
		}
		epoch := &counter{}
		client := visit(b, r.workers[(n+1)%3].addr, id.TLS(), epoch)
		for _, w := range r.workers { // it is known to all
			visit(b, w.addr, id.TLS(), epoch).Close()
		}
		began := time.Now()
		revoked := make(chan struct{})
		go func() {
			defer close(revoked)
			expect(b, 0, "cloud", "revoke", name, "--state", r.workers[(n+2)%3].state)
		}()
		var wg sync.WaitGroup
		took := make([]time.Duration, len(r.workers))
		for i, w := range r.workers {
			wg.Go(func() {
				for !errors.Is(refusal(w.addr, id.TLS(), epoch), cloudlink.ErrRevoked) {
				}
				took[i] = time.Since(began)
			})
		}
		wg.Go(func() {
			<-client.Done()
			closed = append(closed, time.Since(began))
		})
		wg.Wait()
		<-revoked
		all, after = append(all, slices.Max(took)), append(after, slices.Max(took)-slices.Min(took))
		b.Logf("%s: refused after %v, its connection ended after %v; the command took all of %v", name, took, closed[n], time.Since(began))
	}
	b.ReportMetric(slices.Max(all).Seconds(), "s-until-all-refuse")
	b.ReportMetric(slices.Max(after).Seconds(), "s-from-first-to-last")
	b.ReportMetric(slices.Max(closed).Seconds(), "s-until-closed")
}

// counter numbers the connections of a board.
type counter struct {
	mu sync.Mutex
	n  uint64
}

func (c *counter) next() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n
}

func visit(b testing.TB, addr string, conf *tls.Config, epoch *counter) *cloudlink.Client {
	b.Helper()
	for deadline := time.Now().Add(patience); ; {
		ctx, cancel := context.WithTimeout(b.Context(), patience)
		c, err := cloudlink.Dial(ctx, cloudlink.Config{Addr: addr, TLS: conf, Epoch: epoch.next()})
		if err == nil {
			if _, err = c.AwaitWelcome(ctx); err == nil {
				cancel()
				b.Cleanup(func() { c.Close() })
				return c
			}
			c.Close()
		}
		cancel()
		if time.Now().After(deadline) {
			b.Fatalf("the worker at %s does not let a board in that is enrolled: %v", addr, err)
		}
	}
}

// refusal is why a worker does not let a board in, nil where it does.
func refusal(addr string, conf *tls.Config, epoch *counter) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := cloudlink.Dial(ctx, cloudlink.Config{Addr: addr, TLS: conf, Epoch: epoch.next()})
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.AwaitWelcome(ctx)
	return err
}

// BenchmarkFleetCost compares one worker of a fleet with one that knows of no others, which take
// turns: processor time and wall time of a token, with the default model on one thread. The
// processor time is all of the worker's process while it answers; etcd's is not in it. An
// iteration is an answer of 128 tokens by each.
func BenchmarkFleetCost(b *testing.B) {
	const tokens = 128
	r := newFleetRig(b, 1, linksim.Spec{}, bundleDir(b))
	alone := newFleetRig(b, 0, linksim.Spec{}, bundleDir(b))
	alone.add(linksim.Spec{})
	alone.enroll("board", alone.workers[0], alone.board)
	var cpu, wall [2][]float64
	for b.Loop() {
		for i, rig := range []*fleetRig{r, alone} {
			w := rig.workers[0]
			before, began := cpuTime(b, w.cmd.Process.Pid), time.Now()
			expect(b, 0, "run", "--json", "--state", rig.board, "--bundle", rig.bundle, "--threads", "1", "--context", "512", "--threshold", "1.1",
				"--on-loss", "wait", "--ignore-end", "--raw", "--max-tokens", strconv.Itoa(tokens), "The sea")
			wall[i] = append(wall[i], time.Since(began).Seconds()*1000/tokens)
			cpu[i] = append(cpu[i], (cpuTime(b, w.cmd.Process.Pid)-before).Seconds()*1000/tokens)
		}
	}
	median := func(all []float64) float64 {
		slices.Sort(all)
		return all[len(all)/2]
	}
	b.ReportMetric(median(cpu[0]), "cpu-ms/token-of-fleet")
	b.ReportMetric(median(cpu[1]), "cpu-ms/token-alone")
	b.ReportMetric(median(cpu[0])/median(cpu[1]), "cpu-over-alone")
	b.ReportMetric(median(wall[0])/median(wall[1]), "time-over-alone")
}
