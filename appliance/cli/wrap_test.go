package cli

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
)

// shown is what a terminal shows of what was printed, its colours aside.
func shown(printed string) string {
	var cells []rune // of the line; what follows a wide character is 0
	var all strings.Builder
	at := 0
	endLine := func() { all.WriteString(strings.ReplaceAll(string(cells), "\x00", "")) }
	for i, runes := 0, []rune(printed); i < len(runes); i++ {
		switch r := runes[i]; {
		case r == '\n':
			endLine()
			all.WriteByte('\n')
			cells, at = nil, 0
		case r == '\b':
			at--
		case r == '\x1b':
			for i++; runes[i] != 'm' && runes[i] != 'K'; i++ {
			}
			if runes[i] == 'K' {
				cells = cells[:at]
			}
		default:
			cells = append(cells[:at], r)
			if runewidth.RuneWidth(r) == 2 {
				cells = append(cells, 0)
			}
			at = len(cells)
		}
	}
	endLine()
	return all.String()
}

func TestWordsStayWhole(t *testing.T) {
	for _, c := range []struct {
		text    string
		columns int
		want    string
	}{
		{"The keeper counts the ships that passed", 20, "The keeper counts \nthe ships that \npassed"},
		{"one two\n\nthree", 20, "one two\n\nthree"},
		{"short and incomprehensibilities_all_over", 20, "short and \nincomprehensibilities_all_over"},
		{"```\nfor i := range 10 { fmt.Println(i) }\n```\nand then the words again", 20, "```\nfor i := range 10 { fmt.Println(i) }\n```\nand then the words \nagain"},
		{"    indented code is left as it is, too", 20, "    indented code is left as it is, too"},
		{"| a table | is left as it is, too |", 20, "| a table | is left as it is, too |"},
		{"灯台は船を 守るために あります", 20, "灯台は船を \n守るために あります"},
		{"anything that is long enough", 0, "anything that is long enough"},
		{"anything that is long enough", 19, "anything that is long enough"},
	} {
		// However it comes, and whoever says it, it looks the same.
		for seed := range uint64(20) {
			random := rand.New(rand.NewPCG(seed, 1))
			var w wrapper
			var out strings.Builder
			for rest := []rune(c.text); len(rest) > 0; {
				n := 1 + random.IntN(min(len(rest), 6))
				out.WriteString(w.add(string(rest[:n]), []string{"", "\x1b[32m", "\x1b[36m"}[random.IntN(3)], c.columns))
				rest = rest[n:]
			}
			if got := shown(out.String()); got != c.want {
				t.Fatalf("%q in %d columns looks like\n%q, not\n%q (%q)", c.text, c.columns, got, c.want, out.String())
			}
		}
	}
}

// A word that moves to the next line keeps its colours.
func TestAWordThatMovesKeepsItsColours(t *testing.T) {
	var w wrapper
	got := w.add("sixteen columns  in", "\x1b[32m", 20) + w.add("side", "", 20)
	if want := "\x1b[32msixteen columns  in\x1b[0m\b\b\x1b[K\n\x1b[32min\x1b[0mside"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

// A line that is known whole is broken between words, and keeps its blanks.
func TestFolded(t *testing.T) {
	const line = "  /session   Say under which name it is kept."
	for columns, want := range map[int]string{
		0:  line,
		80: line,
		30: "  /session   Say under which\n             name it is kept.",
		24: "  /session   Say under\n             which name\n             it is\n             kept.",
		10: line,
	} {
		if got := folded(line, 13, columns); got != want {
			t.Errorf("%d columns: %q, not %q", columns, got, want)
		}
	}
	if got, want := folded("x https://a.long.address/that/fits/nowhere y", 0, 20), "x\nhttps://a.long.address/that/fits/nowhere\ny"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}
