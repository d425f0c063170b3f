package board

import (
	"errors"
	"path/filepath"
)

// FanDrive is how hard a fan is driven that does not count its turns.
var FanDrive = declare(Sensor{
	Name: "fan drive", Unit: "%", Metric: "fan_drive_percent",
	Shown: true, Place: 5, Collector: CollectorFunc(fanDrives),
})

func fanDrives(root string) (r []Reading, err error) {
	hwmon(root, func(dir, name string) {
		if _, e := number(filepath.Join(dir, "fan1_input"), 1); e == nil {
			return
		}
		drive, e := number(filepath.Join(dir, "pwm1"), 100.0/255)
		if e == nil {
			r = append(r, Reading{Name: name, Value: drive, Unit: "%"})
		}
		err = errors.Join(err, failure(e))
	})
	return collected(r, err)
}
