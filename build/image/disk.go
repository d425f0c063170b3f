package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Sizes of partitions, in bytes. A slot is as large as ever a root file system may become.
const (
	mib       = 1 << 20
	espSize   = 256 * mib
	firstSize = 64 * mib  // with autoboot.txt, on a Raspberry Pi
	bootSize  = 128 * mib // of a slot's firmware and kernel, on a Raspberry Pi
	rootSize  = 512 * mib
	dataSize  = 96 * mib // without a bundle; it grows
	align     = mib
)

// Types of partitions, of the UAPI Group's Discoverable Partitions Specification. The slots
// have one of their own, so that nothing mounts them by itself.
const (
	typeESP   = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
	typeBasic = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
	typeSlot  = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
	typeVar   = "4D21B016-B534-45C2-A9FB-5C16E091FD2D"
)

// volume is a partition of the image.
type volume struct {
	label string
	kind  string
	size  int64
	file  string // with what is in it, "" for nothing
}

// writeDisk writes the partition table and the partitions to a file. It is sparse where
// nobody cares what is there, and only there: a card that the rest is written to may have had
// anything on it before.
func writeDisk(ctx context.Context, path string, list []volume) error {
	var script strings.Builder
	fmt.Fprintf(&script, "label: gpt\n")
	at := int64(align)
	for _, v := range list {
		fmt.Fprintf(&script, "start=%dKiB, size=%dKiB, type=%s, name=%s\n", at>>10, v.size>>10, v.kind, v.label)
		at += v.size
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(at + align); err != nil { // the second table is at the end
		return err
	}
	if err := tool(ctx, script.String(), "sfdisk", "--quiet", path); err != nil {
		return err
	}
	at = align
	for _, v := range list {
		if err := copySparse(f, at, v.file, v.size); err != nil {
			return fmt.Errorf("%s: %w", v.label, err)
		}
		at += v.size
	}
	return f.Close()
}

// copySparse copies a file into another one, but for the blocks that are unused.
func copySparse(to *os.File, at int64, path string, most int64) error {
	if path == "" {
		return nil
	}
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	if st, err := from.Stat(); err != nil || st.Size() > most {
		return fmt.Errorf("%s is larger than its partition of %d MiB", path, most/mib)
	}
	in, block := bufio.NewReaderSize(from, mib), make([]byte, bmapBlock)
	for {
		n, err := io.ReadFull(in, block)
		if n > 0 && !bytes.Equal(block[:n], unused) {
			if _, err := to.WriteAt(block[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// tool runs a program and returns what it complained of.
func tool(ctx context.Context, in, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(in)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, lastLines(string(out), 3))
	}
	return nil
}

// makeFAT makes a file system with what is in a directory.
func makeFAT(ctx context.Context, path, label, dir string, size int64) error {
	if err := blank(path, size); err != nil {
		return err
	}
	if err := tool(ctx, "", "mkfs.vfat", "-F", "32", "-S", "512", "-s", "1", "-n", label, "-i", volumeID(label), path); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		return err
	}
	args := []string{"-i", path, "-s", "-Q", "-m"}
	for _, e := range entries {
		args = append(args, filepath.Join(dir, e.Name()))
	}
	return tool(ctx, "", "mcopy", append(args, "::/")...)
}

// volumeID is a number for a label.
func volumeID(label string) string {
	n := uint32(2166136261)
	for _, c := range []byte(label) {
		n = (n ^ uint32(c)) * 16777619
	}
	return fmt.Sprintf("%08x", n)
}

// unused is a block that no file system has written to. Zeros would not do: where one has
// zeros, as in its tables and its journal, they have to be on the card.
var unused = bytes.Repeat([]byte("skerry: unused! "), bmapBlock/16)

// blank makes a file of unused blocks, to make a file system in.
func blank(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, mib)
	for ; size >= bmapBlock && err == nil; size -= bmapBlock {
		_, err = out.Write(unused)
	}
	if err == nil {
		_, err = out.Write(unused[:size])
	}
	return errors.Join(err, out.Flush(), f.Close())
}

// clearUnused makes zeros of the unused blocks of a file.
func clearUnused(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	block, zeros := make([]byte, bmapBlock), make([]byte, bmapBlock)
	for at := int64(0); err == nil; at += bmapBlock {
		if _, err = f.ReadAt(block, at); err == nil && bytes.Equal(block, unused) {
			_, err = f.WriteAt(zeros, at)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// makeEROFS makes the read-only root of a slot. All files are root's. The level is LZ4's
// usual one: the highest takes several times as long and saves a hundredth.
func makeEROFS(ctx context.Context, path, dir, epoch string) error {
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return tool(ctx, "", "mkfs.erofs", "-zlz4hc,9", "-C65536", "--all-root", "-T"+epoch, "-U", "736b6572-7279-4000-8000-726f6f746673", path, dir)
}

// makeData makes the data partition, which may have a bundle.
func makeData(ctx context.Context, path, dir string, size int64) error {
	if err := blank(path, size); err != nil {
		return err
	}
	// A discard would make zeros of what is unused. Without a journal checksum's lazy initialisation nothing is left to be done at the
	// first start; the table of descriptors has room to grow to a terabyte.
	return tool(ctx, "", "mke2fs", "-q", "-t", "ext4", "-L", "skerry-data", "-m", "1", "-E", "nodiscard,root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0,resize=268435456", "-d", dir, path)
}

// sizeOf is how many bytes the files below a directory have.
func sizeOf(dir string) (n int64, err error) {
	err = filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return err
	})
	return n, err
}
