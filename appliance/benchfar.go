package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"skerry/appliance/bench/strategies"
	"skerry/appliance/bundle"
	"skerry/appliance/decode"
)

// benchFar is the cloud's process as the edge of bench strategies sees it.
type benchFar struct {
	bundle *bundle.Bundle
	model  decode.Model
	state  string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	log    tail
	addr   *net.UDPAddr

	mu   sync.Mutex // one question at a time
	asks *json.Encoder
	told *json.Decoder
}

func startBenchFar(b *bundle.Bundle, m decode.Model, state string, core int) (*benchFar, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	f := &benchFar{bundle: b, model: m, state: state}
	f.cmd = exec.Command(exe, "bench", "partition", "--bundle", b.Dir, "--state", state,
		"--context", strconv.Itoa(m.Context), "--core="+strconv.Itoa(core))
	f.cmd.Stderr = &f.log
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this process
	if f.stdin, err = f.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := f.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the cloud's process: %w", err)
	}
	f.asks, f.told = json.NewEncoder(f.stdin), json.NewDecoder(stdout)
	var found announcement
	if err := f.told.Decode(&found); err != nil {
		f.stop()
		return nil, f.failed(err)
	}
	if f.addr, err = net.ResolveUDPAddr("udp", found.Listening); err != nil {
		f.stop()
	}
	return f, err
}

func (f *benchFar) failed(err error) error {
	if said := f.log.last(); said != "" {
		err = errors.New(said)
	}
	return fmt.Errorf("the cloud's process failed: %w", err)
}

// stop ends the process and waits for it.
func (f *benchFar) stop() {
	f.stdin.Close()
	timer := time.AfterFunc(5*time.Second, func() { f.cmd.Process.Kill() })
	defer timer.Stop()
	f.cmd.Wait() // how it ended no longer matters
}

// ask waits for the answer however long the cloud computes; the end of its process
// ends it.
func (f *benchFar) ask(ctx context.Context, a benchAsk) (t benchTold, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return t, err
	}
	if err = f.asks.Encode(a); err == nil {
		err = f.told.Decode(&t)
	}
	if err != nil {
		return t, f.failed(err)
	}
	if t.Error != "" {
		err = f.failed(errors.New(t.Error))
	}
	return t, err
}

func (f *benchFar) Spent(ctx context.Context) (strategies.Spent, error) {
	t, err := f.ask(ctx, benchAsk{Do: "spent"})
	return t.Spent, err
}

func (f *benchFar) Pass(ctx context.Context) (t, m float64, err error) {
	told, err := f.ask(ctx, benchAsk{Do: "pass"})
	return told.T, told.M, err
}

func (f *benchFar) Likeliest(ctx context.Context, tokens []int32, from int) ([]int32, error) {
	t, err := f.ask(ctx, benchAsk{Do: "likeliest", Tokens: tokens, From: from})
	return t.IDs, err
}
