package calibrate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// document is text that the whole model read or wrote, with what came out of it from
// position from on: row i belongs to position from+i.
type document struct {
	tokens []int32 // all of it, a prompt included
	from   int
	// text numbers what it is a part of: the windows of one text are one document where
	// independence matters. It is not stored.
	text int
	// greedy has the whole model's greedy token after each of those positions; nil where
	// it was not computed.
	greedy []int32
	// states has the residual stream there, [lead+rows][depths+1][n_embd], after each depth
	// and last after the last block, cut to the upper half of a float32.
	states []uint16
	// lead is how many positions before from have states as well: none of them, or all.
	lead int
}

// rows is the number of positions with states.
func (d *document) rows() int { return len(d.tokens) - d.from }

// addStates appends one position's residual streams.
func (d *document) addStates(streams ...[]float32) {
	for _, h := range streams {
		for _, v := range h {
			d.states = append(d.states, cut(v))
		}
	}
}

// cut rounds to the upper half of a float32.
func cut(v float32) uint16 { return uint16((math.Float32bits(v) + 0x8000) >> 16) }

// stream writes the residual stream of a row after depth k of n, or with k = n after the
// last block, to out [n_embd].
func (d *document) stream(row, k, n int, out []float32) {
	at := ((d.lead+row)*(n+1) + k) * len(out)
	for i, v := range d.states[at : at+len(out)] {
		out[i] = math.Float32frombits(uint32(v) << 16)
	}
}

// head keeps only the first n rows.
func (d *document) head(n, width int) *document {
	if n >= d.rows() {
		return d
	}
	h := &document{tokens: d.tokens[:d.from+n], from: d.from, text: d.text, lead: d.lead, states: d.states[:(d.lead+n)*width]}
	if d.greedy != nil {
		h.greedy = d.greedy[:n]
	}
	return h
}

// documentsMagic begins a file of documents.
const documentsMagic = "skerry documents 3\n"

// errDocuments is wrapped by errors about a file that holds no documents.
var errDocuments = errors.New("not a file of documents")

// Bounds of a document in a file.
const (
	maxDocuments      = 1 << 16
	maxDocumentTokens = 1 << 16
)

// writeDocuments stores documents of width values a row, with a checksum behind them.
func writeDocuments(out io.Writer, docs []*document, width int) error {
	sum := crc32.NewIEEE()
	w := io.MultiWriter(out, sum)
	if _, err := io.WriteString(w, documentsMagic); err != nil {
		return err
	}
	put := func(v any) error { return binary.Write(w, binary.LittleEndian, v) }
	if err := put([]uint32{uint32(width), uint32(len(docs))}); err != nil {
		return err
	}
	for _, d := range docs {
		head := []uint32{uint32(len(d.tokens)), uint32(d.from), uint32(len(d.greedy)), uint32(d.lead)}
		for _, v := range []any{head, d.tokens, d.greedy, d.states} {
			if err := put(v); err != nil {
				return err
			}
		}
	}
	return binary.Write(out, binary.LittleEndian, sum.Sum32())
}

// readDocuments reads what writeDocuments wrote, of width values a row. Errors wrap
// errDocuments or are the reader's.
func readDocuments(in io.Reader, width int) ([]*document, error) {
	sum := crc32.NewIEEE()
	r := io.TeeReader(in, sum)
	bad := func(what string) ([]*document, error) { return nil, fmt.Errorf("%w: %s", errDocuments, what) }
	magic := make([]byte, len(documentsMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != documentsMagic {
		return bad("it begins otherwise")
	}
	get := func(v any) error {
		err := binary.Read(r, binary.LittleEndian, v)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: it ends too early", errDocuments)
		}
		return err
	}
	var size [2]uint32
	if err := get(&size); err != nil {
		return nil, err
	}
	if int64(size[0]) != int64(width) || size[1] > maxDocuments {
		return bad(fmt.Sprintf("%d documents of width %d", size[1], size[0]))
	}
	var docs []*document
	for range size[1] {
		var head [4]uint32
		if err := get(&head); err != nil {
			return nil, err
		}
		if head[0] > maxDocumentTokens || head[1] > head[0] || head[2] != 0 && head[2] != head[0]-head[1] || head[3] != 0 && head[3] != head[1] {
			return bad(fmt.Sprintf("a document of %d tokens from %d", head[0], head[1]))
		}
		d := &document{tokens: make([]int32, head[0]), from: int(head[1]), lead: int(head[3])}
		if head[2] > 0 {
			d.greedy = make([]int32, head[2])
		}
		if err := get(d.tokens); err != nil {
			return nil, err
		}
		if err := get(d.greedy); err != nil {
			return nil, err
		}
		// Row by row, so that a lying header costs little memory.
		d.states = make([]uint16, 0, min((d.lead+d.rows())*width, 1<<20))
		row := make([]uint16, width)
		for range d.lead + d.rows() {
			if err := get(row); err != nil {
				return nil, err
			}
			d.states = append(d.states, row...)
		}
		docs = append(docs, d)
	}
	var want uint32
	if err := binary.Read(in, binary.LittleEndian, &want); err != nil || want != sum.Sum32() {
		return bad("its checksum is not that of its bytes")
	}
	return docs, nil
}
