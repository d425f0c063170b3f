package trust

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
)

// enroll takes a code and gives a certificate. Everything that can be wrong with
// the request is checked before the code is spent.
func (d *Desk) enroll(q *request) (*reply, error) {
	csr, err := x509.ParseCertificateRequest(q.CSR)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		return nil, refuse(ErrProtocol, "signing request: %v", err)
	}
	if _, err := ParseMay(string(q.May)); err != nil {
		return nil, refuse(ErrProtocol, "%v", err)
	}
	key := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	d.mu.Lock()
	defer d.mu.Unlock()
	inv, err := d.Book.UseInvite(secretHash(q.Secret), d.Now())
	if errors.Is(err, ErrUsed) {
		// A board whose reply was lost asks again with the same key.
		if dev, again := d.byKey(key); again {
			return d.certify(&dev, csr.PublicKey)
		}
	}
	if err != nil {
		return nil, codeTrouble(err)
	}
	dev := Device{Name: inv.Name, May: least(q.May, inv.May), Key: key, Enrolled: d.Now()}
	if dev.Name == "" {
		if dev.Name, err = d.freeName(tidyName(q.Name)); err != nil {
			return nil, err
		}
	}
	r, err := d.certify(&dev, csr.PublicKey)
	if err != nil {
		return nil, err
	}
	if err := d.Book.PutDevice(dev); err != nil {
		return nil, err
	}
	d.Log.Info("device enrolled", "device", dev.Name, "may", string(dev.May), "version", q.Software)
	d.dropped(dev.Name, "device "+dev.Name+" was enrolled anew: this is its former certificate")
	return r, nil
}

// least is the stricter of two; a device that was never said to be allowed
// anything may send nothing.
func least(asked, limit May) May {
	if asked == Unset || !asked.Within(limit) {
		asked = limit
	}
	return cmp.Or(asked, Nothing)
}

// codeTrouble adds to what is wrong with a code the way out.
func codeTrouble(err error) error {
	for _, e := range []error{ErrExpired, ErrUsed, ErrUnknownCode} {
		if errors.Is(err, e) {
			return refuse(e, "ask the cloud's operator for a new one (`skerry cloud invite`)")
		}
	}
	return err
}

func (d *Desk) byKey(key [32]byte) (Device, bool) {
	devices, err := d.Book.Devices()
	if err != nil {
		d.Log.Error("devices", "err", err)
	}
	for _, dev := range devices {
		if dev.Key == key && !dev.Revoked {
			return dev, true
		}
	}
	return Device{}, false
}

// freeName numbers name until no device has it.
func (d *Desk) freeName(name string) (string, error) {
	for n, try := 2, name; n < 1000; n, try = n+1, fmt.Sprintf("%s-%d", name, n) {
		_, err := d.Book.Device(try)
		if errors.Is(err, ErrUnknown) {
			return try, nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", refuse(ErrNotAllowed, "too many devices are called %s: make a code with `skerry cloud invite --name`", name)
}
