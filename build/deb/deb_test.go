package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/build/deb/debian"
	"skerry/cross"
)

var epoch = time.Unix(1_700_000_000, 0).UTC()

// hostArch is Debian's name of this machine's architecture.
func hostArch(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(tool(t, "dpkg", "--print-architecture"))
}

// arm64 is the package of what make cross built, or skips the test.
func arm64(t *testing.T, name string) Package {
	t.Helper()
	return packageOfBin(t, name, "arm64", "../../build/out/arm64/bin/skerry", "../../build/out/arm64/bin/kernels")
}

// amd64 is one of the program that make built and the variants of packages.
func amd64(t *testing.T, name string) Package {
	t.Helper()
	return packageOfBin(t, name, "amd64", "../../bin/skerry", "../../build/out/amd64/bin/kernels")
}

func packageOfBin(t *testing.T, name, arch, program, kernels string) Package {
	t.Helper()
	bin := t.TempDir()
	const docs = "../../build/out/docs"
	if _, err := os.Stat(docs); err != nil {
		t.Skipf("skipped: %v: make docs writes them", err)
	}
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
	return Package{Name: name, Arch: arch, Version: "1.2", Bin: bin, Docs: docs, Root: "../..", Time: epoch}
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

// both runs a test for each of the packages.
func both(t *testing.T, test func(t *testing.T, name string)) {
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		t.Run(name, func(t *testing.T) { test(t, name) })
	}
}

func TestReproducible(t *testing.T) {
	both(t, func(t *testing.T, name string) {
		p := arm64(t, name)
		if name != "skerry" { // what is delivered takes its time
			p.Compression = "none"
		}
		first, err := os.ReadFile(write(t, p))
		if err != nil {
			t.Fatal(err)
		}
		p.elsewhere(t)
		second, err := os.ReadFile(write(t, p))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Error("two packages of the same differ")
		}
	})
}

func TestTimeIsInIt(t *testing.T) {
	p := arm64(t, "skerry")
	p.Compression = "none"
	first, err := os.ReadFile(write(t, p))
	if err != nil {
		t.Fatal(err)
	}
	p.Time = epoch.Add(time.Hour)
	if second, err := os.ReadFile(write(t, p)); err != nil || bytes.Equal(first, second) {
		t.Errorf("the time of the package counts for nothing (%v)", err)
	}
}

// elsewhere has the package made of copies with times of their own, at other paths.
func (p *Package) elsewhere(t *testing.T) {
	t.Helper()
	root := t.TempDir()
	bin, docs := filepath.Join(root, "bin"), filepath.Join(root, "docs")
	for _, args := range [][]string{
		{"mkdir", "-p", filepath.Join(bin, "kernels"), filepath.Join(root, "build/deb"), filepath.Join(root, "appliance/cloudnode")},
		{"cp", "-L", filepath.Join(p.Bin, "skerry"), bin},
		{"cp", "-r", filepath.Join(p.Bin, "kernels") + "/.", filepath.Join(bin, "kernels")},
		{"cp", "-r", p.Docs, docs},
		{"cp", "-r", filepath.Join(p.Root, "systemd"), filepath.Join(p.Root, "LICENSE"), filepath.Join(p.Root, "NOTICE"), root},
		{"cp", "-r", filepath.Join(p.Root, "build/deb/scripts"), filepath.Join(p.Root, "build/deb/CHANGELOG.md"), filepath.Join(root, "build/deb")},
		{"cp", "-r", filepath.Join(p.Root, "appliance/cloudnode/grafana"), filepath.Join(root, "appliance/cloudnode")},
		{"cp", "-r", filepath.Join(p.Root, "build/fleet"), filepath.Join(root, "build")},
	} {
		tool(t, args[0], args[1:]...)
	}
	p.Bin, p.Docs, p.Root = bin, docs, root
}

