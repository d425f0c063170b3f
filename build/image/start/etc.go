package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// What of /etc may change, and lasts over updates; all else is the version's own. It is
// kept in /var/lib/board/etc.
var (
	// etcDirs are laid over those of the version, file by file.
	etcDirs = []string{"skerry", "ssh", "systemd/system", "systemd/network", "wpa_supplicant"}
	// etcFiles are in place of those of the version.
	etcFiles = []string{"machine-id", "hostname"}
)

const etcKept = "var/lib/board/etc"

// overlayEtc puts what is kept of /etc in its place below root, and makes up a machine id
// and a name at the first start.
func overlayEtc(root string, randomID func() string) error {
	kept := filepath.Join(root, etcKept)
	if err := prepareEtc(kept, randomID); err != nil {
		return err
	}
	for _, d := range etcDirs {
		lower := filepath.Join(root, "etc", d)
		options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, filepath.Join(kept, d), filepath.Join(kept+".work", d))
		if err := unix.Mount("overlay", lower, "overlay", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
			return fmt.Errorf("/etc/%s: %w", d, err)
		}
	}
	for _, f := range etcFiles {
		if err := unix.Mount(filepath.Join(kept, f), filepath.Join(root, "etc", f), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("/etc/%s: %w", f, err)
		}
	}
	return nil
}

// prepareEtc makes what is kept, where it is not there. The machine id is written first, as
// the name comes from it.
func prepareEtc(kept string, randomID func() string) error {
	for _, d := range etcDirs {
		for _, dir := range []string{filepath.Join(kept, d), filepath.Join(kept+".work", d)} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
	}
	id, err := os.ReadFile(filepath.Join(kept, "machine-id"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !isID(id) {
		id = []byte(randomID() + "\n")
		if err := place(kept, "machine-id", id); err != nil {
			return err
		}
	}
	if name, err := os.ReadFile(filepath.Join(kept, "hostname")); err == nil && len(name) > 1 {
		return nil
	}
	return place(kept, "hostname", []byte("skerry-"+string(id[:4])+"\n"))
}

// isID says whether text is a machine id: 32 lower-case hex digits and a line's end.
func isID(text []byte) bool {
	if len(text) != 33 || text[32] != '\n' {
		return false
	}
	for _, c := range text[:32] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// place writes a file so that after a power cut it is there whole, or not.
func place(dir, name string, data []byte) error {
	aside := filepath.Join(dir, name+".new")
	f, err := os.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(aside, filepath.Join(dir, name)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// randomID is a machine id, of the version and variant that machine-id(5) recommends.
func randomID() string {
	id := make([]byte, 16)
	rand.Read(id) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return hex.EncodeToString(id)
}
