package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// files are laid over what the packages bring, those in all for every board.
//
//go:embed files
var files embed.FS

// packages of every image; what they depend on comes along, but for unneeded.
var packages = []string{
	"base-files", "base-passwd", "bash", "ca-certificates", "coreutils", "dbus", "debianutils", "dosfstools", "e2fsprogs",
	"findutils", "grep", "gzip", "iproute2", "iputils-ping", "kmod", "less", "libc-bin", "libstdc++6", "mount", "nano",
	"netbase", "openssh-server", "polkitd", "procps", "sed", "systemd", "systemd-repart", "systemd-resolved",
	"systemd-sysv", "systemd-timesyncd", "tzdata", "udev", "util-linux", "wireless-regdb", "wpasupplicant",
}

// unneeded are packages that others depend on for the scripts of their installation, which
// do not run here.
var unneeded = []string{
	"adduser", "debconf", "init-system-helpers", "libdebconfclient0", "libtext-charwidth-perl", "libtext-wrapi18n-perl", "lsb-base",
	"perl-base", "runit-helper", "sensible-utils", "sgml-base", "ucf", "xml-core",
}

// enabled are the units that start, by their [Install] sections.
var enabled = []string{
	"skerry.socket", "skerry.service", "skerry-firstboot.service", "skerry-welcome.service", "skerry-enrol.service", "ssh.service",
	"systemd-networkd.service", "systemd-resolved.service", "systemd-timesyncd.service", "systemd-pstore.service",
}

// masked are units that have nothing to do here: nobody has a password to log in with, the
// loader's entries are renamed by skerry alone, the initrd and udev load the drivers of what is
// there, and the rest writes to what is read-only.
var masked = []string{
	"getty@.service", "serial-getty@.service", "autovt@.service", "systemd-bless-boot.service", "systemd-boot-update.service",
	"systemd-firstboot.service", "systemd-fsck-root.service", "systemd-hwdb-update.service", "systemd-journal-catalog-update.service", "systemd-machine-id-commit.service",
	"systemd-modules-load.service",
	"systemd-sysusers.service", "systemd-update-done.service", "ldconfig.service", "sshd-keygen.service", "systemd-networkd-wait-online.service",
}

// wanted are units without an [Install] section that start, and what wants them.
var wanted = map[string]string{"systemd-repart.service": "sysinit.target", "systemd-growfs@var.service": "local-fs.target"}

// unneededPaths are left out: documentation but for licences, translations, and what only
// a package manager reads. A pattern's last element may be of path/filepath's Match.
var unneededPaths = []string{
	"usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/bug", "usr/share/bash-completion/completions/[!s]*",
	"usr/share/doc-base", "usr/share/menu", "usr/share/apport", "usr/share/gdb", "usr/share/gcc", "usr/share/initramfs-tools", "usr/share/zsh",
	"usr/share/fish", "usr/share/runit", "usr/share/xml", "etc/cron.*", "etc/init.d", "etc/rc?.d", "etc/runit", "etc/sv", "etc/ufw", "etc/update-motd.d",
	"etc/kernel", "usr/lib/kernel", "usr/lib/systemd/system-generators/systemd-ssh-generator", "usr/lib/aarch64-linux-gnu/gconv", "usr/lib/linux-image-*", "var/*",
}

// unneededModules are directories of the kernel's modules for what such a board has not.
var unneededModules = []string{
	"sound", "drivers/media", "drivers/gpu/drm/amd", "drivers/gpu/drm/radeon", "drivers/gpu/drm/nouveau", "drivers/gpu/drm/xe", "drivers/gpu/drm/msm",
	"drivers/infiniband", "drivers/iio", "drivers/staging", "drivers/isdn", "drivers/target", "fs/bcachefs", "fs/btrfs", "fs/ocfs2", "fs/xfs", "fs/nfs",
	"fs/nfsd", "fs/smb", "fs/ceph", "fs/gfs2", "net/sunrpc", "net/bluetooth", "drivers/bluetooth", "drivers/net/can", "net/can", "drivers/net/hamradio",
	"drivers/net/fddi", "drivers/net/wwan",
}

