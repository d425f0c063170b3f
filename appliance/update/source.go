package update

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/update/manifest"
)

// Source is where an update comes from.
type Source interface {
	// Manifest returns the manifest and its signature, which is empty where there is none.
	// What they say is not believed yet.
	Manifest(ctx context.Context) (text, signature []byte, err error)
	// Files has files of the manifest be here, and returns their paths in order.
	Files(ctx context.Context, files []manifest.Entry, report func(step string, done, total int64)) ([]string, error)
}

// NewSource is an update at a URL of its manifest or the directory of it, or at such a path
// here, as on a USB stick, or an archive with the suffix ArchiveSuffix. Downloads are kept
// in cache and gone on with.
func NewSource(at string, cache string) (Source, error) {
	scheme, _, isURL := strings.Cut(at, "://")
	if !isURL {
		if strings.HasSuffix(at, ArchiveSuffix) {
			return archiveSource{at, filepath.Join(cache, "unpacked")}, nil
		}
		if st, err := os.Stat(at); err == nil && !st.IsDir() {
			at = filepath.Dir(at)
		}
		return directorySource(at), nil
	}
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || scheme != "https" && scheme != "http" {
		return nil, fmt.Errorf("%.200q is no address of an update: give https://HOST/DIRECTORY or a path", at)
	}
	u.RawQuery, u.Fragment = "", ""
	if strings.HasSuffix(u.Path, "/"+manifest.File) {
		u.Path = strings.TrimSuffix(u.Path, manifest.File)
	}
	return &webSource{u, fetch.Options{Cache: cache}}, nil
}

// directorySource is an update in a directory.
type directorySource string

func (d directorySource) Manifest(context.Context) (text, signature []byte, err error) {
	if text, err = readSmall(filepath.Join(string(d), manifest.File), manifest.MaxSize); err != nil {
		return nil, nil, err
	}
	signature, err = readSmall(filepath.Join(string(d), manifest.SignatureFile), manifest.MaxSignature)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // Open refuses it, and says why
	}
	return text, signature, err
}

func readSmall(path string, most int64) ([]byte, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: name the directory with the update's %s", path, fs.ErrNotExist, manifest.File)
	}
	if err == nil && !st.Mode().IsRegular() { // to open a pipe would wait for its writer
		return nil, fmt.Errorf("%s is no file: name the directory with the update's %s", path, manifest.File)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, disk.OpenError(path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s: it is larger than %d bytes: fetch the update again", path, most)
	}
	return b, err
}

// Files are used where they lie: they are compared with the manifest as they are written.
func (d directorySource) Files(_ context.Context, files []manifest.Entry, _ func(string, int64, int64)) (paths []string, err error) {
	for _, f := range files {
		path := filepath.Join(string(d), filepath.FromSlash(f.Name))
		st, err := os.Stat(path)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: the update is not complete: copy all of its files again", err)
		case !st.Mode().IsRegular() || st.Size() != f.Size:
			return nil, fmt.Errorf("%s: %w: it has %d bytes, not %d: copy the update again", path, ErrDamaged, st.Size(), f.Size)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// webSource is an update on a web server.
type webSource struct {
	base *url.URL
	opt  fetch.Options
}

func (w *webSource) url(name string) string { return w.base.JoinPath(name).String() }

func (w *webSource) Manifest(ctx context.Context) (text, signature []byte, err error) {
	if text, err = fetch.Small(ctx, w.url(manifest.File), manifest.MaxSize, w.opt); err != nil {
		return nil, nil, err
	}
	signature, err = fetch.Small(ctx, w.url(manifest.SignatureFile), manifest.MaxSignature, w.opt)
	if errors.Is(err, fetch.ErrNotThere) {
		err = nil // Open refuses it, and says why
	}
	return text, signature, err
}

func (w *webSource) Files(ctx context.Context, files []manifest.Entry, report func(step string, done, total int64)) (paths []string, err error) {
	opt := w.opt
	opt.Progress = report
	if err := os.MkdirAll(opt.Cache, 0o755); err != nil {
		return nil, disk.WriteError(opt.Cache, err)
	}
	for _, f := range files {
		path, err := fetch.File(ctx, w.url(f.Name), f.SHA256, f.Size, opt)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}
