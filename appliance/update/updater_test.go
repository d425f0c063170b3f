package update

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"aead.dev/minisign"

	"skerry/appliance/update/manifest"
)

// newReal is a directory as a package makes it, with the first version, on a real disk.
func newReal(t *testing.T, first *version) (*Directory, *Updater) {
	t.Helper()
	base := t.TempDir()
	d := NewDirectory(base)
	for name, data := range first.files {
		write(t, filepath.Join(base, "a", name), data)
	}
	if err := os.Symlink("a", filepath.Join(base, "current")); err != nil {
		t.Fatal(err)
	}
	u := New(d, NewSlots(base, nil, nil), filepath.Join(t.TempDir(), "updates.json"))
	if _, err := d.Start(); err != nil {
		t.Fatal(err)
	}
	if err := u.Seed(first.manifest.Version, first.manifest.Files); err != nil {
		t.Fatal(err)
	}
	return d, u
}

func restart(t *testing.T, d *Directory, u *Updater) (*State, Running) {
	t.Helper()
	if _, err := d.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Resume(); err != nil {
		t.Fatal(err)
	}
	s, r, err := u.Status()
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

func apply(t *testing.T, u *Updater, v *version) error {
	t.Helper()
	_, err := u.Apply(t.Context(), v.manifest, directorySource(v.dir), nil)
	return err
}

func TestUpdateAndRollback(t *testing.T) {
	first, second := newVersion(t, 1, "skerry", "kernels/k.so"), newVersion(t, 2, "skerry")
	d, u := newReal(t, first)
	if err := apply(t, u, second); err != nil {
		t.Fatal(err)
	}
	if err := apply(t, u, second); !errors.Is(err, ErrOnTheWay) {
		t.Errorf("a second update before the restart: %v", err)
	}
	if s, r := restart(t, d, u); s.Phase != OnTrial || r != (Running{B, true}) {
		t.Fatalf("%+v, %+v", s, r)
	}
	if err := apply(t, u, first); !errors.Is(err, ErrOnTheWay) {
		t.Errorf("an update during a trial: %v", err)
	}
	if err := u.Keep(); err != nil {
		t.Fatal(err)
	}
	if s, r := restart(t, d, u); !s.Last.Kept || r != (Running{B, false}) {
		t.Fatalf("%s, %+v", s.Last, r)
	}
	st, err := os.Stat(filepath.Join(d.Base, "current", "skerry"))
	if err != nil || st.Mode().Perm()&0o100 == 0 {
		t.Errorf("the program is %v, %v", st, err)
	}

	armed, again, err := u.Rollback(t.Context())
	if err != nil || !again || armed.Version != first.manifest.Version {
		t.Fatalf("%+v, %v, %v", armed, again, err)
	}
	restart(t, d, u)
	if err := u.Keep(); err != nil {
		t.Fatal(err)
	}
	if s, r := restart(t, d, u); r.Slot != A || s.Slots[A].Version != first.manifest.Version {
		t.Fatalf("%+v, %+v", s, r)
	}

	// What rots in the other slot is not gone back to.
	write(t, filepath.Join(d.Base, "b", "skerry"), []byte("rotten"))
	if _, _, err := u.Rollback(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("to a damaged slot: %v", err)
	}
}

func TestRollbackOfWhatIsNotKept(t *testing.T) {
	first, second := newVersion(t, 1, "skerry"), newVersion(t, 2, "skerry")
	d, u := newReal(t, first)
	if _, _, err := u.Rollback(t.Context()); !errors.Is(err, ErrNoPrevious) {
		t.Errorf("without a previous version: %v", err)
	}
	for _, tried := range []bool{false, true} {
		if err := apply(t, u, second); err != nil {
			t.Fatal(err)
		}
		if tried {
			restart(t, d, u)
		}
		if _, again, err := u.Rollback(t.Context()); err != nil || again != tried {
			t.Fatalf("%v, %v", again, err)
		}
		if s, r := restart(t, d, u); r != (Running{A, false}) || s.Last.Kept || !strings.Contains(s.Last.Reason, "by hand") {
			t.Errorf("%+v, %s", r, s.Last)
		}
		if _, _, err := u.Rollback(t.Context()); !errors.Is(err, ErrNoPrevious) {
			t.Errorf("to what was taken back: %v", err)
		}
	}
}

func TestDamagedUpdates(t *testing.T) {
	first := newVersion(t, 1, "skerry")
	for name, c := range map[string]struct {
		damage func(t *testing.T, v *version)
		want   error
	}{
		"missing": {func(t *testing.T, v *version) { os.Remove(filepath.Join(v.dir, "skerry")) }, os.ErrNotExist},
		"short":   {func(t *testing.T, v *version) { os.Truncate(filepath.Join(v.dir, "skerry"), 5) }, ErrDamaged},
		"other": {func(t *testing.T, v *version) {
			write(t, filepath.Join(v.dir, "skerry"), bytes.Repeat([]byte{1}, len(v.files["skerry"])))
		}, ErrDamaged},
		"enormous": {func(t *testing.T, v *version) {
			v.manifest.Files[0].Size = 1 << 43
			os.Truncate(filepath.Join(v.dir, "skerry"), 1<<43)
		}, syscall.ENOSPC},
		"other hash": {func(t *testing.T, v *version) { v.manifest.Files[0].SHA256 = strings.Repeat("0", 64) }, ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			d, u := newReal(t, first)
			v := newVersion(t, 2, "skerry")
			c.damage(t, v)
			if err := apply(t, u, v); !errors.Is(err, c.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%v is not %v", err, c.want)
			}
			if s, r := restart(t, d, u); r != (Running{A, false}) || s.Phase != Idle {
				t.Errorf("%+v, %+v", s, r)
			}
			if err := apply(t, u, newVersion(t, 3, "skerry")); err != nil {
				t.Errorf("the next update: %v", err)
			}
		})
	}
}

