package cloudlink_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/wire"
)

// TestFetchYields: beside a conversation a fetch has its turn every few seconds, and
// no two of them together; once nobody asks any more it goes at full pace.
func TestFetchYields(t *testing.T) {
	const rtt = 40 * time.Millisecond
	path := filepath.Join(t.TempDir(), "board-1.gguf")
	if err := os.WriteFile(path, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	inLinkWorld(t, rtt, func(t *testing.T, w *linkWorld) {
		l, s := w.link(t)
		defer l.Close()
		done := make(chan error, 1)
		var pieces atomic.Int64
		go func() {
			done <- l.Fetch(t.Context(), cloudlink.Fetch{Bundle: w.bundle, File: "board-1.gguf", Most: 8 << 20, Take: func(int64, []byte) error {
				pieces.Add(1)
				return nil
			}})
		}()
		began := time.Now()
		for time.Since(began) < 20*time.Second {
			before := time.Now()
			w.answer(t, s, 2)
			if took := time.Since(before); took > 2*rtt+slack {
				t.Errorf("an answer beside the fetch took %v", took)
			}
			time.Sleep(10 * time.Millisecond)
		}
		beside, quiet := pieces.Load(), time.Now()
		if beside < 5 || beside > 11 {
			t.Errorf("%d pieces in 20 s of conversation", beside)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(quiet); took > 6*time.Second {
			t.Errorf("the rest took %v", took)
		}
		t.Logf("%d pieces beside a conversation of 20 s, %d in the %v after it", beside, pieces.Load()-beside, time.Since(quiet))
	}, func(c *partition.Config) {
		c.Bundles[0].Files = []partition.File{{Name: "board-1.gguf", Path: path, Bytes: 8 << 20}}
	})
}

// TestPieces: what a cloud may send for a piece, and what it may not.
func TestPieces(t *testing.T) {
	f := cloudlink.Fetch{File: "board-1.gguf", Most: 100}
	for name, c := range map[string]struct {
		piece wire.Piece
		at    int64
		total int64
		ok    bool
	}{
		"as asked":         {wire.Piece{Offset: 10, Total: 100, Data: make([]byte, 20)}, 10, -1, true},
		"fewer":            {wire.Piece{Offset: 10, Total: 100, Data: make([]byte, 1)}, 10, 100, true},
		"the end":          {wire.Piece{Offset: 100, Total: 100}, 100, 100, true},
		"too many":         {wire.Piece{Offset: 10, Total: 100, Data: make([]byte, 21)}, 10, -1, false},
		"from elsewhere":   {wire.Piece{Offset: 9, Total: 100, Data: make([]byte, 20)}, 10, -1, false},
		"nothing":          {wire.Piece{Offset: 10, Total: 100}, 10, -1, false},
		"of a larger file": {wire.Piece{Offset: 10, Total: 101, Data: make([]byte, 20)}, 10, -1, false},
		"another size":     {wire.Piece{Offset: 10, Total: 99, Data: make([]byte, 20)}, 10, 100, false},
	} {
		err := cloudlink.CheckPiece(&c.piece, f, c.at, 20, c.total)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, cloudlink.ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	size := 16 << 10
	for range 20 {
		size = cloudlink.NextPiece(size, time.Millisecond)
	}
	if size != wire.MaxPiece {
		t.Errorf("over a fast link pieces have %d bytes", size)
	}
	for range 20 {
		size = cloudlink.NextPiece(size, time.Second)
	}
	if size != 4<<10 {
		t.Errorf("over a slow link pieces have %d bytes", size)
	}
}
