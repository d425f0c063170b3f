package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"skerry/appliance/update"
	"skerry/appliance/update/install"
	"skerry/appliance/update/manifest"
)

// Board takes what its cloud offers.
type Board struct {
	Installed *install.Installation
	// Offer is what the cloud has told of last.
	Offer func(context.Context) (Offer, error)
	// Allowed says whether the board's owner lets the cloud have it updated.
	Allowed bool
	Keys    []string // that sign updates
	Now     func() time.Time
	// Try has the attempt be started, as by a restart.
	Try func(update.Attempt) error
}

// How long a fetch that failed waits for the next: twice as long each time.
const (
	shortestWait = 5 * time.Minute
	longestWait  = 6 * time.Hour
	// mostUnreadable is how often what cannot be read or has no signature of its own is
	// looked at again, over some five hours: a manifest and its signature are two files, and
	// new ones may be just being put in the place of the old.
	mostUnreadable = 6
)

// Step does what is due, and returns how the board stands to the offer; an empty report
// where there is none. It is called every few minutes.
func (b *Board) Step(ctx context.Context) (Report, error) {
	offer, err := b.Offer(ctx)
	if err != nil {
		return Report{}, err
	}
	if offer.Version == "" { // perhaps not heard of again yet: what is known of it stays
		return Report{}, nil
	}
	last := Load(b.Installed)
	now := last
	if last.Number != offer.Number || last.Version != offer.Version {
		now = Report{Number: offer.Number, Version: offer.Version}
	}
	due, err := b.look(offer, &now)
	if err != nil {
		return now, err
	}
	if due {
		err = b.take(ctx, offer, &now)
	}
	if now != last {
		err = errors.Join(err, save(b.Installed, now))
	}
	return now, err
}

// StepAndSay is Step for a command: it says how the board stands to an offer.
func (b *Board) StepAndSay(ctx context.Context, say func(format string, args ...any)) error {
	r, err := b.Step(ctx)
	if r.State != "" {
		say("%s", strings.TrimSuffix("version "+r.Version+", which the cloud offers, is "+string(r.State)+": "+r.Reason, ": "))
	}
	return err
}

// look brings a report up to what the board is, and says whether the update is to be taken
// now.
func (b *Board) look(offer Offer, r *Report) (due bool, err error) {
	s, err := b.Installed.Report()
	if err != nil {
		return false, err
	}
	settled := s.Phase == update.Idle && !s.Trial
	if s.Bundle != nil {
		settled = settled && s.Bundle.Phase == update.Idle && !s.Bundle.Trial
	}
	if offer.Bundle != "" {
		if s = s.Bundle; s == nil {
			s = new(install.State) // it was never updated
		}
	}
	switch {
	case settled && s.Version == offer.Version:
		r.end(Installed, "")
	case settled && offer.Bundle != "" && b.Installed.Models.InUse() == offer.Bundle:
		r.end(Installed, "")
	case settled && r.State == Installed:
		r.end(Refused, "it was installed, and taken back here")
	case r.Final:
	case !settled && r.State == Trying:
	case !settled:
		r.set(Waiting, "another update is on the way here")
	case r.State == Trying:
		r.end(Failed, didNotStick(s, offer))
	case !b.Allowed:
		r.set(Refused, "update.from_cloud is false here")
	case !offer.Open(b.Now()):
		r.set(Waiting, "for "+clock(offer.From)+" here")
	default:
		return !b.Now().Before(r.Next), nil
	}
	return false, nil
}

func didNotStick(s *install.State, offer Offer) string {
	if s.Last != nil && s.Last.Version.String() == offer.Version && s.Last.Reason != "" {
		return s.Last.Reason
	}
	return "another version was started in its place"
}

// take installs the update, and has it be tried.
func (b *Board) take(ctx context.Context, offer Offer, r *Report) error {
	at := offer.address(b.Installed)
	if err := CheckURL(at); err != nil { // a path would be of this board
		r.end(Refused, err.Error())
		return nil
	}
	p := b.Installed.Policy(b.Keys, false)
	p.Now = b.Now()
	look := b.Installed.Look
	if offer.Bundle != "" {
		look = b.Installed.LookForAll
	}
	found, err := look(ctx, p, at)
	if err != nil {
		return err
	}
	c := found[0]
	if offer.Bundle != "" && c.Manifest != nil && c.Manifest.Kind != manifest.Bundle {
		r.end(Refused, "no model bundle is at the address")
		return nil
	}
	if c.Manifest != nil && c.Manifest.Version.String() != offer.Version {
		other := fmt.Errorf("version %s is at the address", c.Manifest.Version)
		if want, err := manifest.ParseVersion(offer.Version); err == nil && c.Manifest.Version.Compare(want) < 0 {
			return r.again(other, b.Now()) // it is still to be published
		}
		r.end(Refused, other.Error())
		return nil
	}
	if refusal := (*manifest.Refusal)(nil); errors.As(c.Err, &refusal) {
		switch refusal.Reason {
		case manifest.Installed:
			r.end(Installed, "")
			return nil
		case manifest.Forged, manifest.Malformed, manifest.Unsigned:
			if r.Tries < mostUnreadable {
				return r.again(refusal, b.Now())
			}
		}
		r.end(Refused, refusal.Error())
		return nil
	}
	if c.Err != nil {
		return r.again(c.Err, b.Now())
	}
	if offer.Bundle != "" {
		// Workers serve the bundle with that id: with another one this board would be alone.
		switch id, err := b.Installed.Models.Brings(ctx, c.Manifest, c.Source); {
		case errors.Is(err, install.ErrNoBundle):
			r.end(Refused, err.Error())
			return nil
		case err != nil:
			return r.again(err, b.Now())
		case id != offer.Bundle:
			r.end(Refused, fmt.Sprintf("another bundle is at the address, with the id %.12s, than the cloud offers, which is %.12s", id, offer.Bundle))
			return nil
		}
	}
	r.set(Fetching, "")
	if err := save(b.Installed, *r); err != nil {
		return err
	}
	attempt, err := b.Installed.Apply(ctx, c.Manifest, c.Source, nil)
	if err != nil {
		return r.again(err, b.Now())
	}
	// What is started may end this process at once.
	r.set(Trying, "")
	if err := save(b.Installed, *r); err != nil {
		return err
	}
	return b.Try(attempt)
}

func (r *Report) set(s State, reason string) { r.State, r.Reason = s, reason }

func (r *Report) end(s State, reason string) {
	r.set(s, reason)
	r.Final, r.Tries, r.Next = true, 0, time.Time{}
}

// again has the update be fetched later; what was fetched is gone on with.
func (r *Report) again(err error, now time.Time) error {
	r.set(Failed, err.Error())
	r.Next = now.Add(min(shortestWait<<min(r.Tries, 10), longestWait)).UTC()
	r.Tries++
	return err
}
