package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// cudaPackage is the package of what make cuda has built for the architecture, or else of the
// parts that make cuda-check has, or skips the test.
func cudaPackage(t *testing.T, arch string) Package {
	t.Helper()
	p := Package{Name: cudaName, Arch: arch, Version: "1.2", Root: "../..", Time: epoch, Compression: "none"}
	for _, p.CUDA = range []string{"../../build/out/cuda", "../../build/out/cuda/check"} {
		switch _, err := p.cudaLibraries(); {
		case err == nil:
			return p
		case !errors.Is(err, errNoCUDA):
			t.Fatal(err)
		}
	}
	t.Skipf("skipped: no library for GPUs is built for %s: make cuda-check builds a part of one where CUDA's compiler is to be had", arch)
	return p
}

// eachArch runs a test for the package of each architecture.
func eachArch(t *testing.T, test func(t *testing.T, p Package)) {
	for _, arch := range []string{"arm64", "amd64"} {
		t.Run(arch, func(t *testing.T) { test(t, cudaPackage(t, arch)) })
	}
}

// The package has the libraries, the leave to use the GPU and its papers, and nothing else.
func TestCUDAControl(t *testing.T) {
	eachArch(t, func(t *testing.T, p Package) {
		path := write(t, p)
		control := tool(t, "dpkg-deb", "-f", path)
		for _, want := range []string{"Package: skerry-cuda\n", "Architecture: " + p.Arch + "\n", "skerry (= 1.2) | skerry-cloud (= 1.2)", "Recommends: " + strings.Join(cudaRecommends[p.Arch], ", ") + "\n"} {
			if !strings.Contains(control, want) {
				t.Errorf("no %q in\n%s", want, control)
			}
		}
		list := tool(t, "dpkg-deb", "-c", path)
		for line := range strings.Lines(list) {
			if strings.HasSuffix(line, "/\n") || strings.Contains(line, "/libggml-cuda.so") || strings.HasSuffix(line, ".service.d/gpu.conf\n") || strings.Contains(line, "./usr/share/doc/skerry-cuda/") {
				continue
			}
			t.Errorf("it has what it should not have: %s", line)
		}
		for _, want := range []string{
			" ./usr/lib/skerry/kernels/cuda12/libggml-cuda.so\n", " ./usr/lib/skerry-cloud/kernels/cuda12/libggml-cuda.so -> ../../../skerry/kernels/cuda12/libggml-cuda.so\n",
			" ./usr/lib/systemd/system/skerry.service.d/gpu.conf\n", " ./usr/share/doc/skerry-cuda/copyright\n",
		} {
			if !strings.Contains(list, want) {
				t.Errorf("no %q in\n%s", want, list)
			}
		}
	})
}

func TestCUDALintian(t *testing.T) {
	p := cudaPackage(t, "arm64")
	lintian, err := exec.LookPath("lintian")
	if err != nil {
		t.Skipf("skipped: %v (apt-get install lintian)", err)
	}
	p.Compression = "gzip"
	cmd := exec.Command(lintian, "--fail-on", "error", "--tag-display-limit", "0", "--allow-root", write(t, p))
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
	t.Logf("lintian says of %s\n%s", cudaName, out)
}

// Both units are ones that systemd takes with what the package adds, and stay nearly as closed.
func TestCUDAUnits(t *testing.T) {
	dropIn, err := os.ReadFile("../../systemd/gpu.conf")
	if err != nil {
		t.Fatal(err)
	}
	for name, most := range map[string]string{"skerry": "45", "skerry-cloud": "45"} {
		dir := t.TempDir()
		data, err := os.ReadFile(filepath.Join("../../systemd", name+".service"))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name+".service")
		// What comes later in a unit counts as what a drop-in adds.
		if err := os.WriteFile(path, append(data, dropIn...), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Log(lastLines(tool(t, "systemd-analyze", "security", "--offline=true", "--threshold="+most, path), 1))
	}
}

// Without a library there is no package, and the reason says what makes one.
func TestNoCUDA(t *testing.T) {
	p := Package{Name: cudaName, Arch: "arm64", CUDA: t.TempDir(), Root: "../.."}
	err := p.WriteFile(filepath.Join(t.TempDir(), "skerry.deb"))
	if !errors.Is(err, errNoCUDA) || !strings.Contains(err.Error(), "make cuda") {
		t.Errorf("it is made: %v", err)
	}
}

// A library of another architecture stays out, and two for one CUDA are a mistake.
func TestCUDALibraries(t *testing.T) {
	p := cudaPackage(t, "arm64")
	libraries, err := p.cudaLibraries()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(libraries["cuda12"])
	if err != nil {
		t.Skipf("skipped: no library for JetPack 6 is built: %v", err)
	}
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		to := filepath.Join(dir, name, "cuda12", "libggml-cuda.so")
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	p.CUDA = dir
	if _, err := p.cudaLibraries(); err == nil || !strings.Contains(err.Error(), "for the same CUDA") {
		t.Errorf("two for one CUDA: %v", err)
	}
	p.Arch = "amd64"
	if _, err := p.cudaLibraries(); !errors.Is(err, errNoCUDA) {
		t.Errorf("those of arm64 are for amd64: %v", err)
	}
}
