package manifest

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"
)

var made = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func valid() *Manifest {
	return &Manifest{Format: Format, Kind: Program, Version: Version{1, 4, 0}, Board: "pi", Arch: "arm64", Created: made, Expires: made.AddDate(0, 6, 0),
		Minimum: &Version{1, 2, 0}, Files: []Entry{{Name: "kernels/k.so", Size: 3, SHA256: strings.Repeat("0a", 32), Executable: true}}}
}

func newKey(t testing.TB) (public string, private minisign.PrivateKey) {
	t.Helper()
	pub, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := pub.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return string(text), private
}

func encode(t testing.TB, m *Manifest) []byte {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRefusals(t *testing.T) {
	key, private := newKey(t)
	next, nextPrivate := newKey(t)
	_, stranger := newKey(t)
	for name, c := range map[string]struct {
		change func(m *Manifest, p *Policy)
		sign   func(text []byte) (changed, signature []byte)
		want   Reason
	}{
		"good":      {},
		"successor": {sign: func(b []byte) ([]byte, []byte) { return b, minisign.Sign(nextPrivate, b) }},
		"prehashed": {sign: func(b []byte) ([]byte, []byte) {
			r := minisign.NewReader(strings.NewReader(string(b)))
			for buf := make([]byte, 99); ; {
				if _, err := r.Read(buf); err != nil {
					return b, r.Sign(private)
				}
			}
		}},
		"no signature": {sign: func(b []byte) ([]byte, []byte) { return b, nil }, want: Unsigned},
		"no minisign":  {sign: func(b []byte) ([]byte, []byte) { return b, []byte("hello") }, want: Malformed},
		"stranger":     {sign: func(b []byte) ([]byte, []byte) { return b, minisign.Sign(stranger, b) }, want: UnknownKey},
		"changed":      {sign: func(b []byte) ([]byte, []byte) { return append(b, ' '), minisign.Sign(private, b) }, want: Forged},
		"comment changed": {sign: func(b []byte) ([]byte, []byte) {
			return b, []byte(strings.Replace(string(minisign.Sign(private, b)), "trusted comment: timestamp", "trusted comment: Timestamp", 1))
		}, want: Forged},
		"board":             {change: func(m *Manifest, p *Policy) { p.Board = "uefi" }, want: WrongBoard},
		"any board":         {change: func(m *Manifest, p *Policy) { m.Board, p.Board = "any", "uefi" }},
		"arch":              {change: func(m *Manifest, p *Policy) { p.Arch = "amd64" }, want: WrongArch},
		"kind":              {change: func(m *Manifest, p *Policy) { p.Kind = System }, want: WrongKind},
		"expired":           {change: func(m *Manifest, p *Policy) { p.Now = m.Expires }, want: Expired},
		"clock in the past": {change: func(m *Manifest, p *Policy) { p.Now = time.Unix(0, 0) }},
		"expired before the build": {change: func(m *Manifest, p *Policy) {
			p.Now, p.NotBefore = time.Unix(0, 0), m.Expires.Add(time.Second)
		}, want: Expired},
		"older":            {change: func(m *Manifest, p *Policy) { p.Installed = &Version{1, 10, 0} }, want: Downgrade},
		"older, wanted":    {change: func(m *Manifest, p *Policy) { p.Installed, p.AllowDowngrade = &Version{1, 10, 0}, true }},
		"the same":         {change: func(m *Manifest, p *Policy) { p.Installed = &Version{1, 4, 0} }, want: Installed},
		"below minimum":    {change: func(m *Manifest, p *Policy) { p.Installed = &Version{1, 1, 9} }, want: TooOld},
		"not known":        {change: func(m *Manifest, p *Policy) { p.Installed = nil }, want: Downgrade},
		"a newer format":   {change: func(m *Manifest, p *Policy) { m.Format = 2 }, want: Malformed},
		"another kind":     {change: func(m *Manifest, p *Policy) { m.Kind = "game" }, want: Malformed},
		"no files":         {change: func(m *Manifest, p *Policy) { m.Files = nil }, want: Malformed},
		"a path up":        {change: func(m *Manifest, p *Policy) { m.Files[0].Name = "../passwd" }, want: Malformed},
		"a hidden file":    {change: func(m *Manifest, p *Policy) { m.Files[0].Name = "a/.ssh" }, want: Malformed},
		"its own name":     {change: func(m *Manifest, p *Policy) { m.Files[0].Name = File }, want: Malformed},
		"a sum too short":  {change: func(m *Manifest, p *Policy) { m.Files[0].SHA256 = "00" }, want: Malformed},
		"an empty file":    {change: func(m *Manifest, p *Policy) { m.Files[0].Size = 0 }, want: Malformed},
		"an enormous file": {change: func(m *Manifest, p *Policy) { m.Files[0].Size = 1 << 60 }, want: Malformed},
		"twice":            {change: func(m *Manifest, p *Policy) { m.Files = append(m.Files, m.Files[0]) }, want: Malformed},
		"file and directory": {change: func(m *Manifest, p *Policy) {
			m.Files = append(m.Files, Entry{Name: "kernels", Size: 1, SHA256: m.Files[0].SHA256})
		}, want: Malformed},
		"never valid": {change: func(m *Manifest, p *Policy) { m.Expires = m.Created }, want: Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			m := valid()
			p := Policy{Keys: []string{key, next}, Kind: Program, Board: "pi", Arch: "arm64", Installed: &Version{1, 3, 9}, Now: made.Add(time.Hour), NotBefore: made}
			if c.change != nil {
				c.change(m, &p)
			}
			text := encode(t, m)
			signature := minisign.Sign(private, text)
			if c.sign != nil {
				text, signature = c.sign(text)
			}
			got, err := Open(text, signature, p)
			if c.want == "" {
				if err != nil || got.Version != m.Version {
					t.Fatalf("%v, %v", got, err)
				}
				return
			}
			var r *Refusal
			if !errors.As(err, &r) || r.Reason != c.want || !errors.Is(err, &Refusal{Reason: c.want}) {
				t.Fatalf("%v, not refused as %s", err, c.want)
			}
			if r.Remedy == "" || strings.Contains(err.Error(), "\n") {
				t.Errorf("not one line with a remedy: %q", err)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	for _, s := range []string{"", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.x", "v1.2.3", "1.2.3-rc1", "1.2.9999999999"} {
		if v, err := ParseVersion(s); err == nil {
			t.Errorf("%q is taken as %s", s, v)
		}
	}
	for s, want := range map[string]string{"0.1.0+abc.dirty": "0.1.0", "1.2.3-4-gabc": "1.2.3", "development": ""} {
		if v, known := BuiltVersion(s); known != (want != "") || known && v.String() != want {
			t.Errorf("%q is %s, %v", s, v, known)
		}
	}
}

func FuzzOpen(f *testing.F) {
	key, private := newKey(f)
	good := encode(f, valid())
	f.Add(good, minisign.Sign(private, good))
	f.Add([]byte(`{"format":1,"files":[{}]}`), []byte("untrusted comment: x\nAA\ntrusted comment: y\nAA"))
	p := Policy{Keys: []string{key}, Kind: Program, Board: "pi", Arch: "arm64", Installed: &Version{1, 3, 9}, Now: made}
	f.Fuzz(func(t *testing.T, text, signature []byte) {
		if m, err := Parse(text); err == nil {
			if again, err := Parse(encode(t, m)); err != nil || again.Total() != m.Total() || m.Total() <= 0 {
				t.Fatalf("what was read is not read again: %v", err)
			}
		}
		if _, err := Open(text, signature, p); err == nil && string(text) != string(good) {
			t.Fatal("a manifest passes that was not signed")
		}
	})
}
