package fleet_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"skerry/cloudlink/fleet"
	"skerry/cloudlink/fleet/fleettest"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/transport"
)

// Workers and members of etcd that are killed and stopped are this program with one of these
// variables set: it says in JSON what the process is.
const (
	asWorker = "SKERRY_TEST_WORKER"
	asEtcd   = "SKERRY_TEST_ETCD"
)

// workerProcess is one worker.
type workerProcess struct {
	Addr      string
	Dir       string // of the certificates
	Endpoints []string
	Pass      time.Duration // that each pass takes
	Deaf      bool          // it does nothing about a board that another worker takes
	Hold      string        // as long as there is this file a pass waits, which makes a file Held first
	Held      string
}

// runChild is what such a process does in place of tests; false in any other.
func runChild() bool {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	of := os.Getenv(asEtcd) + os.Getenv(asWorker)
	if of == "" {
		return false
	}
	go func() { // for as long as the process runs: it ends with the one that started it
		io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	var member fleettest.Member
	var worker workerProcess
	var err error
	if os.Getenv(asEtcd) != "" {
		if err = json.Unmarshal([]byte(of), &member); err == nil {
			err = member.Run(ctx)
		}
	} else if err = json.Unmarshal([]byte(of), &worker); err == nil {
		err = worker.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// fixedKeys are the ticket keys of all workers.
type fixedKeys struct{}

func (fixedKeys) TicketKeys() ([][32]byte, error) {
	key := [32]byte{31: 1}
	binary.BigEndian.PutUint64(key[:8], uint64(time.Now().Unix())/3600*3600)
	return [][32]byte{key}, nil
}
func (fixedKeys) PutTicketKeys([][32]byte) error { return nil }

// run serves until ctx ends, and then drains as a cloud does that is stopped.
func (w workerProcess) run(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("worker", w.Addr)
	conf, err := workerTLS(w.Dir)
	if err != nil {
		return err
	}
	sock, err := net.ListenPacket("udp", w.Addr)
	if err != nil {
		return err
	}
	ln, err := transport.ListenOptions{TicketKeys: fixedKeys{}}.ListenOn(sock, conf)
	if err != nil {
		return err
	}
	defer ln.Close()
	var server atomic.Pointer[partition.Server]
	f, err := fleet.Join(fleet.Options{
		Endpoints: w.Endpoints, Secret: make([]byte, 32), TTL: 2 * time.Second, Patience: time.Second, Log: log,
		Self: fleet.Worker{Address: w.Addr, Stages: []fleet.Stage{{Bundle: hexOf(bundle), Weight: 16}}},
		Lost: func(device, _ string) {
			if s := server.Load(); s != nil && !w.Deaf {
				s.Moved(device)
			}
		},
	})
	if err != nil {
		return err
	}
	defer f.Close()
	stage := fakestage.New(width, vocab, 32, 1<<15, 64)
	stage.Before = func(int) { w.pass() }
	s, err := partition.NewServer(partition.Config{
		Bundles: []partition.Bundle{{ID: bundle, Name: "fake", Stage: stage}},
		Owners:  fleet.Owners{Fleet: f}, Log: log, Grace: 2 * time.Second,
	})
	if err != nil {
		return err
	}
	server.Store(s)
	serving, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		<-ctx.Done()
		told, cancel := context.WithTimeout(context.Background(), time.Second)
		f.Drain(told)
		cancel()
		stop()
	}()
	return s.Serve(serving, ln)
}

// pass is the time that a pass takes.
func (w workerProcess) pass() {
	time.Sleep(w.Pass)
	for w.Hold != "" {
		if _, err := os.Stat(w.Hold); err != nil {
			return
		}
		os.WriteFile(w.Held, nil, 0o666)
		time.Sleep(5 * time.Millisecond)
	}
}

// process is one that is killed, stopped and started again.
type process struct {
	t   *testing.T
	env string // NAME=VALUE
	log *os.File
	cmd *exec.Cmd
}

// start starts a process that is what its variable says, and ends it after the test.
func start(t *testing.T, log *os.File, name string, what any) *process {
	t.Helper()
	text, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, env: name + "=" + string(text), log: log}
	p.start()
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	return p
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), p.env)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if _, err := p.cmd.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// end ends it by a signal and waits for it.
func (p *process) end(s syscall.Signal) {
	p.cmd.Process.Signal(s)
	p.cmd.Wait()
}

// pause stops it, and returns once all of its threads have stopped.
func (p *process) pause() {
	p.t.Helper()
	p.cmd.Process.Signal(syscall.SIGSTOP)
	for {
		var state syscall.WaitStatus
		_, err := syscall.Wait4(p.cmd.Process.Pid, &state, syscall.WUNTRACED, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || !state.Stopped() {
			p.t.Fatalf("the process has not stopped: %v, %v", state, err)
		}
		return
	}
}

// goOn has a process that was stopped go on.
func (p *process) goOn() { p.cmd.Process.Signal(syscall.SIGCONT) }

// processLog is where processes write.
func processLog(t *testing.T) *os.File {
	t.Helper()
	log, err := os.Create(filepath.Join(t.ArtifactDir(), "processes.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() }) // after the processes have ended
	return log
}

// freePort is one that nobody has now; a process that is started again needs its own again.
func freePort(t *testing.T) string {
	t.Helper()
	sock, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	return sock.LocalAddr().String()
}

// members are an etcd of n processes.
func members(t *testing.T, log *os.File, dir string, n int) (all []*process, clients []string) {
	t.Helper()
	var list []fleettest.Member
	for i := range n {
		name := fmt.Sprintf("etcd%d", i+1)
		list = append(list, fleettest.Member{Name: name, Dir: filepath.Join(dir, name), Client: freePort(t), Peer: freePort(t)})
	}
	for _, m := range list {
		m.Cluster = fleettest.Cluster(list)
		all = append(all, start(t, log, asEtcd, m))
		clients = append(clients, m.Client)
	}
	return all, clients
}

// The certificates of a test are of an authority of its own, in its directory.
const (
	authorityFile = "authority.pem"
	workerFile    = "worker.pem"
)

// boardsTLS makes the certificates of workers in dir and those of boards.
func boardsTLS(t *testing.T, dir string, boards ...string) (all []*tls.Config) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	serial := int64(0)
	certificate := func(name string, issuer *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		serial++
		c := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(1, 0, 0),
			DNSNames: []string{"localhost"}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: issuer == nil,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		if issuer == nil {
			issuer, by = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, issuer, key.Public(), by)
		must(err)
		c, err = x509.ParseCertificate(der)
		must(err)
		return c, key
	}
	authority, by := certificate("a test", nil, nil)
	worker, key := certificate("worker", authority, by)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	block := func(kind string, b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}) }
	must(os.WriteFile(filepath.Join(dir, authorityFile), block("CERTIFICATE", authority.Raw), 0o600))
	must(os.WriteFile(filepath.Join(dir, workerFile), append(block("CERTIFICATE", worker.Raw), block("PRIVATE KEY", pkcs8)...), 0o600))
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	for _, name := range boards {
		board, key := certificate(name, authority, by)
		all = append(all, &tls.Config{
			MinVersion: tls.VersionTLS13, RootCAs: pool, ServerName: "localhost",
			Certificates: []tls.Certificate{{Certificate: [][]byte{board.Raw}, PrivateKey: key}},
		})
	}
	return all
}

// workerTLS is what boardsTLS has made for workers.
func workerTLS(dir string) (*tls.Config, error) {
	file := filepath.Join(dir, workerFile)
	pair, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(filepath.Join(dir, authorityFile))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}, nil
}
