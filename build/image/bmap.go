package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// bmapBlock is the size of a block of the map, in bytes.
const bmapBlock = 4096

// extent is a range of blocks, both ends of it included.
type extent struct{ first, last int64 }

// extents are the blocks of a file that the file system keeps: those of a sparse file that
// something was written to, zeros too.
func extents(f *os.File) (list []extent, err error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	for at := int64(0); at < size; {
		data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // nothing follows
		}
		if err != nil {
			return nil, err
		}
		if at, err = unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE); err != nil {
			return nil, err
		}
		e := extent{data / bmapBlock, (at - 1) / bmapBlock}
		if n := len(list); n > 0 && list[n-1].last >= e.first-1 {
			list[n-1].last = e.last
		} else {
			list = append(list, e)
		}
	}
	return list, nil
}

// writeBmap writes the map of an image in version 2.0 of bmaptool's format, and returns how
// many blocks are mapped.
func writeBmap(image, path string) (mapped int64, err error) {
	f, err := os.Open(image)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	list, err := extents(f)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", image, err)
	}
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	var ranges strings.Builder
	for _, e := range list {
		h := sha256.New()
		if _, err := io.Copy(h, io.NewSectionReader(f, e.first*bmapBlock, (e.last-e.first+1)*bmapBlock)); err != nil {
			return 0, err
		}
		name := fmt.Sprint(e.first)
		if e.last != e.first {
			name = fmt.Sprintf("%d-%d", e.first, e.last)
		}
		fmt.Fprintf(&ranges, "    <Range chksum=\"%x\">%s</Range>\n", h.Sum(nil), name)
		mapped += e.last - e.first + 1
	}
	blocks := (st.Size() + bmapBlock - 1) / bmapBlock
	zero := strings.Repeat("0", 64)
	text := fmt.Appendf(nil, `<?xml version="1.0" ?>
<bmap version="2.0">
  <ImageSize>%d</ImageSize>
  <BlockSize>%d</BlockSize>
  <BlocksCount>%d</BlocksCount>
  <MappedBlocksCount>%d</MappedBlocksCount>
  <ChecksumType>sha256</ChecksumType>
  <BmapFileChecksum>%s</BmapFileChecksum>
  <BlockMap>
%s  </BlockMap>
</bmap>
`, st.Size(), bmapBlock, blocks, mapped, zero, ranges.String())
	// The sum is of the file with zeros in its place.
	sum := sha256.Sum256(text)
	text = bytes.Replace(text, []byte(zero), []byte(hex.EncodeToString(sum[:])), 1)
	return mapped, os.WriteFile(path, text, 0o644)
}

var notID = regexp.MustCompile(`[^A-Za-z0-9.-]`)
