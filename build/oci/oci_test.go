package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

var epoch = time.Unix(1_700_000_000, 0).UTC()

// packages are ours of what make and make boards built, in a directory; the test runs
// at the top of the repository from then on.
func packages(t *testing.T) string {
	t.Helper()
	t.Chdir("../..")
	dir := t.TempDir()
	for arch, from := range map[string][2]string{
		runtime.GOARCH: {"bin/skerry", "bin/kernels"},
		"arm64":        {"build/out/arm64/bin/skerry", "build/out/arm64/bin/kernels"},
	} {
		bin := t.TempDir()
		for i, name := range []string{"skerry", "kernels"} {
			path, err := filepath.Abs(from[i])
			if err == nil {
				_, err = os.Stat(path)
			}
			if err != nil {
				t.Skipf("skipped: %v: make boards builds it where a compiler is to be had", err)
			}
			if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("go", "run", "./build/deb", "-arch", arch, "-bin", bin, "-version", "v1.2", "-dir", dir, "-compression", "none")
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
	for _, arch := range architectures {
		_, err := basePackages(arch)
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 3 {
			t.Skip("skipped: ", err)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestImages(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	debs, dir := packages(t), t.TempDir()
	for name := range kinds {
		if err := write(name, "1.2", debs, dir, epoch); err != nil {
			t.Fatal(err)
		}
		index, err := layout.ImageIndexFromPath(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Index(index, validate.Fast); err != nil {
			t.Error(err)
		}
		manifest, err := index.IndexManifest()
		if err != nil || len(manifest.Manifests) != len(architectures) {
			t.Fatalf("%s: %+v %v", name, manifest, err)
		}
		for _, m := range manifest.Manifests {
			img, err := index.Image(m.Digest)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s for %s: %.1f MB", name, m.Platform, megabytes(img))
			checkConfig(t, name, m.Platform.Architecture, img)
			again, err := makeImage(name, m.Platform.Architecture, "1.2", debs, epoch)
			if err != nil {
				t.Fatal(err)
			}
			if d, err := again.Digest(); err != nil || d != m.Digest {
				t.Errorf("%s for %s: made again it is another: %v", name, m.Platform, err)
			}
			if m.Platform.Architecture == runtime.GOARCH {
				runsUnpacked(t, name, img)
			}
		}
	}
}

func checkConfig(t *testing.T, name, arch string, img v1.Image) {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	k := kinds[name]
	for _, port := range k.ports {
		if _, ok := c.Config.ExposedPorts[port]; !ok {
			t.Errorf("%s: port %s is not exposed", name, port)
		}
	}
	if c.Architecture != arch || c.OS != "linux" || c.Config.User != ownerName || c.Config.Entrypoint[0] != k.entrypoint[0] ||
		c.Config.Labels["org.opencontainers.image.version"] != "1.2" || !c.Created.Time.Equal(epoch) {
		t.Errorf("%s for %s: %+v", name, arch, c)
	}
}

// runsUnpacked starts the program in the image's file system alone, as its user.
func runsUnpacked(t *testing.T, name string, img v1.Image) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Logf("%s is not run: chroot needs root", name)
		return
	}
	root := t.TempDir()
	unpack(t, img, root)
	args := map[string][]string{"skerry": {"version"}, "skerry-cloud": {"load", "--state", "/var/lib/skerry-cloud"}}[name]
	out, err := inside(t, root, kinds[name].entrypoint[0], args...)
	if want := map[string]string{"skerry": "kernels", "skerry-cloud": "skerry"}[name]; !strings.Contains(out, want) || name == "skerry" && err != nil {
		t.Errorf("%s %v in the image: %v\n%s", name, args, err, out)
	}
	if name == "skerry" {
		out, err := inside(t, root, "/usr/bin/skerry", "serve")
		if err == nil || !strings.Contains(out, "skerry key new") {
			t.Errorf("without a key it is served to everybody, or says nothing of keys: %v\n%s", err, out)
		}
		t.Logf("skerry serve in a container without a key says: %s", out)
	}
}

// inside runs a program of the image as a container engine would.
func inside(t *testing.T, root, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = "/", []string{"HOME=/var/lib/skerry", "SKERRY_STATE=/var/lib/skerry", "SKERRY_LISTEN=:7537"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: owner, Gid: owner}}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// unpack writes an image's file system below root.
func unpack(t *testing.T, img v1.Image, root string) {
	t.Helper()
	in := mutate.Extract(img)
	defer in.Close()
	for r := tar.NewReader(in); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := put(filepath.Join(root, h.Name), h, r); err != nil {
			t.Fatal(err)
		}
	}
}

func put(path string, h *tar.Header, data io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, h.FileInfo().Mode()), os.Chown(path, h.Uid, h.Gid))
	case tar.TypeSymlink:
		return os.Symlink(h.Linkname, path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, h.FileInfo().Mode())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, data)
	return errors.Join(err, f.Close())
}
