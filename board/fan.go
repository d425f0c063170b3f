package board

import (
	"errors"
	"path/filepath"
)

// Fan by its own count of turns.
var Fan = declare(Sensor{
	Name: "fan", Unit: "RPM", Metric: "fan_rpm",
	Shown: true, Place: 4, Collector: CollectorFunc(fans),
})

func fans(root string) (r []Reading, err error) {
	hwmon(root, func(dir, name string) {
		rpm, e := number(filepath.Join(dir, "fan1_input"), 1)
		if e == nil {
			r = append(r, Reading{Name: name, Value: rpm, Unit: "RPM"})
		}
		err = errors.Join(err, failure(e))
	})
	return collected(r, err)
}
