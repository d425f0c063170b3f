package main

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// trial is a board in a directory, whose programs are imitated.
type trial struct {
	*board
	ran   []string
	shown string
	fails map[string]string // what a program complains of, by a part of its command line
}

func newTrial(t testing.TB) *trial {
	tr := &trial{board: &board{root: t.TempDir()}, fails: map[string]string{}}
	tr.run = func(_ bool, name string, args ...string) (string, error) {
		line := strings.Join(append([]string{filepath.Base(name)}, args...), " ")
		tr.ran = append(tr.ran, line)
		for part, complaint := range tr.fails {
			if strings.Contains(line, part) {
				return "", errors.New(complaint)
			}
		}
		if strings.Contains(line, "key new") {
			return `{"name":"board","key":"sk-secret","scopes":["admin"]}`, nil
		}
		return "", nil
	}
	tr.show = func(text string) { tr.shown += text }
	if err := os.MkdirAll(tr.path(bootDir), 0o755); err != nil {
		t.Fatal(err)
	}
	return tr
}

// publicKey is one that is whole.
func publicKey() string {
	raw := "\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + strings.Repeat("k", 32)
	return "ssh-ed25519 " + base64.StdEncoding.EncodeToString([]byte(raw)) + " me@laptop"
}

const homeWiFi = "country=DE\nnetwork={\n ssid=\"Home\"\n psk=\"correct horse\"\n}\n"

func TestFirstStart(t *testing.T) {
	b := newTrial(t)
	for name, text := range map[string]string{"skerry.toml": "name = \"kitchen\"\n", "wpa_supplicant.conf": homeWiFi, "authorized_keys": publicKey() + "\n", "enrol.txt": "1AB2C-3DE4F\nmay hidden\n"} {
		put(t, b.path("/boot/"+name), text)
	}
	if err := b.first(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/etc/skerry/conf.d/50-boot.toml":               "kitchen",
		"/etc/wpa_supplicant/wpa_supplicant-wlan0.conf": "ssid=486f6d65",
		"/var/lib/board/ssh/authorized_keys":            publicKey(),
		"/var/lib/board/enrol":                          "1AB2C-3DE4F",
		"/var/lib/board/page-key":                       "sk-secret\n",
	} {
		if text := get(t, b.path(path)); !strings.Contains(text, want) {
			t.Errorf("%s: %s", path, text)
		}
	}
	// Nothing is taken in twice, and the key stays.
	n := len(b.ran)
	if err := b.first(); err != nil || len(b.ran) != n {
		t.Errorf("the second start: %v, %q", err, b.ran[n:])
	}
	// What has changed is.
	put(t, b.path("/boot/skerry.toml"), "name = \"cellar\"\n")
	if err := b.first(); err != nil || !strings.Contains(get(t, b.path("/etc/skerry/conf.d/50-boot.toml")), "cellar") {
		t.Error(err)
	}
}

