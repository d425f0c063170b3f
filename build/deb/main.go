// Command deb packs the program, its kernel libraries, the systemd unit and the
// licences of what is linked in into a Debian package. The same inputs give the
// same bytes.
//
//	go run ./build/deb -arch arm64 -bin build/out/arm64/bin -version v1.2 -dir build/out
//
// It runs at the top of the repository, and prints the path of the package.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

func main() {
	arch := flag.String("arch", "arm64", "Debian's name of the architecture")
	bin := flag.String("bin", "", "directory of the program skerry and its kernels")
	version := flag.String("version", "", "what git describe says")
	dir := flag.String("dir", "build/out", "directory of the package")
	flag.Parse()
	path, err := run(*arch, *bin, *version, *dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "deb:", err)
		os.Exit(1)
	}
	fmt.Println(path)
}

func run(arch, bin, described, dir string) (string, error) {
	// As reproducible-builds.org has it: seconds since 1970.
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return "", fmt.Errorf("SOURCE_DATE_EPOCH is no time: set it to the commit's, as git log -1 --format=%%ct says")
	}
	p := Package{Arch: arch, Bin: bin, Root: ".", Time: time.Unix(seconds, 0).UTC()}
	p.Version = debianVersion(described, p.Time)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprintf("skerry_%s_%s.deb", p.Version, arch))
	return path, p.WriteFile(path)
}
