package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"syscall"

	"skerry/appliance/config"
	"skerry/appliance/control"
	"skerry/systemd"
)

// serveCmd is the daemon. Its flags overrule the configuration's settings of the same
// names.
type serveCmd struct {
	settingsFlags

	Listen     string `help:"Where the page and the APIs are served. Default: 127.0.0.1:7537." placeholder:"ADDR"`
	Socket     string `help:"The unix socket of the command line." placeholder:"PATH" type:"path"`
	State      string `help:"Where sessions, keys and certificates are kept." placeholder:"DIR" type:"path"`
	Cloud      string `help:"The cloud to ask. Default: the one this board is enrolled with; without one the board is alone." placeholder:"HOST:PORT"`
	Encoding   string `help:"Hidden states go up as f32 (exact), f16 or q8." placeholder:"TYPE"`
	Bundle     string `help:"The bundle to serve; without it the default model is fetched and split." placeholder:"DIR" type:"path"`
	Mode       string `help:"auto, collaborative, standalone or unsplit." placeholder:"MODE"`
	Threshold  string `help:"Confidence from which an exit is believed: T, or T1,T2 by exit." placeholder:"T[,T2]"`
	OnLoss     string `help:"While the cloud is lost: alone, wait or stop." placeholder:"WHAT"`
	Context    string `help:"Positions a conversation may hold. Default: the largest of 8192, 4096, 2048 that fits memory." placeholder:"N"`
	Parallel   string `help:"Answers decoded at once." placeholder:"N"`
	Threads    string `help:"Threads that compute." placeholder:"N"`
	Durability string `help:"Tokens of sessions are written down in groups: auto or fast; or one by one: strict." placeholder:"HOW"`
	Grace      string `help:"At a shutdown answers may finish for so long." placeholder:"TIME"`
}

// sources of the daemon's settings.
func (c *serveCmd) sources() config.Sources {
	s := config.Sources{File: c.Config, Environ: os.Environ(), Flags: map[string]string{}}
	maps.Copy(s.Flags, c.Set)
	for key, v := range map[string]string{
		"listen": c.Listen, "socket": c.Socket, "state": c.State, "cloud.address": c.Cloud, "cloud.encoding": c.Encoding,
		"bundle": c.Bundle, "mode": c.Mode, "threshold": c.Threshold, "on_loss": c.OnLoss, "context": c.Context,
		"parallel": c.Parallel, "threads": c.Threads, "durability": c.Durability, "grace": c.Grace,
	} {
		if v != "" {
			s.Flags[key] = v
		}
	}
	return s
}

func (c *serveCmd) Run(ctx context.Context, out *console) error {
	d, err := startDaemon(c.sources(), out)
	if err != nil {
		return err
	}
	for _, a := range d.addresses() {
		fmt.Fprintf(out.stdout, "listening on http://%s/\n", a)
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-hangup:
			d.reload() // what came of it is logged, and an error is the health's
		case <-ctx.Done():
			return d.stop(nil)
		case err = <-d.failed:
			return d.stop(err)
		case order := <-d.orders:
			if err := d.stop(nil); err != nil {
				return err
			}
			return obey(order)
		}
	}
}

// exitStopped is the code of a daemon that was told to end, which systemd does not
// start again.
const exitStopped = 77

// obey ends the process as ordered. systemd starts it again after a restart; without
// systemd it does so itself.
func obey(order control.Power) error {
	switch {
	case order == control.Shutdown && systemd.Supervised():
		return &exitCode{exitStopped, nil}
	case order == control.Restart && !systemd.Supervised():
		program, err := os.Executable()
		if err != nil {
			return err
		}
		return syscall.Exec(program, os.Args, os.Environ())
	}
	return nil
}
