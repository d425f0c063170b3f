package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every client has a script that parses, packages whose versions are pinned, and a name of
// its own.
func TestClientsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range clients {
		if seen[c.name] {
			t.Errorf("%s is there twice", c.name)
		}
		seen[c.name] = true
		text, err := files.ReadFile(c.kind + "/" + c.script)
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.Contains(string(text), "run(") && !strings.Contains(string(text), "runSDK(") {
			t.Errorf("%s does no task", c.script)
		}
		pin := map[string]string{python: "==", npm: "@"}[c.kind]
		for _, p := range c.packages {
			if i := strings.LastIndex(p, pin); i <= 0 || !strings.ContainsAny(p[i:], "0123456789") {
				t.Errorf("%s: %q is not pinned", c.name, p)
			}
		}
		pins, err := files.ReadFile(python + "/" + c.name + ".txt")
		if c.kind != python || err != nil {
			continue
		}
		for _, p := range c.packages { // an extra has no line of its own
			name, version, _ := strings.Cut(p, "==")
			name, _, _ = strings.Cut(name, "[")
			if !strings.Contains("\n"+string(pins), "\n"+name+"=="+version+"\n") {
				t.Errorf("%s.txt does not have %s", c.name, p)
			}
		}
		for line := range strings.Lines(string(pins)) {
			if !strings.Contains(line, "==") {
				t.Errorf("%s.txt: %q is not pinned", c.name, line)
			}
		}
	}
}

func TestScriptsParse(t *testing.T) {
	for kind, c := range map[string][]string{
		python: {"python3", "-c", "import ast, sys\nfor f in sys.argv[1:]: ast.parse(open(f).read(), f)"},
		npm:    {"node", "--check"},
	} {
		t.Run(kind, func(t *testing.T) {
			if _, err := exec.LookPath(c[0]); err != nil {
				t.Skipf("there is no %s", c[0])
			}
			dir := t.TempDir()
			if err := unpack(kind, dir); err != nil {
				t.Fatal(err)
			}
			scripts, err := filepath.Glob(filepath.Join(dir, map[string]string{python: "*.py", npm: "*.mjs"}[kind]))
			if err != nil || len(scripts) < 5 {
				t.Fatalf("%q, %v", scripts, err)
			}
			runs := [][]string{scripts}
			if kind == npm { // it checks one at a time
				runs = nil
				for _, s := range scripts {
					runs = append(runs, []string{s})
				}
			}
			for _, list := range runs {
				if out, err := exec.Command(c[0], append(slices.Clone(c[1:]), list...)...).CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}
		})
	}
}

func TestTable(t *testing.T) {
	got := table("m", []row{
		{client: client{name: "a"}, results: map[string]string{"list": "ok", "chat": "FAILED", "stream": "none"}, lines: []string{"ok list 1.0 s", "FAILED chat: why"}},
		{client: client{name: "b", packages: []string{"b==1.2"}}, skipped: "it is gone"},
	})
	for _, want := range []string{"client  list", "a       ok       FAILED   -", "b 1.2", "a: FAILED chat: why", "b was skipped: it is gone", "1 tasks on m went well, 1 failed, 1 clients were skipped"} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
}

func TestChoose(t *testing.T) {
	if some, err := choose("ollama,openai"); err != nil || len(some) != 2 || some[0].name != "ollama" {
		t.Errorf("%v, %v", some, err)
	}
	if _, err := choose("nobody"); err == nil || !strings.Contains(err.Error(), "openai") {
		t.Errorf("a client that there is not: %v", err)
	}
}

// A client that cannot be had is skipped with what to do, which is no failure; the table is
// written as far as a run comes.
func TestSkipped(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // with neither python3 nor node
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"data": [{"id": "m"}]}`)
	}))
	defer server.Close()

	out := filepath.Join(t.TempDir(), "clients.txt")
	failed, err := run(t.Context(), "", "", server.URL, "openai,openai-js", out)
	if failed != 0 || err != nil {
		t.Errorf("%d failed, %v", failed, err)
	}
	text, err := os.ReadFile(out)
	for _, want := range []string{"openai was skipped: there is no python3 (on Debian: apt", "openai-js was skipped: there is no node (on Debian: apt", "0 failed, 2 clients were skipped"} {
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%v: there is no %q in\n%s", err, want, text)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := &harness{url: server.URL, model: "m", work: t.TempDir(), cache: t.TempDir()}
	cancel()
	if _, err := h.all(ctx, clients, ""); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "openai") {
		t.Errorf("a run that is interrupted: %v", err)
	}
}

func TestCause(t *testing.T) {
	long := strings.Repeat("at a place\n", 100)
	for out, want := range map[string]string{
		"npm warn old\nnpm error code EBADENGINE\nnpm error notsup Required: node 22\nnpm error " + long: "code EBADENGINE notsup Required: node 22 at a place",
		long + "WARNING: Retrying\nERROR: No matching distribution found for a==1\n":                     "No matching distribution found for a==1",
		long + "Error: there is no ensurepip":                                                            "…",
	} {
		if got := cause(out); !strings.HasPrefix(got, want) || len(got) > 310 {
			t.Errorf("%q", got)
		}
	}
}
