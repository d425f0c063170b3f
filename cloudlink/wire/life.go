package wire

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxStatus is the largest status, in bytes: one every five minutes is then at
// most 300 KB a day.
const MaxStatus = 1 << 10

// Status is what a board tells its cloud of itself every few minutes. Times are
// seconds, and counts are since the board's software started, except for the
// bytes, which are of the calendar month (UTC).
type Status struct {
	noBody
	Version   string            `cbor:"1,keyasint"`           // of the board's software
	Mode      string            `cbor:"2,keyasint"`           // as "collaborative"
	Health    string            `cbor:"3,keyasint"`           // "ok", or what is wrong, in a few words
	BytesUp   uint64            `cbor:"4,keyasint"`           // this month, headers of IP and UDP included
	BytesDown uint64            `cbor:"5,keyasint"`           // likewise
	Uptime    uint64            `cbor:"6,keyasint"`           // s
	Bundle    Hash              `cbor:"7,keyasint"`           // zero: none is loaded
	Tokens    map[string]uint64 `cbor:"8,keyasint,omitempty"` // said, by source: "exit1", "exit2", "cloud"
	Transport string            `cbor:"9,keyasint,omitempty"` // "quic" or "tcp"
	// Update says how the board stands to the cloud's offer; nil: it has none.
	Update *Offered `cbor:"10,keyasint,omitempty"`
}

// Ping wants a Pong at once. It shows that the link and the peer live.
type Ping struct {
	noBody
	Number uint64 `cbor:"1,keyasint"`
}

// Pong answers Ping.
type Pong struct {
	noBody
	Number uint64 `cbor:"1,keyasint"`
}

func (*Status) Type() Type { return TypeStatus }
func (*Ping) Type() Type   { return TypePing }
func (*Pong) Type() Type   { return TypePong }

// maxSources bounds how many sources of tokens a status may name.
const maxSources = 32

func (s *Status) setBody([]byte) error {
	if len(s.Tokens) > maxSources {
		return errors.New("too many sources of tokens")
	}
	return nil
}

// Encode returns s as the cloud keeps it: CBOR of at most MaxStatus bytes.
func (s *Status) Encode() ([]byte, error) {
	b, err := encMode.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode status: %w", err)
	}
	if len(b) > MaxStatus || len(s.Tokens) > maxSources {
		return nil, fmt.Errorf("encode status: %d bytes, at most %d, with %d sources of tokens, at most %d",
			len(b), MaxStatus, len(s.Tokens), maxSources)
	}
	return b, nil
}

// DecodeStatus is the inverse of Encode. Errors wrap ErrFrame.
func DecodeStatus(b []byte) (*Status, error) {
	if len(b) > MaxStatus {
		return nil, fmt.Errorf("%w: status of %d bytes, at most %d", ErrFrame, len(b), MaxStatus)
	}
	s := new(Status)
	if err := decMode.Unmarshal(bytes.Clone(b), s); err != nil {
		return nil, fmt.Errorf("%w: status: %v", ErrFrame, err)
	}
	if err := s.setBody(nil); err != nil {
		return nil, fmt.Errorf("%w: status: %v", ErrFrame, err)
	}
	return s, nil
}

// Fit cuts what the status says in words so that it can be encoded: what is
// longer than a list of boards shows, and of the sources of tokens those that
// said least.
func (s *Status) Fit() {
	s.Version, s.Mode, s.Health, s.Transport = cut(s.Version, 64), cut(s.Mode, 32), cut(s.Health, 300), cut(s.Transport, 16)
	if s.Update != nil {
		u := *s.Update
		u.Version, u.State, u.Reason = cut(u.Version, 64), cut(u.State, 16), cut(u.Reason, 200)
		s.Update = &u
	}
	names := slices.SortedFunc(maps.Keys(s.Tokens), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.Tokens[b], s.Tokens[a]), cmp.Compare(a, b))
	})
	said := s.Tokens
	s.Tokens = nil
	for _, name := range names {
		if len(name) > 32 || !utf8.ValidString(name) {
			continue
		}
		with := maps.Clone(s.Tokens)
		if with == nil {
			with = map[string]uint64{}
		}
		with[name] = said[name]
		larger := *s
		larger.Tokens = with
		if _, err := larger.Encode(); err != nil {
			return
		}
		s.Tokens = with
	}
}

// cut makes a text valid UTF-8 of at most n bytes, which CBOR wants of it.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
