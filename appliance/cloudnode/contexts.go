package cloudnode

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"skerry/appliance/decode/batch"
	"skerry/cloudlink/partition"
)

// contextDir is where contexts that outlive the process lie, below the state directory.
// They are what a cloud has in memory of its boards' conversations, and nobody else's to
// read.
const contextDir = "contexts"

// notes have the name of the file that they lie beside.
const noteSuffix = ".branch"

// contextFiles is the partition.Keeper of a cloud.
type contextFiles struct {
	files *batch.Files
	dir   string
	log   *slog.Logger
	known func(device string) bool // whether anything may be kept of a device

	mu sync.Mutex // held to read or write notes
}

// openContexts reads what is in a cloud's state directory, within so many bytes. Contexts of
// devices that are not known any more are deleted.
func openContexts(state string, most int64, known func(device string) bool, log *slog.Logger) (*contextFiles, error) {
	dir := filepath.Join(state, contextDir)
	files, err := batch.OpenFiles(batch.Cache{Dir: dir, Bytes: most, Bundle: "contexts of a cloud", Known: known}, log)
	if err != nil {
		return nil, fmt.Errorf("contexts in files: %w (--disk 0 keeps none)", err)
	}
	c := &contextFiles{files: files, dir: dir, log: log, known: known}
	c.sweep()
	return c, nil
}

// keeper opens the contexts in files, nil for none.
func (f *front) keeper(o Options) (partition.Keeper, error) {
	if o.DiskMB == 0 || o.Development {
		return nil, nil
	}
	known := func(device string) bool {
		if f.devices == nil {
			return true
		}
		_, err := f.devices.Admitted(device)
		return !errors.Is(err, partition.ErrRevoked) && !errors.Is(err, partition.ErrUnknownDevice)
	}
	return openContexts(o.State, o.DiskMB*1e6, known, o.Log)
}

// forgetContexts deletes the contexts of a device that lie in files, of all for "", where no
// cloud runs, and returns how many.
func forgetContexts(state, device string) (n int, err error) {
	dir := filepath.Join(state, contextDir)
	before, _ := os.ReadDir(dir)
	if len(before) == 0 {
		return 0, nil
	}
	c, err := openContexts(state, math.MaxInt64, func(string) bool { return true }, slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, err
	}
	_, held := c.files.Size()
	c.ForgetDevice(device)
	_, left := c.files.Size()
	return held - left, nil
}

// sweep deletes notes whose files have gone.
func (c *contextFiles) sweep() {
	notes, _ := filepath.Glob(filepath.Join(c.dir, "*"+noteSuffix))
	for _, path := range notes {
		if _, err := os.Lstat(strings.TrimSuffix(path, noteSuffix)); err != nil {
			os.Remove(path)
		}
	}
}

// identity is what a file says of whose it is.
func identity(id partition.ContextID) []byte {
	b := append([]byte("context 1\n"), id.Bundle[:]...)
	b = append(b, id.Session[:]...)
	if id.Whole {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return append(b, id.Device...)
}

func fileKey(id partition.ContextID) (key batch.FileKey) {
	sum := sha256.Sum256(identity(id))
	for i := range key {
		key[i] = int32(binary.LittleEndian.Uint32(sum[4*i:]))
	}
	return key
}

// standing is how much of a context stands on which branch: 8 bytes and their sum.
type standing struct {
	branch uint32
	pos    int
}

func (s standing) encode() []byte {
	b := binary.LittleEndian.AppendUint32(nil, s.branch)
	b = binary.LittleEndian.AppendUint32(b, uint32(s.pos))
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func decodeStanding(b []byte) (s standing, ok bool) {
	if len(b) != 12 || crc32.ChecksumIEEE(b[:8]) != binary.LittleEndian.Uint32(b[8:]) {
		return s, false
	}
	pos := binary.LittleEndian.Uint32(b[4:])
	return standing{binary.LittleEndian.Uint32(b), int(pos)}, pos <= 1<<30
}

func (c *contextFiles) notePath(id partition.ContextID) string {
	return filepath.Join(c.dir, c.files.Name(fileKey(id))+noteSuffix)
}

// Save writes a context down.
func (c *contextFiles) Save(k *partition.KeptContext) error {
	if !c.known(k.Device) {
		return nil
	}
	at := standing{k.Branch, k.Positions}
	err := c.files.Store(fileKey(k.ContextID), []string{cmp.Or(k.Device, " ")}, identity(k.ContextID), at.encode(), k.State)
	if !c.known(k.Device) { // revoked since, when there was no file yet
		c.files.Remove(fileKey(k.ContextID))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep()
	return err
}

// Note writes beside a file what a later branch leaves of it.
func (c *contextFiles) Note(id partition.ContextID, branch uint32, pos int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.files.Has(fileKey(id)) {
		return
	}
	path := c.notePath(id)
	if old, err := os.ReadFile(path); err == nil {
		if at, ok := decodeStanding(old); ok && at.branch >= branch {
			return
		}
	}
	if err := os.WriteFile(path, standing{branch, pos}.encode(), 0o600); err != nil {
		c.log.Warn("what stands of a context cannot be noted: its board sends it again after a restart", "err", err)
	}
}

// Has reports whether anything is kept of a context.
func (c *contextFiles) Has(id partition.ContextID) bool { return c.files.Has(fileKey(id)) }

// Load reads a context, nil where nothing of use is kept of it.
func (c *contextFiles) Load(id partition.ContextID) *partition.KeptContext {
	parts := c.files.Load(fileKey(id))
	if len(parts) != 3 || !bytes.Equal(parts[0], identity(id)) {
		return nil
	}
	at, ok := decodeStanding(parts[1])
	if !ok {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, err := os.ReadFile(c.notePath(id)); err == nil {
		switch later, ok := decodeStanding(b); {
		case !ok: // half written
			return nil
		case later.branch > at.branch:
			at = standing{later.branch, min(at.pos, later.pos)}
		}
	}
	return &partition.KeptContext{ContextID: id, Branch: at.branch, Positions: at.pos, State: parts[2]}
}

// Forget deletes what is kept of a context.
func (c *contextFiles) Forget(id partition.ContextID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files.Remove(fileKey(id))
	os.Remove(c.notePath(id))
}

// ForgetDevice deletes what is kept of a device's contexts, of all for "".
func (c *contextFiles) ForgetDevice(device string) {
	if device == "" {
		c.files.Clear()
	} else {
		c.files.Forget(device)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep()
}

// Expire deletes what nobody has come back for.
func (c *contextFiles) Expire(unused time.Duration, live []partition.ContextID) {
	inUse := map[string]bool{}
	for _, id := range live {
		inUse[c.files.Name(fileKey(id))] = true
	}
	c.files.Expire(unused, inUse)
}

// Most is how many bytes of a context are worth a file.
func (c *contextFiles) Most() int64 { return c.files.Most() }
