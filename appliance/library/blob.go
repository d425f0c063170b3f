package library

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/status"
)

// Errors of blobs.
var (
	ErrDigest  = errors.New("no digest")          // it is not sha256: and 64 hex digits
	ErrNoBlob  = errors.New("no such blob")       // it is to be uploaded
	ErrContent = errors.New("not what was named") // another sha256, or another size
)

const (
	// maxBlob is more than any model has, in bytes.
	maxBlob = 1 << 44
	// blobKept is how long a file stays that was uploaded and of which nothing was made.
	blobKept = 7 * 24 * time.Hour
)

// sumOf is the sha256 of a digest, as sha256:HEX.
func sumOf(digest string) (string, error) {
	sum, ok := strings.CutPrefix(strings.ToLower(strings.Replace(digest, "sha256-", "sha256:", 1)), "sha256:")
	if b, err := hex.DecodeString(sum); !ok || err != nil || len(b) != sha256.Size {
		return "", fmt.Errorf("%.80q is %w: give sha256: and 64 hex digits", digest, ErrDigest)
	}
	return sum, nil
}

func (l *Library) blobs() string { return filepath.Join(l.cache, "blobs") }

func (l *Library) blob(sum string) string { return filepath.Join(l.blobs(), "sha256-"+sum) }

// HasBlob says whether a file was uploaded and is still there. A model that was made of it
// does not count: another, as of another type, is not to be had of that.
func (l *Library) HasBlob(digest string) (bool, error) {
	sum, err := sumOf(digest)
	if err != nil {
		return false, err
	}
	_, err = os.Stat(l.blob(sum))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// PutBlob takes in the file of that digest, of so many bytes (-1: not known), for Create.
// What is not it is ErrContent, and leaves nothing.
func (l *Library) PutBlob(ctx context.Context, digest string, size int64, r io.Reader) error {
	sum, err := sumOf(digest)
	if err != nil {
		return err
	}
	if size > maxBlob {
		return fmt.Errorf("%w: %d bytes are more than any model has", ErrContent, size)
	}
	if err := os.MkdirAll(l.blobs(), 0o755); err != nil {
		return disk.WriteError(l.blobs(), err)
	}
	l.dropBlobs(time.Now().Add(-blobKept))
	if err := disk.CheckSpace(l.blobs(), max(size, 0)); err != nil {
		return err
	}
	f, err := os.CreateTemp(l.blobs(), ".upload-*")
	if err != nil {
		return disk.WriteError(l.blobs(), err)
	}
	defer os.Remove(f.Name()) // which is not there once it was renamed
	defer f.Close()
	h := sha256.New()
	most := int64(maxBlob)
	if size >= 0 {
		most = size
	}
	n, err := io.CopyBuffer(disk.Metered(ctx, io.MultiWriter(&spaced{dir: l.blobs(), w: f}, h), nil), struct{ io.Reader }{io.LimitReader(r, most+1)}, make([]byte, 1<<18))
	if err != nil {
		return disk.WriteError(l.blobs(), err)
	}
	if n > most || size >= 0 && n != size {
		return fmt.Errorf("%w: %d bytes came, and %d were announced: upload it again", ErrContent, n, size)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != sum {
		return fmt.Errorf("%w: what came has the sha256 %s, not %s: upload it again", ErrContent, got, sum)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return disk.WriteError(l.blobs(), err)
	}
	if err := os.Rename(f.Name(), l.blob(sum)); err != nil {
		return disk.WriteError(l.blobs(), err)
	}
	return disk.SyncDir(l.blobs())
}

// spaced looks now and then whether the disk has room left.
type spaced struct {
	dir  string
	w    io.Writer
	left int
}

func (s *spaced) Write(b []byte) (int, error) {
	if s.left -= len(b); s.left < 0 {
		s.left = 64 << 20
		if err := disk.CheckSpace(s.dir, int64(s.left)); err != nil {
			return 0, err
		}
	}
	return s.w.Write(b)
}

// dropBlobs removes uploaded files that are older than that.
func (l *Library) dropBlobs(before time.Time) {
	entries, _ := os.ReadDir(l.blobs())
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.ModTime().Before(before) {
			removeUnused(filepath.Join(l.blobs(), e.Name()))
		}
	}
}

// removeUnused removes a file, unless a model is being made of it.
func removeUnused(path string) {
	if release, err := disk.Claim(path); err == nil {
		os.Remove(path)
		release()
	}
}

// CreateOptions of Create.
type CreateOptions struct {
	Name string // that the model gets
	// From is a model that is here, which gets the name; else Digest is that of an uploaded
	// GGUF, and File how its sender calls it.
	From, Digest, File string
	PullOptions
}

// Create makes a model under a name, of one that is here or of an uploaded file. A model
// that had the name as a copy's loses it. A file of which a model was made already gets a
// further name for that, unless it is of another type than is asked for; with another projector
// than is asked for that is ErrTaken. A projector is the digest of an uploaded file, or NoProjector.
// Errors are those of Copy and Pull, or wrap ErrDigest or ErrNoBlob.
func (l *Library) Create(ctx context.Context, o CreateOptions) (Pulled, error) {
	name := strings.TrimSuffix(strings.TrimSpace(o.Name), ":latest")
	if err := CheckName(name); err != nil {
		return Pulled{}, err
	}
	if o.From != "" {
		if err := l.Copy(ctx, o.From, name); err != nil {
			return Pulled{}, err
		}
		m, err := l.Find(name)
		return Pulled{Model: m, Had: true}, err
	}
	sum, err := sumOf(o.Digest)
	if err != nil {
		return Pulled{}, err
	}
	eyes := "" // sha256 of the projector's file
	if o.Projector != "" && o.Projector != NoProjector {
		if eyes, err = sumOf(o.Projector); err != nil { // a path would be one of this machine
			return Pulled{}, fmt.Errorf("the projector: %w", err)
		}
	}
	if m, err := l.Find(name); err == nil && !m.Copy && m.Manifest.Source.SHA256 != sum {
		return Pulled{}, fmt.Errorf("the name %s is %w, %s: choose another, or remove that one first", name, ErrTaken, m.Name)
	}
	own := strings.ReplaceAll(strings.ReplaceAll(name, "/", "-"), ":", "-")
	m, ok := l.made(sum, own, o.Type)
	if !ok {
		m, ok = l.made(sum, "", o.Type) // a second bundle would only be the same once more
	}
	p := Pulled{Model: m, Had: true}
	if ok && eyes != "" && (m.Manifest.Projector == nil || m.Manifest.Projector.SHA256 != eyes) {
		return p, fmt.Errorf("this file is %w, %s, which was split without this projector: skerry model rm %s, and send both again", ErrTaken, m.Name, m.Name)
	}
	if !ok {
		if err := l.checkOwn(name, own, sum, o.Type); err != nil {
			return Pulled{}, err
		}
		if p, err = l.makeOfBlob(ctx, own, sum, o); err != nil {
			return p, err
		}
	}
	if p, err = l.called(ctx, p, name); err != nil {
		return p, err
	}
	removeUnused(l.blob(sum)) // the bundle has what it needs of it
	if eyes != "" {
		removeUnused(l.blob(eyes))
	}
	return p, nil
}

// checkOwn refuses the own name of a bundle that is to be made of a file where another bundle
// has it: neither could be asked for by it any more. Where a cloud has given a part of what is
// to be made, the two are one.
func (l *Library) checkOwn(name, own, sum, as string) error {
	for _, m := range l.List() {
		part := !m.wholeHere() && m.Manifest.Source.SHA256 == sum && (as == "" || as == m.Manifest.Type)
		if !m.Copy && Canonical(m.Own) == Canonical(own) && !part {
			return fmt.Errorf("the name %s is %w, %s: choose another, or remove that one first", name, ErrTaken, m.Name)
		}
	}
	return nil
}

// makeOfBlob makes a bundle of that own name of the uploaded file.
func (l *Library) makeOfBlob(ctx context.Context, own, sum string, o CreateOptions) (Pulled, error) {
	s := source{sha256: sum, path: l.blob(sum), name: strings.TrimSuffix(filepath.Base(o.File), ".gguf")}
	release, err := disk.Use(s.path) // another creation of it may end first
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, disk.ErrInUse) {
		return Pulled{}, fmt.Errorf("%w: sha256:%s: upload the file to /api/blobs/sha256:%[2]s first", ErrNoBlob, sum)
	}
	if err != nil {
		return Pulled{}, err
	}
	defer release()
	st, err := os.Stat(s.path)
	if err != nil {
		return Pulled{}, err
	}
	if !bundle.IsGGUF(s.path) {
		return Pulled{}, fmt.Errorf("what was uploaded as %s is no GGUF: convert the model to one first (llama.cpp's convert_hf_to_gguf.py)", status.Printable(o.File))
	}
	s.bytes = st.Size()
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	o.Fetch.Progress = o.Progress
	o.PullOptions.Name = own
	// The file is the origin. The name is not: it is the bundle's own or a copy's, and is gone
	// with that.
	return l.make(ctx, NameOf(o.File)+".gguf", s, o.PullOptions)
}

