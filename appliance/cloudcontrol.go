package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// controlSocket is where a running cloud takes orders from the operator, in its
// state directory: only the process that serves has the database open. One
// connection, one order, one outcome, each a JSON value.
const controlSocket = "cloud.sock"

// controlTime bounds an order.
const controlTime = 30 * time.Second

// errNoCloud says that no cloud runs on a state directory.
var errNoCloud = errors.New("no cloud is running")

// socketPath is a path of the socket short enough for the kernel, which takes
// 107 bytes, wherever the directory lies. It holds while dir is open.
func socketPath(state string) (path string, dir *os.File, err error) {
	if dir, err = os.Open(state); err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), controlSocket), dir, nil
}

// controlServer carries out orders.
type controlServer struct {
	ln  *net.UnixListener
	dir *os.File
	do  func(order) outcome
	wg  sync.WaitGroup
}

// serveControl takes orders until close. The caller has the database, so that a
// socket that is there already is of a cloud that died.
func serveControl(state string, do func(order) outcome) (*controlServer, error) {
	path, dir, err := socketPath(state)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(state, controlSocket)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		dir.Close()
		return nil, err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		err = os.Chmod(path, 0o600) // until then the umask keeps others from writing
	}
	if err != nil {
		if ln != nil {
			ln.Close()
		}
		dir.Close()
		return nil, fmt.Errorf("control socket in %s: %w", state, err)
	}
	s := &controlServer{ln: ln, dir: dir, do: do}
	s.wg.Go(func() {
		for {
			c, err := ln.AcceptUnix()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.serve(c) })
		}
	})
	return s, nil
}

func (s *controlServer) serve(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(controlTime))
	var o order
	if json.NewDecoder(io.LimitReader(c, 1<<20)).Decode(&o) == nil {
		json.NewEncoder(c).Encode(s.do(o))
	}
}

func (s *controlServer) close() {
	s.ln.Close() // removes the socket
	s.wg.Wait()
	s.dir.Close()
}

// askCloud sends an order to the cloud that runs on state; errNoCloud where
// none does.
func askCloud(state string, o order) (out outcome, err error) {
	path, dir, err := socketPath(state)
	if errors.Is(err, fs.ErrNotExist) {
		return out, errNoCloud
	}
	if err != nil {
		return out, err
	}
	defer dir.Close()
	ctx, cancel := context.WithTimeout(context.Background(), controlTime)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return out, errNoCloud
	}
	if errors.Is(err, fs.ErrPermission) {
		return out, fmt.Errorf("it runs as another user: %w (run this as that user, or with sudo)", fs.ErrPermission)
	}
	if err != nil {
		return out, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(controlTime))
	if err = json.NewEncoder(c).Encode(o); err == nil {
		err = json.NewDecoder(c).Decode(&out)
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("it stopped before it answered: try again")
	}
	return out, err
}
