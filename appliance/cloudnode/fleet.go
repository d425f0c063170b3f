package cloudnode

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
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
	// Bundle says that the update is of the model bundle that workers serve under this name,
	// or that has this id in hexadecimal; with Withdraw any name will do. Boards are told once so many
	// Workers serve it, 0 for half of those that live.
	Bundle  string `json:"bundle,omitempty"`
	Workers int    `json:"workers,omitempty"`
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
	// Bundle is the id, in hexadecimal, of the model bundle that the update is of, and
	// Name what it is called; "" where it is of the program.
	Bundle string `json:"bundle,omitempty"`
	Name   string `json:"name,omitempty"`
	// Workers are how many have to serve the bundle before boards are told, and Serving how
	// many do.
	Workers int `json:"workers,omitempty"`
	Serving int `json:"serving,omitempty"`
	// Withdrawn offers are kept, so that no worker takes them for new.
	Withdrawn bool `json:"withdrawn,omitempty"`
}

// key is the offer's in the file: a ring may be offered a program and a bundle.
func (o UpdateOffer) key() string {
	if o.Bundle == "" && o.Name == "" {
		return o.Ring
	}
	return o.Ring + bundleOffer
}

// bundleOffer ends the keys of offers of bundles.
const bundleOffer = "/bundle"

// offerRecord is the offer of a ring in the file.
type offerRecord struct {
	Format    int       `cbor:"0,keyasint,omitempty"`
	Number    uint64    `cbor:"1,keyasint"`
	Version   string    `cbor:"2,keyasint"`
	URL       string    `cbor:"3,keyasint"`
	Window    string    `cbor:"4,keyasint,omitempty"`
	Made      time.Time `cbor:"5,keyasint"`
	Bundle    string    `cbor:"6,keyasint,omitempty"`
	Name      string    `cbor:"7,keyasint,omitempty"`
	Workers   int       `cbor:"8,keyasint,omitempty"`
	Withdrawn bool      `cbor:"9,keyasint,omitempty"`
}

func (o UpdateOffer) record() offerRecord {
	return offerRecord{recordVersion, o.Number, o.Version, o.URL, o.Window, utc(o.Made), o.Bundle, o.Name, o.Workers, o.Withdrawn}
}

