package httpd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// Keys is the key store: keys.json in the state directory, mode 0600. Processes
// take turns by a lock beside it, and a running daemon sees what another process
// changed at its next request, so that the command line needs no daemon.
type Keys struct {
	path string
	now  func() time.Time
	log  *slog.Logger

	mu   sync.Mutex // guards all following fields
	seen fs.FileInfo
	keys []Key
}

// ErrNoKey is returned by Remove and SetScopes.
var ErrNoKey = errors.New("no such key")

// OpenKeys reads the store of a state directory; there need be none yet. A file
// that cannot be read or understood is an error.
func OpenKeys(state string, now func() time.Time, log *slog.Logger) (*Keys, error) {
	k := &Keys{path: filepath.Join(state, "keys.json"), now: now, log: log}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k, k.refresh()
}

// Path of the file.
func (k *Keys) Path() string { return k.path }

// List returns the keys in the order they were made.
func (k *Keys) List() ([]Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.refresh()
	return slices.Clone(k.keys), err
}

// New makes a key and returns its secret, which is not to be had again. Without scopes
// it may ask.
func (k *Keys) New(name string, scopes ...Scope) (secret string, err error) {
	if len(scopes) == 0 {
		scopes = []Scope{ScopeAsk}
	}
	if err := errors.Join(CheckName(name), Scopes(scopes).check()); err != nil {
		return "", err
	}
	secret = newSecret()
	err = k.change(func(keys []Key) ([]Key, error) {
		if named(keys, name) >= 0 {
			return nil, fmt.Errorf("there is a key named %s: choose another name, or remove it with skerry key rm %s", name, name)
		}
		return append(keys, Key{Name: name, Hash: hashOf(secret), Created: k.now().UTC().Truncate(time.Second), Scopes: scopes}), nil
	})
	return secret, err
}

// SetScopes changes what a key is for, at once. The error wraps ErrNoKey where there is
// none of that name.
func (k *Keys) SetScopes(name string, scopes Scopes) error {
	if err := scopes.check(); err != nil {
		return err
	}
	return k.change(func(keys []Key) ([]Key, error) {
		i := named(keys, name)
		if i < 0 {
			return nil, fmt.Errorf("%w: %s (skerry key ls lists them)", ErrNoKey, name)
		}
		keys[i].Scopes = scopes
		return keys, nil
	})
}

// Remove makes a key worthless at once. The error wraps ErrNoKey where there is
// none of that name.
func (k *Keys) Remove(name string) error {
	return k.change(func(keys []Key) ([]Key, error) {
		i := named(keys, name)
		if i < 0 {
			return nil, fmt.Errorf("%w: %s (skerry key ls lists them)", ErrNoKey, name)
		}
		return slices.Delete(keys, i, i+1), nil
	})
}

// Authenticate finds the key of a secret, and notes the day of its use.
func (k *Keys) Authenticate(secret string) (key Key, ok bool) {
	return k.use(func(keys []Key) *Key { return find(keys, secret) })
}

func (k *Keys) use(find func([]Key) *Key) (used Key, ok bool) {
	k.mu.Lock()
	if err := k.refresh(); err != nil {
		k.log.Warn("the file of keys cannot be read; the previous keys stay valid", "err", err)
	}
	key := find(k.keys)
	if key == nil {
		k.mu.Unlock()
		return Key{}, false
	}
	day := k.now().UTC().Format(time.DateOnly)
	note := key.Used != day
	key.Used = day // whether or not it can be written down: tried once a day
	used = *key
	k.mu.Unlock()
	if note {
		if err := k.note(used.Name, day); err != nil {
			k.log.Warn("the day of a key's last use could not be saved", "key", used.Name, "err", err)
		}
	}
	return used, true
}

func (k *Keys) note(name, day string) error {
	return k.change(func(keys []Key) ([]Key, error) {
		if i := named(keys, name); i >= 0 {
			keys[i].Used = day
		}
		return keys, nil
	})
}

func named(keys []Key, name string) int {
	return slices.IndexFunc(keys, func(k Key) bool { return k.Name == name })
}

// refresh reads the file where it is another one than last time. On an error the
// keys stay as they were. mu is held.
func (k *Keys) refresh() error {
	now, err := os.Stat(k.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.seen, k.keys = nil, nil
		return nil
	case err != nil:
		return err
	case k.seen != nil && os.SameFile(now, k.seen) && now.ModTime().Equal(k.seen.ModTime()) && now.Size() == k.seen.Size():
		return nil
	}
	f, err := os.Open(k.path)
	if err != nil {
		return err
	}
	defer f.Close()
	if now, err = f.Stat(); err != nil {
		return err
	}
	data, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return err
	}
	keys, err := decodeKeys(data)
	k.seen = now // a bad one is not read, and complained of, at every request
	if err != nil {
		return fmt.Errorf("%s is damaged: %w (move it away, and make new keys with skerry key new NAME)", k.path, err)
	}
	k.keys = keys
	return nil
}

// change replaces the file by what edit makes of its keys, one process at a time.
func (k *Keys) change(edit func([]Key) ([]Key, error)) error {
	dir := filepath.Dir(k.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	unlock, err := k.lock()
	if err != nil {
		return err
	}
	defer unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen = nil // a damaged file is an error each time
	if err := k.refresh(); err != nil {
		return err
	}
	keys, err := edit(slices.Clone(k.keys))
	if err != nil {
		return err
	}
	data, err := encodeKeys(keys)
	if err != nil {
		return err
	}
	f, err := renameio.NewPendingFile(k.path, renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := likeDirectory(f.File, dir); err != nil {
		return err
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return err
	}
	return k.refresh()
}

// lock takes turns with other processes, and with other Keys of this one.
func (k *Keys) lock() (unlock func(), err error) {
	f, err := os.OpenFile(k.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := likeDirectory(f, filepath.Dir(k.path)); err != nil {
		f.Close()
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
		}
	}
}

// likeDirectory gives a file that root makes to the directory's owner: sudo skerry
// key new must not lock the daemon out.
func likeDirectory(f *os.File, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	s := info.Sys().(*syscall.Stat_t)
	return f.Chown(int(s.Uid), int(s.Gid))
}
