package partition_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/transport"
)

// fleet is a cloud with a fake stage and boards that each have an address, a
// name and a link of 3 ms round trip, in virtual time.
type fleet struct {
	t      *testing.T
	stage  *fakestage.Stage
	server *partition.Server
	boards []*simnet.SimConn
	tls    *tls.Config
}

// named calls the peers of a listener by their addresses: the development
// certificates have one name for all.
type named struct{ transport.Listener }

type namedConn struct{ transport.Conn }

func (l named) Accept(ctx context.Context) (transport.Conn, error) {
	c, err := l.Listener.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return namedConn{c}, nil
}

func (c namedConn) Peer() string { return boardName(c.RemoteAddr()) }

func boardName(a net.Addr) string { return fmt.Sprintf("board-%d", a.(*net.UDPAddr).IP.To4()[3]%100) }

// inFleet runs f in a bubble with n boards.
func inFleet(t *testing.T, n int, stage *fakestage.Stage, change func(*partition.Config), f func(t *testing.T, fl *fleet)) {
	t.Helper()
	serverTLS, clientTLS, err := cloudlink.DevTLS(t.TempDir())
	must(t, err)
	synctest.Test(t, func(t *testing.T) {
		sim := &simnet.Simnet{Router: &simnet.PerfectRouter{}}
		link := simnet.NodeBiDiLinkSettings{
			Latency: 1500 * time.Microsecond, Uplink: simnet.LinkSettings{MTU: 1452}, Downlink: simnet.LinkSettings{MTU: 1452},
		}
		cloud := sim.NewEndpoint(&net.UDPAddr{IP: net.IPv4(192, 0, 2, 200), Port: 1}, link)
		fl := &fleet{t: t, stage: stage, tls: clientTLS}
		for i := range 2 * n { // board n+i is another address of board i
			ip := net.IPv4(192, 0, 2, byte(i%n+100*(i/n)))
			fl.boards = append(fl.boards, sim.NewEndpoint(&net.UDPAddr{IP: ip, Port: 1}, link))
		}
		must(t, sim.Start())
		defer sim.Close()
		ln, err := transport.ListenOptions{}.ListenOn(cloud, serverTLS)
		must(t, err)
		defer ln.Close()
		conf := partition.Config{
			Bundles: []partition.Bundle{{ID: bundleID, Name: "fake", Stage: stage}},
			Log:     slog.New(slog.DiscardHandler),
		}
		if change != nil {
			change(&conf)
		}
		fl.server, err = partition.NewServer(conf)
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- fl.server.Serve(ctx, named{ln}) }()
		defer func() {
			cancel()
			if err := <-served; err != nil {
				t.Error(err)
			}
			for _, b := range fl.boards {
				b.Close()
			}
		}()
		f(t, fl)
	})
}

// dial connects board i.
func (fl *fleet) dial(i int) *cloudlink.Client {
	fl.t.Helper()
	c, err := fl.try(i)
	must(fl.t, err)
	return c
}

func (fl *fleet) try(i int) (*cloudlink.Client, error) {
	return cloudlink.Dial(fl.t.Context(), fl.config(i))
}

func (fl *fleet) config(i int) cloudlink.Config {
	return cloudlink.Config{Addr: "192.0.2.200:1", TLS: fl.tls, Socket: fl.boards[i], Epoch: 1}
}
