package library

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/bundle/split"
)

// Whatever is listed can be asked for, and so can the other names of a model.
func TestNames(t *testing.T) {
	l := open(t)
	src := model(t, "Tiny-Chat.Q4_0", 1)
	bundleIn(t, filepath.Join(l.bundles(), "some-dir-1"), src, split.Options{})
	bundleIn(t, filepath.Join(l.bundles(), "other"), model(t, "other", 2), split.Options{})
	if err := l.Copy(t.Context(), "tiny-chat.q4_0:latest", "me/chat:small"); err != nil {
		t.Fatal(err)
	}
	if got := names(l); !slices.Equal(got, []string{"other", "Tiny-Chat.Q4_0", "me/chat:small"}) {
		t.Fatalf("listed: %q", got)
	}
	chat := find1(t, l, "Tiny-Chat.Q4_0")
	for _, name := range append(names(l)[1:], "TINY-CHAT.q4_0", "tiny-chat.q4_0:latest", "Tiny-Chat.Q4_0.gguf", "tiny-chat:Q4_0", "Tiny-Chat.Q4_0:q4_0",
		"some-dir-1", "ME/chat:SMALL", chat.ID, chat.ID[:12], "sha256:"+chat.ID, chat.Dir) {
		if m, err := l.Find(name); err != nil || m.ID != chat.ID {
			t.Errorf("%q means %q, %v", name, m.Name, err)
		}
	}
	for _, name := range []string{"", " ", "tiny", "tiny-chat", "tiny-chat:q8_0", "me/chat", "Tiny-Chat.Q4_0:7b", chat.ID[:11]} {
		m, err := l.Find(name)
		if said := (*NameError)(nil); !errors.As(err, &said) || len(said.Here) != 3 {
			t.Errorf("%q means %q, %v", name, m.Name, err)
		}
	}
	_, err := l.Find("tiny-chatt")
	if err == nil || !strings.Contains(err.Error(), `"tiny-chatt" not found: this board has Tiny-Chat.Q4_0`) {
		t.Errorf("the likeliest is not first: %v", err)
	}
}

// Two bundles of one name are told apart, and one that was given wins it.
func TestOneNameForTwo(t *testing.T) {
	given := filepath.Join(t.TempDir(), "given")
	bundleIn(t, given, model(t, "same", 3), split.Options{})
	l := open(t, given)
	bundleIn(t, filepath.Join(l.bundles(), "a"), model(t, "same", 1), split.Options{})
	if m := find1(t, l, "same"); m.Owned || m.Dir != given {
		t.Errorf("same is %q", m.Dir)
	}
	alone, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	if m := find1(t, alone, "same"); !m.Owned || m.Name != "same" {
		t.Errorf("same is %q of %q", m.Name, m.Dir)
	}
	bundleIn(t, filepath.Join(l.bundles(), "b"), model(t, "same", 2), split.Options{})
	listed := names(alone)
	if len(listed) != 2 || listed[0] == listed[1] {
		t.Fatalf("listed: %q", listed)
	}
	for i, name := range listed {
		if m := find1(t, alone, name); filepath.Base(m.Dir) != []string{"a", "b"}[i] {
			t.Errorf("%s is %s", name, m.Dir)
		}
	}
	_, err = alone.Find("same")
	if said := (*NameError)(nil); !errors.As(err, &said) || !slices.Equal(said.Several, listed) {
		t.Errorf("same means %v", err)
	}
	if err := alone.Copy(t.Context(), listed[0], "same"); !errors.Is(err, ErrTaken) {
		t.Errorf("a name that two have is given away: %v", err)
	}
}

