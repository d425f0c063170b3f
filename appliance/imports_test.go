package main

import (
	"encoding/json"
	"fmt"
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
	"github.com/ollama/ollama":     "skerry/appliance/engine",
	"go.etcd.io/bbolt":             "skerry/storage",
	"go.etcd.io/etcd":              "skerry/cloudlink/fleet",
	"github.com/quic-go/quic-go":   "skerry/cloudlink/transport",
	"github.com/hashicorp/yamux":   "skerry/cloudlink/transport",
	"periph.io/x":                  "skerry/board",
	"github.com/coreos/go-systemd": "skerry/systemd",
	"github.com/godbus/dbus":       "skerry/systemd",

	"github.com/pelletier/go-toml":        "skerry/appliance/config",
	"github.com/prometheus/client_golang": "skerry/appliance/status/metrics",
	"github.com/goreleaser/nfpm":          "skerry/build/deb",
	"github.com/prometheus/procfs":        "skerry/board",

	"aead.dev/minisign": "skerry/appliance/update",

	// Others see connections as package cloudlink shows them; its tests run over an
	// imitated network.
	"skerry/cloudlink/transport":           "skerry/cloudlink",
	"skerry/appliance/chat/jinja":          "skerry/appliance/chat/template",
	"skerry/cloudlink/session":             "skerry/cloudlink",
	"github.com/quic-go/quic-go/testutils": "skerry/cloudlink",
}

// onlyTests are modules and packages that nothing of the program is linked from.
var onlyTests = []string{
	"testing",
	"github.com/VictoriaMetrics",
	"github.com/chromedp",
	"github.com/compose-spec",
	"github.com/creack/pty",
	"github.com/getkin/kin-openapi",
	"github.com/goreleaser",
	"github.com/rogpeppe/go-internal",
	"github.com/santhosh-tekuri/jsonschema",
	"go.etcd.io/etcd/server",
	"go.uber.org/goleak",
	"pgregory.net/rapid",
	"skerry/appliance/api/clienttest",
	"skerry/appliance/bundle/bundletest",
	"skerry/appliance/httpd/httpdtest",
	"skerry/appliance/node/nodetest",
	"skerry/appliance/status/page/pagetest",
	"skerry/appliance/status/statustest",
	"skerry/build",
	"skerry/cloudlink/fleet/fleettest",
}

// only is what packages, with those below them, may import of the program, their tests
// aside; the most particular entry counts.
var only = map[string][]string{
	"skerry/appliance/infer":           {},
	"skerry/appliance/predict":         {"skerry/appliance/decode/speculate"},
	"skerry/cloudlink/clock":           {},
	"skerry/cloudlink/fleet/place":     {},
	"skerry/cloudlink/partition/fence": {"skerry/cloudlink/wire"},
	"skerry/cloudlink/partition/sched": {},
	"skerry/cloudlink/rank":            {},
	"skerry/cloudlink/session":         {"skerry/cloudlink/hidden", "skerry/cloudlink/internal", "skerry/cloudlink/monitor", "skerry/cloudlink/transport", "skerry/cloudlink/wire"},
	"skerry/appliance/bundle/gguf":     {},
	"skerry/appliance/bundle/synth":    {"skerry/appliance/bundle/gguf", "skerry/appliance/bundle/disk", "skerry/appliance/status"},
	"skerry/appliance/bundle/split":    {"skerry/appliance/bundle", "skerry/appliance/status"},
	"skerry/appliance/bundle/fetch":    {"skerry/appliance/bundle", "skerry/appliance/status"},
	"skerry/appliance/status":          {"skerry/appliance/infer", "skerry/appliance/status"},
	"skerry/appliance/api":             {"skerry/appliance/infer", "skerry/appliance/status", "skerry/appliance/api"},
	"skerry/appliance/admin":           {"skerry/appliance/infer", "skerry/appliance/status"},
	"skerry/appliance/server":          {"skerry/appliance/infer", "skerry/appliance/decode", "skerry/appliance/chat", "skerry/appliance/status"},
	"skerry/appliance/chat":            {"skerry/appliance/infer", "skerry/appliance/chat"},
	"skerry/appliance/chat/grammar":    {"skerry/appliance/infer", "skerry/appliance/chat/grammar", "skerry/appliance/chat/orderedjson"},
	"skerry/appliance/decode":          {"skerry/appliance/infer", "skerry/appliance/engine", "skerry/appliance/decode", "skerry/cloudlink/hidden", "skerry/cloudlink/monitor"},

	"skerry/appliance/decode/speculate":  {},
	"skerry/appliance/update":            {"skerry/appliance/update", "skerry/appliance/bundle", "skerry/appliance/bundle/disk", "skerry/appliance/bundle/fetch"},
	"skerry/appliance/update/verb":       {"skerry/appliance/update", "skerry/appliance/admin", "skerry/appliance/cli", "skerry/appliance/config", "skerry/appliance/status", "skerry/systemd"},
	"skerry/cloudlink/partition/library": {"skerry/cloudlink/wire"},
}

// apart never import each other, their tests aside: a board is put together without a
// cloud's parts, and a cloud without a board's.
var apart = []string{"skerry/appliance/node", "skerry/appliance/cloudnode"}

