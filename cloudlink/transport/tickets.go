package transport

// Tickets keeps session tickets (RFC 8446 section 4.6.1), several per cloud,
// each used once. It holds secrets: whoever reads one can resume as this board
// until the cloud's ticket keys have rotated.
type Tickets interface {
	// PutTicket keeps the newest few of a cloud.
	PutTicket(cloud string, ticket []byte) error
	// TakeTicket removes a ticket durably before it returns it; nil, nil says
	// that there is none.
	TakeTicket(cloud string) (ticket []byte, err error)
}
