package cloudnode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"skerry/appliance/admin"
	"skerry/cloudlink/fleet"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/trust"
	"skerry/storage"
)

// Operator is whatever the operator of a cloud may have done with it and its devices.
type Operator interface {
	// Invite makes codes with which boards enroll.
	Invite(context.Context, InviteRequest) ([]trust.Invitation, error)
	// Invites lists the invitations that a board can still use, or all of the last month.
	Invites(ctx context.Context, all bool) ([]Invite, error)
	// Withdraw takes the open invitations back that what names: an ID, a code, or the
	// name of a board.
	Withdraw(ctx context.Context, what string) ([]Invite, error)
	// Devices lists the boards that were ever enrolled.
	Devices(context.Context) ([]Device, error)
	// Revoke bars a device, at once.
	Revoke(ctx context.Context, device string) error
	// Renew makes a new certificate for the server, for names; none keeps its names.
	Renew(ctx context.Context, names []string) error
	// Evict frees the contexts of a device, of all for "", and returns how many.
	Evict(ctx context.Context, device string) (int, error)
	// Drain has the cloud finish what boards wait for, and end. An error wraps ErrNotRunning
	// where none runs.
	Drain(context.Context) error
	// Update changes what boards are offered, and returns that. An error wraps ErrUpdate
	// or trust.ErrUnknown.
	Update(context.Context, UpdateRequest) ([]UpdateOffer, error)
	// Load is what the cloud holds and computes. The errors of Evict and Load wrap
	// ErrNotRunning where no cloud runs.
	Load(context.Context) (*Load, error)
	Close()
}

// InviteRequest asks for codes.
type InviteRequest struct {
	Name  string           `json:"name,omitempty"` // of the board; "": as it calls itself. A number follows where Count is above 1
	May   trust.Disclosure `json:"may,omitempty"`
	Life  time.Duration    `json:"life"`            // ns
	Count int              `json:"count,omitempty"` // 0 stands for 1
	Addrs []string         `json:"addrs,omitempty"` // where boards reach the cloud; none: as it knows itself
}

// ErrNotRunning says that no cloud runs on a state directory.
var ErrNotRunning = errors.New("no cloud is running")

// Operate reaches the cloud that runs on a state directory. Where none runs the Operator
// works on the directory itself; an error then wraps trust.ErrNoAuthority before
// `skerry cloud init`. What is wrong with the record of boards is logged.
func Operate(ctx context.Context, state string, log *slog.Logger) (Operator, error) {
	running, err := reach(ctx, state)
	if !errors.Is(err, ErrNotRunning) {
		return running, err
	}
	local, _, err := openRegistry(state, log)
	if errors.Is(err, storage.ErrLocked) { // a cloud has started meanwhile
		if running, err := reach(ctx, state); !errors.Is(err, ErrNotRunning) {
			return running, err
		}
		return nil, fmt.Errorf("cloud in %s: %w", filepath.Clean(state), err)
	}
	if err != nil {
		return nil, err
	}
	return local, nil
}

// OperateRunning reaches the cloud that runs on a state directory. The error wraps
// ErrNotRunning where none does.
func OperateRunning(ctx context.Context, state string) (Operator, error) {
	running, err := reach(ctx, state)
	if errors.Is(err, ErrNotRunning) {
		return nil, fmt.Errorf("%w on %s: if one runs with another state directory, give that by --state (the service has /var/lib/skerry-cloud)", err, state)
	}
	return running, err
}

// Evict frees the contexts of a device, of all for "", and deletes what files hold of them,
// where no cloud runs too. It returns how many were freed in memory, or in files where none
// runs.
func Evict(ctx context.Context, state, device string) (int, error) {
	running, err := OperateRunning(ctx, state)
	switch {
	case err == nil:
		defer running.Close()
		return running.Evict(ctx, device)
	case !errors.Is(err, ErrNotRunning):
		return 0, err
	}
	n, forgotten := forgetContexts(state, device)
	if n == 0 && forgotten == nil {
		return 0, fmt.Errorf("%w, and there is nothing to free in files", err)
	}
	return n, forgotten
}

// registry is the Operator that has the certificates and the database open: the running
// cloud's, or a command's where none runs.
type registry struct {
	*trust.Registrar
	store  *DeviceStore
	state  string            // directory
	listen string            // where boards reach this cloud, "" while it does not run
	server *partition.Server // nil while it does not run
	member *member           // nil: there are no other workers, or it does not run
	drain  func()            // nil while it does not run
}

// openRegistry opens the authority and the database in state. An error wraps
// trust.ErrNoAuthority before `skerry cloud init`.
func openRegistry(state string, log *slog.Logger) (*registry, *DeviceStore, error) {
	a, err := trust.OpenAuthority(state, time.Now)
	if err != nil {
		return nil, nil, err
	}
	store, err := OpenDeviceStore(state, time.Second)
	if err != nil {
		return nil, store, err
	}
	if aside := store.SetAside(); aside != "" {
		log.Warn("the record of boards was damaged and is set aside: each board must be invited and enrolled anew", "file", aside)
	}
	return &registry{Registrar: &trust.Registrar{Authority: a, Store: store, Now: time.Now, Log: log}, store: store, state: state}, store, nil
}

