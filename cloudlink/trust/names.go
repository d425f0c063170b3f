package trust

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// checkAddr accepts host:port with a host of printable ASCII.
func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || n == 0 || host == "" || len(addr) > maxAddr || strings.ContainsFunc(host, unprintable) {
		return fmt.Errorf("address %q: give HOST:PORT", addr)
	}
	return nil
}

func unprintable(r rune) bool { return r <= ' ' || r > '~' }

// maxName is how long the name of a device may be, in bytes.
const maxName = 63

func nameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.", r)
}

// CheckName accepts what may name a device: it becomes the common name of its
// certificate, a key in the cloud's database and a word in its log.
func CheckName(name string) error {
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return !nameRune(r) }) || name[0] == '-' || name[0] == '.' {
		return fmt.Errorf("device name %q: use 1 to %d letters, digits, and - _ . after the first", name, maxName)
	}
	return nil
}

// tidyName makes a name of whatever a board calls itself.
func tidyName(s string) string {
	s = strings.Map(func(r rune) rune {
		if nameRune(r) {
			return r
		}
		return '-'
	}, s)
	s = strings.TrimLeft(s, "-.")
	if s = s[:min(len(s), maxName-4)]; s == "" { // room for a number
		return "board"
	}
	return s
}
