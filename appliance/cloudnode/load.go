package cloudnode

import (
	"bytes"
	"os"
	"strconv"

	"skerry/cloudlink/partition"
)

// Load is what a running cloud holds and has computed, in all, by stage and by board;
// sizes are in bytes, times in nanoseconds.
type Load struct {
	Resident int64                   `json:"resident"` // of the process, 0 where it is not known
	Stats    partition.Stats         `json:"stats"`
	Devices  []partition.DeviceStats `json:"devices"`
	Host     string                  `json:"host"`              // the machine's name
	Workers  []Worker                `json:"workers,omitempty"` // of its fleet, itself among them; none: it is alone
	Fleet    *FleetLoad              `json:"fleet,omitempty"`   // nil: it is alone
	Offers   []UpdateOffer           `json:"offers,omitempty"`  // of updates and bundles to boards
}

// load is what this cloud holds and has computed, with the other workers and what boards are offered.
func (f *front) load(server *partition.Server) Load {
	l := newLoad(server, f.member)
	if f.registry != nil {
		l.Offers = f.registry.shownOffers()
	}
	return l
}

func newLoad(server *partition.Server, m *member) Load {
	host, err := os.Hostname()
	if err != nil {
		host = "cloud"
	}
	l := Load{Resident: resident(), Stats: server.Stats(), Devices: server.Devices(), Host: host}
	if m != nil {
		m.load(&l)
	}
	return l
}

// resident is the memory of this process, in bytes, 0 where it is not known.
func resident() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(data)
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}
