package fetch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/httpd/httpdtest"
)

// lie is a hub that names a sum and then does as it likes with GET.
type lie struct {
	size  string // that it names; "": none
	moved string // that HEAD and GET are sent to
	get   func(w http.ResponseWriter, r *http.Request)
	gets  atomic.Int32
	sent  atomic.Int64
}

func (l *lie) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Linked-Etag", `"`+strings.Repeat("a", 64)+`"`)
	if l.size != "" {
		w.Header().Set("X-Linked-Size", l.size)
	}
	if l.moved != "" {
		if r.Method == http.MethodGet {
			l.gets.Add(1)
		}
		http.Redirect(w, r, l.moved, http.StatusFound)
		return
	}
	if r.Method == http.MethodHead {
		return
	}
	l.gets.Add(1)
	l.get(&counted{w, &l.sent}, r)
}

type counted struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.n.Add(int64(n))
	return n, err
}

func (c *counted) Flush() { c.ResponseWriter.(http.Flusher).Flush() }

// forever writes begin and then zeros, to a client that reads them.
func forever(begin []byte) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Write(begin)
		for zeros := make([]byte, 1<<20); ; {
			if _, err := w.Write(zeros); err != nil {
				return
			}
		}
	}
}

func breakOff(w http.ResponseWriter) {
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// TestHubLies: whatever a hub or a proxy before it sends, the fetch ends soon, with
// little written, and nothing of it stays.
func TestHubLies(t *testing.T) {
	model, err := os.ReadFile(bundletest.Synth(t, "tiny", "q8_0"))
	if err != nil {
		t.Fatal(err)
	}
	// A header that says of its tensors that they have more than any disk.
	dear := append([]byte("GGUF\x03\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"+
		"\x01\x00\x00\x00\x00\x00\x00\x00t\x01\x00\x00\x00"), 0, 0, 0, 0, 0, 2, 0, 0)
	dear = append(dear, make([]byte, 4+8+64)...)
	// One whose header never ends: a metadata key as long as may be, again and again.
	endless := []byte("GGUF\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x00" +
		"\x01\x00\x00\x00\x00\x00\x00\x00k\x09\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\x1f\x00\x00\x00\x00")
	trickle := func(w http.ResponseWriter, r *http.Request) {
		var from int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(model)-1, len(model)))
		w.Header().Set("Content-Length", "1000")
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		w.Write(model[from : from+1])
		breakOff(w)
	}
	for name, c := range map[string]struct {
		lie  *lie
		want string
		most int64 // bytes that may have been sent, beyond what kernels buffer
		keep bool  // what came is the beginning of the model, and is gone on with
	}{
		"endless, no model": {lie: &lie{get: forever(nil)}, want: "does not begin with GGUF"},
		"a page":            {lie: &lie{get: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>log in</html>") }}, want: "does not begin with GGUF"},
		"endless model":     {lie: &lie{get: forever(model)}, want: "sends more than", most: int64(len(model))},
		"endless header":    {lie: &lie{get: forever(endless)}, want: "does not end within 67 MB", most: maxModelHeader},
		"larger than disks": {lie: &lie{get: forever(dear)}, want: "no space left on device"},
		"absurd size":       {lie: &lie{size: "9000000000000000000"}, want: "which no model has"},
		"absurd size of GET": {lie: &lie{get: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9000000000000000000")
			w.Write(model)
			breakOff(w)
		}}, want: "which no model has"},
		"more than it said":   {lie: &lie{size: fmt.Sprint(len(model)), get: forever(model)}, want: "wrong sha256", most: int64(len(model))},
		"a byte a try":        {lie: &lie{size: fmt.Sprint(len(model)), get: trickle}, want: "run the command again", keep: true},
		"to a file":           {lie: &lie{moved: "file:///etc/passwd"}, want: "to a file: address"},
		"round and round":     {lie: &lie{size: "100", moved: "/owner/repo/resolve/main/m.gguf"}, want: "ten times in a row"},
		"no bytes, no length": {lie: &lie{get: func(w http.ResponseWriter, _ *http.Request) {}}, want: "wrong sha256"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(c.lie)
			client := &http.Client{Transport: &http.Transport{}}
			defer func() { client.CloseIdleConnections(); s.CloseClientConnections(); s.Close() }()
			opt := Options{Cache: t.TempDir(), Hub: s.URL, Client: client, Pause: time.Microsecond}
			_, err := Model(t.Context(), hubFile, opt)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || strings.Count(err.Error(), "free some space") > 1 {
				t.Errorf("%v, want %q", err, c.want)
			}
			if n := c.lie.gets.Load(); n > 2*tries {
				t.Errorf("%d requests", n)
			}
			if n := c.lie.sent.Load(); n > c.most+64<<20 {
				t.Errorf("%d bytes were sent", n)
			}
			if left := bundletest.Tree(t, opt.Cache); (len(left) > 0) != c.keep {
				t.Errorf("left %v", left)
			}
			t.Logf("%v; %d requests, %d bytes", err, c.lie.gets.Load(), c.lie.sent.Load())
		})
	}
}

