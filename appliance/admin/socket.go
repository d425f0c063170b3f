package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// SystemSocket is the socket of a daemon that systemd started.
const SystemSocket = "/run/skerry/skerry.sock"

// Sockets are where a daemon may listen, in the order in which they are tried: the
// flag alone, else $SKERRY_SOCKET alone, else SystemSocket and the state
// directory's.
func Sockets(flag, state string) []string {
	if flag != "" {
		return []string{flag}
	}
	if env := os.Getenv("SKERRY_SOCKET"); env != "" {
		return []string{env}
	}
	return []string{SystemSocket, filepath.Join(state, "skerry.sock")}
}

// connectTime bounds connecting to a socket of this machine.
const connectTime = 5 * time.Second

// connect tries the sockets in turn. Of several failures the one that tells most
// is returned: a socket that is there, above one that is not.
func connect(ctx context.Context, sockets []string) (net.Conn, error) {
	var worst *Unreachable
	for _, s := range sockets {
		conn, err := connectOne(ctx, s)
		if err == nil {
			return conn, nil
		}
		if worst == nil || errors.Is(worst.Err, fs.ErrNotExist) {
			worst = &Unreachable{s, err}
		}
	}
	return nil, worst
}

// longestSocket is the longest path that the kernel takes; a longer one is reached
// through its directory.
const longestSocket = 107

func connectOne(ctx context.Context, socket string) (net.Conn, error) {
	if len(socket) > longestSocket {
		dir, err := os.Open(filepath.Dir(socket))
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		socket = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(socket))
	}
	d := net.Dialer{Timeout: connectTime}
	return d.DialContext(ctx, "unix", socket)
}

// DialOwner is a client of the daemon that has the database of that path, nil where none at
// the sockets has, and the name of its model.
func DialOwner(ctx context.Context, database string, sockets []string) (*Client, string) {
	for _, socket := range sockets {
		d := Dial(socket)
		if s, err := d.Status(ctx); err == nil && samePath(s.Storage.Path, database) {
			if s.Model == nil {
				return d, ""
			}
			return d, s.Model.Name
		}
		d.Close()
	}
	return nil, ""
}

// samePath reports whether two paths lead to the same file.
func samePath(a, b string) bool {
	real := func(path string) string {
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			path = filepath.Join(dir, filepath.Base(path))
		}
		return path
	}
	return real(a) == real(b)
}
