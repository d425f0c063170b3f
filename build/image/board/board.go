package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// User is the number of the account skerry in the image, of build/image/accounts.go.
const user = 920

// board is where everything is, and how programs are run; tests have directories of their
// own, and no programs.
type board struct {
	root string // "" but in tests
	// run runs a program, as the account skerry where asUser is set, and returns what it
	// printed. Its complaint is in the error.
	run func(asUser bool, name string, args ...string) (string, error)
	// show prints for a person, on the serial line and the display.
	show func(text string)
}

func newBoard() *board { return &board{run: runProgram, show: showEverywhere} }

func (b *board) path(p string) string { return filepath.Join(b.root, p) }

// Places on a board.
const (
	bootDir  = "/boot"
	kept     = "/var/lib/board"
	stateDir = "/var/lib/skerry"
)

func runProgram(asUser bool, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin", "HOME=/var/lib/board", "LC_ALL=C.UTF-8", "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING=true"}
	if asUser {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		cmd.Env[1] = "HOME=" + stateDir
	}
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(complaint.String() + out.String())
		if said == "" {
			return out.String(), fmt.Errorf("%s: %w", name, err)
		}
		return out.String(), errors.New(said)
	}
	return out.String(), nil
}

// showEverywhere prints on the consoles that there are. Either may be missing.
func showEverywhere(text string) {
	for _, path := range []string{"/dev/console", "/dev/tty1"} {
		if f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0); err == nil {
			f.WriteString(strings.ReplaceAll(text, "\n", "\r\n"))
			f.Close()
		}
	}
}

// place writes a file so that after a power cut it is there whole, or as it was.
func place(path string, data []byte, mode os.FileMode) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
