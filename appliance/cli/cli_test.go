package cli

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	var b strings.Builder
	Table(&b, []string{"NAME", "SIZE", "N"}, []string{"größer", "1.5 MB", "7"}, []string{"a\x1b[2J", "10 kB", "12"}, []string{"", "9 B", "1"})
	want := "NAME      SIZE   N\ngrößer  1.5 MB   7\na?[2J    10 kB  12\n-          9 B   1\n"
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
}

func TestUsage(t *testing.T) {
	err := Usagef("--n is %d: %w", 3, io.EOF)
	var e *CodeError
	if !errors.As(err, &e) || e.Code != ExitUsage || !errors.Is(err, io.EOF) || err.Error() != "--n is 3: EOF" {
		t.Errorf("%#v", err)
	}
}
