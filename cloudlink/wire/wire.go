// Package wire is the protocol between a board and its cloud: frames, the
// messages in them and the tensors those carry.
//
// A frame is
//
//	type    1 byte
//	header  QUIC varint length (RFC 9000 section 16)
//	body    QUIC varint length
//	header  CBOR map with integer keys (RFC 8949)
//	body    raw little-endian tensor data, in the order of the header's tensors
//
// Later protocol versions may add fields to a header: a field not known is
// ignored, a key given twice is refused. A frame type of 0x80 or above that is
// not known is skipped; any other unknown type ends the stream.
//
// Which stream carries what:
//
//	control (bidirectional, one per connection)
//	  up    Hello, Ping, Status
//	  down  Welcome, Receipt, Pong, Drain, Error, Offer
//	session (bidirectional, one per session)
//	  up    Open, Ask, Generate, Lead, Taken, Close
//	  down  Opened, Answer, Token, Led, Error
//	uplink (unidirectional, one per branch)
//	  up    UplinkHeader, then Hidden or Tokens
//	files (bidirectional, for a board that fetches a bundle)
//	  up    Fetch, one at a time
//	  down  Piece, Error
package wire

// Protocol is the newest protocol version this package speaks, and
// ProtocolMin the oldest. Version 2 added resumption, encodings other than
// float32, token ids and Generate; version 3 asks for several rows at once; version 4 has
// the cloud lead.
const (
	Protocol    = 4
	ProtocolMin = 1

	// ProtocolRows is the oldest version with Ask.Rows: a cloud of an older one does not
	// know the field and answers the last row alone.
	ProtocolRows = 3

	// ProtocolLead is the oldest version with Lead, Led and Taken.
	ProtocolLead = 4
)

// Type is the first byte of a frame.
type Type byte

const (
	TypeHello   Type = 0x01
	TypeWelcome Type = 0x02
	TypeReceipt Type = 0x03
	TypeDrain   Type = 0x04
	TypeError   Type = 0x05
	TypeStatus  Type = 0x06
	TypePing    Type = 0x07
	TypePong    Type = 0x08

	TypeOpen   Type = 0x10
	TypeOpened Type = 0x11
	TypeAsk    Type = 0x12
	TypeAnswer Type = 0x13
	TypeClose  Type = 0x14

	TypeGenerate Type = 0x15
	TypeToken    Type = 0x16

	TypeLead  Type = 0x17
	TypeLed   Type = 0x18
	TypeTaken Type = 0x19

	TypeUplink Type = 0x20
	TypeHidden Type = 0x21
	TypeTokens Type = 0x22

	TypeFetch Type = 0x30
	TypePiece Type = 0x31

	// firstSkippable is the first type a reader skips when it does not know it.
	firstSkippable Type = 0x80

	TypeOffer Type = 0x81
)

// MaxHeader and MaxBody bound every frame, in bytes.
const (
	MaxHeader = 64 << 10
	MaxBody   = 16 << 20
)

// Message is one of the structs of this package that travel as a frame.
type Message interface {
	// Type is the frame type of the message.
	Type() Type
	// body returns the raw bytes after the header.
	body() ([]byte, error)
	// setBody takes the raw bytes after a decoded header and checks both
	// against each other. The bytes are only valid during the call, except
	// where the message says otherwise.
	setBody([]byte) error
}

// kind says how frames of one type are made and how large they may be.
type kind struct {
	make      func() Message
	maxHeader int
	maxBody   int
}

var kinds = map[Type]kind{
	TypeHello:   {func() Message { return new(Hello) }, 4 << 10, 0},
	TypeWelcome: {func() Message { return new(Welcome) }, MaxHeader, 0},
	TypeReceipt: {func() Message { return new(Receipt) }, 1 << 10, 0},
	TypeDrain:   {func() Message { return new(Drain) }, 16 << 10, 0},
	TypeError:   {func() Message { return new(Error) }, MaxHeader, 0},
	TypeStatus:  {func() Message { return new(Status) }, MaxStatus, 0},
	TypePing:    {func() Message { return new(Ping) }, 64, 0},
	TypePong:    {func() Message { return new(Pong) }, 64, 0},
	TypeOpen:    {func() Message { return new(Open) }, MaxHeader, 0},
	TypeOpened:  {func() Message { return new(Opened) }, 4 << 10, 0},
	TypeAsk:     {func() Message { return new(Ask) }, 1 << 10, 4 << 20},
	TypeAnswer:  {func() Message { return new(Answer) }, 4 << 10, MaxBody},
	TypeClose:   {func() Message { return new(Close) }, 1 << 10, 0},
	TypeUplink:  {func() Message { return new(UplinkHeader) }, 4 << 10, 0},
	TypeHidden:  {func() Message { return new(Hidden) }, 1 << 10, MaxBody},

	TypeGenerate: {func() Message { return new(Generate) }, 4 << 10, 0},
	TypeToken:    {func() Message { return new(Token) }, 1 << 10, 0},
	TypeTokens:   {func() Message { return new(Tokens) }, 1 << 10, 4 << 20},

	TypeLead:  {func() Message { return new(Lead) }, 1 << 10, maxSampler},
	TypeLed:   {func() Message { return new(Led) }, 32 << 10, 0},
	TypeTaken: {func() Message { return new(Taken) }, 1 << 10, 0},

	TypeFetch: {func() Message { return new(Fetch) }, 1 << 10, 0},
	TypePiece: {func() Message { return new(Piece) }, 64, MaxPiece},

	TypeOffer: {func() Message { return new(Offer) }, 2 << 10, 0},
}