// A mistake is said in words, where the owner can read them, and what was there before stays.
func TestFirstStartWithMistakes(t *testing.T) {
	b := newTrial(t)
	put(t, b.path("/boot/skerry.toml"), "nmae = 1\n")
	put(t, b.path("/boot/wpa_supplicant.conf"), "network={\n ssid=Home\n}\n")
	put(t, b.path("/boot/authorized_keys"), publicKey())
	b.fails["config check"] = b.path("/run/skerry-boot.toml") + ":1:1: there is no setting nmae: did you mean name?"
	if err := b.first(); err == nil {
		t.Error("no error")
	}
	problem := get(t, b.path("/boot/PROBLEM.txt"))
	for _, want := range []string{"skerry.toml:1:1: there is no setting nmae", "wpa_supplicant.conf: line 2: ssid wants the network's name in quotation marks"} {
		if !strings.Contains(problem, want) || !strings.Contains(b.shown, want) {
			t.Errorf("no %q in %s and %s", want, problem, b.shown)
		}
	}
	if !strings.Contains(get(t, b.path("/var/lib/board/ssh/authorized_keys")), "ssh-ed25519") {
		t.Error("what is right was not taken in")
	}
	delete(b.fails, "config check")
	put(t, b.path("/boot/wpa_supplicant.conf"), homeWiFi)
	if err := b.first(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(b.path("/boot/PROBLEM.txt")); err == nil {
		t.Error("the problem is still there after it was put right")
	}
}

// A power cut between the daemon's file of keys and ours leaves a key that nobody knows: it
// is removed.
func TestPageKeyAfterACut(t *testing.T) {
	b := newTrial(t)
	put(t, b.keyPath(), "")
	if err := b.pageKey(); err != nil || get(t, b.keyPath()) != "sk-secret\n" {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.ran[0], "skerry key rm board") || !strings.HasPrefix(b.ran[1], "skerry key new board --scope admin") {
		t.Errorf("%q", b.ran)
	}
}

func TestEnrol(t *testing.T) {
	b := newTrial(t)
	put(t, b.path("/var/lib/board/enrol"), "# of the operator\n1AB2C-\n3DE4F\nMay nothing\n")
	b.fails["enroll"] = "the cloud does not answer"
	if err := b.enrol(); err == nil {
		t.Error("no error")
	}
	clear(b.fails)
	if err := b.enrol(); err != nil {
		t.Fatal(err)
	}
	if line := b.ran[1]; !strings.Contains(line, "--may nothing 1AB2C-3DE4F") {
		t.Error(line)
	}
	n := len(b.ran)
	if err := b.enrol(); err != nil || len(b.ran) != n {
		t.Errorf("enrolled twice: %v %q", err, b.ran[n:])
	}
}

// A code that the cloud refuses, as one that was used, is told where the owner can read it, once;
// another code that is put on the boot partition takes its place.
func TestRefusedCode(t *testing.T) {
	b := newTrial(t)
	put(t, b.path("/boot/enrol.txt"), "1AB2C-OLD\n")
	put(t, b.path("/boot/skerry.toml"), "nmae = 1\n")
	b.fails["config check"] = "skerry.toml:1:1: there is no setting nmae: did you mean name?"
	b.fails["1AB2C-OLD"] = "the code was used already: skerry cloud invite makes another"
	if err := b.first(); err == nil {
		t.Error("the settings are wrong")
	}
	if err := b.enrol(); err == nil {
		t.Error("a code that was used is taken")
	}
	for _, want := range []string{"there is no setting nmae", "enrol.txt: the code was used already"} {
		if problem := get(t, b.path("/boot/PROBLEM.txt")); !strings.Contains(problem, want) || !strings.Contains(b.shown, want) || !strings.Contains(b.look().text(), want) {
			t.Errorf("no %q in %s", want, problem)
		}
	}
	said := b.shown
	if err := b.enrol(); err == nil || b.shown != said {
		t.Errorf("it is told again: %s", b.shown[len(said):])
	}
	delete(b.fails, "config check")
	if err := b.first(); err != nil || !strings.Contains(get(t, b.path("/boot/PROBLEM.txt")), "was used already") {
		t.Errorf("the next start, settings put right: %v", err)
	}
	put(t, b.path("/boot/enrol.txt"), "1AB2C-NEW\n")
	if err := b.first(); err != nil {
		t.Error(err)
	}
	if err := b.enrol(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.path("/boot/PROBLEM.txt")); err == nil || strings.Contains(b.look().text(), "enrol") {
		t.Errorf("it has joined, and the problem is still there: %s", b.look().text())
	}
}

func TestKeys(t *testing.T) {
	for text, want := range map[string]string{
		publicKey(): "", "\ufeff# mine\r\n" + publicKey() + "\r\n": "", "": "no key in it",
		"ssh-ed25519 AAAA":                                          "incomplete",
		publicKey()[:40]:                                            "incomplete",
		"-----BEGIN OPENSSH PRIVATE KEY-----":                       "private key",
		"command=\"x\" " + publicKey():                              "no public key",
		strings.Replace(publicKey(), "ssh-ed25519 ", "ssh-rsa ", 1): "incomplete",
	} {
		keys, err := parseKeys(text)
		if want == "" && (err != nil || len(keys) != 1) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %q, %v", text, keys, err)
		}
	}
}

