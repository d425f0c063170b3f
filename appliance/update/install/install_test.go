package install

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aead.dev/minisign"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/update"
	"skerry/appliance/update/manifest"
)

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// board is an installation of a package, with a program of its own.
func board(t *testing.T, base, program, version string) *Installation {
	t.Helper()
	i, err := Find(version, base)
	if err != nil {
		t.Fatal(err)
	}
	i.program = program
	return i
}

// publishProgram makes an update with one file, signed, in a directory.
func publishProgram(t *testing.T, key minisign.PrivateKey, version, text string, change func(*manifest.Manifest)) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "skerry"), text)
	e, err := entry(filepath.Join(dir, "skerry"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := manifest.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	m := &manifest.Manifest{Format: manifest.Format, Kind: manifest.Program, Version: v, Board: "any", Arch: "any",
		Created: time.Now().Add(-time.Hour), Expires: time.Now().AddDate(1, 0, 0), Files: []manifest.Entry{e}}
	if change != nil {
		change(m)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, manifest.File), string(raw))
	write(t, filepath.Join(dir, manifest.SignatureFile), string(minisign.Sign(key, raw)))
	return dir
}

// archive packs an update into one file.
func archive(t *testing.T, dir, to string) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range []string{manifest.File, manifest.SignatureFile, "skerry"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(data)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		w.Write(data)
	}
	w.Close()
	write(t, to, b.String())
}

