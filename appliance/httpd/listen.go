package httpd

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"skerry/appliance/httpd/match"
)

// open makes the listeners of Options, each behind a gate of its kind.
func (s *Server) open() error {
	o := s.opt
	gates := map[Via]*gate{
		Socket:   newGate(o.Connections, 0, o.WriteStall, time.Now),
		Loopback: newGate(o.Connections, 0, o.WriteStall, time.Now),
		LAN:      newGate(o.Connections, o.ClientConnections, o.WriteStall, time.Now),
	}
	add := func(l net.Listener) {
		via := LAN
		if l.Addr().Network() == "unix" {
			via = Socket
		} else if o.Loopback(l.Addr()) {
			via = Loopback
		}
		s.listeners = append(s.listeners, &listener{Listener: l, via: via, gate: gates[via], tls: via == LAN && s.cert != nil})
	}
	var tcp, unix bool
	for _, l := range o.Inherited {
		add(l)
		if l.Addr().Network() == "unix" {
			unix = true
		} else {
			tcp = true
		}
	}
	if !tcp {
		for _, a := range o.Listen {
			l, err := listenTCP(a, "choose another with --listen HOST:PORT")
			if err != nil {
				return err
			}
			add(l)
		}
	}
	for _, a := range o.OllamaListen {
		l, err := listenTCP(a, "Ollama itself, if it runs here; or choose another as ollama_listen")
		if err != nil {
			return err
		}
		add(l)
	}
	if o.Socket != "" && !unix {
		l, err := ListenSocket(o.Socket, 0o660)
		switch {
		case err == nil:
			add(l)
		case errors.Is(err, errServed):
			return err
		default:
			o.Log.Error("the command line cannot reach this daemon: there is no socket", "err", err)
		}
	}
	if len(s.listeners) == 0 {
		return errors.New("there is nothing to listen on: set listen or socket")
	}
	return nil
}

func listenTCP(addr, hint string) (net.Listener, error) {
	at, err := match.Listen(addr)
	if err != nil {
		return nil, fmt.Errorf("listening on %q: %w", addr, err)
	}
	l, err := net.Listen("tcp", at)
	if err == nil {
		return l, nil
	}
	host, port, _ := net.SplitHostPort(addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %s is in use by another program: stop that (ss -ltnp names it), %s", port, hint)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s is not an address of this machine: %s", host, hint)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("only root may listen on port %s: %s", port, hint)
	}
	return nil, fmt.Errorf("listening on %s: %w", addr, err)
}

// maxSocket is the longest path of a unix socket that the kernel takes.
const maxSocket = 107

// errServed is that a daemon serves on the socket already.
var errServed = errors.New("another skerry is running there: stop it, or give this one a state directory of its own with --state")

// ListenSocket makes a unix socket of a mode, as 0660. It is made under another name and
// renamed, so that nobody connects before the mode is right, and so that one which
// a killed daemon has left is replaced in one step. One that somebody answers on
// stays, and is an error.
func ListenSocket(path string, mode fs.FileMode) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(path)) // a name within it is short
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	at := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	temp := fmt.Sprintf("%s.%d", at, os.Getpid())
	if len(temp) > maxSocket {
		return nil, fmt.Errorf("socket %s: the name of the file is too long", path)
	}
	if info, err := os.Lstat(at); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("%s exists and is not a socket: move it away, or set another path as socket", path)
		}
		if c, err := net.DialTimeout("unix", at, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("socket %s: %w", path, errServed)
		} else if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("socket %s exists and cannot be used: %w", path, errors.Unwrap(err))
		}
	}
	os.Remove(temp)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temp, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, errors.Unwrap(err))
	}
	l.SetUnlinkOnClose(false)
	info, err := os.Lstat(temp)
	if err := errors.Join(err, os.Chmod(temp, mode), os.Rename(temp, at)); err != nil {
		l.Close()
		os.Remove(temp)
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	return &socket{UnixListener: l, path: path, info: info}, nil
}

// socket removes its file when it closes, unless the file is another's by then.
type socket struct {
	*net.UnixListener
	path string
	info os.FileInfo
}

func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

func (s *socket) Close() error {
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.info) {
		os.Remove(s.path)
	}
	return s.UnixListener.Close()
}

// urls under which a TCP listener is reached; a wildcard's by the addresses of the
// interfaces that are up.
func urls(l *listener) []string {
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return nil
	}
	scheme := "http"
	if l.tls {
		scheme = "https"
	}
	ips := []net.IP{a.IP}
	if a.IP.IsUnspecified() {
		ips = nil
		all, _ := net.InterfaceAddrs() // none: nothing is said
		for _, i := range all {
			if n, ok := i.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
				ips = append(ips, n.IP)
			}
		}
	}
	var s []string
	for _, ip := range ips {
		host := ip.String()
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		s = append(s, fmt.Sprintf("%s://%s:%d/", scheme, host, a.Port))
	}
	return s
}
