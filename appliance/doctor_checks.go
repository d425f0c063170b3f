package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"skerry/appliance/config"
	"skerry/appliance/engine"
	"skerry/appliance/status"
	"skerry/storage"
)

func (d *doctor) kernels() {
	k := engine.Init("")
	if k.Baseline() {
		d.warn("kernels", "portable ones, several times slower than those for this processor", "make kernels, or set SKERRY_KERNELS to their directory")
		return
	}
	d.ok("kernels", "%s", k.Variant)
}

func (d *doctor) configuration() {
	if d.confIs == nil {
		d.ok("config", "%s", cmp.Or(d.confAt, configText()))
		return
	}
	var all config.Problems
	if !errors.As(d.confIs, &all) {
		d.fail("config", oneLine(d.confIs), "skerry config check")
	}
	for _, p := range all {
		d.fail("config", p.String(), "mend it; skerry config check looks again")
	}
}

func configText() string {
	if _, err := os.Stat(config.DefaultFile); err != nil {
		return "none: the defaults hold"
	}
	return config.DefaultFile
}

// Below these the disk is worth a word; a database needs little, a model much.
const (
	littleDisk = 1 << 30
	noDisk     = 64 << 20
)

func (d *doctor) disk() {
	free, total, err := d.host.free(d.state)
	text := fmt.Sprintf("%s of %s free in %s", status.Bytes(free), status.Bytes(total), d.state)
	switch {
	case err != nil:
		d.fail("disk", oneLine(err), "give a --state that this user may write")
	case free < noDisk:
		d.fail("disk", text, "make room: skerry sessions rm --all, journalctl --vacuum-size=50M")
	case free < littleDisk:
		d.warn("disk", text, "make room before the next model is fetched")
	default:
		if err := writable(d.state); err != nil {
			d.warn("disk", text+", but "+oneLine(err), "run this as the daemon's user, or with sudo")
			return
		}
		d.ok("disk", "%s", text)
	}
}

// writable says whether the directory, or the first above it that there is, can be
// written to.
func writable(dir string) error {
	for {
		err := unix.Access(dir, unix.W_OK)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir):
			dir = filepath.Dir(dir)
		case errors.Is(err, syscall.EROFS):
			return fmt.Errorf("%s is read-only", dir)
		default:
			return fmt.Errorf("this user may not write to %s", dir)
		}
	}
}

// reserve is the memory that loading leaves alone.
func reserve(total uint64) uint64 { return max(1<<30, total/5) }

func (d *doctor) memory() {
	total, available, err := d.host.memory()
	if err != nil {
		d.skip("memory", oneLine(err))
		return
	}
	text := fmt.Sprintf("%s of %s available", status.Bytes(available), status.Bytes(total))
	need := uint64(0)
	if d.status == nil { // a daemon that runs has its model in memory
		need = d.weights()
		if need > 0 {
			text += fmt.Sprintf(", %s for the model's weights", status.Bytes(need))
		}
	}
	if d.status == nil && available < need+reserve(total) {
		d.fail("memory", fmt.Sprintf("%s; %s is left alone", text, status.Bytes(reserve(total))), "end other programs, or take a smaller model")
		return
	}
	if available < total/20 {
		d.warn("memory", text, "end other programs, or lower parallel and context in the configuration")
		return
	}
	d.ok("memory", "%s", text)
}

func (d *doctor) database() {
	path := databasePath(d.state)
	switch err := storage.Look(path); {
	case err == nil:
		aside, _ := filepath.Glob(path + ".damaged*")
		if len(aside) > 0 {
			d.warn("database", fmt.Sprintf("whole, but %s was set aside once", filepath.Base(slices.Max(aside))), "check the disk, as with dmesg; remove the file once it is of no use")
			return
		}
		d.ok("database", "%s is whole", path)
	case errors.Is(err, storage.ErrLocked) && d.status != nil:
		d.ok("database", "the daemon has it, %s", status.Bytes(d.status.Storage.DBBytes))
	case errors.Is(err, storage.ErrLocked) && d.there:
		d.ok("database", "a process has it, the daemon no doubt")
	case errors.Is(err, storage.ErrLocked):
		d.fail("database", "another process has it, and is no daemon that answers", "fuser -v "+path+" names it")
	case errors.Is(err, fs.ErrNotExist):
		d.ok("database", "none yet: it is made when the daemon starts")
	case errors.Is(err, fs.ErrPermission):
		d.skip("database", "this user may not read "+path)
	case errors.Is(err, storage.ErrDamaged):
		d.warn("database", oneLine(err), "nothing: the daemon sets it aside and keeps what is whole")
	default:
		d.fail("database", oneLine(err), "update skerry, or give another --state")
	}
}
