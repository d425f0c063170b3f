package linkerr

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"skerry/cloudlink/wire"
)

// The errors of a link carry what the link and those who show it decide by, through
// everything that wraps them.
func TestLinkErrors(t *testing.T) {
	revoked := &RemoteError{Code: wire.CodeUnauthorized, Text: "device pi", Revoked: true}
	stranger := At("b:2", &UntrustedError{errors.New("x509: unknown authority")})
	silent := Lost("a:1", context.DeadlineExceeded)
	for name, c := range map[string]struct {
		err       error
		lost      bool
		permanent bool
		text      string // beside a:1
	}{
		"silence":           {silent, true, false, "context deadline exceeded"},
		"of a session":      {fmt.Errorf("session 7: %w", silent), true, false, "session 7: cloud a:1: connection to the cloud lost: context deadline exceeded"},
		"two transports":    {OfDials([]error{silent, Lost("a:1", errors.New("refused"))}), true, false, "context deadline exceeded; refused"},
		"twice the same":    {OfDials([]error{silent, silent}), true, false, "context deadline exceeded"},
		"another address":   {OfAddresses([]error{silent, Lost("c:3", errors.New("no route\n to host"))}), true, false, "context deadline exceeded; c:3: no route to host"},
		"a stranger":        {OfAddresses([]error{stranger}), false, true, "b:2: unauthorized: x509: unknown authority (do both use certificates of one CA?)"},
		"a stranger at one": {OfAddresses([]error{silent, stranger}), true, false, "context deadline exceeded; b:2: unauthorized: x509: unknown authority (do both use certificates of one CA?)"},
		"revoked":           {At("a:1", revoked), false, true, "cloud answers revoked: device pi"},
		"a breach":          {At("a:1", Breach("a second hello")), true, true, "the cloud breaks the protocol: a second hello"},
		"the budget":        {Lost("a:1", errors.New("byte budget: 5 MB are spent")), true, false, "byte budget: 5 MB are spent"},
		"nothing":           {nil, false, false, ""},
	} {
		if lost := errors.Is(c.err, ErrLost); lost != c.lost || IsPermanent(c.err) != c.permanent {
			t.Errorf("%s: lost %v, permanent %v", name, lost, IsPermanent(c.err))
		}
		if text := Explain(c.err, "a:1"); text != c.text {
			t.Errorf("%s: %q, want %q", name, text, c.text)
		}
	}
	if !errors.Is(fmt.Errorf("open session: %w", silent), context.DeadlineExceeded) || !errors.Is(At("a:1", revoked), ErrRevoked) {
		t.Error("the cause of a link's error is not in it")
	}
}

// Dials of which none failed have no error: who dials QUIC beside TCP takes one for a
// cloud that cannot be reached.
func TestNoDialFailed(t *testing.T) {
	if err := OfAddresses(nil); err != nil {
		t.Errorf("%#v", err)
	}
	if err := OfDials(nil); err != nil {
		t.Errorf("%#v", err)
	}
}

// TestPrintable keeps what a cloud says off the terminal's commands.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "a\x1b[2Jb": "a [2Jb", "two\nlines\r\x00": "two lines  ", "größer": "größer", "abcdefgh": "abcde…",
	} {
		most := 100
		if in == "abcdefgh" {
			most = 5
		}
		if got := Printable(in, most); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
