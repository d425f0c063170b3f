// Package drafttest gives bundles a draft for tests. It is apart from package bundletest,
// which the tests inside package bundle import too.
package drafttest

import (
	"os"
	"path/filepath"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
)

// Add puts a copy of the model file draft into the bundle in dir as its draft, which the
// manifest describes as a model of the bundle's own shape unless change says otherwise. It
// returns the manifest as it is written.
func Add(t testing.TB, dir, draft string, change ...func(*bundle.Draft)) *bundle.Manifest {
	t.Helper()
	m, err := bundle.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(draft)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, bundle.DraftModel.File())
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	sum, err := disk.HashFile(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Format = bundle.FormatDraft
	m.Draft = &bundle.Draft{File: bundle.DraftModel.File(), Bytes: int64(len(text)), SHA256: sum, Name: "small", Source: "small.gguf",
		Architecture: m.Architecture, Blocks: m.Blocks, Embedding: m.Embedding, Vocab: m.Vocab, ContextLength: m.ContextLength, Tokens: m.Vocab}
	for _, f := range change {
		f(m.Draft)
	}
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
	return m
}
