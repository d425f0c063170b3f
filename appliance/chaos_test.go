package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/node/nodetest"
	"skerry/build/testseed"
	"skerry/cloudlink/linksim"
)

var (
	chaosFaults = flag.Int("faults", 0, "faults of the chaos test; 0: 100, or 10 with -short")
	chaosCut    = flag.Duration("longest-cut", 3*time.Second, "the longest cut of the chaos test")
	chaosOut    = flag.String("chaos-out", "", "file for the chaos test's verdict")
)

// TestChaos kills boards and clouds and cuts the link between them while answers
// are decoded, and holds what the boards journal and say against the unsplit
// model's text: in modes verified and cloud-led or with a threshold nobody reaches, and a board that waits
// for its cloud or has the whole model on it go on meanwhile, which changes the mode in the
// middle of an answer, no token may be lost, doubled or changed.
func TestChaos(t *testing.T) {
	faults := *chaosFaults
	if faults == 0 {
		faults = 100
		if testing.Short() {
			faults = 10
		}
	}
	newChaos(t, testseed.Of(t)).all(faults)
}

// TestChaosAtTheEnd makes nothing but the faults that fall between the last token of an
// answer and the moment when its reader has its end.
func TestChaosAtTheEnd(t *testing.T) {
	faults := 8
	if testing.Short() {
		faults = 4
	}
	c := newChaos(t, testseed.Of(t))
	c.list = nil
	for _, f := range chaosFaultList {
		if f.late {
			c.list = append(c.list, f)
		}
	}
	c.all(faults)
}

// all makes so many faults, and fails the test unless every answer is whole.
func (c *chaos) all(faults int) {
	c.t.Helper()
	for c.done < faults {
		c.session(faults)
	}
	verdict := fmt.Sprintf("faults=%d lost=%d doubled=%d changed=%d", c.done, c.lost, c.doubled, c.changed)
	c.t.Logf("%v\n%s", c.counts, verdict)
	if *chaosOut != "" {
		if err := os.WriteFile(*chaosOut, []byte(verdict+"\n"), 0o644); err != nil {
			c.t.Error(err)
		}
	}
	if c.lost+c.doubled+c.changed > 0 {
		c.t.Errorf("seed %d: %s", c.seed, verdict)
	}
}

// chaosTokens is the length of each answer.
const chaosTokens = 160

// chaos is a cloud, an emulated link and one board after another.
type chaos struct {
	t                      *testing.T
	seed                   uint64
	list                   []chaosFault
	rng                    *rand.Rand
	bundle, drafted        string // the model, and the same with a draft model
	cloudState, boardState string
	addr                   string // of the cloud, the same over its lives
	link                   *linksim.Link
	cloud                  *process
	board                  *follower
	check                  *ledger
	whole                  bool    // the answer
	name                   string  // of the session
	want                   []int32 // the unsplit model's answer
	args                   []string
	alone                  bool // the board goes on with the whole model while its cloud is lost

	done                   int
	counts                 map[string]int
	lost, doubled, changed int
}

func newChaos(t *testing.T, seed uint64) *chaos {
	c := &chaos{
		t: t, seed: seed, list: chaosFaultList, rng: rand.New(rand.NewPCG(seed, 4)), bundle: tinyBundle(t), drafted: draftedTiny(t), counts: map[string]int{},
		cloudState: t.TempDir(), boardState: t.TempDir(),
	}
	expect(t, 0, "cloud", "init", "--state", c.cloudState, "--name", "127.0.0.1")
	c.addr = nodetest.FreePort(t)
	c.startCloud()
	code, _ := expect(t, 0, "cloud", "invite", "--state", c.cloudState, "--name", "chaos", "--may", "text")
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

func (c *chaos) startCloud() {
	c.t.Helper()
	c.cloud = start(c.t, "cloud", "--json", "--listen", c.addr, "--bundle", c.drafted, "--whole", "--state", c.cloudState,
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
	mode := []string{"collaborative", "verified", "cloud-led"}[c.rng.IntN(3)]
	onLoss, bundle := []string{"wait", "wait", "wait", "alone"}[c.rng.IntN(4)], c.bundle
	if mode == "cloud-led" { // on whose board is nothing but a draft, that says what it likes
		onLoss, bundle = "wait", c.drafted
	}
	prompt := fmt.Sprintf("Session %d of %d", n, c.rng.IntN(1000))
	common := []string{"--bundle", bundle, "--threads", "1", "--context", "1024", "--ignore-end", "--raw", "--temperature", "1", "--seed", fmt.Sprint(n), "--max-tokens", fmt.Sprint(chaosTokens), prompt}
	c.want = c.oracle(common)
	c.alone = onLoss == "alone"
	c.args = append([]string{"--mode", mode, "--threshold", "1.1", "--on-loss", onLoss, "--durability", durability}, common...)
	c.check, c.whole = newLedger(c, durability == "strict"), false
	c.startBoard()
	for !c.whole {
		pause := time.Duration(50+c.rng.IntN(400)) * time.Millisecond
		c.whole = c.board.readFor(pause, c.check)
		if c.whole || c.done >= faults {
			continue
		}
		f := c.list[c.rng.IntN(len(c.list))]
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
	switch code := c.board.wait(c.t); {
	case code == 0, c.board.killed:
	case code == cli.ExitDegraded && c.alone: // it says so where the cloud was lost
	default:
		c.t.Errorf("seeded run ends with code %d: %s", code, c.board.stderr.String())
	}
	c.check.end()
}

// draftedTiny is the tiny bundle with a draft model, which is as good as the model.
func draftedTiny(t *testing.T) string {
	t.Helper()
	computes(t)
	src, dir := filepath.Join(t.TempDir(), "tiny.gguf"), filepath.Join(t.TempDir(), "drafted")
	expect(t, 0, "model", "synth", "tiny", "-o", src)
	expect(t, 0, "model", "split", src, "--draft", src, "-o", dir)
	return dir
}

// oracle is the answer of the whole model.
func (c *chaos) oracle(args []string) []int32 {
	c.t.Helper()
	out, _ := expect(c.t, 0, append([]string{"run", "--json", "--mode", "unsplit"}, args...)...)
	return idsOf(parseReport(c.t, out))
}