// together are the commands and benchmarks, which put a board or a cloud together; with
// what is below them.
var together = []string{"skerry/appliance/bench", "skerry/appliance/conversation"}

// peers never import one another, nor appliance, which alone puts them together.
var peers = []string{"skerry/storage", "skerry/board", "skerry/cloudlink", "skerry/systemd"}

func broken(from, to string) string {
	of := "" // the most particular module that holds to
	for module := range importers {
		if within(to, module) && len(module) > len(of) {
			of = module
		}
	}
	if owner := importers[of]; of != "" && !within(from, owner) {
		return "only " + owner + " may"
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

// beyond says which rule of only an import breaks that is not a test's.
func beyond(from, to string) string {
	owner := ""
	for root := range only {
		if within(from, root) && len(root) > len(owner) {
			owner = root
		}
	}
	if owner != "" && within(to, "skerry") && !slices.ContainsFunc(only[owner], func(root string) bool { return within(to, root) }) {
		return owner + " may import nothing of the program but " + fmt.Sprint(only[owner])
	}
	if from != to && slices.Contains(apart, from) && slices.Contains(apart, to) {
		return "a board and a cloud are put together apart"
	}
	for _, whole := range apart {
		if within(to, whole) && !within(from, whole) && !slices.Contains(onlyTests, from) && from != "skerry/appliance" &&
			!slices.ContainsFunc(together, func(root string) bool { return within(from, root) }) {
			return "only the commands and benchmarks put a board or a cloud together"
		}
	}
	if within(from, "skerry/appliance/node") && within(to, "skerry/appliance/cli") {
		return "a board talks to no terminal"
	}
	return ""
}

func TestImports(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, to := range p.Imports {
			if rule := beyond(p.ImportPath, to); rule != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, to, rule)
			}
		}
		for _, to := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if rule := broken(p.ImportPath, to); rule != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, to, rule)
			}
		}
	}
	for _, p := range listPackages(t) {
		tests := slices.Concat(p.TestImports, p.XTestImports)
		if slices.Contains(tests, "pgregory.net/rapid") && !slices.Contains(tests, "skerry/build/testseed") {
			t.Errorf("%s: checks by rapid have another seed each time: import skerry/build/testseed in its tests", p.ImportPath)
		}
	}
	// The token loop asks a cloud through an interface of its own: neither the link nor
	// what the link is made of is linked into it.
	for _, p := range dependencies(t, "skerry/appliance/decode/...") {
		if p == "skerry/cloudlink" || p == "skerry/cloudlink/session" || within(p, "github.com/quic-go/quic-go") {
			t.Errorf("skerry/appliance/decode is linked from %s", p)
		}
	}
}

// linked lists the packages of the program.
func linked(t *testing.T, flags ...string) []string {
	t.Helper()
	return dependencies(t, append(flags, "skerry/appliance")...)
}

// dependencies lists the packages that others are linked from, themselves included. The
// arguments are those of go list.
func dependencies(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-deps"}, args...)...).Output()
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
		{"skerry/cloudlink", "github.com/quic-go/quic-go", true},
		{"skerry/cloudlink", "github.com/hashicorp/yamux", true},
		{"skerry/cloudlink/transport", "github.com/quic-go/quic-go", false},
		{"skerry/cloudlink/partition", "github.com/quic-go/quic-go/testutils/simnet", false},
		{"skerry/appliance", "github.com/quic-go/quic-go/testutils/simnet", true},
		{"skerry/cloudlink/partition", "skerry/cloudlink/transport", false},
		{"skerry/appliance", "skerry/cloudlink/transport", true},
		{"skerry/appliance/decode", "skerry/cloudlink/session", true},
		{"skerry/cloudlink/session", "skerry/cloudlink/hidden", false},
		{"skerry/cloudlink/session", "skerry/cloudlink", true},
		{"skerry/cloudlink/partition", "skerry/appliance/engine", true},
		{"skerry/storage", "skerry/board", true},
		{"skerry/storage", "skerry/storage/journal", false},
		{"skerry/board", "go.etcd.io/bbolt", true},
		{"skerry/appliance", "skerry/storage", false},
		{"skerry/appliance/infer", "skerry/appliance/status", true},
		{"skerry/appliance/infer", "encoding/json", false},
		{"skerry/appliance/status/page", "skerry/appliance/infer", false},
		{"skerry/appliance/server", "skerry/appliance/decode/batch", false},
		{"skerry/appliance/server", "skerry/appliance/engine", true},
		{"skerry/appliance/decode", "skerry/cloudlink", true},
		{"skerry/appliance/chat/tools", "skerry/appliance/chat/grammar/schema", false},
		{"skerry/appliance/chat/grammar/schema", "skerry/appliance/chat/tools", true},
		{"skerry/appliance/server", "skerry/appliance/chat/jinja", true},
		{"skerry/appliance", "github.com/godbus/dbus/v5", true},
		{"skerry/appliance/status/metrics", "github.com/prometheus/client_golang/prometheus", false},
	} {
		if got := broken(c.from, c.to) + beyond(c.from, c.to); (got != "") != c.broken {
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
