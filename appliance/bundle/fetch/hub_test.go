package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"skerry/appliance/bundle/bundletest"
)

// hub is a server of one file with the hub's paths.
type hub struct {
	content []byte
	linked  bool          // names sha256 and size, as for large files
	cuts    []int         // bytes after which each request in turn breaks off
	noRange bool          // answers a range with the whole file
	wrong   bool          // sends other bytes than it names
	fail    int           // status of every answer
	hold    chan struct{} // requests wait for it
	mu      sync.Mutex    // guards all following fields
	ranges  []string      // Range of each GET
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sum := sha256.Sum256(h.content)
	switch {
	case h.fail != 0:
		http.Error(w, "no", h.fail)
		return
	case r.URL.Path == "/moved/repo/resolve/main/m.gguf":
		http.Redirect(w, r, "/owner/repo/resolve/main/m.gguf", http.StatusTemporaryRedirect)
		return
	case r.URL.Path != "/owner/repo/resolve/main/m.gguf":
		http.NotFound(w, r)
		return
	}
	if h.linked {
		w.Header().Set("X-Linked-Etag", `"`+hex.EncodeToString(sum[:])+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(h.content)))
	}
	if r.Method == http.MethodHead {
		return
	}
	if h.hold != nil {
		<-h.hold
	}
	h.mu.Lock()
	cut := -1
	if n := len(h.ranges); n < len(h.cuts) {
		cut = h.cuts[n]
	}
	h.ranges = append(h.ranges, r.Header.Get("Range"))
	h.mu.Unlock()
	content := h.content
	if h.wrong {
		content = bytes.Clone(content)
		content[len(content)-1] ^= 1
	}
	if h.noRange {
		r.Header.Del("Range")
	}
	if cut >= 0 {
		w = &cutter{w, cut}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// cutter breaks the connection off after some bytes.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(b []byte) (int, error) {
	n, _ := c.ResponseWriter.Write(b[:min(len(b), c.left)])
	if c.left -= n; c.left == 0 {
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, nil
}

func serve(t *testing.T, h *hub) Options {
	t.Helper()
	if h.content == nil {
		var err error
		if h.content, err = os.ReadFile(bundletest.Synth(t, "tiny", "q8_0")); err != nil {
			t.Fatal(err)
		}
	}
	s := httptest.NewServer(h)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() { client.CloseIdleConnections(); s.Close() })
	return Options{Cache: t.TempDir(), Hub: s.URL, Client: client, Pause: time.Millisecond}
}

const hubFile = "hf:owner/repo/m.gguf"

func fetched(t *testing.T, ref string, h *hub, opt Options) string {
	t.Helper()
	path, err := Model(t.Context(), ref, opt)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(b, h.content) {
		t.Fatalf("%s is not what the server has (%v)", path, err)
	}
	if files := bundletest.Tree(t, opt.Cache); len(files) != 1 {
		t.Fatalf("left %v", files)
	}
	return path
}

func TestHubResumes(t *testing.T) {
	h := &hub{linked: true, cuts: []int{1000, 0, 70000}}
	opt := serve(t, h)
	fetched(t, hubFile, h, opt)
	if got := strings.Join(h.ranges, " "); got != " bytes=1000- bytes=1000- bytes=71000-" {
		t.Errorf("ranges asked for: %q", got)
	}
	fetched(t, hubFile, h, opt)
	if len(h.ranges) != 4 {
		t.Error("downloaded what is in the cache")
	}
	fetched(t, "hf:moved/repo/m.gguf", h, opt)
}

func TestHubResumesInAnotherRun(t *testing.T) {
	h := &hub{linked: true, cuts: []int{5000, 0, 0, 0, 0, 0}}
	opt := serve(t, h)
	if _, err := Model(t.Context(), hubFile, opt); err == nil || !strings.Contains(err.Error(), "run the command again to resume") {
		t.Fatal(err)
	}
	h.cuts = nil
	fetched(t, hubFile, h, opt)
	if last := h.ranges[len(h.ranges)-1]; last != "bytes=5000-" {
		t.Errorf("asked for %q", last)
	}
}

