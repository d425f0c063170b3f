package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Nobody's number is another's, or one of Debian's own, which are below 100.
func TestAccountsHaveNumbersOfTheirOwn(t *testing.T) {
	seen := map[int]string{}
	for _, a := range accounts {
		if other, ok := seen[a.id]; ok || a.id < 900 || a.id > 999 {
			t.Errorf("%s has number %d, of %s", a.name, a.id, other)
		}
		seen[a.id] = a.name
	}
}

func TestAccountsOfPackages(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{
		"usr/share/base-passwd/passwd.master": "root:*:0:0:root:/root:/bin/bash\n",
		"usr/share/base-passwd/group.master":  "root:*:0:\nvideo:*:44:\n",
		"usr/lib/sysusers.d/a.conf":           "# a comment\nu! systemd-network - \"x\"\nm skerry video\n",
		"etc/x":                               "",
	} {
		if err := write(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeAccounts(root); err != nil {
		t.Fatal(err)
	}
	shadow, err := os.ReadFile(filepath.Join(root, "etc/shadow"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(shadow)) {
		if strings.Split(line, ":")[1] != "*" {
			t.Errorf("a password: %s", line)
		}
	}
	if group, err := os.ReadFile(filepath.Join(root, "etc/group")); err != nil || !strings.Contains(string(group), "video:x:44:skerry\n") {
		t.Errorf("%v: %s", err, group)
	}
	if err := write(filepath.Join(root, "usr/lib/sysusers.d/b.conf"), []byte("u newcomer - -\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeAccounts(root); err == nil || !strings.Contains(err.Error(), "newcomer") {
		t.Errorf("an account without a number: %v", err)
	}
}

// What the units of the image start is there, and what is enabled is a unit.
func TestUnitsOfTheImage(t *testing.T) {
	verb := regexp.MustCompile(`/usr/lib/skerry/board ([a-z-]+)`)
	program, err := os.ReadFile("board/main.go")
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(files, "files", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(path)
		for _, m := range verb.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(string(program), fmt.Sprintf("%q:", m[1])) {
				t.Errorf("%s starts board %s, which there is not", path, m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := overlay(root, "all"); err != nil {
		t.Fatal(err)
	}
	for _, name := range enabled {
		path := filepath.Join(root, unitDir, name)
		if _, err := os.Stat(path); err == nil || strings.HasPrefix(name, "skerry.") {
			continue
		}
		if err := write(path, []byte("[Install]\nWantedBy=multi-user.target\nAlias=other-"+name+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"skerry.socket", "skerry.service"} {
		text, err := os.ReadFile("../../systemd/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := write(filepath.Join(root, unitDir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := units(root); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{
		"sockets.target.wants/skerry.socket":               "/" + unitDir + "/skerry.socket",
		"multi-user.target.wants/skerry-welcome.service":   "/" + unitDir + "/skerry-welcome.service",
		"local-fs.target.wants/systemd-growfs@var.service": "/" + unitDir + "/systemd-growfs@.service",
		"getty@.service":    "/dev/null",
		"other-ssh.service": "/" + unitDir + "/ssh.service",
		"sysinit.target.wants/skerry-firstboot.service": "/" + unitDir + "/skerry-firstboot.service",
	} {
		if got, err := os.Readlink(filepath.Join(root, "etc/systemd/system", at)); err != nil || got != want {
			t.Errorf("%s leads to %s: %v", at, got, err)
		}
	}
}

// What runs once and would be given up after 90 seconds may take longer; what has a longer limit,
// none, or runs on is left as it is.
func TestSlowStarts(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"load": "Type=oneshot\nTimeoutSec=90s", "settle": "Type=oneshot\nTimeoutSec=180", "short": "Type=oneshot\nTimeoutStartSec=1min 30s",
		"seed": "Type=oneshot\nTimeoutSec=10min", "fsck": "Type=oneshot\nTimeoutSec=infinity", "none": "Type=oneshot", "daemon": "Type=notify\nTimeoutSec=90s",
	} {
		if err := write(filepath.Join(root, unitDir, name+".service"), []byte("[Service]\n"+text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := link("nowhere.service", filepath.Join(root, unitDir, "alias.service")); err != nil {
		t.Fatal(err)
	}
	if err := allowSlowStarts(root); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(root, unitDir, "*.d"))
	if err != nil {
		t.Fatal(err)
	}
	var longer []string
	for _, path := range found {
		longer = append(longer, filepath.Base(path))
	}
	if got := strings.Join(longer, " "); got != "load.service.d settle.service.d short.service.d" {
		t.Errorf("longer limits for %s", got)
	}
	text, err := os.ReadFile(filepath.Join(root, unitDir, "load.service.d/40-slow.conf"))
	if err != nil || string(text) != "[Service]\nTimeoutStartSec=600s\n" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestSourcesOfPackages(t *testing.T) {
	text := sources("http://mirror.example/debian/", []string{"non-free-firmware"})
	for _, want := range []string{" http://mirror.example/debian/ trixie main non-free-firmware\n", " http://mirror.example/debian/ trixie-backports main", " http://mirror.example/debian-security/ trixie-security main"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
}

func TestNothingIsSetUID(t *testing.T) {
	root := t.TempDir()
	for name, mode := range map[string]fs.FileMode{"su": 0o755 | fs.ModeSetuid, "chage": 0o755 | fs.ModeSetgid, "plain": 0o666} {
		path := filepath.Join(root, name)
		if err := write(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := secure(root); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"su": 0o755, "chage": 0o755, "plain": 0o644} {
		if st, err := os.Stat(filepath.Join(root, name)); err != nil || st.Mode() != want {
			t.Errorf("%s: %v %v", name, st.Mode(), err)
		}
	}
}

func TestDiskAndMap(t *testing.T) {
	if _, err := exec.LookPath("sfdisk"); err != nil {
		t.Skip("skipped: no sfdisk (apt-get install fdisk): ", err)
	}
	dir := t.TempDir()
	content := filepath.Join(dir, "content")
	if err := os.WriteFile(content, []byte(strings.Repeat("x", 100<<10)), 0o644); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(dir, "disk.img")
	list := []volume{{"skerry-esp", typeESP, 2 * mib, content}, {"skerry-root-b", typeSlot, 4 * mib, ""}, {"skerry-data", typeVar, 2 * mib, content}}
	if err := writeDisk(context.Background(), image, list); err != nil {
		t.Fatal(err)
	}
	table, err := exec.Command("sfdisk", "--dump", image).Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"start=        2048, size=        4096", "start=        6144, size=        8192", "start=       14336, size=        4096"} {
		if !strings.Contains(string(table), want) || !strings.Contains(string(table), `name="`+list[i].label+`"`) {
			t.Errorf("no %q of %s in %s", want, list[i].label, table)
		}
	}
	bmap := filepath.Join(dir, "disk.bmap")
	mapped, err := writeBmap(image, bmap)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(bmap)
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		ImageSize, MappedBlocksCount int64
		BmapFileChecksum             string
	}
	if err := xml.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(strings.Replace(string(text), m.BmapFileChecksum, strings.Repeat("0", 64), 1)))
	if m.BmapFileChecksum != hex.EncodeToString(sum[:]) || m.ImageSize != 10*mib || m.MappedBlocksCount != mapped || mapped < 50 {
		t.Errorf("%+v, %d blocks, sum %x", m, mapped, sum)
	}
	list[0].size = mib / 32
	if err := writeDisk(context.Background(), image, list); err == nil || !strings.Contains(err.Error(), "larger than its partition") {
		t.Errorf("what does not fit: %v", err)
	}
}

// A card that had something on it before is right, too, where only the blocks of the map are
// written: what file systems take to be zero is in it.
func TestCardThatWasUsed(t *testing.T) {
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	for _, name := range []string{"sfdisk", "mkfs.vfat", "fsck.vfat", "mcopy", "mke2fs", "e2fsck"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip("skipped: build/image/tools.sh says what is missing: ", err)
		}
	}
	dir := t.TempDir()
	content := filepath.Join(dir, "content")
	if err := write(filepath.Join(content, "deep", "file"), []byte(strings.Repeat("x", 100<<10)), 0o644); err != nil {
		t.Fatal(err)
	}
	const fatSize, dataSize = 36 * mib, 8 * mib // a FAT32 has at least 65525 clusters
	fat, data, image := filepath.Join(dir, "fat"), filepath.Join(dir, "data"), filepath.Join(dir, "image")
	list := []volume{{"skerry-esp", typeESP, fatSize, fat}, {"skerry-data", typeVar, dataSize, data}}
	if err := errors.Join(makeFAT(t.Context(), fat, "SKERRY", content, fatSize), makeData(t.Context(), data, content, dataSize), writeDisk(t.Context(), image, list)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	blocks, err := extents(f)
	if err != nil {
		t.Fatal(err)
	}
	card, mapped := bytes.Repeat([]byte{0xff}, len(raw)), 0
	for _, e := range blocks {
		mapped += copy(card[e.first*bmapBlock:], raw[e.first*bmapBlock:min((e.last+1)*bmapBlock, int64(len(raw)))])
	}
	if mapped > len(raw)/2 {
		t.Errorf("%d bytes of %d are mapped", mapped, len(raw))
	}
	for _, c := range []struct {
		from, size int
		check      []string
	}{{align, fatSize, []string{"fsck.vfat", "-n"}}, {align + fatSize, dataSize, []string{"e2fsck", "-f", "-n"}}} {
		part := filepath.Join(dir, "part")
		if err := os.WriteFile(part, card[c.from:c.from+c.size], 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(c.check[0], append(c.check[1:], part)...).CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%.2000s", c.check, err, out)
		}
	}
}

func TestCarry(t *testing.T) {
	bundle, to := filepath.Join(t.TempDir(), "small"), t.TempDir()
	if _, err := carry(bundle, to); err == nil || !strings.Contains(err.Error(), "BUNDLE") {
		t.Errorf("no bundle: %v", err)
	}
	if err := write(filepath.Join(bundle, "manifest.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	n, err := carry(bundle, to)
	if err != nil || n != 2 {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if _, err := os.Stat(filepath.Join(to, "current", "manifest.json")); err != nil {
		t.Error(err)
	}
}
