package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/synth"
)

// haltingHub serves a model, eye.gguf, and its projector, mmproj-eye.gguf, as a hub does. The next
// download of the file that halts stops in its middle, until it is let go on or its reader has gone.
type haltingHub struct {
	files map[string][]byte

	mu      sync.Mutex // guards all following
	halts   string     // a file's name
	goes    chan struct{}
	fetched []string // each GET of a file, with where it began
}

func startHaltingHub(t *testing.T) *haltingHub {
	t.Helper()
	h := &haltingHub{files: map[string][]byte{}, goes: make(chan struct{})}
	for name, shape := range map[string]string{"eye.gguf": "tiny-vision", "mmproj-eye.gguf": synth.Projector} {
		path := filepath.Join(t.TempDir(), name)
		if err := synth.Write(t.Context(), shape, path, synth.Options{Seed: 1, Type: "f32"}); err != nil {
			t.Fatal(err)
		}
		var err error
		if h.files[name], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	t.Setenv("SKERRY_HUB", s.URL)
	return h
}

func (h *haltingHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/models/owner/repo" {
		fmt.Fprint(w, `{"siblings":[{"rfilename":"eye.gguf"},{"rfilename":"mmproj-eye.gguf"}]}`)
		return
	}
	name := filepath.Base(r.URL.Path)
	data, ok := h.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	sum := sha256.Sum256(data)
	w.Header().Set("Etag", `"`+hex.EncodeToString(sum[:])+`"`)
	if r.Method == http.MethodHead {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		return
	}
	h.mu.Lock()
	h.fetched = append(h.fetched, strings.TrimSpace(name+" "+r.Header.Get("Range")))
	halts, goes := h.halts == name, h.goes
	if halts {
		h.halts = ""
	}
	h.mu.Unlock()
	if halts {
		w = &halting{w, r, len(data) / 2, goes}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// halting stops after some bytes.
type halting struct {
	http.ResponseWriter
	r    *http.Request
	left int
	goes chan struct{}
}

func (h *halting) Write(b []byte) (n int, err error) {
	if h.left > 0 {
		first := b[:min(len(b), h.left)]
		if n, err = h.ResponseWriter.Write(first); err != nil {
			return n, err
		}
		if h.left -= n; h.left > 0 {
			return n, nil
		}
		h.ResponseWriter.(http.Flusher).Flush()
		select {
		case <-h.goes:
		case <-h.r.Context().Done():
			return n, h.r.Context().Err()
		}
	}
	more, err := h.ResponseWriter.Write(b[n:])
	return n + more, err
}

// halt has the next download of a file stop.
func (h *haltingHub) halt(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.halts, h.goes = name, make(chan struct{})
}

// asked are the downloads since the last call.
func (h *haltingHub) asked() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.fetched
	h.fetched = nil
	return all
}

// awaitPart waits until half of a file that is being fetched is on the disk.
func (h *haltingHub) awaitPart(t *testing.T, cache, name string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		parts, _ := filepath.Glob(filepath.Join(cache, "models", "*", name+".part"))
		for _, part := range parts {
			if st, err := os.Stat(part); err == nil && st.Size() == int64(len(h.files[name])/2) {
				return
			}
		}
	}
	t.Fatalf("half of %s never came", name)
}

// pulled is what is said of a pull that ended with a code, and the bundle it made.
func pulled(t *testing.T, p *process, code int) (dir, said string) {
	t.Helper()
	if got := p.wait(t); got != code {
		t.Fatalf("exit code %d, want %d: %s", got, code, p.stderr.String())
	}
	return strings.TrimSpace(p.stdout.String()), p.stderr.String()
}

// wholeBundle has to be one that reads images, and nothing half fetched may lie beside it.
func wholeBundle(t *testing.T, cache, dir string) {
	t.Helper()
	if err := bundle.Verify(t.Context(), dir); err != nil {
		t.Error(err)
	}
	if m, err := bundle.ReadManifest(dir); err != nil || m.Projector == nil {
		t.Errorf("%+v %v", m, err)
	}
	for path := range bundletest.Tree(t, cache) {
		if strings.HasSuffix(path, ".part") || strings.Contains(path, ".tmp") {
			t.Errorf("left: %s", path)
		}
	}
}

