package main

import (
	"context"
	"errors"

	"skerry/appliance/admin"
	"skerry/appliance/config"
	"skerry/appliance/status"
)

// daemonFlags are how a verb finds the daemon that it asks.
type daemonFlags struct {
	Socket string `help:"Reach the daemon at this socket. Without it that is $$SKERRY_SOCKET, else /run/skerry/skerry.sock, else that of the state directory." placeholder:"PATH" type:"path"`
	State  string `help:"Reach the daemon that this user runs with this state directory." placeholder:"DIR" type:"path"`
}

func (f *daemonFlags) dial() *admin.Client {
	state, err := config.StateDir(f.State)
	if err != nil {
		state = "/nonexistent" // a script without $HOME asks the system's daemon
	}
	return admin.Dial(admin.Sockets(f.Socket, state)...)
}

// status asks the daemon once.
func (f *daemonFlags) status(ctx context.Context) (status.Status, error) {
	d := f.dial()
	defer d.Close()
	return d.Status(ctx)
}

// unreachable says whether err is that no daemon answers.
func unreachable(err error) bool {
	u := (*admin.Unreachable)(nil)
	return errors.As(err, &u)
}
