package board

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/procfs"
)

// Survey is everything that a board says of itself at one time.
type Survey struct {
	Memory    Memory
	Load      float64 // average of a minute, 0 where it is not known
	Uptime    float64 // seconds, 0 where it is not known
	Throttled Throttling
	Sensors   []Surveyed
	// Failures of what there is and cannot be read, by its name.
	Failures []Failure
}

// Surveyed is a sensor with what it read: nothing where the board has none or it
// failed.
type Surveyed struct {
	*Sensor
	Readings []Reading
}

// Failure of a sensor, or of "memory", "load", "uptime" or "throttling".
type Failure struct {
	Name string
	Err  error
}

// Watcher looks at a board again and again, as for a page that is open, which shows it once a
// second. The limits of a process that had none are read every ten seconds only: they are in
// several files of each control group, and change when somebody changes them by hand.
type Watcher struct {
	root string // "/" on a board

	mu      sync.Mutex // guards all following
	free    bool       // no limit held when they were read last
	limited time.Time  // when that was
}

// limitsEvery is how long a process without limits is taken to have none.
const limitsEvery = 10 * time.Second

// Watch returns a Watcher of the board below root.
func Watch(root string) *Watcher { return &Watcher{root: root} }

// Look reads everything.
func (w *Watcher) Look() Survey {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.free && time.Since(w.limited) < limitsEvery {
		return look(w.root, nil)
	}
	limits := memoryLimits(w.root)
	w.free, w.limited = len(limits) == 0, time.Now()
	return look(w.root, limits)
}

// Look reads everything below root ("/" on a board).
func Look(root string) Survey { return look(root, memoryLimits(root)) }

func look(root string, limits []Limit) (s Survey) {
	failed := func(name string, err error) {
		if failure(err) != nil {
			s.Failures = append(s.Failures, Failure{name, err})
		}
	}
	var err error
	s.Memory, err = readMemory(root, limits)
	failed("memory", err)
	s.Load, err = load(root)
	failed("load", err)
	s.Uptime, err = uptime(root)
	failed("uptime", err)
	s.Throttled, err = Throttled(root)
	failed("throttling", err)
	for _, sensor := range Sensors() {
		readings, err := sensor.Read(root)
		failed(sensor.Name, err)
		s.Sensors = append(s.Sensors, Surveyed{sensor, readings})
	}
	return s
}

// load is the load average of one minute.
func load(root string) (float64, error) {
	proc, err := procfs.NewFS(filepath.Join(root, "proc"))
	if err != nil {
		return 0, ErrNoData
	}
	l, err := proc.LoadAvg()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, ErrNoData
	case err != nil:
		return 0, fmt.Errorf("/proc/loadavg: %w", err)
	}
	return l.Load1, nil
}

// uptime of the board in seconds.
func uptime(root string) (float64, error) {
	path := filepath.Join(root, "proc/uptime")
	all, err := readSmall(path)
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(all, " ")
	s, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a number of seconds", path, first)
	}
	return s, nil
}
