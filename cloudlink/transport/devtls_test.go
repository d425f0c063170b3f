package transport_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"skerry/build/testleak"
	"skerry/cloudlink/transport"
)

func TestMain(m *testing.M) { testleak.Main(m) }

// TestDevTLSRace: everyone who makes the certificates at once has the same.
func TestDevTLSRace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on", "demand")
	var wg sync.WaitGroup
	certs := make([][]byte, 8)
	for i := range certs {
		wg.Go(func() {
			server, client, err := transport.DevTLS(dir)
			if err != nil {
				t.Error(err)
				return
			}
			certs[i] = append(server.Certificates[0].Certificate[0], client.Certificates[0].Certificate[0]...)
		})
	}
	wg.Wait()
	for _, c := range certs[1:] {
		if !bytes.Equal(c, certs[0]) {
			t.Fatal("two sets were made")
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("left behind: %v, %v", files, err)
	}
	info, _ := files[0].Info()
	dirInfo, _ := os.Stat(dir)
	if info.Mode().Perm() != 0o600 || dirInfo.Mode().Perm() != 0o700 {
		t.Errorf("modes %v and %v", info.Mode(), dirInfo.Mode())
	}
}

func TestDevTLSDamaged(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := transport.DevTLS(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "dev-tls.pem")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range [][]byte{nil, b[:len(b)/2], []byte("not pem")} {
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := transport.DevTLS(dir)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "delete the file") {
			t.Errorf("%d bytes: %v", len(damaged), err)
		}
	}
}

func TestDevTLSUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := transport.DevTLS(filepath.Join(file, "dir")); err == nil {
		t.Fatal("a directory inside a file")
	}
}

// TestDevCertificatesStayHome: ListenDev takes no address others can reach.
func TestDevCertificatesStayHome(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:0": true, "localhost:0": true, "[::1]:0": true,
		"0.0.0.0:0": false, ":0": false, "[::]:0": false, "192.0.2.1:0": false,
	} {
		ln, err := transport.ListenDev(addr, t.TempDir())
		if ok && err != nil && strings.Contains(addr, "::1") {
			t.Logf("no IPv6 here: %v", err)
			continue
		}
		if ok != (err == nil) {
			t.Errorf("%s: %v", addr, err)
		}
		if ln != nil {
			ln.Close()
		}
	}
}
