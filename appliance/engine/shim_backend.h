// What the C files of package engine share: the CPU backend in use, with threads
// of its own.
#ifndef SKERRY_SHIM_BACKEND_H
#define SKERRY_SHIM_BACKEND_H

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"

// skerry_cpu_backend opens the CPU backend on a thread pool of its own. Free both;
// NULL where memory runs out.
ggml_backend_t skerry_cpu_backend(int threads, int poll, struct ggml_threadpool ** pool);
void skerry_pool_free(struct ggml_threadpool * pool);

#endif
