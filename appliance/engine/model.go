package engine

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"unsafe"
)

// loadMu serializes loading, so that what llama.cpp logs belongs to one file, and freeing with it.
var loadMu sync.Mutex

// model is a loaded GGUF, shared by the stage, its vocabulary and its exit
// heads, and freed with the last of them.
type model struct {
	c    *C.struct_llama_model
	path string
	refs atomic.Int32
}

func loadModel(path string, gpuLayers int, vocabOnly bool) (*model, error) {
	Init("")
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	loadMu.Lock()
	defer loadMu.Unlock()
	lastError("") // what an earlier call left behind
	loading = newLoad(path)
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	c := C.skerry_model_load(p, C.int(gpuLayers), C.bool(vocabOnly))
	if c == nil {
		return nil, errorf(path, "llama.cpp cannot load it: %w", lastError("no reason given"))
	}
	loading.drop()
	m := &model{c: c, path: path}
	m.refs.Store(1)
	return m, nil
}

func (m *model) retain() *model { m.refs.Add(1); return m }

func (m *model) release() {
	if m.refs.Add(-1) == 0 {
		// A load under way drops pages of its file's mappings by their addresses, which may be
		// somebody else's memory once they are unmapped.
		loadMu.Lock()
		defer loadMu.Unlock()
		C.llama_model_free(m.c)
		trim()
	}
}

// meta returns the value of a metadata key as text, "" where it is missing.
func (m *model) meta(key string) string {
	k := C.CString(key)
	defer C.free(unsafe.Pointer(k))
	var buf [512]C.char
	if C.llama_model_meta_val_str(m.c, k, &buf[0], C.size_t(len(buf))) < 0 {
		return ""
	}
	return C.GoString(&buf[0])
}

// normEpsilon is the RMS norm's epsilon, which llama.cpp reads from the same key.
func (m *model) normEpsilon() (float32, error) {
	key := m.meta("general.architecture") + ".attention.layer_norm_rms_epsilon"
	v, err := strconv.ParseFloat(m.meta(key), 32)
	if err != nil {
		return 0, errorf(m.path, "no %s: exit heads need an RMS norm", key)
	}
	return float32(v), nil
}

// headLength is the length of a key and of a value, which need not share out the
// width among the heads.
func (m *model) headLength() int64 {
	v, err := strconv.ParseInt(m.meta(m.meta("general.architecture")+".attention.key_length"), 10, 64)
	if err != nil {
		return int64(C.llama_model_n_embd(m.c) / max(1, C.llama_model_n_head(m.c)))
	}
	return v
}

// identity names the blocks whose KV cache this is, so that an export is only
// imported where it belongs.
func (m *model) identity() string {
	return fmt.Sprintf("%s %d %d %s %s-%s", m.meta("general.architecture"), C.llama_model_n_layer(m.c),
		C.llama_model_n_embd(m.c), m.meta("skerry.source_sha256"), m.meta("skerry.from"), m.meta("skerry.to"))
}
