package status_test

import (
	"io"
	"skerry/appliance/status"
	"skerry/appliance/status/statustest"
	"strings"
	"testing"
)

// What is painted fits the terminal, whatever its size.
func TestScreenFits(t *testing.T) {
	for name, s := range statustest.All() {
		for _, size := range [][2]int{{80, 24}, {40, 10}, {200, 60}, {20, 3}, {1, 1}} {
			text := string(status.Screen(s, errLongAgo, size[0], size[1]))
			if n := strings.Count(text, "\n"); n > max(size[1]-1, 2) {
				t.Errorf("%s on %v: %d lines", name, size, n+1)
			}
		}
	}
}

var errLongAgo = io.ErrUnexpectedEOF
