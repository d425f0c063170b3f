package engine

/*
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

// skerry_drop takes the pages of a file's mapping out of memory; whoever reads there has them again.
static int skerry_drop(uintptr_t at, size_t bytes) { return madvise((void *)at, bytes, MADV_DONTNEED); }

// skerry_trim gives back to the system what was freed.
static void skerry_trim(void) {
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}
*/
import "C"

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// This file is about what a model keeps resident: of weights that were repacked for the processor's
// kernels the copy alone, and of a model that is gone nothing.

// repackedShare of what was read of a file is what anonymous memory grows by at least where its
// weights are repacked as it is loaded; a vocabulary is less.
const repackedShare = 0.25

// loading is the load under way; guarded by loadMu.
var loading *load

// load is one of a model's file.
type load struct {
	path   string
	size   int64
	others []mapping // of the file that were there before, which others use and may unmap
	before int64     // anonymous memory before the first of its weights, behind the vocabulary
	looked float32   // how far it was when it was last looked at
	begun  bool
}

func newLoad(path string) *load {
	l := &load{path: path}
	if st, err := os.Stat(path); err == nil {
		l.size = st.Size()
	}
	l.others = l.mapped()
	return l
}

// lookEvery is after how much of a load it is looked at again.
const lookEvery = 0.04

//export skerryLoading
func skerryLoading(progress C.float) {
	switch l := loading; {
	case !l.begun:
		l.before, l.begun = anonymous(), true
	case float32(progress)-l.looked >= lookEvery:
		l.looked = float32(progress)
		l.drop()
	}
}

// drop takes the mapped weights of the file out of memory, where those so far were repacked. What is
// used of them as it is comes back from the page cache with its first use.
func (l *load) drop() {
	read := float64(l.size) * float64(max(l.looked, lookEvery))
	if l.size == 0 || !l.begun || float64(anonymous()-l.before) < repackedShare*read {
		return
	}
	for _, r := range l.mapped() {
		if !slices.ContainsFunc(l.others, r.overlaps) {
			C.skerry_drop(C.uintptr_t(r.from), C.size_t(r.to-r.from))
		}
	}
}

// mapped is where the file is mapped now.
func (l *load) mapped() []mapping {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil
	}
	return mappings(maps, l.path)
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

func (m mapping) overlaps(o mapping) bool { return m.from < o.to && o.from < m.to }

// mappings of a file, of which nothing can be written to, in /proc/self/maps.
func mappings(maps []byte, path string) (all []mapping) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	for line := range bytes.Lines(maps) {
		f := bytes.Fields(line)
		if len(f) < 6 || !bytes.HasPrefix(f[1], []byte("r-")) {
			continue
		}
		at := bytes.Index(line, f[5]) // names may have spaces
		if string(bytes.TrimSuffix(line[at:], []byte("\n"))) != path {
			continue
		}
		low, high, _ := bytes.Cut(f[0], []byte("-"))
		from, err1 := strconv.ParseUint(string(low), 16, 64)
		to, err2 := strconv.ParseUint(string(high), 16, 64)
		if err1 == nil && err2 == nil && from < to {
			all = append(all, mapping{uintptr(from), uintptr(to)})
		}
	}
	return all
}

// anonymous is the memory of this process that is no file's, in bytes; 0 where the system does not
// say.
func anonymous() int64 {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range bytes.Lines(text) {
		if kB, ok := bytes.CutPrefix(line, []byte("RssAnon:")); ok {
			n, _ := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(kB), []byte("kB")))), 10, 64)
			return n << 10
		}
	}
	return 0
}

// trim gives back to the system what the C side has freed.
func trim() { C.skerry_trim() }
