package sandbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Limits of a program. Zero values are not usable.
type Limits struct {
	Time      time.Duration `json:"time"`      // from its start to its end
	Processor uint64        `json:"processor"` // seconds of processor time of each process
	Memory    uint64        `json:"memory"`    // bytes of address space of each process
	File      uint64        `json:"file"`      // bytes of each file that it writes
	Disk      uint64        `json:"disk"`      // bytes of all of them, where it is confined
	Files     uint64        `json:"files"`     // open at once
	Processes uint64        `json:"processes"` // and threads; of an unconfined program those of its user
	Output    int           `json:"output"`    // bytes printed
}

// Usual are limits for a small function and its tests.
func Usual() Limits {
	return Limits{Time: 20 * time.Second, Processor: 10, Memory: 256e6, File: 1e6, Disk: 8e6, Files: 64, Processes: 4, Output: 64e3}
}

// Sandbox runs programs. It may be used by several goroutines.
type Sandbox struct {
	limits     Limits
	python     python
	unconfined bool
	args       []string // of this program, so that it calls Enter
}

// Options of a sandbox.
type Options struct {
	Limits Limits
	// Unconfined runs programs without namespaces: they see the network and what files the
	// user may see, and may write where he may.
	Unconfined bool
	// Args are the arguments with which this program calls Enter.
	Args []string
}

// Open finds Python and tries whether a program can be confined here. The error is one line
// that says why none can be.
func Open(ctx context.Context, o Options) (*Sandbox, error) {
	found, err := findPythons(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range found {
		s := &Sandbox{limits: o.Limits, python: p, unconfined: o.Unconfined, args: o.Args}
		var r Result
		if r, err = s.Run(ctx, "", "", ""); err == nil && r.Verdict != Passed {
			err = fmt.Errorf("%s does not run there: %s: %s", p.Path, r.Verdict, lastLine(r.Output))
		}
		if err == nil {
			return s, nil
		}
	}
	return nil, err
}

// Verdict on a program.
type Verdict string

// The verdicts.
const (
	Passed      Verdict = "passed"          // it ran to its last line
	Failed      Verdict = "failed"          // it ended before, by an error, an exit or a limit
	OutOfTime   Verdict = "out of time"     // it was killed after Limits.Time
	OutOfOutput Verdict = "too much output" // it was killed because it printed more than Limits.Output
)

// Result of a program.
type Result struct {
	Verdict Verdict
	Output  string // the first Limits.Output bytes that it printed
}

// ErrConfine is wrapped by the error of a program that was not run, because a wall around it
// could not be built.
var ErrConfine = errors.New("this machine cannot confine a program")

// order is what the child is told on stdin.
type order struct {
	Python  python `json:"python"`
	Limits  Limits `json:"limits"`
	Program string `json:"program"`
	// Dir is where an unconfined program runs, "" for one that is to be confined.
	Dir string `json:"dir"`
}

// Run runs the parts of a program, one after the other, as one file: what it needs, the
// code that is judged, and its tests. An empty part is left out. A program that leaves by
// itself before its last line has not passed, whatever its exit status. The error is of the
// sandbox or of ctx, not of the program.
func (s *Sandbox) Run(ctx context.Context, parts ...string) (Result, error) {
	end := rand.Text() // printed behind the last part, to show that it was reached
	o := order{Python: s.python, Limits: s.limits, Program: strings.Join(append(parts, "print("+strconv.Quote(end)+", flush=True)"), "\n\n")}
	if s.unconfined {
		dir, err := os.MkdirTemp("", "skerry-code-")
		if err != nil {
			return Result{}, err
		}
		defer os.RemoveAll(dir)
		o.Dir = dir
	}
	told, err := json.Marshal(o)
	if err != nil {
		return Result{}, err
	}
	limited, cancel := context.WithTimeout(ctx, s.limits.Time)
	defer cancel()
	out := &output{most: s.limits.Output, full: cancel}
	err = s.child(limited, told, out)
	r := Result{Output: string(out.kept), Verdict: Failed}
	said, reached := strings.CutSuffix(r.Output, end+"\n")
	switch {
	case errors.Is(err, ErrConfine):
		return Result{}, err
	case ctx.Err() != nil:
		return Result{}, ctx.Err()
	case out.over:
		r.Verdict = OutOfOutput
	case limited.Err() != nil:
		r.Verdict = OutOfTime
	case err == nil && reached:
		r.Verdict, r.Output = Passed, said
	}
	return r, nil
}

// child runs the program in a process of its own and returns how that ended. All that the
// program started has ended by then, unless it is unconfined and left its process group.
func (s *Sandbox) child(ctx context.Context, told []byte, out io.Writer) error {
	status, statusEnd, err := os.Pipe()
	if err != nil {
		return err
	}
	defer status.Close()
	defer statusEnd.Close()
	// The path leads to this program also for a user who may not see the directory in which
	// it lies.
	cmd := exec.CommandContext(ctx, "/proc/self/exe", s.args...)
	cmd.Env = []string{} // nil would be this process's
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(told), out, out
	cmd.ExtraFiles = []*os.File{statusEnd}
	cmd.SysProcAttr = s.attributes()
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second // for a process that left the group and holds the output open
	// The child dies with the thread that started it, so that thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		if ctx.Err() != nil { // before there was a process
			return ctx.Err()
		}
		if !s.unconfined { // the kernel says that there is no space, or that it is not permitted
			err = fmt.Errorf("the kernel gives this user no namespaces: %w", err)
		}
		return fmt.Errorf("%w: %w", ErrConfine, err)
	}
	statusEnd.Close()
	said, readErr := io.ReadAll(io.LimitReader(status, 4096))
	// What an unconfined program started is killed while the child, which has ended, still
	// keeps the number of the group.
	for unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	err = cmd.Wait()
	switch {
	case readErr != nil:
		return fmt.Errorf("%w: %w", ErrConfine, readErr)
	case string(said) == ready:
		return err
	case len(said) > 0:
		return fmt.Errorf("%w: %s", ErrConfine, said)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("%w: the child ended at once: %v", ErrConfine, err)
}

// nobody is the user and group that programs run as where this process is root: root is
// exempt from the limit on processes.
const nobody = 65534

// attributes are the namespaces of the child.
func (s *Sandbox) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if s.unconfined {
		return a
	}
	uid, gid, root := os.Getuid(), os.Getgid(), os.Getuid() == 0
	if root {
		uid, gid = nobody, nobody
	}
	a.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	a.GidMappingsEnableSetgroups = root
	a.Credential = &syscall.Credential{NoSetGroups: !root}
	return a
}

// output keeps what is printed up to a limit, and says so when there is more.
type output struct {
	kept []byte
	most int
	over bool
	full func()
}

func (o *output) Write(p []byte) (int, error) {
	o.kept = append(o.kept, p[:min(len(p), o.most-len(o.kept))]...)
	if len(o.kept) == o.most && !o.over {
		o.over = true
		o.full()
	}
	return len(p), nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndex(s, "\n")+1:]
}
