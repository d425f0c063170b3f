package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"skerry/appliance/admin"
	"skerry/appliance/config"
	"skerry/appliance/decode/batch"
	"skerry/appliance/status"
)

// Options are what a doctor is told of the board.
type Options struct {
	Version string // of this program
	// ConfigFile is the file of the settings, "" for the default one; Settings reads them.
	ConfigFile string
	Settings   func() (config.Config, []config.Origin, error)
	// Socket and State are those named on the command line, "" where none was: then
	// they are the configuration's.
	Socket, State string
	// Memory is what this process may take of the machine's memory.
	Memory func() (batch.Memory, error)
}

// Doctor goes through everything that an answer depends on. It changes nothing.
type Doctor struct {
	opt    Options
	state  string
	conf   config.Config
	confIs error // why the configuration cannot be loaded; conf is then the default
	host   host
	daemon *admin.Client
	status *status.Status // nil: no daemon answers
	there  bool           // one is there that does not
}

// New finds out what the daemon is set to, or would be. The doctor wants to be closed.
func New(o Options) (d *Doctor, err error) {
	d = &Doctor{opt: o, host: thisHost(o.Memory)}
	if d.conf, _, d.confIs = o.Settings(); d.confIs != nil {
		d.conf = config.Default()
	}
	if d.state, err = config.StateDir(cmp.Or(o.State, d.conf.State)); err != nil {
		return nil, err
	}
	d.daemon = admin.Dial(admin.Sockets(cmp.Or(o.Socket, d.conf.Socket), d.state)...)
	return d, nil
}

// Close ends the connections to the daemon.
func (d *Doctor) Close() { d.daemon.Close() }

// Running says whether the daemon answered.
func (d *Doctor) Running() bool { return d.status != nil }

// checks are in the order in which they depend on one another: what the daemon knows is
// asked of it, and what it does not is looked for here.
var checks = []check[*Doctor]{
	{name: "kernels", run: (*Doctor).kernels},
	{name: "config", run: (*Doctor).configuration},
	{name: "daemon", run: (*Doctor).reach},
	{name: "gpu", run: (*Doctor).gpu},
	{name: "disk", run: (*Doctor).disk},
	{name: "memory", run: (*Doctor).memory},
	{name: "database", run: (*Doctor).database},
	{name: "model", run: (*Doctor).model},
	{name: "port", run: (*Doctor).port},
	{name: "clock", run: (*Doctor).clock},
	{name: "certificate", run: (*Doctor).certificates},
	{name: "link", run: (*Doctor).link},
	{name: "health", run: (*Doctor).health},
}

// Look goes through the checks; say, which may be nil, is told of each finding as it is
// made.
func (d *Doctor) Look(ctx context.Context, say func(Finding)) Findings {
	return lookAll(ctx, d, checks, say)
}

// Verdict sums findings up in a sentence.
func Verdict(f Findings) string {
	fails, warns := f.Count(Fail), f.Count(Warn)
	switch {
	case fails > 0 && warns > 0:
		return fmt.Sprintf("%s failed, and %s worth a look.", status.Plural(fails, "check"), isAre(warns))
	case fails > 0:
		return status.Plural(fails, "check") + " failed."
	case warns > 0:
		return fmt.Sprintf("Nothing fails; %s worth a look.", isAre(warns))
	}
	return "All is well."
}

func isAre(n int) string {
	if n == 1 {
		return "1 is"
	}
	return fmt.Sprintf("%d are", n)
}

// stepTime bounds a step that waits for the network.
const stepTime = 5 * time.Second

// reach finds out whether the daemon runs.
func (d *Doctor) reach(ctx context.Context) Findings {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	s, err := d.daemon.Status(ctx)
	switch u := (*admin.Unreachable)(nil); {
	case errors.As(err, &u):
		d.there = !u.NotRunning()
		return warn(u.What(), u.Do())
	case err != nil:
		d.there = true
		return fail(status.OneLine(err), "systemctl restart skerry; journalctl -u skerry says more")
	}
	d.status = &s
	d.follow()
	if s.Version != d.opt.Version {
		return warn(fmt.Sprintf("running, of version %s; this is %s", s.Version, d.opt.Version), "systemctl restart skerry")
	}
	return pass("%s, for %s", s.State, status.Span(s.Time.Sub(s.Started)))
}

// follow looks at the state directory that the daemon runs with, where none was
// named: that one may have been started with another.
func (d *Doctor) follow() {
	if d.status == nil || d.opt.State != "" {
		return
	}
	if dir, file := filepath.Split(d.status.Storage.Path); dir != "" && file == filepath.Base(config.DatabasePath("")) {
		d.state = filepath.Clean(dir)
	}
}

// health repeats what the daemon says of itself.
func (d *Doctor) health(context.Context) (all Findings) {
	if d.status == nil {
		return nil
	}
	for _, p := range d.status.Health {
		detail := p.Title
		if p.Text != "" {
			detail += ": " + p.Text
		}
		switch p.Severity {
		case status.Trouble:
			all = append(all, fail(detail, p.Do)...)
		case status.Warning:
			all = append(all, warn(detail, p.Do)...)
		default:
			all = append(all, Finding{Result: Note, Detail: detail, ToDo: p.Do})
		}
	}
	return all
}
