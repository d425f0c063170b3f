package install

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"skerry/appliance/update"
	"skerry/appliance/update/manifest"
)

// Candidate is an update that was found, and what is to be said against it.
type Candidate struct {
	At       string             // its directory, archive or URL
	Manifest *manifest.Manifest // nil where it could not be read or is not signed
	Err      error              // why it is not to be applied, nil for nothing
	Source   update.Source
}

// Media are the directories and archives with updates that are directly in directories that
// match the patterns, as where USB sticks are mounted, or one directory below.
func Media(patterns []string) (at []string) {
	for _, p := range patterns {
		for _, name := range []string{manifest.File, "*/" + manifest.File} {
			found, _ := filepath.Glob(filepath.Join(p, name)) // config has checked the pattern
			for _, f := range found {
				at = append(at, filepath.Dir(f))
			}
		}
		found, _ := filepath.Glob(filepath.Join(p, "*"+update.ArchiveSuffix))
		at = append(at, found...)
	}
	slices.Sort(at)
	at = slices.Compact(at)
	return slices.DeleteFunc(at, func(dir string) bool { // the bundle in an update of one
		return filepath.Base(dir) == BundleDir && slices.Contains(at, filepath.Dir(dir))
	})
}

// Where is where to look for updates: at the one that is named, else at those on media, and at
// the address of the settings.
func Where(named string, media []string, url string) []string {
	switch {
	case named != "":
		return []string{named}
	case url != "":
		return append(Media(media), url)
	}
	return Media(media)
}

// LookForAll is Look that takes updates of the model bundle, too.
func (i *Installation) LookForAll(ctx context.Context, p manifest.Policy, at ...string) ([]Candidate, error) {
	list, err := i.Look(ctx, p, at...)
	for n := range list {
		c := &list[n]
		if c.Manifest == nil || c.Manifest.Kind != manifest.Bundle {
			continue
		}
		c.Manifest, c.Err = i.Models.open(ctx, c.Source, p)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return list, err
}

// Look reads what the updates of this program or system at these paths and addresses say of
// themselves. The error is the context's.
func (i *Installation) Look(ctx context.Context, p manifest.Policy, at ...string) (list []Candidate, err error) {
	for _, where := range at {
		c := Candidate{At: where}
		if c.Source, c.Err = update.NewSource(where, i.Cache()); c.Err == nil {
			c.Manifest, c.Err = i.Open(ctx, c.Source, p)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		list = append(list, c)
	}
	return list, nil
}

// Best is the newest that may be applied of what was found, the address of updates being url.
// Where there is none the error says why.
func Best(list []Candidate, url string) (*Candidate, error) {
	if best := Newest(list); best != nil {
		return best, nil
	}
	if len(list) == 0 {
		return nil, errors.New(NothingAt(url))
	}
	var err error
	for _, c := range list {
		err = errors.Join(err, c.Err)
	}
	return nil, err
}

// Newest is the candidate of the highest version among those that may be applied, nil where
// there is none. Those of a bundle come last: they may want a newer program.
func Newest(list []Candidate) (best *Candidate) {
	for i := range list {
		if c := &list[i]; c.Err == nil && (best == nil || c.before(best)) {
			best = c
		}
	}
	return best
}

func (c *Candidate) before(o *Candidate) bool {
	if b := c.Manifest.Kind == manifest.Bundle; b != (o.Manifest.Kind == manifest.Bundle) {
		return !b
	}
	return c.Manifest.Version.Compare(o.Manifest.Version) > 0
}
