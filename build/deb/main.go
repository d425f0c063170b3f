// Command deb packs the program, its kernel libraries, the systemd units and the
// licences of what is linked in into Debian packages, one for boards, one for clouds
// and, where make cuda has built them, one of the libraries for GPUs. The same inputs
// give the same bytes.
//
//	go run ./build/deb -arch arm64 -bin build/out/arm64/bin -version v1.2 -dir build/out
//
// It runs at the top of the repository, and prints the paths and sizes of the packages.
package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"skerry/build/deb/debian"
)

func main() {
	arch := flag.String("arch", "arm64", "Debian's name of the architecture")
	bin := flag.String("bin", "", "directory of the program skerry and its kernels")
	docs := flag.String("docs", "build/out/docs", "directory of the man pages and completions, as make docs writes it")
	version := flag.String("version", "", "the program's version")
	compress := flag.String("compression", "", "gzip, xz, zstd or none, in place of what is delivered")
	cuda := flag.String("cuda", "build/out/cuda", "directory of the libraries for GPUs, as make cuda writes it")
	dir := flag.String("dir", "build/out", "directory of the package")
	flag.Parse()
	for _, name := range append(slices.Sorted(maps.Keys(parts)), cudaName) {
		path, err := run(Package{Name: name, Arch: *arch, Bin: *bin, Docs: *docs, CUDA: *cuda, Root: ".", Compression: *compress}, *version, *dir)
		if errors.Is(err, errNoCUDA) {
			fmt.Fprintln(os.Stderr, "deb: skerry-cuda is left out:", err)
			continue
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "deb:", err)
			os.Exit(1)
		}
		if info, err := os.Stat(path); err == nil {
			fmt.Printf("%s (%.1f MB)\n", path, float64(info.Size())/1e6)
		}
	}
}

// run writes a package of a version of the program into dir.
func run(p Package, version, dir string) (string, error) {
	// As reproducible-builds.org has it: seconds since 1970.
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return "", fmt.Errorf("SOURCE_DATE_EPOCH is no time: set it to the commit's, as git log -1 --format=%%ct says")
	}
	p.Time = time.Unix(seconds, 0).UTC()
	p.Version = debian.Version(version, p.Time)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprintf("%s_%s_%s.deb", p.Name, p.Version, p.Arch))
	return path, p.WriteFile(path)
}
