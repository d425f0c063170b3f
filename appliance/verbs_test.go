package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// designed are the verbs that the program is to have.
var designed = []string{
	"serve", "cloud", "run", "status", "ps", "sessions", "model", "link", "bench", "enroll", "key", "console", "update",
	"doctor", "config", "support-bundle", "version", "completion", "man", "metrics",
}

// elsewhere are verbs whose tests are no scripts.
var elsewhere = map[string]string{"serve": "serve_test.go and its like"}

// Every verb that there is has a script that runs it and help with examples that
// fits a terminal; no verb is there that was not designed.
func TestVerbs(t *testing.T) {
	scripts := ""
	names, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		scripts += string(b)
	}
	k, err := kong.New(&cli{}, modelVars(), groups)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range k.Model.Children {
		t.Run(verb.Name, func(t *testing.T) {
			if !slices.Contains(designed, verb.Name) {
				t.Error("it is not among those of the design")
			}
			runs := regexp.MustCompile(`(?m)^(?:(?:exits|fails) \d+ )?skerry ` + regexp.QuoteMeta(verb.Name) + `\b`)
			if !runs.MatchString(scripts) && elsewhere[verb.Name] == "" {
				t.Error("no script runs it")
			}
			if verb.Group == nil {
				t.Error("it is in no group of the help")
			}
			text, _ := expect(t, exitOK, verb.Name, "--help")
			if !strings.Contains(text, "Examples:") || !strings.Contains(text, "skerry "+verb.Name) {
				t.Errorf("its help has no examples:\n%s", text)
			}
			for line := range strings.Lines(text) {
				if len(strings.TrimRight(line, "\n")) > 90 {
					t.Errorf("too wide: %s", line)
				}
			}
		})
	}
}

// Every command that asks the daemon says so alike where there is none.
func TestDaemonVerbsWithoutOne(t *testing.T) {
	t.Setenv("SKERRY_SOCKET", t.TempDir()+"/none.sock")
	for _, args := range [][]string{
		{"status"}, {"status", "--watch"}, {"ps"}, {"sessions"}, {"sessions", "show", "x"}, {"sessions", "rm", "x"}, {"sessions", "export", "x"},
		{"link", "status"}, {"link", "retry"},
	} {
		_, stderr := expect(t, exitDaemon, args...)
		if stderr != "skerry: the daemon is not running: start it with `systemctl start skerry`, or `skerry serve`\n" {
			t.Errorf("%v: %s", args, stderr)
		}
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	table(&b, []string{"NAME", "SIZE", "N"}, []string{"größer", "1.5 MB", "7"}, []string{"a\x1b[2J", "10 kB", "12"}, []string{"", "9 B", "1"})
	want := "NAME      SIZE   N\ngrößer  1.5 MB   7\na?[2J    10 kB  12\n-          9 B   1\n"
	if b.String() != want {
		t.Errorf("%s", b.String())
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"a b c", 3, "a b|c"}, {"", 5, ""}, {"longer than it", 4, "longer|than|it"}, {"über uns", 8, "über uns"}, {"  a\n b ", 80, "a b"},
	} {
		if got := strings.Join(wrap(c.text, c.width), "|"); got != c.want {
			t.Errorf("%q in %d: %q", c.text, c.width, got)
		}
	}
}
