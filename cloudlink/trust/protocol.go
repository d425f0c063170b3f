package trust

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"
)

// ALPN is the protocol name of an enrolment connection (RFC 7301): one stream,
// one request, one reply, each a CBOR map (RFC 8949) behind its length in four
// bytes, big-endian.
const ALPN = "skerry-enroll/1"

// maxMessage bounds a message, in bytes.
const maxMessage = 16 << 10

// What a request may be for.
const (
	opEnroll = "enroll" // with the secret of a code and a signing request
	opRenew  = "renew"  // by the certificate of the connection
	opTime   = "time"   // the cloud's clock, for anyone
)

type request struct {
	Op         string     `cbor:"1,keyasint"`
	Secret     []byte     `cbor:"2,keyasint,omitempty"`
	CSR        []byte     `cbor:"3,keyasint,omitempty"` // PKCS #10, DER
	Name       string     `cbor:"4,keyasint,omitempty"` // what the board calls itself
	Disclosure Disclosure `cbor:"5,keyasint,omitempty"`
	Software   string     `cbor:"6,keyasint,omitempty"` // version, for the log
}

type reply struct {
	Status      status     `cbor:"1,keyasint"`
	Text        string     `cbor:"2,keyasint,omitempty"`
	Certificate []byte     `cbor:"3,keyasint,omitempty"` // the device's, DER
	Authority   []byte     `cbor:"4,keyasint,omitempty"` // DER
	Name        string     `cbor:"5,keyasint,omitempty"`
	Disclosure  Disclosure `cbor:"6,keyasint,omitempty"`
	Time        int64      `cbor:"7,keyasint"` // ms since 1970, by the cloud's clock
}

var decMode = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		TagsMd: cbor.TagsForbidden, MaxNestedLevels: 4, MaxArrayElements: 16, MaxMapPairs: 32,
	}.DecMode()
	if err != nil {
		panic(err) // the options are constant
	}
	return m
}()

func writeMessage(w io.Writer, m any) error {
	b, err := cbor.Marshal(m)
	if err != nil {
		return err
	}
	if len(b) > maxMessage {
		return fmt.Errorf("%w: a message of %d bytes, at most %d", ErrProtocol, len(b), maxMessage)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// readMessage reads one message into m; an error about its bytes wraps
// ErrProtocol.
func readMessage(r io.Reader, m any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxMessage {
		return fmt.Errorf("%w: a message of %d bytes, at most %d", ErrProtocol, n, maxMessage)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if err := decMode.Unmarshal(b, m); err != nil {
		return fmt.Errorf("%w: %v", ErrProtocol, err)
	}
	return nil
}
