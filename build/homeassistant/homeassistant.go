// Package homeassistant makes a repository of a Home Assistant add-on that runs the
// container image of build/oci. The add-on has the image's files in it, so that Home Assistant
// builds it with no registry.
package homeassistant

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"go.yaml.in/yaml/v3"
)

//go:embed files
var files embed.FS

// starter is the program of package start within the container.
const starter = "usr/bin/skerry-homeassistant"

// names are what Home Assistant calls Go's architectures.
var names = map[string]string{"amd64": "amd64", "arm64": "aarch64"}

// AddOn is what is to be written.
type AddOn struct {
	Version   string                              // of the images
	Images    string                              // OCI layout of the image, as make oci writes it
	Changelog string                              // path of CHANGELOG.md
	Starter   func(goarch string) ([]byte, error) // the program of package start

	images map[string]v1.Image // by Home Assistant's architecture
	config *v1.ConfigFile      // of one of them, which the others are like
}

// Starter compiles the program that begins the container. It runs at the top of the
// repository.
func Starter(goarch string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "skerry-homeassistant-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	to := filepath.Join(dir, "start")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", to, "./build/homeassistant/start")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%v: %w", cmd.Args, err)
	}
	return os.ReadFile(to)
}

// Write writes the repository into a directory that is not there yet.
func (a *AddOn) Write(dir string) error {
	if err := a.open(); err != nil {
		return err
	}
	text, err := fs.Sub(files, "files")
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, text); err != nil {
		return err
	}
	own := filepath.Join(dir, "skerry")
	config, err := files.ReadFile("files/skerry/config.yaml")
	if err != nil {
		return err
	}
	filled := strings.NewReplacer("@VERSION@", Tag(a.Version), `"@ARCH@"`, "["+strings.Join(a.arches(), ", ")+"]").Replace(string(config))
	if err := a.listens([]byte(filled)); err != nil {
		return err
	}
	changes, err := os.ReadFile(a.Changelog)
	if err != nil {
		return err
	}
	icon, logo, err := pictures()
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"config.yaml": []byte(filled), "CHANGELOG.md": changes, "Dockerfile": []byte(a.dockerfile()), "icon.png": icon, "logo.png": logo,
	} {
		if err := os.WriteFile(filepath.Join(own, name), data, 0o644); err != nil {
			return err
		}
	}
	for _, arch := range a.arches() {
		if err := a.root(filepath.Join(own, "skerry_"+arch+".tar.gz"), a.images[arch]); err != nil {
			return err
		}
	}
	// Embedded files may only be read.
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o644)
	})
}

// Tag is a version as the tag of an image may have it, which Home Assistant gives what it
// builds.
func Tag(version string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.-", r) {
			return r
		}
		return '-'
	}, version)
}

func (a *AddOn) arches() []string { return slices.Sorted(maps.Keys(a.images)) }

// open reads the images, which must be of this version and run alike.
func (a *AddOn) open() error {
	index, err := layout.ImageIndexFromPath(a.Images)
	if err != nil {
		return fmt.Errorf("%s: %w: make oci", a.Images, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return fmt.Errorf("%s: %w: make oci", a.Images, err)
	}
	a.images, a.config = map[string]v1.Image{}, nil
	for _, m := range manifest.Manifests {
		img, err := index.Image(m.Digest)
		if err != nil {
			return fmt.Errorf("%s: %w", a.Images, err)
		}
		config, err := img.ConfigFile()
		if err != nil {
			return fmt.Errorf("%s: %w", a.Images, err)
		}
		name, known := names[config.Architecture]
		if !known {
			return fmt.Errorf("%s: Home Assistant has no architecture %q", a.Images, config.Architecture)
		}
		if v := config.Config.Labels["org.opencontainers.image.version"]; v != a.Version {
			return fmt.Errorf("%s is of version %s, not %s: make oci, at this commit", a.Images, v, a.Version)
		}
		if a.config != nil && !alike(config.Config, a.config.Config) {
			return fmt.Errorf("%s: the images of %s and %s do not run alike", a.Images, config.Architecture, a.config.Architecture)
		}
		a.images[name], a.config = img, config
	}
	if a.config == nil {
		return fmt.Errorf("%s: there is no image in it: make oci", a.Images)
	}
	return nil
}

// listens checks that the ports of config.yaml are the image's.
func (a *AddOn) listens(config []byte) error {
	var c struct {
		Ports map[string]int `yaml:"ports"`
	}
	if err := yaml.Unmarshal(config, &c); err != nil {
		return fmt.Errorf("config.yaml: %w", err)
	}
	for port := range c.Ports {
		if _, ok := a.config.Config.ExposedPorts[port]; !ok {
			return fmt.Errorf("config.yaml opens port %s, at which %s does not listen", port, a.Images)
		}
	}
	return nil
}

func alike(a, b v1.Config) bool {
	return a.User == b.User && slices.Equal(a.Entrypoint, b.Entrypoint) && slices.Equal(a.Cmd, b.Cmd) && slices.Equal(a.Env, b.Env)
}

// dockerfile puts the add-on together: the image's files, and its way of running but for
// what Home Assistant has otherwise. Data are in /data, which is root's and so are the
// options there; the starter makes directories in it for the image's user.
func (a *AddOn) dockerfile() string {
	var b strings.Builder
	b.WriteString("FROM scratch\nARG BUILD_ARCH\nARG BUILD_VERSION\nADD skerry_${BUILD_ARCH}.tar.gz /\n")
	b.WriteString("LABEL io.hass.type=app io.hass.version=${BUILD_VERSION} io.hass.arch=${BUILD_ARCH}\n")
	kept := map[string]string{"HOME": "/data/state", "SKERRY_STATE": "/data/state", "SKERRY_CACHE": "/data/cache"}
	for _, v := range a.config.Config.Env {
		name, value, _ := strings.Cut(v, "=")
		if other, ok := kept[name]; ok {
			value = other
		}
		fmt.Fprintf(&b, "ENV %s=%s\n", name, quoted(value))
	}
	c := a.config.Config
	fmt.Fprintf(&b, "USER 0:0\nENTRYPOINT %s\nCMD %s\n", quoted([]string{"/" + starter, c.User}), quoted(slices.Concat(c.Entrypoint, c.Cmd)))
	return b.String()
}

// quoted is what a Dockerfile takes in quotes.
func quoted(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts alone
	}
	return text
}

// root writes the files of an image, with the starter among them.
func (a *AddOn) root(path string, img v1.Image) error {
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	program, err := a.Starter(config.Architecture)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z := gzip.NewWriter(f)
	out := tar.NewWriter(z)
	in := mutate.Extract(img)
	defer in.Close()
	if err := copyTar(out, tar.NewReader(in)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: starter, Mode: 0o755, Size: int64(len(program)), ModTime: config.Created.Time, Format: tar.FormatPAX}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(out, bytes.NewReader(program))
	return errors.Join(err, out.Close(), z.Close(), f.Close())
}

func copyTar(out *tar.Writer, in *tar.Reader) error {
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}
