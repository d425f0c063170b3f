package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skerry/appliance/config"
	"skerry/appliance/node"
	"skerry/build/testseed"
	"skerry/storage"
)

var serveKills = flag.Int("serve-kills", 0, "kills of the daemon's kill test; 0: 20, or 5 with -short")

// TestServeKilled kills a daemon with SIGKILL at random moments while clients stream
// answers of sessions and resume by Last-Event-ID. After each kill the database opens
// and holds every token that was in it before, once; and in the end every client has
// exactly the text of a daemon that nobody has killed.
func TestServeKilled(t *testing.T) {
	kills := *serveKills
	if kills == 0 {
		kills = 20
		if testing.Short() {
			kills = 5
		}
	}
	seed := testseed.Of(t)
	k := &killing{t: t, rng: rand.New(rand.NewPCG(seed, 5)), bundle: tinyBundle(t), state: t.TempDir(), journals: map[string]journalled{}}
	k.socket = shortDir(t) + "/s"
	k.begin()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	clients := make([]*killClient, 3)
	for i := range clients {
		clients[i] = newKillClient(k.socket, i)
		wg.Go(func() { clients[i].run(ctx) })
	}
	for range kills {
		k.live(clients)
		k.kill()
		k.look()
		k.begin()
	}
	for _, c := range clients {
		close(c.last)
	}
	wg.Wait()
	cancel()
	k.end(clients)
	verdict := fmt.Sprintf("kills=%d lost=%d doubled=%d changed=%d", kills, k.lost, k.doubled, k.changed)
	t.Logf("%d answers, %d tokens journalled, %d kills in the midst of answers, %d about an end\n%s", k.answers, k.committed, k.mid, k.ends, verdict)
	if k.lost+k.doubled+k.changed > 0 {
		t.Errorf("seed %d: %s", seed, verdict)
	}
}

// killing is the daemon over its lives, and the ledger of its journal.
type killing struct {
	t                     *testing.T
	rng                   *rand.Rand
	bundle, state, socket string
	daemon                *process
	journals              map[string]journalled // what the journal had last of an answer, by its id

	mid, ends, answers, committed, lost, doubled, changed int
}

// journalled is what a journal holds of an answer.
type journalled struct {
	seed   uint64
	tokens []int32
}

// begin starts a life. Half of them write every token down by itself.
func (k *killing) begin() {
	k.daemon = k.serve(k.state, k.socket, []string{"strict", "auto"}[k.rng.IntN(2)])
}

func (k *killing) serve(state, socket, durability string) *process {
	k.t.Helper()
	p := start(k.t, "serve", "--listen", "127.0.0.1:0", "--socket", socket, "--state", state, "--bundle", k.bundle,
		"--mode", "standalone", "--threads", "1", "--context", "512", "--parallel", "3", "--durability", durability)
	p.await(k.t, &p.stdout, "address", func(s string) bool { return strings.HasSuffix(s, "\n") })
	return p
}

// live lets the daemon answer for a while. Some lives end while the model loads, and
// some about the end of an answer: its last token, the journal's end and the client's.
func (k *killing) live(clients []*killClient) {
	kind := k.rng.IntN(8)
	if kind > 0 {
		awaitReady(k.t, k.socket)
	}
	if kind < 4 {
		time.Sleep(time.Duration(k.rng.IntN(300)) * time.Millisecond)
		return
	}
	c, most := clients[k.rng.IntN(len(clients))], 1+k.rng.Int64N(3)
	for until := time.Now().Add(patience / 4); time.Now().Before(until); time.Sleep(50 * time.Microsecond) {
		if n := c.left.Load(); n > 0 && n <= most {
			break
		}
	}
	k.ends++
	time.Sleep(time.Duration(k.rng.IntN(3000)) * time.Microsecond)
}

func (k *killing) kill() {
	k.daemon.signal(k.t, unix.SIGKILL)
	k.daemon.wait(k.t)
	if e := k.daemon.stderr.String(); strings.Contains(e, "level=ERROR") || strings.Contains(e, "panic") {
		k.t.Errorf("the daemon said %s", e)
	}
}

