package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// deliver writes the image and what is known of it: compressed, with its sums, a map of the
// blocks that have something in them, the list of its packages, and, in a directory, the
// files that an update to this version has.
func deliver(ctx context.Context, b board, o options, parts string, list []volume) error {
	name := fmt.Sprintf("skerry-%s-%s.img", b.name, o.version)
	raw := filepath.Join(o.dir, name)
	if err := writeDisk(ctx, raw, list); err != nil {
		return err
	}
	blocks, err := writeBmap(raw, filepath.Join(o.dir, name+".bmap"))
	if err != nil {
		return err
	}
	sum, err := compress(raw, raw+".zst")
	if err != nil {
		return err
	}
	sums := fmt.Sprintf("%s  %s.zst\n", sum, name)
	if err := write(raw+".zst.sha256", []byte(sums), 0o644); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(parts, "spdx.json"), filepath.Join(o.dir, name+".spdx.json")); err != nil {
		return err
	}
	payload := filepath.Join(o.dir, fmt.Sprintf("update-%s-%s", b.name, o.version))
	for _, f := range b.payload {
		if err := copyFile(filepath.Join(parts, f), filepath.Join(payload, f)); err != nil {
			return err
		}
	}
	for _, path := range []string{raw, raw + ".zst"} {
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		fmt.Printf("%s (%.1f MB)\n", path, float64(st.Size())/1e6)
	}
	say("%.1f MB of it have something in them; flash it with: bmaptool copy %s.zst DEVICE", float64(blocks)*bmapBlock/1e6, name)
	return nil
}

// compress writes a file compressed, and returns the SHA-256 of what it has written.
func compress(from, to string) (sum string, err error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	z, err := zstd.NewWriter(io.MultiWriter(out, h), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return "", errors.Join(err, out.Close())
	}
	_, err = io.Copy(z, in)
	if err := errors.Join(err, z.Close(), out.Close()); err != nil {
		return "", fmt.Errorf("%s: %w", to, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
