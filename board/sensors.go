package board

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrAbsent is returned for a sensor that this board does not have.
var ErrAbsent = errors.New("this board has no such sensor")

// Reading of a sensor.
type Reading struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"` // °C, Hz, V, A, W, RPM, %, s, B, or "" for a count
}

// Sensor is one thing to read.
type Sensor interface {
	// Read returns what there is below root, or ErrAbsent. Readings that come
	// beside an error are good.
	Read(root string) ([]Reading, error)
}

// SensorFunc is a function as a Sensor.
type SensorFunc func(root string) ([]Reading, error)

// Read calls f.
func (f SensorFunc) Read(root string) ([]Reading, error) { return f(root) }

// Named is a Sensor with its name.
type Named struct {
	Name string
	Sensor
}

// Sensors are all that are known, in the order people read them.
var Sensors = []Named{
	{"temperature", SensorFunc(temperatures)},
	{"clock", SensorFunc(clocks)},
	{"power", SensorFunc(rails)},
	{"fan", SensorFunc(fans)},
	{"memory", SensorFunc(memory)},
	{"storage", SensorFunc(wear)},
	{"uptime", SensorFunc(uptime)},
}

// number of a file of /sys, times scale.
func number(path string, scale float64) (float64, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, ErrAbsent
	}
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(string(b)), 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return v * scale, nil
}

// text of a small file, empty where there is none.
func text(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}

// hwmon calls f for every device of /sys/class/hwmon.
func hwmon(root string, f func(dir, name string)) {
	dirs, _ := filepath.Glob(filepath.Join(root, "sys/class/hwmon/hwmon*"))
	for _, dir := range dirs {
		f(dir, text(filepath.Join(dir, "name")))
	}
}

// some returns ErrAbsent where nothing was read and nothing failed.
func some(r []Reading, err error) ([]Reading, error) {
	if len(r) == 0 && err == nil {
		return nil, ErrAbsent
	}
	return r, err
}
