package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"skerry/appliance/config"
	"skerry/appliance/control"
	"skerry/appliance/status"
)

type doctorCmd struct {
	daemonFlags
	settingsFlags
	JSON bool `name:"json" help:"As JSON."`
}

// Help is shown above the flags.
func (c *doctorCmd) Help() string {
	return `It changes nothing. What the daemon knows is asked of it; without one the same is
looked for here, and the link is tried as skerry link test does.

Examples:
  skerry doctor                             what is wrong, and what to do
  sudo skerry doctor                        with what this user may not read
  skerry doctor --json | jq '.checks[] | select(.result == "fail")'

Exit codes: 0 all is well, 1 something fails, 4 something is worth a look.
`
}

// Results of the doctor's checks.
const (
	wellCheck = "ok"
	warnCheck = "warn"
	failCheck = "fail"
	skipCheck = "skip"
)

// doctor goes through everything that an answer depends on.
type doctor struct {
	ctx    context.Context
	state  string
	named  bool // state was, on the command line
	conf   config.Config
	loaded func() (config.Config, []config.Origin, error)
	confAt string // the file, "" for the default
	confIs error  // why it cannot be loaded; conf is then the default
	host   host
	daemon *control.Client
	status *status.Status // nil: no daemon answers
	there  bool           // one is there that does not
	say    func(check)
	checks []check
}

// doctorReport is what skerry doctor --json prints.
type doctorReport struct {
	OK     bool    `json:"ok"`
	Daemon bool    `json:"daemon"` // it runs
	Checks []check `json:"checks"`
}

func (c *doctorCmd) Run(ctx context.Context, out *console) error {
	d := &doctor{ctx: ctx, host: thisHost()}
	if err := d.settle(c); err != nil {
		return err
	}
	defer d.daemon.Close()
	if !c.JSON {
		d.say = func(k check) { sayCheck(out, k) }
	}
	d.run()
	if err := ctx.Err(); err != nil {
		return err
	}
	fails, warns := d.count(failCheck), d.count(warnCheck)
	if c.JSON {
		if err := json.NewEncoder(out.stdout).Encode(doctorReport{fails+warns == 0, d.status != nil, d.checks}); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(out.stdout, "\n"+verdict(fails, warns))
	}
	switch {
	case fails > 0:
		return &exitCode{code: exitError}
	case warns > 0:
		return &exitCode{code: exitDegraded}
	}
	return nil
}

// settle finds out what the daemon is, or would be, set to.
func (d *doctor) settle(c *doctorCmd) (err error) {
	d.confAt, d.loaded = c.Config, c.load
	if d.conf, _, d.confIs = d.loaded(); d.confIs != nil {
		d.conf = config.Default()
	}
	d.named = c.State != ""
	if d.state, err = stateDir(cmp.Or(c.State, d.conf.State)); err != nil {
		return err
	}
	d.daemon = control.Dial(control.Sockets(cmp.Or(c.Socket, d.conf.Socket), d.state)...)
	return nil
}

// sayCheck prints a check, its texts wrapped beside its name.
func sayCheck(out *console, k check) {
	columns := width(out)
	if columns == 0 {
		columns = math.MaxInt
	}
	head := fmt.Sprintf("%-4s  %-11s  ", k.Result, k.Name)
	columns = max(columns-len(head), 20)
	lines := wrap(printable(k.Detail), columns)
	if k.ToDo != "" {
		for i, l := range wrap(printable(k.ToDo), columns-3) {
			mark := "-> "
			if i > 0 {
				mark = "   "
			}
			lines = append(lines, mark+l)
		}
	}
	for _, l := range lines {
		fmt.Fprintln(out.stdout, head+l)
		head = strings.Repeat(" ", len(head))
	}
}

func verdict(fails, warns int) string {
	switch {
	case fails > 0 && warns > 0:
		return fmt.Sprintf("%s failed, and %s worth a look.", count(fails, "check"), isAre(warns))
	case fails > 0:
		return count(fails, "check") + " failed."
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

func (d *doctor) run() {
	d.kernels()
	d.configuration()
	d.reach()
	d.disk()
	d.memory()
	d.database()
	d.model()
	d.port()
	d.clock()
	d.certificate()
	d.link()
	d.health()
}

func (d *doctor) note(result, name, detail, todo string) {
	k := check{name, result, detail, todo}
	d.checks = append(d.checks, k)
	if d.say != nil {
		d.say(k)
	}
}

func (d *doctor) ok(name, format string, args ...any) {
	d.note(wellCheck, name, fmt.Sprintf(format, args...), "")
}
func (d *doctor) skip(name, why string)          { d.note(skipCheck, name, why, "") }
func (d *doctor) warn(name, detail, todo string) { d.note(warnCheck, name, detail, todo) }
func (d *doctor) fail(name, detail, todo string) { d.note(failCheck, name, detail, todo) }

func (d *doctor) count(result string) (n int) {
	for _, k := range d.checks {
		if k.Result == result {
			n++
		}
	}
	return n
}

// reach finds out whether the daemon runs.
func (d *doctor) reach() {
	ctx, cancel := context.WithTimeout(d.ctx, stepTime)
	defer cancel()
	s, err := d.daemon.Status(ctx)
	switch u := (*control.Unreachable)(nil); {
	case errors.As(err, &u):
		d.there = !u.NotRunning()
		d.warn("daemon", u.What(), u.Do())
	case err != nil:
		d.there = true
		d.fail("daemon", oneLine(err), "systemctl restart skerry; journalctl -u skerry says more")
	case s.Version != version:
		d.status = &s
		d.warn("daemon", fmt.Sprintf("running, of version %s; this is %s", s.Version, version), "systemctl restart skerry")
	default:
		d.status = &s
		d.ok("daemon", "%s, for %s", s.State, status.Span(s.Time.Sub(s.Started)))
	}
	d.follow()
}

// follow looks at the state directory that the daemon runs with, where none was
// named: that one may have been started with another.
func (d *doctor) follow() {
	if d.status == nil || d.named {
		return
	}
	if dir, file := filepath.Split(d.status.Storage.Path); dir != "" && file == filepath.Base(databasePath("")) {
		d.state = filepath.Clean(dir)
	}
}

// health repeats what the daemon says of itself.
func (d *doctor) health() {
	if d.status == nil {
		return
	}
	for _, p := range d.status.Health {
		detail := p.Title
		if p.Text != "" {
			detail += ": " + p.Text
		}
		switch p.Severity {
		case status.Trouble:
			d.fail("health", detail, p.Do)
		case status.Warning:
			d.warn("health", detail, p.Do)
		default:
			d.ok("health", "%s", detail)
		}
	}
}

// host is the machine that the doctor looks at.
type host struct {
	now    func() time.Time
	synced func() (bool, error) // whether something sets the clock
	free   func(dir string) (free, total uint64, err error)
	memory func() (total, available uint64, err error)
}
