package board

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
)

// Parts of a board whose temperature says how hot its processor is.
const (
	PartCPU = "cpu"
	PartSoC = "soc" // the whole chip
	PartGPU = "gpu"
)

// Temperature by thermal zone.
var Temperature = declare(Sensor{
	Name: "temperature", Unit: "°C", Metric: "temperature_celsius",
	Shown: true, Place: 1, Collector: CollectorFunc(temperatures),
})

// temperatures of the thermal zones and, where no zone is of the processor, of the
// processor's own device in hwmon, as it is on AMD's. A Jetson's zone of a part that
// is switched off has no value, or one far below zero: both are left out.
func temperatures(root string) (r []Reading, err error) {
	zones, _ := filepath.Glob(filepath.Join(root, "sys/class/thermal/thermal_zone[0-9]*"))
	for _, dir := range zones {
		c, e := number(filepath.Join(dir, "temp"), 1e-3)
		kind, e2 := readSmall(filepath.Join(dir, "type"))
		if e != nil || e2 != nil || c < -60 {
			err = errors.Join(err, failure(e), failure(e2))
			continue
		}
		name := strings.TrimSuffix(strings.TrimSuffix(kind, "-thermal"), "_thermal")
		r = append(r, Reading{Name: name, Value: c, Unit: "°C", Part: partOf(kind)})
	}
	if !slices.ContainsFunc(r, func(r Reading) bool { return r.Part == PartCPU || r.Part == PartSoC }) {
		hwmon(root, func(dir, name string) {
			if name != "k10temp" && name != "coretemp" {
				return
			}
			c, e := number(filepath.Join(dir, "temp1_input"), 1e-3)
			if e != nil {
				err = errors.Join(err, failure(e))
				return
			}
			r = append(r, Reading{Name: "cpu", Value: c, Unit: "°C", Part: PartCPU})
		})
	}
	return collected(r, err)
}

// zoneParts are words in the types of thermal zones, as the drivers and device trees
// of boards name them, and what they measure. The first that fits counts.
var zoneParts = []struct{ word, part string }{
	{"gpu", PartGPU}, {"cpu", PartCPU}, {"core", PartCPU}, {"x86_pkg", PartCPU},
	{"soc", PartSoC}, {"package", PartSoC}, {"tj-", PartSoC}, {"bcm2", PartSoC},
}

// partOf is the part that a thermal zone of this type measures.
func partOf(kind string) string {
	kind = strings.ToLower(kind)
	for _, z := range zoneParts {
		if strings.Contains(kind, z.word) {
			return z.part
		}
	}
	return ""
}
