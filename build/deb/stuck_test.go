package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// held is a thread that was stopped as a debugger does it, while all others of its
// process go on.
type held struct {
	letGo, ended chan struct{}
}

// errIdle is that no thread was found computing.
var errIdle = errors.New("the process is idle")

// hold stops a thread of a process that is within a kernel library, until it is
// released or the process has ended.
func hold(pid int) (*held, error) {
	kernels, err := kernelCode(pid)
	if err != nil {
		return nil, err
	}
	h, stopped := &held{make(chan struct{}), make(chan struct{})}, make(chan error)
	go h.trace(pid, kernels, stopped)
	return h, <-stopped
}

// span of addresses.
type span struct{ from, to uint64 }

// kernelCode is where a process has the code of its kernel libraries.
func kernelCode(pid int) (spans []span, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	for line := range strings.Lines(string(maps)) {
		var s span
		if n, _ := fmt.Sscanf(line, "%x-%x r-xp", &s.from, &s.to); n == 2 && strings.Contains(line, "r-xp") && strings.Contains(line, "libggml-cpu") {
			spans = append(spans, s)
		}
	}
	if err == nil && len(spans) == 0 {
		err = fmt.Errorf("process %d has no kernel library", pid)
	}
	return spans, err
}

func (h *held) trace(pid int, kernels []span, stopped chan<- error) {
	defer close(h.ended)
	runtime.LockOSThread() // of the tracer, which ends with the goroutine
	tid := catch(pid, kernels)
	if tid == 0 {
		stopped <- errIdle
		return
	}
	stopped <- nil
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		// A thread that is traced is not gone before its tracer has seen it end.
		var s unix.WaitStatus
		if n, err := unix.Wait4(tid, &s, unix.WALL|unix.WNOHANG, nil); err != nil || n == tid && (s.Exited() || s.Signaled()) {
			return
		}
		select {
		case <-h.letGo:
			unix.PtraceDetach(tid)
			return
		case <-tick.C:
		}
	}
}

// catch stops one thread after the other, and leaves that one stopped which is found
// in the kernels; 0 where none was for a while.
func catch(pid int, kernels []span) int {
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		for _, task := range tasks {
			tid, _ := strconv.Atoi(filepath.Base(task))
			if unix.PtraceSeize(tid) != nil {
				continue
			}
			var s unix.WaitStatus
			var regs syscall.PtraceRegs
			if unix.PtraceInterrupt(tid) == nil {
				if n, err := unix.Wait4(tid, &s, unix.WALL, nil); err != nil || n != tid || !s.Stopped() {
					continue
				}
				if syscall.PtraceGetRegs(tid, &regs) == nil && within(kernels, regs.PC()) {
					return tid
				}
			}
			unix.PtraceDetach(tid)
		}
	}
	return 0
}

func within(spans []span, at uint64) bool {
	for _, s := range spans {
		if s.from <= at && at < s.to {
			return true
		}
	}
	return false
}

// release lets the thread go on.
func (h *held) release() {
	close(h.letGo)
	<-h.ended
}
