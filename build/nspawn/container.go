package nspawn

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Container is a booted one.
type Container struct {
	Root string // of its file system, on the host
	cmd  *exec.Cmd
	log  bytes.Buffer
	init int // pid of its first process, on the host
	done chan struct{}
}

// Boot unpacks the archive into dir and boots it, with a network of its own that
// has loopback alone. It returns once systemd answers.
func Boot(ctx context.Context, archive, dir string) (*Container, error) {
	c := &Container{Root: filepath.Join(dir, "root"), done: make(chan struct{})}
	if err := os.MkdirAll(c.Root, 0o755); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, "tar", "-xf", archive, "-C", c.Root).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", archive, err, tail(out))
	}
	c.cmd = exec.Command("systemd-nspawn", "-q", "-D", c.Root, "--boot", "--register=no", "--keep-unit",
		"--private-network", "--console=pipe", "--resolv-conf=off", "--timezone=off")
	c.cmd.Stdout, c.cmd.Stderr = &c.log, &c.log
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { c.cmd.Wait(); close(c.done) }()
	if err := c.await(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("%w\n%s", err, tail(c.log.Bytes()))
	}
	return c, nil
}

// await waits until the container's systemd answers.
func (c *Container) await(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the container did not boot: %w", ctx.Err())
		case <-c.done:
			return fmt.Errorf("%w: systemd-nspawn ended", ErrUnavailable)
		case <-tick.C:
		}
		if c.init = child(c.cmd.Process.Pid); c.init == 0 {
			continue
		}
		if out, _ := c.Run(ctx, "systemctl", "is-system-running"); strings.HasPrefix(out, "running") || strings.HasPrefix(out, "degraded") {
			return nil
		}
	}
}

// child is the first child of a process, 0 for none.
func child(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	first, _, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	n, _ := strconv.Atoi(first)
	return n
}

// Command is a command inside the container.
func (c *Container) Command(ctx context.Context, args ...string) *exec.Cmd {
	enter := []string{"-t", strconv.Itoa(c.init), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "env", "-i",
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"}
	return exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
}

// Run runs a command inside and returns what it says, on both outputs.
func (c *Container) Run(ctx context.Context, args ...string) (string, error) {
	out, err := c.Command(ctx, args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Close powers the container off and waits for its end.
func (c *Container) Close() {
	c.cmd.Process.Signal(os.Interrupt)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if c.init != 0 {
		c.Run(ctx, "systemctl", "poweroff", "--force")
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		c.cmd.Process.Kill()
		<-c.done
	}
}
