package engine

/*
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Requantize converts rows of cols values each from one ggml type to another
// through float32. Types are ggml's codes. It fails where cols is not a multiple
// of a type's block, or where a type cannot be converted.
func Requantize(dst, src int32, cols int, data []byte) ([]byte, error) {
	Init("")
	from, to := int(C.skerry_row_size(C.int(src), C.int64_t(cols))), int(C.skerry_row_size(C.int(dst), C.int64_t(cols)))
	if from <= 0 || to <= 0 {
		return nil, fmt.Errorf("requantize: no whole blocks of type %d or %d in a row of %d values", src, dst, cols)
	}
	rows := len(data) / from
	if rows == 0 || rows*from != len(data) {
		return nil, fmt.Errorf("requantize: %d bytes are no rows of %d", len(data), from)
	}
	out := make([]byte, rows*to)
	n := C.skerry_requantize(C.int(dst), C.int(src), C.int64_t(rows), C.int64_t(cols), pointer(data), pointer(out))
	if int(n) != len(out) {
		return nil, fmt.Errorf("requantize: type %d to %d is not supported", src, dst)
	}
	return out, nil
}

func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(&b[0]) }
