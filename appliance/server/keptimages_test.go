package server

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/infer/picture"
	"skerry/appliance/status"
)

// seeingWorld is a world whose model reads images, and keeping has a core keep them in a directory.
func seeingWorld() *world {
	w := newWorld()
	w.pictures = &pictures{}
	return w
}

func keeping(dir string) func(*Options) {
	return func(o *Options) { o.Images = picture.NewStore(dir) }
}

// looking is a question with an image, that follows on so many messages of a session.
func looking(session, question, image string, n int) infer.Request {
	r := after(session, question, n)
	r.Messages[0].Images = []infer.Image{show(0, image)}
	return r
}

// lastPrompt is the last prompt that was computed, with its images as their letter in brackets.
func (w *world) lastPrompt() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, id := range w.prompts[len(w.prompts)-1] {
		switch {
		case id >= 1<<30+1000:
			b.WriteString("]")
		case id >= 1<<30:
			b.WriteString("[" + string(rune(id-1<<30)))
		default:
			b.WriteByte(byte(id))
		}
	}
	return b.String()
}

// files are how many images lie below a directory.
func files(t *testing.T, dir string) int {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// An image of a session is seen in what is asked on, in another process too; one that is edited
// away, or whose session is deleted, is gone from the disk.
func TestImagesAreKeptWithTheirSession(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	synctest.Test(t, func(t *testing.T) {
		w, j := seeingWorld(), newNotes()
		c := begin(w, j, keeping(dir))
		ready(t, c)
		listen(t, ask(t, c, looking("s", "what", "x", -1)), 0, 0)
		listen(t, ask(t, c, after("s", "and", -1)), 0, 0)
		if got := w.lastPrompt(); !strings.HasPrefix(got, "[x]what\n") || !strings.HasSuffix(got, "and\n") {
			t.Errorf("asked on with %q", got)
		}
		if v, err := c.Conversation(infer.By{}, "s"); err != nil || len(v.Messages[0].Images) != 1 || v.Messages[0].Images[0].Sum == "" || v.Messages[0].Images[0].Data != nil {
			t.Errorf("%+v %v", v.Messages, err)
		}
		if w.pictures.used != 0 {
			t.Errorf("%d images are still used", w.pictures.used)
		}
		stop(t, c)

		w = seeingWorld()
		c = begin(w, j.crash(0), keeping(dir))
		ready(t, c)
		listen(t, ask(t, c, looking("s", "now", "y", -1)), 0, 0)
		if got := w.lastPrompt(); !strings.HasPrefix(got, "[x]what\n") || !strings.Contains(got, "[y]now\n") {
			t.Errorf("asked on in another process with %q", got)
		}
		sum := infer.ImageSums(looking("", "", "y", 0).Messages)[0].Images[0].Sum
		if data, err := c.SessionImage(infer.By{}, "s", sum); err != nil || string(data) != "y" {
			t.Errorf("%q %v", data, err)
		}
		_, err := c.SessionImage(infer.By{Owner: "guest"}, "s", sum)
		wantCode(t, err, infer.Forbidden, "another key's")
		if n := files(t, dir); n != 2 {
			t.Errorf("%d images are on the disk", n)
		}
		listen(t, ask(t, c, after("s", "other", 2)), 0, 0) // in place of "and", "now" and the second image
		if n := files(t, dir); n != 1 {
			t.Errorf("after an edit %d images are on the disk", n)
		}
		if err := c.Forget(infer.By{}, "s"); err != nil {
			t.Fatal(err)
		}
		stop(t, c)
	})
	// Forgetting the files is for whoever owns the directory, as of the cached prefixes.
	if err := picture.NewStore(dir).Forget("s"); err != nil || files(t, dir) != 0 {
		t.Errorf("%d images are left, %v", files(t, dir), err)
	}
}

// An answer to an image that a restart has cut goes on as it would have, with the image there.
func TestImagesAfterARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	synctest.Test(t, func(t *testing.T) {
		question := looking("s", "what", "x", -1)
		question.MaxTokens = 40
		alone := question
		alone.Session, alone.After = "", nil
		c := begin(seeingWorld(), nil)
		ready(t, c)
		want := listen(t, ask(t, c, alone), 0, 0).text
		stop(t, c)

		j := newNotes()
		c = begin(seeingWorld(), j, keeping(dir))
		ready(t, c)
		listen(t, ask(t, c, question), 0, 13)
		left := j.crash(0)
		stop(t, c)

		w := seeingWorld()
		c = begin(w, left.crash(0), keeping(dir))
		ready(t, c)
		a, err := c.Follow(t.Context(), infer.Following{Session: "s"})
		if err != nil {
			t.Fatal(err)
		}
		if w.pictures.used != 1 {
			t.Errorf("%d images are used while the answer goes on", w.pictures.used)
		}
		if got := listen(t, a, 0, 0); got.text != want || got.end.Finish != infer.Length {
			t.Errorf("%q (%s), want %q", got.text, got.end.Finish, want)
		}
		stop(t, c)
		if w.pictures.used != 0 {
			t.Errorf("%d images are still used", w.pictures.used)
		}

		// A model that reads no images any more does not go on as if there were none.
		c = begin(newWorld(), left.crash(0), keeping(dir))
		ready(t, c)
		_, err = c.Follow(t.Context(), infer.Following{Session: "s"})
		wantCode(t, err, infer.BadRequest, "begin another session")
		_, err = c.Ask(t.Context(), after("s", "and", 1))
		wantCode(t, err, infer.BadRequest, "ask a model that has, as the conversation has an image")
		stop(t, c)

		// Nor does one whose projector is another, by which the image has other rows.
		c = begin(seeingWorld(), left.crash(0), keeping(dir))
		ready(t, c)
		c.mu.Lock()
		c.main().model.Images = slowPictures{closed()}
		c.mu.Unlock()
		_, err = c.Follow(t.Context(), infer.Following{Session: "s"})
		wantCode(t, err, infer.BadRequest, "by another projector: ask that anew")
		stop(t, c)

		// Nor does one whose image is lost, and it says so of what is asked on as well.
		for _, damage := range []func(path string) error{os.Remove, func(path string) error { return os.WriteFile(path, []byte("z"), 0o600) }} {
			all, err := filepath.Glob(filepath.Join(dir, "*", "*"))
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
			good, err := os.ReadFile(all[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(all[0]); err != nil {
				t.Fatal(err)
			}
			c = begin(seeingWorld(), left.crash(0), keeping(dir))
			ready(t, c)
			_, err = c.Follow(t.Context(), infer.Following{Session: "s"})
			wantCode(t, err, infer.NoSession, "image 1 of message 1 of session s is not kept any more")
			_, err = c.Ask(t.Context(), after("s", "and", 1))
			wantCode(t, err, infer.NoSession, "begin another session")
			stop(t, c)
			if err := os.WriteFile(all[0], good, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// refusing keeps nothing.
type refusing struct{ ImageStore }

func (refusing) Keep(string, map[string][]byte, bool) error { return picture.ErrFull }
func (refusing) Tidy(func() []string) error                 { return nil }

// Where there is no place for an image its session is refused, and an answer whose session nobody
// has named is given without it.
func TestNoPlaceForImages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := seeingWorld()
		c := begin(w, newNotes(), func(o *Options) { o.Images = refusing{} })
		ready(t, c)
		_, err := c.Ask(t.Context(), looking("s", "what", "x", -1))
		wantCode(t, err, infer.BadRequest, "session s: there is no place for the image")
		r := looking("s", "what", "x", -1)
		r.Unnamed = true
		a := ask(t, c, r)
		if a.Session() != "" || listen(t, a, 0, 0).end.Finish != infer.Length {
			t.Errorf("session %q", a.Session())
		}
		if w.pictures.used != 0 || len(slices.DeleteFunc(sessionsOf(c), func(s status.Session) bool { return s.ID != "s" })) != 0 {
			t.Errorf("%d images are used, sessions %+v", w.pictures.used, sessionsOf(c))
		}
		stop(t, c)
	})
}

// dropping is a store whose session another answer ends in just after an image was kept.
type dropping struct {
	*picture.Store
	dropped bool
}

func (d *dropping) Keep(session string, images map[string][]byte, unnamed bool) error {
	err := d.Store.Keep(session, images, unnamed)
	if !d.dropped {
		d.dropped, err = true, errors.Join(err, d.Retain(session, nil))
	}
	return err
}

// An image is there once its answer is, whoever else has just ended in the session.
func TestImagesBesideAnotherAnswer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	synctest.Test(t, func(t *testing.T) {
		w := seeingWorld()
		c := begin(w, newNotes(), func(o *Options) { o.Images = &dropping{Store: picture.NewStore(dir)} })
		ready(t, c)
		r := looking("s", "what", "x", -1)
		r.Unnamed = true
		listen(t, ask(t, c, r), 0, 0)
		listen(t, ask(t, c, after("s", "and", -1)), 0, 0)
		if got := w.lastPrompt(); !strings.HasPrefix(got, "[x]what\n") {
			t.Errorf("asked on with %q", got)
		}
		stop(t, c)
	})
}

// full is a store that has place once it was tidied.
type full struct {
	*picture.Store
	tidied bool
}

func (f *full) Tidy(sessions func() []string) error {
	f.tidied = true
	return f.Store.Tidy(sessions)
}

func (f *full) Keep(session string, images map[string][]byte, unnamed bool) error {
	if !f.tidied {
		return picture.ErrFull
	}
	return f.Store.Keep(session, images, unnamed)
}

// Images of sessions that have expired are deleted by the next process, however shortly it lives,
// and before another's are refused for want of place.
func TestImagesOfExpiredSessions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "images")
	store := picture.NewStore(dir)
	sum := infer.ImageSums(looking("", "", "x", 0).Messages)[0].Images[0].Sum
	if err := store.Keep("expired", map[string][]byte{sum: []byte("x")}, false); err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	long := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) // the bubble's clock begins in 2000
	if err := os.Chtimes(all[0], long, long); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		f := &full{Store: store}
		c := begin(seeingWorld(), newNotes(), func(o *Options) { o.Images = f })
		ready(t, c)
		synctest.Wait()
		if n := files(t, dir); n != 0 {
			t.Errorf("%d images are left", n)
		}
		f.tidied = false
		listen(t, ask(t, c, looking("s", "what", "x", -1)), 0, 0)
		if n := files(t, dir); n != 1 {
			t.Errorf("%d images are kept", n)
		}
		stop(t, c)
	})
}
