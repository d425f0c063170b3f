package library

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/split"
)

// uploaded is a library with an uploaded file of a tiny model in q4_0, and what creates models
// of that.
func uploaded(t *testing.T) (l *Library, upload func(), create func(name, as string) (Pulled, error)) {
	t.Helper()
	l = open(t)
	src := model(t, "m", 1)
	text, err := os.ReadFile(src)
	if err != nil {
		t.Fatal(err)
	}
	digest, _, err := Digest(t.Context(), src, func(string, int64, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	upload = func() {
		t.Helper()
		if err := l.PutBlob(t.Context(), digest, int64(len(text)), bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		if has, err := l.HasBlob(digest); !has || err != nil {
			t.Fatalf("uploaded, and not there: %v", err)
		}
	}
	upload()
	return l, upload, func(name, as string) (Pulled, error) {
		return l.Create(t.Context(), CreateOptions{Name: name, Digest: digest, File: "m.gguf", PullOptions: PullOptions{Type: as}})
	}
}

// A second bundle of a name that one has already would leave both without it: it is refused
// before it is made, and what was uploaded stays.
func TestCreateInAnotherType(t *testing.T) {
	l, upload, create := uploaded(t)
	if p, err := create("x", split.TypeQ4_0); err != nil || p.Name != "x" {
		t.Fatalf("%+v, %v", p, err)
	}
	upload()
	for _, name := range []string{"x", "X:latest"} {
		if _, err := create(name, split.TypeQ8_0); !errors.Is(err, ErrTaken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := names(l); !slices.Equal(got, []string{"x"}) || find1(t, l, "x").Manifest.Type != split.TypeQ4_0 {
		t.Errorf("listed: %q", got)
	}
	if left, _ := os.ReadDir(l.blobs()); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	if p, err := create("x", split.TypeQ4_0); err != nil || p.Name != "x" {
		t.Errorf("the same again: %+v, %v", p, err)
	}

	// Under a name of its own it is made, and gets that also where two bundles share an own one.
	upload()
	if p, err := create("a/b", split.TypeQ8_0); err != nil || p.Name != "a/b" || p.Own != "a-b" || p.Manifest.Type != split.TypeQ8_0 {
		t.Fatalf("%+v, %v", p, err)
	}
	upload()
	if _, err := create("a:b", split.TypeQ4_0); !errors.Is(err, ErrTaken) {
		t.Errorf("a:b: %v", err)
	}
	bundleIn(t, filepath.Join(l.bundles(), "another"), model(t, "m", 2), split.Options{Name: "a-b"})
	b := find1(t, l, "a/b")
	if p, err := create("d", split.TypeQ8_0); err != nil || !p.Had || p.Name != "d" || p.ID != b.ID {
		t.Errorf("%+v, %v", p, err)
	}
}

// A file is there as long as another model can be made of it: what says so is what is read.
func TestCreateAgainOfOneFile(t *testing.T) {
	l, upload, create := uploaded(t)
	p, err := create("x", "")
	if err != nil {
		t.Fatal(err)
	}
	if has, err := l.HasBlob("sha256:" + p.Manifest.Source.SHA256); has || err != nil {
		t.Errorf("used up, and there: %v", err)
	}
	if _, err := create("y", split.TypeQ4_0); !errors.Is(err, ErrNoBlob) {
		t.Errorf("of nothing: %v", err)
	}
	upload()
	if p, err := create("y", split.TypeQ4_0); err != nil || p.Name != "y" || p.Own != "y" {
		t.Errorf("%+v, %v", p, err)
	}
	// Without a type the model that is there gets another name, uploaded again or not.
	upload()
	if again, err := create("z", ""); err != nil || !again.Had || again.ID != p.ID || again.Name != "z" {
		t.Errorf("%+v, %v", again, err)
	}
	if got := names(l); !slices.Equal(got, []string{"x", "z", "y"}) {
		t.Errorf("listed: %q", got)
	}
	if left, _ := os.ReadDir(l.blobs()); len(left) > 0 {
		t.Errorf("left: %v", left)
	}

	// While a model is being made of it, nobody else's end removes it.
	upload()
	path := l.blob(p.Manifest.Source.SHA256)
	release, err := disk.Use(path)
	if err != nil {
		t.Fatal(err)
	}
	removeUnused(path)
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	release()
	if removeUnused(path); bundle.IsGGUF(path) {
		t.Error("it stays when nobody uses it any more")
	}
}

// A name that a model was created under goes as every other does.
func TestCreatedNameIsRemoved(t *testing.T) {
	l, _, create := uploaded(t)
	if p, err := create("me/mine:small", ""); err != nil || p.Origin != "m.gguf" {
		t.Errorf("%+v, %v", p, err)
	}
	if r, err := l.Remove(t.Context(), "me/mine:small"); err != nil || r.Left != "me-mine-small" {
		t.Errorf("%+v, %v", r, err)
	}
	if m, err := l.Find("me/mine"); err == nil {
		t.Errorf("it still means %s", m.Name)
	}
	if m, err := l.Find("me/mine:small"); err == nil {
		t.Errorf("it still means %s", m.Name)
	}
}