func TestWiFi(t *testing.T) {
	for text, want := range map[string]string{
		homeWiFi: "", strings.ReplaceAll(homeWiFi, "\n", "\r\n"): "",
		"country=DE\nnetwork={\nssid=\"Café\"\nkey_mgmt=NONE\nscan_ssid=1\n}\n":        "",
		"ctrl_interface=DIR=/run\nupdate_config=1\n" + homeWiFi:                        "",
		"country=DE\nnetwork={\nssid=\"a\"\npsk=" + strings.Repeat("0F", 32) + "\n}\n": "",
		"": "no network in it",
		"network={\nssid=\"a\"\npsk=\"12345678\"\n}\n":                "no country",
		"country=Germany\n":                                           "two letters",
		"country=DE\nnetwork={\nssid=\"a\"\npsk=\"short\"\n}\n":       "line 4: psk wants the password",
		"country=DE\nnetwork={\nssid=\"a\"\npsk=\"gemüsesuppe\"\n}\n": "umlaut",
		"country=DE\nnetwork={\nssid=\"a\"\n}\n":                      "has no psk",
		"country=DE\nnetwork={\npsk=\"12345678\"\n}\n":                "has no ssid",
		"country=DE\nnetwork={\nssid=\"a\"\npsk=\"12345678\"\n":       "has no }",
		"country=DE\nnetwork={\nssid=\"a\"\neap=PEAP\n}\n":            "eap=PEAP is not known",
		"}\n": "without a network", "hello\n": "neither KEY=VALUE",
	} {
		w, err := parseWiFi(text)
		if want == "" && (err != nil || len(w.networks) != 1) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %+v, %v", text, w, err)
		}
	}
	w, err := parseWiFi("country=fr\nnetwork={\nssid=\"a\\\"b\"\npsk=\"12345678\"\n}\nnetwork={\nssid=\"open\"\nkey_mgmt=NONE\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	want := "ctrl_interface=/run/wpa_supplicant\ncountry=FR\nnetwork={\n\tssid=615c2262\n\tpriority=2\n\tpsk=\"12345678\"\n\tieee80211w=1\n\tkey_mgmt=WPA-PSK SAE\n}\nnetwork={\n\tssid=6f70656e\n\tpriority=1\n\tkey_mgmt=NONE\n}\n"
	if got := w.config(); got != want {
		t.Errorf("%s", got)
	}
}

// Whatever a file says, what wpa_supplicant is given has nothing in it but what is known.
func FuzzWiFi(f *testing.F) {
	f.Add(homeWiFi)
	f.Add("country=DE\nnetwork={\nssid=\"a\"\npsk=\"1234567\"\npsk=\"x\"\n}")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := parseWiFi(text)
		if err != nil {
			return
		}
		for line := range strings.Lines(w.config()) {
			line = strings.TrimSpace(line)
			key, value, _ := strings.Cut(line, "=")
			switch {
			case line == "}", line == "network={", line == "ctrl_interface=/run/wpa_supplicant":
			case key == "ssid" && len(value) >= 2 && len(value) <= 64, key == "priority", key == "scan_ssid", key == "ieee80211w", key == "country" && len(value) == 2:
			case key == "psk" && (len(value) == 64 || len(value) >= 10 && value[0] == '"' && value[len(value)-1] == '"'):
			case line == "key_mgmt=NONE", line == "key_mgmt=WPA-PSK SAE":
			default:
				t.Errorf("%q becomes the line %q", text, line)
			}
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add(publicKey())
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseKeys(text)
		if err != nil {
			return
		}
		for _, k := range keys {
			if fields := strings.Fields(k); len(fields) < 2 || !wellFormed(fields[0], fields[1]) || strings.ContainsAny(k, "\n") {
				t.Errorf("%q", k)
			}
		}
	})
}

