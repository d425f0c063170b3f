package cloudnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"skerry/cloudlink/fleet"
)

// What boards are offered, and which rings they are in, is the same at all workers: the offers are
// one record, so that their numbers grow whichever worker makes them, and rings are one each board.

const (
	offersKind = "offers"
	ringKind   = "ring" // by device
	offersName = "all"

	// mostOffers bounds what is read as a list of them.
	mostOffers = 1 << 20
)

var errOffers = errors.New("no list of offers")

// decodeOffers reads the record of offers, of which there are none in an empty one.
func decodeOffers(b []byte) (all []UpdateOffer, err error) {
	if len(b) == 0 {
		return nil, nil
	}
	if len(b) > mostOffers {
		return nil, errOffers
	}
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, errors.Join(errOffers, err)
	}
	for _, o := range all {
		if !aRing.MatchString(o.Ring) {
			return nil, fmt.Errorf("%w: a ring %.40q", errOffers, o.Ring)
		}
	}
	return all, nil
}

// merged has of each key the newest offer.
func merged(lists ...[]UpdateOffer) (all []UpdateOffer) {
	for _, o := range slices.Concat(lists...) {
		o.Serving = 0
		i := slices.IndexFunc(all, func(is UpdateOffer) bool { return is.key() == o.key() })
		switch {
		case i < 0:
			all = append(all, o)
		case o.Number > all[i].Number:
			all[i] = o
		}
	}
	return all
}

// PutOffer is DeviceStore.PutOffer at all workers.
func (s *sharedStore) PutOffer(o UpdateOffer, now time.Time) error {
	return s.changeOffers(func(all []UpdateOffer) []UpdateOffer {
		return merged(all, []UpdateOffer{numbered(o, all, now)})
	})
}

// changeOffers writes what f makes of the offers that the workers or this one know of.
func (s *sharedStore) changeOffers(f func([]UpdateOffer) []UpdateOffer) error {
	mine, err := s.allOffers()
	if err != nil {
		return err
	}
	var all []UpdateOffer
	err = s.late(func(ctx context.Context) error {
		return s.change(ctx, offersKind, offersName, func(old []byte) ([]byte, error) {
			there, err := decodeOffers(old)
			if err != nil {
				return nil, err
			}
			all = f(merged(there, mine))
			return json.Marshal(all)
		})
	})
	if err != nil {
		return err
	}
	return s.takeOffers(all)
}

func (s *sharedStore) hearOffers(v fleet.Record) error {
	all, err := decodeOffers(v.Value)
	if err != nil {
		return err
	}
	return s.takeOffers(all)
}

// tellOffers tells all workers of offers that this one alone knows, as of before there were others.
func (s *sharedStore) tellOffers(all []fleet.Record) {
	mine, err := s.allOffers()
	var there []UpdateOffer
	for _, v := range all {
		if known, e := decodeOffers(v.Value); e == nil {
			there = append(there, known...)
		}
	}
	newer := func(o UpdateOffer) bool {
		return !slices.ContainsFunc(there, func(is UpdateOffer) bool { return is.key() == o.key() && is.Number >= o.Number })
	}
	if err == nil && slices.ContainsFunc(mine, newer) {
		err = s.changeOffers(func(all []UpdateOffer) []UpdateOffer { return all })
	}
	if err != nil {
		s.log.Error("not all offers of updates that this worker knows are known to the others", "err", err)
	}
}

// PutRing is DeviceStore.PutRing at all workers.
func (s *sharedStore) PutRing(ring string, devices ...string) error {
	for _, name := range devices {
		if _, ok, err := deviceBucket.Get(s.Store, name); err != nil || !ok {
			return errors.Join(err, unknown(name))
		}
	}
	for _, name := range devices {
		err := s.late(func(ctx context.Context) error {
			return s.change(ctx, ringKind, name, func([]byte) ([]byte, error) { return []byte(ring), nil })
		})
		if err == nil {
			err = s.DeviceStore.PutRing(ring, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *sharedStore) hearRing(v fleet.Record) error {
	ring := string(v.Value)
	if !aRing.MatchString(ring) {
		return fmt.Errorf("a ring %.40q", ring)
	}
	if is, err := s.Ring(v.Name); err != nil || is == ring {
		return err
	}
	return s.keepRing(ring, v.Name)
}

// tellRings tells all workers of the rings that this one alone knows.
func (s *sharedStore) tellRings(all []fleet.Record) {
	there := map[string]bool{}
	for _, v := range all {
		there[v.Name] = true
	}
	list, err := ringBucket.All(s.Store, "")
	for _, e := range list {
		if err == nil && !there[e.Key] {
			err = s.late(func(ctx context.Context) error {
				_, err := s.fleet.Put(ctx, fleet.Record{Kind: ringKind, Name: e.Key, Value: []byte(e.Record)})
				return err
			})
			if errors.Is(err, fleet.ErrChanged) { // another worker has put it into one
				err = nil
			}
		}
	}
	if err != nil {
		s.log.Error("not all rings that this worker knows are known to the others", "err", err)
	}
}
