package install

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/split"
	"skerry/appliance/update"
	"skerry/appliance/update/manifest"
	"skerry/appliance/update/publish"
)

// models is a board whose model bundle is updated.
type models struct {
	*Installation
	t      *testing.T
	key    publish.Key
	public string
	source string // of bundles
	set    string // by the settings
}

func newModels(t *testing.T) *models {
	t.Helper()
	m := &models{t: t, source: bundletest.Synth(t, "tiny", "q4_0"), set: filepath.Join(t.TempDir(), "mine")}
	secret := filepath.Join(t.TempDir(), "key")
	var err error
	if m.public, err = publish.NewKey(secret); err != nil {
		t.Fatal(err)
	}
	if m.key, err = publish.ReadKey(secret, ""); err != nil {
		t.Fatal(err)
	}
	m.split(m.set, 2, 4)
	program := filepath.Join(t.TempDir(), "skerry")
	write(t, program, "program")
	m.Installation = board(t, filepath.Join(t.TempDir(), "program"), program, "1.0.0")
	m.Models.Bundle = m.set
	m.begin()
	return m
}

func (m *models) split(dir string, exits ...int) {
	m.t.Helper()
	if _, err := split.Model(m.t.Context(), m.source, dir, split.Options{Exits: exits, Type: split.TypeKeep}); err != nil {
		m.t.Fatal(err)
	}
}

// begin starts the daemon, and returns the bundle that it uses.
func (m *models) begin() string {
	m.t.Helper()
	if _, err := m.Begin(); err != nil {
		m.t.Fatal(err)
	}
	return m.Models.Path(m.Models.Bundle, m.Models.Model)
}

// publish makes an update of a bundle, in a directory and in a file.
func (m *models) publish(version string, dir string) (at, archive string) {
	m.t.Helper()
	v, err := manifest.ParseVersion(version)
	if err != nil {
		m.t.Fatal(err)
	}
	var files []publish.File
	list, err := os.ReadDir(dir)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, e := range list {
		if !e.IsDir() {
			files = append(files, publish.File{Name: BundleDir + "/" + e.Name(), From: filepath.Join(dir, e.Name())})
		}
	}
	at = filepath.Join(m.t.TempDir(), "bundle-"+version)
	of := manifest.Manifest{Kind: manifest.Bundle, Version: v, Board: "any", Arch: "any", Created: time.Now().Add(-time.Hour), Expires: time.Now().Add(time.Hour)}
	if err := publish.Write(m.t.Context(), at, at+update.ArchiveSuffix, of, files, m.key); err != nil {
		m.t.Fatal(err)
	}
	return at, at + update.ArchiveSuffix
}

// apply does as skerry update apply.
func (m *models) apply(at string) error {
	m.t.Helper()
	found, err := m.LookForAll(m.t.Context(), m.Policy([]string{m.public}, false), at)
	if err != nil {
		m.t.Fatal(err)
	}
	best, err := Best(found, "")
	if err != nil {
		return err
	}
	a, err := m.Apply(m.t.Context(), best.Manifest, best.Source, nil)
	if err == nil && (!a.Bundle || a.Reboot != "" || !strings.Contains(m.HowToTry(a), "systemctl restart skerry")) {
		m.t.Errorf("%+v: %s", a, m.HowToTry(a))
	}
	return err
}

// says is a probe with one answer.
type says struct{ err error }

func (s says) Ready(context.Context) error  { return nil }
func (s says) Answer(context.Context) error { return s.err }

// try watches the trial to its end; asked is the id of the bundle that was asked.
func (m *models) try(answer error) (failed bool, asked string) {
	m.t.Helper()
	synctest.Test(m.t, func(t *testing.T) {
		f, of, err := m.Watch(t.Context(), Trials{
			Program: func(manifest.Version) update.Probe { return says{errors.New("the program is not on trial")} },
			Bundle:  func(id string) update.Probe { asked = id; return says{answer} },
			Steady:  update.Steady, Note: t.Logf,
		})
		if err != nil || f && !of.Bundle {
			t.Errorf("%+v, %v", of, err)
		}
		failed = f
	})
	return failed, asked
}

// id is a bundle's, in hex.
func (m *models) id(dir string) string {
	m.t.Helper()
	k, err := bundle.ReadKept(dir)
	if err != nil {
		m.t.Fatal(err)
	}
	return k.ID
}

