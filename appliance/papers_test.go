package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	testCommand = regexp.MustCompile("go test (\\./[^`)]+)[`)]")
	testPattern = regexp.MustCompile(`-(run|bench) '?([^ ']+)`)
	testFlag    = regexp.MustCompile(` -([a-z]+-[a-z-]+)`)
	makeCommand = regexp.MustCompile("(?m)(?:`|^    )make ([a-z-]+)")
	makeTarget  = regexp.MustCompile(`(?m)^([a-z-]+):`)
)

// Every target of make, test, benchmark and flag of a test that the papers name is one
// that there is.
func TestPapersNameWhatThereIs(t *testing.T) {
	papers, err := filepath.Glob("../*/README.md")
	if err != nil || len(papers) < 4 {
		t.Fatalf("%d papers, %v", len(papers), err)
	}
	papers = append(papers, "../README.md", "engine/README.md", "../build/MEASURED.md", "../build/fleet/README.md")
	var targets []string
	for _, m := range makeTarget.FindAllStringSubmatch(textOf(t, "../Makefile"), -1) {
		targets = append(targets, m[1])
	}
	named := 0
	for _, paper := range papers {
		text := textOf(t, paper)
		for _, m := range makeCommand.FindAllStringSubmatch(text, -1) {
			if named++; !slices.Contains(targets, m[1]) {
				t.Errorf("%s: there is no make %s", paper, m[1])
			}
		}
		for _, m := range testCommand.FindAllStringSubmatch(text, -1) {
			named++
			command := strings.Join(strings.Fields(m[1]), " ")
			if missing := missingIn(t, command); missing != "" {
				t.Errorf("%s: go test %s: there is no %s", paper, command, missing)
			}
		}
	}
	if named < 20 {
		t.Errorf("%d commands were looked at", named)
	}
}

// A function that is named with its file, as `pkg.(*T).F` (`dir/file.go`).
var namedFunction = regexp.MustCompile("`\\w+\\.(?:\\((\\*?\\w+)\\)\\.)?(\\w+)`[\\s(,]+`([^`]+\\.go)`")

// Every function that the guide to the source names with its file is there.
func TestGuideNamesWhatThereIs(t *testing.T) {
	named := namedFunction.FindAllStringSubmatch(textOf(t, "README.md"), -1)
	if len(named) < 25 {
		t.Errorf("%d functions are named", len(named))
	}
	for _, m := range named {
		receiver, function, file := m[1], m[2], m[3]
		declared := "func " + function + "("
		if receiver != "" {
			declared = `func \(\w+ ` + regexp.QuoteMeta(receiver) + `\) ` + function + `\(`
		} else {
			declared = regexp.QuoteMeta(declared)
		}
		if !regexp.MustCompile(declared).MatchString(textOf(t, filepath.Join("..", file))) {
			t.Errorf("%s: no function of %s in %s", m[0], declared, file)
		}
	}
}

// missingIn is what the arguments of a go test name and the package does not have, "" for
// nothing.
func missingIn(t *testing.T, command string) string {
	t.Helper()
	dir, _, _ := strings.Cut(command, " ")
	files, err := filepath.Glob(filepath.Join("..", dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		return "test in " + dir
	}
	var all strings.Builder
	for _, f := range files {
		all.WriteString(textOf(t, f))
	}
	for _, m := range testPattern.FindAllStringSubmatch(command, -1) {
		kind := map[string]string{"run": "(?:Test|Fuzz)", "bench": "Benchmark"}[m[1]]
		for _, name := range strings.Split(strings.Trim(m[2], "^$"), "|") {
			name, _, _ = strings.Cut(name, "/") // subtests are named as they run
			if name == "" || name == "." || strings.EqualFold(name, "xxx") {
				continue // none or all
			}
			if !regexp.MustCompile(`(?m)^func ` + kind + `\w*` + regexp.QuoteMeta(strings.TrimPrefix(name, "Test"))).MatchString(all.String()) {
				return name
			}
		}
	}
	for _, m := range testFlag.FindAllStringSubmatch(command, -1) {
		if !strings.Contains(all.String(), `("`+m[1]+`"`) {
			return "flag -" + m[1]
		}
	}
	return ""
}

func textOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
