// Command try boots an image in qemu, on an imitated arm64 board with UEFI, and sees that it
// is a working appliance: the page is there and wants the key that the console shows, and a
// question is answered. Then it cuts the power, which is qemu killed, in first starts and in
// answers; after each cut the board has to start, with everything that was committed. With
// -update it updates the board before that, with a cut, well, and with a version that does not
// start.
//
//	go run ./build/image/try -image build/out/skerry-uefi-VERSION.img -update build/out/update-uefi-VERSION -pulls 30
//
// An emulated start takes minutes. What a kill does not imitate: qemu hands every write
// of the guest to the kernel at once, so that none is lost that the guest has made, as a
// card's own cache may lose it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"skerry/build/ask"
)

// options of the command line.
type options struct {
	image, dir, out string
	update          string
	pulls           int
	seed            uint64
	size            int64
}

func main() {
	var o options
	flag.StringVar(&o.image, "image", "", "the image, which carries a bundle")
	flag.StringVar(&o.dir, "dir", "", "directory for the cards and what the consoles say, kept; a temporary one if missing")
	flag.StringVar(&o.update, "update", "", "directory of the update to the image's own version, as make image makes it; the board is not updated if missing")
	flag.StringVar(&o.out, "out", "", "file that the table goes to")
	flag.IntVar(&o.pulls, "pulls", 30, "how often the power is cut, in first starts and in answers by turns")
	flag.Uint64Var(&o.seed, "seed", 1, "of the moments of the cuts")
	flag.Int64Var(&o.size, "size", 2500, "size of the card in MB")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "image-test:", err)
		os.Exit(1)
	}
}

// systemSize is more than what all partitions but the data's have, in MB, and less than what
// they have with the data's as it is before it grows.
const systemSize = 1500

// tokens are how many an answer may have.
const tokens = 200

// try is one run.
type try struct {
	options
	random *rand.Rand
	table  strings.Builder
	failed int
}

func run(ctx context.Context, o options) error {
	if o.image == "" {
		return errors.New("say -image, or use make image-test")
	}
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "image-test-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	}
	t := &try{options: o, random: rand.New(rand.NewPCG(o.seed, 0))}
	err := t.all(ctx)
	if o.out != "" {
		if err := os.WriteFile(o.out, []byte(t.table.String()), 0o644); err != nil {
			return err
		}
	}
	if err == nil && t.failed > 0 {
		err = fmt.Errorf("%d checks have failed", t.failed)
	}
	return err
}

// row prints a line of the table. bad, where it is not nil, makes it one that has failed.
func (t *try) row(bad error, what, format string, args ...any) {
	verdict := "ok"
	if bad != nil {
		verdict, t.failed = "FAILED: "+bad.Error(), t.failed+1
	}
	line := fmt.Sprintf("%-34s %-58s %s\n", what, fmt.Sprintf(format, args...), verdict)
	fmt.Print(line)
	t.table.WriteString(line)
}

