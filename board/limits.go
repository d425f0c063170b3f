package board

import (
	"errors"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/procfs"
)

// Limit of memory that holds for this process, however much the machine has.
type Limit struct {
	Name  string // of whom, as "cgroup /system.slice/skerry.service"
	Bytes uint64
	Free  uint64 // of Bytes; page cache counts as free, as in MemAvailable
}

// cgroup is a control group that this process is in, itself or by a child.
type cgroup struct {
	name string // its path in the hierarchy
	dir  string
	v2   bool
}

// self is this process in /proc.
func self(root string) (procfs.Proc, error) {
	proc, err := procfs.NewFS(filepath.Join(root, "proc"))
	if err != nil {
		return procfs.Proc{}, ErrNoData
	}
	return proc.Self()
}

// foundCgroups are the groups of one controller, and the membership that they follow from.
type foundCgroups struct {
	member string
	all    []cgroup
}

// lastFound are foundCgroups by root and controller: a page that is open asks for the
// limits once a second, and the list of all mounts is dear to read.
var lastFound sync.Map

// cgroups are those that this process is in and whose controller bounds it, each
// followed by its ancestors, as far as they can be seen from here. They are looked for
// again when the process has been moved.
func cgroups(root, controller string) []cgroup {
	p, err := self(root)
	if err != nil {
		return nil
	}
	key := [2]string{root, controller}
	member := text(filepath.Join(root, "proc", strconv.Itoa(p.PID), "cgroup"))
	if last, ok := lastFound.Load(key); ok && last.(foundCgroups).member == member {
		return last.(foundCgroups).all
	}
	all := findCgroups(p, root, controller)
	if len(all) > 0 { // else the hierarchy may be mounted later
		lastFound.Store(key, foundCgroups{member, all})
	}
	return all
}

// findCgroups reads the list of mounts. Versions 1 and 2 may be in use side by side
// (cgroups(7)).
func findCgroups(p procfs.Proc, root, controller string) (all []cgroup) {
	member, _ := p.Cgroups()
	mounts, _ := p.MountInfo()
	for _, m := range member {
		v2 := m.HierarchyID == 0
		if !v2 && !slices.Contains(m.Controllers, controller) {
			continue
		}
		for _, mount := range mounts {
			_, has := mount.SuperOptions[controller]
			if v2 && mount.FSType != "cgroup2" || !v2 && (mount.FSType != "cgroup" || !has) {
				continue
			}
			// In a container the mount may show the group alone, or a part of the
			// hierarchy that its name does not begin with.
			rel, err := filepath.Rel(mount.Root, m.Path)
			if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
				rel = "."
			}
			for ; ; rel = filepath.Dir(rel) {
				all = append(all, cgroup{filepath.Join(mount.Root, rel), filepath.Join(root, mount.MountPoint, rel), v2})
				if rel == "." || rel == "/" {
					break
				}
			}
		}
	}
	return all
}

// unlimited is from where on a number stands for no limit: version 1 writes the
// largest multiple of a page.
const unlimited = 1 << 60

// count reads a file of one number of bytes; none for "max" and for what cannot be
// read.
func (g cgroup) count(file string) (n uint64, ok bool) {
	n, err := strconv.ParseUint(text(filepath.Join(g.dir, file)), 10, 64)
	return n, err == nil
}

// stat reads memory.stat.
func (g cgroup) stat() map[string]uint64 {
	all := map[string]uint64{}
	for line := range strings.Lines(text(filepath.Join(g.dir, "memory.stat"))) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			all[key] = n
		}
	}
	return all
}

// memory is the limit of a group and what it leaves. Above memory.high a group is
// slowed down until it uses less, so that counts as a limit too.
func (g cgroup) memory() (Limit, bool) {
	limits, usage, cache := []string{"memory.max", "memory.high"}, "memory.current", []string{"active_file", "inactive_file"}
	if !g.v2 {
		limits, usage, cache = []string{"memory.limit_in_bytes"}, "memory.usage_in_bytes", []string{"total_active_file", "total_inactive_file"}
	}
	l := Limit{Name: "cgroup " + g.name, Bytes: unlimited}
	for _, file := range limits {
		if n, ok := g.count(file); ok {
			l.Bytes = min(l.Bytes, n)
		}
	}
	if g.v2 && l.Bytes >= unlimited { // memory.stat is long, and tells nothing of limits there
		return l, false
	}
	stat := g.stat()
	if n, ok := stat["hierarchical_memory_limit"]; ok { // of ancestors that cannot be seen
		l.Bytes = min(l.Bytes, n)
	}
	if l.Bytes >= unlimited {
		return l, false
	}
	held, _ := g.count(usage)
	for _, key := range cache {
		held -= min(held, stat[key])
	}
	l.Free = l.Bytes - min(l.Bytes, held)
	return l, true
}

// processLimits are those that setrlimit(2) has put on this process.
func processLimits(root string) (all []Limit) {
	p, err := self(root)
	if err != nil {
		return nil
	}
	limits, err := p.Limits()
	if err != nil || limits.AddressSpace >= unlimited && limits.DataSize >= unlimited {
		return nil
	}
	used, err := p.NewStatus()
	if err != nil {
		return nil
	}
	for _, l := range []struct {
		name        string
		bytes, held uint64
	}{{"RLIMIT_AS", limits.AddressSpace, used.VmSize}, {"RLIMIT_DATA", limits.DataSize, used.VmData}} {
		if l.bytes < unlimited {
			all = append(all, Limit{l.name, l.bytes, l.bytes - min(l.bytes, l.held)})
		}
	}
	return all
}

// memoryLimits are all that hold for this process.
func memoryLimits(root string) (all []Limit) {
	for _, g := range cgroups(root, "memory") {
		if l, ok := g.memory(); ok {
			all = append(all, l)
		}
	}
	return append(all, processLimits(root)...)
}

// Cores is how many this process can keep busy: those it may run on, or fewer where
// a CPU quota of a cgroup or of one of its ancestors lasts for no more. Go's own
// GOMAXPROCS knows the quota of the innermost group alone.
func Cores(root string) int {
	n := runtime.NumCPU()
	if p, err := self(root); err == nil {
		if s, err := p.NewStatus(); err == nil && len(s.CpusAllowedList) > 0 {
			n = len(s.CpusAllowedList)
		}
	}
	for _, g := range cgroups(root, "cpu") {
		if quota, ok := g.quota(); ok {
			n = min(n, int(math.Ceil(quota)))
		}
	}
	return max(1, n)
}

// quota of CPU time in cores.
func (g cgroup) quota() (float64, bool) {
	quota, period, _ := strings.Cut(text(filepath.Join(g.dir, "cpu.max")), " ")
	if !g.v2 {
		quota, period = text(filepath.Join(g.dir, "cpu.cfs_quota_us")), text(filepath.Join(g.dir, "cpu.cfs_period_us"))
	}
	q, err := strconv.ParseFloat(quota, 64) // "max" and -1 are none
	p, perr := strconv.ParseFloat(period, 64)
	return q / p, errors.Join(err, perr) == nil && q > 0 && p > 0 && q/p < 1<<16
}
