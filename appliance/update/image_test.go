package update

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"aead.dev/minisign"

	"skerry/appliance/update/manifest"
)

// imageMatrix is a board of an image, with files for its partitions and a fake of what boots
// it. What the image has brought is in slot a.
type imageMatrix struct {
	*fakeBoard
	matrix
	older *version
	armed Attempt
}

func newImageMatrix(t *testing.T, kind string) *imageMatrix {
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	older, newer := newVersion(t, 1, boards[kind].files...), newVersion(t, 2, boards[kind].files...)
	newer.manifest.Kind, newer.manifest.Board = manifest.System, "here"
	b := newBoard(t, kind, t.TempDir(), &power{left: -1}, older)
	text, err := Flashed(older.manifest.Version, older.manifest.Files)
	if err != nil {
		t.Fatal(err)
	}
	write(t, b.up.path, text)
	m := &imageMatrix{b, matrix{t, nil, b.up, newer, private, manifest.Policy{
		Keys: []string{public.String()}, Kind: manifest.System, Board: "here", Arch: "arm64", Now: time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC)}}, older, Attempt{}}
	m.restart("")
	return m
}

// restart boots the board, and has the daemon go on with the update.
func (m *imageMatrix) restart(reboot string) (*State, Running) {
	t := m.matrix.t
	t.Helper()
	slot, err := m.firmware.boot(reboot)
	if err != nil {
		t.Fatalf("the board does not boot: %v", err)
	}
	if m.holds(slot, m.older, m.v) == nil {
		t.Fatalf("slot %s is booted and not whole", slot)
	}
	if _, err := m.u.Resume(); err != nil {
		t.Fatal(err)
	}
	s, r, err := m.u.Status()
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

func (m *imageMatrix) apply(from Source) error {
	opened, err := m.u.Open(m.matrix.t.Context(), from, m.policy)
	if err == nil {
		m.armed, err = m.u.Apply(m.matrix.t.Context(), opened, from, nil)
	}
	return err
}

// begin applies the update and boots it on trial.
func (m *imageMatrix) begin() error {
	if err := m.apply(m.source(m.private)); err != nil {
		return err
	}
	if s, r := m.restart(m.armed.Reboot); s.Phase != OnTrial || r != (Running{B, true}) {
		return fmt.Errorf("%+v, %+v", s, r)
	}
	return nil
}

// The update of an image, on each of the ways of booting one: whatever is wrong with it, the
// old slot is booted, the reason is told, and a sound update is taken and can be taken back.
func TestMatrixOfImages(t *testing.T) {
	refused := func(change func(m *imageMatrix)) func(*imageMatrix) error {
		return func(m *imageMatrix) error { change(m); return m.apply(m.source(m.private)) }
	}
	for _, c := range []struct {
		what   string
		do     func(m *imageMatrix) error
		want   error
		says   string // of the error
		reason string // in the record
		kept   bool
	}{
		{what: "unsigned", want: &manifest.Refusal{Reason: manifest.Unsigned}, do: func(m *imageMatrix) error {
			src := m.source(m.private)
			os.Remove(filepath.Join(m.v.dir, manifest.SignatureFile))
			return m.apply(src)
		}},
		{what: "expired", want: &manifest.Refusal{Reason: manifest.Expired}, do: refused(func(m *imageMatrix) { m.v.manifest.Expires = m.policy.Now })},
		{what: "a downgrade", want: &manifest.Refusal{Reason: manifest.Downgrade}, do: refused(func(m *imageMatrix) { m.v.manifest.Version = manifest.Version{Minor: 9} })},
		{what: "for another board", want: &manifest.Refusal{Reason: manifest.WrongBoard}, do: refused(func(m *imageMatrix) { m.v.manifest.Board = "elsewhere" })},
		{what: "of a program", want: &manifest.Refusal{Reason: manifest.WrongKind}, do: refused(func(m *imageMatrix) { m.v.manifest.Kind = manifest.Program })},
		{what: "with a file that has no place", want: &manifest.Refusal{Reason: manifest.WrongBoard}, do: refused(func(m *imageMatrix) { m.v.manifest.Files[0].Name = "other.img" })},
		{what: "larger than the slot", says: "flashed anew", do: refused(func(m *imageMatrix) { m.v.manifest.Files[0].Size = 1 << 20 })},
		{what: "damaged", want: ErrDamaged, reason: "what the manifest says", do: func(m *imageMatrix) error {
			src := m.source(m.private)
			data := m.v.files["root.img"]
			write(m.matrix.t, filepath.Join(m.v.dir, "root.img"), append(data[:len(data)-1:len(data)-1], '?'))
			return m.apply(src)
		}},
		{what: "one for which the card is full", want: syscall.ENOSPC, reason: "no space", do: func(m *imageMatrix) error {
			m.slots.steps = fullDisk{m.power}
			defer func() { m.slots.steps = m.power }()
			return m.apply(m.source(m.private))
		}},
		{what: "one that resets on trial", reason: "reset or lost its power", do: func(m *imageMatrix) error { return m.begin() }},
		{what: "one that never becomes ready", reason: "the model is loading", do: func(m *imageMatrix) error {
			err := m.begin()
			if m.watch(&probe{from: time.Hour}) {
				err = errors.New("it was kept")
			}
			return err
		}},
		{what: "one that does not answer", reason: "out of memory", do: func(m *imageMatrix) error {
			err := m.begin()
			if m.watch(&probe{noAnswer: errors.New("out of memory")}) {
				err = errors.New("it was kept")
			}
			return err
		}},
		{what: "sound", kept: true, do: func(m *imageMatrix) error {
			err := m.begin()
			if !m.watch(&probe{}) {
				err = errors.New("it was not kept")
			}
			return err
		}},
	} {
		for _, kind := range []string{"systemd-boot", "tryboot"} {
			t.Run(kind+"/"+strings.ReplaceAll(c.what, " ", "-"), func(t *testing.T) {
				m := newImageMatrix(t, kind)
				err := c.do(m)
				if !errors.Is(err, c.want) && c.says == "" || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
					t.Fatalf("%v is not %v%s", err, c.want, c.says)
				}
				s, r := m.restart("")
				want := Running{A, false}
				if c.kept {
					want = Running{B, false}
				}
				if r != want || s.Phase != Idle {
					t.Errorf("%+v runs in phase %s", r, s.Phase)
				}
				if (c.reason != "" || c.kept) && (s.Last == nil || s.Last.Kept != c.kept || !strings.Contains(s.Last.Reason, c.reason)) {
					t.Errorf("the record says: %v", s.Last)
				}
				if !c.kept {
					return
				}
				armed, again, err := m.u.Rollback(t.Context())
				if err != nil || !again || armed.Version != m.older.manifest.Version {
					t.Fatalf("the rollback to what the image has brought: %+v, %v, %v", armed, again, err)
				}
				if s, r := m.restart(armed.Reboot); s.Phase != OnTrial || r != (Running{A, true}) {
					t.Fatalf("%+v, %+v", s, r)
				}
				synctest.Test(t, func(t *testing.T) {
					if kept, err := m.u.Watch(t.Context(), &probe{began: time.Now()}, Steady); !kept || err != nil {
						t.Errorf("%v, %v", kept, err)
					}
				})
				if _, r := m.restart(""); r != (Running{A, false}) {
					t.Errorf("%+v", r)
				}
			})
		}
	}
}

