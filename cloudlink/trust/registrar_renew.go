package trust

import (
	"crypto/x509"
	"errors"
)

// renew certifies the key of the connection again. What the device may send can
// only shrink this way.
func (r *Registrar) renew(q *request, peer *x509.Certificate) (*reply, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	dev, err := r.known(peer)
	if err != nil {
		return nil, err
	}
	if q.Disclosure != Unset && q.Disclosure != dev.Disclosure {
		if !q.Disclosure.Within(dev.Disclosure) || q.Disclosure.rank() == 0 {
			return nil, refuse(ErrNotAllowed, "device %s may send %s, and more takes a new code (`skerry cloud invite --name %s --may %s`)", dev.Name, dev.Disclosure, dev.Name, q.Disclosure)
		}
		dev.Disclosure = q.Disclosure
	}
	rep, err := r.certify(&dev, peer.PublicKey)
	if err != nil {
		return nil, err
	}
	if err := r.Store.PutDevice(dev); err != nil {
		return nil, err
	}
	r.about(dev.Name).Info("certificate renewed", "may", string(dev.Disclosure), "version", q.Software)
	return rep, nil
}

// known is the device that peer belongs to. The certificate may have expired:
// a board that lay in a drawer is no stranger, and revocation is what bars one.
func (r *Registrar) known(peer *x509.Certificate) (Device, error) {
	if peer == nil || signedBy(peer, r.Authority.cert, x509.ExtKeyUsageClientAuth) != nil {
		return Device{}, refuse(ErrNotAllowed, "renewal needs a certificate of this cloud (`skerry enroll CODE` gets one)")
	}
	name := peer.Subject.CommonName
	dev, err := r.Store.Device(name)
	switch {
	case errors.Is(err, ErrUnknown):
		return dev, refuse(ErrUnknown, "%s (have the cloud's operator run `skerry cloud invite`, then `skerry enroll CODE` here)", name)
	case err != nil:
		return dev, err
	case dev.Revoked:
		return dev, refuse(ErrRevoked, "%s", RevokedText(name))
	case dev.Key != KeyHash(peer):
		return dev, refuse(ErrNotAllowed, "the name %s belongs to another board by now (`skerry enroll CODE` gets a new one)", name)
	}
	return dev, nil
}

// certify signs a device's key and notes until when.
func (r *Registrar) certify(dev *Device, public any) (*reply, error) {
	cert, err := r.Authority.sign(dev.Name, public)
	if err != nil {
		return nil, err
	}
	dev.Expires = cert.NotAfter
	return &reply{Certificate: cert.Raw, Authority: r.Authority.cert.Raw, Name: dev.Name, Disclosure: dev.Disclosure}, nil
}
