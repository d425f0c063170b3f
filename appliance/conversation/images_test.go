package conversation

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/admin"
	"skerry/appliance/bundle/bundletest"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
	"skerry/appliance/cli"
	"skerry/appliance/decode"
	"skerry/appliance/engine/gpu"
	"skerry/appliance/infer"
	"skerry/build/testshort"
)

// pictureFile is a file of an image that differs by its shade.
func pictureFile(t *testing.T, path string, shade byte) string {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 50, 40))
	for i := range m.Pix {
		m.Pix[i] = byte(i*7) + shade
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Files of images that a question names are taken out of its words, however a terminal writes them;
// what is no file stays.
func TestPathsInQuestions(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("HOME", dir)
	for _, name := range []string{"a.png", "my photo.JPG", "it's.webp"} {
		pictureFile(t, filepath.Join(dir, name), 0)
	}
	for text, want := range map[string]struct {
		rest  string
		paths []string
	}{
		"what is in ./a.png ?":          {"what is in ?", []string{"./a.png"}},
		"a.png":                         {"", []string{"a.png"}},
		"What is a.png?":                {"What is ?", []string{"a.png"}},
		dir + "/a.png what":             {"what", []string{dir + "/a.png"}},
		"~/a.png and (a.png)":           {"and ()", []string{dir + "/a.png", "a.png"}},
		`compare 'my photo.JPG' a.png`:  {"compare", []string{"my photo.JPG", "a.png"}},
		`my\ photo.JPG: who?`:           {": who?", []string{"my photo.JPG"}},
		`"it's.webp" what?`:             {"what?", []string{"it's.webp"}},
		"convert ./b.png to b.jpg":      {"convert ./b.png to b.jpg", nil},
		"nothing\nat  all":              {"nothing\nat  all", nil},
		"a.png twice a.png":             {"twice", []string{"a.png"}},
		"see https://example.com/a.png": {"see https://example.com/a.png", nil},
		"a.pngx":                        {"a.pngx", nil},
	} {
		rest, paths := pathsIn(text)
		if rest != want.rest || !slices.Equal(paths, want.paths) {
			t.Errorf("%q: %q %q, want %q %q", text, rest, paths, want.rest, want.paths)
		}
	}
}

// seeingDaemon is a daemon whose model reads images, or not.
type seeingDaemon struct {
	silentDaemon
	sees bool
}

func (d *seeingDaemon) Vision(context.Context, string) (bool, error) { return d.sees, nil }

// talking is a conversation with a daemon, and what it has said beside the answers.
func talking(t *testing.T, from backend, f Flags) (c *Conversation, said func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stderr")
	stderr, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stderr.Close() })
	return &Conversation{Flags: f, from: from, model: "tiny", out: &cli.Console{Stderr: stderr}}, func() string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

// A model without a projector is asked about a path as about other words, and says so; an image
// that was asked for is refused.
func TestImagesOfBlindModels(t *testing.T) {
	path := pictureFile(t, filepath.Join(t.TempDir(), "a.png"), 0)
	c, said := talking(t, &seeingDaemon{}, Flags{})
	q, err := c.question(t.Context(), "what is "+path)
	if err != nil || len(q.images) != 0 || q.text != "what is "+path || !strings.Contains(said(), "model tiny reads no images: its bundle has no projector") {
		t.Errorf("%+v %v, said %q", q, err, said())
	}
	c.Image = []string{path}
	if _, err := c.question(t.Context(), "what"); err == nil || !strings.Contains(err.Error(), "model tiny reads no images") || !errors.As(err, new(*cli.CodeError)) {
		t.Error(err)
	}
	if err := c.putImage(t.Context(), path); err != nil || len(c.Image) != 0 {
		t.Errorf("%v, %q is put before the next question", err, c.Image)
	}
}

