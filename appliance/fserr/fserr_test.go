package fserr

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// mounted is a small file system of the test's own.
func mounted(t *testing.T, options string, flags uintptr) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		t.Skipf("no file system can be mounted: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, 0) })
	return dir
}

// as runs f as another user, in a thread that ends with it.
func as(t *testing.T, uid int, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: nobody else gets the thread
		_, _, no := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0))
		if no != 0 {
			done <- no
			return
		}
		f()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Skip(err)
	}
}

func has(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%v\nlacks %q", err, w)
		}
	}
}

func TestReadOnlyAndFull(t *testing.T) {
	ro := mounted(t, "size=1m", unix.MS_RDONLY)
	err := os.Mkdir(filepath.Join(ro, "a"), 0o700)
	got := Explain(fmt.Errorf("database: %w", err), "", "choose another")
	has(t, got, "database: mkdir ", "the file system at "+ro+" is read-only for this process: mount it writable, or choose another")
	if !errors.Is(got, unix.EROFS) {
		t.Errorf("%v is no EROFS", got)
	}
	if again := Explain(fmt.Errorf("and so: %w", got), "", "do more"); strings.Contains(again.Error(), "do more") {
		t.Errorf("explained twice: %v", again)
	}

	full := mounted(t, "size=64k", 0)
	err = os.WriteFile(filepath.Join(full, "a"), make([]byte, 1<<20), 0o600)
	has(t, Explain(err, "", ""), "the file system at "+full+" is full (0 B of 66 kB are free): free some space")
	has(t, Explain(unix.ENOSPC, filepath.Join(full, "not", "there"), ""), "the file system at "+full+" is full")

	few := mounted(t, "nr_inodes=3", 0)
	for i := range 5 {
		err = os.WriteFile(filepath.Join(few, fmt.Sprint(i)), nil, 0o600)
	}
	has(t, Explain(err, "", ""), "no inodes are free")
	has(t, Explain(unix.EDQUOT, few, ""), "quota")
}

func TestDenied(t *testing.T) {
	const stranger = 65534
	// Not t.TempDir, which the stranger may not enter.
	dir, err := os.MkdirTemp("/tmp", "fserr")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "file")
	own := filepath.Join(dir, "own")
	for _, err := range []error{
		os.Chmod(dir, 0o755), os.WriteFile(file, nil, 0o600), os.Mkdir(own, 0o500), os.Mkdir(filepath.Join(dir, "closed"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(own, stranger, stranger); err != nil {
		t.Skip(err)
	}
	as(t, stranger, func() {
		_, err := os.OpenFile(file, os.O_RDWR, 0)
		has(t, Explain(err, "", "name another"), file+" belongs to root (-rw-------), and this runs as ", "run it as root", ", or name another")
		err = os.MkdirAll(filepath.Join(dir, "closed", "a", "b"), 0o700)
		has(t, Explain(err, "", ""), filepath.Join(dir, "closed")+" belongs to root (drwx------)")
		err = os.Mkdir(filepath.Join(dir, "new"), 0o700)
		has(t, Explain(err, "", ""), dir+" belongs to root (drwxr-xr-x)")
		err = os.Mkdir(filepath.Join(own, "new"), 0o700)
		has(t, Explain(err, "", ""), own+" is dr-x------, whose owner is this user: chmod u+rwX "+own)
		err = &os.PathError{Op: "unlink", Path: "/tmp", Err: unix.EPERM} // though its mode allows it
		has(t, Explain(err, "", ""), "see what else forbids it")
	})
}

func TestFileForDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	has(t, Explain(os.MkdirAll(filepath.Join(file, "a", "b"), 0o700), "", "name another"), file+" is a file and no directory: check the path, or name another")
}

// What is no matter of a file system stays as it is.
func TestOthers(t *testing.T) {
	_, full := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	for _, err := range []error{
		nil, full, errors.New("other"), os.ErrNotExist, unix.ECONNREFUSED,
		&os.PathError{Op: "write", Path: "/dev/stdout", Err: unix.ENOSPC}, New(unix.ENOSPC),
	} {
		if got := Explain(err, "", "x"); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}
