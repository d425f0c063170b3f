package cloudnode

import (
	"time"

	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
)

// Device is a board as `skerry cloud devices --json` prints it.
type Device struct {
	Name     string           `json:"name"`
	May      trust.Disclosure `json:"may"`
	Revoked  bool             `json:"revoked"`
	Online   bool             `json:"connected"` // to the cloud that runs here, of several to the worker that was asked
	Enrolled time.Time        `json:"enrolled"`
	Expires  time.Time        `json:"expires"` // its certificate; it renews by itself
	Epoch    uint64           `json:"epoch"`   // highest connection number seen
	Seen     *time.Time       `json:"seen,omitempty"`
	Status   *DeviceStatus    `json:"status,omitempty"`
	Ring     string           `json:"ring,omitempty"` // whose updates it is offered
	// Worker has the board, of several: it is connected there, or was not long ago.
	Worker string `json:"worker,omitempty"`
}

// DeviceStatus is what a board said of itself last.
type DeviceStatus struct {
	Version   string            `json:"version"`
	Mode      string            `json:"mode"`
	Health    string            `json:"health"`
	BytesUp   uint64            `json:"bytes_up"`   // this month
	BytesDown uint64            `json:"bytes_down"` // this month
	Uptime    uint64            `json:"uptime_s"`
	Bundle    string            `json:"bundle,omitempty"`
	Tokens    map[string]uint64 `json:"tokens,omitempty"` // said, by source
	Transport string            `json:"transport,omitempty"`
	Update    *DeviceUpdate     `json:"update,omitempty"` // nil: it has heard of none
}

// DeviceUpdate is how a board stands to the update that it was offered.
type DeviceUpdate struct {
	Number  uint64 `json:"number"`
	Version string `json:"version"`
	State   string `json:"state"` // waiting, fetching, trying, installed, failed or refused
	Reason  string `json:"reason,omitempty"`
}

// String is short, for a table.
func (u *DeviceUpdate) String() string {
	if u == nil {
		return "-"
	}
	s := u.Version + " " + u.State
	if u.Reason != "" {
		s += ": " + u.Reason
	}
	return s
}

// NewDevice reads what the record has of a board. A status that cannot be read is left
// out.
func NewDevice(d trust.Device) Device {
	r := Device{Name: d.Name, May: d.Disclosure, Revoked: d.Revoked, Enrolled: d.Enrolled, Expires: d.Expires, Epoch: d.Epoch, Ring: AllRing}
	if !d.Seen.IsZero() {
		r.Seen = &d.Seen
		if s, err := wire.DecodeStatus(d.Status); err == nil {
			r.Status = newDeviceStatus(s)
		}
	}
	return r
}

func newDeviceStatus(s *wire.Status) *DeviceStatus {
	d := &DeviceStatus{
		Version: s.Version, Mode: s.Mode, Health: s.Health, BytesUp: s.BytesUp, BytesDown: s.BytesDown,
		Uptime: s.Uptime, Tokens: s.Tokens, Transport: s.Transport,
	}
	if u := s.Update; u != nil {
		d.Update = &DeviceUpdate{u.Number, u.Version, u.State, u.Reason}
	}
	if s.Bundle != (wire.Hash{}) {
		d.Bundle = s.Bundle.String()
	}
	return d
}

// Invite is an invitation as `skerry cloud invites --json` prints it. The code is
// not in it: only its hash was kept.
type Invite struct {
	ID      string           `json:"id"`
	Name    string           `json:"name,omitempty"` // of the board; empty: as it calls itself
	May     trust.Disclosure `json:"may,omitempty"`  // empty: the board says
	State   string           `json:"state"`          // open, used, withdrawn, expired
	Made    time.Time        `json:"made"`
	Expires time.Time        `json:"expires"`
	Closed  *time.Time       `json:"closed,omitempty"` // used or withdrawn
}

func invites(list []trust.Invite, now time.Time) []Invite {
	rows := make([]Invite, 0, len(list))
	for _, i := range list {
		r := Invite{ID: i.ID(), Name: i.Name, May: i.Disclosure, State: i.State(now), Made: i.Made, Expires: i.Expires}
		if !i.Used.IsZero() {
			r.Closed = &i.Used
		}
		rows = append(rows, r)
	}
	return rows
}
