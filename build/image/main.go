// Command image makes what is written to a card: a partition table, a slot with a read-only
// root and an empty one, and a data partition that grows. It takes Debian's packages and
// ours apart and puts their files together; nothing of the image runs while it is made, so
// that neither root nor emulation is needed.
//
//	go run ./build/image -board uefi -deb build/out/skerry_VERSION_arm64.deb -dir build/out
//
// README.md in this directory describes what comes of it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"skerry/appliance/update/install"
)

// options of the command line.
type options struct {
	board, deb, bundle, version, dir, cache string
	epoch                                   string
}

func main() {
	var o options
	flag.StringVar(&o.board, "board", "uefi", "uefi: boards with UEFI; pi: Raspberry Pi 4 and 5")
	flag.StringVar(&o.deb, "deb", "", "our package for arm64, as make deb builds it")
	flag.StringVar(&o.bundle, "bundle", "", "directory of a model bundle that the image carries")
	flag.StringVar(&o.version, "version", "", "the version, as it is shown and compared")
	flag.StringVar(&o.dir, "dir", "build/out", "directory of the image")
	flag.StringVar(&o.cache, "cache", "", "directory of what was fetched, instead of the user's cache")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	// The tools for file systems are where users have no path to.
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	b, ok := boards[o.board]
	if !ok {
		return fmt.Errorf("there is no board %q: say %s", o.board, names())
	}
	if o.deb == "" || o.version == "" {
		return errors.New("say -deb and -version, or use make image")
	}
	// As reproducible-builds.org has it.
	if o.epoch = os.Getenv("SOURCE_DATE_EPOCH"); o.epoch == "" {
		o.epoch = strconv.FormatInt(time.Now().Unix(), 10)
	}
	if o.cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return err
		}
		o.cache = filepath.Join(dir, "skerry")
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(o.dir, ".image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	return build(ctx, b, o, work)
}

// say tells of a step.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "image: "+format+"\n", args...) }

// build makes the image of a board, in the directory work.
func build(ctx context.Context, b board, o options, work string) error {
	began := time.Now()
	trusted, err := trustedKeys(ctx, o.deb)
	if err != nil {
		return err
	}
	say("fetching packages")
	a, err := openApt(ctx, o.cache, b.components)
	if err != nil {
		return err
	}
	debs, err := a.fetch(ctx, append(packages, b.packages...))
	if err != nil {
		return err
	}
	kernel, err := a.kernel(ctx, b.suite)
	if err != nil {
		return err
	}
	for _, name := range b.boot {
		d, _, err := a.download(ctx, name, release)
		if err != nil {
			return err
		}
		kernel = append(kernel, d)
	}
	all := append(append(debs, kernel...), deb{Name: "skerry", Version: o.version, Path: o.deb})
	say("%d packages are there after %.0f s", len(all), time.Since(began).Seconds())
	parts, err := makeParts(ctx, b, o, work, all)
	if err != nil {
		return err
	}
	say("the parts of a slot are there after %.0f s", time.Since(began).Seconds())
	list, err := b.layout(ctx, b, o, parts, work)
	if err != nil {
		return err
	}
	if err := deliver(ctx, b, o, parts, list, trusted); err != nil {
		return err
	}
	say("done after %.0f s", time.Since(began).Seconds())
	return nil
}

// assemble puts the root of a slot together in work/root, and beside it what boots it.
func assemble(ctx context.Context, work string, b board, o options, all []deb) error {
	root := filepath.Join(work, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := unpack(ctx, all, root); err != nil {
		return err
	}
	if err := b.boots(ctx, root, work); err != nil {
		return err
	}
	if err := shrink(root); err != nil {
		return err
	}
	if err := indexModules(ctx, root); err != nil {
		return err
	}
	for _, set := range []string{"all", b.name} {
		if err := overlay(root, set); err != nil {
			return err
		}
	}
	if err := configure(root); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(work, "board"), filepath.Join(root, "usr/lib/skerry/board")); err != nil {
		return err
	}
	if err := os.Chmod(filepath.Join(root, "usr/lib/skerry/board"), 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(b.installed, "", "  ")
	if err != nil {
		return err
	}
	if err := write(filepath.Join(root, install.Description), append(text, '\n'), 0o644); err != nil {
		return err
	}
	return secure(root)
}

// program builds one of ours for arm64, which needs no library.
func program(ctx context.Context, pkg, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w: %s", pkg, err, lastLines(string(out), 3))
	}
	return nil
}
