package trust

import (
	"crypto/tls"
	"crypto/x509"
	"io"
)

// Serve answers the one request of an enrolment connection. peer is what the
// client showed of itself in TLS, unchecked. The caller bounds the time, and
// makes sure that nothing here is early data, which could be a replay.
func (r *Registrar) Serve(rw io.ReadWriter, peer []*x509.Certificate) error {
	var q request
	if err := readMessage(rw, &q); err != nil {
		return err
	}
	var leaf *x509.Certificate
	if len(peer) > 0 {
		leaf = peer[0]
	}
	rep, err := r.handle(&q, leaf)
	if err != nil {
		r.refusals.Logger(r.Log).Warn("enrolment refused", "op", q.Op, "name", tidyName(q.Name), "err", err)
		rep = &reply{}
		rep.Status, rep.Text = statusOf(err)
	}
	rep.Time = r.Now().UnixMilli()
	return writeMessage(rw, rep)
}

// TLS is the configuration of a cloud for protocol, the name of its sessions,
// which takes only devices of the authority, and beside it for enrolment, which
// takes anyone. A certificate whose name belongs to another key by now ends in
// the handshake, resumed or not. Whether a device was revoked is for whoever
// accepts the connection to say: only there can it be told why.
func (r *Registrar) TLS() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(r.Authority.cert)
	server := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.Authority.Server() }
	enrolment := &tls.Config{
		MinVersion: tls.VersionTLS13, GetCertificate: server, NextProtos: []string{ALPN}, Time: r.Now,
		ClientAuth: tls.RequestClientCert, SessionTicketsDisabled: true, // no ticket, no early data
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, GetCertificate: server, Time: r.Now,
		ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		VerifyConnection: r.verify,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == ALPN {
				return enrolment, nil
			}
			return nil, nil
		},
	}
}

// verify runs on full and on resumed handshakes.
func (r *Registrar) verify(cs tls.ConnectionState) error {
	if len(cs.PeerCertificates) == 0 {
		return ErrNotAllowed
	}
	leaf := cs.PeerCertificates[0]
	dev, err := r.Store.Device(leaf.Subject.CommonName)
	if err == nil && dev.Key != KeyHash(leaf) {
		r.about(dev.Name).Warn("former certificate refused")
		return refuse(ErrNotAllowed, "the name %s belongs to another board by now", dev.Name)
	}
	return nil // an unknown name is refused where it can be told why
}
