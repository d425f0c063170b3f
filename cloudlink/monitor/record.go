package monitor

import "time"

// Record is a Minute as a database keeps it. Version 0 had the same fields; 5 and 8 to 10
// were of fields that nobody read.
type Record struct {
	Version int           `cbor:"0,keyasint,omitempty"`
	Start   time.Time     `cbor:"1,keyasint"` // in UTC
	Worst   string        `cbor:"2,keyasint"` // the state's name
	Reason  string        `cbor:"3,keyasint,omitempty"`
	RTT     time.Duration `cbor:"4,keyasint,omitempty"`
	Loss    float64       `cbor:"6,keyasint,omitempty"` // share of packets
	Goodput float64       `cbor:"7,keyasint,omitempty"` // bytes a second
}

const recordVersion = 1

// Record returns the minute as it is to be kept. A clock that was set beyond what RFC 3339
// can write makes it one of no time.
func (m Minute) Record() Record {
	start := m.Start.UTC()
	if start.Year() < 1 || start.Year() > 9999 {
		start = time.Time{}
	}
	return Record{recordVersion, start, m.Worst.String(), m.Reason, m.RTT, m.Loss, m.Goodput}
}
