package fleet

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"skerry/appliance/update"
	"skerry/appliance/update/install"
	"skerry/appliance/update/manifest"
	"skerry/appliance/update/publish"
	"skerry/build/testleak"
)

func TestMain(m *testing.M) { testleak.Main(m) }

// world is a board with version 1.2.0, and a publisher on the web.
type world struct {
	*Board
	t        *testing.T
	key      publish.Key
	offer    Offer
	now      time.Time
	dir      string // of what is served
	url      string
	broken   atomic.Bool // the web server
	asked    atomic.Int64
	attempts []update.Attempt
}

func newWorld(t *testing.T) *world {
	t.Helper()
	// Noon, by the board's own clock.
	w := &world{t: t, now: time.Date(2030, 1, 2, 12, 0, 0, 0, time.FixedZone("", 2*3600)), dir: t.TempDir()}
	secret := filepath.Join(t.TempDir(), "key")
	public, err := publish.NewKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	if w.key, err = publish.ReadKey(secret, ""); err != nil {
		t.Fatal(err)
	}
	files := http.FileServer(http.Dir(w.dir))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.asked.Add(1); w.broken.Load() {
			http.Error(rw, "broken", http.StatusServiceUnavailable)
			return
		}
		files.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() { http.DefaultClient.CloseIdleConnections(); server.Close() })
	w.url = server.URL + "/{board}"
	base := t.TempDir()
	if err := os.MkdirAll(filepath.Join(base, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", filepath.Join(base, "current")); err != nil {
		t.Fatal(err)
	}
	i, err := install.Find("1.2.0", base)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Updater.Seed(manifest.Version{Major: 1, Minor: 2}, nil); err != nil {
		t.Fatal(err)
	}
	w.Board = &Board{
		Installed: i, Allowed: true, Keys: []string{public},
		Offer: func(context.Context) (Offer, error) { return w.offer, nil },
		Now:   func() time.Time { return w.now },
		Try:   func(a update.Attempt) error { w.attempts = append(w.attempts, a); return nil },
	}
	return w
}

// publish has a version be at the address, signed by key.
func (w *world) publish(minor uint32, key publish.Key) {
	w.t.Helper()
	program := filepath.Join(w.t.TempDir(), "skerry")
	if err := os.WriteFile(program, []byte("program"), 0o755); err != nil {
		w.t.Fatal(err)
	}
	m := manifest.Manifest{Kind: manifest.Program, Version: manifest.Version{Major: 1, Minor: minor}, Board: "any", Arch: runtime.GOARCH,
		Created: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), Expires: time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)}
	if err := publish.Write(w.t.Context(), filepath.Join(w.dir, runtime.GOARCH), "", m, []publish.File{{Name: "skerry", From: program, Executable: true}}, key); err != nil {
		w.t.Fatal(err)
	}
}

// step is one of every five minutes.
func (w *world) step() Report {
	w.t.Helper()
	r, err := w.Step(w.t.Context())
	if err != nil && r.State != Failed {
		w.t.Fatal(err)
	}
	if is := Load(w.Installed); r.State != "" && is != r {
		w.t.Errorf("the file says %+v, not %+v", is, r)
	}
	w.now = w.now.Add(5 * time.Minute)
	return r
}