// runs is what the unit would start.
func runs(t *testing.T, base string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(base, "running", "skerry"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A package is installed, an update is applied from a stick and kept, the package is
// upgraded: the service always starts the newest that somebody has asked for, and a
// rollback goes to the one before.
func TestPackage(t *testing.T) {
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	base, program := filepath.Join(t.TempDir(), "program"), filepath.Join(t.TempDir(), "skerry")
	write(t, program, "first")
	i := board(t, base, program, "1.0.0+abc")
	if changed, err := i.Seed(t.Context()); err != nil || !changed {
		t.Fatalf("%v, %v", changed, err)
	}
	if changed, err := i.Seed(t.Context()); err != nil || changed {
		t.Fatalf("seeded twice: %v, %v", changed, err)
	}
	if s, err := i.Begin(); err != nil || s.Phase != update.Idle || runs(t, base) != "first" {
		t.Fatalf("%+v, %v", s, err)
	}

	stick := t.TempDir()
	archive(t, publishProgram(t, private, "1.1.0", "second", nil), filepath.Join(stick, "skerry"+update.ArchiveSuffix))
	policy := i.Policy([]string{public.String()}, false)
	found, err := i.Look(t.Context(), policy, Media([]string{stick})...)
	if err != nil || len(found) != 1 || found[0].Err != nil {
		t.Fatalf("%+v, %v", found, err)
	}
	best := Newest(found)
	if _, err := i.Apply(t.Context(), best.Manifest, best.Source, nil); err != nil {
		t.Fatal(err)
	}
	if s, err := i.Report(); err != nil || s.Next != "1.1.0" || s.Version != "1.0.0" || s.Trial {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := i.Begin(); err != nil || s.Phase != update.OnTrial || runs(t, base) != "second" {
		t.Fatalf("%+v, %v", s, err)
	}
	if s, err := i.Report(); err != nil || !s.Trial || s.Version != "1.1.0" || s.Previous != "1.0.0" {
		t.Errorf("%+v, %v", s, err)
	}
	if err := i.Keep(); err != nil {
		t.Fatal(err)
	}
	if i.Begin(); runs(t, base) != "second" {
		t.Errorf("%s runs after it was kept", runs(t, base))
	}
	if to := newer(base, program, []string{"skerry", "status"}); to != filepath.Join(base, "b", "skerry") {
		t.Errorf("the command line is forwarded to %q", to)
	}
	if to := newer(base, program, []string{"skerry", "update", "start"}); to != "" {
		t.Errorf("the choice of what is started is forwarded to %q", to)
	}

	// The package brings a third: it takes the slot that is its own.
	write(t, program, "third")
	i = board(t, base, program, "1.2.0")
	if changed, err := i.Seed(t.Context()); err != nil || !changed {
		t.Fatalf("%v, %v", changed, err)
	}
	if i.Begin(); runs(t, base) != "third" {
		t.Errorf("%s runs after an upgrade of the package", runs(t, base))
	}
	if s, err := i.Report(); err != nil || s.Version != "1.2.0" || s.Previous != "1.1.0" || s.Last != nil {
		t.Errorf("%+v, %v", s, err)
	}
	if to := newer(base, program, []string{"skerry", "status"}); to != "" {
		t.Errorf("the command line is forwarded to %q", to)
	}
	if a, again, err := i.Rollback(t.Context()); err != nil || !again || a.Version.String() != "1.1.0" {
		t.Fatalf("%+v, %v, %v", a, again, err)
	}
	if i.Begin(); runs(t, base) != "second" {
		t.Errorf("%s runs after a rollback", runs(t, base))
	}
	if to := newer(base, program, []string{filepath.Join(base, "running", "skerry"), "serve"}); to != "" {
		t.Errorf("the service is forwarded to %q", to)
	}
	// On trial, it was reset.
	if s, err := i.Begin(); err != nil || runs(t, base) != "third" || s.Last == nil || s.Last.Kept {
		t.Errorf("%s runs: %+v, %v", runs(t, base), s, err)
	}
	if err := i.Forget(); err != nil {
		t.Fatal(err)
	}
	if s, err := i.Report(); err != nil || s.Last != nil {
		t.Errorf("%+v, %v", s, err)
	}
}

// An update that is going on when the package is upgraded is over.
func TestPackageDuringUpdate(t *testing.T) {
	_, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, started := range []bool{false, true} {
		base, program := filepath.Join(t.TempDir(), "program"), filepath.Join(t.TempDir(), "skerry")
		write(t, program, "first")
		i := board(t, base, program, "1.0.0")
		if _, err := i.Begin(); err != nil { // which seeds it
			t.Fatal(err)
		}
		dir := publishProgram(t, private, "1.1.0", "second", nil)
		raw, err := os.ReadFile(filepath.Join(dir, manifest.File))
		if err != nil {
			t.Fatal(err)
		}
		m, err := manifest.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		source, err := update.NewSource(dir, i.Cache())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := i.Apply(t.Context(), m, source, nil); err != nil {
			t.Fatal(err)
		}
		if started {
			i.Begin()
		}
		write(t, program, "third")
		i = board(t, base, program, "1.2.0")
		if _, err := i.Seed(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s, err := i.Begin(); err != nil || s.Phase != update.Idle || runs(t, base) != "third" {
			t.Errorf("started %v: %s runs, %+v, %v", started, runs(t, base), s, err)
		}
		if _, _, err := i.Rollback(t.Context()); !errors.Is(err, update.ErrNoPrevious) {
			t.Errorf("started %v: to what never proved itself: %v", started, err)
		}
	}
}

// A package that comes while an update is being written waits for a while, and leaves what it
// has brought to the first start that can take it.
func TestPackageWhileUpdateIsWritten(t *testing.T) {
	base, program := filepath.Join(t.TempDir(), "program"), filepath.Join(t.TempDir(), "skerry")
	write(t, program, "first")
	i := board(t, base, program, "1.0.0")
	if _, err := i.Begin(); err != nil {
		t.Fatal(err)
	}
	write(t, program, "second")
	i = board(t, base, program, "1.1.0")
	lock := func() func() {
		release, err := disk.Lock(filepath.Join(base, record))
		if err != nil {
			t.Fatal(err)
		}
		return release
	}
	synctest.Test(t, func(t *testing.T) {
		defer lock()()
		began := time.Now()
		if _, err := i.Seed(t.Context()); !errors.Is(err, ErrLater) || strings.Contains(err.Error(), "\n") || time.Since(began) != seedPatience {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if _, err := i.Begin(); !errors.Is(err, disk.ErrBusy) || time.Since(began) != seedPatience || runs(t, base) == "" {
			t.Errorf("a start while the update is written, after %v: %v", time.Since(began), err)
		}
	})
	if s, err := i.Begin(); err != nil || s.Slots[update.A].Version.String() != "1.1.0" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := os.Stat(i.waiting()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is taken up once more: %v", err)
	}

	write(t, program, "third")
	i = board(t, base, program, "1.2.0")
	synctest.Test(t, func(t *testing.T) {
		time.AfterFunc(seedPatience/2, lock())
		if changed, err := i.Seed(t.Context()); err != nil || !changed {
			t.Errorf("one that ends in time: %v, %v", changed, err)
		}
	})

	// What cannot be taken up keeps nothing from being chosen: a trial is started once.
	write(t, i.waiting(), "")
	for _, err := range []error{os.Remove(program), os.Symlink("b", filepath.Join(base, "trial"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := i.Begin(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the package's program: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(base, "trial")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the trial would be started again: %v", err)
	}
}

// The service starts though the directory of the slots is gone: the package's program makes
// it anew, and no other program, nor an image's.
func TestStartWithoutSlots(t *testing.T) {
	image, none := filepath.Join(t.TempDir(), "image.json"), filepath.Join(t.TempDir(), "none")
	write(t, image, "{}")
	for _, c := range []struct{ base, program, description, want string }{
		{"", Program, none, Base},
		{"", Program, image, ""},
		{"", "/usr/local/bin/skerry", none, ""},
		{"/srv/slots", Program, none, "/srv/slots"},
	} {
		if got := baseToStart(c.base, c.program, c.description); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	base, program := filepath.Join(t.TempDir(), "program"), filepath.Join(t.TempDir(), "skerry")
	write(t, program, "first")
	i := board(t, base, program, "1.0.0")
	for range 2 {
		if s, err := i.Begin(); err != nil || s.Phase != update.Idle || runs(t, base) != "first" {
			t.Errorf("%+v, %v", s, err)
		}
		if err := os.RemoveAll(base); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUnversioned(t *testing.T) {
	program := filepath.Join(t.TempDir(), "skerry")
	write(t, program, "x")
	i := board(t, filepath.Join(t.TempDir(), "program"), program, "development")
	if _, err := i.Begin(); err != nil {
		t.Fatal(err)
	}
	if s, err := i.Report(); err != nil || s.Version != "0.0.0" {
		t.Errorf("%+v, %v", s, err)
	}
}

// Updates on sticks are found where they are, and each says what is against it.
func TestSticks(t *testing.T) {
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, stranger, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	media := t.TempDir()
	for name, dir := range map[string]string{
		"1/new":      publishProgram(t, private, "1.3.0", "x", nil),
		"1/newer":    publishProgram(t, private, "1.4.0", "x", nil),
		"2/foreign":  publishProgram(t, stranger, "9.0.0", "x", nil),
		"2/pi":       publishProgram(t, private, "9.0.0", "x", func(m *manifest.Manifest) { m.Board = "pi" }),
		"2/expired":  publishProgram(t, private, "9.0.0", "x", func(m *manifest.Manifest) { m.Expires = time.Now().Add(-time.Minute) }),
		"2/older":    publishProgram(t, private, "0.9.0", "x", nil),
		"2/unsigned": publishProgram(t, private, "9.0.0", "x", nil),
	} {
		if err := os.CopyFS(filepath.Join(media, name), os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
	}
	os.Remove(filepath.Join(media, "2/unsigned", manifest.SignatureFile))
	base, program := filepath.Join(t.TempDir(), "program"), filepath.Join(t.TempDir(), "skerry")
	write(t, program, "first")
	i := board(t, base, program, "1.0.0")
	if _, err := i.Begin(); err != nil {
		t.Fatal(err)
	}
	look := func(keys ...string) []Candidate {
		found, err := i.Look(t.Context(), i.Policy(keys, false), Media([]string{filepath.Join(media, "*")})...)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	found := look(public.String())
	reasons := map[string]manifest.Reason{}
	for _, r := range Report(found) {
		reasons[filepath.Base(r.At)] = r.Reason
		if r.OK != (r.Error == "") || strings.Contains(r.String(), "\n") {
			t.Errorf("%+v", r)
		}
	}
	for name, want := range map[string]manifest.Reason{"new": "", "newer": "", "foreign": manifest.UnknownKey, "pi": manifest.WrongBoard,
		"expired": manifest.Expired, "older": manifest.Downgrade, "unsigned": manifest.Unsigned} {
		if got, there := reasons[name]; !there || got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if best := Newest(found); best == nil || filepath.Base(best.At) != "newer" {
		t.Errorf("the newest is %+v", best)
	}
	for _, c := range look() {
		if c.Err == nil || c.Manifest != nil {
			t.Errorf("without a key, %s: %v", c.At, c.Err)
		}
	}
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.pub"), "untrusted comment: minisign public key 1\nRWQa\n\n# the next one\nRWQb\n")
	keys, err := keysOf("RWQ1 RWQ2", filepath.Join(dir, "a.pub"), filepath.Join(dir, "none.pub"))
	if err != nil || strings.Join(keys, " ") != "RWQ1 RWQ2 RWQa RWQb" {
		t.Errorf("%q, %v", keys, err)
	}
	if _, err := keysOf("", dir); err == nil {
		t.Error("a directory has keys")
	}
}

func FuzzParseImage(f *testing.F) {
	f.Add([]byte(`{"board":"pi","boot":"tryboot","mount":"/boot/first","record":"/var/lib/skerry-update/updates.json","devices":{"a":{"root.img":"/dev/x"},"b":{"root.img":"/dev/y"}}}`))
	f.Add([]byte(`{"board":"uefi","boot":"systemd-boot"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if m, err := parseImage(text); err == nil && (m.Board == "" || !filepath.IsAbs(m.Record)) {
			t.Fatalf("%+v", m)
		}
	})
}
