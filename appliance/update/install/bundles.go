package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/update"
	"skerry/appliance/update/manifest"
)

const (
	// bundlesOfPackage and bundlesOfImage are the directory of the slots for model bundles:
	// beside those of the program, or beside the record of an image.
	bundlesOfPackage = "bundle"
	bundlesOfImage   = "bundle-slots"

	// BundleDir is the directory of the bundle in a slot, and in an update: the manifest of a
	// bundle has the same name as that of an update.
	BundleDir = "bundle"
	// noBundle is where the link in a slot leads that stands for the default model, which
	// has no place until it is fetched: nowhere.
	noBundle = "the-default-model"
	// replaced is the file with what the bundles here stand in for.
	replaced = "replaces.json"
)

// Bundles is the updates of the model bundle, apart from those of the program: two slots that
// are directories, one for what the settings name and later for the version before, one for
// what an update has brought. A start of the daemon chooses one. They stand in for the bundle
// of the settings as long as those name the same one; once somebody names another, it is used,
// and the next update takes its place.
type Bundles struct {
	*update.Updater
	directory *update.Directory
	// Bundle and Model are the settings bundle and model.
	Bundle, Model string
}

// setting is what the settings have named when an update took its place.
type setting struct {
	Bundle string `json:"bundle"`          // "" for the default model
	Leads  string `json:"leads,omitempty"` // where a link that it names led
}

func bundlesIn(base string) *Bundles {
	d := update.NewDirectory(base)
	slots := update.NewSlots(base, nil, nil)
	slots.Check = func(ctx context.Context, dir string) error {
		if err := bundle.Verify(ctx, filepath.Join(dir, BundleDir)); err != nil {
			return fmt.Errorf("%w: %w", ErrNoBundle, err)
		}
		return nil
	}
	return &Bundles{Updater: update.New(d, slots, filepath.Join(base, record)), directory: d}
}

// there says whether a bundle was ever updated here.
func (b *Bundles) there() bool {
	_, err := os.Lstat(filepath.Join(b.directory.Base, "current"))
	return err == nil
}

// setting is what the settings name now.
func (b *Bundles) setting() setting {
	s := setting{Bundle: b.Bundle}
	if b.Bundle != "" {
		s.Leads, _ = filepath.EvalSymlinks(b.Bundle) // "" where nothing is there
	}
	return s
}

// standsIn says whether the slots stand in for what the settings name.
func (b *Bundles) standsIn() bool {
	s, err := b.replaced()
	return err == nil && s == b.setting() && b.Model == "" && b.there()
}

// replaced is what the slots have last stood in for.
func (b *Bundles) replaced() (s setting, err error) {
	text, err := os.ReadFile(filepath.Join(b.directory.Base, replaced))
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(text, &s)
}

// Path is the bundle that the daemon is to use, where its settings name bundle and model: that
// of the slot which was started, or else what the settings name.
func (b *Bundles) Path(setBundle, setModel string) string {
	is := *b
	is.Bundle, is.Model = setBundle, setModel
	if !is.standsIn() {
		return setBundle
	}
	dir, err := filepath.EvalSymlinks(filepath.Join(b.directory.Base, "running", BundleDir))
	if err != nil {
		return setBundle
	}
	return dir
}

// InUse is the id of the bundle that the daemon uses, in hexadecimal, "" where that is not known.
func (b *Bundles) InUse() string {
	dir := b.Path(b.Bundle, b.Model)
	if dir == "" || b.Model != "" {
		return ""
	}
	m, err := bundle.ReadKept(dir)
	if err != nil {
		return ""
	}
	return m.ID
}

// open is Updater.Open. What the settings name has no version: any is newer.
func (b *Bundles) open(ctx context.Context, from update.Source, p manifest.Policy) (*manifest.Manifest, error) {
	p.Kind, p.Installed = manifest.Bundle, nil
	if b.standsIn() {
		return b.Open(ctx, from, p)
	}
	p.Installed = new(manifest.Version)
	text, signature, err := from.Manifest(ctx)
	if err != nil {
		return nil, err
	}
	return manifest.Open(text, signature, p)
}

// ErrNoBundle is wrapped by Brings for an update that has no bundle which can be read.
var ErrNoBundle = errors.New("the update has no bundle that can be used")