// A pull that is killed in the middle of a download is gone on with by the same command, from where
// it was, for the model and for its projector.
func TestPullKilled(t *testing.T) {
	computes(t)
	h, cache := startHaltingHub(t), t.TempDir()
	t.Setenv("SKERRY_CACHE", cache)
	t.Setenv("SKERRY_STATE", t.TempDir())
	t.Setenv("SKERRY_SOCKET", filepath.Join(t.TempDir(), "none"))
	for _, name := range []string{"eye.gguf", "mmproj-eye.gguf"} {
		h.halt(name)
		p := start(t, "model", "pull", "hf:owner/repo")
		h.awaitPart(t, cache, name)
		p.signal(t, unix.SIGKILL)
		p.wait(t)
		if bundles, _ := filepath.Glob(filepath.Join(cache, "bundles", "*", bundle.ManifestFile)); len(bundles) > 0 {
			t.Errorf("there is %q", bundles)
		}
	}
	h.asked()
	dir, _ := pulled(t, start(t, "model", "pull", "hf:owner/repo"), 0)
	if got, want := h.asked(), []string{fmt.Sprintf("mmproj-eye.gguf bytes=%d-", len(h.files["mmproj-eye.gguf"])/2)}; !slices.Equal(got, want) {
		t.Errorf("fetched %q, want %q", got, want)
	}
	wholeBundle(t, cache, dir)
}

// On a file system without room a pull says how much it needs before it fetches anything, or what is in the
// way once that is full; with room the same command goes on with what is there.
func TestPullWithoutRoom(t *testing.T) {
	computes(t)
	h, cache := startHaltingHub(t), t.TempDir()
	model := len(h.files["eye.gguf"])
	size := func(flags uintptr, bytes int) error {
		return unix.Mount("tmpfs", cache, "tmpfs", flags, fmt.Sprintf("size=%d", bytes))
	}
	if err := size(0, model); err != nil {
		t.Skipf("cannot mount a small file system, which takes root: %v", err)
	}
	defer unix.Unmount(cache, unix.MNT_DETACH)
	t.Setenv("SKERRY_CACHE", cache)
	t.Setenv("SKERRY_STATE", t.TempDir())
	t.Setenv("SKERRY_SOCKET", filepath.Join(t.TempDir(), "none"))
	refused := func(p *process, words string) {
		t.Helper()
		if dir, said := pulled(t, p, 1); dir != "" || !strings.Contains(said, words) || strings.Count(said, "skerry: ") != 1 {
			t.Errorf("stdout %q, stderr %q, want %q", dir, said, words)
		}
	}
	// The model has no room.
	refused(start(t, "model", "pull", "hf:owner/repo"), "are free: free some space or choose another directory")
	if got := h.asked(); len(got) == 1 && got[0] == "eye.gguf" {
		// the request was begun, and given up at its header
	} else if len(got) > 0 {
		t.Errorf("fetched %q", got)
	}
	for path := range bundletest.Tree(t, cache) {
		t.Errorf("left: %s", path)
	}
	// The file system is filled by others in the middle of the download.
	if err := size(unix.MS_REMOUNT, model+3<<20); err != nil {
		t.Fatal(err)
	}
	h.halt("eye.gguf")
	p := start(t, "model", "pull", "hf:owner/repo")
	h.awaitPart(t, cache, "eye.gguf")
	hog := filepath.Join(cache, "hog")
	f, err := os.Create(hog)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	f.Close()
	close(h.goes)
	refused(p, "the file system at "+cache+" is full")
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	if parts, _ := filepath.Glob(filepath.Join(cache, "models", "*", "*.part")); len(parts) > 0 {
		t.Errorf("a disk that is full is left with %q", parts)
	}
	// There is room for the files, and not for the bundle.
	if err := size(unix.MS_REMOUNT, model+len(h.files["mmproj-eye.gguf"])+3<<19); err != nil {
		t.Fatal(err)
	}
	refused(start(t, "model", "pull", "hf:owner/repo"), "free some space")
	if bundles, _ := filepath.Glob(filepath.Join(cache, "bundles", "*")); len(bundles) > 0 {
		t.Errorf("there is %q", bundles)
	}
	h.asked()
	if err := size(unix.MS_REMOUNT, 10*model+8<<20); err != nil {
		t.Fatal(err)
	}
	dir, _ := pulled(t, start(t, "model", "pull", "hf:owner/repo"), 0)
	if got := h.asked(); len(got) > 0 {
		t.Errorf("fetched again: %q", got)
	}
	wholeBundle(t, cache, dir)
}
