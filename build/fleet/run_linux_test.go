package fleet

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"skerry/build/testleak"
)

var runs = flag.Bool("run-files", false, "start what the compose file and the manifest say, with a real etcd that is built for it")

func TestMain(m *testing.M) {
	if os.Getenv(insideEnv) != "" {
		enter()
	}
	testleak.Main(m)
}

// inNetwork is set where a test runs again in a network of its own: to etcd's program.
const inNetwork = "SKERRY_TEST_NETWORK"

// alone runs the test again in a network of its own, and returns false there.
func alone(t *testing.T) bool {
	t.Helper()
	if !*runs {
		t.Skip("skipped: -run-files runs it")
	}
	if os.Getenv(inNetwork) != "" {
		return false
	}
	etcd := filepath.Join(t.TempDir(), "etcd")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", etcd, "go.etcd.io/etcd/server/v3").CombinedOutput(); err != nil {
		t.Fatalf("etcd: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "20m", "-run-files")
	cmd.Env = append(os.Environ(), inNetwork+"="+etcd)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skipf("skipped: not root: %v", err)
	}
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	return true
}

// programs are those of the images: Skerry's as the package has it, and etcd's, built of the
// module that go.mod names.
func (w *world) programs() {
	w.t.Helper()
	bin, err := filepath.Abs("../../bin")
	must(w.t, err)
	kernels, err := filepath.EvalSymlinks(filepath.Join(bin, "kernels"))
	if err != nil {
		w.t.Skipf("skipped: %v: make build makes it", err)
	}
	libraries, err := filepath.Glob("/usr/lib/*-linux-gnu")
	must(w.t, err)
	base := []Mount{{Source: "/usr/lib64", Target: "/usr/lib64"}}
	for _, l := range libraries {
		base = append(base, Mount{Source: l, Target: l})
	}
	w.images = map[string][]Mount{
		"etcd:": append(slices.Clone(base), Mount{Source: os.Getenv(inNetwork), Target: "/usr/local/bin/etcd"}),
		"skerry-cloud": append(base, Mount{Source: filepath.Join(bin, "skerry"), Target: "/usr/lib/skerry-cloud/skerry"},
			Mount{Source: kernels, Target: "/usr/lib/skerry-cloud/kernels"}),
	}
}

// tool runs a program to its end.
func (w *world) tool(name string, args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "SKERRY_KERNELS=../../bin/kernels")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s %v: %v\n%s\n%s", name, args, err, out, w.logs())
	}
	return string(out)
}

// logs are the ends of all containers' logs.
func (w *world) logs() string {
	var b strings.Builder
	for name, p := range w.procs {
		lines := strings.Split(strings.TrimSpace(p.said()), "\n")
		fmt.Fprintf(&b, "%s:\n%s\n", name, strings.Join(lines[max(0, len(lines)-6):], "\n"))
	}
	return b.String()
}

// bundle is a tiny one that everybody may read.
func (w *world) bundle() string {
	w.t.Helper()
	src, dir := filepath.Join(w.dir, "tiny.gguf"), filepath.Join(w.dir, "bundle")
	w.tool("../../bin/skerry", "model", "synth", "tiny", "-o", src)
	w.tool("../../bin/skerry", "model", "split", src, "-o", dir)
	w.tool("chmod", "-R", "a+rX", dir)
	return dir
}

// until waits for something to be so.
func (w *world) until(what string, so func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("not so: %s\n%s", what, w.logs())
		}
		for _, p := range w.procs {
			if p.ended() && p.err != nil && !p.killed {
				w.t.Fatalf("%s has ended: %v\n%s", p.name, p.err, p.said())
			}
		}
	}
}

var client = http.Client{Timeout: 10 * time.Second}

// asked is what a container's probe says.
func (w *world) asked(c *Container, path, port string) (int, string) {
	r, err := client.Get("http://" + net.JoinHostPort(w.names[c.Name].String(), port) + path)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(r.Body, 1<<10))
	return r.StatusCode, strings.TrimSpace(string(b))
}

// small has a worker compute as little as a tiny bundle needs.
func small(c Container) *Container {
	c.Command = append(c.Command, "--threads", "1", "--sessions", "2", "--context", "256")
	return &c
}

// operate runs a command of skerry-cloud as who runs the worker does.
func (w *world) operate(c *Container, args ...string) string {
	w.t.Helper()
	state := ""
	for _, m := range c.Mounts {
		if m.Target == c.Flag("state") {
			state = w.volume(m, user)
		}
	}
	return w.tool("../../bin/skerry", append(append([]string{"cloud"}, args...), "--state", state)...)
}

// serves is the worker that the board belongs to, nil for none that lives.
func (w *world) serves(workers []*Container) (owner *Container) {
	for _, c := range workers {
		if !w.procs[c.Name].ended() && strings.Contains(w.operate(c, "load"), ", 1 board here") {
			owner = c
		}
	}
	return owner
}

