// Package fserr says what an error of a file system means: a full disk, a file system
// that is mounted read-only, a directory that belongs to somebody else. The kernel's words
// name the file that was to be written, and seldom what is in the way.
package fserr

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"skerry/appliance/status"
)

// Error is an error with its explanation.
type Error struct {
	err     error
	meaning string
}

// New is an error that explains itself already.
func New(err error) *Error { return &Error{err: err} }

func (e *Error) Error() string {
	if e.meaning == "" {
		return e.err.Error()
	}
	return e.err.Error() + ": " + e.meaning
}

// Unwrap returns the error without its explanation.
func (e *Error) Unwrap() error { return e.err }

// Explain adds to an error of the file system what is in the way and what to do, in place
// of which one may do what other says ("" for nothing). It returns other errors, and those
// explained before, as they are. The file is the error's own, else the one at path.
func Explain(err error, path, other string) error {
	var done *Error
	if err == nil || errors.As(err, &done) {
		return err
	}
	if own := pathOf(err); own != "" {
		path = own
	}
	if !filepath.IsAbs(path) {
		if path, _ = filepath.Abs(path); path == "" {
			return err
		}
	}
	if strings.HasPrefix(path, "/dev/") || strings.HasPrefix(path, "/proc/") {
		return err // what lies behind it is another file
	}
	var what, do string
	switch {
	case errors.Is(err, unix.EROFS):
		what, do = "the file system at "+mountOf(path)+" is read-only for this process", "mount it writable"
	case errors.Is(err, unix.ENOSPC):
		what, do = full(mountOf(path)), "free some space"
	case errors.Is(err, unix.EDQUOT):
		what, do = fmt.Sprintf("the disk quota of %s at %s is used up", self(), mountOf(path)), "free some space"
	case errors.Is(err, unix.EFBIG):
		what, do = "no file may be that large there", "raise the limit (ulimit -f)"
	case errors.Is(err, fs.ErrPermission):
		what, do = denied(path)
	case errors.Is(err, unix.ENOTDIR):
		what, do = existing(path)+" is a file and no directory", "check the path"
	default:
		return err
	}
	if other != "" {
		do += ", or " + other
	}
	return &Error{err, what + ": " + do}
}

// Below reports whether err is about dir or a file below it.
func Below(err error, dir string) bool {
	path, e := filepath.Abs(pathOf(err))
	if e != nil || pathOf(err) == "" {
		return false
	}
	dir, e = filepath.Abs(dir)
	rel, e2 := filepath.Rel(dir, path)
	return e == nil && e2 == nil && filepath.IsLocal(rel)
}

// pathOf is the file that an error is about, "" where it does not say.
func pathOf(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Path
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.New
	}
	return ""
}

// existing is the path, or its nearest parent that there is.
func existing(path string) string {
	for {
		if _, err := os.Lstat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// mountOf is where the file system that a path lies on is mounted.
func mountOf(path string) string {
	path = existing(path)
	var st, up unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return path
	}
	for dir := filepath.Dir(path); dir != path && unix.Stat(dir, &up) == nil && up.Dev == st.Dev; dir = filepath.Dir(path) {
		path = dir
	}
	return path
}

func full(mount string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(mount, &st); err != nil {
		return "the file system at " + mount + " is full"
	}
	if st.Files > 0 && st.Ffree == 0 {
		return "the file system at " + mount + " has no room for another file (no inodes are free)"
	}
	block := uint64(st.Bsize)
	return fmt.Sprintf("the file system at %s is full (%s of %s are free)", mount, status.Bytes(st.Bavail*block), status.Bytes(st.Blocks*block))
}

// denied says what forbids the path: the first directory that may not be entered, else
// what there is of it.
func denied(path string) (what, do string) {
	at := "/"
	for _, part := range strings.Split(strings.Trim(path, "/"), "/") {
		if unix.Faccessat(unix.AT_FDCWD, at, unix.X_OK, unix.AT_EACCESS) != nil {
			break
		}
		next := filepath.Join(at, part)
		if _, err := os.Stat(next); errors.Is(err, fs.ErrNotExist) {
			break
		}
		at = next
	}
	var st unix.Stat_t
	info, err := os.Stat(at)
	if err != nil || unix.Stat(at, &st) != nil {
		return "this runs as " + self(), "run it as the owner of " + at
	}
	mode := info.Mode().String()
	switch owner := nameOf(int(st.Uid)); {
	case unix.Faccessat(unix.AT_FDCWD, at, needed(info), unix.AT_EACCESS) == nil:
		return fmt.Sprintf("the mode of %s (%s) would allow it", at, mode), "see what else forbids it (lsattr, a security module, the unit's settings)"
	case int(st.Uid) != os.Geteuid():
		return fmt.Sprintf("%s belongs to %s (%s), and this runs as %s", at, owner, mode, self()),
			fmt.Sprintf("run it as %s, give the user %s the right to it", owner, self())
	default:
		return fmt.Sprintf("%s is %s, whose owner is this user", at, mode), "chmod u+rwX " + at
	}
}

// needed is what has to be allowed to work with a file.
func needed(info fs.FileInfo) uint32 {
	if info.IsDir() {
		return unix.R_OK | unix.W_OK | unix.X_OK
	}
	return unix.R_OK | unix.W_OK
}

func self() string { return nameOf(os.Geteuid()) }

// nameOf is a user's name, else the number.
func nameOf(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return fmt.Sprintf("user %d", uid)
}
