package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"

	"skerry/cloudlink"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/trust"
	"skerry/systemd"
)

// cloudSocket is the name of the sockets in skerry-cloud.socket.
const cloudSocket = "cloud"

// cloudFront is where a serving cloud meets boards and its operator: with
// certificates of its own anywhere, with development certificates on loopback
// alone.
type cloudFront struct {
	ln      cloudlink.Listener
	devices partition.Devices // nil: development
	desk    *cloudDesk
	state   string
	control *controlServer
}

func (c *cloudServeCmd) front(state string, log *slog.Logger, given systemd.Sockets) (_ *cloudFront, err error) {
	f := &cloudFront{state: state}
	sock, stream := given.First(cloudSocket)
	if c.Attached || !trust.Initialized(state) {
		if sock != nil {
			return nil, fmt.Errorf("systemd has opened %s to other machines, and there are no certificates in %s: make them with skerry-cloud init, or systemctl disable --now skerry-cloud.socket", sock.LocalAddr(), state)
		}
		addr := cmp.Or(c.Listen, net.JoinHostPort("127.0.0.1", strconv.Itoa(cloudPort)))
		f.ln, err = cloudlink.ListenDev(addr, filepath.Join(state, "dev"))
		if errors.Is(err, cloudlink.ErrNotLoopback) {
			err = fmt.Errorf("%w; `skerry cloud init` makes those", err)
		}
		return f, err
	}
	var book cloudBook
	if f.desk, book, err = openDesk(state, log); err != nil {
		return nil, err
	}
	f.devices = book
	secret, err := f.desk.Authority.Secret("skerry stateless reset")
	opt := cloudlink.ListenOptions{TicketKeys: book, ResetSecret: secret, Log: log}
	switch {
	case err != nil:
	case sock != nil && c.Listen == "":
		f.ln, err = opt.ListenOnBoth(sock, stream, f.desk.TLS())
	default:
		f.ln, err = opt.Listen(cmp.Or(c.Listen, ":"+strconv.Itoa(cloudPort)), f.desk.TLS())
	}
	if err != nil {
		f.desk.close()
		return nil, err
	}
	f.desk.listen = f.ln.Addr().String()
	f.ln = cloudlink.WithEnrolment(f.ln, f.desk)
	return f, nil
}

// open takes orders from the operator, which may end connections of server.
func (f *cloudFront) open(server *partition.Server) (err error) {
	if f.desk == nil {
		return nil
	}
	f.desk.Dropped, f.desk.evict = server.Disconnect, server.Evict
	f.desk.load = func() cloudLoad { return cloudLoad{Stats: server.Stats(), Devices: server.Devices()} }
	f.control, err = serveControl(f.state, f.desk.do)
	return err
}

func (f *cloudFront) close() {
	if f.control != nil {
		f.control.close()
	}
	f.ln.Close()
	if f.desk != nil {
		f.desk.close()
	}
}
