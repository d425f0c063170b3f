package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// How large the files of package main, and it as a whole, may be, in lines without tests.
// A verb parses, calls and prints; what is more belongs in the package that owns it. Both
// limits are what was reached: lower them with it, and take files off the list.
const (
	mostOfAFile = 150
	mostOfMain  = 3605
)

// larger are the files that are allowed to be longer, and how long.
var larger = map[string]int{
	"bench_strategies.go": 180,
}

func TestMainIsSmall(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		n := bytes.Count(text, []byte("\n"))
		sum += n
		if most := max(mostOfAFile, larger[f]); n > most {
			t.Errorf("%s has %d lines, of at most %d: move what is no verb's down to the package that owns it", f, n, most)
		}
	}
	if sum > mostOfMain {
		t.Errorf("package main has %d lines, of at most %d", sum, mostOfMain)
	}
}
