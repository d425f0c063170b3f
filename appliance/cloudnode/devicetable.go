package cloudnode

import (
	"fmt"
	"time"

	"skerry/appliance/status"
)

// DeviceTable is a list of boards for people.
func DeviceTable(rows []Device, now time.Time) [][]string {
	table := [][]string{{"NAME", "MAY SEE", "STATE", "EPOCH", "LAST HEARD", "VERSION", "MODE", "HEALTH", "UP", "DOWN", "RING", "UPDATE"}}
	for _, r := range rows {
		table = append(table, r.cells(now))
	}
	return table
}

func (r Device) cells(now time.Time) []string {
	state, seen := "enrolled", "never"
	switch {
	case r.Revoked:
		state = "revoked"
	case now.After(r.Expires):
		state = "expired"
	case r.Online:
		state = "connected"
	}
	switch {
	case r.Seen != nil:
		seen = status.Ago(now.Sub(*r.Seen))
	case r.Online: // the first report comes within half a minute
		seen = "no report yet"
	}
	cells := []string{r.Name, string(r.May), state, fmt.Sprint(r.Epoch), seen}
	if s := r.Status; s != nil {
		return append(cells, s.Version, s.Mode, s.Health, status.Bytes(s.BytesUp), status.Bytes(s.BytesDown), r.Ring, s.Update.String())
	}
	return append(cells, "-", "-", "-", "-", "-", r.Ring, "-")
}
