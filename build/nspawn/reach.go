package nspawn

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Path is where the host sees a path of the container, what it has mounted included.
func (c *Container) Path(path string) string {
	return filepath.Join("/proc", strconv.Itoa(c.init), "root", path)
}

// Dial connects from within the container's network; addr has an address, no name.
func (c *Container) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return within(c, func() (net.Conn, error) { return new(net.Dialer).DialContext(ctx, network, addr) })
}

// Listen listens within the container's network; addr has an address, no name.
func (c *Container) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return within(c, func() (net.Listener, error) { return new(net.ListenConfig).Listen(ctx, network, addr) })
}

// within calls do in the network of the container.
func within[T any](c *Container, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result)
	go func() {
		// The thread is never unlocked, and ends with the goroutine.
		runtime.LockOSThread()
		var r result
		if r.err = c.enter(); r.err == nil {
			r.value, r.err = do()
		}
		done <- r
	}()
	r := <-done
	return r.value, r.err
}

// enter has this thread be in the container's network.
func (c *Container) enter() error {
	space, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.init))
	if err != nil {
		return err
	}
	defer space.Close()
	if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("the container's network: %w", err)
	}
	return nil
}

// HostPID is the process of the host that has this pid inside.
func (c *Container) HostPID(inside int) (int, error) {
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", c.init))
	if err != nil {
		return 0, err
	}
	list, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return 0, err
	}
	for _, path := range list {
		if space, _ := os.Readlink(filepath.Join(filepath.Dir(path), "ns/pid")); space == own && innermost(path) == inside {
			return strconv.Atoi(filepath.Base(filepath.Dir(path)))
		}
	}
	return 0, fmt.Errorf("the container has no process %d", inside)
}

// innermost is the pid of a process as it sees itself, from its status file.
func innermost(path string) int {
	f, err := os.Open(path)
	if err != nil {
		return 0 // it has ended
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if pids, ok := strings.CutPrefix(lines.Text(), "NSpid:"); ok {
			fields := strings.Fields(pids)
			slices.Reverse(fields)
			n, _ := strconv.Atoi(fields[0])
			return n
		}
	}
	return 0
}
