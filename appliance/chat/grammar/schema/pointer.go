package schema

import (
	"net/url"
	"strings"
)

// unescape reads one step of a JSON pointer in a URI fragment.
func unescape(step string) (string, bool) {
	s, err := url.PathUnescape(step)
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(s), err == nil
}

func escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }
