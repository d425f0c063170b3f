package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"skerry/build/ask"
)

// step is one part of a run.
type step struct {
	name, what string
	do         func(t *try, ctx context.Context) error
	pi         bool // a Raspberry Pi in qemu can do it, too
}

// pulls is the step that may be done in parts.
const pulls = "pulls"

// steps are all of them, in their order. The first one makes the card that the others go on with.
var steps = []step{
	{"start", "a new card's first start, the page, systemd's state, and a whole answer", (*try).first, true},
	{"link", "a new card with a code of enrolment and settings joins a cloud here, and an answer whose link is cut in the middle", (*try).link, true},
	{"refused", "updates that are unsigned, a stranger's, expired, older, for another board, or too large for the disk", (*try).refused, false},
	{"update-cut", "the power is cut while an update is written", (*try).cutWriting, false},
	{"update", "an update whose download breaks off once: tried, and kept after two minutes ready and an answer", (*try).updates, false},
	{"update-reset", "an update that the watchdog resets on trial", (*try).resetOnTrial, false},
	{"update-rotten", "an update whose root is no file system", (*try).rotten, false},
	{"update-unhealthy", "an update whose daemon does not start; its trial takes 15 minutes", (*try).unhealthy, false},
	{"rollback", "back to the version before, which is tried, too", (*try).back, false},
	{pulls, "the power is cut in answers, first starts and updates, until it was PULLS times", (*try).cuts, true},
}

// elsewhere is what else is shown, without a start of minutes.
var elsewhere = []struct{ what, command string }{
	{"the whole matrix on the slots of a package, with the reason of each", "go test ./appliance/update -run 'TestMatrix$' -v"},
	{"the whole matrix on images, by systemd-boot's entries and by tryboot, against a fake firmware", "go test ./appliance/update -run TestMatrixOfImages -v"},
	{"200 random power cuts in updates, by each way of booting, against a fake firmware", "go test ./appliance/update -run 'TestPowerCut' -v"},
	{"a download that is gone on with", "go test ./appliance/update -run TestDownloadGoesOn -v"},
	{"updates of an installed package in a container with systemd, each cut by kill -9", "go test ./build/deb -run TestInstalled -v"},
	{"updates of a model bundle in that container", "go test ./build/deb -run TestBundleUpdated -bundles -v"},
	{"what lies on the boot partition at the first start, right and wrong", "go test ./build/image/board -v"},
}

// first makes the card, starts it, and looks at it.
func (t *try) first(ctx context.Context) error {
	t.card.kill()
	if err := t.newCard(t.card); err != nil {
		return err
	}
	began := time.Now()
	if err := t.card.start(ctx); err != nil {
		return err
	}
	if err := t.card.ready(ctx); err != nil {
		return err
	}
	up := time.Since(began)
	computed, err := t.card.computed()
	t.First, t.Key = computed, t.card.key
	t.note(err, "first start", "welcome after %.0f s, ready after %.0f s, %.0f s computed", t.card.welcomed.Sub(began).Seconds(), up.Seconds(), computed.Seconds())
	if err != nil {
		return err
	}
	t.page(ctx, t.card)
	t.system(ctx, t.card)
	kept := ask.New("kept", tokens)
	took := time.Now()
	err = t.card.whole(ctx, kept)
	t.note(err, "an answer", "%d tokens in %.1f s", kept.Tokens, time.Since(took).Seconds())
	if err != nil {
		return err
	}
	t.Answer = kept.Text
	t.Export, err = t.card.export(ctx, kept.Session)
	return err
}

// page looks whether the page is there, and whether it wants the key.
func (t *try) page(ctx context.Context, m *machine) {
	text, err := m.get(ctx, "/", m.key)
	if err == nil && !strings.Contains(text, "<html") {
		err = fmt.Errorf("it is %.60q", text)
	}
	t.note(err, "page", "%d bytes with the key", len(text))
	_, err = m.get(ctx, "/api/v1/sessions", "")
	var no *ask.Refusal
	if err == nil {
		err = errors.New("it is shown without a key")
	} else if errors.As(err, &no) && no.Status == http.StatusUnauthorized {
		err = nil
	}
	t.note(err, "without a key", "refused")
}

// system asks systemd through ssh, whose key was on the boot partition.
func (t *try) system(ctx context.Context, m *machine) {
	state, err := m.ssh(ctx, "systemctl is-system-running --wait")
	if failed, _ := m.ssh(ctx, "systemctl --failed --plain --no-legend"); err != nil && failed != "" {
		err = errors.New(failed)
	}
	t.note(err, "systemctl is-system-running", "%s", state)
	for _, c := range []struct{ what, command, want string }{
		{"root is read-only", "findmnt -no FSTYPE,OPTIONS /", "erofs ro"},
		{"data has grown to the card", "test $(($(findmnt -bno SIZE /var) / 1000000)) -gt " + fmt.Sprint(t.cardSize()-systemSize) + " && findmnt -no SIZE,FSTYPE /var", "ext4"},
		{"watchdog", "systemctl show -p RuntimeWatchdogUSec -p WatchdogDevice", "/dev/watchdog"},
		{"the slot", "skerry update status", ""},
		{"its name in mDNS", "resolvectl mdns | head -3", "yes"},
	} {
		if m.pi && c.what == "watchdog" {
			continue // it is off in qemu
		}
		said, err := m.ssh(ctx, c.command)
		said = strings.Join(strings.Fields(said), " ")
		if err == nil && !strings.Contains(said, c.want) {
			err = fmt.Errorf("it says nothing of %s", c.want)
		}
		t.note(err, c.what, "%.72s", said)
	}
	// To be read, not judged.
	for name, command := range map[string]string{"warnings.txt": "journalctl -b -p warning --no-pager -o cat", "slowest.txt": "systemd-analyze blame --no-pager | head -30"} {
		said, _ := m.ssh(ctx, command)
		os.WriteFile(filepath.Join(t.dir, name), []byte(said), 0o644)
	}
}
