package library

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"skerry/cloudlink/wire"
)

// shelf is a library of one file of so many bytes.
func shelf(t *testing.T, bytesPerSecond, size int) (l *Library, path string, data []byte) {
	t.Helper()
	path, data = filepath.Join(t.TempDir(), "a.gguf"), bytes.Repeat([]byte("skerry"), size/6)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	l = New(bytesPerSecond)
	l.Add(wire.Hash{1}, []File{{Name: "a.gguf", Path: path, Bytes: int64(len(data))}})
	return l, path, data
}

func piece(offset uint64, n uint32) *wire.Fetch {
	return &wire.Fetch{Bundle: wire.Hash{1}, File: "a.gguf", Offset: offset, Length: n}
}

// TestPieces reads what there is of a file, and says what is wrong with every other wish.
func TestPieces(t *testing.T) {
	l, path, data := shelf(t, 1<<30, 6000)
	r := l.NewReader()
	defer r.Close()
	for offset := 0; offset <= len(data); offset += 2500 {
		p, refused := r.Read(piece(uint64(offset), 2500), nil)
		if refused != nil || p.Total != uint64(len(data)) || !bytes.Equal(p.Data, data[offset:min(offset+2500, len(data))]) {
			t.Fatalf("from %d: %v, %v", offset, p, refused)
		}
	}
	if p, refused := r.Read(piece(uint64(len(data)), 9), nil); refused != nil || len(p.Data) != 0 {
		t.Errorf("at the end: %v, %v", p, refused)
	}
	other := piece(0, 1)
	other.Bundle = wire.Hash{2}
	unknown := piece(0, 1)
	unknown.File = "b.gguf"
	for m, code := range map[*wire.Fetch]wire.Code{
		other: wire.CodeUnknownBundle, unknown: wire.CodeNoFile, piece(uint64(len(data))+1, 1): wire.CodeNoFile,
	} {
		if _, refused := r.Read(m, nil); refused == nil || refused.Code != code {
			t.Errorf("%+v: %v", m, refused)
		}
	}
	if err := os.Truncate(path, 5); err != nil {
		t.Fatal(err)
	}
	if _, refused := l.NewReader().Read(piece(0, 1), nil); refused == nil || refused.Code != wire.CodeNoFile {
		t.Errorf("a file that was changed: %v", refused)
	}
	none, _, _ := shelf(t, -1, 6)
	if _, refused := none.NewReader().Read(piece(0, 1), nil); refused == nil || refused.Code != wire.CodeUnauthorized {
		t.Errorf("of a cloud that serves none: %v", refused)
	}
}

// TestPace: all boards together get so many bytes a second. Who would wait too long is
// told when to come back, and who goes meanwhile is waited for no longer.
func TestPace(t *testing.T) {
	l, _, _ := shelf(t, wire.MaxPiece, wire.MaxPiece)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for range 4 { // the first comes at once
			r := l.NewReader()
			if _, refused := r.Read(piece(0, wire.MaxPiece), nil); refused != nil {
				t.Fatal(refused)
			}
			r.Close()
		}
		if took := time.Since(start); took < 2*time.Second || took > 4*time.Second {
			t.Errorf("4 pieces of a second each took %v", took)
		}
		gone := make(chan struct{})
		close(gone)
		for range 5 {
			if _, refused := l.NewReader().Read(piece(0, wire.MaxPiece), gone); refused != errGone {
				t.Errorf("a board that is gone: %v", refused)
			}
		}
		if _, refused := l.NewReader().Read(piece(0, wire.MaxPiece), nil); refused == nil || refused.Code != wire.CodeBusy || refused.RetryAfter < 5000 {
			t.Errorf("behind 5 s of others: %+v", refused)
		}
	})
}
