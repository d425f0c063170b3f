package cloudlink_test

import (
	"log/slog"
	"maps"
	"net"
	"slices"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/internal/notify"
	"skerry/cloudlink/linksim"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/transport"
)

// replayed sends a recorded flight to the cloud.
func replayed(t *testing.T, sock net.PacketConn, flight [][]byte, cloud net.Addr) {
	t.Helper()
	for _, b := range flight {
		if _, err := sock.WriteTo(b, cloud); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReplayOverSockets records the first flight of every connection on a real
// link and sends it again, from another port, during the session, after it, and
// before the next. It runs on the machine's clock and so beside no other test: one that
// computes might keep it from a handshake for the three seconds that the cloud allows.
func TestReplayOverSockets(t *testing.T) {
	dir, cloud, board := t.TempDir(), openToyStore(""), openToyStore("")
	server, client, err := cloudlink.DevTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := transport.ListenOptions{TicketKeys: cloud}.Listen("127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var log lockedBuffer
	part, err := partition.NewServer(partition.Config{
		Bundles: []partition.Bundle{{ID: earlyBundle, Stage: fakestage.New(8, 100, 16, 4096, 64)}},
		Devices: cloud, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer serving(t, part, ln)()
	link, err := linksim.Start(t.Context(), linksim.Spec{RTT: 30 * time.Millisecond}, ln.Addr().(*net.UDPAddr), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	for i := range 3 {
		rec := link.Record()
		c, err := cloudlink.Dial(t.Context(), cloudlink.Config{
			Addr: link.Addr().String(), TLS: client, Tickets: board, Epochs: board, Handshake: time.Minute, Idle: time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
		w := &earlyWorld{t: t}
		s := w.open(c)
		w.sayIn(s, 5)
		<-c.Confirmed()
		if c.Used0RTT() != (i > 0) {
			t.Errorf("connection %d: 0-RTT %v", i, c.Used0RTT())
		}
		await(t, &board.changed, func() bool { return board.tickets() > 0 })
		await(t, &cloud.changed, func() bool { return cloud.highest() == c.Epoch() })
		raised, accepted := maps.Clone(cloud.Data.Highest), part.Stats().Accepted
		all := rec.Clients() // the one before may have had a last word
		flight := rec.FirstFlight(all[len(all)-1])
		replayed(t, sock, flight, ln.Addr())
		w.sayIn(s, 5)
		w.say(c, 3)
		c.Close()
		replayed(t, sock, flight, ln.Addr())
		for deadline := time.Now().Add(30 * time.Second); i > 0 && part.Stats().Accepted == accepted; {
			// What has the number of a connection that has just ended is
			// taken for a straggler of it, for some round trips.
			replayed(t, sock, flight, ln.Addr())
			if time.Sleep(20 * time.Millisecond); time.Now().After(deadline) {
				t.Fatal("no replay reached the cloud")
			}
		}
		if !maps.Equal(raised, cloud.Data.Highest) {
			t.Errorf("connection %d: epochs changed from %v to %v", i, raised, cloud.Data.Highest)
		}
	}
	await(t, &log.changed, func() bool { return log.contains("replayed first flight, nothing was changed") })
	if !slices.Equal(slices.Collect(maps.Values(cloud.Data.Highest)), []uint64{board.Data.Epoch}) {
		t.Errorf("epochs %v at the cloud, %d on the board", cloud.Data.Highest, board.Data.Epoch)
	}
}

// await waits until ok, looking again after each change.
func await(t *testing.T, changed *notify.Broadcast, ok func() bool) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		next := changed.Next()
		if ok() {
			return
		}
		select {
		case <-next:
		case <-late:
			t.Fatal("waited in vain")
		}
	}
}
