package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// ready is what the child writes to its status pipe when nothing but the program is left to
// start; anything else there is an error.
const ready = "ready"

// statusFD is the number of that pipe in the child.
const statusFD = 3

// Enter reads an order from in, confines this process and turns it into the interpreter. It
// returns only where that fails, and the parent then has the error as well. It wants to be
// called first thing in a process that Run started.
func Enter(in io.Reader) error {
	runtime.LockOSThread() // capabilities are of a thread, and this one execs
	unix.CloseOnExec(statusFD)
	err := enter(in)
	io.WriteString(os.NewFile(statusFD, "status"), err.Error())
	return err
}

func enter(in io.Reader) error {
	var o order
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		return fmt.Errorf("what to run cannot be read: %w", err)
	}
	// The program has nothing to read.
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	if err := unix.Dup3(int(null.Fd()), 0, 0); err != nil {
		return fmt.Errorf("stdin: %w", err)
	}
	if o.Dir == "" {
		err = o.confine()
	} else if err = os.Chdir(o.Dir); err == nil {
		err = os.WriteFile(program, []byte(o.Program), 0o400)
	}
	if err != nil {
		return err
	}
	// Neither a set-user-id file nor a file with capabilities gives any from here on.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	if _, err := unix.FcntlInt(statusFD, unix.F_SETFD, 0); err != nil { // the interpreter is to have it
		return err
	}
	return unix.Exec(o.Python.Path, interpreter("-c", o.limits()), nil)
}

// interpreter is the command line of Python without the user's modules, packages of the site
// and files of byte code.
func interpreter(args ...string) []string {
	return append([]string{"python3", "-I", "-S", "-B"}, args...)
}

// limits is a program that sets the resource limits, tells that all walls stand, and starts
// the interpreter anew with the program that is judged. This process could not set them
// itself: the Go runtime may start a thread at any time, and dies where it gets none.
func (o order) limits() string {
	processes := o.Limits.Processes
	if o.Dir != "" {
		processes = max(processes, unconfinedProcesses)
	}
	args := interpreter(program)
	return fmt.Sprintf(`import os
try:
    import resource
    for of, most in (("CORE", 0), ("CPU", %d), ("FSIZE", %d), ("NOFILE", %d), ("NPROC", %d), ("AS", %d)):
        resource.setrlimit(getattr(resource, "RLIMIT_" + of), (most, most))
    os.set_inheritable(%d, False)
    os.write(%[6]d, b"%s")
    os.execve(%q, "%s".split(), {})
except BaseException as e:
    os.write(%[6]d, str(e).encode())
    os._exit(1)
`, o.Limits.Processor, o.Limits.File, o.Limits.Files, processes, o.Limits.Memory, statusFD, ready, o.Python.Path, strings.Join(args, " "))
}

// program is the file that is run, in the working directory.
const program = "task.py"

// root is where the file system that the program sees is put together: a directory that
// every machine has. What was there before is hidden from this process alone.
const root = "/tmp"

// system are the directories and files of a machine that an interpreter may need.
var system = []string{"/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/zero", "/dev/urandom"}

// confine gives this process, which is alone in its namespaces, a file system of its own and
// takes away what would let it leave that.
func (o order) confine() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("a mount namespace: %w", err)
	}
	if err := unix.Mount("skerry", root, "tmpfs", unix.MS_NOSUID, "size=64k,mode=755"); err != nil {
		return fmt.Errorf("a file system in memory: %w", err)
	}
	for _, path := range append(system, o.Python.Dirs...) {
		if err := show(path); err != nil {
			return fmt.Errorf("%s in the file system of the program: %w", path, err)
		}
	}
	work := filepath.Join(root, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	readOnly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}
	if err := unix.MountSetattr(-1, root, unix.AT_RECURSIVE, &readOnly); err != nil {
		return fmt.Errorf("a file system that can only be read (Linux 5.12 has it): %w", err)
	}
	if err := unix.Mount("skerry", work, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("size=%d,nr_inodes=256,mode=755", o.Limits.Disk)); err != nil {
		return fmt.Errorf("a working directory in memory: %w", err)
	}
	if err := os.WriteFile(filepath.Join(work, program), []byte(o.Program), 0o400); err != nil {
		return err
	}
	// Without capabilities nobody leaves a changed root, and no user namespace is given to
	// whoever is in one.
	if err := unix.Chroot(root); err != nil {
		return fmt.Errorf("a root directory of its own: %w", err)
	}
	if err := os.Chdir("/work"); err != nil {
		return err
	}
	return dropCapabilities()
}

// show makes a file or a directory of this machine appear at the same path below root. One
// that is missing is left out, and a symbolic link is copied as it is.
func show(path string) error {
	at := filepath.Join(root, path)
	stat, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if _, err := os.Lstat(at); err == nil {
		return nil // within one that is shown
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	switch {
	case stat.Mode()&os.ModeSymlink != 0:
		to, err := os.Readlink(path)
		if err == nil {
			err = os.Symlink(to, at)
		}
		return err
	case stat.IsDir():
		err = os.Mkdir(at, 0o755)
	default:
		err = os.WriteFile(at, nil, 0o644)
	}
	if err != nil {
		return err
	}
	return unix.Mount(path, at, "", unix.MS_BIND|unix.MS_REC, "")
}

// dropCapabilities leaves the interpreter none: those that root has on exec are those of the
// bounding set.
func dropCapabilities() error {
	for c := uintptr(0); c <= 63; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); errors.Is(err, unix.EINVAL) {
			break // there are no more
		} else if err != nil {
			return fmt.Errorf("dropping capability %d: %w", c, err)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("dropping capabilities: %w", err)
	}
	return nil
}

// unconfinedProcesses is at least the limit on processes of an unconfined program: all others
// of its user count as well.
const unconfinedProcesses = 4096
