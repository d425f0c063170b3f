package gpu

import (
	"cmp"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Platform is what a machine has for a GPU of NVIDIA.
type Platform struct {
	// Tegra is the release of Linux for Tegra, as 36 of a Jetson with JetPack 6; 0 for any other
	// machine.
	Tegra int
	// Driver is the version of the driver's library, as "535.183.01"; "" where there is none.
	Driver string
}

// driverDirs are where the library of the driver lies.
var driverDirs = []string{
	"usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib", "usr/local/nvidia/lib64", "usr/lib/wsl/lib", "usr/lib/x86_64-linux-gnu/nvidia/current",
}

var (
	tegraRelease  = regexp.MustCompile(`^# R(\d+) \(release\)`)
	libraryName   = regexp.MustCompile(`^libcuda\.so\.(\d+\.\d+(?:\.\d+)?)$`)
	kernelDriver  = regexp.MustCompile(`Kernel Module\s+(?:for \S+\s+)?(\d+\.\d+(?:\.\d+)?)`)
	cudaOfLibrary = regexp.MustCompile(`^lib(?:cudart|cublas|cublasLt)\.so\.(\d+)`)
	cudaOfName    = regexp.MustCompile(`cuda-?(\d\d)`)
)

// ReadPlatform reads what there is below root.
func ReadPlatform(root string) (p Platform) {
	if text, err := os.ReadFile(filepath.Join(root, "etc/nv_tegra_release")); err == nil {
		if m := tegraRelease.FindSubmatch(text); m != nil {
			p.Tegra, _ = strconv.Atoi(string(m[1]))
		}
	}
	for _, dir := range driverDirs {
		// libcuda.so.1 is a link to the library that has the version in its name.
		files, _ := filepath.Glob(filepath.Join(root, dir, "libcuda.so.*"))
		for _, f := range files {
			if m := libraryName.FindStringSubmatch(filepath.Base(f)); m != nil {
				p.Driver = m[1]
				return p
			}
		}
	}
	if text, err := os.ReadFile(filepath.Join(root, "proc/driver/nvidia/version")); err == nil {
		if m := kernelDriver.FindSubmatch(text); m != nil {
			p.Driver = string(m[1])
		}
	}
	return p
}

// Library is a file that computes on GPUs, and is of ggml.
type Library struct {
	Path string
	// CUDA is the version that it needs, as 12; 0 for a library that needs none.
	CUDA int
	// Unfit says why it cannot be loaded here; "" where it may be.
	Unfit string
}

// Find lists the libraries in the directories, and in those below them that are called cuda...
// The CPU's own are none.
func Find(dirs []string) (all []Library) {
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		for _, pattern := range []string{"libggml-*.so", "cuda*/libggml-*.so"} {
			files, _ := filepath.Glob(filepath.Join(dir, pattern))
			for _, f := range files {
				name := filepath.Base(f)
				known := slices.ContainsFunc(all, func(l Library) bool { return l.Path == f })
				if known || name == "libggml-base.so" || strings.HasPrefix(name, "libggml-cpu") {
					continue
				}
				all = append(all, read(f))
			}
		}
	}
	return all
}

func read(path string) Library {
	l := Library{Path: path}
	f, err := elf.Open(path)
	if err != nil {
		l.Unfit = "it is no library, or damaged: install it again"
		return l
	}
	defer f.Close()
	needed, err := f.ImportedLibraries()
	if err != nil {
		l.Unfit = "it is no library, or damaged: install it again"
		return l
	}
	for _, n := range needed {
		if m := cudaOfLibrary.FindStringSubmatch(n); m != nil {
			l.CUDA, _ = strconv.Atoi(m[1])
		}
	}
	if l.CUDA == 0 { // whose CUDA is within it: it is called so, or its directory
		if m := cudaOfName.FindStringSubmatch(filepath.Join(filepath.Base(filepath.Dir(path)), filepath.Base(path))); m != nil {
			l.CUDA, _ = strconv.Atoi(m[1])
		}
	}
	return l
}

// leastDriver is the oldest driver that a version of CUDA runs on.
var leastDriver = map[int]int{11: 450, 12: 525, 13: 580}

// tegraCUDA is the version of CUDA that a release of Linux for Tegra has; 0: none of those that
// libraries are built for.
func tegraCUDA(release int) int {
	switch {
	case release >= 38:
		return 13
	case release >= 36:
		return 12
	}
	return 0
}

// Choose orders the libraries by what fits the machine: those that may be loaded first, of the
// newest CUDA, and the others behind them with the reason.
func (p Platform) Choose(all []Library) []Library {
	all = slices.Clone(all)
	for i, l := range all {
		if l.Unfit == "" && (l.CUDA > 0 || strings.Contains(filepath.Base(l.Path), "cuda")) {
			all[i].Unfit = p.unfit(l.CUDA)
		}
	}
	slices.SortStableFunc(all, func(a, b Library) int {
		return cmp.Or(cmp.Compare(min(1, len(a.Unfit)), min(1, len(b.Unfit))), cmp.Compare(b.CUDA, a.CUDA))
	})
	return all
}

// unfit says why CUDA of the version does not run here; version 0 is one that nobody knows.
func (p Platform) unfit(cuda int) string {
	if p.Tegra > 0 {
		switch has := tegraCUDA(p.Tegra); {
		case has == 0:
			return fmt.Sprintf("this Jetson has release %d of Linux for Tegra, and JetPack 6 (release 36) is the oldest that is served: update it", p.Tegra)
		case cuda > 0 && cuda != has:
			return fmt.Sprintf("it is for CUDA %d, and release %d of Linux for Tegra has CUDA %d", cuda, p.Tegra, has)
		}
		return ""
	}
	if p.Driver == "" {
		return "no driver of NVIDIA is installed: install it, and start skerry again"
	}
	major, _, _ := strings.Cut(p.Driver, ".")
	if n, _ := strconv.Atoi(major); n < leastDriver[cuda] {
		return fmt.Sprintf("the driver %s is too old for CUDA %d: install %d or newer", p.Driver, cuda, leastDriver[cuda])
	}
	return ""
}
