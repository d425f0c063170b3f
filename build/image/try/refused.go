package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"skerry/appliance/update"
	"skerry/appliance/update/install"
	"skerry/appliance/update/manifest"
	"skerry/appliance/update/publish"
)

// refusals are updates that no board takes: the sound one with one thing wrong. Of each only the
// manifest is served, as it is refused before anything else is fetched.
var refusals = []struct {
	what   string
	change func(m *manifest.Manifest)
	reason manifest.Reason
}{
	{"unsigned", func(*manifest.Manifest) {}, manifest.Unsigned},
	{"signed by a stranger", func(*manifest.Manifest) {}, manifest.UnknownKey},
	{"expired", func(m *manifest.Manifest) { m.Created, m.Expires = m.Created.AddDate(-1, 0, 0), m.Created }, manifest.Expired},
	{"a downgrade", func(m *manifest.Manifest) { m.Version = manifest.Version{} }, manifest.Downgrade},
	{"for another board", func(m *manifest.Manifest) { m.Board = "pi" }, manifest.WrongBoard},
}

// refused has the board refuse updates; the version that runs is the same afterwards, and nothing
// is going on.
func (t *try) refused(ctx context.Context) error {
	u, slot, err := t.begin(ctx)
	if err != nil {
		return err
	}
	defer u.close()
	stranger := filepath.Join(t.dir, "stranger")
	if err := os.RemoveAll(stranger); err != nil {
		return err
	}
	if _, err := publish.NewKey(stranger); err != nil {
		return err
	}
	other, err := publish.ReadKey(stranger, "")
	if err != nil {
		return err
	}
	keys := map[manifest.Reason]publish.Key{manifest.Unsigned: {}, manifest.UnknownKey: other}
	for _, r := range refusals {
		key, ok := keys[r.reason]
		if !ok {
			key = u.key
		}
		said, err := t.refuse(ctx, u, r.change, key, r.reason)
		if err == nil {
			err = t.unchanged(ctx, slot)
		}
		t.note(err, "an update, "+r.what, "%.72s", said)
	}
	return t.full(ctx, u, slot)
}

// refuse offers a manifest, which has to be refused for a reason.
func (t *try) refuse(ctx context.Context, u *updates, change func(*manifest.Manifest), key publish.Key, want manifest.Reason) (said string, err error) {
	m, name := u.made, "refused-"+string(want)
	text, err := os.ReadFile(filepath.Join(u.dir, "sound", manifest.File))
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return "", err
	}
	change(&m)
	if text, err = json.Marshal(m); err != nil {
		return "", err
	}
	dir := filepath.Join(u.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, manifest.File)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return "", err
	}
	if err := key.SignFile(path, time.Now()); err != nil {
		return "", err
	}
	out, err := t.card.ssh(ctx, "skerry update check --json "+u.url+name+"/")
	if err != nil {
		return "", err
	}
	var found []install.Found
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found) != 1 {
		return "", fmt.Errorf("check says %.200q: %w", out, err)
	}
	if found[0].OK || found[0].Reason != want {
		return "", fmt.Errorf("it is refused for %q: %s", found[0].Reason, found[0].Error)
	}
	if out, err := t.card.ssh(ctx, "skerry update apply "+u.url+name+"/"); err == nil {
		return "", fmt.Errorf("it was applied: %s", out)
	}
	return found[0].Error, nil
}

// aSum is the name of what is fetched, which says nothing to a person.
var aSum = regexp.MustCompile(`/var/\S*[0-9a-f]{64}`)

// full applies the sound update while the data partition has no room for its download.
func (t *try) full(ctx context.Context, u *updates, slot update.Slot) error {
	const filler = "/var/lib/board/filler"
	if _, err := t.card.ssh(ctx, "fallocate -l $(($(df --output=avail -B1 /var | tail -1) - 20000000)) "+filler); err != nil {
		return err
	}
	said, err := t.card.ssh(ctx, apply(u, "sound"))
	if err == nil {
		err = errors.New("it was applied: " + said)
	} else {
		err = nil
	}
	if _, removed := t.card.ssh(ctx, "rm "+filler); removed != nil {
		return removed
	}
	if err == nil {
		err = t.unchanged(ctx, slot)
	}
	lines := strings.Split(aSum.ReplaceAllString(said, "…"), "\n") // the last one is the reason
	t.note(err, "an update, and the disk is full", "%.90s", lines[len(lines)-1])
	return nil
}

// unchanged sees that the board runs what it did, and that nothing is going on.
func (t *try) unchanged(ctx context.Context, slot update.Slot) error {
	s, err := t.card.state(ctx)
	switch {
	case err != nil:
		return err
	case s.Slot != slot, s.Phase != update.Idle, s.Trial:
		return fmt.Errorf("slot %s runs, in phase %s", s.Slot, s.Phase)
	}
	return nil
}
