package systemd

import (
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/coreos/go-systemd/v22/activation"
)

// Sockets are those that systemd has opened for this process, by the
// FileDescriptorName of their unit.
type Sockets struct {
	Streams   map[string][]net.Listener   // TCP and unix
	Datagrams map[string][]net.PacketConn // UDP
}

// files takes the descriptors over; the environment that names them is unset by
// the first call, and so it can be done once only.
var files = sync.OnceValue(activation.FilesWithNames)

// Inherit returns the sockets of this process, none where it was not started by a
// socket unit. It may be called once.
func Inherit() (Sockets, error) { return sorted(files()) }

func sorted(files map[string][]*os.File) (s Sockets, err error) {
	s.Streams, s.Datagrams = map[string][]net.Listener{}, map[string][]net.PacketConn{}
	for name, list := range files {
		for _, f := range list {
			if l, e := net.FileListener(f); e == nil {
				s.Streams[name] = append(s.Streams[name], l)
			} else if p, e := net.FilePacketConn(f); e == nil {
				s.Datagrams[name] = append(s.Datagrams[name], p)
			} else {
				err = fmt.Errorf("systemd handed over a descriptor named %q that is no socket to listen on: %w", name, e)
			}
			f.Close() // both have made a copy
		}
	}
	return s, err
}

// First returns the first datagram and the first stream socket of that name, nil
// for none.
func (s Sockets) First(name string) (net.PacketConn, net.Listener) {
	var d net.PacketConn
	var l net.Listener
	if list := s.Datagrams[name]; len(list) > 0 {
		d = list[0]
	}
	if list := s.Streams[name]; len(list) > 0 {
		l = list[0]
	}
	return d, l
}
