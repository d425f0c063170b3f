package orderedjson

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// What is written is what was read: keys in their order, numbers digit for digit.
func TestOrderAndDigits(t *testing.T) {
	const text = `{"z":1.0,"a":[12345678901234567890,{"y":null,"b":"<ü\n>"}],"m":{}}`
	v, err := Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := v.(*Object); !ok || !slices.Equal(o.Keys, []string{"z", "a", "m"}) || o.Get("z") != json.Number("1.0") || o.Has("b") {
		t.Errorf("%+v", v)
	}
	if got := Compact(v); got != text {
		t.Errorf("%s", got)
	}
	if got, want := Encode(v), `{"z": 1.0, "a": [12345678901234567890, {"y": null, "b": "<ü\n>"}], "m": {}}`; got != want {
		t.Errorf("%s", got)
	}
	if got := (*Object)(nil).Get("a"); got != nil {
		t.Error(got)
	}
}

func TestWhatIsNotOneText(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, text := range []string{``, `{`, `[1`, `{"a"}`, `1 2`, `{} {}`, `nul`, deep(MaxDepth + 1)} {
		if v, err := Decode([]byte(text)); err == nil {
			t.Errorf("%.20q is read as %v", text, v)
		}
	}
	if _, err := Decode([]byte(deep(MaxDepth))); err != nil {
		t.Error(err)
	}
}

func TestEqual(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		equal bool
	}{
		{`1`, `1.0`, true}, {`1e2`, `100`, true}, {`1`, `"1"`, false}, {`null`, `false`, false}, {`1`, `[1]`, false}, {`[1]`, `1`, false},
		{`{"a":1,"b":[2]}`, `{"b":[2.0],"a":1}`, true}, {`{"a":1}`, `{"a":1,"b":1}`, false}, {`{"a":1}`, `{"b":1}`, false}, {`[1,2]`, `[2,1]`, false},
	} {
		a, errA := Decode([]byte(c.a))
		b, errB := Decode([]byte(c.b))
		if errA != nil || errB != nil || Equal(a, b) != c.equal || Equal(b, a) != c.equal {
			t.Errorf("%s and %s: equal is not %v", c.a, c.b, c.equal)
		}
	}
}

// What is read agrees with encoding/json, and can be written and read again.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"b":1,"a":[true,null,"x\u00e9"]}`, `[[[]]]`, `-1.5e-7`, `{"a":1,"a":2}`, `"` + "\xff" + `"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Decode(b)
		if err != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q is read, and is no JSON", b)
		}
		for _, text := range []string{Encode(v), Compact(v)} {
			if again, err := Decode([]byte(text)); err != nil || !Equal(v, again) {
				t.Fatalf("%q is written as %q: %v", b, text, err)
			}
		}
	})
}
