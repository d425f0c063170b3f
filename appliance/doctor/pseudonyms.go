package doctor

import (
	"fmt"
	"skerry/appliance/status"
	"slices"
	"strings"
)

// pseudonyms stand for the names of sessions and clients, which people chose.
type pseudonyms map[string]string

func newPseudonyms(sessions []status.Session) pseudonyms {
	p := pseudonyms{}
	for _, s := range sessions {
		p.of("session", s.ID)
		p.of("client", s.Client)
	}
	return p
}

// of returns the name's, made at its first use.
func (p pseudonyms) of(kind, name string) string {
	if name == "" {
		return ""
	}
	key := kind + "\x00" + name
	if p[key] == "" {
		n := 1
		for k := range p {
			if strings.HasPrefix(k, kind+"\x00") {
				n++
			}
		}
		p[key] = fmt.Sprintf("%s-%d", kind, n)
	}
	return p[key]
}

func (p pseudonyms) status(s status.Status) status.Status {
	s.Sessions = slices.Clone(s.Sessions)
	for i := range s.Sessions {
		s.Sessions[i].ID, s.Sessions[i].Client = p.of("session", s.Sessions[i].ID), p.of("client", s.Sessions[i].Client)
	}
	return s
}

// record is a line of the log without names.
func (p pseudonyms) record(r status.Record) status.Record {
	r.Attrs = slices.Clone(r.Attrs)
	for i, a := range r.Attrs {
		for _, kind := range []string{"session", "client"} {
			if a.Key == kind || strings.HasSuffix(a.Key, "."+kind) {
				r.Attrs[i].Value = p.of(kind, a.Value)
			}
		}
	}
	return r
}