// lossySteps loses a byte of what is written, as a bad card does.
type lossySteps struct{ realSteps }

func (l lossySteps) write(ctx context.Context, path string, device bool, mode os.FileMode, r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	data[len(data)/2] ^= 1
	return l.realSteps.write(ctx, path, device, mode, bytes.NewReader(data))
}

func TestBadCardIsFoundByReadingBack(t *testing.T) {
	d, u := newReal(t, newVersion(t, 1, "skerry"))
	u.slots.steps = lossySteps{}
	if err := apply(t, u, newVersion(t, 2, "skerry")); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	if s, r := restart(t, d, u); r.Slot != A || s.Last.Kept || s.Last.Reason == "" {
		t.Errorf("%+v, %s", r, s.Last)
	}
}

func TestPartitionTooSmall(t *testing.T) {
	small := filepath.Join(t.TempDir(), "part")
	write(t, small, make([]byte, 10))
	v := newVersion(t, 2, "root.img")
	s := NewSlots("", map[Slot]map[string]string{B: {"root.img": small}}, nil)
	if err := s.room(B, v.manifest.Files); err == nil || !strings.Contains(err.Error(), "flashed anew") {
		t.Error(err)
	}
	if err := s.room(A, v.manifest.Files); !errors.Is(err, &manifest.Refusal{Reason: manifest.WrongBoard}) {
		t.Error(err)
	}
}

// breakingServer serves a directory and breaks every body off after some bytes, so that a
// download has to go on with ranges.
func breakingServer(t *testing.T, dir string, most int) (url string, ranges func() int) {
	var mu sync.Mutex
	count := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(r.URL.Path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		from := 0
		if v := r.Header.Get("Range"); v != "" {
			from, _ = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(v, "bytes="), "-"))
			w.Header().Set("Content-Range", "bytes "+strconv.Itoa(from)+"-"+strconv.Itoa(len(data)-1)+"/"+strconv.Itoa(len(data)))
			w.Header().Set("Content-Length", strconv.Itoa(len(data)-from))
			w.WriteHeader(http.StatusPartialContent)
			mu.Lock()
			count++
			mu.Unlock()
		} else {
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		}
		w.Write(data[from:min(len(data), from+most)])
	}))
	t.Cleanup(s.Close)
	return s.URL, func() int { mu.Lock(); defer mu.Unlock(); return count }
}

