package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/config"
	"skerry/appliance/httpd"
	"skerry/appliance/status"
	"skerry/cloudlink/trust"
	"skerry/storage"
)

// planted are secrets by what they are, and state and configuration that hold them.
type planted struct {
	dir, config string
	secrets     map[string]string
}

func (p *planted) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// key plants a private key, as a file has it.
func (p *planted) key(t *testing.T, what string) string {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	p.secrets[what] = base64.StdEncoding.EncodeToString(der)[:60]
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func plant(t *testing.T) *planted {
	t.Helper()
	p := &planted{dir: t.TempDir(), secrets: map[string]string{
		"prompt": plantedPrompt, "session's name": "zq-session-of-mine", "client's name": "zq-client-of-mine",
		"ticket": "zq-ticket-0123456789", "comment": "zq-comment-hunter2", "password of a proxy": "zq-proxy-pw",
		"bearer": "zqBearer0123456789abcdef", "key in a log": "sk-skerry-zqLoggedKey0123456789",
	}}
	keys, err := httpd.OpenKeys(p.dir, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if p.secrets["API key"], err = keys.New("laptop"); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(keys.Path())
	if err != nil {
		t.Fatal(err)
	}
	p.secrets["hash of an API key"] = hashIn(t, file)
	p.file(t, "device-0123456789ab.key", p.key(t, "device key"))
	p.file(t, "enrolment.json", `{"device":"pi","key":"device-0123456789ab.key","clouds":["c:1"],"certificate":"zq-not-pem"}`)
	p.file(t, "dev/key.pem", p.key(t, "development key"))
	p.file(t, "pki/server.pem", p.key(t, "certificate's key"))
	p.config = p.file(t, "skerry.toml", "# my password is zq-comment-hunter2\nname = \"shed\"\n[tls]\ncert = \""+filepath.Join(p.dir, "pki/server.pem")+"\"\nkey = \""+filepath.Join(p.dir, "pki/server.pem")+"\"\n")
	db, err := storage.Open(config.DatabasePath(p.dir), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.CreateSession(storage.SessionMeta{ID: p.secrets["session's name"], Options: []byte(`{"messages":[{"content":"` + plantedPrompt + `"}]}`)})
	if err = errors.Join(err, db.PutTicket("c:1", []byte(p.secrets["ticket"])), db.Close()); err != nil {
		t.Fatal(err)
	}
	return p
}

// hashIn is the longest text of hexadecimal digits or base 64 in a file.
func hashIn(t *testing.T, file []byte) (longest string) {
	t.Helper()
	for _, word := range strings.FieldsFunc(string(file), func(r rune) bool { return strings.ContainsRune("\" \n{}[],:", r) }) {
		_, err := hex.DecodeString(word)
		if err != nil {
			_, err = base64.StdEncoding.DecodeString(word)
		}
		if err == nil && len(word) > len(longest) {
			longest = word
		}
	}
	if len(longest) < 40 {
		t.Fatalf("no hash in %s", file)
	}
	return longest
}

// unpacked is what an archive holds, by the names of its files.
func unpacked(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(h.Name)] = string(data)
	}
}

// Whatever secrets state, configuration, log and status hold, none is in the
// archive, with a daemon and without.
func TestSupportBundleKeepsSecrets(t *testing.T) {
	p := plant(t)
	if !trust.Enrolled(p.dir) {
		t.Fatal("no enrolment was planted")
	}
	d := fakeAt(t, "busy")
	d.change(func(s *status.Status) {
		s.Sessions = append(s.Sessions, status.Session{ID: p.secrets["session's name"], Client: p.secrets["client's name"], State: "decoding"})
		s.Health = append(s.Health, status.Problem{Code: "x", Title: "refused", Text: "the proxy http://me:" + p.secrets["password of a proxy"] + "@proxy:3128 says no"})
	})
	log := slog.New(d.logs)
	log.Warn("refused: Authorization: Bearer "+p.secrets["bearer"], "session", p.secrets["session's name"], "req.client", p.secrets["client's name"])
	log.Warn("no such key "+p.secrets["key in a log"], "ticket", p.secrets["ticket"])
	t.Setenv("SKERRY_STATE", p.dir)
	t.Setenv("HTTPS_PROXY", "http://me:"+p.secrets["password of a proxy"]+"@proxy:3128")
	for name, sock := range map[string]string{"with a daemon": d.sock, "without": p.dir + "/none.sock"} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "b.tar.gz")
			_, said := expect(t, cli.ExitOK, "support-bundle", "-o", out, "--socket", sock, "--config", p.config)
			archive, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if fi, _ := os.Stat(out); fi.Mode().Perm() != 0o600 {
				t.Errorf("the archive may be read by others: %v", fi.Mode())
			}
			files := unpacked(t, archive)
			for name, text := range files {
				if !strings.Contains(said, name) {
					t.Errorf("%s is inside and was not named", name)
				}
				for what, secret := range p.secrets {
					if strings.Contains(text, secret) {
						t.Errorf("%s: the %s is in %s", secret, what, name)
					}
				}
			}
			for _, name := range []string{"doctor.txt", "version.json", "system.txt", "config.toml", "environment.txt", "sizes.txt", "status.txt"} {
				if len(files[name]) < 10 {
					t.Errorf("%s holds %q", name, files[name])
				}
			}
			if !strings.Contains(files["sizes.txt"], "board.db") || !strings.Contains(files["environment.txt"], "HTTPS_PROXY=http://[removed]proxy:3128") {
				t.Errorf("%s\n%s", files["sizes.txt"], files["environment.txt"])
			}
			if sock != d.sock {
				return
			}
			var s status.Status
			if err := json.Unmarshal([]byte(files["status.json"]), &s); err != nil || len(s.Sessions) != 5 || s.Sessions[4].ID != "session-5" {
				t.Errorf("status.json: %v", err)
			}
			for _, line := range []string{"link lost", "session=session-5", "req.client=client-"} {
				if !strings.Contains(files["log.txt"], line) {
					t.Errorf("no %q in the log:\n%s", line, files["log.txt"])
				}
			}
		})
	}
}
