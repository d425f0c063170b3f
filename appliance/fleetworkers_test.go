package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/appliance/node/nodetest"
	"skerry/cloudlink/linksim"
)

// fleetRig is a cloud of several workers, which are processes, with a real etcd, and the state of
// an enrolled board. Boards reach each worker over an emulated link of its own.
type fleetRig struct {
	b         testing.TB
	etcd      string // where an etcd is; "": its only worker knows of no others
	authority string // the state directory that those of workers are copies of
	bundle    string
	workers   []*fleetWorker
	board     string // state directory
}

type fleetWorker struct {
	state, listen, addr string // addr is where boards reach it
	link                *linksim.Link
	*process
}

// newFleetRig starts n workers of a fleet, and enrolls a board.
func newFleetRig(b testing.TB, n int, spec linksim.Spec, bundle string) *fleetRig {
	b.Helper()
	r := &fleetRig{b: b, authority: b.TempDir(), bundle: bundle, board: b.TempDir()}
	expect(b, 0, "cloud", "init", "--state", r.authority, "--name", "127.0.0.1")
	if n > 0 {
		r.etcd = startEtcd(b)
	}
	for range n {
		r.add(spec)
	}
	if n > 0 {
		r.enroll("board", r.workers[0], r.board)
	}
	return r
}

// startEtcd builds etcd and starts it, as a process: with its server linked, this package's tests
// would be of a program that has it, and that opens sockets when it starts. It returns its URL.
func startEtcd(b testing.TB) string {
	b.Helper()
	dir := b.TempDir()
	program := filepath.Join(dir, "etcd")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", program, "go.etcd.io/etcd/server/v3").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	client, peer := "http://"+nodetest.FreePort(b), "http://"+nodetest.FreePort(b)
	p := startCommand(b, exec.Command(program, "--data-dir", filepath.Join(dir, "data"), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer))
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		answer, err := http.Get(client + "/health")
		if err == nil {
			if answer.Body.Close(); answer.StatusCode == http.StatusOK {
				return client
			}
		}
		select {
		case <-p.done:
			b.Fatalf("etcd has ended: %s", p.stderr.String())
		default:
		}
		if time.Now().After(deadline) {
			b.Fatalf("etcd does not start: %v, %s", err, p.stderr.String())
		}
	}
}

// add starts one more worker; it knows of no others where there is no etcd.
func (r *fleetRig) add(spec linksim.Spec) {
	r.b.Helper()
	w := &fleetWorker{state: r.b.TempDir(), listen: nodetest.FreePort(r.b)}
	if err := os.CopyFS(w.state, os.DirFS(r.authority)); err != nil {
		r.b.Fatal(err)
	}
	target, err := net.ResolveUDPAddr("udp", w.listen)
	if err != nil {
		r.b.Fatal(err)
	}
	if w.link, err = linksim.Start(context.Background(), spec, target, 1); err != nil {
		r.b.Fatal(err)
	}
	r.b.Cleanup(func() { w.link.Close() })
	w.addr = w.link.Addr().String()
	r.workers = append(r.workers, w)
	r.start(w)
}

// start starts a worker and waits until it serves.
func (r *fleetRig) start(w *fleetWorker) {
	r.b.Helper()
	args := []string{"cloud", "--json", "--listen", w.listen, "--bundle", r.bundle, "--state", w.state,
		"--threads", "1", "--sessions", "2", "--context", "2048", "--disk", "0"}
	if r.etcd != "" {
		args = append(args, "--fleet", r.etcd, "--advertise", w.addr)
	}
	w.process = start(r.b, args...)
	w.await(r.b, &w.stdout, "address", func(s string) bool { return len(s) > 0 })
}

// enroll makes a board known by one of the workers.
func (r *fleetRig) enroll(name string, w *fleetWorker, state string) {
	r.b.Helper()
	code, _ := expect(r.b, 0, "cloud", "invite", "--state", w.state, "--name", name, "--may", "hidden", "--cloud", w.addr)
	lines := strings.Split(strings.TrimSpace(code), "\n")
	expect(r.b, 0, "enroll", "--state", state, "--may", "hidden", lines[len(lines)-1])
}

// owner is the worker that has the board, of those that live.
func (r *fleetRig) owner(state string) *fleetWorker {
	r.b.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		for _, w := range r.workers {
			if w.ended() {
				continue
			}
			if text := w.stderr.String(); strings.LastIndex(text, `"msg":"board says hello"`) > strings.LastIndex(text, `"msg":"board gone"`) {
				return w
			}
		}
	}
	r.b.Fatal("no worker has the board")
	return nil
}

func (w *fleetWorker) ended() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}