func TestHubWithoutRanges(t *testing.T) {
	h := &hub{linked: true, noRange: true, cuts: []int{1000, 3000}}
	fetched(t, hubFile, h, serve(t, h))
}

func TestHubPinned(t *testing.T) {
	h := &hub{}
	opt := serve(t, h)
	sum := sha256.Sum256(h.content)
	pin := "@sha256:" + hex.EncodeToString(sum[:])
	if _, err := Model(t.Context(), hubFile, opt); err == nil || !strings.Contains(err.Error(), "add @sha256:HEX") {
		t.Errorf("no sha256 anywhere: %v", err)
	}
	fetched(t, hubFile+pin, h, opt)
	opt.Hub = "http://127.0.0.1:1"
	fetched(t, hubFile+pin, h, opt) // pinned and cached: no network needed
	if _, err := Model(t.Context(), hubFile, opt); err == nil || !strings.Contains(err.Error(), "check the network") {
		t.Errorf("no network: %v", err)
	}
	other := &hub{linked: true, content: []byte("others")}
	if _, err := Model(t.Context(), hubFile+pin, serve(t, other)); !errors.Is(err, ErrChecksum) {
		t.Errorf("another file than pinned: %v", err)
	}
}

func TestHubRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		hub  *hub
		ref  string
		want string
	}{
		"wrong sha256": {&hub{linked: true, wrong: true}, hubFile, "wrong sha256"},
		"404":          {&hub{linked: true}, "hf:owner/repo/other.gguf", "check owner, repository and file name"},
		"401":          {&hub{fail: 401}, hubFile, "needs an account"},
		"503":          {&hub{fail: 503}, hubFile, "try again later"},
		"form":         {&hub{}, "hf:repo/m.gguf", "not of the form"},
		"escape":       {&hub{}, "hf:owner/../../m.gguf", "not of the form"},
		"no gguf":      {&hub{}, "hf:owner/repo/m.bin", "not of the form"},
		"name":         {&hub{}, "gpt-5", "is not known"},
	} {
		opt := serve(t, c.hub)
		_, err := Model(t.Context(), c.ref, opt)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if left := bundletest.Tree(t, opt.Cache); len(left) != 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

func TestHubCancel(t *testing.T) {
	h := &hub{linked: true}
	opt := serve(t, h)
	ctx, cancel := context.WithCancel(t.Context())
	opt.Progress = func(step string, done, _ int64) {
		if step == "download" && done > 0 {
			cancel()
		}
	}
	if _, err := Model(ctx, hubFile, opt); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	opt.Progress = nil
	fetched(t, hubFile, h, opt)
}

// TestOneDownload has many ask for a file at once.
func TestOneDownload(t *testing.T) {
	h := &hub{linked: true, hold: make(chan struct{})}
	opt := serve(t, h)
	var waiting atomic.Int32
	opt.Progress = func(step string, _, _ int64) {
		if step == "wait for another download" && waiting.Add(1) == 3 {
			close(h.hold)
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := Model(t.Context(), hubFile, opt); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(h.ranges) != 1 {
		t.Errorf("%d downloads", len(h.ranges))
	}
	fetched(t, hubFile, h, opt)
}

func TestFromFile(t *testing.T) {
	src := bundletest.Synth(t, "tiny", "q4_0")
	if path, err := Model(t.Context(), "", Options{From: src}); err != nil || path != src {
		t.Errorf("%s, %v", path, err)
	}
	text := filepath.Join(t.TempDir(), "a.gguf")
	if err := os.WriteFile(text, []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := FromFile(text); err == nil || !strings.Contains(err.Error(), "does not begin with GGUF") {
		t.Errorf("took a text: %v", err)
	}
}