func FuzzCode(f *testing.F) {
	f.Add("1AB2C-3DE4F\nmay hidden\n")
	f.Fuzz(func(t *testing.T, text string) {
		code, may, err := parseCode(text)
		if err == nil && (code == "" || strings.ContainsAny(code, " \n\t") || may != "" && may != "text" && may != "hidden" && may != "nothing") {
			t.Errorf("%q, %q", code, may)
		}
	})
}

const someManifest = `{"format":1,"architecture":"llama","blocks":30,"stages":[]}`

func TestModelFromAStick(t *testing.T) {
	b := newTrial(t)
	stick := b.path("/media/sda1")
	put(t, filepath.Join(stick, "models/small/manifest.json"), someManifest)
	put(t, filepath.Join(stick, "models/small/board-1.gguf"), "weights")
	put(t, filepath.Join(stick, "update/manifest.json"), someManifest)
	put(t, filepath.Join(stick, "update/manifest.json.minisig"), "signature")
	put(t, filepath.Join(stick, "site/manifest.json"), `{"name":"of a web application"}`)
	put(t, b.path(filepath.Join(bundles, ".new/half")), "of a copy that was cut off")
	if err := b.usb("/dev/sda1"); err != nil {
		t.Fatal(err)
	}
	current := b.path(filepath.Join(bundles, "current"))
	if to, err := os.Readlink(current); err != nil || to != "small" || get(t, filepath.Join(current, "board-1.gguf")) != "weights" {
		t.Fatalf("%s: %v\n%s", to, err, b.shown)
	}
	if last := b.ran[len(b.ran)-1]; last != "systemctl restart --no-block skerry.service" {
		t.Error(last)
	}
	n := len(b.ran)
	if err := b.usb("/dev/sda1"); err != nil || len(b.ran) != n+1 {
		t.Errorf("taken twice: %v %q", err, b.ran[n:])
	}
	if left, err := os.ReadDir(b.path(bundles)); err != nil || len(left) != 2 {
		t.Errorf("%v %v", left, err)
	}
}

func TestDamagedModelFromAStick(t *testing.T) {
	b := newTrial(t)
	put(t, b.path("/media/sdb1/small/manifest.json"), someManifest)
	b.fails["model verify"] = "board-1.gguf is missing"
	if err := b.usb("/dev/sdb1"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.shown, "was not taken: board-1.gguf is missing") {
		t.Error(b.shown)
	}
	if left, err := os.ReadDir(b.path(bundles)); err != nil || len(left) != 0 {
		t.Errorf("%v %v", left, err)
	}
}

func FuzzBundleManifest(f *testing.F) {
	f.Add([]byte(someManifest))
	f.Fuzz(func(t *testing.T, text []byte) { looksLikeBundle(text) })
}

func TestWelcome(t *testing.T) {
	text := facts{name: "skerry-ab12", addresses: []string{"192.0.2.7", "2001:db8::7"}, key: "sk-secret", model: "small", ssh: true}.text()
	for _, want := range []string{"http://skerry-ab12.local:7537/", "http://192.0.2.7:7537/", "http://[2001:db8::7]:7537/", "sk-secret", "small"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if text := (facts{wifi: true}).text(); !strings.Contains(text, "the password in wpa_supplicant.conf right?") {
		t.Errorf("Wi-Fi that is not joined: %s", text)
	}
	text = facts{name: "skerry-ab12", key: "k", problems: "enrol.txt: no code"}.text()
	for _, want := range []string{"USB stick", "no cable is in", "ssh:       off", "enrol.txt: no code"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
}

func TestLook(t *testing.T) {
	b := newTrial(t)
	put(t, b.path("/etc/hostname"), "skerry-ab12\n")
	if f := b.look(); f.name != "skerry-ab12" || f.model != "" || !strings.Contains(f.key, "journalctl") || f.ssh {
		t.Errorf("%+v", f)
	}
	put(t, b.keyPath(), "sk-secret\n")
	put(t, b.path(filepath.Join(bundles, "small/manifest.json")), someManifest)
	if err := os.Symlink("small", b.path(filepath.Join(bundles, "current"))); err != nil {
		t.Fatal(err)
	}
	if f := b.look(); f.model != "small" || f.key != "sk-secret" {
		t.Errorf("%+v", f)
	}
}
