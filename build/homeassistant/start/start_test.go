package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"skerry/build/testleak"
)

// TestMain is the tests; and where the environment says so, the starter itself, or the
// program that it becomes, which says who it is and with what it was started.
func TestMain(m *testing.M) {
	switch os.Getenv("START_TEST") {
	case "starter":
		a, err := newAddOn(os.Args[1:], os.Environ())
		if err == nil {
			a.set("START_TEST=daemon")
			err = a.become()
		}
		panic(err)
	case "daemon":
		dir, _ := os.Getwd()
		groups, _ := os.Getgroups()
		println("uid", os.Getuid(), "gid", os.Getgid(), "groups", len(groups), "in", dir, "args", strings.Join(os.Args[1:], " "))
		os.Exit(0)
	}
	testleak.Main(m)
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		text, want string // settings with spaces between, or a part of the error
		fails      bool
	}{
		{text: `{}`},
		{text: `{"log_level":"debug","model":"","name":null}`, want: "SKERRY_LOG_LEVEL=debug"},
		{text: `{"cloud_address":"cloud.example:7537","threads":2,"cloud_monthly_mb":0}`, want: "SKERRY_CLOUD_ADDRESS=cloud.example:7537 SKERRY_THREADS=2 SKERRY_CLOUD_MONTHLY_MB=0"},
		{text: `{"eager":true,"access_origins":["http://a.example","http://b.example"],"threshold":[0.5,0.75]}`,
			want: "SKERRY_EAGER=true SKERRY_ACCESS_ORIGINS=http://a.example,http://b.example SKERRY_THRESHOLD=0.5,0.75"},
		{text: `{"cloud_code":" ABC DEF ","cloud_may":"hidden"}`},
		{text: ``, want: "no JSON object", fails: true},
		{text: `[]`, want: "no JSON object", fails: true},
		{text: `{"log_level":"info"`, want: "damaged", fails: true},
		{text: `{"log_level":"info"} {}`, want: "something follows", fails: true},
		{text: `{"log_level":"info","log_level":"warn"}`, want: "given twice", fails: true},
		{text: `{"name":"a\nSKERRY_LISTEN=:1"}`, want: "control characters", fails: true},
		{text: `{"log":{"level":"info"}}`, want: "give a text, a number", fails: true},
		{text: `{"access_origins":["http://a.example,http://b.example"]}`, want: "without commas", fails: true},
		{text: `{"access_origins":[["x"]]}`, want: "by itself", fails: true},
		{text: `{"Log":"info"}`, want: "no option has such a name", fails: true},
	} {
		path := filepath.Join(t.TempDir(), "options.json")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		o, err := readOptions(path)
		if c.fails {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.text, err, c.want)
			}
			continue
		}
		if got := strings.Join(o.settings, " "); err != nil || got != c.want {
			t.Errorf("%s: %q %v, want %q", c.text, got, err, c.want)
		}
	}
	if _, err := readOptions(filepath.Join(t.TempDir(), "options.json")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func FuzzOptions(f *testing.F) {
	f.Add([]byte(`{"log_level":"debug","threads":2,"threshold":[0.5],"cloud_code":"A"}`))
	f.Add([]byte(`{"a":{"b":[1]},"c":[[]],"d":1e999}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := parseOptions(data)
		if err != nil {
			return
		}
		for _, s := range o.settings {
			if name, value, ok := strings.Cut(s, "="); !ok || value == "" || strings.ContainsAny(s, "\x00\n") || !strings.HasPrefix(name, "SKERRY_") {
				t.Errorf("%q", s)
			}
		}
	})
}

// trial is an add-on in directories of a test, whose program is imitated: it knows the
// names of keys, and whether a cloud answers.
type trial struct {
	*addOn
	said strings.Builder
	ran  []string
	keys []string
	made int
	away bool
}

func newTrial(t *testing.T, options string) *trial {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "options.json"), []byte(options), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := newAddOn([]string{"65532:65532", "/usr/bin/skerry", "serve"},
		[]string{"SKERRY_STATE=" + filepath.Join(dir, "state"), "SKERRY_CACHE=" + filepath.Join(dir, "cache"), "SKERRY_LOG_LEVEL=warn", "PATH=/bin"})
	if err != nil {
		t.Fatal(err)
	}
	r := &trial{addOn: a}
	a.data, a.out, a.run = dir, &r.said, r.imitated
	return r
}

func (r *trial) imitated(_ context.Context, args ...string) (string, error) {
	line := strings.Join(args, " ")
	r.ran = append(r.ran, line)
	switch {
	case line == "config check":
		if strings.Contains(strings.Join(r.environ, " "), "SKERRY_LOG_LEVEL=loud") {
			return "SKERRY_LOG_LEVEL: log.level is \"loud\"\nconf.d/a.toml:1:1: unknown\n", errors.New("exit status 1")
		}
		return "ok\n", nil
	case line == "config show --json":
		return `{"log.level":{"value":"debug","from":"SKERRY_LOG_LEVEL"},"name":{"from":"default"}}`, nil
	case line == "key ls --json":
		return `[{"name":"` + strings.Join(r.keys, `"},{"name":"`) + `"}]`, nil
	case strings.HasPrefix(line, "key rm "):
		r.keys = slices.DeleteFunc(r.keys, func(k string) bool { return k == args[2] })
		return "", nil
	case line == "key new homeassistant --scope admin --json", line == "key new homeassistant-programs --scope ask --json":
		r.made++
		r.keys = append(r.keys, args[2])
		return fmt.Sprintf(`{"name":"%s","key":"sk-%d"}`, args[2], r.made), nil
	case args[0] == "enroll" && !r.away:
		return "", nil
	}
	return "", errors.New("the cloud does not answer")
}

func (r *trial) start(t *testing.T) (said string, ran []string) {
	t.Helper()
	r.said.Reset()
	r.ran = nil
	if err := r.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r.said.String(), r.ran
}

// TestStarts: the first start makes a key and joins the cloud; the others keep both, and
// make good what was lost.
func TestStarts(t *testing.T) {
	r := newTrial(t, `{"log_level":"debug","cloud_code":"ONE TWO","cloud_may":"text"}`)
	r.away = true
	said, _ := r.start(t)
	if !strings.Contains(said, "key to it is sk-1\n") || !strings.Contains(said, "with the key sk-2\n") || !strings.Contains(said, "could not join the cloud") {
		t.Errorf("the first start says %q", said)
	}
	if !slices.Contains(r.environ, "SKERRY_LOG_LEVEL=debug") || slices.Contains(r.environ, "SKERRY_LOG_LEVEL=warn") || !slices.Contains(r.environ, "PATH=/bin") {
		t.Errorf("the daemon finds %q", r.environ)
	}
	r.away = false
	said, ran := r.start(t)
	if !strings.Contains(said, "has joined") || !slices.Contains(ran, "enroll --may=text -- ONE TWO") {
		t.Errorf("with a cloud it says %q and runs %q", said, ran)
	}
	if said, ran = r.start(t); len(ran) != 4 || !strings.Contains(said, "sk-1\n") || !strings.Contains(said, "sk-2\n") {
		t.Errorf("at the next start it says %q and runs %q", said, ran)
	}
	r.keys = r.keys[1:] // the page's was removed
	if said, _ = r.start(t); !strings.Contains(said, "sk-3\n") || !strings.Contains(said, "sk-2\n") || len(r.keys) != 2 {
		t.Errorf("without its key it says %q, with %q", said, r.keys)
	}
	if err := os.Remove(filepath.Join(r.data, "page-key")); err != nil {
		t.Fatal(err)
	}
	if _, ran = r.start(t); !slices.Contains(ran, "key rm homeassistant") {
		t.Errorf("without the file of its key it runs %q", ran)
	}
	if info, err := os.Stat(filepath.Join(r.data, "page-key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if os.Geteuid() == 0 {
		if info, err := os.Stat(r.state); err != nil || info.Sys().(*syscall.Stat_t).Uid != 65532 {
			t.Errorf("the state is not the daemon's: %v %v", info, err)
		}
	}
}

// TestWrongOptions: nothing is begun where an option is not one that the daemon takes, and
// each that is wrong is named.
func TestWrongOptions(t *testing.T) {
	for options, want := range map[string]string{
		`{"log_level":"loud"}`:               "option log_level: log.level is \"loud\"\nconf.d/a.toml:1:1: unknown",
		`{"log_level":"debug","colour":"x"}`: "option colour: there is no such setting",
		`{"log_level":["a,b"],"X":1}`:        "option \"log_level\": give each value of the list by itself, without commas\noption \"X\": no option has such a name",
	} {
		r := newTrial(t, options)
		if err := r.prepare(t.Context()); err == nil || err.Error() != want || len(r.keys) > 0 {
			t.Errorf("%s: %v, want %s", options, err, want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, args := range [][]string{nil, {"65532:65532"}, {"0:0", "x"}, {"root", "x"}, {"1", "x"}} {
		if _, err := newAddOn(args, []string{"SKERRY_STATE=/s", "SKERRY_CACHE=/c"}); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
	if _, err := newAddOn([]string{"1:1", "x"}, []string{"SKERRY_STATE=/s"}); err == nil || !strings.Contains(err.Error(), "SKERRY_CACHE") {
		t.Error(err)
	}
}

// TestBecomes: the daemon takes the starter's place, with no right but its user's.
func TestBecomes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: only root becomes another user")
	}
	// Where the other user may read and run it.
	dir, err := os.MkdirTemp("/tmp", "skerry-start-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	text, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "program")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(program, text, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "65532:65531", program, "serve", "--mode", "auto")
	cmd.Env = []string{"START_TEST=starter", "SKERRY_STATE=" + dir, "SKERRY_CACHE=" + dir}
	out, err := cmd.CombinedOutput()
	if want := "uid 65532 gid 65531 groups 0 in " + dir + " args serve --mode auto\n"; err != nil || string(out) != want {
		t.Errorf("%v: %s, want %s", err, out, want)
	}
}
