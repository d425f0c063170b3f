package quality

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	_ "skerry/build/testseed" // of rapid
)

func TestNormalize(t *testing.T) {
	for said, want := range map[string]string{
		"The  Answer, is: 42!":  "answer is 42",
		"an apple a day":        "apple day",
		"Theatre\tand\nanother": "theatre and another",
		"  ":                    "",
		"It's 5 €":              "its 5",
		"ÄPFEL – und “Birnen”":  "äpfel und birnen",
		"a the an":              "",
		"state-of-the-art":      "stateoftheart",
		"(a) one; (b) two":      "one b two",
	} {
		if got := normalize(said); got != want {
			t.Errorf("%q is %q, want %q", said, got, want)
		}
	}
}

func TestRougeL(t *testing.T) {
	for _, c := range []struct {
		candidate, reference string
		want                 float64
	}{
		// The example of Lin's paper: of four words the first shares three in order with the
		// reference, the second two.
		{"police kill the gunman", "police killed the gunman", 0.75},
		{"the gunman kill police", "police killed the gunman", 0.5},
		{"a b c", "a b c", 1},
		{"A, b! C?", "a b c", 1},
		{"x", "y", 0},
		{"", "a", 0},
		{"a", "", 0},
		{"...", "...", 0},
		{"b a", "a", 2.0 / 3},
		{"der Übung halber", "die übung", 2.0 / 5},
	} {
		if got := rougeL(c.candidate, c.reference); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%q against %q: %g, want %g", c.candidate, c.reference, got, c.want)
		}
	}
}

// Against the definition itself: the longest of all subsequences of one that are one of the
// other.
func TestCommonSubsequence(t *testing.T) {
	word := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 9)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		want := 0
		for mask := range 1 << len(a) {
			n, at := 0, 0
			for i, w := range a {
				if mask>>i&1 == 0 {
					continue
				}
				for at < len(b) && b[at] != w {
					at++
				}
				if at == len(b) {
					n = -1
					break
				}
				n, at = n+1, at+1
			}
			want = max(want, n)
		}
		if got := commonSubsequence(a, b); got != want {
			t.Fatalf("%d, want %d", got, want)
		}
	})
}

func TestScore(t *testing.T) {
	free := Item{References: []string{"in Kirk", "Kirk"}}
	yes := Item{References: []string{"yes"}}
	labels := []string{"yes", "no"}
	for _, c := range []struct {
		m      Metric
		i      Item
		labels []string
		said   string
		want   float64
	}{
		{ExactMatch, free, nil, "Kirk.", 1},
		{ExactMatch, free, nil, "in the Kirk", 1},
		{ExactMatch, free, nil, "in Kirk, 1901", 0},
		{RougeL, free, nil, "Kirk", 1}, // the better of 1 and 2/3
		{RougeL, free, nil, "Born in Kirk", 0.8},
		{Accuracy, yes, labels, "Yes, it is. No doubt.", 1},
		{Accuracy, yes, labels, "No. Or yes.", 0},
		{Accuracy, yes, labels, "**YES**", 1},
		{Accuracy, yes, labels, "nothing yesterday", 0},
		{Accuracy, yes, labels, "", 0},
	} {
		if got := score(c.m, c.i, c.labels, c.said); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s of %q: %g, want %g", c.m, c.said, got, c.want)
		}
	}
}

func TestProgramOf(t *testing.T) {
	for name, c := range map[string]struct{ said, want string }{
		"plain":          {"def f(): pass", "def f(): pass"},
		"fenced":         {"Here:\n```python\ndef f():\n    pass\n```\nIt passes.", "def f():\n    pass\n"},
		"cut off":        {"```python\ndef f():\n    pa", "def f():\n    pa"},
		"usage first":    {"```sh\npip install x\n```\n```\ndef f(): 1\n```", "def f(): 1\n"},
		"no definition":  {"```py\nf = abs\n```", "f = abs\n"},
		"nothing fenced": {"``````", ""},
		"open at once":   {"x```", ""},
	} {
		if got := programOf(c.said); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func FuzzProgramOf(f *testing.F) {
	f.Add("```python\ndef f(): 1\n```")
	f.Fuzz(func(t *testing.T, said string) {
		if p := programOf(said); !strings.Contains(said, p) {
			t.Errorf("%q is no part of %q", p, said)
		}
	})
}
