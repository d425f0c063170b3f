package node

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"skerry/appliance/status"
	"skerry/board"
)

// machine reads the board that the daemon runs on.
type machine struct {
	root  string // "/" but in tests
	kind  board.Kind
	watch *board.Watcher

	mu        sync.Mutex // guards all following
	asked     time.Time  // when cores and addresses were looked up last
	cores     int
	addresses []string
}

// seldom is how long cores and addresses are good for: both change seldom, take several files
// and system calls to find, and a page that is open has them shown every second.
const seldom = 10 * time.Second

// place is how many cores the daemon has, and under which addresses others may reach it.
func (m *machine) place() (cores int, addrs []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); m.asked.IsZero() || now.Sub(m.asked) >= seldom {
		m.asked, m.cores, m.addresses = now, board.Cores(m.root), addresses()
	}
	return m.cores, slices.Clone(m.addresses)
}

func newMachine(root string) *machine {
	return &machine{root: root, kind: board.Detect(root), watch: board.Watch(root)}
}

// status of the board. What cannot be read is said in its errors.
func (m *machine) status(threads int) status.Board {
	s := status.Board{Model: m.kind.Name, Threads: threads, Sensors: []status.Sensor{}}
	s.Cores, s.Addresses = m.place()
	look := m.watch.Look()
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
	// statm has seven numbers where status has sixty lines, which the kernel writes anew for
	// each reader.
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
