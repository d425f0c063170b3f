package board

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// StorageLife is the wear of eMMC.
var StorageLife = declare(Sensor{
	Name: "storage life", Unit: "%", Metric: "storage_life_used_percent",
	Shown: true, Place: 6, Collector: CollectorFunc(storageLife),
})

// storageLife reads the eMMC's own estimate: life_time counts tenths of its life that
// are used, for each of two kinds of cells, from 1 (JEDEC JESD84-B51, 7.4.73).
func storageLife(root string) (r []Reading, err error) {
	dirs, _ := filepath.Glob(filepath.Join(root, "sys/block/mmcblk[0-9]"))
	for _, dir := range dirs {
		path := filepath.Join(dir, "device/life_time")
		life, e := readSmall(path)
		err = errors.Join(err, failure(e))
		worst := uint64(0)
		for _, f := range strings.Fields(life) {
			n, e := strconv.ParseUint(strings.TrimPrefix(f, "0x"), 16, 8)
			if e != nil {
				err = errors.Join(err, fmt.Errorf("%s: %q is not a number of tenths", path, f))
			}
			worst = max(worst, n)
		}
		if worst > 0 {
			r = append(r, Reading{Name: filepath.Base(dir) + " life used, up to", Value: float64(10 * worst), Unit: "%"})
		}
	}
	return collected(r, err)
}
