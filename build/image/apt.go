package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// release of Debian that the image is made of.
const release = "trixie"

// keyring verifies what is fetched; the package debian-archive-keyring has it.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// listsAge is how old the lists of packages may be.
const listsAge = 24 * time.Hour

// apt fetches packages for arm64 with lists of its own, from the mirror that this machine's
// apt knows. Nothing is installed, and no program for arm64 runs.
type apt struct {
	dir   string   // of its lists, its settings and the packages
	extra []string // components beside main
	env   []string
}

// deb is a package that was fetched.
type deb struct {
	Name, Version, Source, Path string
}

// openApt writes the settings of apt below the cache directory, and fetches the lists where
// they are missing or old.
func openApt(ctx context.Context, cache string, extra []string) (*apt, error) {
	if _, err := os.Stat(keyring); err != nil {
		return nil, fmt.Errorf("%w: apt-get install debian-archive-keyring", err)
	}
	a := &apt{dir: filepath.Join(cache, "image", strings.Join(append([]string{"apt", release}, extra...), "-")), extra: extra}
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	mirror, err := mirror(ctx)
	if err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(`APT::Architecture "arm64"; APT::Architectures { "arm64"; };
APT::Sandbox::User ""; APT::Install-Recommends "false"; Acquire::Languages "none"; Acquire::Retries "3";
Dir::State "%[1]s"; Dir::State::status "%[1]s/status"; Dir::Cache "%[1]s/cache"; Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "%[1]s/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null"; Dir::Etc::trustedparts "/dev/null";
`, a.dir)
	for name, text := range map[string]string{"status": "", "apt.conf": conf, "sources.list": sources(mirror, extra)} {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	a.env = append(os.Environ(), "APT_CONFIG="+filepath.Join(a.dir, "apt.conf"), "LC_ALL=C")
	stamp := filepath.Join(a.dir, "updated")
	if st, err := os.Stat(stamp); err == nil && time.Since(st.ModTime()) < listsAge {
		return a, nil
	}
	if _, err := a.run(ctx, "apt-get", "update", "-q"); err != nil {
		return nil, err
	}
	return a, os.WriteFile(stamp, nil, 0o644)
}

// mirror is where this machine's apt has Debian from.
func mirror(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("apt-get indextargets: %w: an image is built on Debian or Ubuntu", err)
	}
	for line := range strings.Lines(string(out)) {
		uri, component, _ := strings.Cut(strings.TrimSpace(line), " ")
		if component == "main" && strings.HasSuffix(uri, "/debian/") {
			return uri, nil
		}
	}
	return "", errors.New("this machine's apt has no source of Debian's packages: name one in /etc/apt/sources.list.d")
}

// sources is the list of sources, for apt.
func sources(mirror string, extra []string) string {
	var b strings.Builder
	components := strings.Join(append([]string{"main"}, extra...), " ")
	for _, s := range []struct{ uri, suite string }{
		{mirror, release}, {mirror, release + "-updates"}, {mirror, release + "-backports"},
		{strings.TrimSuffix(mirror, "/") + "-security/", release + "-security"},
	} {
		fmt.Fprintf(&b, "deb [signed-by=%s] %s %s %s\n", keyring, s.uri, s.suite, components)
	}
	return b.String()
}

func (a *apt) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Dir = a.env, a.archives()
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, args[0], err, lastLines(complaint.String(), 3))
	}
	return out, nil
}

func (a *apt) archives() string { return filepath.Join(a.dir, "cache", "archives") }

var uriLine = regexp.MustCompile(`^'[^']+' (\S+\.deb) `)

// fetch downloads packages and what they depend on, and returns them in the order of their
// names. Recommended packages are left out.
func (a *apt) fetch(ctx context.Context, names []string) ([]deb, error) {
	out, err := a.run(ctx, "apt-get", append([]string{"install", "-y", "-q", "--reinstall", "--print-uris"}, names...)...)
	if err != nil {
		return nil, err
	}
	// What is there already is not printed.
	missing := false
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		missing = missing || uriLine.MatchString(lines.Text())
	}
	if missing {
		if _, err := a.run(ctx, "apt-get", append([]string{"install", "-y", "-q", "--download-only"}, names...)...); err != nil {
			return nil, err
		}
	}
	if out, err = a.run(ctx, "apt-get", append([]string{"install", "-s", "-q"}, names...)...); err != nil {
		return nil, err
	}
	return a.listed(ctx, out)
}

var instLine = regexp.MustCompile(`^Inst (\S+) \((\S+) `)

// listed are the packages that a simulated installation would install.
func (a *apt) listed(ctx context.Context, simulated []byte) (list []deb, err error) {
	for lines := bufio.NewScanner(bytes.NewReader(simulated)); lines.Scan(); {
		if m := instLine.FindStringSubmatch(lines.Text()); m != nil {
			list = append(list, deb{Name: m[1], Version: m[2]})
		}
	}
	slices.SortFunc(list, func(a, b deb) int { return strings.Compare(a.Name, b.Name) })
	for i := range list {
		if list[i], err = a.find(ctx, list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// find sets the path of a package that was fetched.
func (a *apt) find(_ context.Context, d deb) (deb, error) {
	for _, arch := range []string{"arm64", "all"} {
		d.Path = filepath.Join(a.archives(), fmt.Sprintf("%s_%s_%s.deb", d.Name, strings.ReplaceAll(d.Version, ":", "%3a"), arch))
		if _, err := os.Stat(d.Path); err == nil {
			return d, nil
		}
	}
	return d, fmt.Errorf("apt-get has not fetched %s %s to %s", d.Name, d.Version, a.archives())
}

// download fetches one package without what it depends on, and says what that is.
func (a *apt) download(ctx context.Context, name, suite string) (d deb, depends []string, err error) {
	out, err := a.run(ctx, "apt-cache", "-o", "APT::Default-Release="+suite, "show", "--no-all-versions", name)
	if err != nil {
		return d, nil, err
	}
	d.Name = name
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "Version":
			d.Version = value
		case "Depends":
			for _, one := range strings.Split(value, ",") {
				depends = append(depends, strings.Fields(one)[0])
			}
		}
	}
	if found, err := a.find(ctx, d); err == nil {
		return found, depends, nil
	}
	if _, err := a.run(ctx, "apt-get", "download", "-q", name+"="+d.Version); err != nil {
		return d, nil, err
	}
	d, err = a.find(ctx, d)
	return d, depends, err
}

// kernel fetches the newest kernel of a suite: linux-image-arm64 names it, and it may be in
// several packages. What else those depend on is for making an initrd, which is made here.
func (a *apt) kernel(ctx context.Context, suite string) (list []deb, err error) {
	seen, todo := map[string]bool{}, []string{"linux-image-arm64"}
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		d, depends, err := a.download(ctx, name, suite)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
		for _, other := range depends {
			if strings.HasPrefix(other, "linux-image-") || strings.HasPrefix(other, "linux-modules-") || strings.HasPrefix(other, "linux-binary-") || strings.HasPrefix(other, "linux-base-") {
				todo = append(todo, other)
			}
		}
	}
	return list, nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " | ")
}
