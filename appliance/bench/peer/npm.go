package peer

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Package is a pinned package of npm.
type Package struct {
	Name, Version string
	sha512        string // of the tarball, base64, as npm's integrity has it
	bytes         int64
}

// file is the name npm pack gives the tarball.
func (p Package) file() string {
	return strings.ReplaceAll(strings.TrimPrefix(p.Name, "@"), "/", "-") + "-" + p.Version + ".tgz"
}

// fetch returns the package's tarball, kept under cacheDir/npm and checked by
// sha512 at every use.
func (p Package) fetch(ctx context.Context, cacheDir string, report func(string, int64, int64)) (string, error) {
	dir := filepath.Join(cacheDir, "npm")
	path := filepath.Join(dir, p.file())
	if p.check(path) == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(dir, ".pack-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	step := "download " + p.Name
	report(step, 0, p.bytes)
	if err := p.pack(ctx, work); err != nil {
		return "", err
	}
	part := filepath.Join(work, p.file())
	if err := p.check(part); err != nil {
		return "", err
	}
	report(step, p.bytes, p.bytes)
	return path, os.Rename(part, path)
}

// pack has npm put the tarball into dir. npm's own cache lies there too: the
// user's would keep a second copy.
func (p Package) pack(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "npm", "pack", p.Name+"@"+p.Version, "--ignore-scripts", "--loglevel=error",
		"--cache", filepath.Join(dir, "cache"), "--pack-destination", dir)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: npm cannot fetch %s %s: %v: %s: check the network", ErrUnavailable, p.Name, p.Version, err, firstLine(stderr.String()))
	}
	return nil
}

func (p Package) check(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha512.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if sum := base64.StdEncoding.EncodeToString(h.Sum(nil)); sum != p.sha512 {
		return fmt.Errorf("%s has sha512 %s, not %s: the package was altered, do not use it", filepath.Base(path), sum, p.sha512)
	}
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return strings.ToValidUTF8(line[:min(len(line), 200)], "?")
}
