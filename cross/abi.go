// Package cross says what the program and its kernel libraries need of the
// system they are put on. The scripts beside it build them, for this processor
// and for another.
package cross

import (
	"debug/elf"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Floor is the newest version that the binaries may need of each family of
// versioned symbols. Raspberry Pi OS and Debian 12, Ubuntu 22.04 and JetPack 6
// have them all; JetPack 5 (glibc 2.31) has not.
var Floor = map[string]string{
	"GLIBC":   "2.34",
	"GLIBCXX": "3.4.29",
	"CXXABI":  "1.3.13",
	"GCC":     "3.4",
}

// ABI is what an ELF file needs of the system.
type ABI struct {
	// Libraries are the sonames it is linked to, as "libc.so.6".
	Libraries []string
	// Versions is the newest symbol version it needs by family, as
	// "GLIBC": "2.34".
	Versions map[string]string
}

// ReadABI reads the dynamic section of the ELF file at path.
func ReadABI(path string) (ABI, error) {
	f, err := elf.Open(path)
	if err != nil {
		return ABI{}, fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close()
	a := ABI{Versions: map[string]string{}}
	if a.Libraries, err = f.ImportedLibraries(); err != nil {
		return a, fmt.Errorf("%s: %w", path, err)
	}
	needs, err := f.DynamicVersionNeeds()
	if err != nil {
		return a, fmt.Errorf("%s: %w", path, err)
	}
	for _, n := range needs {
		for _, dep := range n.Needs {
			if family, version, ok := strings.Cut(dep.Dep, "_"); ok && Newer(version, a.Versions[family]) {
				a.Versions[family] = version
			}
		}
	}
	return a, nil
}

// Above lists what a needs beyond the floor, as "GLIBC_2.38": families that the
// floor does not name count too.
func (a ABI) Above(floor map[string]string) []string {
	var above []string
	for family, version := range a.Versions {
		if Newer(version, floor[family]) {
			above = append(above, family+"_"+version)
		}
	}
	slices.Sort(above)
	return above
}

// Newer compares versions of numbers with dots between; the empty one is older
// than any.
func Newer(a, b string) bool { return slices.Compare(numbers(a), numbers(b)) > 0 }

func numbers(version string) (n []int) {
	for part := range strings.SplitSeq(version, ".") {
		i, err := strconv.Atoi(part)
		if err != nil {
			return n
		}
		n = append(n, i)
	}
	return n
}
