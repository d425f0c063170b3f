package config

import (
	"strings"

	"github.com/agext/levenshtein"
)

// suggest is the name that is at most so many edits away, the nearest; empty where
// there is none.
func suggest(name string, names []string, most int) (best string) {
	if len(name) > 100 { // a distance costs the product of the lengths
		return ""
	}
	for _, n := range names {
		if d := levenshtein.Distance(name, n, nil); d <= most {
			best, most = n, d-1
		}
	}
	return best
}

// didYouMean is the end of a message about an unknown key: the key that looks like
// it, or one of that name in another table.
func didYouMean(key string) string {
	var keys []string
	last := key[strings.LastIndexByte(key, '.')+1:]
	for _, f := range fields {
		if f.key != key && f.key[strings.LastIndexByte(f.key, '.')+1:] == last {
			return ": did you mean " + f.key + "?"
		}
		keys = append(keys, f.key)
	}
	for name := range tables {
		keys = append(keys, name)
	}
	if near := suggest(key, keys, max(2, len(key)/4)); near != "" {
		return ": did you mean " + near + "?"
	}
	return " (skerry config default lists all)"
}
