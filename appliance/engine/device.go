package engine

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"

	"skerry/appliance/engine/gpu"
)

// GPU is what computes beside the CPU; the zero value is none.
type GPU struct {
	// Name has all devices, as "CUDA0 (Orin)"; empty: none is in use.
	Name    string `json:"name,omitempty"`
	Library string `json:"library,omitempty"` // its file
	Free    int64  `json:"free,omitempty"`    // bytes of its memory, as it is now
	Total   int64  `json:"total,omitempty"`
	// Unified says that its memory is the CPU's, and that Free is free of both.
	Unified bool `json:"unified,omitempty"`
	// Not is why none is in use although there is a library for one, or why there is no more; a
	// half-sentence with what to do.
	Not string `json:"not,omitempty"`
}

// device is the process's own.
var device deviceState

type deviceState struct {
	mu      sync.Mutex // guards all following
	library string     // that is loaded
	name    string
	unified bool
	not     string // why none is used, or no longer
	guard   string // the file of a failure that ended a process
	tell    func(not string)
}

// WhenLost has f told why, once, where the GPU fails from now on; nil: nobody. It is called while
// a stage computes, and is not to wait for one.
func WhenLost(f func(not string)) {
	device.mu.Lock()
	defer device.mu.Unlock()
	device.tell = f
}

// Device is the GPU of this process, as it is now. Its name goes, and Not says why, once it has
// failed.
func Device() GPU {
	Init("")
	device.mu.Lock()
	defer device.mu.Unlock()
	var c C.struct_skerry_gpu
	if device.not != "" || !C.skerry_gpu_look(&c) {
		return GPU{Not: device.not}
	}
	return GPU{
		Name: C.GoString(&c.name[0]), Library: device.library, Free: int64(c.free), Total: int64(c.total), Unified: device.unified || bool(c.unified),
	}
}

// DeviceName is Device without its memory, which takes a while to be asked for.
func DeviceName() (name, not string) {
	Init("")
	device.mu.Lock()
	defer device.mu.Unlock()
	if device.not != "" {
		return "", device.not
	}
	return device.name, ""
}

// openGPU loads the library among those in dirs that fits this machine; root is where the
// machine's files are.
func openGPU(dirs []string, root string) {
	platform := gpu.ReadPlatform(root)
	device.mu.Lock()
	defer device.mu.Unlock()
	device.unified = platform.Tegra > 0
	for _, l := range platform.Choose(gpu.Find(dirs)) {
		why := cmp.Or(l.Unfit, device.guarded())
		if why == "" {
			if why = loadGPU(l.Path); why == "" {
				device.library, device.not = l.Path, ""
				var c C.struct_skerry_gpu
				C.skerry_gpu_look(&c)
				device.name = C.GoString(&c.name[0])
				return
			}
		}
		if device.not == "" { // the first is the best
			device.not = fmt.Sprintf("%s is not used: %s", l.Path, why)
		}
	}
}

// loadGPU returns why a library is of no use, "" where it is loaded.
func loadGPU(path string) string {
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	c := C.skerry_gpu_load(p)
	if c == nil {
		return ""
	}
	defer C.free(unsafe.Pointer(c))
	return strings.TrimPrefix(C.GoString(c), path+": ")
}

// bootID is another after each start of the machine.
const bootID = "/proc/sys/kernel/random/boot_id"

// GuardGPU keeps in the directory what is known of a GPU that has ended a process, as CUDA does
// where a device fails: no GPU is used then until the machine is started again, so that the next
// process is not ended too. It is to be called before Init.
func GuardGPU(dir string) {
	device.mu.Lock()
	defer device.mu.Unlock()
	boot, _ := os.ReadFile(bootID)
	device.guard = filepath.Join(dir, "gpu-failed-"+strings.TrimSpace(string(boot)))
	old, _ := filepath.Glob(filepath.Join(dir, "gpu-failed-*"))
	for _, f := range old {
		if f != device.guard {
			os.Remove(f)
		}
	}
	p := C.CString(device.guard)
	defer C.free(unsafe.Pointer(p))
	C.skerry_gpu_guard(p)
}

// guarded says why no GPU is used, "" where one may be.
func (d *deviceState) guarded() string {
	text, err := os.ReadFile(d.guard)
	if errors.Is(err, fs.ErrNotExist) || d.guard == "" {
		return ""
	}
	reason, _, _ := strings.Cut(cmp.Or(strings.TrimSpace(string(text)), "no reason given"), "\n")
	return fmt.Sprintf("a failure of the GPU has ended skerry (%s): start the machine again, or remove %s, to try it once more", reason, d.guard)
}

// lose gives the GPU up for the life of the process.
func lose(reason error) {
	device.mu.Lock()
	defer device.mu.Unlock()
	if device.not != "" {
		return
	}
	device.not = fmt.Sprintf("the GPU has failed, and the CPU computes in its place: %v: start skerry again to try it once more", reason)
	if device.tell != nil {
		device.tell(device.not)
	}
}
