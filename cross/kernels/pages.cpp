// Memory for weights that are packed anew, in large pages where the system has them for those who
// ask: a token reads all weights once, and with pages of 4 KiB much of that is waiting for the
// tables of pages. Where there are none this changes nothing.
#include "ggml-backend-impl.h"
#include "ggml-impl.h"

#include <cstdint>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace {

constexpr uintptr_t page = 4096;

// ask is heard for memory that nothing was written to yet.
void ask(void * data, size_t size) {
#ifdef MADV_HUGEPAGE
    const uintptr_t from = ((uintptr_t) data + page - 1) & ~(page - 1), to = ((uintptr_t) data + size) & ~(page - 1);
    if (from < to) madvise((void *) from, to - from, MADV_HUGEPAGE);
#else
    GGML_UNUSED(data);
    GGML_UNUSED(size);
#endif
}

} // namespace

// In place of ggml's own in the sources for which CMakeLists.txt says so.
extern "C" void * skerry_packed_malloc(size_t size) {
    void * data = ggml_aligned_malloc(size);
    if (data) ask(data, size);
    return data;
}

extern "C" ggml_backend_buffer_t skerry_packed_buffer(ggml_backend_buffer_type_t type, size_t size) {
    ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(type, size);
    if (buffer) ask(ggml_backend_buffer_get_base(buffer), size);
    return buffer;
}
