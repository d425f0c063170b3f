package config

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/appliance/infer"
)

// The modes are those that the program declares; here some stand for them.
func init() {
	for _, name := range []infer.Mode{"collaborative", "standalone", "unsplit", "cloud-only"} {
		infer.AddMode(infer.ModeInfo{Name: name, Help: "mode " + string(name), Baseline: name == "cloud-only", Served: true})
	}
	infer.AddMode(infer.ModeInfo{Name: "naive", Baseline: true})
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// problems of a document, as they are printed, without the path.
func problems(t *testing.T, text string) []string {
	t.Helper()
	file := write(t, t.TempDir(), "skerry.toml", text)
	_, _, err := Load(Sources{File: file})
	if err == nil {
		return nil
	}
	var all []string
	for _, p := range err.(Problems) {
		all = append(all, strings.TrimPrefix(strings.TrimPrefix(p.String(), file), ":"))
	}
	return all
}

func TestPrecedence(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "skerry.toml", "queue = 1\nthreads = 1\nparallel = 1\ncontext = 100\nmax_tokens = 1\n")
	write(t, dir, "conf.d/10-a.toml", "threads = 2\nparallel = 2\ncontext = 200\nmax_tokens = 2\n")
	second := write(t, dir, "conf.d/20-b.toml", "\nparallel = 3\ncontext = 300\nmax_tokens = 3")
	write(t, dir, "conf.d/30-c.txt", "nonsense")
	write(t, dir, "conf.d/.hidden.toml", "nonsense")
	c, origins, err := Load(Sources{File: file,
		Environ: []string{"SKERRY_CONTEXT=400", "SKERRY_MAX_TOKENS=4", "SKERRY_NAME=", "SKERRY_CLOUD_ADDRESS=c.example:1"},
		Flags:   map[string]string{"max_tokens": "5", "listen": "127.0.0.1:1, [::1]:2"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := []int{c.Queue, c.Threads, c.Parallel, c.Context, c.MaxTokens}, []int{1, 2, 3, 400, 5}; !slices.Equal(got, want) {
		t.Errorf("queue, threads, parallel, context, max_tokens are %v, want %v", got, want)
	}
	if c.Cloud.Address != "c.example:1" || !slices.Equal(c.Listen, []string{"127.0.0.1:1", "[::1]:2"}) {
		t.Errorf("cloud %q, listen %q", c.Cloud.Address, c.Listen)
	}
	from := map[string]string{}
	for _, o := range origins {
		from[o.Key] = o.From
	}
	for key, want := range map[string]string{"queue": file + ":1", "parallel": second + ":2", "context": "SKERRY_CONTEXT",
		"max_tokens": "flag", "name": "default", "cloud.address": "SKERRY_CLOUD_ADDRESS"} {
		if from[key] != want {
			t.Errorf("%s is from %q, want %q", key, from[key], want)
		}
	}
}

func TestFilesMissing(t *testing.T) {
	dir := t.TempDir()
	named := filepath.Join(dir, "absent.toml")
	if _, _, err := Load(Sources{File: named}); err == nil || !strings.Contains(err.Error(), named+": there is no such file") {
		t.Errorf("a named file that is missing: %v", err)
	}
	if _, _, err := Load(Sources{File: dir}); err == nil {
		t.Error("a directory was read")
	}
	big := write(t, dir, "big.toml", "# "+strings.Repeat("x", maxFile))
	if _, _, err := Load(Sources{File: big}); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("a file of more than a megabyte: %v", err)
	}
	if _, err := os.Stat(DefaultFile); err == nil {
		t.Skip(DefaultFile + " is there")
	}
	if c, _, err := Load(Sources{}); err != nil || !reflect.DeepEqual(c, Default()) {
		t.Errorf("without any file: %v, %+v", err, c)
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"unknown key", "# x\n  lisen = [\":1\"]\n", []string{`2:3: unknown key "lisen": did you mean listen?`}},
		{"key of another table", "address = \"a:1\"", []string{`1:1: unknown key "address": did you mean cloud.address?`}},
		{"in a table", "[cloud]\nadress = \"a:1\"", []string{`2:1: unknown key "cloud.adress": did you mean cloud.address?`}},
		{"nothing like it", "zzzzzzzz = 1", []string{`1:1: unknown key "zzzzzzzz" (skerry config default lists all)`}},
		{"unknown table", "[clud]\naddress = 1\n[log]\nlevel = \"loud\"", []string{
			`1:2: unknown table "clud": did you mean cloud?`, `4:1: log.level is "loud": choose debug, info, warn or error`}},
		{"quoted dot", `"cloud.address" = "a:1"`, []string{`1:1: unknown key "\"cloud.address\"": did you mean cloud.address?`}},
		{"types", "queue = \"many\"\nmode = 3\neager = 1\nlisten = \":1\"\ngrace = 10\nprefix_cache = 5\nname = 1979-05-27\nthreshold=[\"x\"]", []string{
			`1:1: queue is "many": write a whole number`,
			`2:1: mode is 3: write a text in quotes`,
			`3:1: eager is 1: write true or false`,
			`4:1: listen is ":1": it must be a list, as [":1"]`,
			`5:1: grace is 10: write a duration with its unit, as "2s", "500ms" or "1h"`,
			`6:1: prefix_cache is 5: write a size with its unit, as "256MB", "1.5GB" or "64MiB"`,
			`7:1: name is a LocalDate: write a text in quotes`,
			`8:1: threshold is "x": write a number`,
		}},
		{"ranges", "queue = -1\nparallel = 65\ngrace = \"1h\"\nprefix_cache = \"2TB\"\nthreshold = [0.5, 3]\nmax_token_latency = \"-1s\"", []string{
			`1:1: queue is -1: choose 0 or more`,
			`2:1: parallel is 65: choose 64 or less`,
			`3:1: grace is "1h": choose 10m or less`,
			`4:1: prefix_cache is "2TB": choose 1TB or less`,
			`5:1: threshold is 3: choose 2 or less`,
			`6:1: max_token_latency is "-1s": choose 0s or more`,
		}},
		{"too many", "threshold = [0.1, 0.2, 0.3]", []string{`1:1: threshold has 3 values: give at most 2`}},
		{"addresses", "listen = [\"127.0.0.1\"]\ncloud.address = \":7\"\naccess.origins = [\"localhost:3000\"]", []string{
			`1:1: listen is "127.0.0.1": give HOST:PORT, as 127.0.0.1:7537, or :7537 for every address`,
			`2:1: cloud.address is ":7": give HOST:PORT, as cloud.example:7537`,
			`3:1: access.origins is "localhost:3000": give SCHEME://HOST[:PORT] and no more, as http://localhost:3000`,
		}},
		{"syntax", "queue = 1\nmode = \n", []string{`2:8: unexpected character`}},
		{"twice", "queue = 1\nqueue = 2\n", []string{`2:1: `}},
		{"table as value", "cloud = 3\n", []string{`1:1: cloud is a table: write [cloud] and its keys below`}},
		{"list of tables", "[[cloud]]\naddress = \"a:1\"\n", []string{`1:3: [[cloud]] is a list: write [cloud]`}},
		{"inline table", `cloud = { address = "a:1", encodin = "f32" }`, []string{`1:28: unknown key "cloud.encodin": did you mean cloud.encoding?`}},
		{"value as table", "[queue]\nx = 1\n", []string{`1:2: unknown table "queue"`}},
		{"control characters", `name = "a\u0007b"`, []string{`1:1: name is "a\ab": leave out control characters`}},
		{"half a certificate", "[tls]\ncert = \"x\"", []string{`2: tls.cert is set and tls.key is not: a certificate needs both`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := problems(t, c.text)
			if len(got) != len(c.want) {
				t.Fatalf("problems:\n%s", strings.Join(got, "\n"))
			}
			for i := range got {
				if !strings.HasPrefix(got[i], c.want[i]) {
					t.Errorf("%s\nwant\n%s", got[i], c.want[i])
				}
			}
		})
	}
}

func TestVariablesAndFlags(t *testing.T) {
	_, _, err := Load(Sources{
		Environ: []string{"SKERRY_LISTN=:1", "SKERRY_THING_OF_OTHERS=1", "SKERRY_QUEUE=many", "SKERRY_KERNELS=x", "HOME=/"},
		Flags:   map[string]string{"grace": "2", "gracee": "2s"}})
	var got []string
	for _, p := range err.(Problems) {
		got = append(got, p.String())
	}
	want := []string{
		"SKERRY_LISTN: no setting has this variable: did you mean SKERRY_LISTEN?",
		`SKERRY_QUEUE: queue is "many": write a whole number`,
		`--grace is "2": write a duration with its unit, as "2s", "500ms" or "1h"`,
		"--set gracee: unknown key: did you mean grace?",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// What config default prints is taken back as it is, and changes nothing.
func TestDefaultRoundTrips(t *testing.T) {
	var b bytes.Buffer
	if err := WriteDefault(&b); err != nil {
		t.Fatal(err)
	}
	file := write(t, t.TempDir(), "skerry.toml", b.String())
	c, origins, err := Load(Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	var again, first bytes.Buffer
	Show(&again, c, make([]Origin, len(origins)))
	Show(&first, Default(), make([]Origin, len(origins)))
	if again.String() != first.String() {
		t.Errorf("defaults\n%s\nread back are\n%s", first.String(), again.String())
	}
	for _, o := range origins {
		if !strings.HasPrefix(o.From, file+":") {
			t.Errorf("%s is from %s", o.Key, o.From)
		}
	}
	for line := range strings.Lines(b.String()) {
		if len(line) > 120 {
			t.Errorf("long line: %s", line)
		}
	}
}

// Every setting has what config default prints of it, and its default is allowed.
func TestSchema(t *testing.T) {
	d := Default()
	seen := map[string]bool{}
	for _, f := range fields {
		if f.tag.Get("help") == "" || f.key == "" || seen[f.key] {
			t.Errorf("%q has no help or is there twice", f.key)
		}
		seen[f.key] = true
		v, elem := f.of(&d), f.typ
		if elem.Kind() == reflect.Slice {
			elem = elem.Elem()
			v = reflect.MakeSlice(f.typ, 1, 1).Index(0)
		}
		if elem.Kind() == reflect.String && f.tag.Get("enum") == "" && checks[f.tag.Get("check")] == nil {
			t.Errorf("%s: no check %q", f.key, f.tag.Get("check"))
		} else if f.typ.Kind() != reflect.Slice {
			if err := f.check(v); err != nil {
				t.Errorf("%s: its default: %v", f.key, err)
			}
		}
		if k := elem.Kind(); (k == reflect.Int || k == reflect.Float64 || k == reflect.Int64) && (!f.bound("min").IsValid() || !f.bound("max").IsValid()) {
			t.Errorf("%s has no bounds", f.key)
		}
	}
}

func TestDiff(t *testing.T) {
	old, now := Default(), Default()
	now.Log.Level, now.Listen, now.Limits.Rate, now.Context = "debug", []string{":1"}, 1, 2048
	got := Diff(old, now)
	if !slices.Equal(got.Live, []string{"limits.rate", "log.level"}) || !slices.Equal(got.Restart, []string{"listen", "context"}) {
		t.Errorf("%+v", got)
	}
	after := Reload(old, now)
	if after.Log.Level != "debug" || after.Limits.Rate != 1 || after.Listen[0] != old.Listen[0] || after.Context != 0 {
		t.Errorf("after a reload: %+v", after)
	}
}

func TestUnits(t *testing.T) {
	for text, want := range map[string]Size{"256MB": 256e6, "1.5gb": 15e8, "64MiB": 64 << 20, "1 KiB": 1024, "7B": 7, "0B": 0} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s is %d, %v", text, s, err)
		}
		var back Size
		if err := back.UnmarshalText([]byte(s.String())); err != nil || back != s {
			t.Errorf("%s prints as %s", text, s)
		}
	}
	for _, text := range []string{"", "MB", "-1MB", "1", "1XB", "1e30GB", "NaNMB", "InfMB", "9223372036854775807B"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %d", text, s)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 24 * time.Hour: "24h", 90 * time.Second: "1m30s", 10 * time.Minute: "10m", time.Hour + time.Second: "1h0m1s", 20 * time.Second: "20s"} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%v prints as %s", d, got)
		}
	}
}

// A variable that means something else already is no setting's.
func TestVariablesAreFree(t *testing.T) {
	for _, f := range fields {
		if slices.Contains(others, f.variable()) {
			t.Errorf("%s of %s is taken", f.variable(), f.key)
		}
	}
}

// What is wrong with a flag names it once.
func TestFlagIsNamedOnce(t *testing.T) {
	_, _, err := Load(Sources{File: "/dev/null", Flags: map[string]string{"parallel": "-1"}})
	if err == nil || err.Error() != "--parallel is -1: choose 0 or more" {
		t.Errorf("%v", err)
	}
	_, _, err = Load(Sources{File: "/dev/null", Environ: []string{"SKERRY_PARALLEL=-1"}})
	if err == nil || err.Error() != "SKERRY_PARALLEL: parallel is -1: choose 0 or more" {
		t.Errorf("%v", err)
	}
}
