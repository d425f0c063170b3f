package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"skerry/appliance/admin"
	"skerry/appliance/config"
	"skerry/appliance/httpd"
	"skerry/appliance/infer"
	"skerry/appliance/server"
	"skerry/appliance/status"
	"skerry/appliance/status/health"
	"skerry/systemd"
)

// control is the daemon as its command line sees it.
type control struct{ *Node }

var _ admin.Daemon = control{}

func (d control) Sessions(ctx context.Context, after string, limit int) (status.SessionList, error) {
	l, err := d.core.List(readingBy(httpd.CallerIn(ctx)), after, limit)
	return l, asControl(err)
}

func (d control) Session(ctx context.Context, id string) (admin.Session, error) {
	return sessionOf(d.core, readingBy(httpd.CallerIn(ctx)), id)
}

// sessionOf is a session in full, as by may see it.
func sessionOf(core *server.Core, by infer.By, id string) (admin.Session, error) {
	c, err := core.Conversation(by, id)
	return admin.Session{Unkept: c.Unkept, Undelivered: c.Undelivered, Tools: c.Tools, ParallelTools: c.ParallelTools, Session: c.Session, Model: c.Model, Bundle: c.Bundle, Bytes: c.Session.Bytes, Messages: c.Messages, Unfinished: c.Unfinished}, asControl(err)
}

func (d control) Cancel(ctx context.Context, id string) error {
	return asControl(d.core.Cancel(actingBy(httpd.CallerIn(ctx)), id))
}

func (d control) Delete(ctx context.Context, id string) error {
	return asControl(d.core.Forget(actingBy(httpd.CallerIn(ctx)), id))
}

// asControl gives an error of the core the kind that the command line knows.
func asControl(err error) error {
	var told *infer.Error
	if !errors.As(err, &told) {
		return err
	}
	switch told.Code {
	case infer.BadRequest:
		return fmt.Errorf("%w: %w", admin.ErrBadRequest, err)
	case infer.NoSession:
		return fmt.Errorf("%w: %w", admin.ErrNotFound, err)
	case infer.Conflict:
		return fmt.Errorf("%w: %w", admin.ErrConflict, err)
	case infer.Forbidden:
		return fmt.Errorf("%w: %w", admin.ErrRefused, err)
	}
	return err
}

func (d control) Config(context.Context) (string, error) {
	var b bytes.Buffer
	d.confMu.Lock()
	defer d.confMu.Unlock()
	err := config.Show(&b, d.conf, d.origins)
	return b.String(), err
}

func (d control) Reload(context.Context) (admin.Reloaded, error) { return d.Node.Reload() }

func (d control) RetryLink(context.Context) error {
	if d.link == nil {
		return errors.New("no cloud is configured: skerry enroll CODE, or set cloud.address")
	}
	d.link.Retry()
	return nil
}

func (d control) Power(_ context.Context, p admin.Power) error {
	switch p {
	case admin.Reboot, admin.PowerOff:
		// The machine's own shutdown stops the daemon in order.
		if err := systemd.Power(p == admin.Reboot); err != nil {
			return fmt.Errorf("%w: %s; as root: systemctl %s", admin.ErrRefused, status.OneLine(err), p)
		}
		return nil
	}
	d.log.Info("asked to stop", "order", p)
	select {
	case d.orders <- p:
	default: // one is being carried out
	}
	return nil
}

// Reload reads the configuration again and puts in force what can change live.
func (n *Node) Reload() (admin.Reloaded, error) {
	n.confMu.Lock()
	defer n.confMu.Unlock()
	read, origins, err := config.Load(n.sources)
	if err != nil {
		n.health.Set(health.ConfigRefused, "err", status.OneLine(err))
		n.log.Error("the new settings are not in force", "error", status.OneLine(err))
		return admin.Reloaded{}, err
	}
	n.health.Clear(health.ConfigRefused)
	changes := config.Diff(n.conf, read)
	n.conf, n.origins = config.Reload(n.conf, read), origins
	n.level.UnmarshalText([]byte(n.conf.Log.Level))
	n.core.Configure(defaultOptions(n.conf), time.Duration(n.conf.KeepAlive))
	if err := n.listeners.SetPolicy(policy(n.conf)); err != nil {
		return admin.Reloaded{}, err
	}
	if len(changes.Restart) > 0 {
		n.health.Set(health.RestartNeeded, "keys", strings.Join(changes.Restart, ", "))
	}
	n.log.Info("the configuration was reloaded", "changed", changes.Live, "after_a_restart", changes.Restart)
	return admin.Reloaded{Changed: changes.Live, Restart: changes.Restart}, nil
}
