package cloudnode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"

	"skerry/appliance/admin"
	"skerry/appliance/httpd"
	"skerry/cloudlink/trust"
)

// controlSocket is where a running cloud takes operations, in its state directory: only
// the process that serves has the database open. It is for the user alone who runs it.
const controlSocket = "cloud.sock"

// none is what an operation is asked, or answers, that needs nothing said.
type none struct{}

// named is a device, or what else has one name.
type named struct {
	Name string `json:"name,omitempty"`
}

// The operations of the control socket.
var (
	opInvite   = admin.Operation[InviteRequest, []trust.Invitation]{Method: "POST", Path: "/api/v1/cloud/invite"}
	opInvites  = admin.Operation[listInvites, []Invite]{Method: "POST", Path: "/api/v1/cloud/invites"}
	opWithdraw = admin.Operation[named, []Invite]{Method: "POST", Path: "/api/v1/cloud/withdraw"}
	opDevices  = admin.Operation[none, []Device]{Method: "POST", Path: "/api/v1/cloud/devices"}
	opRevoke   = admin.Operation[named, none]{Method: "POST", Path: "/api/v1/cloud/revoke"}
	opRenew    = admin.Operation[renewFor, none]{Method: "POST", Path: "/api/v1/cloud/renew"}
	opEvict    = admin.Operation[named, evicted]{Method: "POST", Path: "/api/v1/cloud/evict"}
	opDrain    = admin.Operation[none, none]{Method: "POST", Path: "/api/v1/cloud/drain"}
	opUpdate   = admin.Operation[UpdateRequest, []UpdateOffer]{Method: "POST", Path: "/api/v1/cloud/update"}
	opLoad     = admin.Operation[none, *Load]{Method: "POST", Path: "/api/v1/cloud/load"}
)

type (
	listInvites struct {
		All bool `json:"all"`
	}
	renewFor struct {
		Names []string `json:"names,omitempty"`
	}
	evicted struct {
		Contexts int `json:"contexts"`
	}
)

// serveControl carries out operations until the server is closed. The caller has the
// database, so that a socket that is there already is of a cloud that died.
func serveControl(state string, o Operator) (*admin.OperationServer, error) {
	ln, err := httpd.ListenSocket(filepath.Join(state, controlSocket), 0o600)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	mux := http.NewServeMux()
	handle(mux, opInvite, o.Invite)
	handle(mux, opInvites, func(ctx context.Context, q listInvites) ([]Invite, error) { return o.Invites(ctx, q.All) })
	handle(mux, opWithdraw, func(ctx context.Context, q named) ([]Invite, error) { return o.Withdraw(ctx, q.Name) })
	handle(mux, opDevices, func(ctx context.Context, _ none) ([]Device, error) { return o.Devices(ctx) })
	handle(mux, opRevoke, func(ctx context.Context, q named) (none, error) { return none{}, o.Revoke(ctx, q.Name) })
	handle(mux, opRenew, func(ctx context.Context, q renewFor) (none, error) { return none{}, o.Renew(ctx, q.Names) })
	handle(mux, opEvict, func(ctx context.Context, q named) (evicted, error) {
		n, err := o.Evict(ctx, q.Name)
		return evicted{n}, err
	})
	handle(mux, opDrain, func(ctx context.Context, _ none) (none, error) { return none{}, o.Drain(ctx) })
	handle(mux, opUpdate, o.Update)
	handle(mux, opLoad, func(ctx context.Context, _ none) (*Load, error) { return o.Load(ctx) })
	return admin.ServeOperations(formerListener{ln}, mux), nil
}

func handle[Q, R any](mux *http.ServeMux, op admin.Operation[Q, R], do func(context.Context, Q) (R, error)) {
	op.Handle(mux, func(ctx context.Context, q Q) (R, error) {
		r, err := do(ctx, q)
		return r, coded(err)
	})
}

// reach returns the Operator of the cloud that runs on state. The error wraps
// ErrNotRunning where none does.
func reach(ctx context.Context, state string) (Operator, error) {
	r := &remote{state: filepath.Clean(state), client: admin.Dial(filepath.Join(state, controlSocket))}
	if err := r.said(r.client.Connect(ctx)); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// remote is the Operator of a cloud that runs in another process.
type remote struct {
	state  string
	client *admin.Client
}

// said puts what is wrong with a cloud that does not answer into words. What the cloud
// itself refuses is said as it is.
func (r *remote) said(err error) error {
	u := (*admin.Unreachable)(nil)
	switch {
	case !errors.As(err, &u):
		return err
	case u.NotRunning():
		return ErrNotRunning
	case errors.Is(u.Err, fs.ErrPermission):
		return fmt.Errorf("cloud in %s: it runs as another user: %w (run this as that user, or with sudo)", r.state, fs.ErrPermission)
	}
	return fmt.Errorf("cloud in %s: it gave no answer (%v): it has stopped, or is of another version than this command: restart it", r.state, u.Err)
}

func (r *remote) Close() { r.client.Close() }

func (r *remote) Invite(ctx context.Context, q InviteRequest) ([]trust.Invitation, error) {
	all, err := opInvite.Call(ctx, r.client, q)
	return all, r.said(err)
}

func (r *remote) Invites(ctx context.Context, all bool) ([]Invite, error) {
	list, err := opInvites.Call(ctx, r.client, listInvites{all})
	return list, r.said(err)
}

func (r *remote) Withdraw(ctx context.Context, what string) ([]Invite, error) {
	gone, err := opWithdraw.Call(ctx, r.client, named{what})
	return gone, r.said(err)
}

func (r *remote) Devices(ctx context.Context) ([]Device, error) {
	list, err := opDevices.Call(ctx, r.client, none{})
	return list, r.said(err)
}

func (r *remote) Revoke(ctx context.Context, device string) error {
	_, err := opRevoke.Call(ctx, r.client, named{device})
	return r.said(err)
}

func (r *remote) Renew(ctx context.Context, names []string) error {
	_, err := opRenew.Call(ctx, r.client, renewFor{names})
	return r.said(err)
}

func (r *remote) Evict(ctx context.Context, device string) (int, error) {
	done, err := opEvict.Call(ctx, r.client, named{device})
	return done.Contexts, r.said(err)
}

func (r *remote) Drain(ctx context.Context) error {
	_, err := opDrain.Call(ctx, r.client, none{})
	return r.said(err)
}

func (r *remote) Load(ctx context.Context) (*Load, error) {
	load, err := opLoad.Call(ctx, r.client, none{})
	return load, r.said(err)
}

// formerListener answers the commands of versions before 0.2, which sent one JSON value
// and no HTTP, with an error that they understand.
type formerListener struct{ net.Listener }

func (l formerListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &formerConn{Conn: c}, nil
}

type formerConn struct {
	net.Conn
	begun bool
}

func (c *formerConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.begun && n > 0 {
		if c.begun = true; p[0] == '{' {
			io.WriteString(c.Conn, `{"error":"the running cloud is of a newer version than this command: use that one's skerry, or restart the cloud"}`+"\n")
			return 0, io.EOF
		}
	}
	return n, err
}