// called has a bundle that was made have a name, where it has not by itself.
func (l *Library) called(ctx context.Context, p Pulled, name string) (Pulled, error) {
	if m, err := l.Find(name); err == nil && m.ID == p.ID && Canonical(m.Name) == Canonical(name) {
		p.Model = m
		return p, nil
	}
	err := l.copyOf(ctx, func(models []Model) (Model, error) { // by its id, as others may have its name
		if i := slices.IndexFunc(models, func(m Model) bool { return !m.Copy && m.ID == p.ID }); i >= 0 {
			return models[i], nil
		}
		return Model{}, notFound(models, p.Own)
	}, name)
	if err != nil {
		return p, err
	}
	p.Model, err = l.Find(name)
	return p, err
}

// Digest of a GGUF, as sha256:HEX, and its bytes.
func Digest(ctx context.Context, path string, step func(what string, done, total int64)) (digest string, size int64, err error) {
	s, err := fileSource(ctx, path, step)
	return "sha256:" + s.sha256, s.bytes, err
}

// NameOf is what a model is called that is made of a file.
func NameOf(file string) string {
	name := strings.TrimLeft(prepare.FileName(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))), "._-")
	if name == "" {
		return "model"
	}
	return name
}

// IsFile says whether a reference is the path of a file, and not a name.
func IsFile(ref string) bool { return isFile(ref) }
