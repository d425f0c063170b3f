package cloudnode

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// A bundle is rolled out to the workers first, each of which is started with it beside the ones
// that it has, and to boards then: a board that has a bundle which no worker serves would have to
// do alone until one does.

// servedBy says which bundles the workers that take boards serve.
type servedBy struct {
	workers int
	of      map[string][]string // names of workers, by the bundle's id in hexadecimal
	names   map[string]string   // of bundles, by id
}

func (s *servedBy) add(worker, id, name string) {
	if !slices.Contains(s.of[id], worker) {
		s.of[id] = append(s.of[id], worker)
	}
	s.names[id] = cmp.Or(s.names[id], name)
}

func (s *servedBy) count(id string) int { return len(s.of[id]) }

// served is what the workers serve, this one or those of the fleet.
func (r *registry) served() *servedBy {
	s := &servedBy{of: map[string][]string{}, names: map[string]string{}}
	if r.member == nil {
		if r.server != nil {
			s.workers = 1
			for _, b := range r.server.Served() {
				s.add("", hex.EncodeToString(b.ID[:]), b.Name)
			}
		}
		return s
	}
	for _, w := range r.member.fleet.Status().Workers {
		if w.Draining {
			continue
		}
		s.workers++
		for _, st := range w.Stages {
			s.add(w.Address, st.Bundle, st.Name)
		}
	}
	return s
}

// find is the id of the bundle that is served under a name, or has the id.
func (s *servedBy) find(name string) (id string, err error) {
	for known, is := range s.names {
		switch {
		case known == strings.ToLower(name):
			return known, nil
		case is != name:
		case id != "":
			return "", fmt.Errorf("%w: workers serve two bundles that are called %s: name the one that is meant by its id, %s or %s", ErrUpdate, name, id, known)
		default:
			id = known
		}
	}
	if id != "" {
		return id, nil
	}
	if b, err := hex.DecodeString(name); err == nil && len(b) == 32 {
		return strings.ToLower(name), nil
	}
	there := "they serve none"
	if len(s.names) > 0 {
		var all []string
		for _, n := range s.names {
			all = append(all, n)
		}
		slices.Sort(all)
		there = "they serve " + strings.Join(slices.Compact(all), ", ")
	}
	return "", fmt.Errorf("%w: no worker serves a bundle %.64q (%s): start workers with it first, or name it by its id, which skerry model inspect shows", ErrUpdate, name, there)
}

// ofBundle makes an offer that of a bundle.
func (r *registry) ofBundle(o *UpdateOffer, q UpdateRequest) error {
	o.Name = q.Bundle
	if q.Withdraw {
		return nil
	}
	served := r.served()
	id, err := served.find(q.Bundle)
	if err != nil {
		return err
	}
	o.Bundle, o.Name = id, cmp.Or(served.names[id], id[:12])
	o.Workers = cmp.Or(q.Workers, max((served.workers+1)/2, 1))
	return nil
}

// ready reports whether boards may be told of an offer: enough workers serve what it is of.
func (r *registry) ready(o UpdateOffer) bool {
	return o.Bundle == "" || r.served().count(o.Bundle) >= max(o.Workers, 1)
}

// progress says how many workers serve what an offer is of, for people.
func (o UpdateOffer) progress() string {
	if o.Serving < o.Workers {
		return fmt.Sprintf("%d of %d: boards wait", o.Serving, o.Workers)
	}
	return fmt.Sprintf("%d of %d", o.Serving, o.Workers)
}