// installs are some of what each package puts where.
var installs = map[string][]string{
	"skerry": {
		" ./usr/bin/skerry\n", "./usr/lib/skerry/kernels/libggml-base.so.0 -> libggml-base.so.0.0.0", "./usr/lib/systemd/system/skerry.service\n",
		"./usr/lib/systemd/system/skerry.socket\n", "./usr/lib/systemd/system/skerry-update.service\n", "./usr/lib/systemd/system/skerry-fleet.timer\n", "./usr/lib/systemd/system/skerry-fleet.service\n", "./usr/lib/sysusers.d/skerry.conf\n", "./usr/share/polkit-1/rules.d/skerry.rules\n",
		"./usr/share/man/man1/skerry.1.gz\n", "./usr/share/bash-completion/completions/skerry\n", "./usr/share/doc/skerry/copyright\n",
	},
	"skerry-cloud": {
		" ./usr/bin/skerry-cloud -> ../lib/skerry-cloud/skerry\n", "./usr/lib/skerry-cloud/kernels/libggml-base.so.0 -> libggml-base.so.0.0.0",
		"./usr/lib/systemd/system/skerry-cloud.service\n", "./usr/lib/systemd/system/skerry-cloud.socket\n", "./usr/share/man/man1/skerry-cloud.1.gz\n",
		"./usr/share/skerry-cloud/fleet/worker.conf\n", "./usr/share/skerry-cloud/fleet/compose.yaml\n",
	},
}

var conffiles = map[string]string{"skerry": "/etc/skerry/skerry.toml", "skerry-cloud": "/etc/default/skerry-cloud"}

func TestControl(t *testing.T) {
	both(t, func(t *testing.T, name string) {
		p := arm64(t, name)
		p.Compression = "none"
		path := write(t, p)
		control := tool(t, "dpkg-deb", "-f", path)
		for _, want := range []string{"Package: " + name + "\n", "Version: 1.2\n", "Architecture: arm64\n", "Depends: libc6 (>= " + cross.Floor["GLIBC"] + "), libgcc-s1 (>= 3.0), libstdc++6 (>= 11), systemd (>= 249)\n"} {
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
		for _, want := range installs[name] {
			if !strings.Contains(list, want) {
				t.Errorf("no %q in\n%s", want, list)
			}
		}
		dir := filepath.Join(t.TempDir(), "scripts")
		tool(t, "dpkg-deb", "-e", path, dir)
		got, err := os.ReadFile(filepath.Join(dir, "conffiles"))
		if err != nil || strings.TrimSpace(string(got)) != conffiles[name] {
			t.Errorf("conffiles %q %v", got, err)
		}
	})
}

// Lintian has opinions; errors are what Debian would not take.
func TestLintian(t *testing.T) {
	both(t, func(t *testing.T, name string) {
		p := amd64(t, name)
		stripped(t, p)
		p.Compression = "gzip"
		path, err := exec.LookPath("lintian")
		if err != nil {
			t.Skipf("skipped: %v (apt-get install lintian)", err)
		}
		cmd := exec.Command(path, "--fail-on", "error", "--tag-display-limit", "0", "--allow-root", write(t, p))
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("lintian: %v\n%s", err, out)
		}
		t.Logf("lintian says of %s\n%s", name, out)
	})
}

// stripped has the package made of a program without symbols, as make cross makes it.
func stripped(t *testing.T, p Package) {
	t.Helper()
	program := filepath.Join(p.Bin, "skerry")
	target, err := filepath.EvalSymlinks(program)
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(program)
	tool(t, "strip", "-o", program, target)
}

// extract unpacks the package as dpkg would below a root of its own.
func extract(t *testing.T, p Package) string {
	t.Helper()
	root := t.TempDir()
	p.Compression = "none"
	tool(t, "dpkg-deb", "-x", write(t, p), root)
	return root
}

func TestRunsARM(t *testing.T) {
	both(t, func(t *testing.T, name string) {
		root := extract(t, arm64(t, name))
		qemu, err := exec.LookPath("qemu-aarch64-static")
		if err != nil {
			t.Skipf("skipped: %v (apt-get install qemu-user-static)", err)
		}
		for model, variant := range map[string]string{"cortex-a53": "armv8.0_1", "cortex-a76": "armv8.2_2"} {
			cmd := exec.Command(qemu, "-cpu", model, filepath.Join(root, parts[name].program), "version", "--json")
			cmd.Env = append(os.Environ(), "QEMU_LD_PREFIX=/usr/aarch64-linux-gnu")
			runs(t, cmd, filepath.Join(root, parts[name].kernels), "linux/arm64", variant)
		}
	})
}

func TestRunsAMD(t *testing.T) {
	both(t, func(t *testing.T, name string) {
		root := extract(t, amd64(t, name))
		runs(t, exec.Command(filepath.Join(root, parts[name].program), "version", "--json"), filepath.Join(root, parts[name].kernels), "linux/amd64", "")
	})
}

