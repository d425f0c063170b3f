// Package child runs this program again as a cloud partition in a process of its own, on
// loopback: for a run that has no cloud, and for a benchmark that wants one.
package child

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Announcement is the line of JSON in which a partition says where it can be reached.
type Announcement struct {
	Listening string `json:"listening"`
	PID       int    `json:"pid"`
}

// Process is the other process. It ends when this one does, however that comes, because
// its stdin then closes.
type Process struct {
	cmd    *exec.Cmd
	log    tail
	Stdin  io.WriteCloser
	Stdout *json.Decoder
}

// stopTime is how long a process is given to end by itself.
const stopTime = 5 * time.Second

// Start starts this program with the arguments.
func Start(args ...string) (*Process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: exec.Command(exe, args...)}
	p.cmd.Stderr = &p.log
	// A process group of its own: Ctrl-C in the terminal is for this process.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.Stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.Stdout = json.NewDecoder(stdout)
	return p, p.cmd.Start()
}

// PID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Announced waits until the partition says where it can be reached, or its process has
// ended.
func (p *Process) Announced() (a Announcement, err error) {
	if err = p.Stdout.Decode(&a); err != nil {
		err = p.Failed(err)
	}
	return a, err
}

// Failed is what the process said last where it said why it failed, else err.
func (p *Process) Failed(err error) error {
	return fmt.Errorf("the cloud partition started here failed: %s", cmp.Or(p.log.last(), err.Error()))
}

// Stop ends the process and waits for it, and first for read to be closed, which says
// that nobody reads Stdout any more; nil where nobody does.
func (p *Process) Stop(read <-chan struct{}) {
	p.Stdin.Close()
	timer := time.AfterFunc(stopTime, func() { p.cmd.Process.Kill() })
	defer timer.Stop()
	if read != nil {
		<-read
	}
	p.cmd.Wait() // how it ended no longer matters
}

// tail keeps the last bytes written to it.
type tail struct {
	mu  sync.Mutex // guards buf
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if n := len(t.buf) - 4096; n > 0 {
		t.buf = t.buf[n:]
	}
	return len(p), nil
}

// last is the last line that is no log record, such as an error, without the
// program's name.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := bytes.Split(bytes.TrimSpace(t.buf), []byte("\n"))
	for i := len(lines) - 1; i >= 0; i-- {
		if s := string(lines[i]); s != "" && !strings.HasPrefix(s, "{") {
			return strings.TrimPrefix(s, "skerry: ")
		}
	}
	return ""
}
