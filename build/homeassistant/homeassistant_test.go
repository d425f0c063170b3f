package homeassistant

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"skerry/appliance/config"
	_ "skerry/appliance/decode" // the modes that a setting may be
)

const version = "0.1.0+abc"

// images is an OCI layout as make oci writes it, with little in it.
func images(t *testing.T, change func(arch string, c *v1.Config), arches ...string) string {
	t.Helper()
	var index v1.ImageIndex = empty.Index
	for _, arch := range arches {
		var layer bytes.Buffer
		w := tar.NewWriter(&layer)
		if err := errors.Join(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "usr/bin/skerry", Mode: 0o755, Size: 6}), second(w.Write([]byte("skerry"))), w.Close()); err != nil {
			t.Fatal(err)
		}
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
		if err != nil {
			t.Fatal(err)
		}
		img, err := mutate.AppendLayers(empty.Image, l)
		if err != nil {
			t.Fatal(err)
		}
		c := &v1.ConfigFile{Architecture: arch, OS: "linux", Created: v1.Time{Time: time.Unix(1_700_000_000, 0).UTC()}, Config: v1.Config{
			User: "65532:65532", Entrypoint: []string{"/usr/bin/skerry"}, Cmd: []string{"serve"}, ExposedPorts: map[string]struct{}{"7537/tcp": {}},
			Env:    []string{"PATH=/usr/bin:/bin", "HOME=/var/lib/skerry", "SKERRY_STATE=/var/lib/skerry", "SKERRY_CACHE=/var/cache/skerry", "SKERRY_LISTEN=:7537"},
			Labels: map[string]string{"org.opencontainers.image.version": version},
		}}
		had, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		c.RootFS, c.History = had.RootFS, had.History
		change(arch, &c.Config)
		if img, err = mutate.ConfigFile(img, c); err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img})
	}
	dir := filepath.Join(t.TempDir(), "skerry")
	if _, err := layout.Write(dir, index); err != nil {
		t.Fatal(err)
	}
	return dir
}

func second(_ int, err error) error { return err }

func asBuilt(string, *v1.Config) {}