// boardMoves enrols a board at one worker, has it answered, kills the worker that it belongs to,
// and has it answered by another; then it drains that one.
func (w *world) boardMoves(workers []*Container, bundle string) {
	w.t.Helper()
	board := filepath.Join(w.dir, "board")
	out := strings.Fields(w.operate(workers[0], "invite", "--name", "shed", "--may", "hidden"))
	code := ""
	for _, f := range out {
		if len(f) > len(code) {
			code = f
		}
	}
	w.tool("../../bin/skerry", "enroll", "--state", board, code)
	ask := func() string {
		w.t.Helper()
		return w.tool("../../bin/skerry", "run", "--state", board, "--bundle", bundle, "--raw", "--ignore-end", "--threads", "1", "--max-tokens", "12", "--threshold", "inf", "--context", "128", "one")
	}
	before := ask()
	if !strings.Contains(before, "cloud 12") {
		w.t.Errorf("not of the cloud: %s", before)
	}
	first := w.serves(workers)
	if first == nil {
		w.t.Fatalf("no worker has the board\n%s", w.logs())
	}
	w.procs[first.Name].kill()
	// Until its lease ends the board is the dead worker's, and skerry run waits for 5 s only.
	w.until("the death of "+first.Name+" is known", func() bool {
		for _, c := range workers {
			if c != first {
				return strings.Contains(w.operate(c, "load"), fmt.Sprintf("%d workers, ", len(workers)-1))
			}
		}
		return false
	})
	text := func(s string) string { head, _, _ := strings.Cut(s, "["); return head }
	after := ask()
	second := w.serves(workers)
	if second == nil || second == first {
		w.t.Fatalf("after the death of %s nobody has the board\n%s", first.Name, w.logs())
	}
	if text(after) != text(before) || !strings.Contains(after, "cloud 12") {
		w.t.Errorf("the answer was\n%s\nand is\n%s", before, after)
	}
	w.t.Logf("the board enrolled at %s, belonged to %s, which was killed, and to %s then:\n%s", workers[0].Name, first.Name, second.Name, after)

	w.operate(second, "drain")
	<-w.procs[second.Name].done
	if err := w.procs[second.Name].err; err != nil {
		w.t.Errorf("after a drain %s ended with %v\n%s", second.Name, err, w.procs[second.Name].said())
	}
	after = ask()
	if third := w.serves(workers); third == nil || text(after) != text(before) {
		w.t.Errorf("after a drain of %s: %s", second.Name, after)
	}
}

// TestComposeRuns starts what the compose file says.
func TestComposeRuns(t *testing.T) {
	if alone(t) {
		return
	}
	w := newWorld(t)
	w.programs()
	bundle := w.bundle()
	all, err := Compose(".", map[string]string{"CLOUD_HOST": "10.77.0.1", "BUNDLE": bundle})
	must(t, err)
	for _, c := range all {
		w.host(c.Name)
	}
	for _, c := range all {
		if c.Profile == "init" {
			p := w.start(&c, user)
			if <-p.done; p.err != nil {
				t.Fatalf("init: %v\n%s", p.err, p.said())
			}
			t.Logf("init says:\n%s", p.said())
			delete(w.procs, c.Name)
		}
	}
	var workers []*Container
	for _, c := range all {
		switch {
		case c.Profile != "":
		case c.Of("skerry-cloud"):
			s := small(c)
			workers = append(workers, s)
			w.start(s, user)
			_, port, _ := net.SplitHostPort(c.Flag("advertise"))
			n, err := strconv.Atoi(port)
			must(t, err)
			w.publish(n, w.names[c.Name], 7537)
		default:
			w.start(&c, 0)
		}
	}
	w.ready(workers)
	w.boardMoves(workers, bundle)
}

// ready waits until each worker is, and all know one another.
func (w *world) ready(workers []*Container) {
	w.t.Helper()
	for _, c := range workers {
		_, port, _ := net.SplitHostPort(c.Flag("metrics"))
		w.until(c.Name+" is ready", func() bool { code, _ := w.asked(c, "/readyz", port); return code == http.StatusOK })
	}
	all := fmt.Sprintf("%d workers, ", len(workers))
	w.until("all know one another", func() bool { return strings.Contains(w.operate(workers[0], "load"), all) })
	w.t.Logf("%d workers:\n%s", len(workers), w.operate(workers[0], "load"))
}

// TestKubernetesRuns starts the pods of the manifest, with its secrets and its probes.
func TestKubernetesRuns(t *testing.T) {
	if alone(t) {
		return
	}
	w := newWorld(t)
	w.programs()
	bundle := w.bundle()
	pods, err := Kubernetes(".")
	must(t, err)
	state := filepath.Join(w.dir, "state")
	w.tool("../../bin/skerry", "cloud", "init", "--state", state, "--name", "cloud.example.org", "--fleet", "etcd-0.etcd,etcd-1.etcd,etcd-2.etcd")
	w.mountSecret("skerry-etcd", filepath.Join(state, "fleet", "etcd"))
	w.mountSecret("skerry-cloud", filepath.Join(state, "fleet", "worker"))
	for _, c := range pods {
		w.host(c.Name, c.Name+".etcd", c.Name+".cloud.example.org")
	}
	var workers []*Container
	for i := range pods {
		c := &pods[i]
		if c.Of("skerry-cloud") {
			c = small(*c)
			// Here the name is not of the outside's: the board dials the pod.
			for n, a := range c.Command {
				c.Command[n] = strings.ReplaceAll(a, c.Name+".cloud.example.org", w.names[c.Name].String())
			}
			workers = append(workers, c)
		}
		for n, m := range c.Mounts {
			if m.Target == "/bundle" {
				c.Mounts[n].Source, c.Mounts[n].Bind = bundle, true
			}
		}
		w.start(c, user)
	}
	w.ready(workers)
	for _, c := range pods {
		for _, p := range c.Probes {
			w.until(fmt.Sprintf("%s of %s on %s is answered", p.Kind, c.Name, p.Path), func() bool { code, _ := w.asked(&c, p.Path, p.Port); return code == http.StatusOK })
		}
	}
	w.boardMoves(workers, bundle)
}
