package wire

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/x448/float16"
)

// Encoding is a way in which hidden states travel. To add one is to add a file
// encoding_NAME.go that registers it: the flags --encoding, the configuration with its
// help and checks, the budget of a metered link, the cloud's choice, benchmarks and
// fuzz targets range over what is registered. An older cloud that does not know it
// takes another that is offered.
type Encoding struct {
	Name    string // in flags, in the configuration and on pages, as "f16"
	Element string // what ggml calls the type of the elements, as "q8_0"; reports have it
	DType   DType  // its code on the wire, numbered as ggml numbers its types
	Help    string // a few words beside the name in help, as "half the bytes"
	Exact   bool   // what comes back is what was sent, bit for bit

	// Block values of a row are encoded together, to BlockBytes bytes.
	Block, BlockBytes int

	// Limit is the least magnitude that it cannot hold as a finite number; 0: it holds
	// every bit pattern.
	Limit float32
	// Append encodes whole blocks of finite values below Limit.
	Append func(dst []byte, values []float32) []byte
	// Decode appends the values of whole blocks to dst.
	Decode func(dst []float32, data []byte) []float32
}

// BytesPerValue is what a value of a hidden state takes on the wire.
func (e *Encoding) BytesPerValue() float64 { return float64(e.BlockBytes) / float64(e.Block) }

// encodings are those registered, the most bytes first.
var encodings []*Encoding

// register adds e. Two of one name or code are an error of this program.
func register(e Encoding) *Encoding {
	if slices.ContainsFunc(encodings, func(o *Encoding) bool { return o.Name == e.Name || o.DType == e.DType }) {
		panic("two encodings are called " + e.Name + " or have its code")
	}
	encodings = append(encodings, &e)
	slices.SortStableFunc(encodings, func(a, b *Encoding) int {
		return cmp.Or(cmp.Compare(b.BytesPerValue(), a.BytesPerValue()), cmp.Compare(a.DType, b.DType))
	})
	return &e
}

// Encodings are all ways in which hidden states travel, the most bytes first: float32,
// the exact one, before the others.
func Encodings() []*Encoding { return slices.Clone(encodings) }

// EncodingNamed returns the encoding of that name, as flags have it.
func EncodingNamed(name string) (*Encoding, bool) {
	i := slices.IndexFunc(encodings, func(e *Encoding) bool { return e.Name == name })
	if i < 0 {
		return nil, false
	}
	return encodings[i], true
}

// EncodingNames are the names of all, as flags have them.
func EncodingNames() []string {
	var names []string
	for _, e := range encodings {
		names = append(names, e.Name)
	}
	return names
}

// EncodingHelp lists all names with what each does, as "f32 (exact), f16 (half the
// bytes) or q8 (a quarter)".
func EncodingHelp() string {
	return orList(encodings, func(e *Encoding) string { return e.Name + " (" + e.Help + ")" })
}

// LossyNames lists the names of all that are not exact, as "f16 or q8".
func LossyNames() string {
	lossy := slices.DeleteFunc(Encodings(), func(e *Encoding) bool { return e.Exact })
	return orList(lossy, func(e *Encoding) string { return e.Name })
}

func orList(of []*Encoding, word func(*Encoding) string) string {
	var words []string
	for _, e := range of {
		words = append(words, word(e))
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// encoding returns the encoding with that code, nil where there is none.
func (t DType) encoding() *Encoding {
	i := slices.IndexFunc(encodings, func(e *Encoding) bool { return e.DType == t })
	if i < 0 {
		return nil
	}
	return encodings[i]
}

// Encodes reports whether this package can send and receive hidden states as t.
func Encodes(t DType) bool { return t.encoding() != nil }

// Fit returns the encoding that rows of width use when t was agreed: where they are
// not whole blocks of it, float16.
func (t DType) Fit(width int) DType {
	if e := t.encoding(); e != nil && width%e.Block != 0 {
		return F16
	}
	return t
}

// RowBytes returns the bytes of one row of width values.
func (t DType) RowBytes(width int) int {
	n, err := TensorHeader{DType: t.Fit(width), Dims: []uint64{1, uint64(width)}}.Size()
	if err != nil {
		return 0
	}
	return n
}

// EncodeHidden returns rows, [n][width]float32, as t from position pos on. Rows that t
// cannot hold, as infinities or values beyond a float16, go as float32: a frame says
// itself what it carries.
func EncodeHidden(pos uint64, width int, rows []float32, t DType) *Hidden {
	e := t.Fit(width).encoding()
	if e == nil || !e.holds(rows) {
		e = encodingF32
	}
	return &Hidden{
		Position: pos,
		Tensor:   TensorHeader{DType: e.DType, Dims: []uint64{uint64(len(rows) / width), uint64(width)}},
		Data:     e.Append(make([]byte, 0, len(rows)/e.Block*e.BlockBytes), rows),
	}
}

// holds reports whether every value survives e as a finite number.
func (e *Encoding) holds(rows []float32) bool {
	if e.Limit == 0 {
		return true
	}
	for _, v := range rows {
		if !(v < e.Limit && v > -e.Limit) { // NaN compares false
			return false
		}
	}
	return true
}

// Float32 appends the rows to dst, [n_tokens][n_embd]float32.
func (h *Hidden) Float32(dst []float32) ([]float32, error) {
	e := h.Tensor.DType.encoding()
	if e == nil {
		return dst, fmt.Errorf("%w: hidden states of type %d", errTensor, h.Tensor.DType)
	}
	return e.Decode(dst, h.Data), nil
}

// half reads a float16 (IEEE 754), little-endian.
func half(b []byte) float32 {
	return float16.Frombits(binary.LittleEndian.Uint16(b)).Float32()
}

// appendHalf writes v as a float16, rounded to nearest even.
func appendHalf(dst []byte, v float32) []byte {
	return binary.LittleEndian.AppendUint16(dst, float16.Fromfloat32(v).Bits())
}

// halfLimit is the least magnitude that rounds to infinity as a float16.
const halfLimit = 65520

// abs is the magnitude of v.
func abs(v float32) float32 { return float32(math.Abs(float64(v))) }
