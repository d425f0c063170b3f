package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"skerry/appliance/bundle/fetch"
)

// TestScripts runs testdata/script. Beside testscript's own commands there are
//
//	fails CODE PROGRAM ARGS...   it exits with CODE, prints nothing to stdout
//	                             and one line to stderr, which begins with
//	                             skerry (the model verbs: after their steps)
//	exits CODE PROGRAM ARGS...   it exits with CODE
//	hub                          serve files/ as a model hub, in $SKERRY_HUB
//	flip FILE OFFSET             invert one byte; from the end if negative
//	cut FILE SIZE                truncate
//	patch FILE OLD NEW           replace the first OLD by a NEW as long
//	serve STATE [ARGS...]        start a cloud, at $CLOUD; its log is cloud.log
//	capture NAME                 set a variable to the last line of stdout
//	daemon STATUS | stop | ordered   a fake daemon; see daemonCommand
//
// and $BUNDLE, the default model's, $BIN, where skerry alone is found, and $ROOT,
// the repository. Those that make, fetch or ask a model begin with [short] skip.
func TestScripts(t *testing.T) {
	dir, err := prepared()
	if err != nil {
		t.Fatalf("the default model is neither in the cache nor to be had: %v", err)
	}
	cache, err := fetch.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("skerry")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.RunT(oneByOne{t}, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			for k, v := range map[string]string{
				"BUNDLE": dir, "BIN": filepath.Dir(program), "SKERRY_CACHE": cache, "SKERRY_STATE": os.Getenv("SKERRY_STATE"),
				"SKERRY_KERNELS": os.Getenv("SKERRY_KERNELS"), "ROOT": root,
			} {
				e.Setenv(k, v)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "fails": fails, "hub": hub, "flip": flip, "cut": cut, "patch": patch,
			"serve": serveCloud, "capture": capture, "daemon": daemonCommand, "picture": drawPicture,
		},
	})
}

// oneByOne keeps scripts from running side by side, where computing threads
// starve one another.
type oneByOne struct{ *testing.T }

func (t oneByOne) Parallel()     {}
func (t oneByOne) Verbose() bool { return testing.Verbose() }
func (t oneByOne) Run(name string, f func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { f(oneByOne{t}) })
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if e := (*exec.ExitError)(nil); errors.As(err, &e) {
		code = e.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func fails(ts *testscript.TestScript, neg bool, args []string) {
	exits(ts, neg, args)
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	if stdout != "" {
		ts.Fatalf("stdout is not empty")
	}
	// Long work of the model verbs has named its steps before.
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	last := lines[len(lines)-1]
	if len(lines) > 1 && args[2] != "model" || strings.Count(stderr, "skerry: ") != 1 || !strings.HasPrefix(last, "skerry: ") {
		ts.Fatalf("stderr is not one line of skerry")
	}
}

func hub(ts *testscript.TestScript, neg bool, args []string) {
	root := ts.MkAbs("files")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := filepath.Join(root, filepath.Base(r.URL.Path))
		data, err := os.ReadFile(name)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		sum := sha256.Sum256(data)
		w.Header().Set("Etag", strconv.Quote(hex.EncodeToString(sum[:])))
		http.ServeFile(w, r, name)
	}))
	ts.Defer(s.Close)
	ts.Setenv("SKERRY_HUB", s.URL)
}

// drawPicture writes an image to a file.
func drawPicture(ts *testscript.TestScript, neg bool, args []string) {
	m := image.NewGray(image.Rect(0, 0, 50, 40))
	for i := range m.Pix {
		m.Pix[i] = byte(7 * i)
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(errors.Join(png.Encode(f, m), f.Close()))
}

func flip(ts *testscript.TestScript, neg bool, args []string) {
	edit(ts, args, 2, func(data []byte) []byte {
		at, err := strconv.Atoi(args[1])
		ts.Check(err)
		if at < 0 {
			at += len(data)
		}
		data[at] ^= 0xff
		return data
	})
}

func cut(ts *testscript.TestScript, neg bool, args []string) {
	edit(ts, args, 2, func(data []byte) []byte {
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		return data[:n]
	})
}

func patch(ts *testscript.TestScript, neg bool, args []string) {
	edit(ts, args, 3, func(data []byte) []byte {
		before, after := []byte(args[1]), []byte(args[2])
		if len(before) != len(after) || !bytes.Contains(data, before) {
			ts.Fatalf("%q cannot be patched in", args[2])
		}
		return bytes.Replace(data, before, after, 1)
	})
}

// edit writes the file anew, so that one that shares its content keeps its own.
func edit(ts *testscript.TestScript, args []string, want int, change func([]byte) []byte) {
	if len(args) != want {
		ts.Fatalf("want %d arguments", want)
	}
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	ts.Check(os.Remove(path))
	ts.Check(os.WriteFile(path, change(data), 0o644))
}
