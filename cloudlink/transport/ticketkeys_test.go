package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

type keyStore struct {
	keys [][32]byte
	err  error
}

func (s *keyStore) TicketKeys() ([][32]byte, error) { return s.keys, s.err }

func (s *keyStore) PutTicketKeys(keys [][32]byte) error {
	if s.err == nil {
		s.keys = keys
	}
	return s.err
}

// aSession returns the state of a session as a cloud gets to seal it.
var aSession = sync.OnceValue(func() *tls.SessionState {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	server, client, err := DevTLS(dir)
	if err != nil {
		panic(err)
	}
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	var state *tls.SessionState
	server.WrapSession = func(_ tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		state = ss
		return []byte{1}, nil
	}
	a, b := net.Pipe()
	go func() {
		c := tls.Client(a, client)
		c.Handshake()
		c.Read(make([]byte, 1))
	}()
	if err := tls.Server(b, server).Handshake(); err != nil {
		panic(err)
	}
	a.Close()
	b.Close()
	return state
})

// opens reports whether ring opens a ticket.
func opens(t *testing.T, label []byte, ring *keyring) bool {
	t.Helper()
	ss, err := ring.open(label, tls.ConnectionState{})
	if err != nil {
		t.Fatal(err)
	}
	return ss != nil
}

func seals(t *testing.T, ring *keyring) []byte {
	t.Helper()
	label, err := ring.seal(tls.ConnectionState{}, aSession())
	if err != nil {
		t.Fatal(err)
	}
	return label
}

// TestTicketKeysRotate: a new key every day, over restarts, and tickets open
// for as long as they live.
func TestTicketKeysRotate(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	store := &keyStore{}
	restart := func() *keyring {
		return newKeyring(ListenOptions{TicketKeys: store, Clock: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	}
	ring := restart()
	first := seals(t, ring)
	key := store.keys[0]
	for d := range 14 {
		now = now.Add(time.Hour)
		seals(t, ring)
		if d%2 == 1 {
			ring = restart()
		}
		if newest := store.keys[0]; d > 0 && newest == key {
			t.Errorf("day %d: the key of the day before", d)
		}
		key = store.keys[0]
		if got, want := opens(t, first, ring), d <= 7; got != want {
			t.Errorf("day %d: opens %v", d, got)
		}
		if len(store.keys) > keysKept {
			t.Errorf("%d keys kept", len(store.keys))
		}
		now = now.Add(keyAge - time.Hour)
	}
}

// TestReplicasShareTicketKeys: what one seals the other opens, though the key
// is newer than its start.
func TestReplicasShareTicketKeys(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	store := &keyStore{}
	o := ListenOptions{TicketKeys: store, Clock: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	a, b := newKeyring(o), newKeyring(o)
	if !opens(t, seals(t, a), b) || !opens(t, seals(t, b), a) {
		t.Fatal("replicas do not open each other's tickets")
	}
	now = now.Add(keyAge)
	if !opens(t, seals(t, a), b) {
		t.Fatal("a key that another replica made is not found")
	}
	if opens(t, []byte("no ticket"), b) {
		t.Fatal("garbage was opened")
	}
}

// TestTicketKeysWithoutAStore that works: boards are served all the same.
func TestTicketKeysWithoutAStore(t *testing.T) {
	o := ListenOptions{TicketKeys: &keyStore{err: errors.New("disk full")}, Clock: time.Now, Log: slog.New(slog.DiscardHandler)}
	for _, ring := range []*keyring{newKeyring(o), newKeyring(ListenOptions{Clock: time.Now, Log: slog.New(slog.DiscardHandler)})} {
		if !opens(t, seals(t, ring), ring) {
			t.Error("its own ticket is not opened")
		}
	}
}

// TestTicketEncoding: what is kept is what was put in, and garbage is refused.
func TestTicketEncoding(t *testing.T) {
	want := &ticket{tries: 3, owner: [ownerBytes]byte{1, 2}, label: []byte("label"), state: []byte("state")}
	b := want.encode()
	got, err := decodeTicket(b)
	if err != nil || got.tries != 3 || got.owner != want.owner || string(got.label) != "label" || string(got.state) != "state" {
		t.Fatalf("%+v, %v", got, err)
	}
	for n := range 12 {
		if _, err := decodeTicket(b[:n]); err == nil {
			t.Errorf("%d bytes of it are accepted", n)
		}
	}
}

func FuzzTicket(f *testing.F) {
	f.Add((&ticket{label: []byte("label"), state: []byte("state")}).encode())
	f.Add([]byte{ticketVersion, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		tk, err := decodeTicket(b)
		if err != nil {
			return
		}
		back, err := decodeTicket(tk.encode())
		if err != nil || !bytes.Equal(back.label, tk.label) || !bytes.Equal(back.state, tk.state) {
			t.Fatalf("%x became %+v, %v", b, back, err)
		}
	})
}
