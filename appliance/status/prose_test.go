package status

import (
	"errors"
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"a b c", 3, "a b|c"}, {"", 5, ""}, {"longer than it", 4, "longer|than|it"}, {"über uns", 8, "über uns"}, {"  a\n b ", 80, "a b"},
	} {
		if got := strings.Join(Wrap(c.text, c.width), "|"); got != c.want {
			t.Errorf("%q in %d: %q", c.text, c.width, got)
		}
	}
}

func TestPlural(t *testing.T) {
	for n, want := range map[int]string{0: "0 answers", 1: "1 answer", 2: "2 answers"} {
		if got := Plural(n, "answer"); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
	if one, two := Plural(1, "entry", "entries"), Plural(2, "entry", "entries"); one != "1 entry" || two != "2 entries" {
		t.Errorf("%q, %q", one, two)
	}
}

func TestOneLine(t *testing.T) {
	if got := OneLine(errors.New("a\n\tb  c ")); got != "a b c" {
		t.Errorf("%q", got)
	}
}

// What somebody else says of itself does nothing to a terminal.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{"": "-", "ok": "ok", "a\x1b[2Jb\n\u009bc": "a?[2Jb??c", "größer": "größer"} {
		if got := Printable(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
