package picture

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/renameio/v2"
)

// ErrFull is wrapped by errors of Store.Keep where a session, or all of them, would have more
// than they may.
var ErrFull = errors.New("there is no place for the image")

// Bytes that the images of a session, and of all of them, take at most by default, and for how
// long those of a session that is not known are left, which may be about to begin.
const (
	sessionBytes = 64 << 20
	allBytes     = 256 << 20
	settling     = 10 * time.Minute
)

// Store keeps the images of sessions as files: a directory for each session, whose name does not
// say the session's, and in it a file for each image under its sha256. Its methods may be called
// from several goroutines.
type Store struct {
	dir          string
	session, all int64

	mu sync.Mutex // held while files are written or deleted
}

// NewStore returns the store in a directory, which is made once there is something to keep.
func NewStore(dir string) *Store { return &Store{dir: dir, session: sessionBytes, all: allBytes} }

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (s *Store) of(session string) string { return filepath.Join(s.dir, sumOf([]byte(session))) }

// Keep writes images of a session down, by their sums, and syncs them; those that are there stay
// as they are. Those of a session whose name nobody has chosen leave half of the place to others.
func (s *Store) Keep(session string, images map[string][]byte, unnamed bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir := s.of(session)
	var more int64
	for sum, data := range images {
		if sum != sumOf(data) {
			return fmt.Errorf("an image is not the one of sum %.12s", sum)
		}
		if _, err := os.Stat(filepath.Join(dir, sum)); err != nil {
			more += int64(len(data))
		}
	}
	own, err := bytesIn(dir)
	if err != nil {
		return err
	}
	all, err := bytesIn(s.dir)
	most := s.all
	if unnamed {
		most /= 2
	}
	switch {
	case err != nil:
		return err
	case more == 0: // whatever others have
	case own+more > s.session:
		return fmt.Errorf("its images would be %d MB, and %d MB of a session are kept (%w): begin another session, or send a smaller image", (own+more)>>20, s.session>>20, ErrFull)
	case all+more > most:
		return fmt.Errorf("the images of all sessions would be %d MB, and %d MB are kept (%w): delete sessions (skerry sessions rm), or ask without one", (all+more)>>20, most>>20, ErrFull)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for sum, data := range images {
		path := filepath.Join(dir, sum)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := renameio.WriteFile(path, data, 0o600, renameio.WithTempDir(dir)); err != nil {
			return err
		}
	}
	now := time.Now()
	return errors.Join(os.Chtimes(dir, now, now), syncDir(dir), syncDir(s.dir), syncDir(filepath.Dir(s.dir)))
}

// syncDir has what a directory lists be on the disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// bytesIn are those of the files below a directory, 0 where there is none.
func bytesIn(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
		return nil
	})
	return n, err
}

// Image of a session by its sum. One whose bytes have changed is an error.
func (s *Store) Image(session, sum string) ([]byte, error) {
	if b, err := hex.DecodeString(sum); err != nil || len(b) != sha256.Size {
		return nil, fmt.Errorf("%.80q is no sum of an image", sum)
	}
	data, err := os.ReadFile(filepath.Join(s.of(session), strings.ToLower(sum)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("its file is gone")
	case err != nil:
		return nil, err
	case sumOf(data) != strings.ToLower(sum):
		return nil, errors.New("its file is damaged")
	}
	return data, nil
}

// Retain deletes the images of a session but those of some sums.
func (s *Store) Retain(session string, sums []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir := s.of(session)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	left := 0
	for _, e := range entries {
		if slices.Contains(sums, e.Name()) {
			left++
			continue
		}
		err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
	}
	if left == 0 && err == nil {
		err = os.Remove(dir)
	}
	return err
}

// Forget deletes the images of a session.
func (s *Store) Forget(session string) error { return s.Retain(session, nil) }

// Tidy deletes the images of all sessions but those that there are, which are asked for where
// there are any images. What was kept lately stays: its session may be about to begin.
func (s *Store) Tidy(sessions func() []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) || len(entries) == 0 {
		return nil
	}
	known := map[string]bool{}
	for _, id := range sessions() {
		known[sumOf([]byte(id))] = true
	}
	for _, e := range entries {
		info, gone := e.Info()
		if known[e.Name()] || gone != nil || time.Since(info.ModTime()) < settling {
			continue
		}
		err = errors.Join(err, os.RemoveAll(filepath.Join(s.dir, e.Name())))
	}
	return err
}
