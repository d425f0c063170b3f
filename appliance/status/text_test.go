package status_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"skerry/appliance/status"
	"skerry/appliance/status/statustest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestTextIsAsEver(t *testing.T) {
	for name, s := range statustest.All() {
		for _, width := range []int{80, 40} {
			var b bytes.Buffer
			if err := status.Text(&b, s, width); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", fmt.Sprintf("%s-%d.txt", name, width))
			if *update {
				if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.Bytes(), want) {
				t.Errorf("%s is not %s (go test -update writes it anew):\n%s", name, golden, b.String())
			}
		}
	}
}

// Whatever names are in the value, a terminal gets lines of its width and no
// control characters.
func TestTextIsSafeForATerminal(t *testing.T) {
	s := statustest.LinkDown()
	evil := "a\x1b[2J\x07\r\n\u202e\x00" + strings.Repeat("é", 300)
	s.Name, s.Link.Reason, s.Board.Model, s.Sessions[0].ID, s.Health[0].Do = evil, evil, evil, evil, evil
	s.Changes[0].Reason, s.Storage.Err, s.Model.Name = evil, evil, evil
	for _, width := range []int{0, 1, 40, 80, 200} {
		for name, render := range map[string]func(*bytes.Buffer) error{
			"text":  func(b *bytes.Buffer) error { return status.Text(b, s, width) },
			"ascii": func(b *bytes.Buffer) error { return status.ASCII(b, s, width) },
		} {
			var b bytes.Buffer
			if err := render(&b); err != nil {
				t.Fatal(err)
			}
			limit := max(width, 40)
			if width == 0 {
				limit = 80
			}
			for line := range strings.Lines(b.String()) {
				line = strings.TrimSuffix(line, "\n")
				if n := utf8.RuneCountInString(line); n > limit {
					t.Errorf("%s, width %d: %d characters: %q", name, width, n, line)
				}
				for _, r := range line {
					if r < ' ' || r == 0x7f || r == 0x202e || name == "ascii" && r > '~' {
						t.Fatalf("%s, width %d: %q in %q", name, width, r, line)
					}
				}
			}
		}
	}
}

// Models beside the one that is shown in full are set apart from their label, as all else is.
func TestTextOfSeveralModels(t *testing.T) {
	s := status.Status{Model: &status.Model{Name: "alpha", Bundle: "1"}, Models: []status.Model{{Name: "alpha", Bundle: "1"}, {Name: "beta", Bundle: "2"}}}
	var b bytes.Buffer
	if err := status.Text(&b, s, 80); err != nil || !strings.Contains(b.String(), "\nothers   beta, ") {
		t.Errorf("%v; the models are\n%s", err, b.String())
	}
}
