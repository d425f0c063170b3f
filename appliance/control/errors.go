package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Unreachable says that no daemon answers at the socket.
type Unreachable struct {
	Socket string
	Err    error
}

func (e *Unreachable) Error() string { return e.What() + ": " + e.Do() }

// What is wrong.
func (e *Unreachable) What() string {
	switch {
	case errors.Is(e.Err, fs.ErrPermission):
		return "no permission for the daemon's socket " + e.Socket
	case e.NotRunning():
		return "the daemon is not running"
	}
	return fmt.Sprintf("the daemon at %s does not answer (%v)", e.Socket, e.Err)
}

// Do is what to do about it.
func (e *Unreachable) Do() string {
	switch {
	case errors.Is(e.Err, fs.ErrPermission):
		return admission(e.Socket)
	case e.NotRunning():
		return "start it with `systemctl start skerry`, or `skerry serve`"
	}
	return "look at it with `systemctl status skerry`, or `journalctl -u skerry`"
}

// NotRunning says that nobody listens, as against a daemon that does not let this
// user in or does not answer.
func (e *Unreachable) NotRunning() bool {
	return errors.Is(e.Err, fs.ErrNotExist) || errors.Is(e.Err, syscall.ECONNREFUSED)
}

func (e *Unreachable) Unwrap() error { return e.Err }

// admission says how to get the right to use a socket.
func admission(socket string) string {
	fi, err := os.Stat(socket)
	if errors.Is(err, fs.ErrPermission) { // its directory is the group's, too
		fi, err = os.Stat(filepath.Dir(socket))
	}
	if err != nil {
		return "run this with sudo"
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || st.Gid == 0 {
		return "run this with sudo"
	}
	group := strconv.Itoa(int(st.Gid))
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Sprintf("join its group with `sudo usermod -aG %s $USER` and log in again, or run this with sudo", group)
}

// why says what a failed request means.
func (c *Client) why(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if u := (*Unreachable)(nil); errors.As(err, &u) {
		return u
	}
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	return &Unreachable{c.sockets[0], err}
}

// Refused is what the daemon says where it does not do what was asked.
type Refused struct {
	Status  int // of HTTP
	Code    string
	Message string
}

func (e *Refused) Error() string { return e.Message }

// Is has a refusal match the error of the Daemon that it came from.
func (e *Refused) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrConflict:
		return e.Status == http.StatusConflict
	case ErrRefused:
		return e.Status == http.StatusForbidden
	}
	return false
}

func refused(resp *http.Response) *Refused {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var f refusal
	if json.Unmarshal(body, &f) != nil || f.Error.Message == "" {
		f.Error.Message = cmp.Or(strings.Join(strings.Fields(string(body)), " "), "the daemon says "+resp.Status)
	}
	return &Refused{resp.StatusCode, f.Error.Code, f.Error.Message}
}
