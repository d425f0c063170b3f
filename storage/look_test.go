package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestLook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "board.db")
	if err := Look(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	db, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := Look(path); !errors.Is(err, ErrLocked) {
		t.Errorf("open elsewhere: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Look(path); err != nil {
		t.Errorf("a whole one: %v", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := data[:len(data)/2]
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Look(path); !errors.Is(err, ErrDamaged) {
		t.Errorf("half of one: %v", err)
	}
	if after, _ := os.ReadFile(path); len(after) != len(bad) {
		t.Error("looking has changed the file")
	}
	cloud := filepath.Join(t.TempDir(), "cloud.db")
	c, err := OpenStore(cloud, cloudKind, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := Look(cloud); !errors.Is(err, ErrKind) {
		t.Errorf("a cloud's: %v", err)
	}
}
