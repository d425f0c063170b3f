// Package offer is about the bundles that a cloud offers to its boards: what each is
// called, whether the one that is wanted is among them, and how it is fetched.
package offer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"skerry/appliance/bundle/fetch"
	"skerry/appliance/status"
	"skerry/cloudlink"
	"skerry/cloudlink/wire"
)

// shownMost is how many of a cloud's bundles are named where it lacks one.
const shownMost = 4

// Lacks reports whether a cloud that offers have lacks the bundle; the zero id stands
// for no bundle being wanted.
func Lacks(have []wire.BundleName, id wire.Hash) bool {
	if id == (wire.Hash{}) {
		return false
	}
	for _, b := range have {
		if b.ID == id {
			return false
		}
	}
	return true
}

// Names lists what a cloud offers, each with the beginning of its id.
func Names(all []wire.BundleName) string {
	var names []string
	for _, b := range all[:min(len(all), shownMost)] {
		names = append(names, fmt.Sprintf("%s (%x)", shownName(b), b.ID[:6]))
	}
	if n := len(all) - shownMost; n > 0 {
		names = append(names, fmt.Sprintf("%d more", n))
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// shownName is a bundle's name as the cloud says it, made safe and short.
func shownName(b wire.BundleName) string {
	name := []rune(status.Printable(b.Name))
	return string(name[:min(len(name), 64)])
}

// LacksText says that a cloud lacks the model and what it has.
func LacksText(have []wire.BundleName) string {
	return "the cloud lacks this model; it has " + Names(have)
}

// PullCommand fetches a bundle that the cloud has, "" where it lets boards have
// none.
func PullCommand(have []wire.BundleName) string {
	for _, b := range have {
		if b.Bytes > 0 {
			return "skerry model pull " + pullName(have, b)
		}
	}
	return ""
}

// LacksRemedy says what to do where a cloud lacks the model.
func LacksRemedy(have []wire.BundleName) string {
	const serve = "serve this one there (`skerry cloud --bundle DIR`)"
	if pull := PullCommand(have); pull != "" {
		return serve + ", or take the one that it has (`" + pull + "`)"
	}
	return serve
}

// pullName is how a bundle of a cloud is called: by its name, and where that is
// another's too, or could not be typed, by its id.
func pullName(have []wire.BundleName, b wire.BundleName) string {
	same := 0
	for _, o := range have {
		if o.Name == b.Name {
			same++
		}
	}
	if same > 1 || !wire.FileName(b.Name) {
		return fmt.Sprintf("%s%x", Prefix, b.ID[:6])
	}
	return Prefix + b.Name
}

const (
	// Prefix begins the name of a bundle that is to be fetched from the cloud, and
	// WholePrefix that of one whose whole model is wanted too.
	Prefix      = "cloud:"
	WholePrefix = "cloud-whole:"
)

// Find finds the one bundle of a cloud that a name or the beginning of an id
// means.
func Find(have []wire.BundleName, name string) (wire.BundleName, error) {
	var found []wire.BundleName
	for _, b := range have {
		if strings.EqualFold(b.Name, name) || len(name) >= 6 && strings.HasPrefix(hex.EncodeToString(b.ID[:]), strings.ToLower(name)) {
			found = append(found, b)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return wire.BundleName{}, fmt.Errorf("the cloud has several bundles called %s: give the beginning of an id, as %s%x: it has %s", name, Prefix, found[0].ID[:6], Names(found))
	case len(have) == 0:
		return wire.BundleName{}, errors.New("the cloud serves no bundle")
	}
	return wire.BundleName{}, fmt.Errorf("the cloud has no bundle %q: it has %s", name, Names(have))
}

// origin fetches the files of one bundle over a link.
type origin struct {
	link *cloudlink.Link
	id   wire.Hash
}

func (o origin) Get(ctx context.Context, file string, from, most int64, take func([]byte) error) error {
	return o.link.Fetch(ctx, cloudlink.Fetch{
		Bundle: o.id, File: file, From: from, Most: most,
		Take: func(_ int64, piece []byte) error { return take(piece) },
	})
}

// Pull fetches the bundle that name means from the cloud at the other end of the link,
// which is up, into the cache, and returns its directory. What a month's bytes do not
// allow is refused with an error that wraps cloudlink.ErrBudget before anything is
// fetched, and a bundle that the cloud gives to nobody with one that wraps
// cloudlink.ErrNoFetch.
func Pull(ctx context.Context, link *cloudlink.Link, name string, whole bool, step func(what string, done, total int64)) (string, error) {
	have, _ := link.Bundles()
	b, err := Find(have, name)
	if err != nil {
		return "", err
	}
	if b.Bytes == 0 {
		return "", fmt.Errorf("%w %s: update it there, give it the board's files, or let it serve them (skerry cloud --pull-rate)", cloudlink.ErrNoFetch, shownName(b))
	}
	cache, err := fetch.CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "bundles", fetch.DirName(b.Name, b.ID))
	got, err := fetch.Pull(ctx, b.ID, dir, origin{link, b.ID}, fetch.PullOptions{
		Whole: whole, Progress: step, Afford: func(n int64) error { return affordable(link.Status().Budget, n) },
	})
	if err != nil {
		return "", err
	}
	return got.Dir, nil
}

// affordable refuses bytes that are more than is left of a month, with what
// carries them.
func affordable(b cloudlink.BudgetStatus, bytes int64) error {
	if !b.Metered || b.Bytes == 0 {
		return nil
	}
	left := b.Bytes - min(b.Spent, b.Bytes)
	need := uint64(bytes) + uint64(bytes)/16
	if need <= left {
		return nil
	}
	return fmt.Errorf("%w: it takes %s, and %s of the month's %s are left: raise cloud.monthly_mb, or wait until %s",
		cloudlink.ErrBudget, status.Bytes(need), status.Bytes(left), status.Bytes(b.Bytes), b.Ends.Format(time.DateOnly))
}
