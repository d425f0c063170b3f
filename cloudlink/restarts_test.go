package cloudlink_test

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/transport"
)

const restarts = 100

// boardDir and boardAddr make a process of this test binary a board.
const boardDir, boardAddr = "SKERRY_TEST_BOARD_DIR", "SKERRY_TEST_BOARD_ADDR"

// TestRestartsUse0RTT starts a board process again and again, each of which
// has the file of the one before and dies without a word once it has its
// answer and its next ticket.
func TestRestartsUse0RTT(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a hundred processes")
	}
	dir, cloud := t.TempDir(), openToyStore(t.TempDir())
	server, _, err := cloudlink.DevTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := transport.ListenOptions{TicketKeys: cloud}.Listen("127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	part, err := partition.NewServer(partition.Config{
		Bundles: []partition.Bundle{{ID: earlyBundle, Stage: fakestage.New(8, 100, 16, 4096, 64)}}, Devices: cloud,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer serving(t, part, ln)()
	used := 0
	for i := range restarts + 1 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestBoardProcess$", "-test.v")
		// quic-go races with itself while it resumes; that is not what this tests.
		cmd.Env = append(os.Environ(), boardDir+"="+dir, boardAddr+"="+ln.Addr().String(), "GORACE=exitcode=0")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "used=") {
			t.Fatalf("board %d: %v\n%s", i, err, out)
		}
		if strings.Contains(string(out), "used=true") {
			used++
		}
	}
	t.Logf("%d of %d restarts used 0-RTT", used, restarts)
	if used < restarts-1 {
		t.Errorf("%d of %d restarts used 0-RTT", used, restarts)
	}
}

// TestBoardProcess is the board that TestRestartsUse0RTT starts.
func TestBoardProcess(t *testing.T) {
	dir := os.Getenv(boardDir)
	if dir == "" {
		t.Skip("run by TestRestartsUse0RTT")
	}
	store := openToyStore(dir)
	_, client, err := cloudlink.DevTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cloudlink.Dial(t.Context(), cloudlink.Config{
		Addr: os.Getenv(boardAddr), TLS: client, Tickets: store, Epochs: store,
		Handshake: time.Minute, Idle: time.Minute, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: earlyBundle, Width: 8, Context: 16})
	if err != nil {
		t.Fatal(err)
	}
	hidden := []float32{1, 2, 3, 4, 5, 6, 7, float32(c.Epoch())}
	if err := s.Append(0, hidden); err != nil {
		t.Fatal(err)
	}
	a, err := s.Ask(t.Context(), 0, 0)
	if err != nil || len(a.Row) != 100 {
		t.Fatal(err)
	}
	<-c.Confirmed()
	for { // a ticket comes right behind the handshake
		kept := store.changed.Next()
		if store.tickets() > 0 {
			break
		}
		select {
		case <-c.Done():
			t.Fatal(c.Err())
		case <-kept:
		}
	}
	fmt.Printf("used=%v\n", c.Used0RTT())
	os.Exit(0)
}
