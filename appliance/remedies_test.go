package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// command is a command line of skerry's in prose: words in lower case, and flags.
var command = regexp.MustCompile("\\bskerry(?:-cloud)?((?: (?:--?[a-z][a-z-]*|[a-z][a-z-]*))+)")

// Every command that an error, a health problem or a help text names is one that
// there is, with the flags that it names.
func TestRemediesExist(t *testing.T) {
	k, err := kong.New(&program{}, modelVars(), groups)
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	check := func(where, text string) {
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(m[1])
			if strings.HasPrefix(m[0], "skerry-cloud") {
				words = append([]string{"cloud"}, words...)
			}
			if !slices.ContainsFunc(k.Model.Children, func(n *kong.Node) bool { return n.Name == words[0] }) {
				continue // a sentence about skerry
			}
			named++
			if wrong := misnamed(k.Model.Node, words); wrong != "" {
				t.Errorf("%s: %q: %s", where, m[0], wrong)
			}
		}
	}
	for _, root := range []string{".", "../cloudlink", "../storage", "../board", "../systemd"} {
		filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for _, s := range literals(t, path) {
				check(path, s)
			}
			return nil
		})
	}
	for _, path := range []string{"../README.md", "../systemd/README.md", "../build/MEASURED.md", "status/health/PROBLEMS.md"} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		check(path, string(b))
	}
	if named < 150 {
		t.Errorf("%d commands found: the pattern no longer finds them", named)
	}
	t.Logf("%d commands", named)
}

// misnamed walks the words of a command line and says which is not there.
func misnamed(n *kong.Node, words []string) string {
	for i, w := range words {
		if strings.HasPrefix(w, "-") {
			if !slices.ContainsFunc(flagsOf(n), func(f *kong.Flag) bool {
				return "--"+f.Name == w || f.Short != 0 && "-"+string(f.Short) == w
			}) && w != "--help" {
				return n.Name + " has no flag " + w
			}
			continue
		}
		next := slices.IndexFunc(n.Children, func(c *kong.Node) bool { return c.Name == w || slices.Contains(c.Aliases, w) })
		switch {
		case next >= 0:
			n = n.Children[next]
		case i > 0 && len(n.Children) > 0 && n.DefaultCmd == nil && !prose[w]:
			return n.Name + " has no command " + w
		default:
			return "" // an argument, or the sentence goes on
		}
	}
	return ""
}

// prose goes on after a command's name.
var prose = map[string]bool{"fetches": true, "and": true, "or": true, "for": true, "with": true, "says": true, "there": true, "commands": true, "on": true, "is": true, "to": true}

// flagsOf are the flags of a command, those above it, and of what it does by default.
func flagsOf(n *kong.Node) (flags []*kong.Flag) {
	for at := n; at != nil; at = at.Parent {
		flags = append(flags, at.Flags...)
	}
	if n.DefaultCmd != nil {
		flags = append(flags, n.DefaultCmd.Flags...)
	}
	return flags
}

// literals are the strings of a Go file.
func literals(t *testing.T, path string) (out []string) {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if s, err := strconv.Unquote(l.Value); err == nil {
				out = append(out, s)
			}
		}
		return true
	})
	return out
}
