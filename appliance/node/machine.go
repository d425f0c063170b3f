package node

import (
	"fmt"
	"net"
	"os"
	"strconv"
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

// status of the board. What cannot be read is said in its errors.
func (m *machine) status(threads int) status.Board {
	s := status.Board{Model: m.kind.Name, Cores: board.Cores(m.root), Threads: threads, Addresses: addresses(), Sensors: []status.Sensor{}}
	look := board.Look(m.root)
	s.MemoryTotal, s.MemoryFree = look.Memory.Least()
	s.Load, s.UptimeS = look.Load, look.Uptime
	s.RSS = uint64(RSS(os.Getpid()))
	for _, sensor := range look.Sensors {
		for _, r := range sensor.Readings {
			s.Sensors = append(s.Sensors, status.Sensor{Kind: sensor.Name, Name: r.Name, Value: r.Value, Unit: r.Unit, Part: r.Part,
				Hidden: !sensor.Shown, Metric: sensor.Metric})
		}
	}
	for _, f := range look.Failures {
		s.SensorErrors = append(s.SensorErrors, status.SensorError{Kind: f.Name, Err: status.OneLine(f.Err)})
	}
	s.Throttled, s.ThrottledBy = strings.Join(board.Texts(look.Throttled.Now), ", "), board.Codes(look.Throttled.Now)
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

// RSS is the resident set of a process in bytes, 0 where it cannot be read.
func RSS(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}
