package batch

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"

	"skerry/appliance/decode"
)

// A file of the cache: a head (magic, flags, bundle, sessions, tokens, the lengths of what
// follows) with its sha256, then hidden states and the KV of each stage with theirs. All
// numbers are little-endian.
const (
	entryMagic  = "skerryPC2\n"
	olderMagic  = "skerryPC1\n" // it does not say whose text it holds
	mostTokens  = 1 << 20
	mostBundle  = 256
	mostStages  = 8
	mostNames   = 16
	longestName = 1 << 10
	entryWhole  = 1
	entryHidden = 2
)

// errEntry is of a file that is damaged or no file of the cache.
var errEntry = errors.New("damaged, or not a cached prefix")

// errOlder is of a file that does not say whose text it holds, and so cannot be
// forgotten with it.
var errOlder = errors.New("of an older version")

// entryHead is what the index needs of a file.
type entryHead struct {
	bundle   string
	flags    byte
	sessions []string // whose text it is; none for requests without one
	tokens   []int32
	sizes    []uint64 // bytes of the hidden states, then of each stage's KV
}

// body is the bytes after the head, with their checksum.
func (h entryHead) body() (n uint64) {
	for _, s := range h.sizes {
		n += s
	}
	return n + sha256.Size
}

func headOf(bundle string, sessions []string, st decode.State) entryHead {
	h := entryHead{bundle: bundle, sessions: sessions, tokens: st.Tokens, sizes: []uint64{4 * uint64(len(st.Hidden))}}
	if st.Whole {
		h.flags |= entryWhole
	}
	if st.Hidden != nil {
		h.flags |= entryHidden
	}
	for _, kv := range st.KV {
		h.sizes = append(h.sizes, uint64(len(kv)))
	}
	return h
}

func (h entryHead) encode() []byte {
	b := append([]byte(entryMagic), h.flags)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h.bundle)))
	b = append(b, h.bundle...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h.sessions)))
	for _, name := range h.sessions {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(name)))
		b = append(b, name...)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h.tokens)))
	for _, t := range h.tokens {
		b = binary.LittleEndian.AppendUint32(b, uint32(t))
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h.sizes)))
	for _, s := range h.sizes {
		b = binary.LittleEndian.AppendUint64(b, s)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// readHead reads the head of a file of size bytes. It never reads or allocates
// more than the file could hold.
func readHead(r io.Reader, size int64) (entryHead, int64, error) {
	d := &headReader{r: r, left: size, sum: sha256.New()}
	var h entryHead
	switch string(d.bytes(len(entryMagic))) {
	case entryMagic:
	case olderMagic:
		return h, 0, errOlder
	default:
		return h, 0, errEntry
	}
	if b := d.bytes(1); b != nil {
		h.flags = b[0]
	}
	h.bundle = string(d.bytes(d.count(mostBundle, 1)))
	for range d.count(mostNames, 4) {
		h.sessions = append(h.sessions, string(d.bytes(d.count(longestName, 1))))
	}
	n := d.count(mostTokens, 4)
	raw := d.bytes(4 * n)
	if d.err == nil {
		h.tokens = make([]int32, n)
		for i := range h.tokens {
			h.tokens[i] = int32(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	}
	for range d.count(mostStages+1, 8) {
		if b := d.bytes(8); b != nil {
			h.sizes = append(h.sizes, binary.LittleEndian.Uint64(b))
		}
	}
	want := d.sum.Sum(nil)
	if got := d.bytes(sha256.Size); d.err != nil || !bytes.Equal(got, want) || len(h.sizes) == 0 {
		return h, 0, errEntry
	}
	left := uint64(d.left)
	for _, s := range h.sizes { // one by one: their sum may overflow
		if s > left {
			return h, 0, errEntry
		}
		left -= s
	}
	if left != sha256.Size || h.sizes[0]%4 != 0 {
		return h, 0, errEntry
	}
	return h, size - d.left, nil
}

// headReader reads a head; after an error everything is empty.
type headReader struct {
	r    io.Reader
	left int64
	sum  hash.Hash
	err  error
}

func (d *headReader) bytes(n int) []byte {
	if d.err == nil && int64(n) > d.left {
		d.err = errEntry
	}
	if d.err != nil {
		return nil
	}
	b := make([]byte, n)
	if _, d.err = io.ReadFull(d.r, b); d.err != nil {
		return nil
	}
	d.left -= int64(n)
	d.sum.Write(b)
	return b
}

// count reads how many elements of so many bytes follow.
func (d *headReader) count(most, each int) int {
	b := d.bytes(4)
	if b == nil {
		return 0
	}
	n := binary.LittleEndian.Uint32(b)
	if n > uint32(most) || int64(n)*int64(each) > d.left {
		d.err = errEntry
		return 0
	}
	return int(n)
}

// readEntry reads a whole file of size bytes and checks it.
func readEntry(r io.Reader, size int64) (entryHead, decode.State, error) {
	br := bufio.NewReaderSize(r, 1<<16)
	h, _, err := readHead(br, size)
	if err != nil {
		return h, decode.State{}, err
	}
	st := decode.State{Whole: h.flags&entryWhole != 0, Tokens: h.tokens}
	sum := sha256.New()
	for i, n := range h.sizes {
		b := make([]byte, n)
		if _, err := io.ReadFull(br, b); err != nil {
			return h, st, fmt.Errorf("%w: %w", errEntry, err)
		}
		sum.Write(b)
		if i > 0 {
			st.KV = append(st.KV, b)
			continue
		}
		if h.flags&entryHidden != 0 {
			st.Hidden = make([]float32, n/4)
			for k := range st.Hidden {
				st.Hidden[k] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*k:]))
			}
		}
	}
	want := make([]byte, sha256.Size)
	if _, err := io.ReadFull(br, want); err != nil || !bytes.Equal(sum.Sum(nil), want) {
		return h, st, errEntry
	}
	return h, st, nil
}

// writeEntry writes a file.
func writeEntry(w io.Writer, bundle string, sessions []string, st decode.State) error {
	bw := bufio.NewWriterSize(w, 1<<16)
	bw.Write(headOf(bundle, sessions, st).encode())
	sum := sha256.New()
	both := io.MultiWriter(bw, sum)
	var b [4]byte
	for _, v := range st.Hidden {
		binary.LittleEndian.PutUint32(b[:], math.Float32bits(v))
		both.Write(b[:])
	}
	for _, kv := range st.KV {
		both.Write(kv)
	}
	bw.Write(sum.Sum(nil))
	return bw.Flush() // it keeps the first error
}