// runs has cmd, a version command, name kernels of the directory; any variant will do
// if want is empty.
func runs(t *testing.T, cmd *exec.Cmd, kernels, platform, want string) {
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
	if v.Platform != platform || want != "" && v.Kernels.Variant != want || filepath.Dir(v.Kernels.Path) != filepath.Clean(kernels) {
		t.Errorf("%v says %+v, want %s kernels of %s", cmd.Args, v, want, kernels)
	}
}

// Of 10, which is worst: the board's devices and groups cost some.
var exposure = map[string]string{"skerry": "30", "skerry-cloud": "20"}

// systemd-analyze exits 0 for most of what it dislikes, but says so.
func TestUnits(t *testing.T) {
	both(t, func(t *testing.T, name string) {
		dir := t.TempDir()
		var all []string
		for _, f := range parts[name].files {
			base := strings.Replace(filepath.Base(f.to), "@.", "@ttyS0.", 1)
			if !strings.HasPrefix(f.to, units) {
				continue
			}
			data, err := os.ReadFile(filepath.Join("../..", f.from))
			if err != nil {
				t.Fatal(err)
			}
			// A program that is there, and a user.
			for _, program := range []string{"=/usr/bin/skerry-cloud", "=/usr/bin/skerry", "=-+/usr/bin/skerry", "=/var/lib/skerry-program/running/skerry"} {
				data = bytes.ReplaceAll(data, []byte(program+" "), []byte("=/bin/true "))
			}
			data = bytes.ReplaceAll(data, []byte("Group=skerry\n"), []byte("Group=root\n"))
			path := filepath.Join(dir, base)
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
			all = append(all, path)
		}
		verify := func() {
			t.Helper()
			if said := tool(t, "systemd-analyze", append([]string{"verify", "--man=no"}, all...)...); said != "" {
				t.Errorf("systemd-analyze verify says\n%s", said)
			}
		}
		verify()
		if name == "skerry-cloud" { // and as one of several workers
			worker, err := os.ReadFile("../../systemd/skerry-cloud-fleet.conf")
			if err != nil {
				t.Fatal(err)
			}
			dropin := filepath.Join(dir, name+".service.d", "fleet.conf")
			worker = bytes.ReplaceAll(worker, []byte("=/usr/bin/skerry-cloud "), []byte("=/bin/true "))
			if err := errors.Join(os.Mkdir(filepath.Dir(dropin), 0o755), os.WriteFile(dropin, worker, 0o644)); err != nil {
				t.Fatal(err)
			}
			verify()
		}
		out := tool(t, "systemd-analyze", "security", "--offline=true", "--threshold="+exposure[name], filepath.Join(dir, name+".service"))
		t.Log(lastLines(out, 1))
	})
}

// Removal stops what the package has brought: a timer that goes on would start what is gone.
func TestRemovalStopsUnits(t *testing.T) {
	for name, p := range parts {
		script, err := os.ReadFile(filepath.Join("scripts", name, "prerm.sh"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range p.files {
			unit := strings.Replace(filepath.Base(f.to), "@.", "@*.", 1)
			if strings.HasPrefix(f.to, units) && !slices.Contains(strings.Fields(strings.ReplaceAll(string(script), "'", "")), unit) {
				t.Errorf("%s: removal does not stop %s", name, unit)
			}
		}
	}
}

func TestDebianVersion(t *testing.T) {
	for described, want := range map[string]string{
		"1.2":                 "1.2",
		"v1.2":                "1.2",
		"1.2-3-gabcdef":       "1.2+3+gabcdef",
		"1.2-3-g1-dirty":      "1.2+3+g1+dirty",
		"0.1.0+abcdef0":       "0.1.0~20231114221320+abcdef0",
		"0.1.0+abcdef0.dirty": "0.1.0~20231114221320+abcdef0.dirty",
	} {
		if got := debian.Version(described, epoch); got != want {
			t.Errorf("%s: %s, want %s", described, got, want)
		}
	}
}

func TestEpochIsNeeded(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "")
	if _, err := run(Package{Name: "skerry", Arch: "arm64"}, "v1", t.TempDir()); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Errorf("without a time: %v", err)
	}
}
