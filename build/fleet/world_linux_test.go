package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// patience is how long anything may take on a busy machine.
const patience = 3 * time.Minute

// World runs containers as an engine does: each has a file system of its own, with the directories
// that are mounted into it, and a network of its own, all of them behind one bridge. It is for a
// process that has a network of its own, and root.
type world struct {
	t      *testing.T
	dir    string
	bridge *netlink.Bridge
	secret map[string]string // directories by the names under which containers mount them
	names  map[string]net.IP
	procs  map[string]*process
	images map[string][]Mount // programs and libraries, by a part of the image's name
}

// user is who programs of skerry's image run as, by build/oci.
const user = 65532

// inside is what a container's first process is told.
type inside struct {
	Root, Hosts string
	Mounts      []Mount
	Argv, Env   []string
	User        int
	ReadOnly    bool
}

// insideEnv is set in the process that becomes a container.
const insideEnv = "SKERRY_TEST_CONTAINER"

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), secret: map[string]string{}, names: map[string]net.IP{}, procs: map[string]*process{}}
	w.bridge = &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "bridge"}}
	must(t, netlink.LinkAdd(w.bridge))
	must(t, up(nil, "lo"))
	must(t, up(nil, "bridge", "10.77.0.1/24"))
	t.Cleanup(func() {
		for _, p := range w.procs {
			p.kill()
		}
	})
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// up gives an interface an address, in this network or in another.
func up(h *netlink.Handle, name string, addrs ...string) (err error) {
	if h == nil {
		if h, err = netlink.NewHandle(); err != nil {
			return err
		}
		defer h.Close()
	}
	link, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	for _, s := range addrs {
		a, err := netlink.ParseAddr(s)
		if err != nil {
			return err
		}
		if err := h.AddrAdd(link, a); err != nil {
			return err
		}
	}
	return h.LinkSetUp(link)
}

// host gives a name an address, the next one.
func (w *world) host(names ...string) {
	ip := net.IPv4(10, 77, 0, byte(10+len(w.names)))
	for _, n := range names {
		w.names[n] = ip
	}
}

// process is a container that runs.
type process struct {
	*exec.Cmd
	name   string
	log    string
	done   chan struct{}
	err    error
	killed bool // by the test
}

func (p *process) kill() {
	p.killed = true
	p.Process.Kill()
	<-p.done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// said is what it has logged.
func (p *process) said() string {
	b, _ := os.ReadFile(p.log)
	return string(b)
}

// start runs a container as a user.
func (w *world) start(c *Container, uid int) *process {
	w.t.Helper()
	root := filepath.Join(w.dir, "roots", c.Name)
	must(w.t, os.MkdirAll(root, 0o755))
	hosts := filepath.Join(w.dir, "hosts")
	var text strings.Builder
	text.WriteString("127.0.0.1 localhost\n")
	for _, n := range slices.Sorted(maps.Keys(w.names)) {
		fmt.Fprintf(&text, "%s %s\n", w.names[n], n)
	}
	must(w.t, os.WriteFile(hosts, []byte(text.String()), 0o644))
	in := inside{Root: root, Hosts: hosts, User: uid, ReadOnly: c.ReadOnly, Argv: slices.Clone(c.Command), Env: []string{"PATH=/usr/bin:/bin"}}
	for k, v := range c.Env {
		in.Env = append(in.Env, k+"="+v)
	}
	for part, mounts := range w.images {
		if c.Of(part) {
			in.Mounts = append(in.Mounts, mounts...)
		}
	}
	if c.Of("skerry-cloud") {
		in.Env = append(in.Env, "SKERRY_STATE=/var/lib/skerry-cloud", "SKERRY_CACHE=/var/cache/skerry", "HOME=/var/lib/skerry-cloud")
		if in.Argv[0] == "" {
			in.Argv[0] = "/usr/bin/skerry-cloud"
		}
	}
	for _, m := range c.Mounts {
		m.Source = w.volume(m, uid)
		in.Mounts = append(in.Mounts, m)
	}
	told, err := json.Marshal(in)
	must(w.t, err)
	p := &process{name: c.Name, log: filepath.Join(w.dir, c.Name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	must(w.t, err)
	defer log.Close()
	p.Cmd = exec.Command(os.Args[0])
	p.Env = []string{insideEnv + "=" + string(told)}
	p.Stdout, p.Stderr = log, log
	go_, err := p.StdinPipe()
	must(w.t, err)
	p.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	must(w.t, p.Start())
	go func() { p.err = p.Wait(); close(p.done) }()
	w.procs[c.Name] = p
	if ip := w.names[c.Name]; ip != nil {
		must(w.t, w.plug(p.Process.Pid, ip))
	}
	go_.Close() // it has its network, and begins
	return p
}

// plug gives a container its cable to the bridge.
func (w *world) plug(pid int, ip net.IP) error {
	name := fmt.Sprintf("v%d", pid)
	cable := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, MasterIndex: w.bridge.Attrs().Index}, PeerName: "eth0", PeerNamespace: netlink.NsPid(pid)}
	if err := netlink.LinkAdd(cable); err != nil {
		return err
	}
	if err := up(nil, name); err != nil {
		return err
	}
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return err
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	return errors.Join(up(h, "lo"), up(h, "eth0", ip.String()+"/24"))
}

// volume is the directory of one, with the owner that the image gives it.
func (w *world) volume(m Mount, uid int) string {
	w.t.Helper()
	if m.Bind {
		return m.Source
	}
	if dir := w.secret[m.Source]; dir != "" {
		return dir
	}
	dir := filepath.Join(w.dir, "volumes", m.Source)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		must(w.t, os.MkdirAll(dir, 0o700))
		must(w.t, os.Chown(dir, uid, uid))
	}
	return filepath.Join(dir, m.Sub)
}

