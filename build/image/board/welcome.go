package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// facts are what the welcome shows.
type facts struct {
	name      string
	addresses []string
	key       string
	ssh       bool
	wifi      bool   // it was set up
	model     string // "" for none
	problems  string
}

// howToBringAModel is shown where there is none.
const howToBringAModel = `There is no model on this board yet. Make one on another computer,

    skerry model fetch && skerry model split MODEL.gguf -o DIR

copy the directory DIR to a USB stick, and put the stick into this board. It is
copied and started by itself, and you are told here. A board that has joined a
cloud can fetch one from there: skerry model pull cloud:NAME.
`

// text is what a person reads on the serial line and on the display.
func (f facts) text() string {
	var t strings.Builder
	fmt.Fprintf(&t, "\n== Skerry on %s ==\n\nThe page:  http://%s.local:7537/\n", f.name, f.name)
	for _, a := range f.addresses {
		fmt.Fprintf(&t, "           http://%s/\n", net.JoinHostPort(a, "7537"))
	}
	switch {
	case len(f.addresses) > 0:
	case f.wifi:
		t.WriteString("           once there is a network: no cable is in, and the Wi-Fi is not joined: is it in\n" +
			"           reach, and are the name and the password in wpa_supplicant.conf right?\n")
	default:
		t.WriteString("           once there is a network: no cable is in, and no Wi-Fi is set up\n")
	}
	fmt.Fprintf(&t, "Its key:   %s\n", f.key)
	if f.ssh {
		t.WriteString("ssh:       as root, with the key from the boot partition\n")
	} else {
		t.WriteString("ssh:       off: no authorized_keys was on the boot partition\n")
	}
	if f.model != "" {
		fmt.Fprintf(&t, "Model:     %s\n", f.model)
	} else {
		t.WriteString("\n" + howToBringAModel)
	}
	if f.problems != "" {
		t.WriteString("\n" + f.problems)
	}
	t.WriteString("\n")
	return t.String()
}

// look finds what is to be shown.
func (b *board) look() facts {
	f := facts{name: "skerry", addresses: addresses()}
	if name, err := os.ReadFile(b.path("/etc/hostname")); err == nil {
		f.name = strings.TrimSpace(string(name))
	}
	if key, err := os.ReadFile(b.keyPath()); err == nil {
		f.key = strings.TrimSpace(string(key))
	} else {
		f.key = "none could be made: journalctl -u skerry-firstboot says why"
	}
	_, err := os.Stat(b.path(filepath.Join(kept, "ssh/authorized_keys")))
	f.ssh = err == nil
	current := b.path(filepath.Join(bundles, "current"))
	if _, err := os.Stat(filepath.Join(current, "manifest.json")); err == nil {
		if f.model, err = os.Readlink(current); err != nil {
			f.model = "current"
		}
	}
	_, err = os.Stat(b.path(wifiConfig))
	f.wifi = err == nil
	f.problems = b.readProblems().text()
	return f
}

// addresses of this board that others can reach, those of IPv4 first.
func addresses() (list []string) {
	all, _ := net.InterfaceAddrs() // none is what is shown then
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			list = append(list, n.IP.String())
		}
	}
	slices.SortFunc(list, func(a, b string) int {
		if v4 := strings.Contains(a, ":"); v4 != strings.Contains(b, ":") {
			if v4 {
				return 1
			}
			return -1
		}
		return strings.Compare(a, b)
	})
	return list
}

// serial consoles, among what the kernel calls active ones.
var aSerial = regexp.MustCompile(`^tty(S|AMA|THS|USB|ACM|GS)[0-9]+$`)

// lookAgain is how often the addresses are looked at.
const lookAgain = 10 * time.Second

// welcome shows where the page is, and the key to it, and starts the console on the serial
// lines. The display is shown it again whenever something of it has changed.
func (b *board) welcome() error {
	shown := b.look().text()
	b.show(shown)
	active, _ := os.ReadFile(b.path("/sys/class/tty/console/active")) // none: no serial line
	for _, tty := range strings.Fields(string(active)) {
		if aSerial.MatchString(tty) {
			if _, err := b.run(false, "/usr/bin/systemctl", "start", "--no-block", "skerry-console@"+tty+".service"); err != nil {
				fmt.Fprintln(os.Stderr, "board:", err)
			}
		}
	}
	for {
		time.Sleep(lookAgain)
		if now := b.look().text(); now != shown {
			shown = now
			b.show(shown)
		}
	}
}
