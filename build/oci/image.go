package main

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// owner is who the program runs as: nobody's number, as distroless images have it.
const owner, ownerName = 65532, "65532:65532"

// image is what is to be made.
type image struct {
	Name, Arch, Version string
	Base                []string // paths of the Debian packages below
	Package             string   // path of ours
	Time                time.Time
}

// kind is how the container of a package runs.
type kind struct {
	title      string
	entrypoint []string
	command    []string
	env        []string
	ports      []string
	state      string
}

var kinds = map[string]kind{
	"skerry": {
		title: "language models on a small board, with a cloud behind it", entrypoint: []string{"/usr/bin/skerry"}, command: []string{"serve"},
		// Who comes to a container comes from outside, and so has a key.
		env: []string{"SKERRY_LISTEN=:7537"}, ports: []string{"7537/tcp"}, state: "var/lib/skerry",
	},
	"skerry-cloud": {
		title: "the cloud partition of language models that begin on boards", entrypoint: []string{"/usr/bin/skerry-cloud"},
		ports: []string{"7537/udp", "7537/tcp"}, state: "var/lib/skerry-cloud",
	},
}

// build makes the image: a layer of libraries and one of the program.
func (i image) build() (v1.Image, error) {
	k := kinds[i.Name]
	base, err := i.base()
	if err != nil {
		return nil, err
	}
	own := tree{}
	if err := own.addPackage(i.Package); err != nil {
		return nil, err
	}
	own.dir(k.state, 0o700, owner)
	own.dir("var/cache/skerry", 0o700, owner)
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	var names []string
	for _, p := range i.Base {
		names = append(names, strings.TrimSuffix(filepath.Base(p), ".deb"))
	}
	for _, l := range []struct {
		tree
		what string
	}{{base, "Debian 12: " + strings.Join(names, ", ")}, {own, i.Name + " " + i.Version}} {
		layer, err := i.layer(l.tree)
		if err != nil {
			return nil, err
		}
		if img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: i.Time}, CreatedBy: l.what}}); err != nil {
			return nil, err
		}
	}
	return mutate.ConfigFile(img, i.config(img, k))
}

func (i image) config(img v1.Image, k kind) *v1.ConfigFile {
	c, err := img.ConfigFile()
	if err != nil {
		panic(err) // it was just made here
	}
	c = c.DeepCopy()
	c.Architecture, c.OS, c.Created = i.Arch, "linux", v1.Time{Time: i.Time}
	state := "/" + k.state
	c.Config = v1.Config{
		User: ownerName, Entrypoint: k.entrypoint, Cmd: k.command, WorkingDir: state,
		Env:          append([]string{"PATH=/usr/bin:/bin", "HOME=" + state, "SKERRY_STATE=" + state, "SKERRY_CACHE=/var/cache/skerry"}, k.env...),
		Volumes:      map[string]struct{}{state: {}, "/var/cache/skerry": {}},
		ExposedPorts: map[string]struct{}{}, StopSignal: "SIGTERM",
		Labels: map[string]string{
			"org.opencontainers.image.title": i.Name, "org.opencontainers.image.description": k.title,
			"org.opencontainers.image.version": i.Version, "org.opencontainers.image.created": i.Time.UTC().Format(time.RFC3339),
			"org.opencontainers.image.base.name": "debian:12 (libraries only)",
		},
	}
	for _, p := range k.ports {
		c.Config.ExposedPorts[p] = struct{}{}
	}
	return c
}

// base are the libraries, the authorities of the web, and what every system has.
func (i image) base() (tree, error) {
	t := tree{}
	for _, deb := range i.Base {
		if err := t.addPackage(deb); err != nil {
			return nil, err
		}
	}
	var authorities bytes.Buffer
	for _, e := range t.take("usr/share/ca-certificates") {
		authorities.Write(e.data)
	}
	t.file("etc/ssl/certs/ca-certificates.crt", authorities.String())
	t.file("etc/passwd", "root:x:0:0:root:/:/sbin/nologin\nskerry:x:65532:65532:Skerry:/:/sbin/nologin\n")
	t.file("etc/group", "root:x:0:\nskerry:x:65532:\n")
	t.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
	t.dir("tmp", 0o1777, 0)
	return t, nil
}

func (i image) layer(t tree) (v1.Layer, error) {
	data, err := t.archive(i.Time)
	if err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}