// A bundle is updated, kept after one answer, updated to one that does not answer, and taken
// back; the program stays as it is.
func TestBundle(t *testing.T) {
	m := newModels(t)
	second, third := filepath.Join(t.TempDir(), "second"), filepath.Join(t.TempDir(), "third")
	m.split(second, 2, 3)
	m.split(third, 1, 2)
	at, archive := m.publish("1.1.0", second)
	for _, from := range []string{at, archive} {
		if err := m.apply(from); err != nil {
			t.Fatal(err)
		}
		if from == at { // before it was started
			if a, again, err := m.GoBack(t.Context(), true); err != nil || again || !a.Bundle {
				t.Fatalf("%+v, %v, %v", a, again, err)
			}
			if got := m.begin(); got != m.set {
				t.Fatalf("%s is used after the update was taken back", got)
			}
		}
	}
	if err := m.apply(archive); !errors.Is(err, update.ErrOnTheWay) {
		t.Errorf("a second one before the restart: %v", err)
	}
	if got := m.Models.Path(m.set, ""); got != m.set {
		t.Errorf("%s is used before the restart", got)
	}
	used := m.begin()
	if m.id(used) != m.id(second) {
		t.Errorf("%s is used on trial", used)
	}
	if failed, asked := m.try(nil); failed || asked != m.id(second) {
		t.Errorf("failed %v, of %s", failed, asked)
	}
	if used = m.begin(); m.id(used) != m.id(second) {
		t.Errorf("%s is used after it was kept", used)
	}
	s, err := m.Report()
	if err != nil || s.Version != "1.0.0" || s.Bundle.Version != "1.1.0" || s.Bundle.Previous != "0.0.0" || !s.Bundle.Last.Kept {
		t.Errorf("%+v, %+v, %v", s, s.Bundle, err)
	}
	if err := m.apply(archive); !errors.Is(err, &manifest.Refusal{Reason: manifest.Installed}) {
		t.Errorf("the same again: %v", err)
	}

	at, _ = m.publish("1.2.0", third)
	if err := m.apply(at); err != nil {
		t.Fatal(err)
	}
	m.begin()
	if failed, _ := m.try(errors.New("the model says nothing")); !failed {
		t.Error("one that does not answer is kept")
	}
	if used = m.begin(); m.id(used) != m.id(second) {
		t.Errorf("%s is used after a trial that failed", used)
	}
	if s, err = m.Report(); err != nil || s.Bundle.Last.Kept || !strings.Contains(s.Bundle.Last.Reason, "the model says nothing") {
		t.Errorf("%+v, %v", s.Bundle, err)
	}
	if err := m.Forget(); err != nil || m.Models.report().Last != nil {
		t.Errorf("it is not forgotten: %v", err)
	}
	// On trial, the daemon ends, or the power does.
	if err := m.apply(at); err != nil {
		t.Fatal(err)
	}
	m.begin()
	if used = m.begin(); m.id(used) != m.id(second) {
		t.Errorf("%s is used after the power was cut on trial", used)
	}
	// Its slot is lost, and with it the version before; what the settings name is there.
	m.Models.Bundle = "" // the command does not read the settings
	a, again, err := m.GoBack(t.Context(), true)
	m.Models.Bundle = m.set
	if got := m.begin(); err != nil || !again || !a.Bundle || got != m.set {
		t.Errorf("%s is used after a rollback: %+v, %v, %v", got, a, again, err)
	}
	if s, err = m.Report(); err != nil || s.Bundle.Trial || s.Bundle.Previous != "1.1.0" {
		t.Errorf("%+v, %v", s.Bundle, err)
	}
}

