package main

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// listed is a package as go list describes it.
type listed struct {
	ImportPath string
	Doc        string
	Name       string
	Imports    []string
	// Of the tests; they keep to the same rules.
	TestImports, XTestImports []string
}

func listPackages(t *testing.T) (packages []listed) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Name,Imports,TestImports,XTestImports", "skerry/...")
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, complaint.String())
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 5 {
		t.Fatalf("go list finds %d packages", len(packages))
	}
	return packages
}

// within says whether path is the package root or below it.
func within(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// importers are the modules that one part of the program alone may know.
var importers = map[string]string{
	"github.com/ollama/ollama":            "skerry/appliance/engine",
	"go.etcd.io/bbolt":                    "skerry/storage",
	"github.com/quic-go/quic-go":          "skerry/cloudlink",
	"periph.io/x":                         "skerry/board",
	"github.com/coreos/go-systemd":        "skerry/systemd",
	"github.com/godbus/dbus":              "skerry/systemd",
	"github.com/nikolalohinski/gonja":     "skerry/appliance/chat",
	"github.com/pelletier/go-toml":        "skerry/appliance/config",
	"github.com/prometheus/client_golang": "skerry/appliance/status/metrics",
	"github.com/goreleaser/nfpm":          "skerry/build/deb",
	"github.com/prometheus/procfs":        "skerry/board",
}

// onlyTests are modules and packages that nothing of the program is linked from.
var onlyTests = []string{
	"testing",
	"github.com/chromedp",
	"github.com/creack/pty",
	"github.com/getkin/kin-openapi",
	"github.com/goreleaser",
	"github.com/rogpeppe/go-internal",
	"github.com/santhosh-tekuri/jsonschema",
	"go.uber.org/goleak",
	"pgregory.net/rapid",
	"skerry/appliance/api/clienttest",
	"skerry/appliance/status/page/pagetest",
	"skerry/appliance/status/statustest",
	"skerry/build",
}

// peers never import one another, nor appliance, which alone puts them together.
var peers = []string{"skerry/storage", "skerry/board", "skerry/cloudlink", "skerry/systemd"}

func broken(from, to string) string {
	for module, owner := range importers {
		if within(to, module) && !within(from, owner) {
			return "only " + owner + " may"
		}
	}
	for _, peer := range peers {
		if !within(from, peer) {
			continue
		}
		if within(to, "skerry/appliance") {
			return peer + " never imports appliance"
		}
		for _, other := range peers {
			if other != peer && within(to, other) {
				return peer + " and " + other + " never import one another"
			}
		}
	}
	return ""
}

func TestImports(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, to := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if rule := broken(p.ImportPath, to); rule != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, to, rule)
			}
		}
	}
}

// linked lists the packages of the program.
func linked(t *testing.T, flags ...string) []string {
	t.Helper()
	args := append([]string{"list", "-deps"}, flags...)
	out, err := exec.Command("go", append(args, "skerry/appliance")...).Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "skerry/appliance/engine") {
		t.Fatalf("no engine among %d packages", len(deps))
	}
	return deps
}

func TestTestsAreNotLinked(t *testing.T) {
	for _, p := range linked(t) {
		if slices.ContainsFunc(onlyTests, func(root string) bool { return within(p, root) }) {
			t.Errorf("the program is linked from %s, which is for tests", p)
		}
	}
}

// With -tags system_llama nothing of the module is compiled in.
func TestSystemLlamaLeavesTheModuleOut(t *testing.T) {
	for _, p := range linked(t, "-tags", "system_llama") {
		if within(p, "github.com/ollama/ollama") {
			t.Errorf("%s is still needed", p)
		}
	}
}

func TestImportRules(t *testing.T) {
	for _, c := range []struct {
		from, to string
		broken   bool
	}{
		{"skerry/appliance", "github.com/ollama/ollama/llama", true},
		{"skerry/appliance/engine", "github.com/ollama/ollama/llama", false},
		{"skerry/cloudlink/partition", "github.com/quic-go/quic-go", false},
		{"skerry/cloudlink/partition", "skerry/appliance/engine", true},
		{"skerry/storage", "skerry/board", true},
		{"skerry/storage", "skerry/storage/journal", false},
		{"skerry/board", "go.etcd.io/bbolt", true},
		{"skerry/appliance", "skerry/storage", false},
		{"skerry/appliance", "github.com/godbus/dbus/v5", true},
		{"skerry/appliance/status/metrics", "github.com/prometheus/client_golang/prometheus", false},
	} {
		if got := broken(c.from, c.to); (got != "") != c.broken {
			t.Errorf("%s imports %s: %q", c.from, c.to, got)
		}
	}
}

func TestPackageComments(t *testing.T) {
	for _, p := range listPackages(t) {
		want := "Package " + p.Name + " "
		if p.Name == "main" {
			want = "Command "
		}
		if !strings.HasPrefix(p.Doc, want) {
			t.Errorf("%s: its package comment is %q, not %q…", p.ImportPath, p.Doc, want)
		}
	}
}
