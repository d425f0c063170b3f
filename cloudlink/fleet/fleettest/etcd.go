// Package fleettest runs a real etcd within a test.
package fleettest

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
)

// Etcd is an etcd of one member, which can be stopped and started again with what it had.
type Etcd struct {
	Endpoint string
	Durable  bool // waits for the disk, as an etcd outside of tests does; set before Start
	dir      string
	tls      *transport.TLSInfo // nil: http
	server   *embed.Etcd
}

// New starts an etcd that is stopped after the test.
func New(t testing.TB) *Etcd {
	t.Helper()
	e := &Etcd{}
	e.Start(t)
	t.Cleanup(e.Stop)
	return e
}

// NewTLS is New for an etcd that takes nobody without a certificate of an authority. The arguments
// are files.
func NewTLS(t testing.TB, authority, cert, key string) *Etcd {
	t.Helper()
	e := &Etcd{dir: t.TempDir(), tls: &transport.TLSInfo{TrustedCAFile: authority, CertFile: cert, KeyFile: key, ClientCertAuth: true}}
	e.Start(t)
	t.Cleanup(e.Stop)
	return e
}

// Start starts it again where it was.
func (e *Etcd) Start(t testing.TB) {
	t.Helper()
	if e.dir == "" {
		e.dir = t.TempDir()
	}
	conf := embed.NewConfig()
	conf.Dir, conf.LogLevel, conf.Logger = e.dir, "panic", "zap"
	conf.LogOutputs = []string{e.dir + ".log"}
	conf.UnsafeNoFsync = !e.Durable // a test's power does not fail
	client, peer := url.URL{Scheme: "http", Host: "127.0.0.1:0"}, url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	if e.tls != nil {
		client.Scheme, conf.ClientTLSInfo = "https", *e.tls
	}
	if e.Endpoint != "" {
		u, err := url.Parse(e.Endpoint)
		if err != nil {
			t.Fatal(err)
		}
		client = *u
	}
	conf.ListenClientUrls, conf.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	conf.ListenPeerUrls, conf.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	conf.InitialCluster = conf.InitialClusterFromName(conf.Name)
	// A machine that stops for seconds is no reason for an election of one.
	conf.TickMs, conf.ElectionMs = 10, 100
	server, err := embed.StartEtcd(conf)
	if err != nil {
		t.Fatal(err)
	}
	e.server = server
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(2 * time.Minute):
		t.Fatal("etcd does not start")
	}
	e.Endpoint = client.Scheme + "://" + server.Clients[0].Addr().String()
}

// Stop ends it, as often as it is called.
func (e *Etcd) Stop() {
	if e.server != nil {
		e.server.Close()
		<-e.server.Server.StopNotify()
		e.server = nil
	}
}

// Member is one of an etcd of several, in a process of its own.
type Member struct {
	Name         string
	Dir          string // what it keeps
	Client, Peer string // addresses, host:port, for clients and for the other members
	Cluster      string // all members, NAME=http://PEER and a comma between two
}

// Cluster is all members as each of them is told of them.
func Cluster(members []Member) string {
	var all []string
	for _, m := range members {
		all = append(all, m.Name+"=http://"+m.Peer)
	}
	return strings.Join(all, ",")
}

// Run runs a member until ctx ends, for a test that kills its process. It waits for the disk.
func (m Member) Run(ctx context.Context) error {
	conf := embed.NewConfig()
	conf.Name, conf.Dir, conf.LogLevel = m.Name, m.Dir, "error"
	client, peer := url.URL{Scheme: "http", Host: m.Client}, url.URL{Scheme: "http", Host: m.Peer}
	conf.ListenClientUrls, conf.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	conf.ListenPeerUrls, conf.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	conf.InitialCluster = m.Cluster
	server, err := embed.StartEtcd(conf)
	if err != nil {
		return err
	}
	defer server.Close()
	select {
	case <-ctx.Done():
		return nil
	case err := <-server.Err():
		return err
	}
}
