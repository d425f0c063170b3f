package board

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/prometheus/procfs"
)

// Memory in bytes.
type Memory struct {
	// Total and Available are of the machine; both are 0 where they are not known.
	Total, Available    uint64
	SwapTotal, SwapFree uint64
	Limits              []Limit // that hold for this process besides
}

// Least is the memory that this process may use: the least of the machine's and of
// every limit. Both are 0 where neither is known.
func (m Memory) Least() (total, available uint64) {
	all := m.Limits
	if m.Total > 0 {
		all = append([]Limit{{Bytes: m.Total, Free: m.Available}}, all...)
	}
	for i, l := range all {
		if i == 0 {
			total, available = l.Bytes, l.Free
		}
		total, available = min(total, l.Bytes), min(available, l.Free)
	}
	return total, available
}

// ReadMemory reads /proc/meminfo and the limits of this process. Beside an error,
// which is of /proc/meminfo, the limits are good.
func ReadMemory(root string) (Memory, error) { return readMemory(root, memoryLimits(root)) }

func readMemory(root string, limits []Limit) (m Memory, err error) {
	m.Limits = limits
	proc, err := procfs.NewFS(filepath.Join(root, "proc"))
	if err != nil {
		return m, ErrNoData
	}
	info, err := proc.Meminfo()
	switch {
	case err != nil:
		return m, fmt.Errorf("/proc/meminfo: %w", err)
	case info.MemTotalBytes == nil || info.MemAvailableBytes == nil || *info.MemTotalBytes == 0:
		return m, errors.New("/proc/meminfo does not tell MemTotal and MemAvailable")
	}
	m.Total, m.Available = *info.MemTotalBytes, *info.MemAvailableBytes
	if info.SwapTotalBytes != nil && info.SwapFreeBytes != nil {
		m.SwapTotal, m.SwapFree = *info.SwapTotalBytes, *info.SwapFreeBytes
	}
	return m, nil
}