func TestCopyAndRemove(t *testing.T) {
	given := filepath.Join(t.TempDir(), "given")
	bundleIn(t, given, model(t, "given", 3), split.Options{})
	l := open(t, given)
	dir := filepath.Join(l.bundles(), "a")
	bundleIn(t, dir, model(t, "first", 1), split.Options{})
	for to, want := range map[string]error{"given": ErrTaken, "given.gguf": ErrTaken, "../x": ErrName, "a b": ErrName, "": ErrName, "x:y:z": ErrName, strings.Repeat("a", 129): ErrName} {
		if err := l.Copy(t.Context(), "first", to); !errors.Is(err, want) {
			t.Errorf("copied to %q: %v", to, err)
		}
	}
	if err := l.Copy(t.Context(), "nobody", "x"); !errors.As(err, new(*NameError)) {
		t.Errorf("nobody was copied: %v", err)
	}
	for _, c := range [][2]string{{"first", "second"}, {"given", "third"}, {"second", "third"}, {"first", "first"}} {
		if err := l.Copy(t.Context(), c[0], c[1]); err != nil {
			t.Fatal(err)
		}
	}
	if m := find1(t, l, "third"); m.Own != "first" {
		t.Errorf("third is still of %s", m.Own)
	}
	if _, err := l.Remove(t.Context(), "given"); !errors.Is(err, ErrNotOwn) {
		t.Errorf("what is elsewhere was removed: %v", err)
	}

	// The own name goes, and the bundle stays with another as its own; its file's name is gone too.
	if r, err := l.Remove(t.Context(), "first"); err != nil || r.Left != "second" || r.Freed != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, gone := range []string{"first", "first.gguf", "a"} {
		if m, err := l.Find(gone); err == nil {
			t.Errorf("%s still means %s", gone, m.Name)
		}
	}
	if got := names(l); !slices.Equal(got, []string{"given", "second", "third"}) {
		t.Errorf("listed: %q", got)
	}
	if r, err := l.Remove(t.Context(), "third"); err != nil || r.Left != "second" {
		t.Fatalf("%+v, %v", r, err)
	}

	// While somebody has it loaded, or writes it, it stays.
	for name, lock := range map[string]func(string) (func(), error){"loaded": disk.Use, "written": disk.Lock} {
		release, err := lock(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Remove(t.Context(), "second"); !errors.Is(err, disk.ErrInUse) && !errors.Is(err, disk.ErrBusy) {
			t.Errorf("%s, and removed: %v", name, err)
		}
		release()
	}
	m := find1(t, l, "second")
	r, err := l.Remove(t.Context(), "second")
	if err != nil || r.Left != "" || r.Freed != m.Bytes() && r.Freed <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the bundle is still there")
	}
	if got := names(l); !slices.Equal(got, []string{"given"}) {
		t.Errorf("listed: %q", got)
	}
	if left, _ := os.ReadDir(l.bundles()); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// One bundle under two own names has one record: with either of the names only its own files
// go, and the further names and the origin stay with the other.
func TestRemoveOneOfTwins(t *testing.T) {
	for _, goes := range []string{"one", "two"} {
		l := open(t)
		src := model(t, "m", 1)
		for _, name := range []string{"one", "two"} {
			bundleIn(t, filepath.Join(l.bundles(), name), src, split.Options{Name: name})
		}
		stays := map[string]string{"one": "two", "two": "one"}[goes]
		id := find1(t, l, "one").ID
		if find1(t, l, "two").ID != id {
			t.Fatal("the two are not one bundle")
		}
		if err := l.Copy(t.Context(), "two", "further"); err != nil {
			t.Fatal(err)
		}
		if err := l.keep(record{Bundle: id, Copies: []string{"further"}, Origin: "hf:owner/repo/m.gguf", Licence: "mit"}); err != nil {
			t.Fatal(err)
		}
		if r, err := l.Remove(t.Context(), goes); err != nil || r.Left != "" || r.Freed <= 0 {
			t.Errorf("%s: %+v, %v", goes, r, err)
		}
		if got := names(l); !slices.Equal(got, []string{stays, "further"}) {
			t.Errorf("without %s: listed: %q", goes, got)
		}
		if m, err := l.Find("further"); err != nil || m.Own != stays || m.Origin != "hf:owner/repo/m.gguf" || m.Licence != "mit" {
			t.Errorf("without %s: %+v, %v", goes, m, err)
		}
		if _, err := os.Stat(filepath.Join(l.bundles(), goes)); err == nil {
			t.Errorf("the files of %s are still there", goes)
		}
		if r, err := l.Remove(t.Context(), stays); err != nil || r.Left != "further" {
			t.Errorf("%s: %+v, %v", stays, r, err)
		}
	}
}

// What a cut left half removed, or half written, is no model, and the next removal ends it.
func TestCuts(t *testing.T) {
	l := open(t)
	bundleIn(t, filepath.Join(l.bundles(), "a"), model(t, "a", 1), split.Options{})
	bundleIn(t, filepath.Join(l.bundles(), "b"), model(t, "b", 2), split.Options{})
	if err := l.Copy(t.Context(), "a", "c"); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(l.bundles(), removing+"b")
	if err := os.Rename(filepath.Join(l.bundles(), "b"), half); err != nil {
		t.Fatal(err)
	}
	records, err := filepath.Glob(filepath.Join(l.recordsDir(), "*.json"))
	if err != nil || len(records) != 1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if got := names(l); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("listed: %q", got)
	}
	if err := os.WriteFile(records[0], []byte(`{"version":1,"bundle"`), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := names(l); !slices.Equal(got, []string{"a"}) {
		t.Errorf("listed beside a torn record: %q", got)
	}
	if err := l.Copy(t.Context(), "a", "c"); err != nil {
		t.Errorf("a torn record stays in the way: %v", err)
	}
	if _, err := l.Remove(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(half); err == nil {
		t.Error("what was half removed is still there")
	}
}

// Many change the library at once, as several processes do: each has one of its own.
func TestConcurrentChanges(t *testing.T) {
	l := open(t)
	bundleIn(t, filepath.Join(l.bundles(), "a"), model(t, "a", 1), split.Options{})
	var wg sync.WaitGroup
	for _, name := range []string{"x", "y", "z"} {
		wg.Go(func() {
			other, err := Open()
			if err != nil {
				t.Error(err)
				return
			}
			if err := other.Copy(t.Context(), "a", name); err != nil {
				t.Error(err)
			}
			other.List()
		})
	}
	wg.Wait()
	got := names(l)
	slices.Sort(got)
	if !slices.Equal(got, []string{"a", "x", "y", "z"}) {
		t.Errorf("listed: %q", got)
	}
}

// A fetched file of which no bundle was made is removed by its name, one that a bundle needs
// is not.
func TestRemoveGGUF(t *testing.T) {
	l := open(t)
	src := model(t, "loose", 1)
	sum, err := disk.HashFile(t.Context(), src, nil)
	if err != nil {
		t.Fatal(err)
	}
	place := filepath.Join(l.cache, "models", sum)
	if err := os.MkdirAll(place, 0o755); err != nil {
		t.Fatal(err)
	}
	loose := filepath.Join(place, "loose.gguf")
	if err := os.Rename(src, loose); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(l.bundles(), "b")
	bundleIn(t, dir, loose, split.Options{Name: "b"})
	if m := find1(t, l, "loose"); m.Own != "b" {
		t.Fatalf("loose is %s", m.Own)
	}
	r, err := l.Remove(t.Context(), "b")
	if err != nil || r.Freed <= 0 || len(prepare.Fetched(l.cache)) != 0 {
		t.Errorf("%+v, %v, %v", r, err, prepare.Fetched(l.cache))
	}
	if _, err := l.Remove(t.Context(), "loose"); !errors.As(err, new(*NameError)) {
		t.Errorf("removed twice: %v", err)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"bundle":"` + strings.Repeat("ab", 32) + `","copies":["a/b:c"],"asked":["hf:x"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, ok := parseRecord(text)
		if !ok {
			return
		}
		for _, name := range r.Copies {
			if CheckName(name) != nil {
				t.Errorf("%q is a name", name)
			}
		}
		if filepath.Base(recordFile(r.Bundle)) != recordFile(r.Bundle) && !strings.Contains(r.Bundle, "/") {
			t.Errorf("%q leaves the directory", r.Bundle)
		}
	})
}

func FuzzNames(f *testing.F) {
	f.Add("hf.co/a/b:Q4_K_M")
	f.Add("registry.ollama.ai/library/x:latest")
	f.Fuzz(func(t *testing.T, name string) {
		if CheckName(name) == nil && CheckName(strings.ToUpper(name)) != nil && len(strings.ToUpper(name)) <= 128 {
			t.Errorf("%q is a name and %q is none", name, strings.ToUpper(name))
		}
		isFile(name)
		if notFound(nil, name).Error() == "" {
			t.Errorf("%q is not found without a word", name)
		}
	})
}

// A model that was not fetched by its name is found by all names that it may be fetched by, in
// short too, unless they mean another.
func TestNamesOfKnownFiles(t *testing.T) {
	l := open(t)
	bundleIn(t, filepath.Join(l.bundles(), "default"), model(t, "m", 1), split.Options{Name: "mine"})
	dir := filepath.Join(l.bundles(), "default")
	man, err := bundle.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	man.Source.SHA256 = fetch.Sum(fetch.DefaultName)
	if err := man.Write(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"smollm2", "SmolLM2:latest", "smollm2:135m", fetch.DefaultName, "mine"} {
		if m, err := l.Find(name); err != nil || m.Own != "mine" {
			t.Errorf("%s: %q, %v", name, m.Own, err)
		}
	}
	if _, err := l.Find("smol"); err == nil {
		t.Error("half a word is no name")
	}
	bundleIn(t, filepath.Join(l.bundles(), "another"), model(t, "m", 2), split.Options{Name: "smollm2"})
	if m, err := l.Find("smollm2"); err != nil || m.Own != "smollm2" {
		t.Errorf("%q, %v", m.Own, err)
	}
}
