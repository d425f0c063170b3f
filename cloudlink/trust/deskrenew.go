package trust

import (
	"crypto/x509"
	"errors"
)

// renew certifies the key of the connection again. What the device may send can
// only shrink this way.
func (d *Desk) renew(q *request, peer *x509.Certificate) (*reply, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dev, err := d.known(peer)
	if err != nil {
		return nil, err
	}
	if q.May != Unset && q.May != dev.May {
		if !q.May.Within(dev.May) || q.May.rank() == 0 {
			return nil, refuse(ErrNotAllowed, "device %s may send %s, and more takes a new code (`skerry cloud invite --name %s --may %s`)", dev.Name, dev.May, dev.Name, q.May)
		}
		dev.May = q.May
	}
	r, err := d.certify(&dev, peer.PublicKey)
	if err != nil {
		return nil, err
	}
	if err := d.Book.PutDevice(dev); err != nil {
		return nil, err
	}
	d.Log.Info("certificate renewed", "device", dev.Name, "may", string(dev.May), "version", q.Software)
	return r, nil
}

// known is the device that peer belongs to. The certificate may have expired:
// a board that lay in a drawer is no stranger, and revocation is what bars one.
func (d *Desk) known(peer *x509.Certificate) (Device, error) {
	if peer == nil || signedBy(peer, d.Authority.cert, x509.ExtKeyUsageClientAuth) != nil {
		return Device{}, refuse(ErrNotAllowed, "renewal needs a certificate of this cloud (`skerry enroll CODE` gets one)")
	}
	name := peer.Subject.CommonName
	dev, err := d.Book.Device(name)
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
func (d *Desk) certify(dev *Device, public any) (*reply, error) {
	cert, err := d.Authority.sign(dev.Name, public)
	if err != nil {
		return nil, err
	}
	dev.Expires = cert.NotAfter
	return &reply{Certificate: cert.Raw, Authority: d.Authority.cert.Raw, Name: dev.Name, May: dev.May}, nil
}
