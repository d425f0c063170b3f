package partition_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/wire"
)

// served writes a file of n bytes and has the cloud serve it.
func served(t *testing.T, n int) ([]byte, func(*partition.Config)) {
	t.Helper()
	content := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(content)
	path := filepath.Join(t.TempDir(), "board-1.gguf")
	must(t, os.WriteFile(path, content, 0o600))
	return content, func(conf *partition.Config) {
		conf.Bundles[0].Files = []partition.File{
			{Name: "board-1.gguf", Path: path, Bytes: int64(n)}, {Name: "unsplit.gguf", Path: path, Bytes: int64(n), Extra: true},
			{Name: "gone.gguf", Path: path + ".gone", Bytes: 10},
		}
	}
}

// gather is a fetch of a file into memory.
func gather(name string, from int, into *bytes.Buffer) cloudlink.Fetch {
	return cloudlink.Fetch{Bundle: bundleID, File: name, From: int64(from), Most: 1 << 30, Take: func(_ int64, b []byte) error {
		into.Write(b)
		return nil
	}}
}

// TestFetch: a board gets a file of the cloud's bundle over either transport, from
// any byte on, while its asks go on being answered.
func TestFetch(t *testing.T) {
	t.Parallel()
	content, files := served(t, 3<<20)
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), files)
	for _, transport := range []cloudlink.Transport{cloudlink.TransportQUIC, cloudlink.TransportTCP} {
		l := newLink(t, c, func(conf *cloudlink.LinkConfig) { conf.Transport = transport })
		s := openOn(t, l, cloudlink.SessionOptions{})
		hidden := rows(rand.New(rand.NewPCG(9, 1)), 40)
		must(t, s.Append(0, hidden))
		settled(t, l, s, hidden)
		if b, ok := l.Bundles(); !ok || len(b) != 1 || b[0].Bytes != 3<<20+10 {
			t.Errorf("%s: the cloud says that it serves %v", transport, b)
		}
		for _, from := range []int{0, 1<<20 + 7, 3 << 20} {
			var got bytes.Buffer
			f := gather("board-1.gguf", from, &got)
			f.Take = func(total int64, b []byte) error {
				if got.Len() == 0 { // between two pieces
					ask(t, s, 39, 1)
				}
				got.Write(b)
				return nil
			}
			if err := l.Fetch(t.Context(), f); err != nil || !bytes.Equal(got.Bytes(), content[from:]) {
				t.Errorf("%s, from %d: %d bytes, %v", transport, from, got.Len(), err)
			}
		}
		for name, want := range map[string]error{
			"nothing.gguf": cloudlink.ErrNoFile, "gone.gguf": cloudlink.ErrNoFile, "../board-1.gguf": cloudlink.ErrNoFetch,
		} {
			if err := l.Fetch(t.Context(), gather(name, 0, new(bytes.Buffer))); !errors.Is(err, want) {
				t.Errorf("%s, %s: %v", transport, name, err)
			}
		}
		f := gather("board-1.gguf", 0, new(bytes.Buffer))
		f.Most = 1 << 20
		if err := l.Fetch(t.Context(), f); !errors.Is(err, cloudlink.ErrProtocol) {
			t.Errorf("%s: a file larger than it may be: %v", transport, err)
		}
		full := errors.New("disk full")
		f.Most, f.Take = 1<<30, func(int64, []byte) error { return full }
		if err := l.Fetch(t.Context(), f); !errors.Is(err, full) {
			t.Errorf("%s: %v", transport, err)
		}
		f.Bundle, f.Take = wire.Hash{99}, nil
		if err := l.Fetch(t.Context(), f); !errors.Is(err, cloudlink.ErrUnknownBundle) {
			t.Errorf("%s: a bundle it has not: %v", transport, err)
		}
		l.Close()
	}
	if st := c.server.Stats(); st.FileBytes < 2*(3<<20) {
		t.Errorf("%d bytes of files were counted", st.FileBytes)
	}
}

// TestFetchGoesOn: a fetch whose connection is lost goes on over the next one.
func TestFetchGoesOn(t *testing.T) {
	t.Parallel()
	content, files := served(t, 2<<20)
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), files)
	l := newLink(t, c)
	var got bytes.Buffer
	f := gather("board-1.gguf", 0, &got)
	lost := 0
	f.Take = func(_ int64, b []byte) error {
		got.Write(b)
		if c := l.Client(); c != nil && got.Len() > (lost+1)<<19 && lost < 3 {
			lost++
			c.Close()
		}
		return nil
	}
	if err := l.Fetch(t.Context(), f); err != nil || !bytes.Equal(got.Bytes(), content) || lost != 3 {
		t.Errorf("%d of %d bytes after %d losses, %v", got.Len(), len(content), lost, err)
	}
}

