package cloudnode

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"skerry/appliance/update/fleet"
	"skerry/appliance/update/manifest"
	"skerry/cloudlink/wire"
)

// AllRing is the ring of every board; one that was put into another is in both.
const AllRing = "all"

// UpdateRequest changes what boards are offered, or asks for it where it says nothing.
type UpdateRequest struct {
	Ring string `json:"ring,omitempty"` // "" stands for AllRing
	// Version and URL are of an update for the boards of the ring, and Window when they may
	// take it, as "02:00-04:00" by their own clocks; "" for any time.
	Version string `json:"version,omitempty"`
	URL     string `json:"url,omitempty"`
	Window  string `json:"window,omitempty"`
	// Withdraw takes the ring's offer back.
	Withdraw bool `json:"withdraw,omitempty"`
	// Put are boards that come into the ring.
	Put []string `json:"put,omitempty"`
}

// UpdateOffer is what the boards of a ring are told of.
type UpdateOffer struct {
	Ring    string    `json:"ring"`
	Version string    `json:"version"`
	URL     string    `json:"url"`
	Window  string    `json:"window,omitempty"`
	Made    time.Time `json:"made"`
	Number  uint64    `json:"number"`
}

// offerRecord is the offer of a ring in the file.
type offerRecord struct {
	Format  int       `cbor:"0,keyasint,omitempty"`
	Number  uint64    `cbor:"1,keyasint"`
	Version string    `cbor:"2,keyasint"`
	URL     string    `cbor:"3,keyasint"`
	Window  string    `cbor:"4,keyasint,omitempty"`
	Made    time.Time `cbor:"5,keyasint"`
}

var aRing = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// ErrUpdate is wrapped by what is wrong with an offer.
var ErrUpdate = errors.New("no update is offered")

// PutRing puts boards, which are enrolled, into a ring. An error wraps trust.ErrUnknown.
func (s *DeviceStore) PutRing(ring string, devices ...string) error {
	for _, name := range devices {
		if _, ok, err := deviceBucket.Get(s.Store, name); err != nil || !ok {
			return errors.Join(err, unknown(name))
		}
	}
	for _, name := range devices {
		change := ringBucket.Put(name, ring)
		if ring == AllRing {
			change = ringBucket.Delete(name)
		}
		if err := s.Keep(change); err != nil {
			return err
		}
	}
	return nil
}

// Ring is the one that a board was put into, AllRing for none.
func (s *DeviceStore) Ring(device string) (string, error) {
	ring, ok, err := ringBucket.Get(s.Store, device)
	if !ok {
		ring = AllRing
	}
	return ring, err
}

// PutOffer keeps what a ring is offered, in place of what it was before. Its number is above
// all others, also of a database that is lost.
func (s *DeviceStore) PutOffer(o UpdateOffer, now time.Time) error {
	all, err := s.Offers()
	if err != nil {
		return err
	}
	number := uint64(max(now.Unix(), 1))
	for _, other := range all {
		number = max(number, other.Number+1)
	}
	return s.Keep(offerBucket.Put(o.Ring, offerRecord{recordVersion, number, o.Version, o.URL, o.Window, utc(now)}))
}

// DropOffer takes back what a ring is offered.
func (s *DeviceStore) DropOffer(ring string) error { return s.Keep(offerBucket.Delete(ring)) }

// Offers are those of all rings, by their names.
func (s *DeviceStore) Offers() (all []UpdateOffer, err error) {
	list, err := offerBucket.All(s.Store, "")
	for _, e := range list {
		r := e.Record
		all = append(all, UpdateOffer{e.Key, r.Version, r.URL, r.Window, r.Made, r.Number})
	}
	return all, err
}

// Offer is what a board is told of: the newest version of its ring's offer and that of all;
// nil for none.
func (s *DeviceStore) Offer(device string) (*wire.Offer, error) {
	ring, err := s.Ring(device)
	if err != nil {
		return nil, err
	}
	var best *wire.Offer
	var newest manifest.Version
	for _, of := range slices.Compact([]string{ring, AllRing}) {
		r, ok, err := offerBucket.Get(s.Store, of)
		if err != nil {
			return nil, err
		}
		v, e := manifest.ParseVersion(r.Version)
		if !ok || e != nil || best != nil && v.Compare(newest) <= 0 {
			continue
		}
		from, until, err := fleet.ParseWindow(r.Window)
		if err != nil {
			return nil, err
		}
		newest = v
		best = &wire.Offer{Number: r.Number, Version: r.Version, URL: r.URL, Ring: of, From: uint64(from), Until: uint64(until)}
	}
	return best, nil
}

// check says what is wrong with a request, and fills in what it leaves out.
func (q *UpdateRequest) check() error {
	if q.Ring == "" {
		q.Ring = AllRing
	}
	offers := q.Version != "" || q.URL != ""
	switch {
	case !aRing.MatchString(q.Ring):
		return fmt.Errorf("%w: %.40q is no name of a ring: use up to 32 small letters, digits and -", ErrUpdate, q.Ring)
	case offers && q.Withdraw:
		return fmt.Errorf("%w: it is to be offered and taken back at once: do one of both", ErrUpdate)
	case !offers && q.Window != "":
		return fmt.Errorf("%w: a window is of an offer: name its version and address too", ErrUpdate)
	case !offers:
		return nil
	}
	if _, err := manifest.ParseVersion(q.Version); err != nil {
		return fmt.Errorf("%w: %w", ErrUpdate, err)
	}
	if err := fleet.CheckURL(q.URL); err != nil {
		return fmt.Errorf("%w: %w", ErrUpdate, err)
	}
	if _, _, err := fleet.ParseWindow(q.Window); err != nil {
		return fmt.Errorf("%w: %w", ErrUpdate, err)
	}
	return nil
}

// Update does what is asked, and returns what is offered then.
func (r *registry) Update(_ context.Context, q UpdateRequest) ([]UpdateOffer, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	err := r.store.PutRing(q.Ring, q.Put...)
	switch {
	case err != nil:
		return nil, err
	case q.Withdraw:
		err = r.store.DropOffer(q.Ring)
	case q.Version != "":
		err = r.store.PutOffer(UpdateOffer{Ring: q.Ring, Version: q.Version, URL: q.URL, Window: q.Window}, r.Now())
	}
	if err != nil {
		return nil, err
	}
	return r.store.Offers()
}

// Update asks the running cloud.
func (r *remote) Update(ctx context.Context, q UpdateRequest) ([]UpdateOffer, error) {
	list, err := opUpdate.Call(ctx, r.client, q)
	return list, r.said(err)
}
