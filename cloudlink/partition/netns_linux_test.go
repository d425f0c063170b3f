package partition_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/transport"
)

// inNamespace is set where this test runs again in a network namespace of its
// own.
const inNamespace = "SKERRY_TEST_NETNS"

// skipMark precedes the reason for a skip in the output of the inner run.
const skipMark = "no namespaces here: "

// TestMovedAddress moves a board's address between two real interfaces: the
// connection and what waits on it live on. It needs root.
func TestMovedAddress(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		moveAddress(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestMovedAddress$", "-test.v", "-test.timeout", "60s")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) {
		t.Skipf("not root, or a kernel without network namespaces: %v", err)
	}
	if _, reason, ok := strings.Cut(string(out), skipMark); ok {
		reason, _, _ = strings.Cut(reason, "\n")
		t.Skip(skipMark + reason)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "_test.go:") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// need skips where the kernel does not let the network be built.
func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Skip(skipMark + err.Error())
	}
}

const cloudIP = "10.99.0.1"

// farSide makes the cloud's namespace and its socket. Two cables, near0 and
// near1 here, lead to it.
func farSide(t *testing.T) *net.UDPConn {
	type result struct {
		sock *net.UDPConn
		err  error
	}
	got := make(chan result)
	for _, name := range []string{"0", "1"} {
		need(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "near" + name}, PeerName: "far" + name}))
	}
	home, err := netns.Get()
	need(t, err)
	defer home.Close()
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		sock, err := buildFarSide(home)
		got <- result{sock, err}
	}()
	r := <-got
	need(t, r.err)
	return r.sock
}

// buildFarSide runs on a thread that it takes to the new namespace.
func buildFarSide(home netns.NsHandle) (*net.UDPConn, error) {
	far, err := netns.New()
	if err != nil {
		return nil, err
	}
	defer far.Close()
	near, err := netlink.NewHandleAt(home)
	if err != nil {
		return nil, err
	}
	defer near.Close()
	for i, addr := range []string{"10.78.0.2/24", "10.78.1.2/24"} {
		link, err := near.LinkByName("far" + string(rune('0'+i)))
		if err == nil {
			err = near.LinkSetNsFd(link, int(far))
		}
		if err == nil {
			err = up(link.Attrs().Name, addr)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := up("lo", cloudIP+"/32"); err != nil {
		return nil, err
	}
	return net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(cloudIP)})
}

// up gives an interface of this thread's namespace an address.
func up(name string, addrs ...string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	for _, s := range addrs {
		if err == nil {
			err = withAddr(link, s, netlink.AddrAdd)
		}
	}
	return err
}

func withAddr(link netlink.Link, s string, f func(netlink.Link, *netlink.Addr) error) error {
	addr, err := netlink.ParseAddr(s)
	if err != nil {
		return err
	}
	return f(link, addr)
}

// route leads to the cloud over one of the cables.
func route(t *testing.T, name, via string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	must(t, err)
	_, dst, _ := net.ParseCIDR(cloudIP + "/32")
	must(t, netlink.RouteReplace(&netlink.Route{
		LinkIndex: link.Attrs().Index, Dst: dst, Gw: net.ParseIP(via), Flags: int(netlink.FLAG_ONLINK),
	}))
}

func moveAddress(t *testing.T) {
	sock := farSide(t)
	need(t, up("lo"))
	need(t, up("near0", "10.78.0.1/24"))
	need(t, up("near1"))
	route(t, "near0", "10.78.0.2")

	c := &cloud{stage: fakestage.New(width, vocab, 1, 1024, 64), dir: t.TempDir()}
	serverTLS, _, err := cloudlink.DevTLS(c.dir)
	must(t, err)
	c.ln, err = transport.ListenOptions{}.ListenOn(sock, serverTLS)
	must(t, err)
	c.serve(t)
	l := newLink(t, c, func(conf *cloudlink.LinkConfig) { conf.Transport = cloudlink.TransportQUIC })
	s := openOn(t, l, cloudlink.SessionOptions{})
	hidden := rows(rand.New(rand.NewPCG(6, 1)), 40)
	must(t, s.Append(0, hidden[:10*width]))
	settled(t, l, s, hidden[:10*width])
	client := l.Client()

	got := make(chan error, 1)
	go func() { // in flight over the move
		_, err := s.Ask(context.Background(), 19, 1)
		got <- err
	}()
	near0, err := netlink.LinkByName("near0")
	must(t, err)
	near1, err := netlink.LinkByName("near1")
	must(t, err)
	must(t, withAddr(near0, "10.78.0.1/24", netlink.AddrDel))
	must(t, withAddr(near1, "10.78.1.1/24", netlink.AddrAdd))
	route(t, "near1", "10.78.1.2")
	must(t, s.Append(10, hidden[10*width:20*width]))
	must(t, <-got)
	eventually(t, func() bool { return l.Status().Migrations > 0 })
	settled(t, l, s, hidden[:20*width])
	st := l.Status()
	t.Logf("address moved: %d migrations, %d reconnects", st.Migrations, st.Reconnects)
	if st.Reconnects != 0 || l.Client() != client {
		t.Errorf("%+v", st)
	}
}