// unpack extracts packages into root. Who owns what does not matter, as everything will be
// root's in the image.
func unpack(ctx context.Context, debs []deb, root string) error {
	for _, d := range debs {
		if slices.Contains(unneeded, d.Name) {
			continue
		}
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", d.Path, root).CombinedOutput(); err != nil {
			return fmt.Errorf("dpkg-deb -x %s: %w: %s", d.Path, err, lastLines(string(out), 2))
		}
	}
	return nil
}

// shrink removes what the image does not need.
func shrink(root string) error {
	for _, p := range unneededPaths {
		found, err := filepath.Glob(filepath.Join(root, p))
		if err != nil {
			return err
		}
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	docs, err := filepath.Glob(filepath.Join(root, "usr/share/doc/*/*"))
	if err != nil {
		return err
	}
	for _, path := range docs {
		if name := filepath.Base(path); name != "copyright" && name != "modules.gz" {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// kernelOf is the directory of the modules of the one kernel in root, and its version.
func kernelOf(root string) (dir, version string, err error) {
	found, err := filepath.Glob(filepath.Join(root, "usr/lib/modules/*"))
	if err != nil || len(found) != 1 {
		return "", "", fmt.Errorf("%s has %d kernels, not one", root, len(found))
	}
	return found[0], filepath.Base(found[0]), nil
}

// indexModules removes the modules that are not needed and writes the lists of the others.
func indexModules(ctx context.Context, root string) error {
	dir, version, err := kernelOf(root)
	if err != nil {
		return err
	}
	for _, d := range unneededModules {
		if err := os.RemoveAll(filepath.Join(dir, "kernel", d)); err != nil {
			return err
		}
	}
	// depmod looks for lib/modules, which is a link to usr/lib.
	return tool(ctx, "", "depmod", "-b", root, version)
}

// overlay copies files of a directory of files over root.
func overlay(root, set string) error {
	top := "files/" + set
	return fs.WalkDir(files, top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		return write(filepath.Join(root, strings.TrimPrefix(path, top)), data, 0o644)
	})
}

// write writes a file and makes its directory.
func write(path string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		return err
	}
	return os.Chmod(path, mode) // whatever the umask is
}

// link makes a symbolic link in place of what is there.
func link(target, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(target, path)
}

// configure does what the scripts of the packages would do on the board, without running a
// program for arm64.
func configure(root string) error {
	if err := writeAccounts(root); err != nil {
		return err
	}
	if err := bundleCertificates(root); err != nil {
		return err
	}
	for path, target := range map[string]string{
		"etc/resolv.conf": "../run/systemd/resolve/stub-resolv.conf", "etc/localtime": "../usr/share/zoneinfo/Etc/UTC",
		"etc/mtab": "../proc/self/mounts", "etc/default/locale": "../locale.conf", "etc/vconsole.conf": "default/keyboard", "usr/bin/awk": "mawk", "usr/bin/pager": "less", "usr/bin/editor": "nano", "usr/bin/sh": "bash",
		"usr/lib/firmware/regulatory.db": "regulatory.db-debian", "usr/lib/firmware/regulatory.db.p7s": "regulatory.db.p7s-debian",
		"etc/systemd/system/default.target": "/usr/lib/systemd/system/multi-user.target",
	} {
		if err := link(target, filepath.Join(root, path)); err != nil {
			return err
		}
	}
	for _, d := range []string{"boot", "dev", "home", "proc", "srv", "sys", "run", "tmp", "var", "media", "mnt", "root", "etc/credstore", "etc/credstore.encrypted", "etc/wpa_supplicant", "etc/systemd/network", "etc/polkit-1/rules.d"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	for _, d := range []string{"etc/credstore", "etc/credstore.encrypted"} { // as systemd would have it
		if err := os.Chmod(filepath.Join(root, d), 0o700); err != nil {
			return err
		}
	}
	for from, to := range map[string]string{"openssh/sshd_config": "ssh/sshd_config", "base-files/profile": "profile"} {
		if err := copyFile(filepath.Join(root, "usr/share", from), filepath.Join(root, "etc", to)); err != nil {
			return err
		}
	}
	for _, f := range []string{"etc/machine-id", "etc/hostname"} { // mounted over at the start
		if err := write(filepath.Join(root, f), nil, 0o444); err != nil {
			return err
		}
	}
	for name, rule := range map[string]string{"auth": "auth requisite pam_deny.so", "account": "account required pam_permit.so", "password": "password requisite pam_deny.so",
		"session": "session required pam_permit.so", "session-noninteractive": "session required pam_permit.so"} {
		if err := write(filepath.Join(root, "etc/pam.d/common-"+name), []byte(rule+"\n"), 0o644); err != nil {
			return err
		}
	}
	if err := units(root); err != nil {
		return err
	}
	return allowSlowStarts(root)
}

// bundleCertificates writes the file that programs read authorities from.
func bundleCertificates(root string) error {
	found, err := filepath.Glob(filepath.Join(root, "usr/share/ca-certificates/mozilla/*.crt"))
	if err != nil || len(found) == 0 {
		return fmt.Errorf("the package ca-certificates has no certificates")
	}
	var all bytes.Buffer
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		all.Write(append(bytes.TrimSpace(text), '\n'))
	}
	return write(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"), all.Bytes(), 0o644)
}

const unitDir = "usr/lib/systemd/system"

// units enables and masks units.
func units(root string) error {
	for _, name := range enabled {
		text, err := lines(filepath.Join(root, unitDir, name))
		if err != nil {
			return err
		}
		for _, l := range text {
			key, value, _ := strings.Cut(l, "=")
			for _, to := range strings.Fields(value) {
				at := ""
				switch key {
				case "WantedBy":
					at = to + ".wants/" + name
				case "RequiredBy":
					at = to + ".requires/" + name
				case "Alias":
					at = to
				default:
					continue
				}
				if err := link("/"+unitDir+"/"+name, filepath.Join(root, "etc/systemd/system", at)); err != nil {
					return err
				}
			}
		}
	}
	for name, by := range wanted {
		template := name
		if before, after, ok := strings.Cut(name, "@"); ok {
			template = before + "@" + filepath.Ext(after)
		}
		if err := link("/"+unitDir+"/"+template, filepath.Join(root, "etc/systemd/system", by+".wants", name)); err != nil {
			return err
		}
	}
	for _, name := range masked {
		if err := link("/dev/null", filepath.Join(root, "etc/systemd/system", name)); err != nil {
			return err
		}
	}
	return nil
}

// slowStart is how long a unit that runs once may take at the least, from a slow card. What has
// no limit of its own has system.conf's, in files/all.
const slowStart = 10 * time.Minute

// allowSlowStarts gives the units that run once, and whose own limit is shorter, a longer one: most of
// Debian's have 90 seconds, and one that takes longer counts as failed, though it comes to its end.
func allowSlowStarts(root string) error {
	found, err := filepath.Glob(filepath.Join(root, unitDir, "*.service"))
	if err != nil {
		return err
	}
	for _, path := range found {
		text, err := lines(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a link to what is not on the board
		}
		if err != nil {
			return err
		}
		if !slices.Contains(text, "Type=oneshot") || !slices.ContainsFunc(text, tooShort) {
			continue
		}
		limit := fmt.Sprintf("[Service]\nTimeoutStartSec=%ds\n", int(slowStart.Seconds()))
		if err := write(path+".d/40-slow.conf", []byte(limit), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// tooShort says whether a line of a unit is a limit of its start below slowStart.
func tooShort(line string) bool {
	key, value, _ := strings.Cut(line, "=")
	if key != "TimeoutSec" && key != "TimeoutStartSec" {
		return false
	}
	value = strings.NewReplacer("min", "m", "sec", "s", " ", "").Replace(value)
	if n, err := strconv.Atoi(value); err == nil {
		value = fmt.Sprint(n, "s")
	}
	limit, err := time.ParseDuration(value) // not of "infinity"
	return err == nil && limit > 0 && limit < slowStart
}

// secure takes set-uid and set-gid bits away, which nobody needs where nobody logs in, and
// write permission of others.
func secure(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() &^ 0o022
		if path == filepath.Join(root, "tmp") {
			mode = 0o777 | fs.ModeSticky
		}
		if info.Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) == mode {
			return nil
		}
		return os.Chmod(path, mode)
	})
}
