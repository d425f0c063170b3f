package grammar

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func matcher(t testing.TB, source string) *Matcher {
	t.Helper()
	g, err := Compile(source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	m, err := NewMatcher(g, nil)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return m
}

// matches feeds a text in pieces of n bytes.
func matches(t testing.TB, m *Matcher, text string, n int) bool {
	t.Helper()
	m.Truncate(0)
	for i := 0; i < len(text); i += n {
		ok, err := m.Accept([]byte(text[i:min(i+n, len(text))]))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if !ok {
			return false
		}
	}
	return m.Whole()
}

var texts = []struct {
	grammar string
	yes, no []string
}{
	{`root ::= "yes" | "no"`, []string{"yes", "no"}, []string{"", "y", "yesno", "maybe"}},
	{`root ::= "a"*`, []string{"", "a", "aaaa"}, []string{"b", "ab"}},
	{`root ::= ("a"?)* "b"`, []string{"b", "ab", "aaab"}, []string{"", "a"}},
	{`root ::= (("a"*)+ | "")* "b"`, []string{"b", "aab"}, []string{"a", "bb"}},
	{`root ::= (("a" | "a") | "")? "b"{0,3}`, []string{"", "a", "bbb", "ab"}, []string{"aa", "bbbb"}},
	{`root ::= "a"{2} "b"{2,} "c"{1,3}`, []string{"aabbc", "aabbbbccc"}, []string{"abbc", "aabc", "aabbcccc"}},
	{`root ::= "a"{0} "b"`, []string{"b"}, []string{"ab"}},
	{`root ::= [^"\\\x00-\x1F]+`, []string{"é€😀", "a b", "\u007f"}, []string{"a\"", "\n", "\\", "\xff", "\xed\xa0\x80", "\xc0\x80"}},
	{`root ::= [а-яА-Я€😀]{2}`, []string{"да", "€😀"}, []string{"d", "д"}},
	{`root ::= . . "\u00e9" "\U0001F600"`, []string{"€xé😀"}, []string{"xé😀"}},
	{`root ::= [a\-z\]]+`, []string{"a-z]"}, []string{"b"}},
	{"root ::= a # first\n\n# a comment\na ::= (\"x\" |\n  \"y\")\n  \r\n", []string{"x", "y"}, []string{"z"}},
	{"root ::= list\nlist ::= \"(\" list* \")\"", []string{"()", "(()(()))"}, []string{"(", "())"}},
	{"root ::= root \"a\" | \"b\"", []string{"b", "baa"}, []string{"a", "ab"}},                // left recursion
	{"root ::= e\ne ::= e \"+\" e | \"1\"", []string{"1", "1+1+1+1"}, []string{"1+", "+1"}},   // ambiguous
	{"root ::= a b\na ::= b?\nb ::= c*\nc ::= \"x\" | a", []string{"", "xxx"}, []string{"y"}}, // nullable round about
	{"root ::= s\ns ::= \"a\" s | \"a\"", []string{"a", "aaaaaaaa"}, []string{"", "ab"}},      // right recursion
	{"root ::= s\ns ::= s s | \"a\" | \"\"", []string{"", "a", "aaaa"}, []string{"b"}},        // all of it
	{"root ::= \"a\" end\nend ::= | \"b\"\n", []string{"a", "ab"}, []string{"b"}},             // an empty alternative
	{"root ::= x\nx ::= \"no\"\nx ::= \"yes\"", []string{"yes"}, []string{"no"}},              // the last definition
	{`root ::= "[" ([0-9] ("," [0-9])*)? "]"`, []string{"[]", "[1]", "[1,2,3]"}, []string{"[,]", "[1,]"}},
}

func TestTexts(t *testing.T) {
	for _, c := range texts {
		m := matcher(t, c.grammar)
		for _, n := range []int{1, 2, 7} {
			for _, s := range c.yes {
				if !matches(t, m, s, n) {
					t.Errorf("%s: %q is refused, %d bytes at a time", c.grammar, s, n)
				}
			}
			for _, s := range c.no {
				if matches(t, m, s, n) {
					t.Errorf("%s: %q is accepted, %d bytes at a time", c.grammar, s, n)
				}
			}
		}
	}
}

func TestBadGrammars(t *testing.T) {
	for source, says := range map[string]string{
		"":                        "no rule root",
		`a ::= "b"`:               "no rule root",
		`root ::= a`:              "no rule a",
		`root ::= (`:              "a ) is wanted",
		`root ::= "a`:             "does not end",
		`root ::= [a`:             "does not end",
		`root ::= [a-`:            "does not end",
		`root = "a"`:              "::= is wanted",
		`root ::= "a"{`:           "a } is wanted",
		`root ::= "a"{3,1}`:       "no count",
		`root ::= "a"{9999}`:      "more than 2000",
		`root ::= "a"{x}`:         "no count",
		`root ::= "\q"`:           "no escape",
		`root ::= "\x4`:           "no escape",
		`root ::= "\xZZ"`:         "no character",
		"root ::= \"a\"\n= \"b\"": "line 2",
		`root ::= "a" )`:          "end of the line",
		"root ::= \"\xff\"":       "no UTF-8",
		`root ::= *`:              "end of the line",
		"root ::= " + strings.Repeat("(", 100_000):                            "nested deeper",
		`root ::= "a"` + strings.Repeat("*", 100_000):                         "nested deeper",
		`root ::= a{2000}` + "\na ::= " + strings.Repeat(`[a-z]{2000} `, 200): "too large",
		strings.Repeat(" ", maxText+1):                                        "too large",
	} {
		_, err := Compile(source)
		if err == nil || !strings.Contains(err.Error(), says) || says == "too large" && !errors.Is(err, ErrLarge) {
			t.Errorf("%.60q: %v, want %q", source, err, says)
		}
	}
}

// Runes by ranges of bytes are the runes of the range and no others.
func TestRangesOfBytes(t *testing.T) {
	in := func(lo, hi, r rune) bool {
		var b [utf8.UTFMax]byte
		n := utf8.EncodeRune(b[:], r)
		found := 0
		bytesOf(lo, hi, func(seq [][2]byte) {
			if len(seq) != n {
				return
			}
			for i, s := range seq {
				if b[i] < s[0] || b[i] > s[1] {
					return
				}
			}
			found++
		})
		if found > 1 {
			t.Errorf("%x-%x: %x is there %d times", lo, hi, r, found)
		}
		return found == 1
	}
	edges := []rune{0, 1, 0x7e, 0x7f, 0x80, 0xbf, 0xc0, 0x7ff, 0x800, 0x83f, 0xfff, 0x1000, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x1003f, 0x3ffff, 0x40000, 0x10fffe, 0x10ffff}
	for _, lo := range edges {
		for _, hi := range edges {
			for _, r := range edges {
				if got := in(lo, hi, r); got != (lo <= r && r <= hi) {
					t.Errorf("%x-%x: %x %v", lo, hi, r, got)
				}
			}
		}
	}
}

// The mask has just the tokens that may follow, in whatever state.
func TestMaskIsWhatIsAllowed(t *testing.T) {
	pieces := []string{"", "a", "aa", "aaa", "ab", "b", "\"", "\"a", "\"ab\"", "{", "{\"", "}", ",", "1", "12", "€", "\xe2", "\x82", "\xac", "\xe2\x82", "é", " ", "\n", "yes", "no", "(", "()", "[", "]", "[1", "1]", "a", "+1", "1+1"}
	tokens := NewTokens(len(pieces), func(id int32) []byte { return []byte(pieces[id]) })
	for _, c := range texts {
		m := matcher(t, c.grammar)
		for _, text := range append(c.yes, c.no...) {
			m.Truncate(0)
			for i := 0; i <= len(text); i++ {
				mask, err := m.Mask(tokens)
				if err != nil {
					t.Fatal(err)
				}
				for id, p := range pieces {
					want, err := m.Allows([]byte(p))
					if err != nil || mask.Has(int32(id)) != want {
						t.Fatalf("%s behind %q: token %q %v, want %v, %v", c.grammar, text[:i], p, mask.Has(int32(id)), want, err)
					}
				}
				if i == len(text) {
					break
				}
				if ok, _ := m.Accept([]byte(text[i : i+1])); !ok {
					break
				}
			}
		}
	}
}

// What takes other matchers time exponential in n is a matter of a few items here.
func TestCostlyGrammars(t *testing.T) {
	tokens := NewTokens(256+16, func(id int32) []byte {
		if id < 256 {
			return []byte{byte(id)}
		}
		return []byte(strings.Repeat("a", int(id)-254))
	})
	const n = 200
	for name, source := range map[string]string{
		"optional nullable": "root ::= " + strings.Repeat(`("a"?)? `, n) + `"b"`,
		"empty alternative": "root ::= " + strings.Repeat(`("" | "a")? `, n) + `"b"`,
		"plain optional":    "root ::= " + strings.Repeat(`"a"? `, n) + `"b"`,
		"stars":             "root ::= " + strings.Repeat(`"a"* `, n) + `"b"`,
		"stars in options":  "root ::= " + strings.Repeat(`("a"*)? `, n) + `"b"`,
		"same alternatives": "root ::= " + strings.Repeat(`("a" | "a") `, n) + `"b"`,
		"rules":             "root ::= " + strings.Repeat(`x `, n) + "\"b\"\nx ::= y? | z*\ny ::= \"a\" | \"\"\nz ::= y y",
		"nested":            "root ::= x \"b\"\nx ::= (((((((\"a\"?)*)*)?)*)+)?)*",
		"any":               "root ::= " + strings.Repeat(`.* `, n),
		"recursive":         "root ::= v\nv ::= l1 | l2 | l3 | \"a\"\nl1 ::= \"a\" v \"b\"?\nl2 ::= \"a\" v \"bb\"?\nl3 ::= \"a\" v \"bbb\"?",
		"binary":            "root ::= e\ne ::= e e | \"a\"",
	} {
		m := matcher(t, source)
		for i := range 2 * n {
			before := m.credit
			if _, err := m.Mask(tokens); err != nil {
				t.Fatalf("%s, token %d: %v", name, i, err)
			}
			ok, err := m.Accept([]byte("a"))
			if err != nil {
				t.Fatalf("%s, token %d: %v", name, i, err)
			}
			if !ok {
				break
			}
			if spent := before + tokenCredit - m.credit; spent > tokenCredit && before == mostCredit {
				t.Errorf("%s: token %d took %d", name, i, spent)
			}
		}
	}
}

// A grammar that is costly all the same ends with an error, and so does one whose asker
// has gone.
func TestWorkIsBounded(t *testing.T) {
	// Each a begins a further reading at every place before it.
	hard := "root ::= " + strings.Repeat("x{0,1000} ", 150) + "\nx ::= \"a\" y\ny ::= \"a\"{0,50} | \"ab\"{0,50}"
	g, err := Compile(hard)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMatcher(g, nil)
	for err == nil {
		_, err = m.Accept([]byte("aaaa"))
	}
	if !errors.Is(err, ErrWork) {
		t.Errorf("the work ended with %v", err)
	}
	gone := fmt.Errorf("gone")
	asked := 0
	m, err = NewMatcher(g, func() error {
		if asked++; asked > 3 {
			return gone
		}
		return nil
	})
	for err == nil {
		_, err = m.Accept([]byte("aaaa"))
	}
	if !errors.Is(err, gone) {
		t.Errorf("the work ended with %v", err)
	}
}

func TestTruncate(t *testing.T) {
	m := matcher(t, `root ::= "ab" ("c" | "d")`)
	for _, s := range []string{"a", "b", "c"} {
		if ok, _ := m.Accept([]byte(s)); !ok {
			t.Fatal(s)
		}
	}
	if !m.Whole() || m.Len() != 3 {
		t.Error("abc is not whole")
	}
	m.Truncate(2)
	if ok, _ := m.Allows([]byte("d")); !ok || m.Whole() {
		t.Error("d may not follow ab")
	}
	if ok, _ := m.Accept([]byte("x")); ok || m.Len() != 2 {
		t.Error("x was accepted")
	}
}

// Forgetting what was cached changes nothing.
func TestCacheIsBounded(t *testing.T) {
	m := matcher(t, "root ::= v\nv ::= \"[\" (v (\",\" v)*)? \"]\" | [a-z]{0,300}")
	for i := range 20 {
		text := strings.Repeat("[", 100) + strings.Repeat("a", 300-i) + strings.Repeat("]", 100)
		m.bytes = mostCached - 5000
		if !matches(t, m, text, 3) {
			t.Fatalf("%d: refused", i)
		}
	}
}

// Compile and the matcher end, with what they are given, in bounded time.
func FuzzGrammar(f *testing.F) {
	for _, c := range texts {
		f.Add(c.grammar, strings.Join(c.yes, ""))
	}
	f.Add("root ::= (\"a\"{0,99}){0,99}", "aaa")
	f.Fuzz(func(t *testing.T, source, text string) {
		g, err := Compile(source)
		if err != nil {
			return
		}
		m, err := NewMatcher(g, nil)
		for i := 0; err == nil && i < len(text); i++ {
			var allowed, ok bool
			allowed, err = m.Allows([]byte(text[i : i+1]))
			if err == nil {
				ok, err = m.Accept([]byte(text[i : i+1]))
			}
			if err == nil && ok != allowed {
				t.Fatalf("%q: %v and %v", text[:i+1], allowed, ok)
			}
		}
		if err != nil && !errors.Is(err, ErrWork) {
			t.Fatal(err)
		}
	})
}
