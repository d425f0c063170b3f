package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/cross"
)

var epoch = time.Unix(1_700_000_000, 0).UTC()

// arm64 is the package of what make cross built, or skips the test.
func arm64(t *testing.T) Package {
	t.Helper()
	return packageOfBin(t, "arm64", "../../build/out/arm64/bin/skerry", "../../build/out/arm64/bin/kernels")
}

// amd64 is one of the program that make built and the variants of packages.
func amd64(t *testing.T) Package {
	t.Helper()
	return packageOfBin(t, "amd64", "../../bin/skerry", "../../build/out/amd64/bin/kernels")
}

func packageOfBin(t *testing.T, arch, program, kernels string) Package {
	t.Helper()
	bin := t.TempDir()
	for name, path := range map[string]string{"skerry": program, "kernels": kernels} {
		abs, err := filepath.Abs(path)
		if err == nil {
			_, err = os.Stat(abs)
		}
		if err != nil {
			t.Skipf("skipped: %v: make cross builds it where a compiler is to be had", err)
		}
		if err := os.Symlink(abs, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return Package{Arch: arch, Version: "1.2", Bin: bin, Root: "../..", Time: epoch}
}

// write writes the package into a directory of its own.
func write(t *testing.T, p Package) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "skerry.deb")
	if err := p.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestReproducible(t *testing.T) {
	p := arm64(t)
	first, err := os.ReadFile(write(t, p))
	if err != nil {
		t.Fatal(err)
	}
	// Copies with times of their own, elsewhere.
	bin := t.TempDir()
	if err := exec.Command("cp", "-rL", filepath.Join(p.Bin, "skerry"), bin).Run(); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("cp", "-r", filepath.Join(p.Bin, "kernels")+"/.", filepath.Join(bin, "kernels")).Run(); err != nil {
		t.Fatal(err)
	}
	p.Bin = bin
	second, err := os.ReadFile(write(t, p))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("two packages of the same differ")
	}
	p.Time = epoch.Add(time.Hour)
	if third, err := os.ReadFile(write(t, p)); err != nil || bytes.Equal(first, third) {
		t.Errorf("the time of the package counts for nothing (%v)", err)
	}
}

func TestControl(t *testing.T) {
	path := write(t, arm64(t))
	control := tool(t, "dpkg-deb", "-f", path)
	for _, want := range []string{"Package: skerry\n", "Version: 1.2\n", "Architecture: arm64\n", "Depends: libc6 (>= " + cross.Floor["GLIBC"] + "), libgcc-s1 (>= 3.0), libstdc++6 (>= 11)\n"} {
		if !strings.Contains(control, want) {
			t.Errorf("no %q in\n%s", want, control)
		}
	}
	list := tool(t, "dpkg-deb", "-c", path)
	for line := range strings.Lines(list) {
		if !strings.Contains(line, "root/root") || !strings.Contains(line, "2023-11-14") {
			t.Errorf("its owner or time is not the package's: %s", line)
		}
	}
	for _, want := range []string{" ./usr/bin/skerry\n", "./usr/lib/skerry/kernels/libggml-base.so.0 -> libggml-base.so.0.0.0", "./usr/lib/systemd/system/skerry-cloud.service", "./usr/share/doc/skerry/copyright"} {
		if !strings.Contains(list, want) {
			t.Errorf("no %q in\n%s", want, list)
		}
	}
	tool(t, "dpkg-deb", "-e", path, filepath.Join(t.TempDir(), "scripts"))
}

// extract unpacks the package as dpkg would below a root of its own.
func extract(t *testing.T, p Package) string {
	t.Helper()
	root := t.TempDir()
	tool(t, "dpkg-deb", "-x", write(t, p), root)
	return root
}

func TestRunsARM(t *testing.T) {
	root := extract(t, arm64(t))
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Skipf("skipped: %v (apt-get install qemu-user-static)", err)
	}
	for model, variant := range map[string]string{"cortex-a53": "armv8.0_1", "cortex-a76": "armv8.2_2"} {
		cmd := exec.Command(qemu, "-cpu", model, filepath.Join(root, "usr/bin/skerry"), "version", "--json")
		cmd.Env = append(os.Environ(), "QEMU_LD_PREFIX=/usr/aarch64-linux-gnu")
		runs(t, cmd, root, "linux/arm64", variant)
	}
}

func TestRunsAMD(t *testing.T) {
	root := extract(t, amd64(t))
	runs(t, exec.Command(filepath.Join(root, "usr/bin/skerry"), "version", "--json"), root, "linux/amd64", "")
}

// runs has cmd, a version command, name kernels of the package; any variant will do
// if want is empty.
func runs(t *testing.T, cmd *exec.Cmd, root, platform, want string) {
	t.Helper()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "SKERRY_KERNELS=")
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, complaint.String())
	}
	var v struct {
		Platform string
		Kernels  struct{ Variant, Path string }
	}
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatal(err)
	}
	if v.Platform != platform || want != "" && v.Kernels.Variant != want || filepath.Dir(v.Kernels.Path) != filepath.Join(root, "usr/lib/skerry/kernels") {
		t.Errorf("%v says %+v, want %s kernels of the package", cmd.Args, v, want)
	}
}

// systemd-analyze exits 0 for most of what it dislikes, but says so.
func TestUnit(t *testing.T) {
	root := extract(t, arm64(t))
	path := filepath.Join(root, "usr/lib/systemd/system/skerry-cloud.service")
	// A program that is there, and that this system can run.
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(data, []byte("/usr/bin/skerry"), []byte("/bin/true")), 0o644); err != nil {
		t.Fatal(err)
	}
	if said := tool(t, "systemd-analyze", "verify", "--man=no", path); said != "" {
		t.Errorf("systemd-analyze verify says\n%s", said)
	}
	// 0 is best, 10 worst: below 3 in its words is OK.
	tool(t, "systemd-analyze", "security", "--offline=true", "--threshold=25", path)
}

func TestDebianVersion(t *testing.T) {
	for described, want := range map[string]string{
		"v1.2":            "1.2",
		"v1.2-3-gabcdef":  "1.2+3+gabcdef",
		"abcdef0":         "0~20231114221320+abcdef0",
		"vacuum":          "0~20231114221320+vacuum",
		"abcdef0-dirty":   "0~20231114221320+abcdef0+dirty",
		"v1.2-3-g1-dirty": "1.2+3+g1+dirty",
	} {
		if got := debianVersion(described, epoch); got != want {
			t.Errorf("%s: %s, want %s", described, got, want)
		}
	}
}

func TestEpochIsNeeded(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "")
	if _, err := run("arm64", "bin", "v1", t.TempDir()); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Errorf("without a time: %v", err)
	}
}