func addOn(layout string) *AddOn {
	return &AddOn{Version: version, Images: layout, Changelog: "../deb/CHANGELOG.md", Starter: func(arch string) ([]byte, error) { return []byte("starter for " + arch), nil }}
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestRepository: what is written is what the documentation of add-ons wants, and agrees
// with the images.
func TestRepository(t *testing.T) {
	layout, dir := images(t, asBuilt, "amd64", "arm64"), filepath.Join(t.TempDir(), "homeassistant")
	if err := addOn(layout).Write(dir); err != nil {
		t.Fatal(err)
	}
	config, translated := parsed(t, read(t, dir, "skerry/config.yaml")), parsed(t, read(t, dir, "skerry/translations/en.yaml"))
	for _, wrong := range append(coherent(config, translated), configuration(config), translations(translated), repository(parsed(t, read(t, dir, "repository.yaml")))) {
		if wrong != "" {
			t.Error(wrong)
		}
	}
	if got := fmt.Sprintf("%v %v", config["version"], config["arch"]); got != "0.1.0-abc [aarch64 amd64]" {
		t.Errorf("version and architectures are %s", got)
	}
	for _, arch := range []string{"aarch64", "amd64"} {
		checkRoot(t, filepath.Join(dir, "skerry/skerry_"+arch+".tar.gz"), arch)
	}
	dockerfile := string(read(t, dir, "skerry/Dockerfile"))
	for _, want := range []string{
		"FROM scratch\nARG BUILD_ARCH\n", "ADD skerry_${BUILD_ARCH}.tar.gz /\n", `ENV SKERRY_STATE="/data/state"` + "\n", `ENV SKERRY_CACHE="/data/cache"` + "\n", `ENV HOME="/data/state"` + "\n",
		`ENV SKERRY_LISTEN=":7537"` + "\n", "USER 0:0\n", `ENTRYPOINT ["/usr/bin/skerry-homeassistant","65532:65532"]` + "\n", `CMD ["/usr/bin/skerry","serve"]` + "\n",
	} {
		if !strings.Contains(dockerfile, want) {
			t.Errorf("there is no %q in\n%s", want, dockerfile)
		}
	}
	if !bytes.Equal(read(t, dir, "skerry/CHANGELOG.md"), read(t, "../deb/CHANGELOG.md")) {
		t.Error("the changelog is another")
	}
	checkPicture(t, filepath.Join(dir, "skerry/icon.png"), 128, 128)
	checkPicture(t, filepath.Join(dir, "skerry/logo.png"), 250, 100)
	checkDocs(t, string(read(t, dir, "skerry/DOCS.md")), config)

	again := filepath.Join(t.TempDir(), "homeassistant")
	if err := addOn(layout).Write(again); err != nil {
		t.Fatal(err)
	}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !bytes.Equal(read(t, dir, name), read(t, again, name)) {
			t.Errorf("%s is another the second time", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// checkRoot: the files of the image and the starter are there.
func checkRoot(t *testing.T, path, arch string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(read(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode&0o111 == 0 {
			t.Errorf("%s: %s is no program", path, h.Name)
		}
		found[strings.TrimPrefix(h.Name, "/")] = string(text)
	}
	if len(found) != 2 || found["usr/bin/skerry"] != "skerry" || names[strings.TrimPrefix(found[starter], "starter for ")] != arch {
		t.Errorf("%s has %q", path, found)
	}
}

// checkPicture: it has the size that is wanted, and more than one colour.
func checkPicture(t *testing.T, path string, width, height int) {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(read(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	colours := map[any]bool{}
	for x := range width {
		for y := range height {
			colours[img.At(x, y)] = true
		}
	}
	if b := img.Bounds(); b.Dx() != width || b.Dy() != height || len(colours) < 4 {
		t.Errorf("%s is of %v, with %d colours", path, b, len(colours))
	}
}

// checkDocs: the options that the page names in bold are there.
func checkDocs(t *testing.T, text string, config map[string]any) {
	t.Helper()
	schema, _ := config["schema"].(map[string]any)
	for _, m := range regexp.MustCompile(`\*\*([a-z_]+)\*\*`).FindAllStringSubmatch(text, -1) {
		if schema[m[1]] == nil {
			t.Errorf("DOCS.md names %s, which is no option", m[1])
		}
	}
}

// TestOptionsAreSettings: the daemon takes every option under its variable, and each choice
// and bound that config.yaml gives; and what is beyond it does not.
func TestOptionsAreSettings(t *testing.T) {
	c := parsed(t, read(t, "files/skerry/config.yaml"))
	schema, _ := c["schema"].(map[string]any)
	options, _ := c["options"].(map[string]any)
	of := map[string]bool{"cloud_code": true, "cloud_may": true} // the starter's own, and those seen
	check := func(name, value string) (taken bool) {
		variable := "SKERRY_" + strings.ToUpper(name)
		_, origins, err := config.Load(config.Sources{File: os.DevNull, Environ: []string{variable + "=" + value}})
		return err == nil && slices.ContainsFunc(origins, func(o config.Origin) bool { return o.From == variable })
	}
	bounds := regexp.MustCompile(`^int\((\d+),(\d+)\)`)
	choices := regexp.MustCompile(`^list\((.+)\)`)
	for name, typ := range schema {
		if of[name] {
			continue
		}
		of[name] = true
		text := fmt.Sprint(typ)
		values := map[string]string{"bundle": "/share/b", "cloud_address": "a.example:1", "memory": "2GB", "keep_alive": "30m", "name": "n", "model": "m"}
		good, bad := []string{values[name]}, []string(nil)
		if m := bounds.FindStringSubmatch(text); m != nil {
			most, err := strconv.Atoi(m[2])
			if err != nil {
				t.Fatal(err)
			}
			good, bad = m[1:3], []string{strconv.Itoa(most + 1), "-1"}
		} else if m := choices.FindStringSubmatch(text); m != nil {
			good, bad = strings.Split(m[1], "|"), []string{"none of them"}
		}
		for _, v := range good {
			if !check(name, v) {
				t.Errorf("option %s is no setting, or may not be %q", name, v)
			}
		}
		for _, v := range bad {
			if check(name, v) {
				t.Errorf("option %s may be %q, too", name, v)
			}
		}
		if d, ok := options[name]; ok && !check(name, fmt.Sprint(d)) {
			t.Errorf("option %s may not be its default, %v", name, d)
		}
	}
	if check("log_levels", "info") {
		t.Error("any option is taken")
	}
}

// TestArchitecturesOfImages: Home Assistant has a name for each architecture of which
// build/oci makes images.
func TestArchitecturesOfImages(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "../oci/main.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var arches []string
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && v.Names[0].Name == "architectures" {
			for _, e := range v.Values[0].(*ast.CompositeLit).Elts {
				arch, err := strconv.Unquote(e.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				arches = append(arches, arch)
			}
		}
		return true
	})
	if len(arches) == 0 {
		t.Fatal("build/oci/main.go names no architectures")
	}
	for _, arch := range arches {
		if names[arch] == "" {
			t.Errorf("Home Assistant has no name for %s", arch)
		}
	}
}

// TestNotAlike: images that are not there, of another version, or that do not run alike are
// refused in one line.
func TestNotAlike(t *testing.T) {
	for _, c := range []struct{ what, layout, want string }{
		{"no layout", t.TempDir(), "make oci"},
		{"no image", images(t, asBuilt), "make oci"},
		{"another version", images(t, func(_ string, c *v1.Config) { c.Labels["org.opencontainers.image.version"] = "0.2.0" }, "amd64"), "is of version 0.2.0, not 0.1.0+abc"},
		{"another user", images(t, func(arch string, c *v1.Config) { c.User += strings.TrimPrefix(arch, "amd64") }, "amd64", "arm64"), "do not run alike"},
		{"a strange architecture", images(t, asBuilt, "riscv64"), `no architecture "riscv64"`},
		{"another port", images(t, func(_ string, c *v1.Config) { c.ExposedPorts = nil }, "amd64"), "opens port 7537/tcp"},
	} {
		err := addOn(c.layout).Write(filepath.Join(t.TempDir(), "homeassistant"))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q", c.what, err, c.want)
		}
	}
}
