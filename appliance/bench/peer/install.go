package peer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

var (
	//go:embed driver/peer.c
	driverSource []byte
	//go:embed driver/speculate.cpp
	speculateSource []byte
)

// driverKey changes with the drivers, which are then compiled anew.
func driverKey() string {
	sum := sha256.Sum256(slices.Concat(driverSource, speculateSource))
	return hex.EncodeToString(sum[:4])
}

// available names what is missing here, wrapping ErrUnavailable.
func available() error {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return fmt.Errorf("%w: npm %s is for linux/amd64, this is %s/%s", ErrUnavailable, libraries.Name, runtime.GOOS, runtime.GOARCH)
	}
	for _, tool := range []struct{ name, debian string }{{"npm", "npm"}, {"git", "git"}, {"cc", "gcc"}, {"c++", "g++"}} {
		if _, err := exec.LookPath(tool.name); err != nil {
			return fmt.Errorf("%w: %s is not installed (on Debian: apt install %s)", ErrUnavailable, tool.name, tool.debian)
		}
	}
	return nil
}

func (p *Peer) complete() bool {
	_, err := os.Stat(filepath.Join(p.dir, ".complete"))
	return err == nil
}

// install makes dir beside its place and renames it, so that what is there is
// whole; of two processes the first is kept.
func install(ctx context.Context, cacheDir, dir string, report func(string, int64, int64)) error {
	libs, err := libraries.fetch(ctx, cacheDir, report)
	if err != nil {
		return err
	}
	src, err := Sources.fetch(ctx, cacheDir, report)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".install-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	report("install the peer", 0, 0)
	p := &Peer{work}
	if err := errors.Join(untar(libs, "package/bins/linux-x64/*.so", p.libs()), untar(libs, "package/LICENSE", work),
		untar(src, "package/llama/gitRelease.bundle", work)); err != nil {
		return err
	}
	if err := p.headers(ctx); err != nil {
		return err
	}
	if err := p.compile(ctx); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(work, ".complete"), nil, 0o644); err != nil {
		return err
	}
	if err := os.Rename(work, dir); err != nil && !(&Peer{dir}).complete() {
		return err
	}
	return nil
}

// headers takes llama.cpp's headers out of the git bundle.
func (p *Peer) headers(ctx context.Context) error {
	bundle, repo := filepath.Join(p.dir, "gitRelease.bundle"), filepath.Join(p.dir, "llama.git")
	if _, err := run(ctx, "git", "clone", "--quiet", "--bare", bundle, repo); err != nil {
		return err
	}
	out, err := run(ctx, "git", "--git-dir", repo, "archive", "--format=tar", "HEAD", "include", "ggml/include", "common/common.h", "common/speculative.h")
	if err != nil {
		return err
	}
	if err := extract(bytes.NewReader(out), "*", filepath.Join(p.dir, "include")); err != nil {
		return err
	}
	return errors.Join(os.Remove(bundle), os.RemoveAll(repo))
}

// compile builds the drivers and has one say which llama.cpp it is linked with.
// The libraries are found beside them wherever the directory is renamed to.
func (p *Peer) compile(ctx context.Context) error {
	libs := func(wanted ...string) (found []string, err error) {
		all, err := filepath.Glob(filepath.Join(p.libs(), "*.so"))
		for _, lib := range all {
			if slices.ContainsFunc(wanted, func(w string) bool { return strings.HasPrefix(filepath.Base(lib), w) }) {
				found = append(found, lib)
			}
		}
		return found, err
	}
	plain := []string{"libllama.", "libggml.", "libggml-base."}
	for _, d := range []struct {
		source   []byte
		file     string
		program  string
		compiler []string
		libs     []string
	}{
		{driverSource, "peer.c", p.driver(), []string{"cc", "-std=c11"}, plain},
		{speculateSource, "speculate.cpp", p.speculator(), []string{"c++", "-std=c++17"}, append(plain, "libllama-common.")},
	} {
		source := filepath.Join(p.dir, d.file)
		if err := os.WriteFile(source, d.source, 0o644); err != nil {
			return err
		}
		found, err := libs(d.libs...)
		if err != nil {
			return err
		}
		args := append(d.compiler[1:], "-O2", "-o", d.program, source, "-I"+filepath.Join(p.dir, "include"))
		if _, err := run(ctx, d.compiler[0], slices.Concat(args, found, []string{"-ldl", "-lm", "-Wl,-rpath,$ORIGIN/lib"})...); err != nil {
			return err
		}
	}
	out, err := run(ctx, p.driver(), "check", p.libs())
	if err != nil {
		return err
	}
	// A release built without LLAMA_BUILD_IS_DEV=OFF calls itself -dev.
	if v := strings.TrimSpace(string(out)); strings.TrimSuffix(v, "-dev") != LlamaVersion {
		return fmt.Errorf("the package's llama.cpp says it is version %q, not %s", v, LlamaVersion)
	}
	return nil
}

// run returns a command's output; its error ends in what the command complained of.
func run(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(name), err, firstLine(stderr.String()))
	}
	return stdout.Bytes(), nil
}

// untar takes the files of a .tgz that match pattern into dir.
func untar(tgz, pattern, dir string) error {
	f, err := os.Open(tgz)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(tgz), err)
	}
	return extract(z, pattern, dir)
}

// extract writes the regular files of a tar that match pattern into dir, each
// under its last name; "*" matches all. Finding none is an error.
func extract(r io.Reader, pattern, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	n := 0
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if ok, _ := path.Match(pattern, h.Name); h.Typeflag != tar.TypeReg || pattern != "*" && !ok {
			continue
		}
		f, err := os.OpenFile(filepath.Join(dir, path.Base(h.Name)), os.O_CREATE|os.O_WRONLY|os.O_EXCL, fs.FileMode(0o644))
		if err != nil {
			return err
		}
		_, err = io.Copy(f, t)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		n++
	}
	if n == 0 {
		return fmt.Errorf("nothing called %s in the package", pattern)
	}
	return nil
}
