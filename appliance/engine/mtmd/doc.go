//go:build system_llama

// Package mtmd is empty where an installed libllama is linked: its images are not.
package mtmd
