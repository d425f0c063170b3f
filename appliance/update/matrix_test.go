package update

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	rand2 "math/rand/v2"
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

// matrix is a board with a kept version 1.1.0, an update to 1.2.0 on its way, and who signs.
type matrix struct {
	t       *testing.T
	d       *Directory
	u       *Updater
	v       *version
	private minisign.PrivateKey
	policy  manifest.Policy
}

// source is the update as it is now, signed.
func (m *matrix) source(key minisign.PrivateKey) Source {
	text, err := json.Marshal(m.v.manifest)
	if err != nil {
		m.t.Fatal(err)
	}
	write(m.t, filepath.Join(m.v.dir, manifest.File), text)
	write(m.t, filepath.Join(m.v.dir, manifest.SignatureFile), minisign.Sign(key, text))
	return directorySource(m.v.dir)
}

// apply opens and applies an update, as skerry update apply does.
func (m *matrix) apply(ctx context.Context, from Source) error {
	opened, err := m.u.Open(ctx, from, m.policy)
	if err == nil {
		_, err = m.u.Apply(ctx, opened, from, nil)
	}
	return err
}

// trial applies the update and starts it.
func (m *matrix) trial() {
	m.t.Helper()
	if err := m.apply(m.t.Context(), m.source(m.private)); err != nil {
		m.t.Fatal(err)
	}
	if s, r := restart(m.t, m.d, m.u); s.Phase != OnTrial || r.Slot != B {
		m.t.Fatalf("%+v, %+v", s, r)
	}
}

// watch has the trial be watched with a probe, in a time of its own.
func (m *matrix) watch(p *probe) (kept bool) {
	m.t.Helper()
	synctest.Test(m.t, func(t *testing.T) {
		p.began = time.Now()
		var err error
		if kept, err = m.u.Watch(t.Context(), p, Steady); err != nil {
			t.Error(err)
		}
	})
	return kept
}

// cutSource breaks off in the midst of the files.
type cutSource struct {
	Source
	cancel context.CancelFunc
}

func (c cutSource) Files(ctx context.Context, files []manifest.Entry, report func(string, int64, int64)) ([]string, error) {
	paths, err := c.Source.Files(ctx, files, report)
	c.cancel()
	return paths, err
}

func newMatrix(t *testing.T) *matrix {
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d, u := newReal(t, newVersion(t, 1, "skerry", "kernels/k.so"))
	return &matrix{t, d, u, newVersion(t, 2, "skerry", "kernels/k.so"), private, manifest.Policy{
		Keys: []string{public.String()}, Kind: manifest.Program, Board: "pi", Arch: "arm64", Now: time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC)}}
}