// A hub that sends a few bytes and falls silent is waited for as long as may be, in virtual
// time, and what came is kept.
func TestHubFallsSilent(t *testing.T) {
	model, err := os.ReadFile(bundletest.Synth(t, "tiny", "q8_0"))
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		network, served := httpdtest.NewPipes(), make(chan error, 1)
		s := &http.Server{Handler: &lie{size: fmt.Sprint(len(model)), get: func(w http.ResponseWriter, r *http.Request) {
			w.Write(model[:9])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}}}
		go func() { served <- s.Serve(network) }()
		client := &http.Client{Transport: &http.Transport{DialContext: network.Dial}}
		began := time.Now()
		_, err := Model(t.Context(), hubFile, Options{Cache: cache, Hub: "http://hub", Client: client, Pause: time.Second, Stall: time.Minute})
		if err == nil || !strings.Contains(err.Error(), "stalls") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took < time.Minute || took > 2*tries*time.Minute {
			t.Errorf("it took %s", took)
		}
		client.CloseIdleConnections()
		s.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	if left := bundletest.Tree(t, cache); len(left) == 0 {
		t.Error("nothing of what came is kept")
	}
}

// TestHubUnsized: a model comes whole from a hub that names no size, in one piece of
// a length that is known or not, with many breaks that each bring something.
func TestHubUnsized(t *testing.T) {
	model, err := os.ReadFile(bundletest.Synth(t, "tiny", "q8_0"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(model)
	for name, step := range map[string]int{"at once": len(model), "by 65 KiB": 65 << 10} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"`+hex.EncodeToString(sum[:])+`"`)
			if r.Method == http.MethodHead {
				return
			}
			var from int
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
			if from > 0 {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-/*", from))
				w.WriteHeader(http.StatusPartialContent)
			}
			w.Write(model[from:min(from+step, len(model))])
			w.(http.Flusher).Flush() // so that no length is said
			if from+step < len(model) {
				breakOff(w)
			}
		}))
		client := &http.Client{Transport: &http.Transport{}}
		opt := Options{Cache: t.TempDir(), Hub: s.URL, Client: client, Pause: time.Microsecond}
		path, err := Model(t.Context(), hubFile, opt)
		if b, _ := os.ReadFile(path); err != nil || !bytes.Equal(b, model) {
			t.Errorf("%s: %v", name, err)
		}
		client.CloseIdleConnections()
		s.Close()
	}
}

// A redirect is followed to another server, never to one without encryption.
func TestRedirects(t *testing.T) {
	request := func(url string) *http.Request {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"https://a.example/f", "https://b.example/f", true},
		{"http://a.example/f", "http://b.example/f", true},
		{"http://a.example/f", "https://b.example/f", true},
		{"https://a.example/f", "http://b.example/f", false},
		{"https://a.example/f", "ftp://b.example/f", false},
		{"https://a.example/f", "file:///etc/passwd", false},
	} {
		err := follow(request(c.to), []*http.Request{request(c.from)})
		if (err == nil) != c.ok || err != nil && !errors.Is(err, errRedirect) {
			t.Errorf("%s to %s: %v", c.from, c.to, err)
		}
	}
}
