package main

import (
	"strings"
	"time"
)

// debianVersion makes one of what git describe says: v1.2-3-gabc becomes 1.2+3+gabc,
// newer than 1.2; without a tag, a hash alone becomes 0~20260102030405+hash, older
// than any release and ordered by the commit's time.
func debianVersion(described string, commit time.Time) string {
	v := strings.ReplaceAll(described, "-", "+")
	if rest, ok := strings.CutPrefix(v, "v"); ok && rest != "" && '0' <= rest[0] && rest[0] <= '9' {
		return rest
	}
	return "0~" + commit.UTC().Format("20060102150405") + "+" + v
}
