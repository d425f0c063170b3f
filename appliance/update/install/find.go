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
	return slices.Compact(at)
}

// Look reads what the updates at these paths and addresses say of themselves. The error is
// the context's.
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
// there is none.
func Newest(list []Candidate) (best *Candidate) {
	for i := range list {
		if c := &list[i]; c.Err == nil && (best == nil || c.Manifest.Version.Compare(best.Manifest.Version) > 0) {
			best = c
		}
	}
	return best
}
