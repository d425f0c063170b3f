// Package bundle knows what a model prepared for Skerry is: its manifest and the roles
// of its files, which models are admitted, and whether a bundle is whole.
//
// A bundle is a directory. board-1.gguf has blocks [0,e1) and the embedding,
// board-2.gguf blocks [e1,e2), cloud.gguf blocks [e1,N) and the model's head,
// unsplit.gguf the whole model, draft.gguf perhaps a smaller one; manifest.json names
// them all by sha256. Each is a file llama.cpp loads by itself. A bundle is complete or
// not there: it is written beside its place and renamed.
//
// Models and bundles are fetched by package fetch, bundles made by package split, exit
// heads fitted by package calibrate and kept by package heads.
//
// No C code is used here. What passes Check is meant to be safe to hand to
// llama.cpp, which aborts the process over some of what is refused.
package bundle
