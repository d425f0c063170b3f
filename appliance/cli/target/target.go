// Package target has the flags by which a verb finds what it works on: the daemon that it
// asks, and the configuration that it reads.
package target

import (
	"context"
	"os"

	"skerry/appliance/admin"
	"skerry/appliance/config"
	"skerry/appliance/status"
)

// Daemon is how a verb finds the daemon that it asks.
type Daemon struct {
	Socket string `help:"Reach the daemon at this socket. Without it that is $$SKERRY_SOCKET, else /run/skerry/skerry.sock, else that of the state directory." placeholder:"PATH" type:"path"`
	State  string `help:"Reach the daemon that this user runs with this state directory." placeholder:"DIR" type:"path"`
}

// Dial makes a client of the daemon; whether one answers its first call says.
func (f *Daemon) Dial() *admin.Client {
	state, err := config.StateDir(f.State)
	if err != nil {
		state = "/nonexistent" // a script without $HOME asks the system's daemon
	}
	return admin.Dial(admin.Sockets(f.Socket, state)...)
}

// Status asks the daemon once.
func (f *Daemon) Status(ctx context.Context) (status.Status, error) {
	d := f.Dial()
	defer d.Close()
	return d.Status(ctx)
}

// Settings is how a verb is told its configuration.
type Settings struct {
	Config string            `help:"Read this file, and conf.d beside it, instead of /etc/skerry/skerry.toml." placeholder:"FILE" env:"SKERRY_CONFIG"`
	Set    map[string]string `help:"Give a setting this value, whatever files and variables say. It may be repeated; skerry config default lists the settings." placeholder:"KEY=VALUE" mapsep:"none"`
}

// Load reads the configuration.
func (s Settings) Load() (config.Config, []config.Origin, error) {
	return config.Load(config.Sources{File: s.Config, Environ: os.Environ(), Flags: s.Set})
}
