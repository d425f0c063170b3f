// Package debian has what is said of a version in Debian's form: its number, and what has
// changed in it.
package debian

import (
	"strings"
	"time"
)

// Version makes one of the program's: 1.2-3-gabc becomes 1.2+3+gabc, newer than
// 1.2. One before its number's release, as 0.1.0+abc, becomes 0.1.0~20260102030405+abc:
// older than 0.1.0 and ordered by the commit's time.
func Version(version string, commit time.Time) string {
	number, hash, before := strings.Cut(strings.TrimPrefix(version, "v"), "+")
	if before {
		return number + "~" + commit.UTC().Format("20060102150405") + "+" + hash
	}
	return strings.ReplaceAll(number, "-", "+")
}
