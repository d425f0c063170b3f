//go:build !system_llama

// Package mtmd compiles the part of llama.cpp that turns images into input embeddings
// (tools/mtmd of the module's sources, without what reads files and sound), and a thin
// layer over it for package engine. It has no Go of its own.
package mtmd

/*
#cgo CXXFLAGS: -std=c++17
#cgo CPPFLAGS: -I${SRCDIR}/../.include/llama/../tools/mtmd -I${SRCDIR}/../.include/llama -I${SRCDIR}/../.include/ggml
*/
import "C"

import _ "github.com/ollama/ollama/llama/llama.cpp/src" // links llama.cpp and ggml
