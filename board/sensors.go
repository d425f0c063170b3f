package board

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoData is returned where there is nothing to read: this board has no such
// sensor, or what it measures is switched off.
var ErrNoData = errors.New("this board has no such sensor")

// Reading of a sensor.
type Reading struct {
	Name  string
	Value float64
	Unit  string // °C, Hz, W, RPM, %
	// Part says which part of the board a temperature is of: PartCPU, PartSoC,
	// PartGPU, or "" for any other.
	Part string
}

// Collector reads sensors of one kind.
type Collector interface {
	// Read returns what there is below root. The error is ErrNoData where there is
	// nothing; any other is a failure, and readings that come beside it are good.
	Read(root string) ([]Reading, error)
}

// CollectorFunc is a function as a Collector.
type CollectorFunc func(root string) ([]Reading, error)

// Read calls f.
func (f CollectorFunc) Read(root string) ([]Reading, error) { return f(root) }

// Sensor is one kind of thing that boards measure, as it is declared.
type Sensor struct {
	Name   string // "temperature"
	Unit   string // of all its readings
	Metric string // its name in Prometheus behind skerry_board_, with the unit; "" for none
	Shown  bool   // in the status text, on the page and on the console
	Place  int    // among the others: the lowest comes first
	Collector
}

var declared []*Sensor

// declare adds a sensor to those that are known.
func declare(s Sensor) *Sensor {
	declared = append(declared, &s)
	return &s
}

// Sensors are all that are known, in the order in which people read them.
func Sensors() []*Sensor {
	return slices.SortedFunc(slices.Values(declared), func(a, b *Sensor) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Name, b.Name))
	})
}

// readSmall reads a small file by a single read of its own. os.ReadFile would wait
// for ever for a driver that answers EAGAIN. A file that is not there, and a driver
// that has no value at present, are ErrNoData.
func readSmall(path string) (string, error) {
	fail := func(op string, err error) error {
		switch err {
		case unix.ENOENT, unix.ENOTDIR, unix.EAGAIN, unix.ENODATA, unix.ENODEV, unix.ENXIO, unix.EOPNOTSUPP:
			return ErrNoData
		}
		return fmt.Errorf("%s %s: %w", op, path, err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fail("open", err)
	}
	defer unix.Close(fd)
	b := make([]byte, 256)
	n, err := unix.Read(fd, b)
	if err != nil {
		return "", fail("read", err)
	}
	return strings.TrimSpace(string(b[:n])), nil
}

// number of a file of /sys, times scale.
func number(path string, scale float64) (float64, error) {
	s, err := readSmall(path)
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a number", path, s)
	}
	return v * scale, nil
}

// text of a small file, empty where there is none.
func text(path string) string {
	s, _ := readSmall(path)
	return s
}

// hwmon calls f for every device of /sys/class/hwmon.
func hwmon(root string, f func(dir, name string)) {
	dirs, _ := filepath.Glob(filepath.Join(root, "sys/class/hwmon/hwmon*"))
	for _, dir := range dirs {
		f(dir, text(filepath.Join(dir, "name")))
	}
}

// collected returns the readings with names that differ, and ErrNoData where there
// are none and nothing failed.
func collected(r []Reading, err error) ([]Reading, error) {
	if len(r) == 0 && err == nil {
		return nil, ErrNoData
	}
	seen := map[string]int{}
	for i := range r {
		seen[r[i].Name]++
		if n := seen[r[i].Name]; n > 1 {
			r[i].Name += " " + strconv.Itoa(n)
		}
	}
	return r, err
}

// failure drops ErrNoData.
func failure(err error) error {
	if errors.Is(err, ErrNoData) {
		return nil
	}
	return err
}
