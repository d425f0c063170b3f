package cloudnode

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"skerry/appliance/status"
)

// DeviceTable is a list of boards for people.
func DeviceTable(rows []Device, now time.Time) [][]string {
	table := [][]string{{"NAME", "MAY SEE", "STATE", "EPOCH", "LAST HEARD", "VERSION", "MODE", "HEALTH", "UP", "DOWN", "RING", "UPDATE"}}
	several := slices.ContainsFunc(rows, func(r Device) bool { return r.Worker != "" })
	if several {
		table[0] = append(table[0], "WORKER")
	}
	for _, r := range rows {
		cells := r.cells(now)
		if several {
			cells = append(cells, cmp.Or(r.Worker, "-"))
		}
		table = append(table, cells)
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
	case r.Worker != "":
		state = "at a worker"
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
