package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// script runs install.sh, at a path as seen from dir, on this machine, with nothing of apt or dpkg but what says yes, and
// writes what it was to do into the file apt. It returns what the script says.
func script(t *testing.T, dir, path, arch string, env ...string) (said, apt string, err error) {
	t.Helper()
	bin := t.TempDir()
	log := filepath.Join(bin, "log")
	write(t, filepath.Join(bin, "apt-get"), "#!/bin/sh\necho \"$@\" >>"+log+"\ncp \"$3\" "+bin+"/installed\n", 0o755)
	write(t, filepath.Join(bin, "dpkg"), "#!/bin/sh\necho "+arch+"\n", 0o755)
	write(t, filepath.Join(bin, "id"), "#!/bin/sh\necho 0\n", 0o755)
	cmd := exec.Command("sh", strings.Fields(path)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), append(env, "PATH="+bin+":"+os.Getenv("PATH"), "no_proxy=*")...)
	out, err := cmd.CombinedOutput()
	text, _ := os.ReadFile(log)
	return string(out), string(text), err
}

// TestInstaller: what is signed is given to apt; anything else ends with one line, before
// apt is called.
func TestInstaller(t *testing.T) {
	for _, name := range []string{"openssl", "base64", "sha256sum"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("skipped: %v", err)
		}
	}
	r := made(t, "arm64")
	dir := filepath.Join(t.TempDir(), "release")
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	// By every path that a person may call it by, and of a release by a relative one.
	for path, env := range map[string]string{installer: "LC_ALL=C", filepath.Join(dir, installer): "LC_ALL=C", "./" + installer: "SKERRY_URL=../release"} {
		said, apt, err := script(t, dir, path, "arm64", env)
		if err != nil || !regexp.MustCompile(`^install -y \./skerry_0\.1\.0~20231114221320\+abc_arm64\.deb\n$`).MatchString(apt) || !strings.Contains(said, "http://127.0.0.1:7537/") || !strings.Contains(said, "apt purge skerry") {
			t.Errorf("%s, %s: %v: %q, and apt was told %q", path, env, err, said, apt)
		}
	}
	onAStick(t, r)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	forged := func(name, text string) func(string) {
		return func(dir string) { write(t, filepath.Join(dir, name), text, 0o644) }
	}
	for _, c := range []struct {
		what, arch, env, args, want string
		change                      func(dir string)
	}{
		{what: "other sums", change: forged(sumsFile, "0000  x\n"), want: "is not by the key of this script"},
		{what: "stranger's key", env: "SKERRY_KEY=" + newKeys(t).sums.Public(), want: "is not by the key of this script"},
		{what: "no signature at all", change: forged(sumsFile+".minisig", "hello\nthere\n"), want: "is no signature of minisign"},
		{what: "other package", change: forged("skerry_0.1.0~20231114221320+abc_arm64.deb", "evil"), want: "is not what was signed"},
		{what: "32 bits", arch: "armhf", want: "no package for armhf"},
		{what: "no network", env: "SKERRY_URL=" + closed, want: closed + "/SHA256SUMS cannot be fetched"},
		{what: "no release", env: "SKERRY_URL=/nowhere", want: "/nowhere/SHA256SUMS cannot be read"},
		{what: "not filled in", change: func(dir string) {
			text, _ := os.ReadFile("build/install.sh")
			write(t, filepath.Join(dir, installer), string(text), 0o755)
		}, want: "has no key"},
		{what: "alone", change: func(dir string) { os.Remove(filepath.Join(dir, sumsFile)) }, want: "SKERRY_URL is not set"},
		{what: "a question", args: " --help", want: "it takes no argument, or cloud"},
	} {
		copied := filepath.Join(t.TempDir(), "release")
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if c.change != nil {
			c.change(copied)
		}
		arch := "arm64"
		if c.arch != "" {
			arch = c.arch
		}
		env := c.env
		if env == "" {
			env = "LC_ALL=C"
		}
		said, apt, err := script(t, copied, installer+c.args, arch, env)
		if err == nil || apt != "" || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "install: ") || !strings.Contains(said, c.want) {
			t.Errorf("%s: %v, said %q, want one line with %q; apt was told %q", c.what, err, said, c.want, apt)
		}
	}
}

// onAStick has RELEASE_URL name a directory, as of a stick: the script finds the release there,
// and beside itself where the stick is mounted elsewhere.
func onAStick(t *testing.T, r *release) {
	t.Helper()
	stick := filepath.Join(t.TempDir(), "stick")
	for _, url := range []string{stick, "file://" + stick, "/media/nobody/stick"} {
		t.Setenv("RELEASE_URL", url)
		r.files, r.missing = nil, nil
		if err := r.write(stick); err != nil {
			t.Fatal(err)
		}
		alone := t.TempDir()
		text, err := os.ReadFile(filepath.Join(stick, installer))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(alone, installer), string(text), 0o755)
		for _, dir := range []string{stick, alone} {
			said, apt, err := script(t, dir, installer, "arm64", "LC_ALL=C")
			if lost := dir == alone && url == "/media/nobody/stick"; lost {
				if err == nil || !strings.Contains(said, url+"/SHA256SUMS cannot be read") {
					t.Errorf("%s: %v, %s", url, err, said)
				}
			} else if err != nil || apt == "" {
				t.Errorf("%s, from %s: %v, %s", url, dir, err, said)
			}
		}
	}
	t.Setenv("RELEASE_URL", "")
}

// TestInstallerReadsMinisign: minisign itself takes the signature of a release, and the
// installer takes one by minisign, which is of the file's sum.
func TestInstallerReadsMinisign(t *testing.T) {
	r := made(t, "arm64")
	dir := filepath.Join(t.TempDir(), "release")
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	sums := filepath.Join(dir, sumsFile)
	tool(t, "minisign", "-Vm", sums, "-p", filepath.Join(dir, keyFile))
	secret, public := filepath.Join(dir, "secret"), filepath.Join(dir, "public")
	tool(t, "minisign", "-GW", "-s", secret, "-p", public)
	tool(t, "minisign", "-Sm", sums, "-s", secret)
	text, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if said, apt, err := script(t, dir, installer, "arm64", "SKERRY_KEY="+key); err != nil || apt == "" {
		t.Errorf("%v: %s", err, said)
	}
}

// TestInstallerIsPlain: shellcheck has nothing to say of it.
func TestInstallerIsPlain(t *testing.T) {
	tool(t, "shellcheck", "../install.sh")
}