// Brings is the id of the bundle that an update has, in hexadecimal, of which the bundle's own
// manifest alone is fetched.
func (b *Bundles) Brings(ctx context.Context, m *manifest.Manifest, from update.Source) (string, error) {
	name := BundleDir + "/" + bundle.ManifestFile
	i := slices.IndexFunc(m.Files, func(e manifest.Entry) bool { return e.Name == name })
	if i < 0 || m.Files[i].Size > bundle.MaxManifest {
		return "", fmt.Errorf("%w: %s is not in it, or too large", ErrNoBundle, name)
	}
	of := m.Files[i : i+1]
	paths, err := from.Files(ctx, of, nil)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(paths[0])
	if err != nil {
		return "", err
	}
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != of[0].SHA256 {
		return "", fmt.Errorf("%s: %w: it is not what the update's manifest says", name, update.ErrDamaged)
	}
	brings, err := bundle.ParseManifest(text)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoBundle, err)
	}
	id := brings.ID()
	return hex.EncodeToString(id[:]), nil
}

// apply is Updater.Apply.
func (b *Bundles) apply(ctx context.Context, m *manifest.Manifest, from update.Source, report func(step string, done, total int64)) (a update.Attempt, err error) {
	if b.Model != "" {
		return a, fmt.Errorf("the settings name the model %s, which an update of a bundle does not replace: take model out of /etc/skerry/skerry.toml, or fetch a model with skerry model pull", b.Model)
	}
	if !b.standsIn() {
		if err := b.adopt(ctx); err != nil {
			return a, err
		}
	}
	a, err = b.Apply(ctx, m, from, report)
	a.Bundle = true
	return a, err
}

// adopt has a slot lead to what the settings name, so that one can go back to it.
func (b *Bundles) adopt(ctx context.Context) error {
	s := b.setting()
	to := s.Leads
	if to == "" {
		to = noBundle
	}
	ctx, cancel := context.WithTimeout(ctx, seedPatience)
	defer cancel()
	if _, err := b.AdoptAs(ctx, BundleDir, to, manifest.Version{}, nil); err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return disk.PlaceFile(b.directory.Base, replaced, func(f *os.File) error {
		_, err := f.Write(append(text, '\n'))
		return err
	})
}

// rollback is Updater.Rollback. Where an update that did not stick has taken the slot of the one
// before, it goes to what the settings name, which is no trial: it lies elsewhere.
func (b *Bundles) rollback(ctx context.Context) (a update.Attempt, restart bool, err error) {
	s, err := b.replaced()
	is := *b // the command does not read the settings
	if is.Bundle, is.Model = s.Bundle, ""; err != nil || !is.standsIn() {
		return a, false, fmt.Errorf("%w of the model bundle: the settings name what is used", update.ErrNoPrevious)
	}
	a, restart, err = b.Rollback(ctx)
	a.Bundle = true
	if !errors.Is(err, update.ErrNoPrevious) {
		return a, restart, err
	}
	if s, r, known := b.Status(); known != nil || s.Slots[r.Slot].Version == (manifest.Version{}) {
		return a, false, err
	}
	return update.Attempt{Bundle: true}, true, is.adopt(ctx)
}

// begin chooses the slot that is started.
func (b *Bundles) begin() error {
	if !b.there() {
		return nil
	}
	if _, err := b.directory.Start(); err != nil {
		return err
	}
	_, err := b.Resume()
	return err
}

// id is the id, in hex, of the bundle that was started, "" where that is the default model.
func (b *Bundles) id() (string, error) {
	dir := filepath.Join(b.directory.Base, "running", BundleDir)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	m, err := bundle.ReadKept(dir)
	return m.ID, err
}

// report is the state of the bundle's updates, nil where there were none.
func (b *Bundles) report() *State {
	if !b.there() {
		return nil
	}
	s, r, err := b.Status()
	if err != nil {
		return nil // of the program more is known
	}
	return stateOf(manifest.Bundle, s, r)
}

// bundleAtOnce is how long a bundle on trial has to have been ready before it is asked: it is
// asked once it is loaded, or could not be.
const bundleAtOnce time.Duration = 0
