package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	ans "skerry/appliance/answer"
	"skerry/appliance/config"
	"skerry/appliance/control"
	"skerry/appliance/status"
	"skerry/appliance/status/health"
	"skerry/systemd"
)

// daemonControl is the daemon as its command line sees it.
type daemonControl struct{ *daemon }

var _ control.Daemon = daemonControl{}

func (d daemonControl) Sessions(context.Context) ([]status.Session, error) {
	return d.core.Sessions(), nil
}

func (d daemonControl) Session(_ context.Context, id string) (control.Session, error) {
	c, err := d.core.Conversation(id)
	return control.Session{Session: c.Session, Model: c.Model, Bundle: c.Bundle, Messages: c.Messages, Unfinished: c.Unfinished}, asControl(err)
}

func (d daemonControl) Delete(_ context.Context, id string) error {
	return asControl(d.core.Forget(id))
}

// asControl gives an error of the core the kind that the command line knows.
func asControl(err error) error {
	var told *ans.Error
	if !errors.As(err, &told) {
		return err
	}
	switch told.Code {
	case ans.NoSession:
		return fmt.Errorf("%w: %w", control.ErrNotFound, err)
	case ans.Conflict:
		return fmt.Errorf("%w: %w", control.ErrConflict, err)
	}
	return err
}

func (d daemonControl) Config(context.Context) (string, error) {
	var b bytes.Buffer
	d.confMu.Lock()
	defer d.confMu.Unlock()
	err := config.Show(&b, d.conf, d.origins)
	return b.String(), err
}

func (d daemonControl) Reload(context.Context) (control.Reloaded, error) { return d.reload() }

func (d daemonControl) RetryLink(context.Context) error {
	if d.link == nil {
		return errors.New("no cloud is configured: skerry enroll CODE, or set cloud.address")
	}
	d.link.Retry()
	return nil
}

func (d daemonControl) Power(_ context.Context, p control.Power) error {
	switch p {
	case control.Reboot, control.PowerOff:
		// The machine's own shutdown stops the daemon in order.
		if err := systemd.Power(p == control.Reboot); err != nil {
			return fmt.Errorf("%w: %s; as root: systemctl %s", control.ErrRefused, oneLine(err), p)
		}
		return nil
	}
	d.log.Info("ordered to end", "order", p)
	select {
	case d.orders <- p:
	default: // one is being carried out
	}
	return nil
}

// reload reads the configuration again and puts in force what can change live.
func (d *daemon) reload() (control.Reloaded, error) {
	d.confMu.Lock()
	defer d.confMu.Unlock()
	read, origins, err := config.Load(d.sources)
	if err != nil {
		d.health.Set(health.ConfigRefused, "err", oneLine(err))
		d.log.Error("the configuration is not taken up", "error", oneLine(err))
		return control.Reloaded{}, err
	}
	d.health.Clear(health.ConfigRefused)
	changes := config.Diff(d.conf, read)
	d.conf, d.origins = config.Reload(d.conf, read), origins
	d.level.UnmarshalText([]byte(d.conf.Log.Level))
	d.core.Configure(defaultOptions(d.conf), time.Duration(d.conf.KeepAlive))
	if err := d.doors.SetPolicy(policy(d.conf)); err != nil {
		return control.Reloaded{}, err
	}
	if len(changes.Restart) > 0 {
		d.health.Set(health.RestartNeeded, "keys", strings.Join(changes.Restart, ", "))
	}
	d.log.Info("the configuration was read again", "changed", changes.Live, "after_a_restart", changes.Restart)
	return control.Reloaded{Changed: changes.Live, Restart: changes.Restart}, nil
}
