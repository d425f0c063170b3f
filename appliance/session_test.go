package main

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skerry/appliance/cli"
	"skerry/appliance/cloudnode"
	"skerry/appliance/config"
	"skerry/appliance/conversation"
	"skerry/appliance/infer"
	"skerry/appliance/node"
	"skerry/appliance/node/nodetest"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// meaningless are the options of an answer of the tiny bundle, every token of
// it the cloud's.
func meaningless(bundle string, more ...string) []string {
	return append([]string{"run", "--bundle", bundle, "--raw", "--ignore-end", "--threads", "1", "--context", "512",
		"--threshold", "inf", "--temperature", "1"}, more...)
}

func reportOf(t *testing.T, args []string) conversation.Report {
	t.Helper()
	out, _ := expect(t, 0, append(args, "--json")...)
	return parseReport(t, out)
}

// tinyCloud serves the bundle to boards of the same state directory.
func tinyCloud(t *testing.T, bundle, state string) (addr string) {
	t.Helper()
	_, addr = startCloud(t, "--bundle", bundle, "--state", state, "--context", "512", "--sessions", "2", "--threads", "1")
	return addr
}

// cutAnswer has a run of the session ended by s in the middle of its answer.
func cutAnswer(t *testing.T, s os.Signal, args []string) *process {
	t.Helper()
	p := start(t, append(args, "--durability", "strict", "--link", "rtt=20ms")...)
	p.await(t, &p.stdout, "text", func(s string) bool { return len(s) > 60 })
	p.signal(t, s)
	p.wait(t)
	return p
}

// A run that was killed goes on where it was, against a cloud that has kept its
// rows and against one that has not, and the whole is what it would have been.
func TestSessionGoesOn(t *testing.T) {
	tiny := tinyBundle(t)
	state := t.TempDir()
	addr := tinyCloud(t, tiny, state)
	const prompt = "Hello, sea."
	want := reportOf(t, meaningless(tiny, "--mode", "unsplit", "--max-tokens", "200", prompt))
	for name, cloud := range map[string][]string{"the same cloud": {"--cloud", addr}, "a cloud of its own": nil} {
		t.Run(name, func(t *testing.T) {
			args := meaningless(tiny, slices.Concat([]string{"--session", name, "--state", state, "--max-tokens", "200", prompt}, cloud, waiting)...)
			cutAnswer(t, unix.SIGKILL, args)
			p := cutAnswer(t, os.Interrupt, args)
			if e := p.stderr.String(); !strings.Contains(e, "(going on after ") || !strings.Contains(e, "(stopped; the same command goes on with it)") {
				t.Errorf("stderr %q", e)
			}
			if out := strings.TrimSuffix(p.stdout.String(), "\n"); !strings.HasPrefix(want.Text, out) {
				t.Errorf("%q is no beginning of %q", out, want.Text)
			}
			got := reportOf(t, args)
			n := got.Usage.Journal
			if n == 0 || got.Usage.Completion != 200 || got.Text != want.Text || !slices.Equal(idsOf(got), idsOf(want)[n:]) {
				t.Errorf("%d and %d tokens, %q, want %q", n, len(got.Tokens), got.Text, want.Text)
			}
			allFrom(t, got, infer.FromCloud)
		})
	}
}

// What the cloud has of one question is not taken for another's.
func TestSessionAsksAnother(t *testing.T) {
	tiny := tinyBundle(t)
	state := t.TempDir()
	addr := tinyCloud(t, tiny, state)
	common := append(waiting, "--session", "s", "--state", state, "--cloud", addr, "--max-tokens", "30")
	c := onTerminal(t, nil, meaningless(tiny, common...)[1:]...)
	c.enter(t, "One question.\n")
	c.turn(t, 1)
	c.signal(t, unix.SIGKILL) // so that the cloud keeps the session
	c.wait(t)
	got := reportOf(t, meaningless(tiny, append(common, "Quite another.")...))
	sameText(t, got, reportOf(t, meaningless(tiny, "--mode", "unsplit", "--max-tokens", "30", "Quite another.")))
	allFrom(t, got, infer.FromCloud)
}

// Ctrl-C in a chat ends the answer for good; a kill does not.
func TestSessionChat(t *testing.T) {
	tiny := tinyBundle(t)
	args := meaningless(tiny, "--session", "s", "--state", t.TempDir(), "--max-tokens", "0", "--durability", "strict", "--link", "rtt=40ms")[1:]
	c := onTerminal(t, nil, args...)
	c.enter(t, "First.\n")
	c.await(t, &c.stdout, "text", func(s string) bool { return len(s) > 300 })
	c.enter(t, interrupt)
	c.turn(t, 1)
	if s := c.screen(); !strings.Contains(s, "(stopped)\n") {
		t.Errorf("the screen shows %q", s)
	}
	c.enter(t, "Second.\n")
	seen := len(c.screen())
	c.await(t, &c.stdout, "text", func(s string) bool { return len(s) > seen+300 })
	c.signal(t, unix.SIGKILL)
	c.wait(t)

	c = onTerminal(t, nil, args...)
	c.await(t, &c.stdout, "rest", func(s string) bool { return strings.Contains(s, "> Second.") && strings.Contains(s, "going on after") })
	c.enter(t, interrupt)
	c.turn(t, 1)
	c.enter(t, "/bye\n")
	if code := c.wait(t); code != 0 {
		t.Errorf("exit code %d: %s", code, c.screen())
	}
}

