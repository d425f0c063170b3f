package doctor

import (
	"cmp"
	"context"
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

func (d *Doctor) kernels(context.Context) Findings {
	engine.GuardGPU(d.state)
	k := engine.Init("")
	if k.Baseline() {
		return warn("portable ones, several times slower than those for this processor", "make kernels, or set SKERRY_KERNELS to their directory")
	}
	return pass("%s", k.Variant)
}

// gpu asks the daemon, and looks for itself where none runs: a GPU that failed there may answer
// here.
func (d *Doctor) gpu(context.Context) Findings {
	if d.conf.GPULayers == 0 {
		return skip("gpu_layers is 0: none is wanted")
	}
	g := engine.Device()
	if d.status != nil {
		g.Name, g.Not = d.status.Kernels.GPU, d.status.Kernels.GPUNot
	}
	switch {
	case g.Not != "":
		return warn(g.Not, "mend what it says, or set gpu_layers to 0: the CPU computes meanwhile")
	case g.Name == "":
		return skip("there are no kernels for one: install skerry-cuda where this machine has a GPU of NVIDIA")
	case g.Unified:
		return pass("%s, with the memory of the board", g.Name)
	default:
		return pass("%s, %s of %s free", g.Name, status.Bytes(uint64(g.Free)), status.Bytes(uint64(g.Total)))
	}
}

func (d *Doctor) configuration(context.Context) (found Findings) {
	if d.confIs == nil {
		return pass("%s", cmp.Or(d.opt.ConfigFile, defaultFile()))
	}
	var all config.Problems
	if !errors.As(d.confIs, &all) {
		return fail(status.OneLine(d.confIs), "skerry config check")
	}
	for _, p := range all {
		found = append(found, fail(p.String(), "mend it; skerry config check looks again")...)
	}
	return found
}

func defaultFile() string {
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

func (d *Doctor) disk(context.Context) Findings {
	free, total, err := d.host.free(d.state)
	text := fmt.Sprintf("%s of %s free in %s", status.Bytes(free), status.Bytes(total), d.state)
	switch {
	case err != nil:
		return fail(status.OneLine(err), "give a --state that this user may write")
	case free < noDisk:
		return fail(text, "make room: skerry sessions rm --all, journalctl --vacuum-size=50M")
	case free < littleDisk:
		return warn(text, "make room before the next model is fetched")
	}
	if err := writable(d.state); err != nil {
		return warn(text+", but "+status.OneLine(err), "run this as the daemon's user, or with sudo")
	}
	return pass("%s", text)
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

func (d *Doctor) memory(context.Context) Findings {
	m, err := d.host.memory()
	room, known := m.Room()
	if !known {
		return skip(status.OneLine(err))
	}
	text := fmt.Sprintf("%s of %s available", status.Bytes(uint64(room.Free)), status.Bytes(uint64(room.Total)))
	if room.Total != m.Total {
		text += ", by " + room.Of
	}
	need := uint64(0)
	if d.status == nil { // a daemon that runs has its model in memory
		need = d.weights()
		if need > 0 {
			text += fmt.Sprintf(", %s for the model's weights", status.Bytes(need))
		}
	}
	if d.status == nil && room.Bytes < int64(need) {
		return fail(fmt.Sprintf("%s; %s is left alone", text, status.Bytes(uint64(room.Untouched))), "end other programs, or take a smaller model")
	}
	if room.Free < room.Total/20 {
		return warn(text, "end other programs, or lower parallel and context in the configuration")
	}
	return pass("%s", text)
}

func (d *Doctor) database(context.Context) Findings {
	path := config.DatabasePath(d.state)
	switch err := storage.Look(path); {
	case err == nil:
		aside, _ := filepath.Glob(path + ".damaged*")
		if len(aside) > 0 {
			return warn(fmt.Sprintf("whole, but %s was set aside once", filepath.Base(slices.Max(aside))), "check the disk, as with dmesg; remove the file once it is of no use")
		}
		return pass("%s is whole", path)
	case errors.Is(err, storage.ErrLocked) && d.status != nil:
		return pass("the daemon has it, %s", status.Bytes(d.status.Storage.DBBytes))
	case errors.Is(err, storage.ErrLocked) && d.there:
		return pass("a process has it, the daemon no doubt")
	case errors.Is(err, storage.ErrLocked):
		return fail("another process has it, and is no daemon that answers", "fuser -v "+path+" names it")
	case errors.Is(err, fs.ErrNotExist):
		return pass("none yet: it is made when the daemon starts")
	case errors.Is(err, fs.ErrPermission):
		return skip("this user may not read " + path)
	case errors.Is(err, storage.ErrDamaged):
		return warn(status.OneLine(err), "nothing: the daemon sets it aside and keeps what is whole")
	default:
		return fail(status.OneLine(err), "update skerry, or give another --state")
	}
}