// An image that cannot be read is refused by its name, and leaves the chat where it was.
func TestUnreadableImages(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.png")
	if err := os.WriteFile(bad, []byte("no image"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, said := talking(t, &seeingDaemon{sees: true}, Flags{})
	for path, want := range map[string]string{bad: "bad.png: the image is none that is known here", filepath.Join(dir, "none.png"): "none.png: no such file"} {
		c.Image = []string{path}
		if _, err := c.question(t.Context(), "what"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err := c.putImage(t.Context(), path); err != nil || len(c.Image) != 0 || !strings.Contains(said(), want) {
			t.Errorf("%v %q, said %q", err, c.Image, said())
		}
	}
	good := pictureFile(t, filepath.Join(dir, "good one.png"), 0)
	if err := c.putImage(t.Context(), good); err != nil || !slices.Equal(c.Image, []string{good}) {
		t.Errorf("%v %q", err, c.Image)
	}
	q, err := c.question(t.Context(), "what")
	if err != nil || len(q.images) != 1 || len(c.Image) != 0 {
		t.Errorf("%+v %v", q, err)
	}
	f := &Flags{Raw: true, Image: []string{good}, Mode: string(decode.Standalone), OnLoss: "alone", Encoding: "f32", Context: 64}
	if _, err := f.options(); err == nil || !strings.Contains(err.Error(), "--raw takes no image") {
		t.Error(err)
	}
}

// A file that a question names is read for who has typed it, who is told; of several lines, which
// may be pasted, and of what came by a pipe none is, and with --raw there is none.
func TestWhoseFilesAreRead(t *testing.T) {
	path := pictureFile(t, filepath.Join(t.TempDir(), "a.png"), 0)
	c, said := talking(t, &seeingDaemon{sees: true}, Flags{})
	if q, err := c.question(t.Context(), "what is "+path); err != nil || len(q.images) != 1 || !strings.Contains(said(), "(with the image "+path+")") {
		t.Errorf("%+v %v, said %q", q, err, said())
	}
	c, said = talking(t, &seeingDaemon{sees: true}, Flags{Image: []string{path}})
	c.Piped = true
	if q, err := c.question(t.Context(), "what is "+path); err != nil || len(q.images) != 1 || q.text != "what is "+path || said() != "" {
		t.Errorf("%+v %v, said %q", q, err, said())
	}
	c, said = talking(t, &seeingDaemon{sees: true}, Flags{})
	pasted := "what went wrong?\nwrote " + path
	if q, err := c.question(t.Context(), pasted); err != nil || len(q.images) != 0 || q.text != pasted || !strings.Contains(said(), "a.png: not read") {
		t.Errorf("%+v %v, said %q", q, err, said())
	}
	c, said = talking(t, &seeingDaemon{sees: true}, Flags{Raw: true})
	if err := c.putImage(t.Context(), path); err != nil || len(c.Image) != 0 || !strings.Contains(said(), "--raw takes no image") {
		t.Errorf("%v %q, said %q", err, c.Image, said())
	}
}

// Half a pair of quotes is a part of the name, and no reason to end.
func TestHalfQuoted(t *testing.T) {
	c, said := talking(t, &seeingDaemon{sees: true}, Flags{})
	for _, path := range []string{`"`, `'`, `"a.png`, `'a.png"`, `a.png'`} {
		if err := c.putImage(t.Context(), path); err != nil || len(c.Image) != 0 || !strings.Contains(said(), "open "+path+": no such file") {
			t.Errorf("%s: %v %q, said %q", path, err, c.Image, said())
		}
	}
}

// An image that the daemon finds too large leaves the chat where it was.
func TestTooLargeForTheDaemon(t *testing.T) {
	if !refused(&admin.Error{Code: "request_too_large", Status: 413}) || refused(&admin.Error{Code: "internal", Status: 500}) {
		t.Error("it ends the chat, or what is worse does not")
	}
}

// The question that a session owes an answer to is the same only with the same images.
func TestSameQuestionWithImages(t *testing.T) {
	one, other := infer.Image{Data: []byte("1")}, infer.Image{Data: []byte("2")}
	asked := infer.ImageSums([]infer.Message{{Role: "user", Content: "q", Images: []infer.Image{one}}})
	d := &silentDaemon{known: admin.Session{Undelivered: true, Unkept: true, Messages: asked}}
	c, _ := talking(t, d, Flags{Session: "s"})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, q := range []struct {
		question
		same bool
	}{{question{"q", []infer.Image{one}}, true}, {question{"q", []infer.Image{other}}, false}, {question{text: "q"}, false}} {
		if _, err := c.ask(ended, q.question); errors.Is(err, errFollowed) != q.same {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// skerry run asks a real model about an image: in words that name it and behind the flag alike, as
// a session that goes on in another process, and otherwise about another image.
func TestRunWithImages(t *testing.T) {
	testshort.Skip(t, "it computes with a model")
	dir := t.TempDir()
	projector := filepath.Join(dir, "mmproj.gguf")
	if err := synth.WriteProjector(t.Context(), synth.TinyProjector("idefics3", 64), projector, 7); err != nil {
		t.Fatal(err)
	}
	b := filepath.Join(dir, "b")
	if _, err := split.Model(t.Context(), bundletest.Synth(t, "tiny-vision", split.TypeQ4_0), b, split.Options{Exits: []int{2, 4}, Type: split.TypeKeep, Projector: projector}); err != nil {
		t.Fatal(err)
	}
	one, other := pictureFile(t, filepath.Join(dir, "one.png"), 0), pictureFile(t, filepath.Join(dir, "other.png"), 99)
	run := func(prompt, session string, images ...string) string {
		t.Helper()
		files := map[string]*os.File{}
		for _, name := range []string{"out", "err"} {
			f, err := os.Create(filepath.Join(t.TempDir(), name))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			files[name] = f
		}
		c, err := New(Flags{Mode: string(decode.Unsplit), OnLoss: "alone", MaxTokens: 12, Seed: 1, IgnoreEnd: true, Image: images, Bundle: b, State: filepath.Join(dir, "state"), Context: 500, Threads: 1,
			GPUFlag: cli.GPUFlag{GPULayers: gpu.Auto}, Session: session, Encoding: "f32", Durability: "auto", Draft: string(infer.DraftOff)}, &cli.Console{Stdout: files["out"], Stderr: files["err"]}, "test")
		if err != nil {
			t.Fatal(err)
		}
		err = c.Open(t.Context())
		if err == nil {
			err = c.Ask(t.Context(), prompt)
		}
		if err := errors.Join(err, c.Close()); err != nil {
			t.Fatal(err)
		}
		said, err := os.ReadFile(files["out"].Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(said)
	}
	seen := run("what is it", "", one)
	if named := run("what is it "+one, ""); named != seen || seen == "" {
		t.Errorf("named in the words it says %q, behind the flag %q", named, seen)
	}
	if run("what is it", "", other) == seen || run("what is it", "") == seen {
		t.Errorf("another image, and none, have it say %q too", seen)
	}
	if kept := run("what is it", "s", one); kept != seen {
		t.Errorf("in a session it says %q, not %q", kept, seen)
	}
	run("what is it", "t", other)
	if after, others := run("and now", "s"), run("and now", "t"); after == others {
		t.Errorf("asked on after either image it says %q", after)
	}
}
