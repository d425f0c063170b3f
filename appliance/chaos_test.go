package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"skerry/cloudlink/linksim"
)

var (
	chaosFaults = flag.Int("faults", 0, "faults of the chaos test; 0: 100, or 10 with -short")
	chaosCut    = flag.Duration("longest-cut", 3*time.Second, "the longest cut of the chaos test")
	chaosSeed   = flag.Uint64("chaos-seed", 0, "seed of the chaos test; 0: another each time")
	chaosOut    = flag.String("chaos-out", "", "file for the chaos test's verdict")
)

// TestChaos kills boards and clouds and cuts the link between them while answers
// are decoded, and holds what the boards journal and say against the unsplit
// model's text: with a threshold nobody reaches and a board that waits for its
// cloud, no token may be lost, doubled or changed.
func TestChaos(t *testing.T) {
	seed := *chaosSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	faults := *chaosFaults
	if faults == 0 {
		faults = 100
		if testing.Short() {
			faults = 10
		}
	}
	t.Logf("seed %d", seed)
	c := newChaos(t, seed)
	for c.done < faults {
		c.session(faults)
	}
	verdict := fmt.Sprintf("faults=%d lost=%d doubled=%d changed=%d", c.done, c.lost, c.doubled, c.changed)
	t.Logf("%v\n%s", c.counts, verdict)
	if *chaosOut != "" {
		if err := os.WriteFile(*chaosOut, []byte(verdict+"\n"), 0o644); err != nil {
			t.Error(err)
		}
	}
	if c.lost+c.doubled+c.changed > 0 {
		t.Errorf("seed %d: %s", seed, verdict)
	}
}

// chaosTokens is the length of each answer.
const chaosTokens = 160

// chaos is a cloud, an emulated link and one board after another.
type chaos struct {
	t                      *testing.T
	rng                    *rand.Rand
	bundle                 string
	cloudState, boardState string
	addr                   string // of the cloud, the same over its lives
	link                   *linksim.Link
	cloud                  *process
	board                  *follower
	name                   string  // of the session
	want                   []int32 // the unsplit model's answer
	args                   []string

	done                   int
	counts                 map[string]int
	lost, doubled, changed int
}

func newChaos(t *testing.T, seed uint64) *chaos {
	c := &chaos{
		t: t, rng: rand.New(rand.NewPCG(seed, 4)), bundle: tinyBundle(t), counts: map[string]int{},
		cloudState: t.TempDir(), boardState: t.TempDir(),
	}
	expect(t, 0, "cloud", "init", "--state", c.cloudState, "--name", "127.0.0.1")
	c.addr = freePort(t)
	c.startCloud()
	code, _ := expect(t, 0, "cloud", "invite", "--state", c.cloudState, "--name", "chaos", "--may", "hidden")
	expect(t, 0, "enroll", strings.TrimSpace(code), "--cloud", c.addr, "--state", c.boardState)
	target, err := net.ResolveUDPAddr("udp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	if c.link, err = linksim.Start(context.Background(), chaosLink, target, seed); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.link.Close() })
	return c
}

// chaosLink is the link where nothing is broken.
var chaosLink = linksim.Spec{RTT: 20 * time.Millisecond, Rate: 20e6}

// freePort is a loopback address that nothing listens on.
func freePort(t testing.TB) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().String()
}

func (c *chaos) startCloud() {
	c.t.Helper()
	c.cloud = start(c.t, "cloud", "--json", "--listen", c.addr, "--bundle", c.bundle, "--state", c.cloudState,
		"--threads", "1", "--sessions", "4", "--context", "1024")
	c.cloud.await(c.t, &c.cloud.stdout, "address", func(s string) bool { return len(s) > 0 })
}

func (c *chaos) startBoard() {
	c.t.Helper()
	args := append([]string{"run", "--events", "--session", c.name, "--state", c.boardState, "--cloud", c.link.Addr().String()}, c.args...)
	c.board = follow(c.t, args...)
}

// session has one answer decoded, with faults until it is whole or they have all
// been made.
func (c *chaos) session(faults int) {
	c.t.Helper()
	n := len(c.counts) + c.done
	c.name = fmt.Sprintf("chaos-%d", n)
	durability := []string{"strict", "auto"}[c.rng.IntN(2)]
	prompt := fmt.Sprintf("Session %d of %d", n, c.rng.IntN(1000))
	common := []string{"--bundle", c.bundle, "--threads", "1", "--context", "1024", "--ignore-end", "--raw", "--temperature", "1", "--seed", fmt.Sprint(n), "--max-tokens", fmt.Sprint(chaosTokens), prompt}
	c.want = c.oracle(common)
	c.args = append([]string{"--threshold", "1.1", "--on-loss", "wait", "--durability", durability}, common...)
	check := newLedger(c, durability == "strict")
	c.startBoard()
	for whole := false; !whole; {
		pause := time.Duration(50+c.rng.IntN(400)) * time.Millisecond
		whole = c.board.readFor(pause, check)
		if whole || c.done >= faults {
			continue
		}
		f := chaosFaultList[c.rng.IntN(len(chaosFaultList))]
		if f.loses && durability == "strict" {
			continue // what was synced is not lost to a power cut
		}
		f.make(c)
		c.done++
		c.counts[f.name]++
		if c.done%50 == 0 {
			c.t.Logf("%d faults so far, lost=%d doubled=%d changed=%d", c.done, c.lost, c.doubled, c.changed)
		}
	}
	if code := c.board.wait(c.t); code != 0 {
		c.t.Errorf("seeded run ends with code %d: %s", code, c.board.stderr.String())
	}
	check.end()
}

// oracle is the answer of the whole model.
func (c *chaos) oracle(args []string) []int32 {
	c.t.Helper()
	out, _ := expect(c.t, 0, append([]string{"run", "--json", "--mode", "unsplit"}, args...)...)
	return parseReport(c.t, out).ids()
}
