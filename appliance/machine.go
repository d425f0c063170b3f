package main

import (
	"net"
	"os"
	"runtime"
	"slices"
	"strings"

	"skerry/appliance/status"
	"skerry/board"
)

// machine reads the board that the daemon runs on.
type machine struct {
	root string // "/" but in tests
	kind board.Kind
}

func newMachine(root string) *machine { return &machine{root: root, kind: board.Detect(root)} }

// shown are the sensors of the page; memory and uptime have places of their own.
var shown = []string{"temperature", "clock", "power", "fan", "storage"}

// status of the board. What can not be read is left out.
func (m *machine) status(threads int) status.Board {
	s := status.Board{Model: m.kind.Name, Cores: runtime.NumCPU(), Threads: threads, Addresses: addresses(), Sensors: []status.Sensor{}}
	if mem, err := board.ReadMemory(m.root); err == nil {
		s.MemoryTotal, s.MemoryFree = mem.Total, mem.Available
	}
	s.Load, _ = board.Load(m.root)
	s.UptimeS, _ = board.Uptime(m.root)
	s.RSS = uint64(rss(os.Getpid()))
	for _, sensor := range board.Sensors {
		if !slices.Contains(shown, sensor.Name) {
			continue
		}
		readings, _ := sensor.Read(m.root)
		for _, r := range readings {
			s.Sensors = append(s.Sensors, status.Sensor{Name: r.Name, Value: r.Value, Unit: r.Unit})
		}
	}
	if t, err := board.Throttled(m.root); err == nil {
		s.Throttled = strings.Join(t.Now, ", ")
	}
	return s
}

// addresses of this machine that others may reach.
func addresses() []string {
	list := []string{}
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && !ip.IP.IsLinkLocalUnicast() {
			list = append(list, ip.IP.String())
		}
	}
	return list
}
