package chat

import (
	"testing"

	"pgregory.net/rapid"
)

func TestThoughts(t *testing.T) {
	for _, one := range []struct {
		text            string
		open            bool
		thought, answer string
	}{
		{"<think>\nhm\n</think>\n\nyes", false, "hm", "yes"},
		{" \n<think>a<b</think>c</think>d", false, "a<b", "c</think>d"},
		{"<think>\n\n</think>\n\nyes", false, "", "yes"},
		{"no <think>x</think>", false, "", "no <think>x</think>"},
		{"<thin", false, "", "<thin"},
		{"  ", false, "", "  "},
		{"hm\n</think>yes", true, "hm", "yes"},
		{"cut in the midd", true, "cut in the midd", ""},
		{"cut in the end </thi", true, "cut in the end </thi", ""},
	} {
		rapid.Check(t, func(r *rapid.T) {
			p := NewThoughts(one.open)
			var thought, answer string
			for rest := one.text; rest != ""; {
				n := rapid.IntRange(1, len(rest)).Draw(r, "piece")
				more, text := p.Push(rest[:n], n == len(rest))
				thought, answer, rest = thought+more, answer+text, rest[n:]
			}
			if thought != one.thought || answer != one.answer {
				r.Fatalf("%q is thought %q and answer %q", one.text, thought, answer)
			}
		})
	}
	var none Thoughts
	if thought, answer := none.Push("<think>x", false); thought != "" || answer != "<think>x" {
		t.Errorf("of no thoughts: %q and %q", thought, answer)
	}
}

func FuzzThoughts(f *testing.F) {
	f.Add("<think>a</think>b", 3, false)
	f.Fuzz(func(t *testing.T, text string, cut int, open bool) {
		whole := NewThoughts(open)
		a, b := whole.Push(text, true)
		two := NewThoughts(open)
		n := min(max(cut, 0), len(text))
		c, d := two.Push(text[:n], false)
		e, g := two.Push(text[n:], true)
		if a != c+e || b != d+g {
			t.Errorf("%q: %q %q, cut at %d %q %q", text, a, b, n, c+e, d+g)
		}
	})
}
