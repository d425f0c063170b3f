// Which matrices processors with AMX multiply by ggml's tiles, in place of ggml's own rule, which
// leaves out rows that are no multiple of 2,048 values. The tiles' sums are integers up to the
// block, and float32 from block to block in the order of the kernel for one row, so that a row
// comes to the same bits in a batch of any size. That was tried for the types below; the others
// stay with the kernels that processors without AMX have.
#if defined(__AMX_INT8__) && defined(__AVX512VNNI__)
#include "amx/amx.h"
#include "ggml-backend-impl.h"
#include "traits.h"

// ggml's own, under the name that CMakeLists.txt gives it; nullptr where the kernel refuses tiles.
ggml_backend_buffer_type_t skerry_amx_strict_buffer_type();

namespace {

struct matrices : ggml::cpu::extra_buffer_type {
    static bool holds(const ggml_tensor * t) { return t && t->buffer && t->buffer->buft == skerry_amx_strict_buffer_type(); }

    static bool plane(const ggml_tensor * t) { return ggml_is_contiguous(t) && t->ne[2] == 1 && t->ne[3] == 1; }

    bool supports_op(ggml_backend_dev_t, const ggml_tensor * op) override {
        const ggml_tensor * a = op->src[0], * b = op->src[1];
        if (op->op != GGML_OP_MUL_MAT || !holds(a) || !plane(a) || !plane(b)) return false;
        if (b->type != GGML_TYPE_F32 || (b->buffer && !ggml_backend_buft_is_host(b->buffer->buft))) return false;
        switch (a->type) {
            case GGML_TYPE_Q8_0: case GGML_TYPE_Q4_K: case GGML_TYPE_Q6_K: break;
            default: return false;
        }
        return a->ne[1] % 32 == 0;  // two tiles' columns
    }

    ggml::cpu::tensor_traits * get_tensor_traits(const ggml_tensor * op) override {
        return op->op == GGML_OP_MUL_MAT && holds(op->src[0]) ? (ggml::cpu::tensor_traits *) op->src[0]->extra : nullptr;
    }
};

} // namespace

ggml_backend_buffer_type_t ggml_backend_amx_buffer_type() {
    static const ggml_backend_buffer_type_t type = [] {
        ggml_backend_buffer_type_t t = skerry_amx_strict_buffer_type();
        if (t) t->context = new matrices;
        return t;
    }();
    return type;
}

#endif