func TestDownloadGoesOn(t *testing.T) {
	v := newVersion(t, 2, "skerry")
	data := bytes.Repeat([]byte("0123456789abcdef"), 20<<10) // 320 KB
	sum := sha256.Sum256(data)
	v.manifest.Files[0] = manifest.Entry{Name: "skerry", Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:]), Executable: true}
	v.files["skerry"] = data
	write(t, filepath.Join(v.dir, "skerry"), data)
	text, err := json.Marshal(v.manifest)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(v.dir, manifest.File), text)

	url, ranges := breakingServer(t, v.dir, 100<<10)
	src, err := NewSource(url+"/"+manifest.File, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	src.(*webSource).opt.Pause = 1 // nanosecond
	got, signature, err := src.Manifest(t.Context())
	if err != nil || !bytes.Equal(got, text) || len(signature) != 0 {
		t.Fatalf("%q, %q, %v", got, signature, err)
	}
	d, u := newReal(t, newVersion(t, 1, "skerry"))
	if _, err := u.Apply(t.Context(), v.manifest, src, nil); err != nil {
		t.Fatal(err)
	}
	if ranges() != 3 {
		t.Errorf("%d ranges were asked for", ranges())
	}
	if s, _ := restart(t, d, u); s.Phase != OnTrial {
		t.Errorf("phase %s", s.Phase)
	}
	if _, _, err := (&webSource{src.(*webSource).base.JoinPath("nowhere"), src.(*webSource).opt}).Manifest(t.Context()); err == nil || strings.Contains(err.Error(), "model") {
		t.Errorf("an address without an update: %v", err)
	}
}

// A signed update from a directory, as of a USB stick, is opened and applied; what it was
// made after has passed from then on, though the clock stands in the past, and it is not
// taken again.
func TestSignedUpdate(t *testing.T) {
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(v *version) Source {
		text, err := json.Marshal(v.manifest)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(v.dir, manifest.File), text)
		write(t, filepath.Join(v.dir, manifest.SignatureFile), minisign.Sign(private, text))
		src, err := NewSource(filepath.Join(v.dir, manifest.File), "")
		if err != nil {
			t.Fatal(err)
		}
		return src
	}
	d, u := newReal(t, newVersion(t, 1, "skerry"))
	policy := manifest.Policy{Keys: []string{public.String()}, Kind: manifest.Program, Board: "pi", Arch: "arm64", Now: time.Unix(0, 0)}
	src := sign(newVersion(t, 2, "skerry"))
	m, err := u.Open(t.Context(), src, policy)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Apply(t.Context(), m, src, nil); err != nil {
		t.Fatal(err)
	}
	restart(t, d, u)
	if err := u.Keep(); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Open(t.Context(), src, policy); !errors.Is(err, &manifest.Refusal{Reason: manifest.Installed}) {
		t.Errorf("the same again: %v", err)
	}
	third := newVersion(t, 3, "skerry")
	third.manifest.Created, third.manifest.Expires = m.Created.AddDate(-1, 0, 0), m.Created
	if _, err := u.Open(t.Context(), sign(third), policy); !errors.Is(err, &manifest.Refusal{Reason: manifest.Expired}) {
		t.Errorf("one that expired before the last one was made: %v", err)
	}
	os.Remove(filepath.Join(third.dir, manifest.SignatureFile))
	if _, err := u.Open(t.Context(), directorySource(third.dir), policy); !errors.Is(err, &manifest.Refusal{Reason: manifest.Unsigned}) {
		t.Errorf("without a signature: %v", err)
	}
}

// A record that a damaged disk has made unreadable is no reason not to start.
func TestDamagedRecord(t *testing.T) {
	d, u := newReal(t, newVersion(t, 1, "skerry"))
	write(t, u.path, []byte(`{"format":1,"phase":"tri`))
	s, r := restart(t, d, u)
	if s.Phase != Idle || r.Slot != A || s.Last == nil || !strings.Contains(s.Last.Reason, "could not be read") {
		t.Errorf("%+v, %+v", s, r)
	}
	if err := apply(t, u, newVersion(t, 2, "skerry")); err != nil {
		t.Error(err)
	}
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte(`{"format":1,"phase":"trial","target":"b","slots":{"b":{"version":"1.2.3","whole":true}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := parseState(text); err == nil && s.Phase != Idle && !s.Target.valid() {
			t.Fatalf("phase %s of slot %q", s.Phase, s.Target)
		}
	})
}
