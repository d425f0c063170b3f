package board

import (
	"errors"
	"path/filepath"
	"strings"
)

// Clock of the processors, by cluster.
var Clock = declare(Sensor{
	Name: "clock", Unit: "Hz", Metric: "frequency_hertz",
	Shown: true, Place: 2, Collector: CollectorFunc(clocks),
})

// clocks has one reading for each frequency domain, named after its first processor.
func clocks(root string) (r []Reading, err error) {
	dirs, _ := filepath.Glob(filepath.Join(root, "sys/devices/system/cpu/cpufreq/policy*"))
	for _, dir := range dirs {
		hz, e := number(filepath.Join(dir, "scaling_cur_freq"), 1000)
		if e != nil {
			err = errors.Join(err, failure(e))
			continue
		}
		r = append(r, Reading{Name: "cpu" + strings.TrimPrefix(filepath.Base(dir), "policy"), Value: hz, Unit: "Hz"})
	}
	return collected(r, err)
}
