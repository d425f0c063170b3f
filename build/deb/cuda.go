package main

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/files"
)

// cudaName is the package of the libraries for GPUs, apart so that no board without one carries
// them. They are of the very ggml that the program is linked with, hence of its version.
const cudaName = "skerry-cuda"

const (
	cudaSummary = "language models on a board's or a cloud's NVIDIA GPU"
	cudaText    = `Kernels for GPUs, which skerry and skerry-cloud load where there is one: on
arm64 for Jetson boards (Orin with JetPack 6, Orin and Thor with JetPack 7),
on amd64 for GPUs from Turing on. CUDA's own libraries come with JetPack or
from NVIDIA's packages.`
)

// machineOf is a processor by Debian's name of its architecture.
var machineOf = map[string]elf.Machine{"arm64": elf.EM_AARCH64, "amd64": elf.EM_X86_64}

// cudaRecommends are packages with CUDA's libraries, by Debian's and by NVIDIA's name.
var cudaRecommends = map[string][]string{
	"arm64": {"nvidia-jetpack"},
	"amd64": {"libcudart12 | cuda-cudart-12-6", "libcublas12 | libcublas-12-6"},
}

// errNoCUDA is that no library for GPUs has been built for an architecture.
var errNoCUDA = errors.New("no library for GPUs is built")

// cudaLibraries are those for the architecture, by the directory that they go to. There is one
// for each CUDA: a program takes that which the system has.
func (p Package) cudaLibraries() (map[string]string, error) {
	found, err := filepath.Glob(filepath.Join(p.CUDA, "*", "cuda*", "libggml-cuda.so"))
	if err != nil {
		return nil, err
	}
	libraries := map[string]string{}
	for _, path := range found {
		f, err := elf.Open(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: make cuda builds it again", path, err)
		}
		f.Close()
		dir := filepath.Base(filepath.Dir(path))
		if f.Machine != machineOf[p.Arch] {
			continue
		}
		if other, ok := libraries[dir]; ok {
			return nil, fmt.Errorf("%s and %s are for the same CUDA", other, path)
		}
		libraries[dir] = path
	}
	if len(libraries) == 0 {
		return nil, fmt.Errorf("%w for %s in %s: make cuda builds it", errNoCUDA, p.Arch, p.CUDA)
	}
	return libraries, nil
}

// cuda describes the package to nfpm.
func (p Package) cuda(work string) (*nfpm.Info, error) {
	libraries, err := p.cudaLibraries()
	if err != nil {
		return nil, err
	}
	contents, err := p.documents(work, writeEngineLicences)
	if err != nil {
		return nil, err
	}
	var binaries []string
	for dir, path := range libraries {
		binaries = append(binaries, path)
		name := dir + "/libggml-cuda.so"
		contents = append(contents,
			p.file(path, parts["skerry"].kernels+name, 0o644),
			p.link("../../../skerry/kernels/"+name, parts["skerry-cloud"].kernels+name))
	}
	for _, unit := range []string{"skerry", "skerry-cloud"} {
		contents = append(contents, p.installed(source{from: "systemd/gpu.conf", to: units + unit + ".service.d/gpu.conf"}))
	}
	depends, err := dependencies(binaries)
	if err != nil {
		return nil, err
	}
	script := func(name string) string { return filepath.Join(p.Root, "build", "deb", "scripts", cudaName, name) }
	return nfpm.WithDefaults(&nfpm.Info{
		Name: cudaName, Arch: p.Arch, Platform: "linux", Version: p.Version, VersionSchema: "none", MTime: p.Time,
		Section: "net", Priority: "optional", Maintainer: maintainer, Description: cudaSummary + "\n " + strings.ReplaceAll(cudaText, "\n", "\n "),
		DisableGlobbing: true,
		Overridables: nfpm.Overridables{
			Depends:    append(depends, fmt.Sprintf("skerry (= %[1]s) | skerry-cloud (= %[1]s)", p.Version)),
			Recommends: cudaRecommends[p.Arch],
			Contents:   files.Contents(contents),
			Deb:        nfpm.Deb{Compression: cmp.Or(p.Compression, compression)},
			Scripts:    nfpm.Scripts{PostInstall: script("postinst.sh"), PostRemove: script("postrm.sh")},
		},
	}), nil
}

// writeEngineLicences writes to path, compressed, the licences of ggml and of the module that
// its sources are from.
func writeEngineLicences(path string) error {
	const module = "github.com/ollama/ollama"
	dirs, err := directories([]*debug.Module{{Path: module}})
	if err != nil {
		return err
	}
	return writeModuleLicences(path, nil, []*debug.Module{{Path: module}}, dirs)
}
