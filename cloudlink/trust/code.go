package trust

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Sizes within a code, in bytes. 128 bits of the fingerprint keep anyone from
// making an authority to match it, and 96 bits of secret anyone from guessing
// one that lives for a day.
const (
	fingerprintLen = 16
	secretLen      = 12
	checkLen       = 4
)

// codeVersion is the high nibble of the first byte; the low one is the Disclosure.
const codeVersion = 1

// MaxAddrs and maxAddr bound the addresses in a code.
const (
	MaxAddrs = 4
	maxAddr  = 255
)

// Code is an invitation as the operator hands it to a board.
type Code struct {
	Authority  [fingerprintLen]byte // start of the SHA-256 of the CA certificate
	Secret     [secretLen]byte
	Expires    time.Time  // to the minute
	Disclosure Disclosure // the most the device may send; Unset: its own choice
	Addrs      []string   // host:port of the cloud
}

// Hash is what the cloud keeps of a code.
func (c Code) Hash() [32]byte { return secretHash(c.Secret[:]) }

func secretHash(secret []byte) [32]byte {
	return sha256.Sum256(append([]byte("skerry invitation\x00"), secret...))
}

// codeText is Crockford's base 32: no I, L, O or U, which are misread.
var codeText = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// String is the code in groups of five characters.
func (c Code) String() string {
	b := []byte{codeVersion<<4 | byte(c.Disclosure.rank())}
	b = append(b, c.Authority[:]...)
	b = append(b, c.Secret[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(c.Expires.Unix()/60))
	b = append(b, byte(len(c.Addrs)))
	for _, a := range c.Addrs {
		b = appendAddr(b, a)
	}
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	var groups []string
	for g := range slices.Chunk([]byte(codeText.EncodeToString(b)), 5) {
		groups = append(groups, string(g))
	}
	return strings.Join(groups, "-")
}

// tidy undoes what typing and pasting do to a code: separators, case, and the
// letters that look like digits.
var tidy = strings.NewReplacer("-", "", " ", "", "\n", "", "\r", "", "\t", "", "I", "1", "L", "1", "O", "0")

// ParseCode reads a code as a person typed it. An error wraps ErrCode or
// ErrMistyped.
func ParseCode(s string) (Code, error) {
	text := tidy.Replace(strings.ToUpper(s))
	const least = 1 + fingerprintLen + secretLen + 4 + 1 + checkLen
	if len(text) < codeText.EncodedLen(least)/2 {
		return Code{}, refuse(ErrCode, "it is too short (`skerry cloud invite` makes one)")
	}
	b, err := codeText.DecodeString(text)
	if err != nil || len(b) < least || codeText.EncodeToString(b) != text {
		return Code{}, refuse(ErrMistyped, "check it against the one that was given out, it has no letter U and no part is left out")
	}
	body, sum := b[:len(b)-checkLen], binary.BigEndian.Uint32(b[len(b)-checkLen:])
	if crc32.ChecksumIEEE(body) != sum {
		return Code{}, refuse(ErrMistyped, "its check does not match, compare it group by group")
	}
	return decodeCode(body)
}

// decodeCode takes what the check has vouched for.
func decodeCode(b []byte) (Code, error) {
	var c Code
	if b[0]>>4 != codeVersion || int(b[0]&15) >= len(disclosures) {
		return c, refuse(ErrCode, "it is of a later version: update skerry")
	}
	c.Disclosure = disclosures[b[0]&15]
	b = b[1+copy(c.Authority[:], b[1:]):]
	b = b[copy(c.Secret[:], b):]
	c.Expires = time.Unix(int64(binary.BigEndian.Uint32(b))*60, 0)
	n, b := int(b[4]), b[5:]
	for range n {
		addr, rest, ok := cutAddr(b)
		if !ok {
			return c, refuse(ErrCode, "its addresses are cut short")
		}
		c.Addrs, b = append(c.Addrs, addr), rest
	}
	if n > MaxAddrs || len(b) != 0 {
		return c, refuse(ErrCode, "it carries more than a code may")
	}
	if err := c.check(); err != nil {
		return c, fmt.Errorf("%w: %w", ErrCode, err)
	}
	return c, nil
}

// check refuses addresses that cannot travel in a code.
func (c Code) check() error {
	if len(c.Addrs) > MaxAddrs {
		return fmt.Errorf("%d addresses: a code holds at most %d", len(c.Addrs), MaxAddrs)
	}
	for _, a := range c.Addrs {
		if err := checkAddr(a); err != nil {
			return err
		}
	}
	return nil
}

// appendAddr writes an IPv4 address in 7 bytes, anything else with its length.
func appendAddr(b []byte, addr string) []byte {
	if ap, err := netip.ParseAddrPort(addr); err == nil && ap.Addr().Is4() {
		return binary.BigEndian.AppendUint16(append(append(b, 0), ap.Addr().AsSlice()...), ap.Port())
	}
	return append(append(b, byte(len(addr))), addr...)
}

func cutAddr(b []byte) (addr string, rest []byte, ok bool) {
	if len(b) == 0 {
		return "", nil, false
	}
	n, b := int(b[0]), b[1:]
	if n == 0 && len(b) >= 6 {
		ap := netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), binary.BigEndian.Uint16(b[4:]))
		return ap.String(), b[6:], true
	}
	if n == 0 || len(b) < n {
		return "", nil, false
	}
	return string(b[:n]), b[n:], true
}
