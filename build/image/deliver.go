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
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"skerry/appliance/update"
	"skerry/appliance/update/manifest"
	"skerry/appliance/update/publish"
)

// deliver writes the image and what is known of it: compressed, with its sums, a map of the
// blocks that have something in them, the list of its packages, the keys that it takes updates
// by, and, in a directory, the files that an update to this version has.
func deliver(ctx context.Context, b board, o options, parts string, list []volume, trusted []string) error {
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
	if err := write(filepath.Join(o.dir, name+keysSuffix), []byte(strings.Join(append(trusted, ""), "\n")), 0o644); err != nil {
		return err
	}
	if err := deliverUpdate(ctx, b, o, parts); err != nil {
		return err
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

// updateDays is how long an update may be installed.
const updateDays = 365

// deliverUpdate makes the update to this version, as skerry update apply takes it: a directory
// and the same in one file. It is signed with the key that $MINISIGN_KEY names, as
// build/update has it.
func deliverUpdate(ctx context.Context, b board, o options, parts string) error {
	version, known := manifest.BuiltVersion(o.version)
	if !known {
		say("no update is made: the version %s is not of the form 1.4.0", o.version)
		return nil
	}
	seconds, err := strconv.ParseInt(o.epoch, 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH is no time: %w", err)
	}
	var key publish.Key
	if path := os.Getenv("MINISIGN_KEY"); path == "" {
		say("the update is not signed, as MINISIGN_KEY is not set: no board will take it")
	} else if key, err = publish.ReadKey(path, os.Getenv("MINISIGN_PASSWORD")); err != nil {
		return err
	}
	at := time.Unix(seconds, 0).UTC()
	m := manifest.Manifest{Kind: manifest.System, Version: version, Board: b.name, Arch: "arm64", Created: at, Expires: at.AddDate(0, 0, updateDays)}
	var files []publish.File
	for _, name := range b.payload {
		files = append(files, publish.File{Name: name, From: filepath.Join(parts, name)})
	}
	archive := filepath.Join(o.dir, fmt.Sprintf("skerry-%s-%s%s", b.name, o.version, update.ArchiveSuffix))
	return publish.Write(ctx, filepath.Join(o.dir, fmt.Sprintf("update-%s-%s", b.name, o.version)), archive, m, files, key)
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
