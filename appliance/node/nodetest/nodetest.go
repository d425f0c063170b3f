// Package nodetest has what tests of a board need beside the board: a cloud that echoes,
// databases, and disks that are full.
package nodetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"skerry/appliance/cloudnode"
	"skerry/appliance/config"
	"skerry/cloudlink"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// echoStage answers every row with itself.
type echoStage struct{}

func (echoStage) Width() int              { return 4 }
func (echoStage) Vocab() int              { return 4 }
func (echoStage) Sequences() int          { return 4 }
func (echoStage) Context() int            { return 64 }
func (echoStage) MaxRows() int            { return 16 }
func (echoStage) Truncate(int, int) error { return nil }
func (echoStage) Forward(rows partition.Rows) (logits []float32, err error) {
	for i, wanted := range rows.Wanted {
		if wanted {
			logits = append(logits, rows.Hidden[4*i:4*i+4]...)
		}
	}
	return logits, nil
}

// OpenCloud opens the database of a cloud below dir, in which the development board is
// enrolled. The caller closes it.
func OpenCloud(t *testing.T, dir string) *cloudnode.DeviceStore {
	t.Helper()
	cloud, err := cloudnode.OpenDeviceStore(dir, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	err = cloud.PutDevice(trust.Device{Name: cloudlink.DevClient, Disclosure: trust.Hidden, Enrolled: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return cloud
}

// ServeEcho has a cloud answer every row with itself, at addr until stop.
func ServeEcho(t *testing.T, dir, addr string, cloud *cloudnode.DeviceStore) (stop func(), at string) {
	t.Helper()
	server, _, err := cloudlink.DevTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := cloudlink.ListenOptions{TicketKeys: cloud}.Listen(addr, server)
	if err != nil {
		t.Fatal(err)
	}
	part, err := partition.NewServer(partition.Config{
		Bundles: []partition.Bundle{{ID: wire.Hash{1}, Stage: echoStage{}}}, Devices: cloud,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- part.Serve(ctx, ln) }()
	return func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		ln.Close()
	}, ln.Addr().String()
}

// OpenDB opens the database of a board, which the test's end closes if need be.
func OpenDB(t *testing.T, dir string) *storage.DB {
	t.Helper()
	db, err := storage.Open(config.DatabasePath(dir), storage.Options{Durability: storage.Strict})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// SmallDisk is a directory on a file system of 1 MB.
func SmallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no file system can be mounted to be filled: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// FillDisk takes what is free there, until mend.
func FillDisk(t *testing.T, dir string) (mend func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for page := make([]byte, 4096); err == nil; {
		_, err = f.Write(page)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}
