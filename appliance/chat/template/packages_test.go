package template

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/appliance/infer"
)

// The packages whose templates are rendered, and the Jinja2 they are rendered with. They
// are fetched when the test runs and kept in the user's cache; none of them is part of
// the program.
var (
	jinjaPackage  = "jinja2==3.1.6"
	withTemplates = []string{"llama-cpp-python==0.3.36", "trl==1.16.0"}
	sourcesOnly   = []string{"transformers==5.24.0"}
)

// leastEqual is the share of renderings that must be as Jinja2's.
const leastEqual = 0.97

// Every chat template of the packages, with every conversation of conversations.json,
// is rendered as Jinja2 does it; what Jinja2 does not render fails here as well.
func TestTemplatesOfPackages(t *testing.T) {
	if testing.Short() {
		t.Skip("packages are not fetched in a short run")
	}
	all := renderedByPython(t)
	conversations := map[string]conversation{}
	readJSON(t, "conversations.json", &conversations)
	equal, count := 0, 0
	for _, x := range all {
		if x.Broken != "" {
			if p, err := New(x.Source, "<s>", "</s>"); err == nil && p.Problem() == nil {
				t.Logf("%s: Jinja2 cannot parse it (%s), and here it renders", x.Name, x.Broken)
			}
			continue
		}
		p, err := New(x.Source, "<s>", "</s>")
		if err != nil {
			t.Logf("%s: %v", x.Name, err)
			count += len(x.Rendered)
			continue
		}
		p.now = fixedTime
		for which, want := range x.Rendered {
			c := conversations[which]
			text, err := p.render(c.messages(), c.tools(), true, nil)
			count++
			if sameOutcome(text.String(), err, want) {
				equal++
				continue
			}
			t.Logf("%s, %s: %v\n%s", x.Name, which, err, firstDifference(text.String(), want))
		}
	}
	t.Logf("%d templates: %d of %d renderings are equal, %.2f %%", len(all), equal, count, 100*float64(equal)/float64(count))
	if count == 0 || float64(equal) < leastEqual*float64(count) {
		t.Errorf("less than %.0f %% are equal", 100*leastEqual)
	}
}

// sameOutcome compares with what render.py writes: a text, a refusal in the template's
// own words, or any other failure.
func sameOutcome(text string, err error, want string) bool {
	var e *infer.Error
	if reason, ok := strings.CutPrefix(want, "error: "); ok {
		return errors.As(err, &e) && e.Code == infer.BadRequest && strings.Contains(e.Message, strings.Join(strings.Fields(reason), " "))
	}
	if strings.HasPrefix(want, "fails: ") {
		return errors.As(err, &e) && e.Code == infer.Internal && strings.Contains(e.Message, "line ")
	}
	return err == nil && text == want
}

func firstDifference(got, want string) string {
	n := commonStart(got, want)
	from := max(0, n-40)
	cut := func(s string) string { return s[from:min(len(s), n+80)] }
	return " got … " + strings.ToValidUTF8(cut(got), "?") + "\nwant … " + strings.ToValidUTF8(cut(want), "?")
}

func commonStart(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// fromPackage is a template and what Jinja2 makes of it, by conversation.
type fromPackage struct {
	Name, Source, Broken string
	Rendered             map[string]string
}

// renderedByPython has render.py do it, with Jinja2 and the packages in the user's cache.
func renderedByPython(t *testing.T) []fromPackage {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip("there is no cache to install Jinja2 into:", err)
	}
	dir := filepath.Join(cache, "skerry", "test-templates")
	python := filepath.Join(dir, strings.ReplaceAll(jinjaPackage, "==", "-"), "bin", "python")
	if _, err := os.Stat(python); err != nil {
		output(t, "python3", "-m", "venv", filepath.Dir(filepath.Dir(python)))
	}
	output(t, python, "-m", "pip", "install", "-q", "--disable-pip-version-check", jinjaPackage)
	packages := filepath.Join(dir, strings.NewReplacer("==", "-").Replace(strings.Join(append(withTemplates, sourcesOnly...), "+")))
	if _, err := os.Stat(packages); err != nil {
		fetched := t.TempDir()
		download := []string{"-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "-d", fetched}
		output(t, python, append(download, withTemplates...)...)
		output(t, python, append(append(download, "--no-binary", ":all:"), sourcesOnly...)...)
		if err := os.RemoveAll(packages + ".part"); err != nil {
			t.Skip(err)
		}
		if err := os.CopyFS(packages+".part", os.DirFS(fetched)); err != nil {
			t.Skip(err)
		}
		if err := os.Rename(packages+".part", packages); err != nil {
			t.Skip(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "render.py"), "packages", packages).Output()
	var found struct{ Templates []fromPackage }
	if err == nil {
		err = json.Unmarshal(out, &found)
	}
	if err != nil {
		t.Fatal("render.py:", err)
	}
	return found.Templates
}

// output of a command; the test is skipped where it cannot be had.
func output(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		var exit *exec.ExitError
		why := ""
		if errors.As(err, &exit) {
			why = string(exit.Stderr[max(0, len(exit.Stderr)-500):])
		}
		t.Skipf("Jinja2 or the packages with templates cannot be had: %s: %v: %s", name, err, why)
	}
	return out
}