// What can go wrong with an update, one after the other: the version that runs after the
// next start is the old one in every case but the last, the next update is taken, and the
// reason is told. With -v it prints the table.
func TestMatrix(t *testing.T) {
	t.Log("| an update that is… | is answered with | and then runs |")
	refused := func(change func(m *matrix)) func(*matrix) error {
		return func(m *matrix) error { change(m); return m.apply(m.t.Context(), m.source(m.private)) }
	}
	for _, c := range []struct {
		what   string
		do     func(m *matrix) error // its error is of apply
		want   error                 // of do
		reason string                // in the record
		kept   bool
	}{
		{what: "interrupted while it is written", want: context.Canceled, do: func(m *matrix) error {
			ctx, cancel := context.WithCancel(m.t.Context())
			return m.apply(ctx, cutSource{m.source(m.private), cancel})
		}, reason: interrupted},
		{what: "cut by the power while it is written", do: func(m *matrix) error {
			m.u.slots.steps = &power{left: 1, fat: func(string) bool { return false }, rng: rand2.New(rand2.NewPCG(1, 1))}
			err := m.apply(m.t.Context(), m.source(m.private))
			m.u.slots.steps = realSteps{}
			// The power fails for the record too: it says that the slot is being written.
			s, loadErr := m.u.load()
			if loadErr != nil {
				m.t.Fatal(loadErr)
			}
			s.Phase, s.Target, s.Last = Writing, B, nil
			return errors.Join(err, m.u.save(s))
		}, want: errPower, reason: "interrupted while it was written"},
		{what: "unsigned", want: &manifest.Refusal{Reason: manifest.Unsigned}, do: func(m *matrix) error {
			src := m.source(m.private)
			os.Remove(filepath.Join(m.v.dir, manifest.SignatureFile))
			return m.apply(m.t.Context(), src)
		}},
		{what: "signed by a stranger", want: &manifest.Refusal{Reason: manifest.UnknownKey}, do: func(m *matrix) error {
			_, stranger, err := minisign.GenerateKey(rand.Reader)
			if err != nil {
				m.t.Fatal(err)
			}
			return m.apply(m.t.Context(), m.source(stranger))
		}},
		{what: "changed after it was signed", want: &manifest.Refusal{Reason: manifest.Forged}, do: func(m *matrix) error {
			src := m.source(m.private)
			m.v.manifest.Board = "pi"
			text, err := json.Marshal(m.v.manifest)
			if err != nil {
				m.t.Fatal(err)
			}
			write(m.t, filepath.Join(m.v.dir, manifest.File), text)
			return m.apply(m.t.Context(), src)
		}},
		{what: "expired", want: &manifest.Refusal{Reason: manifest.Expired}, do: refused(func(m *matrix) { m.v.manifest.Expires = m.policy.Now })},
		{what: "a downgrade", want: &manifest.Refusal{Reason: manifest.Downgrade}, do: refused(func(m *matrix) { m.v.manifest.Version = manifest.Version{Minor: 9} })},
		{what: "for another board", want: &manifest.Refusal{Reason: manifest.WrongBoard}, do: refused(func(m *matrix) { m.v.manifest.Board = "uefi" })},
		{what: "for another processor", want: &manifest.Refusal{Reason: manifest.WrongArch}, do: refused(func(m *matrix) { m.v.manifest.Arch = "amd64" })},
		{what: "of a whole system", want: &manifest.Refusal{Reason: manifest.WrongKind}, do: refused(func(m *matrix) { m.v.manifest.Kind = manifest.System })},
		{what: "larger than the disk", want: syscall.ENOSPC, do: refused(func(m *matrix) { m.v.manifest.Files[0].Size = 1 << 43 })},
		{what: "damaged", want: ErrDamaged, reason: "what the manifest says", do: func(m *matrix) error {
			src := m.source(m.private)
			data := m.v.files["skerry"]
			write(m.t, filepath.Join(m.v.dir, "skerry"), append(data[:len(data)-1:len(data)-1], '?'))
			return m.apply(m.t.Context(), src)
		}},
		{what: "one that dies at its start", reason: "reset or lost its power", do: func(m *matrix) error { m.trial(); return nil }},
		{what: "one that never becomes ready", reason: "the model is loading", do: func(m *matrix) error {
			m.trial()
			if m.watch(&probe{from: time.Hour}) {
				m.t.Error("it was kept")
			}
			return nil
		}},
		{what: "one that does not answer", reason: "out of memory", do: func(m *matrix) error {
			m.trial()
			if m.watch(&probe{noAnswer: errors.New("out of memory")}) {
				m.t.Error("it was kept")
			}
			return nil
		}},
		{what: "one that the watchdog resets on trial", reason: "reset or lost its power", do: func(m *matrix) error {
			m.trial()
			if err := (&watched{&probe{began: time.Now()}, m.u, func(error) {}}).Ready(m.t.Context()); err != nil {
				m.t.Error(err) // it was ready before
			}
			return nil
		}},
		{what: "taken back by hand on trial", reason: "by hand", do: func(m *matrix) error {
			m.trial()
			_, _, err := m.u.Rollback(m.t.Context())
			return err
		}},
		{what: "sound", kept: true, do: func(m *matrix) error {
			m.trial()
			if !m.watch(&probe{}) {
				m.t.Error("it was not kept")
			}
			return nil
		}},
	} {
		t.Run(strings.ReplaceAll(c.what, " ", "-"), func(t *testing.T) {
			m := newMatrix(t)
			err := c.do(m)
			if !errors.Is(err, c.want) {
				t.Fatalf("%v is not %v", err, c.want)
			}
			s, r := restart(t, m.d, m.u)
			want := Running{A, false}
			if c.kept {
				want = Running{B, false}
			}
			if r != want || s.Phase != Idle {
				t.Errorf("%+v runs in phase %s", r, s.Phase)
			}
			said := fmt.Sprint(err)
			if c.reason != "" || c.kept {
				if said = s.Last.String(); s.Last.Kept != c.kept || !strings.Contains(s.Last.Reason, c.reason) {
					t.Errorf("the record says: %s", said)
				}
			}
			t.Logf("| %s | %s | %s |", c.what, strings.ReplaceAll(said, m.v.dir, "…"), s.Slots[r.Slot].Version)
			if err := apply(t, m.u, newVersion(t, 3, "skerry")); err != nil {
				t.Errorf("the next update: %v", err)
			}
			if s, r := restart(t, m.d, m.u); s.Phase != OnTrial || r.Slot == want.Slot {
				t.Errorf("the next update: %+v, %+v", s, r)
			}
		})
	}
}

// A trial is over where another version was started, or somebody has taken it back.
func TestTrialIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(m *matrix)
		want error
	}{
		"started anew": {func(m *matrix) { restart(m.t, m.d, m.u) }, ErrOver},
		"by hand": {func(m *matrix) {
			if _, _, err := m.u.Rollback(m.t.Context()); err != nil {
				m.t.Fatal(err)
			}
		}, ErrTakenBack},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMatrix(t)
			m.trial()
			c.end(m)
			synctest.Test(t, func(t *testing.T) {
				if kept, err := m.u.Watch(t.Context(), &probe{began: time.Now()}, Steady); kept || !errors.Is(err, c.want) {
					t.Errorf("%v, %v", kept, err)
				}
			})
		})
	}
}
