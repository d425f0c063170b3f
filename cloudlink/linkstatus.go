package cloudlink

import (
	"time"
)

// LinkStatus is what a Link shows of itself.
type LinkStatus struct {
	Connected  bool
	Since      time.Time // of Connected as it is
	Transport  Transport // of the connection, or of the last one
	Why        string    // that transport and not another
	LastError  string    // of the last dial or connection that failed
	Refused    bool      // LastError will not heal by dialling again
	NextDial   time.Time // zero while connected or dialling
	Draining   bool      // the cloud is about to stop
	Reconnects uint64    // connections after the first
	Migrations uint64    // changes of address that a connection survived
	BytesUp    uint64    // this month, headers of IP and UDP included
	BytesDown  uint64    // likewise
	Budget     BudgetStatus
	Stats      Stats // of the connection of the moment
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
