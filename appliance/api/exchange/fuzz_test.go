package exchange

import (
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzEventID(f *testing.F) {
	f.Add("a1.3")
	f.Add("a.b.99999999999999999999")
	f.Fuzz(func(t *testing.T, s string) {
		if id, index, err := parseEventID(s); err == nil && (id == "" || index < 0) {
			t.Errorf("%q is %q, %d", s, id, index)
		}
	})
}

// What wholeDigits says of a JSON number is what exact arithmetic says.
func FuzzWholeDigits(f *testing.F) {
	for _, s := range []string{"0", "-0.0", "5", "5.0", "2.048e3", "0.05e2", "1e39", "1e41", "1e-3", "100e-2", "-12.50e1", "5.", ".5", "e", "--1", "0x5", "1_0", "1e99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		digits, ok := wholeDigits(s)
		if len(digits) > len(s)+mostDigits {
			t.Fatalf("%q became %d digits", s, len(digits))
		}
		if len(s) > 60 || strings.ContainsAny(s, "/_xXpPbBoO") {
			return
		}
		if i := strings.IndexAny(s, "eE"); i >= 0 && len(s)-i > 4 {
			return
		}
		exact, number := new(big.Rat).SetString(s)
		if !number || !ok {
			if ok {
				t.Fatalf("%q is no number and became %s", s, digits)
			}
			return
		}
		if !exact.IsInt() || exact.Num().Cmp(func() *big.Int { n, _ := new(big.Int).SetString(digits, 10); return n }()) != 0 {
			t.Fatalf("%q became %s", s, digits)
		}
	})
}

// What is wanted of embeddings is texts or token ids, or a BadRequest.
func FuzzEmbedInput(f *testing.F) {
	for _, s := range []string{`"a"`, `["a", "b"]`, `[1, 2]`, `[[1], [2.0]]`, `[]`, `null`, `[null]`, `[[null]]`, `[1e400]`, `[2147483648]`, `{"a": []}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return
		}
		var in EmbedInput
		if err := json.Unmarshal(body, &in); err != nil {
			if p := ProblemOf(err); p.Status != http.StatusBadRequest || p.Said.Param != "input" || len(p.Said.Message) > 300 {
				t.Errorf("%d %+v", p.Status, p.Said)
			}
			return
		}
		for i, one := range in {
			if one.Text != "" && one.Tokens != nil || utf8.RuneCountInString(one.Text)+len(one.Tokens) > len(body) {
				t.Errorf("text %d of %q is %+v", i, body, one)
			}
		}
	})
}
