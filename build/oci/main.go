// Command oci makes container images of Debian packages, without a container engine:
// ours on top of the few of Debian 12 that it needs. The same packages give the same
// bytes.
//
//	go run ./build/oci -version v1.2 -debs build/out -dir build/out/oci
//
// It runs at the top of the repository and writes, for skerry and skerry-cloud, an OCI
// layout with an index of both architectures, and an archive for docker load for each.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

var architectures = []string{"amd64", "arm64"}

func main() {
	version := flag.String("version", "", "version in the labels")
	debs := flag.String("debs", "build/out", "directory of our packages, as make deb writes them")
	dir := flag.String("dir", "build/out/oci", "directory of the images")
	flag.Parse()
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err == nil {
		for _, n := range slices.Sorted(maps.Keys(kinds)) {
			if err = write(n, *version, *debs, *dir, time.Unix(seconds, 0).UTC()); err != nil {
				break
			}
		}
	} else {
		err = fmt.Errorf("SOURCE_DATE_EPOCH is no time: set it to the commit's, as git log -1 --format=%%ct says")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "oci:", err)
		os.Exit(1)
	}
}

// write makes the images of one package.
func write(which, version, debs, dir string, at time.Time) error {
	to := filepath.Join(dir, which)
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range architectures {
		img, err := makeImage(which, arch, version, debs, at)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "linux", Architecture: arch}, Annotations: map[string]string{"org.opencontainers.image.ref.name": arch},
		}})
		tag, err := name.NewTag(which + ":" + arch)
		if err != nil {
			return err
		}
		archive := filepath.Join(dir, which+"_"+arch+".tar")
		if err := tarball.WriteToFile(archive, tag, img); err != nil {
			return err
		}
		fmt.Printf("%s (%.1f MB)\n", archive, megabytes(img))
	}
	if _, err := layout.Write(to, index); err != nil {
		return err
	}
	fmt.Printf("%s (both, as an OCI layout)\n", to)
	return nil
}

// makeImage makes the image of one architecture.
func makeImage(which, arch, version, debs string, at time.Time) (v1.Image, error) {
	ours, err := newest(filepath.Join(debs, which+"_*_"+arch+".deb"))
	if err != nil {
		return nil, err
	}
	base, err := basePackages(arch)
	if err != nil {
		return nil, err
	}
	return image{Name: which, Arch: arch, Version: version, Base: base, Package: ours, Time: at}.build()
}

// newest file of a pattern.
func newest(pattern string) (path string, err error) {
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no %s: make deb", pattern)
	}
	var last time.Time
	for _, f := range found {
		if info, err := os.Stat(f); err == nil && !info.ModTime().Before(last) {
			path, last = f, info.ModTime()
		}
	}
	return path, nil
}

// basePackages fetches Debian's.
func basePackages(arch string) ([]string, error) {
	cmd := exec.Command("build/oci/debs.sh", arch)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("build/oci/debs.sh %s: %w", arch, err)
	}
	return strings.Fields(string(out)), nil
}

// megabytes of the compressed layers.
func megabytes(img v1.Image) (mb float64) {
	layers, err := img.Layers()
	if err != nil {
		return 0
	}
	for _, l := range layers {
		if n, err := l.Size(); err == nil {
			mb += float64(n) / 1e6
		}
	}
	return mb
}
