package main

import (
	"os"
	"path/filepath"
	"regexp"
	"skerry/appliance/cli"
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
	k, err := kong.New(&program{}, modelVars(), groups)
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
			text, _ := expect(t, cli.ExitOK, verb.Name, "--help")
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
		_, stderr := expect(t, cli.ExitDaemon, args...)
		if stderr != "skerry: the daemon is not running: start it with `systemctl start skerry`, or `skerry serve`\n" {
			t.Errorf("%v: %s", args, stderr)
		}
	}
}
