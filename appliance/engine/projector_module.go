//go:build !system_llama

package engine

/*
#cgo CPPFLAGS: -I${SRCDIR}/mtmd
#include <stdlib.h>
#include "projector.h"
*/
import "C"

import (
	"errors"
	"os"
	"slices"
	"unsafe"

	_ "skerry/appliance/engine/mtmd" // links what projector.h declares
)

// encoder is a projector of mtmd. It is used by one goroutine at a time.
type encoder struct {
	c    *C.struct_skerry_projector
	m    *model
	path string
}

func openEncoder(path string, m *model, threads int) (*encoder, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	loadMu.Lock()
	defer loadMu.Unlock()
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	var why [512]C.char
	c := C.skerry_projector_open(p, m.c, C.int(threads), &why[0], C.size_t(len(why)))
	if c == nil {
		return nil, errorf(path, "it is no projector for this model: %s", firstLine(C.GoString(&why[0])))
	}
	return &encoder{c: c, m: m.retain(), path: path}, nil
}

func (e *encoder) close() {
	C.skerry_projector_free(e.c)
	e.m.release()
}

// encode makes the tokens of an image, of which -1 stand for the rows.
func (e *encoder) encode(px Pixels) (tokens []int32, rows []float32, err error) {
	var why [512]C.char
	var out C.struct_skerry_image
	if !C.skerry_projector_encode(e.c, C.uint32_t(px.Width), C.uint32_t(px.Height), (*C.uint8_t)(&px.RGB[0]), &out, &why[0], C.size_t(len(why))) {
		return nil, nil, errorf(e.path, "the image cannot be used: %s", firstLine(C.GoString(&why[0])))
	}
	if out.n == 0 || out.n_rows == 0 {
		return nil, nil, errorf(e.path, "the image cannot be used: %w", errors.New("it became no rows"))
	}
	tokens = slices.Clone(unsafe.Slice((*int32)(out.tokens), int(out.n)))
	rows = slices.Clone(unsafe.Slice((*float32)(out.rows), int(out.n_rows)*int(C.llama_model_n_embd(e.m.c))))
	return tokens, rows, nil
}
