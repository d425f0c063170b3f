package transport

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
)

const (
	ticketVersion = 1
	ownerBytes    = 8
	// freshEvery makes one of so many dials in a row that the cloud does not
	// answer go without a ticket: some networks swallow early data.
	freshEvery = 4
	// takeLimit bounds how many useless tickets one dial throws away.
	takeLimit = 8
)

// ticket is a session ticket as it is kept.
type ticket struct {
	tries byte             // dials with it in a row that the cloud did not answer
	owner [ownerBytes]byte // of the certificate it stands for
	label []byte           // what the cloud gets
	state []byte           // tls.SessionState
}

// encode returns version, tries, owner, length of label, label, state.
func (t *ticket) encode() []byte {
	b := append([]byte{ticketVersion, t.tries}, t.owner[:]...)
	b = binary.AppendUvarint(b, uint64(len(t.label)))
	return append(append(b, t.label...), t.state...)
}

var errTicket = errors.New("not a session ticket of this version")

func decodeTicket(b []byte) (*ticket, error) {
	if len(b) < 2+ownerBytes || b[0] != ticketVersion {
		return nil, errTicket
	}
	t := &ticket{tries: b[1]}
	rest := b[2+copy(t.owner[:], b[2:]):]
	n, used := binary.Uvarint(rest)
	if used <= 0 || uint64(len(rest)-used) < n {
		return nil, errTicket
	}
	t.label, t.state = rest[used:used+int(n)], rest[used+int(n):]
	return t, nil
}

// session returns the ticket as crypto/tls wants it.
func (t *ticket) session() (*tls.ClientSessionState, error) {
	state, err := tls.ParseSessionState(t.state)
	if err != nil {
		return nil, err
	}
	return tls.NewResumptionState(t.label, state)
}

// ticketCache gives one dial a ticket of the store and keeps those it earns.
//
// A ticket is gone from the store before it is used, so that a crash cannot use
// it twice. It comes back when the dial ended without one packet from the
// cloud: a cloud that is off would burn them all otherwise. Who watched both
// dials can then tell that they were of one board, which their addresses say
// too; a replay of either changes nothing (Epochs).
type ticketCache struct {
	store Tickets
	cloud string
	owner [ownerBytes]byte
	log   *slog.Logger
	wg    sync.WaitGroup // writes to the store

	mu    sync.Mutex // guards taken
	taken *ticket
}

func newTicketCache(o Options, tlsConf *tls.Config) *ticketCache {
	c := &ticketCache{store: o.Tickets, cloud: o.Addr, log: o.Log}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if cert := clientCertificate(tlsConf); cert != nil && len(cert.Certificate) > 0 {
		sum := sha256.Sum256(cert.Certificate[0])
		copy(c.owner[:], sum[:])
	}
	return c
}

// clientCertificate is what a dial with conf would show, nil for nothing.
func clientCertificate(conf *tls.Config) *tls.Certificate {
	if conf.GetClientCertificate != nil {
		cert, err := conf.GetClientCertificate(&tls.CertificateRequestInfo{Version: tls.VersionTLS13})
		if err != nil {
			return nil
		}
		return cert
	}
	if len(conf.Certificates) == 0 {
		return nil
	}
	return &conf.Certificates[0]
}

// Get implements tls.ClientSessionCache; the dial calls it once.
func (c *ticketCache) Get(string) (*tls.ClientSessionState, bool) {
	for range takeLimit {
		b, err := c.store.TakeTicket(c.cloud)
		if err != nil {
			c.log.Warn("no session ticket, the dial takes a round trip more", "cloud", c.cloud, "err", err)
			return nil, false
		}
		if b == nil {
			return nil, false
		}
		t, err := decodeTicket(b)
		if err != nil || !bytes.Equal(t.owner[:], c.owner[:]) {
			continue // of another certificate or version
		}
		if t.tries%freshEvery == freshEvery-1 {
			c.put(t, t.tries+1)
			return nil, false
		}
		session, err := t.session()
		if err != nil {
			continue
		}
		c.mu.Lock()
		c.taken = t
		c.mu.Unlock()
		return session, true
	}
	return nil, false
}

// Put implements tls.ClientSessionCache. The connection calls it in the midst
// of its work, which a write to a slow disk may not hold up.
func (c *ticketCache) Put(_ string, session *tls.ClientSessionState) {
	if session == nil {
		return // the ticket taken was no good, or its dial failed: watch tells
	}
	label, state, err := session.ResumptionState()
	if err != nil || state == nil {
		return
	}
	b, err := state.Bytes()
	if err != nil {
		c.log.Warn("session ticket lost", "cloud", c.cloud, "err", err)
		return
	}
	c.wg.Go(func() { c.put(&ticket{owner: c.owner, label: label, state: b}, 0) })
}

func (c *ticketCache) put(t *ticket, tries byte) {
	t.tries = tries
	if err := c.store.PutTicket(c.cloud, t.encode()); err != nil {
		c.log.Warn("session ticket lost", "cloud", c.cloud, "err", err)
	}
}

// unanswered gives the ticket back that a dial took.
func (c *ticketCache) unanswered() {
	if c == nil {
		return
	}
	c.mu.Lock()
	t := c.taken
	c.taken = nil
	c.mu.Unlock()
	if t != nil {
		c.put(t, t.tries+1)
	}
}

// watch gives the ticket back when conn ends without a word of the cloud.
func (c *ticketCache) watch(conn Conn) {
	if c == nil {
		return
	}
	c.wg.Go(func() {
		select {
		case <-conn.HandshakeComplete():
		case <-conn.Context().Done():
			if conn.Stats().PacketsReceived == 0 {
				c.unanswered()
			}
		}
	})
}

// wait waits for the writes to the store of a connection that has ended.
func (c *ticketCache) wait() {
	if c != nil {
		c.wg.Wait()
	}
}
