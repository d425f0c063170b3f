// Command start begins the container of the Home Assistant add-on, as root, since Home
// Assistant lets nobody else read the options:
//
//	skerry-homeassistant 65532:65532 /usr/bin/skerry serve
//
// It makes variables of the options, directories for the state, and keys to the page and the interfaces; joins
// a cloud where there is a code; and becomes the daemon, of that user.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	a, err := newAddOn(os.Args[1:], os.Environ())
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		err = a.prepare(ctx)
		stop()
	}
	if err == nil {
		err = a.become()
	}
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintln(os.Stderr, "skerry add-on:", line)
		}
		os.Exit(1)
	}
}

// addOn is a start of the container.
type addOn struct {
	data     string // Home Assistant's directory of this add-on
	state    string
	cache    string
	uid, gid int
	program  []string
	environ  []string // of the program
	out      io.Writer
	// run runs the program with other arguments, as its user.
	run func(ctx context.Context, args ...string) (string, error)
}

// newAddOn reads the command line and what the image says of its directories.
func newAddOn(args, environ []string) (*addOn, error) {
	if len(args) < 2 {
		return nil, errors.New("usage: skerry-homeassistant UID:GID PROGRAM [ARGUMENT...]")
	}
	uid, gid, ok := ids(args[0])
	if !ok {
		return nil, fmt.Errorf("%q is no user: give UID:GID", args[0])
	}
	a := &addOn{data: "/data", uid: uid, gid: gid, program: args[1:], environ: environ, out: os.Stdout}
	a.run = a.command
	for name, to := range map[string]*string{"SKERRY_STATE": &a.state, "SKERRY_CACHE": &a.cache} {
		if *to = a.variable(name); *to == "" {
			return nil, fmt.Errorf("%s is not set: it is the directory in /data, as the add-on's Dockerfile has it", name)
		}
	}
	return a, nil
}

func ids(s string) (uid, gid int, ok bool) {
	u, g, ok := strings.Cut(s, ":")
	uid, err := strconv.Atoi(u)
	gid, err2 := strconv.Atoi(g)
	return uid, gid, ok && err == nil && err2 == nil && uid > 0 && gid > 0
}

func (a *addOn) variable(name string) (value string) {
	for _, v := range a.environ {
		if n, rest, _ := strings.Cut(v, "="); n == name {
			value = rest
		}
	}
	return value
}

// set has the program find a variable, in place of what it had.
func (a *addOn) set(variable string) {
	name, _, _ := strings.Cut(variable, "=")
	a.environ = append(slices.DeleteFunc(a.environ, func(v string) bool { return strings.HasPrefix(v, name+"=") }), variable)
}

// prepare does everything but to become the daemon.
func (a *addOn) prepare(ctx context.Context) error {
	o, err := readOptions(filepath.Join(a.data, "options.json"))
	if err != nil {
		return err
	}
	a.environ = slices.Clone(a.environ)
	for _, v := range o.settings {
		a.set(v)
	}
	for _, dir := range []string{a.state, a.cache} {
		if err := a.own(dir); err != nil {
			return err
		}
	}
	if err := a.check(ctx, o); err != nil {
		return err
	}
	for _, k := range []struct {
		ownKey
		says string
	}{{pageKey, `Skerry's page is behind "Open web UI". The key to it is`}, {programKey, "Programs, as Home Assistant's integration of Ollama, may ask with the key"}} {
		secret, err := a.key(ctx, k.ownKey)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.out, "%s %s\n", k.says, secret)
	}
	return a.join(ctx, o)
}

// own makes a directory, and gives it to the user with all that is in it: what a backup
// brought back may be root's.
func (a *addOn) own(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, a.uid, a.gid)
	})
}

// command runs the program to its end. Where it fails, the error is what it complained of.
func (a *addOn) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, a.program[0], args...)
	cmd.Env, cmd.Dir = a.environ, a.state
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}}
	}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		if said := strings.TrimSpace(complaint.String()); said != "" {
			return string(out), errors.New(strings.ReplaceAll(said, "\n", "; "))
		}
		return string(out), fmt.Errorf("%s %s: %w", a.program[0], args[0], err)
	}
	return string(out), nil
}

// become is the daemon from here on, with no more than its user's rights.
func (a *addOn) become() error {
	if err := os.Chdir(a.state); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(a.gid), syscall.Setuid(a.uid)); err != nil {
			return fmt.Errorf("cannot become user %d: %w", a.uid, err)
		}
	}
	return fmt.Errorf("%s: %w", a.program[0], syscall.Exec(a.program[0], a.program, a.environ))
}
