package board

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
)

// Memory in bytes.
type Memory struct {
	Total     uint64 `json:"total"`
	Available uint64 `json:"available"`
	SwapTotal uint64 `json:"swap_total"`
	SwapFree  uint64 `json:"swap_free"`
}

// ReadMemory reads /proc/meminfo.
func ReadMemory(root string) (m Memory, err error) {
	fs, err := procfs.NewFS(filepath.Join(root, "proc"))
	if err != nil {
		return m, ErrAbsent
	}
	info, err := fs.Meminfo()
	if err != nil {
		return m, err
	}
	for _, f := range []struct {
		to   *uint64
		from *uint64
	}{{&m.Total, info.MemTotalBytes}, {&m.Available, info.MemAvailableBytes}, {&m.SwapTotal, info.SwapTotalBytes}, {&m.SwapFree, info.SwapFreeBytes}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	return m, nil
}

func memory(root string) ([]Reading, error) {
	m, err := ReadMemory(root)
	if err != nil {
		return nil, err
	}
	r := []Reading{{"available", float64(m.Available), "B"}, {"total", float64(m.Total), "B"}}
	if m.SwapTotal > 0 {
		r = append(r, Reading{"swap used", float64(m.SwapTotal - m.SwapFree), "B"})
	}
	return r, nil
}

// Load is the load average of one minute.
func Load(root string) (float64, error) {
	fs, err := procfs.NewFS(filepath.Join(root, "proc"))
	if err != nil {
		return 0, ErrAbsent
	}
	l, err := fs.LoadAvg()
	if err != nil {
		return 0, err
	}
	return l.Load1, nil
}

// Uptime of the board in seconds.
func Uptime(root string) (float64, error) {
	first, _, _ := strings.Cut(text(filepath.Join(root, "proc/uptime")), " ")
	if first == "" {
		return 0, ErrAbsent
	}
	return strconv.ParseFloat(first, 64)
}

func uptime(root string) ([]Reading, error) {
	s, err := Uptime(root)
	if err != nil {
		return nil, err
	}
	return []Reading{{"uptime", s, "s"}}, nil
}

// wear of eMMC, by its own estimate: life_time counts tenths of its life that are
// used, for each of two kinds of cells, from 1 (JEDEC JESD84-B51, 7.4.73).
func wear(root string) (r []Reading, err error) {
	dirs, _ := filepath.Glob(filepath.Join(root, "sys/block/mmcblk[0-9]"))
	for _, dir := range dirs {
		life := strings.Fields(text(filepath.Join(dir, "device/life_time")))
		worst := uint64(0)
		for _, f := range life {
			n, e := strconv.ParseUint(strings.TrimPrefix(f, "0x"), 16, 8)
			err = errors.Join(err, e)
			worst = max(worst, n)
		}
		if worst > 0 {
			r = append(r, Reading{filepath.Base(dir) + " life used, up to", float64(10 * worst), "%"})
		}
	}
	return some(r, err)
}
