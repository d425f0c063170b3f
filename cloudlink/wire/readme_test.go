package wire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// comment is what follows the bytes of a line in an example.
var comment = regexp.MustCompile(`#[^\n]*`)

// The frames that the protocol's page shows are what the code reads and writes.
func TestReadmeExamples(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```frame (\\w+)\n(.*?)```").FindAllStringSubmatch(readme(t), -1)
	if len(blocks) < 6 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, b := range blocks {
		frame, err := hex.DecodeString(strings.Join(strings.Fields(comment.ReplaceAllString(b[2], "")), ""))
		if err != nil {
			t.Errorf("%s: %v", b[1], err)
			continue
		}
		r := NewReader(bytes.NewReader(frame), 0)
		m, err := r.Next()
		if err != nil {
			t.Errorf("%s: %v", b[1], err)
			continue
		}
		if got := fmt.Sprintf("%T", m); got != "*wire."+b[1] {
			t.Errorf("%s is a %s", b[1], got)
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("%s: after the frame: %v", b[1], err)
		}
		if again := encode(t, m); !bytes.Equal(again, frame) {
			t.Errorf("%s is written as\n%x, not\n%x", b[1], again, frame)
		}
	}
}

// Every message and every key of its header is on the protocol's page.
func TestReadmeIsComplete(t *testing.T) {
	page := readme(t)
	for typ, k := range kinds {
		m := k.make()
		name := reflect.TypeOf(m).Elem().Name()
		head := fmt.Sprintf("\n### %s 0x%02x\n", name, byte(typ))
		_, text, ok := strings.Cut(page, head)
		if !ok {
			t.Errorf("no section %q", strings.TrimSpace(head))
			continue
		}
		text, _, _ = strings.Cut(text, "\n## ")
		text, _, _ = strings.Cut(text, "\n### ")
		for _, key := range keys(reflect.TypeOf(m).Elem()) {
			of := strings.HasPrefix(key, "1") || strings.Contains("2 3 4", key)
			if strings.Contains(text, "1 to 4 reference") && of && len(key) == 1 {
				continue
			}
			if !regexp.MustCompile(`(?m)(?:^|[\s(])`+key+`\s`).MatchString(text) && !strings.Contains(text, " and "+key+" ") {
				t.Errorf("%s: key %s is not there", name, key)
			}
		}
	}
	for code, name := range codeNames {
		if !strings.Contains(page, fmt.Sprintf("\n| %d | %s |", code, name)) {
			t.Errorf("code %d, %s, is not there", code, name)
		}
	}
}

// keys are the integer keys of a header, those of what it embeds as well.
func keys(t reflect.Type) (out []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			out = append(out, keys(f.Type)...)
		} else if key, _, ok := strings.Cut(f.Tag.Get("cbor"), ","); ok && key != "-" {
			out = append(out, key)
		}
	}
	return out
}