// all does everything on two cards: one stays, and is asked and cut, and one is new for each
// cut in a first start.
func (t *try) all(ctx context.Context) error {
	card, err := t.card("card")
	if err != nil {
		return err
	}
	defer func() { card.kill() }()
	began := time.Now()
	if err := card.start(ctx); err != nil {
		return err
	}
	if err := card.ready(ctx); err != nil {
		return fmt.Errorf("first start: %w", err)
	}
	up := time.Since(began)
	first, err := card.computed()
	t.row(err, "first start", "welcome after %.0f s, ready after %.0f s, %.0f s computed", card.welcomed.Sub(began).Seconds(), up.Seconds(), first.Seconds())
	if err != nil {
		return err
	}
	t.page(ctx, card)
	t.system(ctx, card)
	kept := ask.New("kept", tokens)
	took := time.Now()
	err = card.whole(ctx, kept)
	t.row(err, "an answer", "%d tokens in %.1f s", kept.Tokens, time.Since(took).Seconds())
	if err != nil {
		return err
	}
	export, err := card.export(ctx, kept.Session)
	if err != nil {
		return err
	}
	if t.update != "" {
		if err := t.tryUpdates(ctx, card); err != nil {
			return err // it may not run any more
		}
	}
	for n := range t.pulls {
		if n%2 == 0 {
			t.cutAnswer(ctx, card, n, kept, export)
		} else {
			t.cutFirst(ctx, n, first)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// page looks whether the page is there, and whether it wants the key.
func (t *try) page(ctx context.Context, m *machine) {
	text, err := m.get(ctx, "/", m.key)
	if err == nil && !strings.Contains(text, "<html") {
		err = fmt.Errorf("it is %.60q", text)
	}
	t.row(err, "page", "%d bytes with the key", len(text))
	_, err = m.get(ctx, "/api/v1/sessions", "")
	var no *ask.Refusal
	if err == nil {
		err = errors.New("it is shown without a key")
	} else if errors.As(err, &no) && no.Status == http.StatusUnauthorized {
		err = nil
	}
	t.row(err, "without a key", "refused")
}

// system asks systemd through ssh, whose key was on the boot partition.
func (t *try) system(ctx context.Context, m *machine) {
	state, err := m.ssh(ctx, "systemctl is-system-running --wait")
	if failed, _ := m.ssh(ctx, "systemctl --failed --plain --no-legend"); err != nil && failed != "" {
		err = errors.New(failed)
	}
	t.row(err, "systemctl is-system-running", "%s", state)
	for _, c := range []struct{ what, command, want string }{
		{"root is read-only", "findmnt -no FSTYPE,OPTIONS /", "erofs ro"},
		{"data has grown to the card", "test $(($(findmnt -bno SIZE /var) / 1000000)) -gt " + fmt.Sprint(t.size-systemSize) + " && findmnt -no SIZE,FSTYPE /var", "ext4"},
		{"watchdog", "systemctl show -p RuntimeWatchdogUSec -p WatchdogDevice", "/dev/watchdog"},
		{"the slot", "skerry update status", ""},
		{"its name in mDNS", "resolvectl mdns | head -3", "yes"},
	} {
		said, err := m.ssh(ctx, c.command)
		said = strings.Join(strings.Fields(said), " ")
		if err == nil && !strings.Contains(said, c.want) {
			err = fmt.Errorf("it says nothing of %s", c.want)
		}
		t.row(err, c.what, "%.58s", said)
	}
	warnings, _ := m.ssh(ctx, "journalctl -b -p warning --no-pager -o cat")
	os.WriteFile(filepath.Join(t.dir, "warnings.txt"), []byte(warnings), 0o644) // to be read, not judged
}

// cutAnswer cuts the power in the middle of an answer. The sessions before are there as they
// were, the key is the same, and the answer goes on to the text that it would have had.
func (t *try) cutAnswer(ctx context.Context, m *machine, n int, kept *ask.Question, export string) {
	what := fmt.Sprintf("cut %d, in an answer", n+1)
	q := ask.New(fmt.Sprintf("cut-%d", n+1), tokens)
	cut, key := 1+t.random.IntN(q.Tokens-2), m.key
	q.Seen = func(count int) bool { return count < cut }
	err := q.Once(ctx, m.daemon())
	if err == nil && q.Ended {
		err = errors.New("the answer was whole")
	}
	if err != nil {
		t.row(err, what, "before the cut")
		return
	}
	m.kill()
	q.Seen = nil
	shown := len(q.Text)
	began := time.Now()
	if err = m.start(ctx); err == nil {
		err = m.ready(ctx)
	}
	up := time.Since(began)
	if err == nil && m.key != key {
		err = errors.New("the board has another key")
	}
	if err == nil {
		var again string
		if again, err = m.export(ctx, kept.Session); err == nil && again != export {
			err = fmt.Errorf("the session before is %.80q, and was %.80q", again, export)
		}
	}
	if err == nil {
		if err = m.whole(ctx, q); err == nil && q.Text != kept.Text {
			err = fmt.Errorf("the answer is %.80q, and not %.80q", q.Text, kept.Text)
		}
	}
	t.row(err, what, "after %d tokens (%d bytes); ready after %.0f s", cut, shown, up.Seconds())
}

// cutFirst cuts the power of a new card in its first start, which takes so much processor
// time. In the first fifth of it, the firmware's, nothing is written.
func (t *try) cutFirst(ctx context.Context, n int, first time.Duration) {
	what := fmt.Sprintf("cut %d, in a first start", n+1)
	m, err := t.card(fmt.Sprintf("first-%d", n+1))
	if err != nil {
		t.row(err, what, "no card")
		return
	}
	defer m.remove()
	after := first/5 + time.Duration(t.random.Int64N(int64(first-first/5)))
	if err = m.start(ctx); err == nil {
		err = m.runUntil(ctx, after)
	}
	m.kill()
	key := m.shownKey()
	began := time.Now()
	if err == nil {
		if err = m.start(ctx); err == nil {
			err = m.ready(ctx)
		}
	}
	up := time.Since(began)
	if err == nil && key != "" && m.key != key {
		err = errors.New("the board has another key than it has shown")
	}
	q := ask.New("first", tokens)
	if err == nil {
		err = m.whole(ctx, q)
	}
	t.row(err, what, "after %.0f s computed; ready after %.0f s, and an answer", after.Seconds(), up.Seconds())
}
