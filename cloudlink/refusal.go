package cloudlink

import (
	"errors"
	"slices"
	"time"

	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/wire"
)

// busyFor is how long a cloud that was busy, and said nothing of when to come back,
// counts as busy where nobody asks it again.
const busyFor = time.Minute

// Refusal is a no of the cloud that stands at present. The zero value says that there
// is none.
type Refusal struct {
	Code wire.Code // 0 for none
	// Untrusted says that it is the certificate that one side does not trust.
	Untrusted bool
	Revoked   bool              // a CodeUnauthorized of a device that was let in before
	Text      string            // what the cloud said, or why one side does not trust the other
	Bundles   []wire.BundleName // for CodeUnknownBundle: those it has
	until     time.Time         // it no longer counts; zero: until somebody asks again
}

// None reports whether nothing is refused.
func (r Refusal) None() bool { return r.Code == 0 }

// Word names the refusal in one or two words, as "busy"; "" for none.
func (r Refusal) Word() string {
	switch {
	case r.None():
		return ""
	case r.Revoked:
		return "revoked"
	}
	return r.Code.String()
}

// Lasting reports whether nothing can be asked over the link while the cloud says so.
// Other refusals are of a moment or of one conversation.
func (r Refusal) Lasting() bool {
	switch r.Code {
	case wire.CodeUnauthorized, wire.CodeUnknownBundle, wire.CodeProtocol, wire.CodeNotWhole:
		return true
	}
	return false
}

// refusalOf is the refusal that an error tells of, if it does.
// Beside is the address of the cloud that whoever shows the text names beside it.
func refusalOf(err error, beside string, now time.Time) (r Refusal) {
	var said *linkerr.RemoteError
	var untrusted *linkerr.UntrustedError
	switch {
	case errors.As(err, &said):
		r = Refusal{Code: said.Code, Revoked: said.Revoked, Text: said.Text, Bundles: said.Bundles}
		if said.Code == wire.CodeBusy {
			r.until = now.Add(max(said.RetryAfter, busyFor))
		}
	case errors.As(err, &untrusted):
		r = Refusal{Code: wire.CodeUnauthorized, Untrusted: true, Text: linkerr.Explain(err, beside)}
	}
	return r
}

// Want notes which bundle the cloud is to have, so that Refused tells of a cloud that
// lacks it before anything is asked.
func (l *Link) Want(bundle wire.Hash) {
	l.judge.mu.Lock()
	l.judge.wanted = bundle
	l.judge.mu.Unlock()
	l.judge.changed.Announce()
}

// Refused returns the cloud's no of now: that it does not let this board in, that it
// lacks the bundle wanted, as it said when it was connected to, or what it answered to
// the newest ask.
func (l *Link) Refused() Refusal {
	if st := l.Status(); !st.Connected {
		return refusalOf(st.Err, st.Addr, time.Now())
	}
	have, known := l.Bundles()
	j := l.judge
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case known && lacks(have, j.wanted):
		return Refusal{Code: wire.CodeUnknownBundle, Bundles: have}
	case !j.refusal.until.IsZero() && time.Now().After(j.refusal.until):
		j.refusal = Refusal{}
	}
	return j.refusal
}

// lacks reports whether a cloud with those bundles lacks the one that is wanted; it
// lacks none where none is.
func lacks(have []wire.BundleName, wanted wire.Hash) bool {
	return wanted != wire.Hash{} && !slices.ContainsFunc(have, func(b wire.BundleName) bool { return b.ID == wanted })
}
