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
func (r *Registrar) enroll(q *request) (*reply, error) {
	csr, err := x509.ParseCertificateRequest(q.CSR)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		return nil, refuse(ErrProtocol, "signing request: %v", err)
	}
	if _, err := ParseDisclosure(string(q.Disclosure)); err != nil {
		return nil, refuse(ErrProtocol, "%v", err)
	}
	key := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	r.mu.Lock()
	defer r.mu.Unlock()
	inv, err := r.Store.UseInvite(secretHash(q.Secret), r.Now())
	if errors.Is(err, ErrUsed) {
		// A board whose reply was lost asks again with the same key.
		if dev, again := r.byKey(key); again {
			return r.certify(&dev, csr.PublicKey)
		}
	}
	if err != nil {
		return nil, codeTrouble(err)
	}
	dev := Device{Name: inv.Name, Disclosure: least(q.Disclosure, inv.Disclosure), Key: key, Enrolled: r.Now()}
	if dev.Name == "" {
		if dev.Name, err = r.freeName(tidyName(q.Name)); err != nil {
			return nil, err
		}
	}
	rep, err := r.certify(&dev, csr.PublicKey)
	if err != nil {
		return nil, err
	}
	if err := r.Store.PutDevice(dev); err != nil {
		return nil, err
	}
	r.about(dev.Name).Info("device enrolled", "may", string(dev.Disclosure), "version", q.Software)
	r.dropped(dev.Name, "device "+dev.Name+" was enrolled anew: this is its former certificate")
	return rep, nil
}

// least is the stricter of two; a device that was never said to be allowed
// anything may send nothing.
func least(asked, limit Disclosure) Disclosure {
	if asked == Unset || !asked.Within(limit) {
		asked = limit
	}
	return cmp.Or(asked, Nothing)
}

// codeTrouble adds to what is wrong with a code the way out.
func codeTrouble(err error) error {
	for _, e := range []error{ErrExpired, ErrUsed, ErrUnknownCode, ErrWithdrawn} {
		if errors.Is(err, e) {
			return refuse(e, "ask the cloud's operator for a new one (`skerry cloud invite`)")
		}
	}
	return err
}

func (r *Registrar) byKey(key [32]byte) (Device, bool) {
	devices, err := r.Store.Devices()
	if err != nil {
		r.Log.Error("devices", "err", err)
	}
	for _, dev := range devices {
		if dev.Key == key && !dev.Revoked {
			return dev, true
		}
	}
	return Device{}, false
}

// freeName numbers name until no device has it.
func (r *Registrar) freeName(name string) (string, error) {
	for n, try := 2, name; n < 1000; n, try = n+1, fmt.Sprintf("%s-%d", name, n) {
		_, err := r.Store.Device(try)
		if errors.Is(err, ErrUnknown) {
			return try, nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", refuse(ErrNotAllowed, "too many devices are called %s: make a code with `skerry cloud invite --name`", name)
}