func (r *registry) Close() { r.store.Close() }

func (r *registry) Invite(_ context.Context, q InviteRequest) (all []trust.Invitation, err error) {
	addrs := q.Addrs
	if len(addrs) == 0 {
		addrs = r.addresses()
	}
	for i := range max(q.Count, 1) {
		name := q.Name
		if name != "" && q.Count > 1 {
			name = fmt.Sprintf("%s-%d", name, i+1)
		}
		inv, err := r.Registrar.Invite(name, q.May, q.Life, addrs)
		if err != nil {
			return nil, err
		}
		all = append(all, inv)
	}
	return all, nil
}

func (r *registry) Invites(_ context.Context, all bool) ([]Invite, error) {
	list, err := r.Invitations(all)
	return invites(list, time.Now()), err
}

func (r *registry) Withdraw(_ context.Context, what string) ([]Invite, error) {
	gone, err := r.Registrar.Withdraw(what)
	return invites(gone, time.Now()), err
}

func (r *registry) Devices(ctx context.Context) ([]Device, error) {
	list, err := r.store.Devices()
	connected := map[string]bool{}
	if r.server != nil {
		for _, d := range r.server.Devices() {
			connected[d.Device] = d.Connections > 0
		}
	}
	rows := make([]Device, 0, len(list))
	for _, d := range list {
		row := NewDevice(d)
		row.Online = connected[d.Name]
		ring, ringErr := r.store.Ring(d.Name)
		row.Ring, err = ring, errors.Join(err, ringErr)
		rows = append(rows, row)
	}
	if r.member != nil {
		if e := r.member.shared(ctx, rows); e != nil { // what this worker knows is shown all the same
			r.Log.Warn("what other workers know of boards is not shown", "err", e)
		}
	}
	return rows, err
}

func (r *registry) Revoke(_ context.Context, device string) error {
	if err := r.Registrar.Revoke(device); err != nil {
		return err
	}
	if r.server != nil {
		r.server.Evict(device)
		return nil
	}
	_, err := forgetContexts(r.state, device)
	return err
}

func (r *registry) Renew(_ context.Context, names []string) error { return r.Authority.Renew(names) }

func (r *registry) Evict(_ context.Context, device string) (int, error) {
	if r.server == nil {
		return 0, ErrNotRunning
	}
	return r.server.Evict(device), nil
}

func (r *registry) Drain(context.Context) error {
	if r.drain == nil {
		return ErrNotRunning
	}
	r.drain()
	return nil
}

func (r *registry) Load(context.Context) (*Load, error) {
	if r.server == nil {
		return nil, ErrNotRunning
	}
	load := newLoad(r.server, r.member)
	load.Offers = r.shownOffers()
	return &load, nil
}

// addresses are where boards reach this cloud: where its workers say, this one first; the names
// its certificate was made for, else the address it listens on, else those of this machine.
func (r *registry) addresses() (addrs []string) {
	if r.member != nil {
		return r.member.addresses()
	}
	host, port, _ := net.SplitHostPort(r.listen)
	port = cmp.Or(port, strconv.Itoa(DefaultPort))
	names := r.Authority.Names()
	if ip := net.ParseIP(host); len(names) == 0 && ip != nil && !ip.IsUnspecified() {
		names = []string{host}
	}
	if len(names) == 0 {
		names = machineAddresses()
	}
	for _, n := range names[:min(len(names), trust.MaxAddrs)] {
		addrs = append(addrs, net.JoinHostPort(n, port))
	}
	return addrs
}

// machineAddresses are those that other machines may reach, IPv4 first.
func machineAddresses() (all []string) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range found {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			all = append(all, n.IP.String())
		}
	}
	slices.SortStableFunc(all, func(a, b string) int { return len(a) - len(b) })
	return all
}

// coded gives an error the code with which it travels.
func coded(err error) error {
	for from, to := range map[error]error{
		trust.ErrUnknown: admin.ErrNotFound, trust.ErrNoInvite: admin.ErrNotFound, trust.ErrUnknownCode: admin.ErrNotFound,
		trust.ErrUsed: admin.ErrConflict, trust.ErrWithdrawn: admin.ErrConflict, trust.ErrExists: admin.ErrConflict,
		trust.ErrNotAllowed: admin.ErrRefused, ErrUpdate: admin.ErrRefused, ErrNotRunning: admin.ErrUnavailable,
		fleet.ErrUnavailable: admin.ErrUnavailable,
	} {
		if errors.Is(err, from) {
			return withCode{err, to}
		}
	}
	return err
}

// withCode is an error that is of a kind of package admin's, too, and says no more.
type withCode struct {
	error
	kind error
}

func (e withCode) Unwrap() []error { return []error{e.error, e.kind} }
