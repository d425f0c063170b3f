package cloudlink

import (
	"errors"
	"skerry/cloudlink/internal/budget"
	"skerry/cloudlink/internal/linkerr"
	"skerry/cloudlink/transport"
	"time"
)

// LinkStatus is what a Link shows of itself.
type LinkStatus struct {
	Connected  bool
	Addr       string    // of the cloud: of the connection, or where it answered last
	Since      time.Time // of Connected as it is
	Transport  Transport // of the connection, or of the last one
	Why        string    // that transport and not another
	LastError  string    // of the last dial or connection that failed
	Err        error     // what LastError says; matches ErrRevoked, ErrBudget and the like
	Refused    bool      // LastError will not heal by dialling again
	NextDial   time.Time // zero while connected or dialling
	Draining   bool      // the cloud is about to stop
	Reconnects uint64    // connections after the first
	Migrations uint64    // changes of address that a connection survived
	Breach     bool      // LastError is a breach of the protocol by the cloud
	Breaches   uint64    // of the protocol, by the cloud
	LastBreach string    // the newest of them
	BreachAt   time.Time // of it, zero for none
	// Unanswered counts waits for an answer that were given up while the connection
	// was alive, the newest at UnansweredAt.
	Unanswered   uint64
	UnansweredAt time.Time
	BytesUp      uint64 // this month, headers of IP and UDP included
	BytesDown    uint64 // likewise
	Budget       budget.Status
	Stats        transport.Stats // of the connection of the moment
}

// failed notes why a dial or a connection failed.
func (st *LinkStatus) failed(err error, refused bool) {
	st.LastError, st.Err, st.Refused = err.Error(), err, refused
	st.Breach = errors.As(err, new(*linkerr.ProtocolError))
}

// breach notes that the cloud has broken the protocol.
func (l *Link) breach(err *linkerr.ProtocolError) {
	l.update(func(st *LinkStatus) {
		st.Breaches++
		st.LastBreach, st.BreachAt = linkerr.Printable(err.Error(), linkerr.MaxText), l.conf.Clock()
	})
}

// EventKind says what happened to a link.
type EventKind int

const (
	EventConnected EventKind = iota + 1
	EventLost
	EventMigrated  // to another address of this machine
	EventTransport // QUIC to TCP or back
	EventAnswered  // a probe
	EventDraining
)

var eventNames = map[EventKind]string{
	EventConnected: "connected", EventLost: "lost", EventMigrated: "migrated",
	EventTransport: "transport changed", EventAnswered: "probe answered", EventDraining: "cloud is about to stop",
}

func (k EventKind) String() string { return eventNames[k] }

// Event is one thing that happened to a link.
type Event struct {
	Kind      EventKind
	At        time.Time
	Transport Transport
	RTT       time.Duration // of the probe, for EventAnswered
	Err       error         // for EventLost
	Why       string
}
