package main

import (
	"path/filepath"
	"testing"
	"time"

	"skerry/appliance/cloudnode"
	"skerry/appliance/node/nodetest"
	"skerry/cloudlink"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// TestRealStoresUse0RTT opens and closes the databases of a board and of a
// cloud around every connection: each but the first uses 0-RTT, in a higher
// epoch than the one before.
func TestRealStoresUse0RTT(t *testing.T) {
	dir := t.TempDir()
	addr, epoch := nodetest.FreePort(t), uint64(0)
	for i := range 8 {
		cloud := nodetest.OpenCloud(t, dir)
		stop, _ := nodetest.ServeEcho(t, dir, addr, cloud)
		board, err := storage.Open(filepath.Join(dir, "board.db"), storage.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c := askEcho(t, dir, addr, board)
		if c.Used0RTT() != (i > 0) {
			t.Errorf("connection %d: 0-RTT %v", i, c.Used0RTT())
		}
		if c.Epoch() <= epoch {
			t.Errorf("epoch %d after %d", c.Epoch(), epoch)
		}
		epoch = c.Epoch()
		awaitEpoch(t, cloud, epoch)
		c.Close()
		stop()
		if err := board.Close(); err != nil {
			t.Error(err)
		}
		if err := cloud.Close(); err != nil {
			t.Error(err)
		}
	}
}

// awaitEpoch waits until the cloud has written down a connection's number, which it
// does once the handshake is done and not in its first flight.
func awaitEpoch(t *testing.T, cloud *cloudnode.DeviceStore, epoch uint64) {
	t.Helper()
	var highest uint64
	var err error
	if !nodetest.Eventually(func() (raised bool) {
		highest, raised, err = cloud.RaiseEpoch(cloudlink.DevClient, 0)
		return highest == epoch && !raised && err == nil
	}) {
		t.Errorf("the cloud has written down %d of %d: %v", highest, epoch, err)
	}
}

// askEcho connects, gets an answer and waits for the next ticket.
func askEcho(t *testing.T, dir, addr string, board *storage.DB) *cloudlink.Client {
	t.Helper()
	_, client, err := cloudlink.DevTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	kept := &notedTickets{DB: board, put: make(chan struct{}, 1)}
	c, err := cloudlink.Dial(t.Context(), cloudlink.Config{
		Addr: addr, TLS: client, Tickets: kept, Epochs: board, Handshake: time.Minute, Idle: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: wire.Hash{1}, Width: 4, Context: 8})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Append(0, []float32{1, 2, 3, 4}); err != nil {
		t.Fatal(err)
	}
	if a, err := s.Ask(t.Context(), 0, 1); err != nil || a.Candidates[0].ID != 3 {
		t.Fatalf("%+v, %v", a, err)
	}
	select {
	case <-kept.put:
	case <-c.Done():
		t.Fatal(c.Err())
	}
	return c
}

// notedTickets tells when a ticket was put.
type notedTickets struct {
	*storage.DB
	put chan struct{}
}

func (n *notedTickets) PutTicket(cloud string, ticket []byte) error {
	defer func() { n.put <- struct{}{} }()
	return n.DB.PutTicket(cloud, ticket)
}
