package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"time"
)

// writeChangelog writes Debian's changelog of one entry.
func (p Package) writeChangelog(path string) error {
	return writeCompressed(path, fmt.Appendf(nil, "%s (%s) stable; urgency=medium\n\n  * Built from the repository, whose log says what has changed.\n\n -- %s  %s\n",
		p.Name, p.Version, maintainer, p.Time.UTC().Format(time.RFC1123Z)))
}

// writeCompressed writes text by gzip, the same bytes for the same text.
func writeCompressed(path string, text []byte) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(text); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
