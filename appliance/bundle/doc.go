// Package bundle prepares models for Skerry: it fetches a GGUF file, checks it,
// splits it into one GGUF per stage with a manifest, and opens what it wrote.
//
// A bundle is a directory. board-1.gguf has blocks [0,e1) and the embedding,
// board-2.gguf blocks [e1,e2), cloud.gguf blocks [e1,N) and the model's head,
// unsplit.gguf the whole model; manifest.json names them all by sha256. Each is
// a file llama.cpp loads by itself. A bundle is complete or not there: it is
// written beside its place and renamed.
//
// No C code is used here. What passes Check is meant to be safe to hand to
// llama.cpp, which aborts the process over some of what is refused.
package bundle
