//go:build system_llama

package engine

import "errors"

// encoder is none: an installed libllama brings no mtmd that this program knows.
type encoder struct{}

var errNoMtmd = errors.New("this program was built with -tags system_llama, without llama.cpp's mtmd: use one that was not, or send text only")

func openEncoder(path string, _ *model, _ int) (*encoder, error) {
	return nil, errorf(path, "%w", errNoMtmd)
}

func (*encoder) close() {}

func (*encoder) encode(Pixels) ([]int32, []float32, error) { return nil, nil, errNoMtmd }