// fullDisk has no space for what is written.
type fullDisk struct{ steps }

func (f fullDisk) write(ctx context.Context, path string, device bool, mode os.FileMode, r io.Reader) error {
	return &os.PathError{Op: "write", Path: path, Err: syscall.ENOSPC}
}

// A kernel that cannot tell the firmware what to boot has the update fail at once, with the
// reason, and not by a boot of the old slot that nobody can explain. One that cannot take it
// back has the slot left as it is.
func TestFirmwareCannotBeTold(t *testing.T) {
	for _, deaf := range []bool{true, false} {
		m := newImageMatrix(t, "tryboot")
		no := errors.New("no mailbox")
		pi := m.boot.(*Tryboot)
		tell, before := pi.Flag, m.bytes(B)
		pi.Flag = func(try bool) error {
			if try == deaf {
				return no
			}
			return tell(try)
		}
		err := m.apply(m.source(m.private))
		if !errors.Is(err, no) || strings.Count(err.Error(), no.Error()) != 1 {
			t.Errorf("told %v: %v", deaf, err)
		}
		if !deaf && m.bytes(B) != before {
			t.Error("a slot was written to that may be booted")
		}
		if s, r := m.restart(""); r != (Running{A, false}) || s.Last == nil || !strings.Contains(s.Last.Reason, no.Error()) {
			t.Errorf("told %v: %+v, %s", deaf, r, s.Last)
		}
	}
}
