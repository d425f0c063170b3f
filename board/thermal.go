package board

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/prometheus/procfs/sysfs"
)

// temperatures by zone, in °C. A Jetson's zone of a part that is switched off
// answers EAGAIN or a value far below zero: both are left out.
func temperatures(root string) (r []Reading, err error) {
	fs, err := sysfs.NewFS(filepath.Join(root, "sys"))
	if err != nil {
		return nil, ErrAbsent
	}
	zones, err := fs.ClassThermalZoneStats()
	for _, z := range zones {
		c := float64(z.Temp) / 1000
		if z.ReadErrors != nil || c < -60 {
			continue
		}
		name := strings.TrimSuffix(strings.TrimSuffix(z.Type, "-thermal"), "_thermal")
		r = append(r, Reading{name, c, "°C"})
	}
	return some(r, err)
}

// clocks of the processors' clusters, in Hz: one reading for each frequency
// domain, named after its first processor.
func clocks(root string) (r []Reading, err error) {
	dirs, _ := filepath.Glob(filepath.Join(root, "sys/devices/system/cpu/cpufreq/policy*"))
	for _, dir := range dirs {
		hz, e := number(filepath.Join(dir, "scaling_cur_freq"), 1000)
		if e != nil {
			err = errors.Join(err, failure(e))
			continue
		}
		r = append(r, Reading{"cpu" + strings.TrimPrefix(filepath.Base(dir), "policy"), hz, "Hz"})
	}
	return some(r, err)
}

// failure drops ErrAbsent.
func failure(err error) error {
	if errors.Is(err, ErrAbsent) {
		return nil
	}
	return err
}

// fans in RPM, or where only the drive is known, in per cent of it.
func fans(root string) (r []Reading, err error) {
	hwmon(root, func(dir, name string) {
		if rpm, e := number(filepath.Join(dir, "fan1_input"), 1); e == nil {
			r = append(r, Reading{name, rpm, "RPM"})
		} else if pwm, e := number(filepath.Join(dir, "pwm1"), 100.0/255); e == nil {
			r = append(r, Reading{name, pwm, "%"})
		} else {
			err = errors.Join(err, failure(e))
		}
	})
	return some(r, err)
}

// rails are the power rails: of a Jetson's INA3221 with volts times amperes in W,
// by label; of other hwmon devices power1_input.
func rails(root string) (r []Reading, err error) {
	hwmon(root, func(dir, name string) {
		if name == "ina3221" {
			for i := 1; i <= 3; i++ {
				mv, e1 := number(filepath.Join(dir, fmt.Sprintf("in%d_input", i)), 1e-3)
				ma, e2 := number(filepath.Join(dir, fmt.Sprintf("curr%d_input", i)), 1e-3)
				if e1 != nil || e2 != nil {
					err = errors.Join(err, failure(e1), failure(e2))
					continue
				}
				label := text(filepath.Join(dir, fmt.Sprintf("in%d_label", i)))
				r = append(r, Reading{label, mv * ma, "W"})
			}
			return
		}
		if w, e := number(filepath.Join(dir, "power1_input"), 1e-6); e == nil {
			r = append(r, Reading{name, w, "W"})
		}
	})
	return some(r, err)
}
