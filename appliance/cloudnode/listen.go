package cloudnode

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"

	"skerry/appliance/admin"
	"skerry/cloudlink"
	"skerry/cloudlink/fleet"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
	"skerry/systemd"
)

// socketName is that of the sockets in skerry-cloud.socket.
const socketName = "cloud"

// front is where a serving cloud meets boards and its operator: with certificates of its
// own anywhere, with development certificates on loopback alone.
type front struct {
	ln       cloudlink.Listener
	devices  partition.Devices // nil: development
	registry *registry         // nil: development
	member   *member           // nil: there are no other workers
	state    string
	control  *admin.OperationServer
	drained  chan struct{} // closed by the operator's command; nil: nobody can say it
}

// ticketStore keeps the keys of session tickets.
type ticketStore interface {
	TicketKeys() ([][32]byte, error)
	PutTicketKeys([][32]byte) error
}

// openFront listens for boards, on a socket of systemd's where it has opened one and the
// options name no address.
func openFront(o Options, given systemd.Sockets) (_ *front, err error) {
	f := &front{state: o.State}
	sock, stream := given.First(socketName)
	if err := o.Worker.adopt(o.State); err != nil {
		return nil, err
	}
	if o.Development || !trust.Initialized(o.State) {
		if sock != nil {
			return nil, fmt.Errorf("systemd has opened %s to other machines, and there are no certificates in %s: make them with skerry-cloud init, or systemctl disable --now skerry-cloud.socket", sock.LocalAddr(), o.State)
		}
		addr := cmp.Or(o.Listen, net.JoinHostPort("127.0.0.1", strconv.Itoa(DefaultPort)))
		f.ln, err = cloudlink.ListenDev(addr, filepath.Join(o.State, "dev"))
		if errors.Is(err, cloudlink.ErrNotLoopback) {
			err = fmt.Errorf("%w; `skerry cloud init` makes those", err)
		}
		return f, err
	}
	var store *DeviceStore
	if f.registry, store, err = openRegistry(o.State, o.Log); err != nil {
		return nil, err
	}
	f.devices = store
	var tickets ticketStore = store
	if len(o.Worker.Fleet) > 0 {
		if f.member, err = joinFleet(o, f.registry, store); err != nil {
			f.registry.Close()
			return nil, err
		}
		f.registry.Registrar.Store, f.registry.member, tickets, f.devices = f.member.store, f.member, f.member.store, f.member.store
	}
	secret, err := f.registry.Authority.Secret("skerry stateless reset")
	opt := cloudlink.ListenOptions{TicketKeys: tickets, ResetSecret: secret, Log: o.Log, Windows: min(o.memory(), 1<<30) / 4}
	switch {
	case err != nil:
	case sock != nil && o.Listen == "":
		f.ln, err = opt.ListenOnBoth(sock, stream, f.registry.TLS())
	default:
		f.ln, err = opt.Listen(cmp.Or(o.Listen, ":"+strconv.Itoa(DefaultPort)), f.registry.TLS())
	}
	if err != nil {
		f.leave()
		f.registry.Close()
		return nil, err
	}
	f.registry.listen = f.ln.Addr().String()
	f.ln = cloudlink.WithEnrolment(f.ln, f.registry)
	return f, nil
}

// operate lets the operator's commands in, which may end connections of server.
func (f *front) operate(server *partition.Server) (err error) {
	if f.registry == nil {
		return nil
	}
	f.drained = make(chan struct{})
	f.registry.Dropped, f.registry.server, f.registry.drain = server.Disconnect, server, sync.OnceFunc(func() { close(f.drained) })
	f.control, err = serveControl(f.state, f.registry)
	return err
}

// offer is the update that a board is told of. What cannot be read is not told.
func (f *front) offer(device string) *wire.Offer {
	if f.registry == nil {
		return nil
	}
	o, err := f.registry.store.Offer(device, f.registry.ready)
	if err != nil {
		f.registry.Log.Warn("an update is not offered", "device", device, "error", err)
	}
	return o
}

func (f *front) close() {
	if f.control != nil {
		f.control.Close()
	}
	f.ln.Close()
	f.leave()
	if f.registry != nil {
		f.registry.Close()
	}
}

// leave leaves the other workers, where there are any.
func (f *front) leave() {
	if f.member != nil {
		f.member.close()
	}
}

// owners say which boards are this worker's, nil where there are no others.
func (f *front) owners() partition.Owners {
	if f.member == nil {
		return nil
	}
	return fleet.Owners{Fleet: f.member.fleet}
}

// quotas give out what a board may have of all workers together, nil where there are no others.
func (f *front) quotas() partition.Quotas {
	if f.member == nil {
		return nil
	}
	return fleet.Owners{Fleet: f.member.fleet}
}