// spend has a board's month cost so many bytes already.
func spend(t *testing.T, state string, bytes uint64) {
	t.Helper()
	db, err := storage.Open(config.DatabasePath(state), storage.Options{})
	if err == nil {
		err = db.SaveBytes(time.Now().UTC().Format("2006-01"), bytes, 0)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestMonthlyBudget(t *testing.T) {
	tiny := tinyBundle(t)
	state := t.TempDir()
	addr := tinyCloud(t, tiny, state)
	metered := meaningless(tiny, "--state", state, "--cloud", addr, "--monthly-mb", "10", "--max-tokens", "4", "Hello")
	allFrom(t, reportOf(t, append(metered, waiting...)), infer.FromCloud)
	spend(t, state, 6e6)
	_, stderr := expect(t, 1, metered...)
	if !strings.Contains(stderr, "half of the month's 10 MB are spent") || !strings.Contains(stderr, "give --encoding f16 or q8") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("stderr %q", stderr)
	}
	for _, encoding := range []string{"f16", "q8"} {
		allFrom(t, reportOf(t, slices.Concat(metered, waiting, []string{"--encoding", encoding})), infer.FromCloud)
	}
	spend(t, state, 11e6)
	stdout, stderr := expect(t, cli.ExitDegraded, metered...)
	if len(stdout) < 2 || !strings.Contains(stderr, "byte budget: the 10 MB of ") || !strings.Contains(stderr, ": answering alone, with the whole model\n") {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
	_, stderr = expect(t, 1, append(metered, "--on-loss", "wait")...)
	if !strings.Contains(stderr, "byte budget") {
		t.Errorf("stderr %q", stderr)
	}
}

// A board's status is in the list that the operator sees.
func TestDevicesShowStatus(t *testing.T) {
	state := t.TempDir()
	expect(t, 0, "cloud", "init", "--state", state)
	book, err := cloudnode.OpenDeviceStore(state, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	status, err := (&wire.Status{Version: "v9", Mode: "collaborative", Health: "ok", Transport: "tcp"}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, err := range []error{
		book.PutDevice(trust.Device{Name: "pi", Disclosure: trust.Hidden, Enrolled: now, Expires: now.Add(time.Hour)}),
		book.SawDevice("pi", status, now), book.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	out, _ := expect(t, 0, "cloud", "devices", "--state", state)
	if got := strings.Join(strings.Fields(out), " "); !strings.Contains(got, "pi hidden enrolled 0 just now v9 collaborative ok") {
		t.Errorf("%s", out)
	}
	out, _ = expect(t, 0, "cloud", "devices", "--state", state, "--json")
	if !strings.Contains(out, `"transport":"tcp"`) {
		t.Errorf("%s", out)
	}
}

// An answer whose end alone was not written down is whole, and blocks nothing.
func TestSessionEndNotWrittenDown(t *testing.T) {
	tiny, state := tinyBundle(t), t.TempDir()
	args := meaningless(tiny, "--session", "s", "--state", state, "--mode", "unsplit", "--max-tokens", "6", "Hello")
	want := reportOf(t, args)
	loseTheEnd(t, state)
	got := reportOf(t, args)
	if got.Text != want.Text || got.Finish != infer.Length || got.Usage.Journal != 6 || len(got.Tokens) != 0 {
		t.Errorf("%q %s, %+v, want %q", got.Text, got.Finish, got.Usage, want.Text)
	}
	if next := reportOf(t, args); next.Usage.Journal != 0 || len(next.Tokens) != 6 {
		t.Errorf("the next answer: %+v", next.Usage)
	}
}

// loseTheEnd has the session's answer lack its end alone, as after a kill just before it was
// written down.
func loseTheEnd(t *testing.T, state string) {
	t.Helper()
	db := nodetest.OpenDB(t, state)
	log, err := node.Journal{DB: db}.Open("s", false)
	if err != nil {
		t.Fatal(err)
	}
	r, err := log.Record()
	if err != nil {
		t.Fatal(err)
	}
	r.Messages, r.Finish, r.Undelivered = r.Messages[:1], "", false
	if err := errors.Join(log.Save(r), db.Close()); err != nil {
		t.Fatal(err)
	}
}
