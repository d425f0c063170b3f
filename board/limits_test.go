package board

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// process lays out a /proc with this process in it, its control groups and their
// files, by path below the root.
func process(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{"proc/42/status": "Name:\tskerry\nVmSize:\t  300 kB\nVmData:\t  100 kB\nCpus_allowed_list:\t0-7\n"}
	maps.Copy(all, files)
	for name, data := range all {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("42", filepath.Join(dir, "proc/self")); err != nil {
		t.Fatal(err)
	}
	return dir
}

const (
	meminfo = "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 800 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
	unified = "30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	legacy  = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n" +
		"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:4 - cgroup cgroup rw,cpu,cpuacct\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
	inner = "sys/fs/cgroup/system.slice/skerry.service/"
	outer = "sys/fs/cgroup/system.slice/"
	box1  = "sys/fs/cgroup/memory/box/"
	slow1 = "sys/fs/cgroup/cpu,cpuacct/slow/"
	none1 = "9223372036854771712\n"
)

// What a process may use is the least of what the machine has and of every limit on
// the way from its own control group to the root, of both versions of them.
func TestLimits(t *testing.T) {
	v2 := func(files map[string]string) map[string]string {
		all := map[string]string{"proc/meminfo": meminfo, "proc/42/mountinfo": unified, "proc/42/cgroup": "0::/system.slice/skerry.service\n"}
		maps.Copy(all, files)
		return all
	}
	v1 := func(files map[string]string) map[string]string {
		all := map[string]string{"proc/meminfo": meminfo, "proc/42/mountinfo": legacy,
			"proc/42/cgroup": "4:memory:/box/inner\n2:cpu,cpuacct:/slow\n0::/\n"}
		maps.Copy(all, files)
		return all
	}
	for _, c := range []struct {
		name             string
		files            map[string]string
		total, available uint64 // kB
		of               string // the limits, each by whom
		cores            int
	}{
		{"no groups", map[string]string{"proc/meminfo": meminfo}, 1000, 800, "", 8},
		{"no limit", v2(map[string]string{inner + "memory.max": "max\n", inner + "memory.current": "4096\n"}), 1000, 800, "", 8},
		{"a limit", v2(map[string]string{inner + "memory.max": "409600\n", inner + "memory.current": "102400\n"}),
			400, 300, "cgroup /system.slice/skerry.service", 8},
		{"page cache is free", v2(map[string]string{inner + "memory.max": "409600\n", inner + "memory.current": "409600\n",
			inner + "memory.stat": "anon 102400\nfile 307200\ninactive_file 204800\nactive_file 102400\nshmem 0\n"}),
			400, 300, "cgroup /system.slice/skerry.service", 8},
		{"files in memory are not free", v2(map[string]string{inner + "memory.max": "409600\n", inner + "memory.current": "409600\n",
			inner + "memory.stat": "anon 0\nfile 307200\ninactive_file 0\nactive_file 102400\nshmem 204800\n"}),
			400, 100, "cgroup /system.slice/skerry.service", 8},
		{"an ancestor's", v2(map[string]string{inner + "memory.max": "max\n", outer + "memory.max": "512000\n", outer + "memory.current": "256000\n"}),
			500, 250, "cgroup /system.slice", 8},
		{"both", v2(map[string]string{inner + "memory.max": "409600\n", outer + "memory.max": "819200\n", outer + "memory.current": "716800\n"}),
			400, 100, "cgroup /system.slice/skerry.service, cgroup /system.slice", 8},
		{"slowed down above", v2(map[string]string{inner + "memory.max": "819200\n", inner + "memory.high": "409600\n"}),
			400, 400, "cgroup /system.slice/skerry.service", 8},
		{"more held than allowed", v2(map[string]string{inner + "memory.max": "409600\n", inner + "memory.current": "500000\n"}),
			400, 0, "cgroup /system.slice/skerry.service", 8},
		{"wider than the machine", v2(map[string]string{inner + "memory.max": "409600000\n"}), 1000, 800, "cgroup /system.slice/skerry.service", 8},
		{"not a number", v2(map[string]string{inner + "memory.max": "lots\n"}), 1000, 800, "", 8},
		{"version 1", v1(map[string]string{box1 + "inner/memory.limit_in_bytes": none1, box1 + "memory.limit_in_bytes": "409600\n",
			box1 + "memory.usage_in_bytes": "204800\n", box1 + "memory.stat": "cache 1\ntotal_inactive_file 51200\ntotal_active_file 51200\n"}),
			400, 300, "cgroup /box", 8},
		{"version 1, of an ancestor out of sight", v1(map[string]string{box1 + "inner/memory.limit_in_bytes": none1,
			box1 + "inner/memory.stat": "hierarchical_memory_limit 409600\n"}), 400, 400, "cgroup /box/inner", 8},
		{"a container's own view", map[string]string{"proc/meminfo": meminfo, "proc/42/mountinfo": unified, "proc/42/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "409600\n"}, 400, 400, "cgroup /", 8},
		{"a container with the host's names", map[string]string{"proc/meminfo": meminfo, "proc/42/cgroup": "4:memory:/docker/ab\n",
			"proc/42/mountinfo":                          "35 31 0:32 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "409600\n"}, 400, 400, "cgroup /docker/ab", 8},
		{"a mount of another part", map[string]string{"proc/meminfo": meminfo, "proc/42/cgroup": "0::/../other\n", "proc/42/mountinfo": strings.ReplaceAll(unified, " / /sys", " /mine /sys"),
			"sys/fs/cgroup/memory.max": "409600\n"}, 400, 400, "cgroup /mine", 8},
		{"ulimit", map[string]string{"proc/meminfo": meminfo, "proc/42/limits": "Limit                     Soft Limit           Hard Limit           Units     \n" +
			"Max data size             unlimited            unlimited            bytes     \nMax address space         512000               unlimited            bytes     \n"},
			500, 200, "RLIMIT_AS", 8},
		{"meminfo is hidden", map[string]string{}, 0, 0, "", 8},
		{"meminfo is hidden, a limit is not", map[string]string{"proc/42/mountinfo": unified, "proc/42/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "409600\n"},
			400, 400, "cgroup /", 8},
		{"meminfo tells no MemAvailable", map[string]string{"proc/meminfo": "MemTotal: 1000 kB\n"}, 0, 0, "", 8},
		{"a quota", v2(map[string]string{inner + "cpu.max": "150000 100000\n"}), 1000, 800, "", 2},
		{"an ancestor's quota", v2(map[string]string{inner + "cpu.max": "max 100000\n", outer + "cpu.max": "50000 100000\n"}), 1000, 800, "", 1},
		{"no quota", v2(map[string]string{inner + "cpu.max": "max 100000\n"}), 1000, 800, "", 8},
		{"version 1, a quota", v1(map[string]string{slow1 + "cpu.cfs_quota_us": "300000\n", slow1 + "cpu.cfs_period_us": "100000\n"}), 1000, 800, "", 3},
		{"version 1, no quota", v1(map[string]string{slow1 + "cpu.cfs_quota_us": "-1\n", slow1 + "cpu.cfs_period_us": "100000\n"}), 1000, 800, "", 8},
		{"affinity", map[string]string{"proc/meminfo": meminfo, "proc/42/status": "VmSize: 1 kB\nCpus_allowed_list:\t2,4-5\n"}, 1000, 800, "", 3},
		{"a quota above the affinity", v2(map[string]string{"proc/42/status": "Cpus_allowed_list:\t0-1\n", inner + "cpu.max": "400000 100000\n"}), 1000, 800, "", 2},
	} {
		root := process(t, c.files)
		m, err := ReadMemory(root)
		total, available := m.Least()
		var of []string
		for _, l := range m.Limits {
			of = append(of, l.Name)
		}
		if total != c.total<<10 || available != c.available<<10 || strings.Join(of, ", ") != c.of || (err == nil) != (m.Total > 0) {
			t.Errorf("%s: %d of %d kB by %v, %v", c.name, available>>10, total>>10, of, err)
		}
		if n := Cores(root); n != c.cores {
			t.Errorf("%s: %d cores", c.name, n)
		}
	}
	hidden := process(t, map[string]string{"proc/meminfo": meminfo})
	if err := os.Remove(filepath.Join(hidden, "proc/meminfo")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMemory(hidden); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without /proc/meminfo: %v", err)
	}
}

// The groups are looked for once, and again when the process has been moved; what they
// allow is read each time.
func TestLimitsOfAProcessThatIsMoved(t *testing.T) {
	root := process(t, map[string]string{"proc/meminfo": meminfo, "proc/42/mountinfo": unified, "proc/42/cgroup": "0::/system.slice/skerry.service\n",
		inner + "memory.max": "409600\n", "sys/fs/cgroup/other/memory.max": "204800\n"})
	least := func() uint64 {
		m, err := ReadMemory(root)
		if err != nil {
			t.Fatal(err)
		}
		total, _ := m.Least()
		return total >> 10
	}
	write := func(file, content string) {
		if err := os.WriteFile(filepath.Join(root, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if n := least(); n != 400 {
		t.Errorf("%d kB", n)
	}
	write(inner+"memory.max", "307200\n")
	write("proc/42/mountinfo", "")
	if n := least(); n != 300 {
		t.Errorf("%d kB after its limit was changed", n)
	}
	write("proc/42/mountinfo", unified)
	write("proc/42/cgroup", "0::/other\n")
	if n := least(); n != 200 {
		t.Errorf("%d kB after it was moved", n)
	}
}

// A watched process without limits is found to have one within ten seconds, and then what is left
// of it is read each time.
func TestWatchedLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := process(t, map[string]string{"proc/meminfo": meminfo, "proc/42/mountinfo": unified, "proc/42/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"})
		w := Watch(root)
		left := func(want uint64) {
			t.Helper()
			if _, free := w.Look().Memory.Least(); free != want<<10 {
				t.Errorf("%d kB are left, want %d", free>>10, want)
			}
		}
		write := func(file, text string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(root, "sys/fs/cgroup", file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		left(800)
		write("memory.max", "409600\n")
		time.Sleep(limitsEvery)
		left(400)
		write("memory.current", "102400\n")
		left(300)
		write("memory.max", "max\n")
		left(800)
	})
}

// FuzzLimits: control groups are written by whoever runs the container.
func FuzzLimits(f *testing.F) {
	f.Add("0::/a\n", unified, "409600\n", "inactive_file 4096\n", "150000 100000\n", "0-7")
	f.Add("4:memory:/a\n2:cpu:/a\n", legacy, none1, "hierarchical_memory_limit 1\n", "max 1\n", "")
	dirs := []string{"sys/fs/cgroup/", "sys/fs/cgroup/a/", "sys/fs/cgroup/memory/a/"}
	empty := map[string]string{"proc/meminfo": meminfo, "proc/42/cgroup": "", "proc/42/mountinfo": ""}
	for _, dir := range dirs {
		empty[dir+"memory.max"] = ""
	}
	root := process(f, empty) // one for all runs: making it takes most of the time
	f.Fuzz(func(t *testing.T, groups, mounts, limit, stat, quota, allowed string) {
		lastFound.Clear()
		if strings.Contains(groups, "..") || strings.Contains(mounts, "..") || len(groups)+len(mounts) > 1<<10 || len(allowed) > 4 { // a list as "0-9" is written out
			t.Skip()
		}
		files := map[string]string{"proc/42/cgroup": groups, "proc/42/mountinfo": mounts, "proc/42/status": "Cpus_allowed_list:\t" + allowed + "\n"}
		for _, dir := range dirs {
			files[dir+"memory.max"], files[dir+"memory.limit_in_bytes"], files[dir+"memory.stat"], files[dir+"cpu.max"] = limit, limit, stat, quota
		}
		for name, data := range files {
			if err := os.WriteFile(filepath.Join(root, name), []byte(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		m, err := ReadMemory(root)
		total, available := m.Least()
		if err != nil || total > m.Total || available > m.Available {
			t.Errorf("%d of %d, %v", available, total, err)
		}
		if slices.ContainsFunc(m.Limits, func(l Limit) bool { return l.Free > l.Bytes }) {
			t.Errorf("%+v", m.Limits)
		}
		if n := Cores(root); n < 1 || n > 1<<20 {
			t.Errorf("%d cores", n)
		}
	})
}
