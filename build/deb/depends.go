package main

import (
	"fmt"
	"slices"

	"skerry/cross"
)

// packageOf names the Debian package of a library, and the family of symbols
// whose version says which one is needed; empty for our own, and for those of CUDA, which come
// under other names on each system.
var packageOf = map[string]struct{ name, family string }{
	"libc.so.6":             {"libc6", "GLIBC"},
	"libm.so.6":             {"libc6", "GLIBC"},
	"ld-linux-x86-64.so.2":  {"libc6", "GLIBC"},
	"ld-linux-aarch64.so.1": {"libc6", "GLIBC"},
	"libgcc_s.so.1":         {"libgcc-s1", "GCC"},
	"libstdc++.so.6":        {"libstdc++6", "GLIBCXX"},
	"libggml-base.so.0":     {},
	"libcuda.so.1":          {},
	"libcudart.so.12":       {},
	"libcublas.so.12":       {},
	"libcudart.so.13":       {},
	"libcublas.so.13":       {},
}

// gccOf is the release of gcc, and of Debian's libstdc++6, that brought a version
// of GLIBCXX.
var gccOf = map[string]string{"3.4.26": "9", "3.4.28": "10", "3.4.29": "11", "3.4.30": "12", "3.4.31": "13", "3.4.32": "13.2", "3.4.33": "14"}

// dependencies of the ELF files at paths, as Debian's control file has them.
func dependencies(paths []string) ([]string, error) {
	least := map[string]string{}
	for _, path := range paths {
		a, err := cross.ReadABI(path)
		if err != nil {
			return nil, err
		}
		for _, library := range a.Libraries {
			d, ok := packageOf[library]
			if !ok {
				return nil, fmt.Errorf("%s needs %s: name its Debian package", path, library)
			}
			version := a.Versions[d.family]
			if d.family == "GLIBCXX" && version != "" {
				if version, ok = gccOf[version]; !ok {
					return nil, fmt.Errorf("%s needs GLIBCXX_%s: name the gcc that has it", path, a.Versions[d.family])
				}
			}
			if have, ok := least[d.name]; d.name != "" && (!ok || cross.Newer(version, have)) {
				least[d.name] = version
			}
		}
	}
	var list []string
	for name, version := range least {
		if version != "" {
			name = fmt.Sprintf("%s (>= %s)", name, version)
		}
		list = append(list, name)
	}
	slices.Sort(list)
	return list, nil
}