// mountSecret makes a directory one that pods mount as a secret.
func (w *world) mountSecret(name, from string) {
	w.t.Helper()
	dir := filepath.Join(w.dir, "secrets", name)
	must(w.t, os.CopyFS(dir, os.DirFS(from)))
	must(w.t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return errors.Join(err, os.Chmod(path, 0o755))
		}
		return errors.Join(os.Chown(path, 0, user), os.Chmod(path, 0o440))
	}))
	w.secret[name] = dir
}

// enter is the first process of a container, which becomes its program.
func enter() {
	var in inside
	if err := json.Unmarshal([]byte(os.Getenv(insideEnv)), &in); err != nil {
		panic(err)
	}
	os.Stdin.Read(make([]byte, 1)) // until it has its network
	runtime.LockOSThread()
	if err := in.become(); err != nil {
		fmt.Fprintln(os.Stderr, "container:", err)
		os.Exit(125)
	}
}

func (in *inside) become() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", in.Root, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	at := func(path string) string { return filepath.Join(in.Root, path) }
	for _, dir := range []string{"etc", "tmp", "proc", "dev", "usr/bin", "usr/local/bin"} {
		if err := os.MkdirAll(at(dir), 0o755); err != nil {
			return err
		}
	}
	mounts := append([]Mount{{Source: in.Hosts, Target: "/etc/hosts"}, {Source: "/dev/null", Target: "/dev/null", Write: true}, {Source: "/dev/urandom", Target: "/dev/urandom"}}, in.Mounts...)
	for _, m := range mounts {
		if err := m.bind(at(m.Target)); err != nil {
			return fmt.Errorf("%s on %s: %w", m.Source, m.Target, err)
		}
	}
	err := errors.Join(unix.Mount("proc", at("proc"), "proc", 0, ""), os.Symlink("../lib/skerry-cloud/skerry", at("usr/bin/skerry-cloud")),
		os.Symlink("usr/lib", at("lib")), os.Symlink("usr/lib64", at("lib64")), os.WriteFile(at("etc/nsswitch.conf"), []byte("hosts: files\n"), 0o644))
	if err != nil {
		return err
	}
	if in.ReadOnly {
		if err := unix.Mount("", in.Root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			return err
		}
	}
	if err := errors.Join(unix.Chroot(in.Root), unix.Chdir("/"), unix.Setgroups(nil), syscall.Setgid(in.User), syscall.Setuid(in.User)); err != nil {
		return err
	}
	return unix.Exec(in.Argv[0], in.Argv, in.Env)
}

// bind mounts it on a path, which is made.
func (m *Mount) bind(path string) error {
	info, err := os.Stat(m.Source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(path, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
		err = os.WriteFile(path, nil, 0o755)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(m.Source, path, "", unix.MS_BIND, ""); err != nil || m.Write {
		return err
	}
	return unix.Mount("", path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

// publish hands datagrams that come to the bridge's address on to a container, as an engine does
// with a port that is published.
func (w *world) publish(port int, to net.IP, inside int) {
	w.t.Helper()
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(10, 77, 0, 1), Port: port})
	must(w.t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex // guards backs
	backs := map[string]*net.UDPConn{}
	wg.Go(func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := front.ReadFromUDP(buf)
			if err != nil {
				return
			}
			mu.Lock()
			back := backs[from.String()]
			mu.Unlock()
			if back == nil {
				if back, err = net.DialUDP("udp4", nil, &net.UDPAddr{IP: to, Port: inside}); err != nil {
					continue
				}
				mu.Lock()
				backs[from.String()] = back
				mu.Unlock()
				wg.Go(func() {
					buf := make([]byte, 1<<16)
					for {
						n, err := back.Read(buf)
						if errors.Is(err, net.ErrClosed) {
							return
						}
						if err == nil {
							front.WriteToUDP(buf[:n], from)
						}
					}
				})
			}
			back.Write(bytes.Clone(buf[:n]))
		}
	})
	w.t.Cleanup(func() {
		front.Close()
		mu.Lock()
		for _, b := range backs {
			b.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
}
