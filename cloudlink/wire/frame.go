package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// ErrFrame is what every error about a peer's bytes wraps, as opposed to an
// error of the stream they came from.
var ErrFrame = errors.New("bad frame")

// growBy bounds what a claimed length makes a reader allocate before the bytes
// are there.
const growBy = 64 << 10

var (
	encMode = func() cbor.EncMode {
		m, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			panic(err) // the options are constant
		}
		return m
	}()
	decMode = func() cbor.DecMode {
		m, err := cbor.DecOptions{
			DupMapKey:        cbor.DupMapKeyEnforcedAPF,
			IndefLength:      cbor.IndefLengthForbidden,
			TagsMd:           cbor.TagsForbidden,
			MaxNestedLevels:  8,
			MaxArrayElements: 4096,
			MaxMapPairs:      64,
		}.DecMode()
		if err != nil {
			panic(err)
		}
		return m
	}()
)

// Append appends m as one frame. It fails when m is larger than its type
// allows or contradicts itself.
func Append(dst []byte, m Message) ([]byte, error) {
	k := kinds[m.Type()]
	header, err := encMode.Marshal(m)
	if err != nil {
		return dst, fmt.Errorf("encode %T: %w", m, err)
	}
	body, err := m.body()
	if err != nil {
		return dst, fmt.Errorf("encode %T: %w", m, err)
	}
	if len(header) > k.maxHeader || len(body) > k.maxBody {
		return dst, fmt.Errorf("encode %T: %d bytes of header and %d of body, at most %d and %d",
			m, len(header), len(body), k.maxHeader, k.maxBody)
	}
	dst = append(dst, byte(m.Type()))
	dst, _ = appendVarint(dst, uint64(len(header)))
	dst, _ = appendVarint(dst, uint64(len(body)))
	dst = append(dst, header...)
	return append(dst, body...), nil
}

// Reader reads frames from one stream.
type Reader struct {
	r        *bufio.Reader
	maxBody  int
	buf      []byte
	consumed uint64
}

// NewReader returns a reader that refuses bodies above maxBody bytes; 0 leaves
// the limits of the frame types alone.
func NewReader(r io.Reader, maxBody int) *Reader {
	if maxBody <= 0 {
		maxBody = MaxBody
	}
	return &Reader{r: bufio.NewReaderSize(r, 4<<10), maxBody: maxBody}
}

// Limit changes the bound of bodies.
func (r *Reader) Limit(maxBody int) { r.maxBody = maxBody }

// Wait returns once the next frame has begun, so that only then Next may be
// given a deadline, or with the error that Next is about to return.
func (r *Reader) Wait() error {
	_, err := r.r.Peek(1)
	return err
}

// Consumed returns the bytes of all frames read so far.
func (r *Reader) Consumed() uint64 { return r.consumed }

// Next returns the next message: *Hello, *Ask and so on. Raw data in it, as
// Hidden.Data, stays valid until the next call. It returns io.EOF at the end
// of the stream between two frames, io.ErrUnexpectedEOF inside one, an error
// wrapping ErrFrame for bytes that are no valid frame, and otherwise the
// stream's own error.
func (r *Reader) Next() (Message, error) {
	for {
		m, err := r.next()
		if m != nil || err != nil {
			return m, err
		}
	}
}

func (r *Reader) next() (Message, error) {
	b, err := r.r.ReadByte()
	if err != nil {
		return nil, err
	}
	t := Type(b)
	k, known := kinds[t]
	if !known && t < firstSkippable {
		return nil, fmt.Errorf("%w: unknown type %#x", ErrFrame, b)
	}
	headerLen, err := readVarint(r.r)
	if err != nil {
		return nil, noEOF(err)
	}
	bodyLen, err := readVarint(r.r)
	if err != nil {
		return nil, noEOF(err)
	}
	if !known {
		return nil, r.skip(t, headerLen, bodyLen)
	}
	if headerLen > uint64(k.maxHeader) || bodyLen > uint64(min(k.maxBody, r.maxBody)) {
		return nil, fmt.Errorf("%w: type %#x with %d bytes of header and %d of body is over its limit",
			ErrFrame, b, headerLen, bodyLen)
	}
	if err := r.fill(int(headerLen + bodyLen)); err != nil {
		return nil, err
	}
	m := k.make()
	if err := decMode.Unmarshal(r.buf[:headerLen], m); err != nil {
		return nil, fmt.Errorf("%w: header of type %#x: %v", ErrFrame, b, err)
	}
	if err := m.setBody(r.buf[headerLen:]); err != nil {
		return nil, fmt.Errorf("%w: type %#x: %v", ErrFrame, b, err)
	}
	r.consumed += 1 + headerLen + bodyLen
	return m, nil
}

// fill reads n bytes into buf, growing it only as they arrive.
func (r *Reader) fill(n int) error {
	r.buf = r.buf[:0]
	if n <= growBy && cap(r.buf) > 4*growBy {
		r.buf = nil // a large frame is rare, and what it took not worth keeping
	}
	for len(r.buf) < n {
		step := min(n-len(r.buf), max(growBy, len(r.buf)))
		at := len(r.buf)
		r.buf = slices.Grow(r.buf, step)[:at+step]
		if _, err := io.ReadFull(r.r, r.buf[at:]); err != nil {
			return noEOF(err)
		}
	}
	return nil
}

// skip passes over a frame of a later protocol version.
func (r *Reader) skip(t Type, headerLen, bodyLen uint64) error {
	if headerLen > MaxHeader || bodyLen > MaxBody {
		return fmt.Errorf("%w: unknown type %#x is over every limit", ErrFrame, byte(t))
	}
	_, err := io.CopyN(io.Discard, r.r, int64(headerLen+bodyLen))
	r.consumed += 1 + headerLen + bodyLen
	return noEOF(err)
}

// noEOF turns an end of stream inside a frame into io.ErrUnexpectedEOF.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
