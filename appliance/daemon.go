package main

import (
	"context"
	"errors"

	"skerry/appliance/control"
	"skerry/appliance/status"
)

// daemonFlags are how a verb finds the daemon that it asks.
type daemonFlags struct {
	Socket string `help:"The daemon's socket. Default: $$SKERRY_SOCKET, else /run/skerry/skerry.sock, else that of the state directory." placeholder:"PATH" type:"path"`
	State  string `help:"The state directory of a daemon that this user runs." placeholder:"DIR" type:"path"`
}

func (f *daemonFlags) dial() *control.Client {
	state, err := stateDir(f.State)
	if err != nil {
		state = "/nonexistent" // a script without $HOME asks the system's daemon
	}
	return control.Dial(control.Sockets(f.Socket, state)...)
}

// status asks the daemon once.
func (f *daemonFlags) status(ctx context.Context) (status.Status, error) {
	d := f.dial()
	defer d.Close()
	return d.Status(ctx)
}

// unreachable says whether err is that no daemon answers.
func unreachable(err error) bool {
	u := (*control.Unreachable)(nil)
	return errors.As(err, &u)
}