// begin is a start of the daemon.
func (w *world) begin() {
	w.t.Helper()
	if _, err := w.Installed.Begin(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) want(what string, r Report, s State, reason string) {
	w.t.Helper()
	if r.State != s || !strings.Contains(r.Reason, reason) || strings.Contains(r.Reason, "\n") {
		w.t.Errorf("%s: %+v, want %s and %q", what, r, s, reason)
	}
}

// TestWindow: an update waits for its time, is written and started once within it, and is
// installed once it has proved itself; nothing is fetched before or afterwards.
func TestWindow(t *testing.T) {
	w := newWorld(t)
	w.publish(3, w.key)
	if r := w.step(); r != (Report{}) {
		t.Errorf("without an offer: %+v", r)
	}
	w.offer = Offer{Number: 1, Version: "1.3.0", URL: w.url, From: 23 * 60, Until: 60} // over midnight
	for len(w.attempts) == 0 {
		at := w.now
		if r := w.step(); len(w.attempts) == 0 {
			w.want(at.String(), r, Waiting, "for 23:00")
		} else if w.want(at.String(), r, Trying, ""); at.Hour() != 23 || at.Minute() > 4 {
			t.Fatalf("it was written at %s", at)
		}
		if w.asked.Load() != 0 && len(w.attempts) == 0 || at.Day() > 2 {
			t.Fatalf("asked %d times by %s", w.asked.Load(), at)
		}
	}
	if a := w.attempts[0]; a.Version.String() != "1.3.0" {
		t.Errorf("%+v", a)
	}
	w.begin()
	w.want("on trial", w.step(), Trying, "")
	if err := w.Installed.Keep(); err != nil {
		t.Fatal(err)
	}
	asked := w.asked.Load()
	for range 60 {
		w.want("kept", w.step(), Installed, "")
	}
	if len(w.attempts) != 1 || w.asked.Load() != asked {
		t.Errorf("%d attempts, and it was asked for %d times more", len(w.attempts), w.asked.Load()-asked)
	}
	// Its owner takes it back, and that stands.
	if _, _, err := w.Installed.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.begin()
	w.want("the old one on trial", w.step(), Installed, "")
	if err := w.Installed.Keep(); err != nil {
		t.Fatal(err)
	}
	for range 60 {
		w.want("taken back", w.step(), Refused, "taken back here")
	}
	if len(w.attempts) != 1 {
		t.Errorf("%d attempts after it was taken back", len(w.attempts))
	}
	// A daemon that has just started has not heard of it again yet.
	w.offer.Version = ""
	if r := w.step(); r != (Report{}) || Load(w.Installed).State != Refused {
		t.Errorf("without an offer: %+v, and it is forgotten what became of it", r)
	}
}

// TestDoesNotStick: a version that is given up on trial is not tried again, until the cloud
// offers it anew.
func TestDoesNotStick(t *testing.T) {
	w := newWorld(t)
	w.publish(3, w.key)
	w.offer = Offer{Number: 1, Version: "1.3.0", URL: w.url}
	w.want("at once", w.step(), Trying, "")
	w.begin()
	if err := w.Installed.Fail("it was never ready"); err != nil {
		t.Fatal(err)
	}
	w.begin()
	for range 60 {
		w.want("given up", w.step(), Failed, "it was never ready")
	}
	w.offer.Number = 2
	w.want("offered anew", w.step(), Trying, "")
	if len(w.attempts) != 2 {
		t.Errorf("%d attempts", len(w.attempts))
	}
}

// TestUnreachable: while the publisher is not to be reached it is asked ever more rarely, and
// then the update is taken.
func TestUnreachable(t *testing.T) {
	w := newWorld(t)
	w.publish(3, w.key)
	w.broken.Store(true)
	w.offer = Offer{Number: 1, Version: "1.3.0", URL: w.url}
	last, tries := w.now, 0
	for end := w.now.Add(48 * time.Hour); w.now.Before(end); {
		before, at := w.asked.Load(), w.now
		w.want("broken", w.step(), Failed, "503")
		if w.asked.Load() > before {
			last, tries = at, tries+1
		}
	}
	if tries < 10 || tries > 20 {
		t.Errorf("asked in %d steps of two days", tries)
	}
	w.broken.Store(false)
	for len(w.attempts) == 0 {
		if w.step(); w.now.Sub(last) > longestWait+time.Hour {
			t.Fatalf("%s after it was asked last", w.now.Sub(last))
		}
	}
	w.want("mended", Load(w.Installed), Trying, "")
}

// TestNotThereYet: an update that is offered before it is at the address is taken once it is;
// what is there until then, which runs already, is not taken for it.
func TestNotThereYet(t *testing.T) {
	w := newWorld(t)
	w.publish(2, w.key)
	w.offer = Offer{Number: 1, Version: "1.3.0", URL: w.url}
	w.want("too early", w.step(), Failed, "version 1.2.0 is at the address")
	w.want("still too early", w.step(), Failed, "version 1.2.0 is at the address")
	w.publish(3, w.key)
	for end := w.now.Add(longestWait); len(w.attempts) == 0 && w.now.Before(end); {
		w.step()
	}
	w.want("published", Load(w.Installed), Trying, "")
}

// TestRefused: what the cloud says alone installs nothing.
func TestRefused(t *testing.T) {
	stranger := newWorld(t).key
	for _, c := range []struct {
		what, want string
		change     func(w *world)
	}{
		{"signed by another", "does not trust", func(w *world) { w.publish(3, stranger) }},
		{"older", "older", func(w *world) { w.publish(1, w.key); w.offer.Version = "1.1.0" }},
		{"another version there", "version 1.4.0 is at the address", func(w *world) { w.publish(4, w.key) }},
		{"a path", "no web address", func(w *world) { w.offer.URL = w.dir }},
		{"another scheme", "no web address", func(w *world) { w.offer.URL = "file://" + w.dir }},
		{"not allowed", "update.from_cloud", func(w *world) { w.Allowed = false }},
	} {
		w := newWorld(t)
		w.publish(3, w.key)
		w.offer = Offer{Number: 1, Version: "1.3.0", URL: w.url}
		c.change(w)
		w.want(c.what, w.step(), Refused, c.want)
		asked := w.asked.Load()
		w.want(c.what+", once more", w.step(), Refused, c.want)
		if len(w.attempts) != 0 || w.asked.Load() != asked {
			t.Errorf("%s: %d attempts, asked %d times more", c.what, len(w.attempts), w.asked.Load()-asked)
		}
		s, err := w.Installed.Report()
		if err != nil || s.Next != "" || s.Version != "1.2.0" {
			t.Errorf("%s: %+v, %v", c.what, s, err)
		}
	}
}

// TestUploadUnderWay: a manifest without its own signature is looked at again, less and less
// often, as a new one may be just being uploaded, and is refused at last.
func TestUploadUnderWay(t *testing.T) {
	for what, spoil := range map[string]func(dir string) error{
		"no signature": func(dir string) error { return os.Remove(filepath.Join(dir, manifest.SignatureFile)) },
		"does not belong": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, manifest.File), []byte("{}"), 0o644)
		},
		"cannot be read": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, manifest.SignatureFile), []byte("half"), 0o644)
		},
	} {
		for _, ends := range []bool{true, false} {
			w := newWorld(t)
			w.offer = Offer{Number: 1, Version: "1.3.0", URL: w.url}
			w.publish(3, w.key)
			if err := spoil(filepath.Join(w.dir, runtime.GOARCH)); err != nil {
				t.Fatal(err)
			}
			w.want(what, w.step(), Failed, what)
			if ends {
				w.publish(3, w.key)
				w.want(what+", then whole", w.step(), Trying, "")
				continue
			}
			began := w.now
			for !Load(w.Installed).Final && w.now.Sub(began) < 24*time.Hour {
				w.step()
			}
			w.want(what+", for long", w.step(), Refused, what)
			if asked := w.asked.Load(); asked > 2*(mostUnreadable+1) || w.now.Sub(began) < time.Hour {
				t.Errorf("%s: asked %d times, given up after %v", what, asked, w.now.Sub(began))
			}
		}
	}
}

