package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// source is a file that may lie on the boot partition.
type source struct {
	name string
	take func(b *board, text []byte) error
}

// sources in the order in which they are taken in.
var sources = []source{
	{"skerry.toml", (*board).takeSettings},
	{"wpa_supplicant.conf", (*board).takeWiFi},
	{"authorized_keys", (*board).takeKeys},
	{"enrol.txt", (*board).takeCode},
}

// mostText is the most bytes that are read of one of them.
const mostText = 64 << 10

// problemFile on the boot partition says what was wrong.
const problemFile = "PROBLEM.txt"

// first takes in what lies on the boot partition and was not taken in before, and makes the
// board's own key. What is wrong is shown and written to the boot partition; the board goes
// on without it, or with what it had before.
func (b *board) first() error {
	taken := b.readTaken()
	var wrong []string
	for _, s := range sources {
		text, err := readSome(b.path(filepath.Join(bootDir, s.name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		sum := sha256.Sum256(text)
		digest := hex.EncodeToString(sum[:])
		if err == nil && taken[s.name] == digest {
			continue
		}
		if err == nil {
			err = s.take(b, text)
		}
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %v", s.name, err))
			continue
		}
		taken[s.name] = digest
		if err := b.writeTaken(taken); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	if err := b.pageKey(); err != nil {
		wrong = append(wrong, fmt.Sprintf("the key to the page could not be made: %v", err))
	}
	now := b.readProblems()
	if now.First = wrong; !b.awaitsEnrolment() {
		now.Enrol = ""
	}
	if err := b.tell(now); err != nil || len(wrong) == 0 {
		return err
	}
	return errors.New(strings.Join(wrong, "; "))
}

// problems are what is wrong, as they are kept to be shown again.
type problems struct {
	// First is what the first start has found on the boot partition.
	First []string `json:"first,omitempty"`
	// Enrol is why the board has not joined the cloud.
	Enrol string `json:"enrol,omitempty"`
}

// text is what a person reads, "" where nothing is wrong.
func (p problems) text() string {
	var t strings.Builder
	if len(p.First) > 0 {
		t.WriteString("What was put on the boot partition has something wrong in it. The board runs\nwithout it. Put it right and start the board again.\n\n" + strings.Join(p.First, "\n\n") + "\n")
	}
	if p.Enrol != "" {
		if t.Len() > 0 {
			t.WriteString("\n")
		}
		t.WriteString("This board has not joined the cloud, and goes on trying:\n\nenrol.txt: " + p.Enrol + "\n")
	}
	return t.String()
}

func (b *board) problemsPath() string { return b.path(filepath.Join(kept, "problems.json")) }

// readProblems is what is wrong; a damaged record is like none.
func (b *board) readProblems() (p problems) {
	if text, err := os.ReadFile(b.problemsPath()); err == nil && json.Unmarshal(text, &p) != nil {
		return problems{}
	}
	return p
}

// tell keeps what is wrong, shows it, and leaves it on the boot partition, where another computer
// can read it. What is known already is not told again.
func (b *board) tell(p problems) error {
	path, text := b.path(filepath.Join(bootDir, problemFile)), p.text()
	if text == "" {
		for _, p := range []string{path, b.problemsPath()} {
			if _, err := os.Lstat(p); err != nil { // where nothing is mounted, a removal says that all is read-only
				continue
			}
			if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	}
	if b.readProblems().text() == text {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
	}
	b.show("\n" + text + "\n")
	record, err := json.Marshal(p)
	if err == nil {
		err = place(b.problemsPath(), record, 0o644)
	}
	if st, missing := os.Stat(b.path(bootDir)); missing == nil && st.IsDir() {
		err = errors.Join(err, os.WriteFile(path, []byte(strings.ReplaceAll(text, "\n", "\r\n")), 0o644))
	}
	return err
}

// readSome reads a file of at most mostText bytes.
func readSome(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostText+1))
	if err == nil && len(text) > mostText {
		return nil, fmt.Errorf("it has more than %d KiB: is it the right file?", mostText>>10)
	}
	return text, err
}

func (b *board) takenPath() string { return b.path(filepath.Join(kept, "taken.json")) }

// readTaken is what was taken in before, by name: the sums of the files. A damaged record
// is like none: everything is taken in again.
func (b *board) readTaken() map[string]string {
	taken := map[string]string{}
	if text, err := os.ReadFile(b.takenPath()); err == nil && json.Unmarshal(text, &taken) != nil {
		clear(taken)
	}
	return taken
}

func (b *board) writeTaken(taken map[string]string) error {
	text, err := json.MarshalIndent(taken, "", "  ")
	if err != nil {
		return err
	}
	return place(b.takenPath(), append(text, '\n'), 0o644)
}

// takeSettings checks the settings as the daemon does, and puts them where they win over
// those of the image.
func (b *board) takeSettings(text []byte) error {
	aside := b.path("/run/skerry-boot.toml")
	if err := place(aside, text, 0o644); err != nil {
		return err
	}
	defer os.Remove(aside)
	if _, err := b.run(false, "/usr/bin/skerry", "config", "check", "--config", aside); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), aside, "skerry.toml"))
	}
	return place(b.path("/etc/skerry/conf.d/50-boot.toml"), text, 0o644)
}

