// Package gguf reads and writes GGUF files, the container of llama.cpp models,
// in versions 2 (read only) and 3, little-endian.
//
// The reader trusts nothing: every count, length, dimension and offset is
// checked against the bytes the file has before memory is set aside for it.
// What it accepts is a subset of what llama.cpp accepts, so that a file which
// passes here fails there with an error at worst. It stands in for a library: none
// on the registries both writes such files and checks all that it reads.
package gguf

import (
	"errors"
	"io"
	"os"
)

const (
	magic            = "GGUF"
	version2         = 2
	version3         = 3
	defaultAlignment = 32
	alignmentKey     = "general.alignment"

	// maxDims, maxName and maxKey are llama.cpp's and the specification's own
	// limits; the others keep a hostile header from costing time or memory.
	maxDims      = 4
	maxName      = 63
	maxKey       = 65535
	maxAlignment = 1 << 20
	maxEntries   = 1 << 16
	maxHeader    = 512 << 20
)

// ErrFormat is wrapped by every error about a file that is not valid GGUF, as
// against one that could not be read.
var ErrFormat = errors.New("not a usable GGUF file")

// File is an open GGUF file. Its fields are read-only; reading tensors from
// several goroutines is safe.
type File struct {
	Name       string // for messages
	Version    uint32
	Size       int64 // bytes of the whole file
	Alignment  int64 // bytes
	DataOffset int64 // where the first tensor's bytes begin
	KVs        []KV  // in file order
	Tensors    []Tensor

	r      io.ReaderAt
	closer io.Closer
	byKey  map[string]int
	byName map[string]int
}

// Tensor is one tensor of a file. Dims has the contiguous dimension (columns)
// first, as ggml has it: a matrix of r rows and c columns is [c, r].
type Tensor struct {
	Name   string
	Type   Type
	Dims   []int64 // 1 to 4, each at least 1
	Offset int64   // from the beginning of the file, bytes
	Size   int64   // bytes, without padding
}

// Cols is the length of a row in elements.
func (t Tensor) Cols() int64 { return t.Dims[0] }

// Rows is the number of rows: the product of all dimensions but the first.
func (t Tensor) Rows() int64 {
	n := int64(1)
	for _, d := range t.Dims[1:] {
		n *= d
	}
	return n
}

// Open reads the header of the file at path. Errors wrap ErrFormat or the
// file system's own.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = &os.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	g, err := Read(f, st.Size(), path)
	if err != nil {
		f.Close()
		return nil, err
	}
	g.closer = f
	return g, nil
}

// Close closes the file if Open opened it.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return f.Tensors[i], true
}

// Data reads a tensor's bytes as they lie in the file.
func (f *File) Data(t Tensor) *io.SectionReader {
	return io.NewSectionReader(f.r, t.Offset, t.Size)
}

// ReadAt reads the file's bytes, as io.ReaderAt does.
func (f *File) ReadAt(b []byte, off int64) (int, error) { return f.r.ReadAt(b, off) }
