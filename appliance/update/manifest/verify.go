package manifest

import (
	"fmt"
	"time"

	"aead.dev/minisign"
)

// Policy is what a board holds an update against.
type Policy struct {
	// Keys are the public keys, as minisign writes them, that may sign. Two while keys
	// change: the old one and its successor.
	Keys []string
	// Kind is what is to be replaced; Board and Arch are this board's.
	Kind, Board, Arch string
	// Installed is what is there now, nil where its version is not known.
	Installed *Version
	// AllowDowngrade is set where the user has said so: an older version, or the same
	// again, is taken then.
	AllowDowngrade bool
	// Now is the board's clock. Boards without a battery start in the past, so it counts
	// as no earlier than NotBefore.
	Now time.Time
	// NotBefore is the latest time that is certain to have passed: when the program was
	// built, or when the last update that was taken was made.
	NotBefore time.Time
}

// Open verifies the signature of a manifest, reads it and holds it against the policy.
// The manifest is returned with a refusal too, once its signature is good. Errors are a
// *Refusal, or of a policy without usable keys.
func Open(text, signature []byte, p Policy) (*Manifest, error) {
	if err := verify(text, signature, p.Keys); err != nil {
		return nil, err
	}
	m, err := Parse(text)
	if err != nil {
		return nil, err
	}
	return m, p.admit(m)
}

func verify(text, signature []byte, keys []string) error {
	const official = "take the update from where it is published"
	if len(text) > MaxSize || len(signature) > MaxSignature {
		return malformed("it or its signature is too large")
	}
	if len(signature) == 0 {
		return &Refusal{Unsigned, "the update has no signature " + SignatureFile, official}
	}
	if len(keys) == 0 {
		return &Refusal{UnknownKey, "no key is known that updates may be signed with",
			"put the publisher's public key, as minisign prints it, into /etc/skerry/update.pub"}
	}
	var s minisign.Signature
	if err := s.UnmarshalText(signature); err != nil {
		return &Refusal{Malformed, "the signature " + SignatureFile + " cannot be read", official}
	}
	for _, text64 := range keys {
		var key minisign.PublicKey
		if err := key.UnmarshalText([]byte(text64)); err != nil {
			return fmt.Errorf("the public key %.80q cannot be read: give it as minisign prints it", text64)
		}
		if key.ID() != s.KeyID {
			continue
		}
		if !minisign.Verify(key, text, signature) {
			return &Refusal{Forged, fmt.Sprintf("the signature does not belong to this manifest, though it names the key %016X", s.KeyID), official}
		}
		return nil
	}
	return &Refusal{UnknownKey, fmt.Sprintf("the update is signed by the key %016X, which this board does not trust", s.KeyID),
		official + ", or install the version between by hand where the publisher has changed keys"}
}

// admit holds a manifest whose signature is good against the policy.
func (p *Policy) admit(m *Manifest) error {
	now := p.Now
	if now.Before(p.NotBefore) {
		now = p.NotBefore
	}
	switch {
	case m.Kind != p.Kind:
		return &Refusal{WrongKind, fmt.Sprintf("the update is of a %s, not of a %s", m.Kind, p.Kind), "take the one that is for a " + p.Kind}
	case m.Board != "any" && m.Board != p.Board:
		return &Refusal{WrongBoard, fmt.Sprintf("the update is for boards of the kind %s, and this is %s", m.Board, p.Board), "take the one for " + p.Board}
	case m.Arch != "any" && m.Arch != p.Arch:
		return &Refusal{WrongArch, fmt.Sprintf("the update is for %s processors, and this is %s", m.Arch, p.Arch), "take the one for " + p.Arch}
	case !now.Before(m.Expires):
		return &Refusal{Expired, fmt.Sprintf("the update has expired on %s, and here it is %s", m.Expires.UTC().Format(time.DateOnly), now.UTC().Format(time.DateOnly)),
			"take a newer one, or set the clock where the date is wrong"}
	}
	return p.admitVersion(m)
}

func (p *Policy) admitVersion(m *Manifest) error {
	const insist = "allow a downgrade to install it nevertheless"
	if p.Installed == nil {
		if p.AllowDowngrade {
			return nil
		}
		return &Refusal{Downgrade, "the installed version is not known, so that the update may be older", insist}
	}
	if m.Minimum != nil && p.Installed.Compare(*m.Minimum) < 0 {
		return &Refusal{TooOld, fmt.Sprintf("version %s can be installed over %s and newer only, and this is %s", m.Version, m.Minimum, p.Installed),
			fmt.Sprintf("install %s first", m.Minimum)}
	}
	if p.AllowDowngrade {
		return nil
	}
	switch c := m.Version.Compare(*p.Installed); {
	case c == 0:
		return &Refusal{Installed, fmt.Sprintf("version %s is installed already", m.Version), "nothing is to be done, or " + insist}
	case c < 0:
		return &Refusal{Downgrade, fmt.Sprintf("version %s is older than %s, which is installed", m.Version, p.Installed), insist}
	}
	return nil
}
