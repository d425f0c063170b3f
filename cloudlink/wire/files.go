package wire

import "errors"

// MaxPiece bounds what one Piece carries, in bytes.
const MaxPiece = 256 << 10

// maxFileName bounds the name of a file of a bundle, in bytes.
const maxFileName = 128

// Fetch asks for a piece of a file of a bundle. It begins a stream of its own and
// may follow on it once the piece before has come: what is under way is never
// more than a piece, so that an answer on the same connection does not wait for a
// file. Whoever fetches chooses pieces that the link carries in a moment.
type Fetch struct {
	noBody
	Bundle Hash   `cbor:"1,keyasint"`
	File   string `cbor:"2,keyasint"` // its name in the bundle, as "manifest.json"
	Offset uint64 `cbor:"3,keyasint"` // of the first byte wanted
	Length uint32 `cbor:"4,keyasint"` // bytes wanted at most, 1 to MaxPiece
	Epoch  uint64 `cbor:"5,keyasint"` // of the connection
}

// Piece answers Fetch. The body is what the file has from Offset on: as many bytes
// as were wanted, or fewer at its end.
type Piece struct {
	Offset uint64 `cbor:"1,keyasint"`
	Total  uint64 `cbor:"2,keyasint"` // bytes of the whole file

	Data []byte `cbor:"-"` // valid until the next message is read
}

func (*Fetch) Type() Type { return TypeFetch }
func (*Piece) Type() Type { return TypePiece }

var (
	errPiece    = errors.New("a piece outside of its file or of a size that is not served")
	errFileName = errors.New("not the name of a file of a bundle")
)

// maxFile bounds sizes and offsets, so that sums of two fit an int64.
const maxFile = 1 << 50

func (f *Fetch) setBody([]byte) error {
	if f.Length == 0 || f.Length > MaxPiece || f.Offset > maxFile {
		return errPiece
	}
	if !FileName(f.File) {
		return errFileName
	}
	return nil
}

// FileName reports whether s may name a file of a bundle: letters, digits and
// ".-_", and no dot at its beginning, so that it leads nowhere else.
func FileName(s string) bool {
	if s == "" || len(s) > maxFileName || s[0] == '.' {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

func (p *Piece) body() ([]byte, error) { return p.Data, nil }

func (p *Piece) setBody(b []byte) error {
	if p.Total > maxFile || p.Offset > p.Total || uint64(len(b)) > p.Total-p.Offset {
		return errPiece
	}
	p.Data = b
	return nil
}