// look compares the journal with what it held at the last look.
func (k *killing) look() {
	k.t.Helper()
	answers, cut := k.read(k.state)
	for id, a := range answers {
		k.held(id, a)
	}
	if cut {
		k.mid++
	}
}

// read returns the answers of a journal by their ids, and whether one is cut.
func (k *killing) read(state string) (out map[string]journalled, cut bool) {
	k.t.Helper()
	db, err := storage.Open(config.DatabasePath(state), storage.Options{})
	if err != nil {
		k.t.Fatal(err)
	}
	defer db.Close()
	if aside := db.SetAside(); aside != "" {
		k.t.Fatalf("the database was damaged: %s", aside)
	}
	out = map[string]journalled{}
	for _, s := range db.Sessions() {
		log, err := node.Journal{DB: db}.Open(s.ID, false)
		if err != nil {
			k.t.Fatal(err)
		}
		r, err := log.Record()
		if err != nil {
			k.t.Errorf("session %s: %v", s.ID, err)
		}
		if r.ID == "" {
			continue
		}
		tokens, err := log.Tokens()
		if err != nil || r.Answer > len(tokens) {
			k.t.Fatalf("session %s: an answer at %d of %d tokens, %v", s.ID, r.Answer, len(tokens), err)
		}
		a := journalled{r.Options.Sampling.Seed, tokens[r.Answer:]}
		out[r.ID] = a
		cut = cut || r.Finish == "" && len(a.tokens) > 0
	}
	return out, cut
}

// held takes in what the journal holds of an answer.
func (k *killing) held(id string, a journalled) {
	k.t.Helper()
	before := k.journals[id].tokens
	if n := len(before) - len(a.tokens); n > 0 {
		k.lost += n
		k.t.Errorf("question %d: the journal has %d tokens and had %d", a.seed, len(a.tokens), len(before))
	} else {
		k.committed -= n
		k.same(a.seed, a.tokens[:len(before)], before)
	}
	k.journals[id] = a
}

// same counts how got differs from want.
func (k *killing) same(seed uint64, got, want []int32) {
	k.t.Helper()
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	switch {
	case at == len(got) && at == len(want):
		return
	case at < len(got) && at > 0 && got[at] == got[at-1]:
		k.doubled++
	case at == len(got):
		k.lost += len(want) - at
	default:
		k.changed++
	}
	k.t.Errorf("question %d: token %d of %d differs from the undisturbed answer's %d", seed, at, len(got), len(want))
}

// end asks a daemon that nobody kills all that the clients have asked.
func (k *killing) end(clients []*killClient) {
	k.t.Helper()
	k.daemon.signal(k.t, unix.SIGTERM)
	if code := k.daemon.wait(k.t); code != 0 {
		k.t.Errorf("code %d at SIGTERM: %s", code, k.daemon.stderr.String())
	}
	k.look()
	state, socket := k.t.TempDir(), shortDir(k.t)+"/s"
	calm := k.serve(state, socket, "auto")
	awaitReady(k.t, socket)
	oracle := newKillClient(socket, 0)
	for _, c := range clients {
		for _, complaint := range c.complaints {
			k.lost++
			k.t.Error(complaint)
		}
		for _, q := range c.done {
			k.answers++
			want := q.again()
			if err := oracle.answer(k.t.Context(), want); err != nil || !want.ended {
				k.t.Fatalf("the undisturbed daemon: %v", err)
			}
			if q.text != want.text {
				k.changed++
				k.t.Errorf("question %d: a client has %d bytes, the undisturbed one %d:\n%q\n%q", q.seed, len(q.text), len(want.text), q.text, want.text)
			}
		}
	}
	calm.signal(k.t, unix.SIGTERM)
	calm.wait(k.t)
	want := map[uint64][]int32{}
	calmly, _ := k.read(state)
	for _, a := range calmly {
		want[a.seed] = a.tokens
	}
	for _, a := range k.journals {
		if w, ok := want[a.seed]; ok { // else its client never came to the end
			k.same(a.seed, a.tokens, w[:min(len(a.tokens), len(w))])
		}
	}
}