// TestInterrupted: a power cut while it is written costs the time, not the update.
func TestInterrupted(t *testing.T) {
	w := newWorld(t)
	w.publish(3, w.key)
	w.offer = Offer{Number: 1, Version: "1.3.0", URL: w.url}
	if err := save(w.Installed, Report{Number: 1, Version: "1.3.0", State: Fetching}); err != nil {
		t.Fatal(err)
	}
	w.want("after it", w.step(), Trying, "")
	// And before the start that tries it.
	w.begin()
	if err := w.Installed.Keep(); err != nil {
		t.Fatal(err)
	}
	w.want("kept", w.step(), Installed, "")
}

func TestParseWindow(t *testing.T) {
	for _, s := range []string{"02:00-04:30", "23:15-01:00", ""} {
		from, until, err := ParseWindow(s)
		if got := (Offer{From: from, Until: until}).Window(); err != nil || got != s {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{"2", "02:00", "2:00-4:00", "02:00-24:00", "02:00-02:00", "02:00-04:00-06:00", "a-b"} {
		if _, _, err := ParseWindow(s); err == nil || !strings.Contains(err.Error(), "hh:mm-hh:mm") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"number":1,"version":"1.3.0","state":"failed","reason":"x","tries":3,"next":"2030-01-02T03:04:05Z"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := parse(text); err == nil && r.State == "" {
			t.Fatal("a report without a state")
		}
	})
}