func (r offerRecord) offer(key string) UpdateOffer {
	ring, _ := strings.CutSuffix(key, bundleOffer)
	return UpdateOffer{
		Ring: ring, Version: r.Version, URL: r.URL, Window: r.Window, Made: r.Made, Number: r.Number,
		Bundle: r.Bundle, Name: r.Name, Workers: r.Workers, Withdrawn: r.Withdrawn,
	}
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
		if err := s.keepRing(ring, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *DeviceStore) keepRing(ring, device string) error {
	if ring == AllRing {
		return s.Keep(ringBucket.Delete(device))
	}
	return s.Keep(ringBucket.Put(device, ring))
}

// Ring is the one that a board was put into, AllRing for none.
func (s *DeviceStore) Ring(device string) (string, error) {
	ring, ok, err := ringBucket.Get(s.Store, device)
	if !ok {
		ring = AllRing
	}
	return ring, err
}

// PutOffer keeps what a ring is offered, in place of what it was before, or that it was taken
// back. Its number is above all others, also of a database that is lost.
func (s *DeviceStore) PutOffer(o UpdateOffer, now time.Time) error {
	all, err := s.allOffers()
	if err != nil {
		return err
	}
	return s.takeOffers([]UpdateOffer{numbered(o, all, now)})
}

// numbered is an offer with a number above all others.
func numbered(o UpdateOffer, all []UpdateOffer, now time.Time) UpdateOffer {
	o.Made, o.Number = utc(now), uint64(max(now.Unix(), 1))
	for _, other := range all {
		o.Number = max(o.Number, other.Number+1)
	}
	return o
}

// takeOffers keeps those that are newer than what is kept.
func (s *DeviceStore) takeOffers(all []UpdateOffer) error {
	for _, o := range all {
		was, ok, err := offerBucket.Get(s.Store, o.key())
		if err == nil && ok && was.Number >= o.Number {
			continue
		}
		if err == nil {
			err = s.Keep(offerBucket.Put(o.key(), o.record()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// allOffers are those of all rings, by their names, with those that were taken back.
func (s *DeviceStore) allOffers() (all []UpdateOffer, err error) {
	list, err := offerBucket.All(s.Store, "")
	for _, e := range list {
		all = append(all, e.Record.offer(e.Key))
	}
	return all, err
}

// Offers are those of all rings, by their names.
func (s *DeviceStore) Offers() ([]UpdateOffer, error) {
	all, err := s.allOffers()
	return slices.DeleteFunc(all, func(o UpdateOffer) bool { return o.Withdrawn }), err
}

// Offer is what a board is told of: the newest version of its ring's offer and that of all; nil
// for none. One of a bundle comes once the board has the offered program, so that each is tried
// alone, and once ready says that it may be told.
func (s *DeviceStore) Offer(device string, ready func(UpdateOffer) bool) (*wire.Offer, error) {
	program, err := s.newest(device, "")
	if err != nil {
		return nil, err
	}
	bundle, err := s.newest(device, bundleOffer)
	if err != nil || bundle == nil || !ready(*bundle) {
		return program.wire(), err
	}
	if program != nil {
		runs, err := s.runs(device)
		if want, e := manifest.ParseVersion(program.Version); err != nil || e != nil || runs.Compare(want) < 0 {
			return program.wire(), err
		}
	}
	return bundle.wire(), nil
}

// newest is the offer of the newest version to a board's ring and to all, of which the keys end so.
func (s *DeviceStore) newest(device, suffix string) (best *UpdateOffer, err error) {
	ring, err := s.Ring(device)
	if err != nil {
		return nil, err
	}
	var newest manifest.Version
	for _, of := range slices.Compact([]string{ring, AllRing}) {
		r, ok, err := offerBucket.Get(s.Store, of+suffix)
		if err != nil {
			return nil, err
		}
		v, e := manifest.ParseVersion(r.Version)
		if !ok || r.Withdrawn || e != nil || best != nil && v.Compare(newest) <= 0 {
			continue
		}
		o := r.offer(of + suffix)
		best, newest = &o, v
	}
	return best, nil
}

// runs is the version of the program that a board said it has.
func (s *DeviceStore) runs(device string) (manifest.Version, error) {
	last, ok, err := seenBucket.Get(s.Store, device)
	if err != nil || !ok {
		return manifest.Version{}, err
	}
	st, err := wire.DecodeStatus(last.Status)
	if err != nil {
		return manifest.Version{}, nil
	}
	v, _ := manifest.BuiltVersion(st.Version)
	return v, nil
}

// wire is the offer as a board is told of it, nil for none.
func (o *UpdateOffer) wire() *wire.Offer {
	if o == nil {
		return nil
	}
	w := &wire.Offer{Number: o.Number, Version: o.Version, URL: o.URL, Ring: o.Ring}
	if from, until, err := fleet.ParseWindow(o.Window); err == nil {
		w.From, w.Until = uint64(from), uint64(until)
	}
	if id, err := hex.DecodeString(o.Bundle); err == nil && len(id) == len(w.Bundle) {
		w.Bundle = wire.Hash(id)
	}
	return w
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
	case q.Workers < 0 || q.Workers > 0 && (q.Bundle == "" || q.Withdraw):
		return fmt.Errorf("%w: workers are counted for the offer of a bundle, from 1 up: name it with --bundle", ErrUpdate)
	case !offers && q.Bundle != "" && !q.Withdraw:
		return fmt.Errorf("%w: a bundle is named for an offer: give its version and address too", ErrUpdate)
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

// offerStore keeps what boards are offered: of one worker, or of all.
type offerStore interface {
	PutRing(ring string, devices ...string) error
	PutOffer(o UpdateOffer, now time.Time) error
}

// offers is the record of what boards are offered.
func (r *registry) offers() offerStore {
	if r.member != nil {
		return r.member.store
	}
	return r.store
}

// Update does what is asked, and returns what is offered then.
func (r *registry) Update(_ context.Context, q UpdateRequest) ([]UpdateOffer, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	o := UpdateOffer{Ring: q.Ring, Version: q.Version, URL: q.URL, Window: q.Window, Withdrawn: q.Withdraw}
	if q.Bundle != "" {
		if err := r.ofBundle(&o, q); err != nil {
			return nil, err
		}
	}
	err := r.offers().PutRing(q.Ring, q.Put...)
	if err == nil && (q.Withdraw || q.Version != "") {
		err = r.offers().PutOffer(o, r.Now())
	}
	if err != nil {
		return nil, err
	}
	return r.offered()
}

// offered is what boards are offered, with how many workers serve each bundle.
func (r *registry) offered() ([]UpdateOffer, error) {
	all, err := r.store.Offers()
	served := r.served()
	for i := range all {
		if all[i].Bundle != "" {
			all[i].Serving = served.count(all[i].Bundle)
		}
	}
	return all, err
}

// shownOffers is offered beside other things, which are shown all the same.
func (r *registry) shownOffers() []UpdateOffer {
	all, err := r.offered()
	if err != nil {
		r.Log.Warn("what boards are offered is not shown", "err", err)
	}
	return all
}

// Update asks the running cloud.
func (r *remote) Update(ctx context.Context, q UpdateRequest) ([]UpdateOffer, error) {
	list, err := opUpdate.Call(ctx, r.client, q)
	return list, r.said(err)
}
