package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// account is a user or group with a number that is the same in every version of the image:
// files on the data partition have the numbers of their owners, and outlive the versions.
type account struct {
	name    string
	id      int
	home    string // "" for a group alone
	members []string
}

// accounts beside Debian's own, whose numbers are in package base-passwd. Never change a
// number, and never use one again.
var accounts = []account{
	{"messagebus", 900, "/nonexistent", nil},
	{"systemd-journal", 901, "", nil},
	{"systemd-network", 902, "/", nil},
	{"systemd-resolve", 903, "/", nil},
	{"systemd-timesync", 904, "/", nil},
	{"polkitd", 905, "/", nil},
	{"sshd", 906, "/run/sshd", nil},
	{"input", 907, "", nil},
	{"sgx", 908, "", nil},
	{"clock", 909, "", nil},
	{"kvm", 910, "", nil},
	{"render", 911, "", []string{"skerry"}},
	{"netdev", 912, "", nil},
	{"gpio", 913, "", nil},
	{"skerry", 920, "/var/lib/skerry", nil},
}

// writeAccounts writes /etc/passwd and what belongs to it. Nobody has a password: root is
// reached by a key over ssh, where its owner has put one on the boot partition.
func writeAccounts(root string) error {
	var passwd, group, shadow, gshadow strings.Builder
	base := filepath.Join(root, "usr/share/base-passwd")
	users, err := lines(filepath.Join(base, "passwd.master"))
	if err != nil {
		return err
	}
	groups, err := lines(filepath.Join(base, "group.master"))
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if a.home != "" {
			users = append(users, fmt.Sprintf("%s:*:%d:%d::%s:/usr/sbin/nologin", a.name, a.id, a.id, a.home))
		}
		groups = append(groups, fmt.Sprintf("%s:*:%d:%s", a.name, a.id, strings.Join(a.members, ",")))
	}
	for _, u := range users {
		f := strings.SplitN(u, ":", 3)
		fmt.Fprintf(&passwd, "%s:x:%s\n", f[0], f[2])
		fmt.Fprintf(&shadow, "%s:*:20000:0:99999:7:::\n", f[0])
	}
	for _, g := range groups {
		f := strings.SplitN(g, ":", 3)
		if f[0] == "video" {
			f[2] += "skerry"
		}
		fmt.Fprintf(&group, "%s:x:%s\n", f[0], f[2])
		fmt.Fprintf(&gshadow, "%s:*::\n", f[0])
	}
	for name, b := range map[string]*strings.Builder{"passwd": &passwd, "group": &group, "shadow": &shadow, "gshadow": &gshadow} {
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, "shadow") {
			mode = 0o600
		}
		if err := os.WriteFile(filepath.Join(root, "etc", name), []byte(b.String()), mode); err != nil {
			return err
		}
	}
	return checkAccounts(root, users, groups)
}

// checkAccounts fails where a package wants a user or group without a number.
func checkAccounts(root string, users, groups []string) error {
	files, err := filepath.Glob(filepath.Join(root, "usr/lib/sysusers.d/*.conf"))
	if err != nil {
		return err
	}
	has := func(list []string, name string) bool {
		return slices.ContainsFunc(list, func(l string) bool { return strings.HasPrefix(l, name+":") })
	}
	for _, path := range files {
		text, err := lines(path)
		if err != nil {
			return err
		}
		for _, l := range text {
			f := strings.Fields(l)
			if len(f) < 2 || strings.HasPrefix(f[0], "#") {
				continue
			}
			switch kind, name := f[0][0], f[1]; {
			case kind == 'u' && !has(users, name), kind == 'g' && !has(groups, name):
				return fmt.Errorf("%s wants %s, which has no number: give it one in build/image/accounts.go", filepath.Base(path), name)
			}
		}
	}
	return nil
}

// lines of a file, without empty ones.
func lines(path string) (list []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		if l := strings.TrimSpace(s.Text()); l != "" {
			list = append(list, l)
		}
	}
	return list, s.Err()
}

// numberOf is the number of an account.
func numberOf(name string) string {
	for _, a := range accounts {
		if a.name == name {
			return strconv.Itoa(a.id)
		}
	}
	return ""
}
