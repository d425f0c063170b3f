package remote

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// cores are those this process may run on.
func cores() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("which cores there are: %w", err)
	}
	var out []int
	for i := range 64 * len(set) {
		if set.IsSet(i) {
			out = append(out, i)
		}
	}
	return out, nil
}

// Pin keeps every thread of this process, and those they start, on one core.
func Pin(core int) error {
	var set unix.CPUSet
	set.Set(core)
	// A thread that was started while the list was read shows in the next one.
	for range 3 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("pinning to core %d: %w", core, err)
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				continue
			}
			if err := unix.SchedSetaffinity(id, &set); err != nil && err != unix.ESRCH { // it may have ended
				return fmt.Errorf("pinning thread %d to core %d: %w", id, core, err)
			}
		}
	}
	return nil
}

// Placement gives edge and cloud a core each, where there are two; -1 is none.
func Placement() (where string, edge, cloud int, err error) {
	free, err := cores()
	if err != nil {
		return "", -1, -1, err
	}
	if len(free) < 2 {
		return "edge and cloud share one core", -1, -1, nil
	}
	return fmt.Sprintf("edge and the emulated link on core %d, cloud on core %d, one computing thread each", free[0], free[1]), free[0], free[1], nil
}
