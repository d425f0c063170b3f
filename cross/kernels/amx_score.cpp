// How well a library with AMX suits the processor: not at all where the system keeps tiles from the
// process. This is compiled without the library's instructions, as it is asked on every processor.
#include "ggml-backend-impl.h"

#include <sys/syscall.h>
#include <unistd.h>

extern "C" {
int skerry_score_by_cpuid(void);
GGML_BACKEND_API int ggml_backend_score(void);
}

int ggml_backend_score(void) {
    const int score = skerry_score_by_cpuid();
    const long request = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    if (score == 0 || syscall(SYS_arch_prctl, request, tile_data) != 0) return 0;
    return score;
}
