package cloudlink

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"time"

	"github.com/quic-go/quic-go"
)

// TicketKeys keeps the keys that seal session tickets, newest first. Replicas
// of one cloud share it, so that any of them resumes what another began.
type TicketKeys interface {
	TicketKeys() ([][32]byte, error)
	PutTicketKeys([][32]byte) error
}

// ListenOptions are what a cloud keeps over a restart; the zero value keeps
// nothing.
type ListenOptions struct {
	// TicketKeys lets boards resume after a restart of the cloud; nil makes
	// keys that end with the process.
	TicketKeys TicketKeys
	// ResetSecret lets a restarted cloud tell boards at once that their
	// connections are gone (RFC 9000 section 10.3). Default: derived from the
	// key of the first certificate.
	ResetSecret []byte
	// NoTCP leaves the TCP port of the same number to others; boards whose
	// network blocks UDP are then alone.
	NoTCP bool
	Clock func() time.Time // default time.Now
	Log   *slog.Logger     // default: none
}

// prepare gives tr the keys that outlive the process.
func (o ListenOptions) prepare(tr *quic.Transport, conf *tls.Config) *keyring {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	secret := o.ResetSecret
	if secret == nil {
		secret = keySecret(conf)
	}
	if secret != nil {
		tr.StatelessResetKey = (*quic.StatelessResetKey)(derive(secret, "skerry stateless reset"))
		tr.TokenGeneratorKey = (*quic.TokenGeneratorKey)(derive(secret, "skerry address validation"))
	}
	return newKeyring(o)
}

// keySecret returns the private key of the first certificate, nil when there is
// none or it does not leave where it lies.
func keySecret(conf *tls.Config) []byte {
	if len(conf.Certificates) == 0 {
		return nil
	}
	b, err := x509.MarshalPKCS8PrivateKey(conf.Certificates[0].PrivateKey)
	if err != nil {
		return nil
	}
	return b
}

// derive returns a key for one purpose (RFC 5869).
func derive(secret []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, purpose, 32)
	if err != nil {
		panic(err) // the length is constant
	}
	return key
}
