package admin

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

	"skerry/appliance/status"
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

// Code says what kind of error an Error is, for programs. It travels beside the message.
type Code string

// The codes of this package; httpd has others of its own, for what it does not let in.
const (
	CodeBadRequest  Code = "bad_request"
	CodeNotFound    Code = "not_found"
	CodeConflict    Code = "conflict"
	CodeRefused     Code = "refused"
	CodeUnconfirmed Code = "unconfirmed" // an order to end something, without its confirmation
	CodeUnavailable Code = "unavailable" // what is asked for does not run
	CodeInternal    Code = "internal"
	CodeTooLong     Code = "context_length_exceeded" // a prompt, as the model API calls it
)

// codes are how the errors of a Daemon or a cloud travel: each as a code, and as a status
// of HTTP for clients that know no codes.
var codes = []struct {
	err    error
	code   Code
	status int
}{
	{ErrBadRequest, CodeBadRequest, http.StatusBadRequest},
	{ErrNotFound, CodeNotFound, http.StatusNotFound},
	{ErrConflict, CodeConflict, http.StatusConflict},
	{ErrRefused, CodeRefused, http.StatusForbidden},
	{ErrRefused, CodeUnconfirmed, http.StatusForbidden},
	{ErrUnavailable, CodeUnavailable, http.StatusServiceUnavailable},
}

// Error is a request that was understood and not carried out.
type Error struct {
	Code    Code
	Message string // one line that says what to do next
	Status  int    // of HTTP
}

func (e *Error) Error() string { return e.Message }

// Is has an error match the one that its code stands for.
func (e *Error) Is(target error) bool {
	for _, c := range codes {
		if c.code == e.Code && c.err == target {
			return true
		}
	}
	return false
}

// asError gives an error of the other end the code and the status with which it travels.
func asError(err error) *Error {
	e := &Error{Code: CodeInternal, Message: status.OneLine(err), Status: http.StatusInternalServerError}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			e.Code, e.Status = c.code, c.status
			break
		}
	}
	return e
}

// refusal reads the error in a response.
func refusal(resp *http.Response) *Error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var f failure
	if json.Unmarshal(body, &f) != nil || f.Error.Message == "" {
		f.Error.Message = cmp.Or(strings.Join(strings.Fields(string(body)), " "), "the daemon says "+resp.Status)
	}
	return &Error{f.Error.Code, f.Error.Message, resp.StatusCode}
}

// IsUnreachable says whether err is that no daemon answers.
func IsUnreachable(err error) bool { return errors.As(err, new(*Unreachable)) }
