package transport

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"log/slog"
	"slices"
	"sync"
	"time"

	"skerry/cloudlink/trust"
)

const (
	// keyAge is how long a key seals new tickets.
	keyAge = 24 * time.Hour
	// keysKept opens every ticket that has not expired: crypto/tls lets them
	// live for seven days.
	keysKept = 8
	// reloadEvery bounds how often the store is read for a ticket that no key
	// opens: anyone can send one.
	reloadEvery = 10 * time.Second
)

// keyring seals and opens session tickets. A key carries when it was made, in
// its first eight bytes as big-endian Unix seconds; the other 24 are random.
type keyring struct {
	store TicketKeys // nil: the keys end with the process
	clock func() time.Time
	log   *slog.Logger

	mu     sync.Mutex // guards all following
	keys   [][32]byte // newest first
	tls    *tls.Config
	loaded time.Time
	failed time.Time // when new keys could not be kept
}

func newKeyring(o ListenOptions) *keyring {
	r := &keyring{store: o.TicketKeys, clock: o.Clock, log: o.Log, tls: &tls.Config{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.load()
	r.rotate()
	return r
}

// config returns conf as a cloud serves it, sealing tickets with the ring.
func (r *keyring) config(conf *tls.Config) *tls.Config {
	conf = withALPN(conf)
	conf.ClientAuth = tls.RequireAndVerifyClientCert
	conf.WrapSession, conf.UnwrapSession = r.seal, r.open
	if conf.Time == nil {
		conf.Time = r.clock
	}
	if choose := conf.GetConfigForClient; choose != nil {
		conf.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := choose(hello)
			if chosen == nil || err != nil || slices.Contains(chosen.NextProtos, trust.ALPN) {
				return chosen, err // enrolment has neither tickets nor certificates to check
			}
			chosen = r.config(chosen)
			chosen.GetConfigForClient = nil
			return chosen, nil
		}
	}
	return conf
}

func (r *keyring) seal(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
	r.mu.Lock()
	r.rotate()
	conf := r.tls
	r.mu.Unlock()
	return conf.EncryptTicket(cs, ss)
}

func (r *keyring) open(label []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	r.mu.Lock()
	conf := r.tls
	r.mu.Unlock()
	ss, err := conf.DecryptTicket(label, cs)
	if ss != nil || err != nil {
		return ss, err
	}
	r.mu.Lock()
	if r.clock().Sub(r.loaded).Abs() >= reloadEvery {
		r.load() // another replica may have made a key
	}
	conf = r.tls
	r.mu.Unlock()
	return conf.DecryptTicket(label, cs)
}

// load reads the keys that all replicas share; mu is held.
func (r *keyring) load() {
	r.loaded = r.clock()
	if r.store == nil {
		return
	}
	keys, err := r.store.TicketKeys()
	if err != nil {
		r.log.Warn("session ticket keys not read, resumed boards take a round trip more", "err", err)
		return
	}
	if len(keys) > 0 {
		r.use(keys)
	}
}

// rotate makes a new key when the newest is old; mu is held. Two replicas may do
// so at once: tickets of the one that was overwritten are rejected later, which
// costs a round trip.
func (r *keyring) rotate() {
	now := r.clock()
	if !r.old(now) || now.Sub(r.failed).Abs() < reloadEvery {
		return
	}
	if r.load(); !r.old(now) {
		return // another replica was first
	}
	var key [32]byte
	binary.BigEndian.PutUint64(key[:8], uint64(now.Unix()))
	rand.Read(key[8:])
	keys := append([][32]byte{key}, r.keys...)
	keys = keys[:min(len(keys), keysKept)]
	if r.store != nil {
		if err := r.store.PutTicketKeys(keys); err != nil {
			r.log.Warn("new session ticket key not kept, resumed boards take a round trip more after a restart", "err", err)
			r.failed = now
			if len(r.keys) > 0 {
				return
			}
		}
	}
	r.use(keys)
}

// old reports whether the newest key is too old, or of a clock gone wrong.
func (r *keyring) old(now time.Time) bool {
	if len(r.keys) == 0 {
		return true
	}
	made := time.Unix(int64(binary.BigEndian.Uint64(r.keys[0][:8])), 0)
	return now.Sub(made).Abs() >= keyAge
}

func (r *keyring) use(keys [][32]byte) {
	r.keys = slices.Clone(keys)
	r.tls = &tls.Config{}
	r.tls.SetSessionTicketKeys(r.keys)
}