// TestFetchRefused: a board that is not let in fetches nothing, one that was
// revoked is told so, and a cloud that serves no files says it at once.
func TestFetchRefused(t *testing.T) {
	t.Parallel()
	_, files := served(t, 1<<20)
	book := &barring{}
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), files, func(conf *partition.Config) { conf.Devices = book })
	l := newLink(t, c)
	if err := l.Fetch(t.Context(), gather("board-1.gguf", 0, new(bytes.Buffer))); err != nil {
		t.Fatal(err)
	}
	book.barred.Store(true)
	c.server.Disconnect(cloudlink.DevClient, "device revoked: ask for a code")
	eventually(t, func() bool { return !l.Status().Connected })
	if err := l.Fetch(t.Context(), gather("board-1.gguf", 0, new(bytes.Buffer))); !errors.Is(err, cloudlink.ErrUnauthorized) {
		t.Errorf("a revoked board: %v", err)
	}
	if st := l.Status(); !st.Refused || !errors.Is(st.Err, cloudlink.ErrRevoked) {
		t.Errorf("%+v", st)
	}
	l.Retry()
	eventually(t, func() bool { st := l.Status(); return st.NextDial.After(time.Now().Add(time.Minute)) })
	if st := l.Status(); !errors.Is(st.Err, cloudlink.ErrRevoked) {
		t.Errorf("dialled again: %+v", st)
	}

	for name, change := range map[string]func(*partition.Config){
		"none may": func(conf *partition.Config) { files(conf); conf.FileRate = -1 },
		"has none": func(conf *partition.Config) {},
	} {
		c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), change)
		if err := newLink(t, c).Fetch(t.Context(), gather("board-1.gguf", 0, new(bytes.Buffer))); !errors.Is(err, cloudlink.ErrNoFetch) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// barring is a record of one board that may be revoked.
type barring struct {
	highest
	barred atomic.Bool
}

func (b *barring) Admitted(string) (string, error) {
	if b.barred.Load() {
		return "", partition.ErrRevoked
	}
	return "hidden", nil
}

// TestFetchStreams: a board fetches over a few streams at once, not over many:
// what it may have the cloud read and send is bounded.
func TestFetchStreams(t *testing.T) {
	t.Parallel()
	_, files := served(t, 1<<20)
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), files, func(conf *partition.Config) { conf.FileRate = 512 << 10 })
	raw := c.dialRaw(t)
	first := raw.fetch(wire.Fetch{Bundle: bundleID, File: "board-1.gguf", Length: wire.MaxPiece, Epoch: 1})
	second := raw.fetch(wire.Fetch{Bundle: bundleID, File: "board-1.gguf", Length: wire.MaxPiece, Epoch: 1})
	for _, r := range []*wire.Reader{first, second} {
		if m, err := r.Next(); err != nil || len(m.(*wire.Piece).Data) != wire.MaxPiece {
			t.Fatalf("%T, %v", m, err)
		}
	}
	m, err := raw.fetch(wire.Fetch{Bundle: bundleID, File: "board-1.gguf", Length: 1, Epoch: 1}).Next()
	if e, ok := m.(*wire.Error); !ok || e.Code != wire.CodeBusy || err != nil {
		t.Errorf("a third stream: %+v, %v", m, err)
	}
}

// TestFetchBreaches: what no board asks for ends its stream and no other.
func TestFetchBreaches(t *testing.T) {
	t.Parallel()
	_, files := served(t, 1<<20)
	c := newCloud(t, fakestage.New(width, vocab, 2, 1024, 64), files)
	raw := c.dialRaw(t)
	ask := wire.Fetch{Bundle: bundleID, File: "board-1.gguf", Length: 100, Epoch: 1}
	if m, err := raw.fetch(ask).Next(); err != nil || len(m.(*wire.Piece).Data) != 100 { // epoch 1 is the connection's
		t.Fatalf("%+v, %v", m, err)
	}
	for name, change := range map[string]func(*wire.Fetch){
		"no length":      func(f *wire.Fetch) { f.Length = 0 },
		"too long":       func(f *wire.Fetch) { f.Length = wire.MaxPiece + 1 },
		"beyond":         func(f *wire.Fetch) { f.Offset = 1<<20 + 1 },
		"far beyond":     func(f *wire.Fetch) { f.Offset = 1 << 63 },
		"another epoch":  func(f *wire.Fetch) { f.Epoch = 2 },
		"a path":         func(f *wire.Fetch) { f.File = "../cloud.db" },
		"another path":   func(f *wire.Fetch) { f.File = "/etc/passwd" },
		"no name":        func(f *wire.Fetch) { f.File = "" },
		"another bundle": func(f *wire.Fetch) { f.Bundle[31]++ },
	} {
		f := ask
		change(&f)
		m, err := raw.fetch(f).Next()
		if e, ok := m.(*wire.Error); !ok || err != nil {
			t.Errorf("%s: %+v, %v", name, m, err)
		} else {
			t.Logf("%s: %s: %s", name, e.Code, e.Text)
		}
	}
	if m, err := raw.fetch(ask).Next(); err != nil || len(m.(*wire.Piece).Data) != 100 {
		t.Errorf("afterwards: %+v, %v", m, err)
	}
}

// fetch opens a stream and asks for a piece.
func (c rawConn) fetch(m wire.Fetch) *wire.Reader {
	c.t.Helper()
	s := c.stream(encode(c.t, &m))
	s.SetReadDeadline(time.Now().Add(patience))
	return wire.NewReader(s, 0)
}