// The version before the first update is what the settings name, and the default model where
// they name none; once they name another, that is used.
func TestBundleOfTheSettings(t *testing.T) {
	for _, set := range []bool{true, false} {
		m := newModels(t)
		if !set {
			m.set, m.Models.Bundle = "", ""
		}
		if _, _, err := m.GoBack(t.Context(), true); !errors.Is(err, update.ErrNoPrevious) {
			t.Errorf("back from nothing: %v", err)
		}
		second := filepath.Join(t.TempDir(), "second")
		m.split(second, 2, 3)
		at, _ := m.publish("1.1.0", second)
		if err := m.apply(at); err != nil {
			t.Fatal(err)
		}
		used := m.begin()
		if m.try(nil); m.id(used) != m.id(second) {
			t.Errorf("%q is used", used)
		}
		if a, again, err := m.GoBack(t.Context(), true); err != nil || !again || !a.Bundle {
			t.Fatalf("%+v, %v, %v", a, again, err)
		}
		if used = m.begin(); used != m.set {
			t.Errorf("%q is used on trial, not %q", used, m.set)
		}
		if m.try(nil); m.begin() != m.set {
			t.Errorf("%q is used after the rollback, not %q", m.begin(), m.set)
		}

		other := filepath.Join(t.TempDir(), "other")
		m.split(other, 1, 3)
		m.Models.Bundle = other
		if got := m.begin(); got != other {
			t.Errorf("the settings name another, and %q is used", got)
		}
		if err := m.apply(at); err != nil { // it stands in for that
			t.Fatal(err)
		}
		if used = m.begin(); m.id(used) != m.id(second) {
			t.Errorf("%q is used in place of another", used)
		}
		if used = m.begin(); used != other { // it has not proved itself
			t.Errorf("%q is used after that", used)
		}
		m.Models.Model = "a-name"
		if err := m.apply(at); err == nil || !strings.Contains(err.Error(), "skerry model pull") {
			t.Errorf("with a model by name: %v", err)
		}
	}
}

// An update without a bundle that can be used is not tried, and neither is one by a stranger.
// With an update of the program on the way, none of a bundle begins.
func TestBundleRefused(t *testing.T) {
	m := newModels(t)
	second := filepath.Join(t.TempDir(), "second")
	m.split(second, 2, 3)
	at, _ := m.publish("1.1.0", second)
	if found, err := m.Look(t.Context(), m.Policy([]string{m.public}, false), at); err != nil || !errors.Is(found[0].Err, &manifest.Refusal{Reason: manifest.WrongKind}) {
		t.Errorf("as an update of the program: %+v, %v", found, err)
	}
	if err := os.WriteFile(filepath.Join(second, "board-1.gguf"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	bad, _ := m.publish("1.1.0", second)
	if err := m.apply(bad); !errors.Is(err, bundle.ErrCorrupt) {
		t.Errorf("a damaged one: %v", err)
	}
	if got := m.begin(); got != m.set {
		t.Errorf("%s is used", got)
	}
	ours := m.public
	var err error
	if m.public, err = publish.NewKey(filepath.Join(t.TempDir(), "stranger")); err != nil {
		t.Fatal(err)
	}
	if err := m.apply(at); !errors.Is(err, &manifest.Refusal{Reason: manifest.UnknownKey}) {
		t.Errorf("a stranger's: %v", err)
	}
	m.public = ours
	stick := t.TempDir()
	if err := os.CopyFS(stick, os.DirFS(at)); err != nil {
		t.Fatal(err)
	}
	if got := Media([]string{stick}); len(got) != 1 || got[0] != stick {
		t.Errorf("on a stick are %v", got)
	}

	program := filepath.Join(t.TempDir(), "program")
	write(t, filepath.Join(program, "skerry"), "second")
	of := manifest.Manifest{Kind: manifest.Program, Version: manifest.Version{Major: 2}, Board: "any", Arch: "any", Created: time.Now().Add(-time.Hour), Expires: time.Now().Add(time.Hour)}
	to := filepath.Join(t.TempDir(), "2")
	if err := publish.Write(t.Context(), to, "", of, []publish.File{{Name: "skerry", From: filepath.Join(program, "skerry")}}, m.key); err != nil {
		t.Fatal(err)
	}
	found, err := m.LookForAll(t.Context(), m.Policy([]string{m.public}, false), at, to)
	if err != nil {
		t.Fatal(err)
	}
	best, err := Best(found, "")
	if err != nil || best.Manifest.Kind != manifest.Program {
		t.Fatalf("%+v, %v", best, err)
	}
	if _, err := m.Apply(t.Context(), best.Manifest, best.Source, nil); err != nil {
		t.Fatal(err)
	}
	if err := m.apply(at); !errors.Is(err, update.ErrOnTheWay) {
		t.Errorf("with one of the program on the way: %v", err)
	}
}
