package fleet

import (
	"archive/zip"
	"bytes"

	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The image of etcd is the version that workers are built and tested with.
func TestEtcdVersion(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`go\.etcd\.io/etcd/client/v3 (v\S+)`).FindSubmatch(mod)
	if m == nil {
		t.Fatal("go.mod has no client of etcd")
	}
	for _, name := range []string{"compose.yaml", "kubernetes.yaml"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, image := range regexp.MustCompile(`etcd:(v[\d.]+)`).FindAllSubmatch(text, -1) {
			if !bytes.Equal(image[1], m[1]) {
				t.Errorf("%s has etcd %s, go.mod %s", name, image[1], m[1])
			}
		}
	}
}

// A compose file without what it wants says what that is.
func TestComposeWants(t *testing.T) {
	for _, env := range []map[string]string{{"CLOUD_HOST": "a"}, {"BUNDLE": "/b"}} {
		if _, err := Compose(".", env); err == nil || !strings.Contains(err.Error(), "in .env") {
			t.Errorf("%v: %v", env, err)
		}
	}
}

// The published schemas of Kubernetes, as a package carries them.
const (
	schemas    = "kubernetes-validate==1.37.0"
	schemasSum = "sha256:85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9"
)

// loader reads schemas out of the package.
type loader struct {
	*zip.Reader
	dir string
}

func (l loader) Load(url string) (any, error) {
	f, err := l.Open(l.dir + filepath.Base(url))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return jsonschema.UnmarshalJSON(f)
}

// Every object of the manifest has what Kubernetes wants of its kind, and nothing that it does not
// know, in an old version and in a new one.
func TestKubernetesSchemas(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	archive := published(t)
	objects, err := documents[map[string]any](".")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"v1.29.0", "v1.37.0"} {
		c := jsonschema.NewCompiler()
		c.UseLoader(loader{archive, "kubernetes_validate/kubernetes-json-schema/" + version + "-local-strict/"})
		for _, o := range objects {
			kind, of := strings.ToLower(o["kind"].(string)), strings.ReplaceAll(o["apiVersion"].(string), "/", "-")
			s, err := c.Compile("file:///" + kind + "-" + of + ".json")
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(o); err != nil {
				t.Errorf("%s: %v", version, err)
			}
		}
		if len(objects) != 9 {
			t.Errorf("%d objects were looked at", len(objects))
		}
		s, err := c.Compile("file:///poddisruptionbudget-policy-v1.json")
		if err != nil {
			t.Fatal(err)
		}
		unknown := map[string]any{"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": map[string]any{"mostUnavailable": 1}}
		if s.Validate(unknown) == nil {
			t.Errorf("%s: what nobody knows is taken", version)
		}
	}
}

// published is the package of schemas, out of the cache once it was fetched.
func published(t *testing.T) *zip.Reader {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "skerry", "kubernetes", schemas)
	find := func() string {
		found, _ := filepath.Glob(filepath.Join(dir, "*.whl"))
		return strings.Join(found, "")
	}
	if find() == "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		wanted := filepath.Join(t.TempDir(), "wanted.txt")
		if err := os.WriteFile(wanted, []byte(schemas+" --hash="+schemasSum+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "python3", "-m", "pip", "-q", "download", "--no-deps", "--require-hashes", "-r", wanted, "-d", dir).CombinedOutput()
		if err != nil {
			t.Skipf("skipped: the schemas of Kubernetes cannot be fetched: %v %s", err, out)
		}
	}
	b, err := os.ReadFile(find())
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}