// wifiConfig is what wpa_supplicant reads.
const wifiConfig = "/etc/wpa_supplicant/wpa_supplicant-wlan0.conf"

// takeWiFi checks the networks, and has wpa_supplicant run with them on wlan0.
func (b *board) takeWiFi(text []byte) error {
	w, err := parseWiFi(string(text))
	if err != nil {
		return err
	}
	if err := place(b.path(wifiConfig), []byte(w.config()), 0o600); err != nil {
		return err
	}
	wants := b.path("/etc/systemd/system/multi-user.target.wants")
	if err := os.MkdirAll(wants, 0o755); err != nil {
		return err
	}
	err = os.Symlink("/usr/lib/systemd/system/wpa_supplicant@.service", filepath.Join(wants, "wpa_supplicant@wlan0.service"))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// systemd has read its units already.
	if _, err := b.run(false, "/usr/bin/systemctl", "daemon-reload"); err != nil {
		return err
	}
	_, err = b.run(false, "/usr/bin/systemctl", "start", "--no-block", "wpa_supplicant@wlan0.service")
	return err
}

// takeKeys has ssh let in who has one of the keys, as root.
func (b *board) takeKeys(text []byte) error {
	keys, err := parseKeys(string(text))
	if err != nil {
		return err
	}
	return place(b.path(filepath.Join(kept, "ssh/authorized_keys")), []byte(strings.Join(keys, "\n")+"\n"), 0o600)
}

// keyTypes that ssh knows and that are still good.
var keyTypes = []string{
	"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
	"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
}

// parseKeys reads public keys, one a line. Options before a key are not taken, as a mistake
// in them would open more than was meant.
func parseKeys(text string) (keys []string, err error) {
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		n++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		switch {
		case strings.Contains(line, "PRIVATE KEY"):
			return nil, fmt.Errorf("line %d: this is a private key: keep it to yourself, and put the file that ends in .pub here", n)
		case !slices.Contains(keyTypes, f[0]) || len(f) < 2:
			return nil, fmt.Errorf("line %d: %.30q is no public key: a line begins with ssh-ed25519 or ssh-rsa, as in the file that ends in .pub", n, line)
		case !wellFormed(f[0], f[1]):
			return nil, fmt.Errorf("line %d: the key is incomplete: copy the whole line of the file that ends in .pub", n)
		}
		keys = append(keys, line)
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key in it: put the line of a file that ends in .pub here")
	}
	return keys, nil
}

// takeCode keeps the code of an enrolment, for which there has to be a network first.
func (b *board) takeCode(text []byte) error {
	if _, _, err := parseCode(string(text)); err != nil {
		return err
	}
	if err := place(b.enrolPath(), text, 0o600); err != nil {
		return err
	}
	now := b.readProblems() // of the code before
	now.Enrol = ""
	return b.tell(now)
}
