package board

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
)

// Power by rail.
var Power = declare(Sensor{
	Name: "power", Unit: "W", Metric: "power_watts",
	Shown: true, Place: 3, Collector: CollectorFunc(rails),
})

// rails are of a Jetson's INA3221 volts times amperes, by label; of other hwmon
// devices power1_input.
func rails(root string) (r []Reading, err error) {
	hwmon(root, func(dir, name string) {
		if name != "ina3221" {
			w, e := number(filepath.Join(dir, "power1_input"), 1e-6)
			if e == nil {
				r = append(r, Reading{Name: name, Value: w, Unit: "W"})
			}
			err = errors.Join(err, failure(e))
			return
		}
		for i := 1; i <= 3; i++ {
			mv, e1 := number(filepath.Join(dir, fmt.Sprintf("in%d_input", i)), 1e-3)
			ma, e2 := number(filepath.Join(dir, fmt.Sprintf("curr%d_input", i)), 1e-3)
			if e1 != nil || e2 != nil {
				err = errors.Join(err, failure(e1), failure(e2))
				continue
			}
			label := cmp.Or(text(filepath.Join(dir, fmt.Sprintf("in%d_label", i))), fmt.Sprintf("rail %d", i))
			r = append(r, Reading{Name: label, Value: mv * ma, Unit: "W"})
		}
	})
	return collected(r, err)
}
