package httpd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestKeyFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	keys, err := OpenKeys(dir, time.Now, quiet)
	if err != nil {
		t.Fatal(err)
	}
	secret := newKey(t, keys, "laptop")
	if !strings.HasPrefix(secret, "sk-skerry-") || len(secret) != len("sk-skerry-")+43 {
		t.Errorf("key %q", secret)
	}
	data, err := os.ReadFile(keys.Path())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), secret) || strings.Contains(string(data), secret[len(prefix):]) {
		t.Error("the file has the secret")
	}
	for _, path := range []string{keys.Path(), keys.Path() + ".lock"} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if _, err := keys.New("laptop"); err == nil || !strings.Contains(err.Error(), "skerry key rm laptop") {
		t.Errorf("a second laptop: %v", err)
	}
	for _, name := range []string{"", "a b", "ä", strings.Repeat("x", 65), "a/b", "a\nb"} {
		if _, err := keys.New(name); err == nil {
			t.Errorf("the name %q is taken", name)
		}
	}
	if err := keys.Remove("phone"); !errors.Is(err, ErrNoKey) {
		t.Errorf("removing what is not there: %v", err)
	}
}

func TestKeyDayOfUse(t *testing.T) {
	now := time.Date(2026, 3, 1, 23, 59, 0, 0, time.UTC)
	dir := t.TempDir()
	keys, err := OpenKeys(dir, func() time.Time { return now }, quiet)
	if err != nil {
		t.Fatal(err)
	}
	secret := newKey(t, keys, "laptop")
	used := func() string {
		t.Helper()
		other, err := OpenKeys(dir, time.Now, quiet)
		if err != nil {
			t.Fatal(err)
		}
		all, err := other.List()
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		return all[0].Used
	}
	if used() != "" {
		t.Errorf("used %s before it is", used())
	}
	keys.Authenticate(secret + "x")
	if used() != "" {
		t.Errorf("used %s by a wrong key", used())
	}
	keys.Authenticate(secret)
	before, err := os.Stat(keys.Path())
	if err != nil {
		t.Fatal(err)
	}
	keys.Authenticate(secret)
	if after, _ := os.Stat(keys.Path()); !os.SameFile(before, after) || used() != "2026-03-01" {
		t.Errorf("a second use of the day writes; used %s", used())
	}
	now = now.Add(2 * time.Minute)
	if keys.Authenticate(secret); used() != "2026-03-02" {
		t.Errorf("the next day: used %s", used())
	}
}

// Where the file cannot be written requests are served all the same.
func TestKeyReadOnly(t *testing.T) {
	keys := openKeys(t)
	secret := newKey(t, keys, "laptop")
	if err := os.Remove(keys.Path() + ".lock"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(keys.Path()+".lock", 0o700); err != nil {
		t.Fatal(err)
	}
	if key, ok := keys.Authenticate(secret); !ok || key.Name != "laptop" {
		t.Error("refused")
	}
}

func TestKeyFileDamaged(t *testing.T) {
	keys := openKeys(t)
	secret := newKey(t, keys, "laptop")
	if err := os.WriteFile(keys.Path(), []byte(`{"keys": [{"na`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := keys.Authenticate(secret); !ok {
		t.Error("a running daemon forgets its keys when the file is damaged")
	}
	if _, err := keys.New("phone"); err == nil || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("a new key: %v", err)
	}
	if _, err := OpenKeys(filepath.Dir(keys.Path()), time.Now, quiet); err == nil {
		t.Error("a daemon starts with damaged keys")
	}
	if data, _ := os.ReadFile(keys.Path()); string(data) != `{"keys": [{"na` {
		t.Errorf("the damaged file was overwritten: %s", data)
	}
}

// Several processes change the file at once; each has a store of its own here.
func TestKeysTakeTurns(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			keys, err := OpenKeys(dir, time.Now, quiet)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 10 {
				name := fmt.Sprintf("key-%d-%d", p, i)
				secret, err := keys.New(name)
				if err != nil {
					t.Error(err)
					continue
				}
				if got, ok := keys.Authenticate(secret); !ok || got.Name != name {
					t.Errorf("%s is refused", name)
				}
				if i%2 == 1 {
					if err := keys.Remove(name); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	keys, err := OpenKeys(dir, time.Now, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if all, err := keys.List(); err != nil || len(all) != 20 {
		t.Errorf("%d keys, want 20 (%v)", len(all), err)
	}
}

// sudo skerry key new leaves a file that the daemon, who owns the directory, reads.
func TestKeysOfRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	const daemon = 12345
	dir := t.TempDir()
	if err := os.Chown(dir, daemon, daemon); err != nil {
		t.Fatal(err)
	}
	keys, err := OpenKeys(dir, time.Now, quiet)
	if err != nil {
		t.Fatal(err)
	}
	newKey(t, keys, "laptop")
	for _, name := range []string{"keys.json", "keys.json.lock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if s := info.Sys().(*syscall.Stat_t); s.Uid != daemon || s.Gid != daemon {
			t.Errorf("%s belongs to %d:%d", name, s.Uid, s.Gid)
		}
	}
}
