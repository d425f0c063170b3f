package infer

import (
	"context"
	"io"
)

// Library is where the models of a board are kept. Its methods may be called concurrently;
// errors are an *Error where a client can do something about it: NoModel for a name or a file
// that is not here, Conflict for what is in use or a name that another model has.
type Library interface {
	// Delete removes a model under one of its names; its files go with the last of them.
	Delete(ctx context.Context, name string) error
	// Copy gives a model a further name.
	Copy(ctx context.Context, from, to string) error
	// Create makes a model under a name, calling progress as it goes.
	Create(ctx context.Context, c Creation, progress func(Progress)) error
	// HasBlob says whether a file of that digest, as sha256:HEX, is here, PutBlob takes one
	// in, of so many bytes (-1: not known).
	HasBlob(digest string) (bool, error)
	PutBlob(ctx context.Context, digest string, size int64, r io.Reader) error
}

// Creation is a model that is to be made: of From, which is here, or of the uploaded GGUF of
// Digest, which its sender calls File.
type Creation struct {
	Name, From   string
	Digest, File string
	Quantize     string // q4_0 or q8_0, "" for what suits
	NoDraft      bool   // leave out the model that would draft for it
	Projector    string // digest of the uploaded file by which it reads images, "" for none
}
