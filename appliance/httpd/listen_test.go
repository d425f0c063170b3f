package httpd

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_, err = Listen(Options{Listen: []string{l.Addr().String()}, Log: quiet})
	if err == nil || !strings.Contains(err.Error(), "port "+port+" is in use by another program") || !strings.Contains(err.Error(), "choose another with --listen") {
		t.Errorf("%v", err)
	}
	_, err = Listen(Options{OllamaListen: []string{l.Addr().String()}, Log: quiet})
	if err == nil || !strings.Contains(err.Error(), "ollama_listen") {
		t.Errorf("%v", err)
	}
	if _, err = Listen(Options{Listen: []string{"192.0.2.1:0"}, Log: quiet}); err == nil || !strings.Contains(err.Error(), "192.0.2.1 is not an address of this machine") {
		t.Errorf("%v", err)
	}
}

func TestUnixSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "run", "s.sock")
	old, err := ListenSocket(path, 0o660)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := ListenSocket(path, 0o660); err == nil || !strings.Contains(err.Error(), path+": another skerry is running there") {
		t.Errorf("a socket in use: %v", err)
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the one in use is gone: %v", err)
	} else {
		c.Close()
	}
	if old.Addr().String() != path {
		t.Errorf("its address is %s", old.Addr())
	}
	// Killed: nobody listens, and the file stays.
	old.(*socket).UnixListener.Close()
	l, err := ListenSocket(path, 0o660)
	if err != nil {
		t.Fatalf("over a stale one: %v", err)
	}
	old.Close() // late: it is not its file any more
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the new one: %v", err)
	} else {
		c.Close()
	}
	l.Close()
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
	file := filepath.Join(dir, "precious")
	os.WriteFile(file, []byte("x"), 0o600)
	if _, err := ListenSocket(file, 0o660); err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("over a file: %v", err)
	}
	if _, err := ListenSocket(filepath.Join(dir, strings.Repeat("x", 110)), 0o660); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a long name: %v", err)
	}
	deep, err := ListenSocket(filepath.Join(dir, strings.Repeat("x", 110), "s"), 0o660)
	if err != nil {
		t.Fatalf("a long path: %v", err)
	}
	deep.Close()
}

// Without its socket a daemon answers all the same; with nothing to listen on, and
// beside another that has the socket, it does not start.
func TestSocketInTheWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, Options{Socket: path, Listen: []string{"127.0.0.1:0"}}, whoami)
	if n := len(s.Addrs()); n != 1 {
		t.Errorf("%v", s.Addrs())
	}
	if _, err := Listen(Options{Socket: path, Log: quiet}); err == nil || !strings.Contains(err.Error(), "nothing to listen on") {
		t.Errorf("%v", err)
	}
	path = filepath.Join(t.TempDir(), "s")
	start(t, Options{Socket: path}, whoami)
	if _, err := Listen(Options{Socket: path, Listen: []string{"127.0.0.1:0"}, Log: quiet}); !errors.Is(err, errServed) {
		t.Errorf("%v", err)
	}
}

func TestInheritedListeners(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, Options{Inherited: []net.Listener{tcp, unix}, Listen: []string{tcp.Addr().String()}, Socket: "/nowhere/s"}, whoami)
	if n := len(s.Addrs()); n != 2 {
		t.Errorf("%v", s.Addrs())
	}
	if _, text := ask(t, "GET", s.url("/"), ""); text != "loopback local 0" {
		t.Error(text)
	}
}

func TestURLs(t *testing.T) {
	keys := openKeys(t)
	newKey(t, keys, "a")
	s := start(t, Options{Listen: []string{"127.0.0.1:0", ":0"}, Keys: keys}, whoami)
	urls := s.URLs()
	if len(urls) == 0 || urls[0] != s.url("/") {
		t.Fatalf("%v", urls)
	}
	for _, u := range urls[1:] {
		if strings.Contains(u, "127.0.0.1") || strings.Contains(u, "0.0.0.0") || strings.Contains(u, "[::]") {
			t.Errorf("nobody reaches %s", u)
		}
	}
}

// A shutdown lets answers finish, ends endless ones at once, and takes no more.
func TestShutdown(t *testing.T) {
	began, finish := make(chan string, 2), make(chan bool)
	ended := make(chan string, 2)
	s, err := Listen(Options{Listen: []string{"127.0.0.1:0"}, Log: quiet, Endless: func(r *http.Request) bool { return r.URL.Path == "/events" }})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(context.Background(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began <- r.URL.Path
			select {
			case <-r.Context().Done():
			case <-finish:
				w.Write([]byte("whole"))
			}
			ended <- r.URL.Path
		}))
	}()
	texts := make(chan string, 2)
	for _, path := range []string{"/answer", "/events"} {
		go func() { _, text := ask(t, "GET", s.url(path), ""); texts <- text }()
		<-began
	}
	idle, err := net.Dial("tcp", s.Addrs()[0].String()) // as browsers open one in advance
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(context.Background()) }()
	if path := <-ended; path != "/events" {
		t.Errorf("%s ended first", path)
	}
	if text := <-texts; text != "" {
		t.Errorf("%q", text)
	}
	select {
	case err := <-down:
		t.Fatalf("it did not wait for the answer: %v", err)
	default:
	}
	close(finish)
	if text := <-texts; text != "whole" {
		t.Errorf("the answer is %q", text)
	}
	if err := errors.Join(<-down, <-served); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", s.Addrs()[0].String()); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}

// What does not end in time is cut.
func TestShutdownCuts(t *testing.T) {
	began := make(chan bool)
	s, err := Listen(Options{Listen: []string{"127.0.0.1:0"}, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(context.Background(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(began)
			<-r.Context().Done()
		}))
	}()
	gone := make(chan error, 1)
	go func() {
		resp, err := (&http.Transport{}).RoundTrip(mustRequest(s.url("/")))
		if err == nil {
			resp.Body.Close()
		}
		gone <- err
	}()
	<-began
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-gone; err == nil {
		t.Error("the client was not cut")
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func mustRequest(url string) *http.Request {
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		panic(err)
	}
	return r
}

func TestShutdownBeforeServe(t *testing.T) {
	s, err := Listen(Options{Listen: []string{"127.0.0.1:0"}, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := s.Serve(context.Background(), http.NotFoundHandler()); err != nil {
		t.Error(err)
	}
}
