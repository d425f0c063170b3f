// What a library of kernels makes of one row and of several at a time, on the processor it runs on:
//
//   rows LIBRARY equal              whether rows, alone and together, come to the bits that ggml's
//                                   own kernel of one row makes of them
//   rows LIBRARY time [COLUMNS]     what a product of 1 to 8 rows takes, in ms of processor time: of
//                                   one row by ggml's kernel, of one by the library and its share of
//                                   that, then of more, with m of each
//   rows LIBRARY score [denied]     how well it suits the processor; where the system denies tiles, too
//   rows LIBRARY once TYPE ROWS N   N products of so many rows by 1,536 values in as many columns, for
//                                   counting instructions; of one row by ggml's kernel if ROWS is 0
//
// ggml's kernel of one row is what computes products by an expert of several, as kernels of our
// own leave those to it, unless weights are packed in another way for experts, as for AMX: one row
// is then ggml's own anyway.
//
// LIBRARY is a libggml-cpu-....so, which has libggml-base beside it. Weights are random, and
// re-ordered where the library does that for models. Exits 1 where rows differ or are far from
// products of what the weights stand for, 3 where the
// library is for another processor.
#include "ggml.h"
#include "ggml-backend.h"
#include "ggml-alloc.h"

#include <dlfcn.h>
#ifdef __x86_64__
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <string>
#include <vector>

static const ggml_type types[] = { GGML_TYPE_Q4_K, GGML_TYPE_Q6_K, GGML_TYPE_Q4_0, GGML_TYPE_Q8_0 };

[[noreturn]] static void fail(const std::string & what) {
    fprintf(stderr, "rows: %s\n", what.c_str());
    exit(2);
}

// A library's device, with one thread.
struct device {
    ggml_backend_dev_t  dev;
    ggml_backend_t      backend;
    ggml_backend_buffer_type_t * extra;  // types of memory in which weights are re-ordered, up to NULL

    explicit device(const char * path) {
        void * lib = dlopen(path, RTLD_NOW);
        if (!lib) fail(dlerror());
        auto score = (int (*)()) dlsym(lib, "ggml_backend_score");
        if (score && score() == 0) {
            fprintf(stderr, "rows: %s is for another processor\n", path);
            exit(3);
        }
        auto init = (ggml_backend_reg_t (*)()) dlsym(lib, "ggml_backend_init");
        ggml_backend_reg_t reg = init ? init() : nullptr;
        if (!reg) fail(std::string(path) + " has no kernels");
        dev = ggml_backend_reg_dev_get(reg, 0);
        backend = ggml_backend_dev_init(dev, nullptr);
        ((ggml_backend_set_n_threads_t) ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads"))(backend, 1);
        extra = ((ggml_backend_dev_get_extra_bufts_t) ggml_backend_reg_get_proc_address(reg, "ggml_backend_dev_get_extra_bufts"))(dev);
    }
};

// processor_time is this thread's, in ms, which is the only one that computes.
static double processor_time() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double) t.tv_sec * 1e3 + (double) t.tv_nsec * 1e-6;
}

static std::vector<float> random_rows(int64_t k, int64_t n, unsigned seed) {
    std::vector<float> x((size_t) (k * n));
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (float & v : x) v = normal(random);
    return x;
}

// Weights of k values by m columns, of which an expert is one of two that are alike.
struct weights {
    device &              on;
    int64_t               k, m;
    bool                  expert;
    ggml_context *        ctx;
    ggml_tensor *         w;
    ggml_backend_buffer_t buffer = nullptr;
    std::vector<float>    means;  // what the columns that differ stand for

    int64_t differing() const { return std::min<int64_t>(m, 96); }  // columns, which are repeated

    weights(device & d, ggml_type type, int64_t k, int64_t m, bool expert = false) : on(d), k(k), m(m), expert(expert) {
        ctx = ggml_init({ ggml_tensor_overhead() * 4, nullptr, true });
        w = expert ? ggml_new_tensor_3d(ctx, type, k, m, 2) : ggml_new_tensor_2d(ctx, type, k, m);
        const std::vector<float> x = random_rows(k, differing(), 7);
        std::vector<char> q(ggml_nbytes(w));
        const size_t some = ggml_quantize_chunk(type, x.data(), q.data(), 0, differing(), k, nullptr);
        means.resize(x.size());
        ggml_get_type_traits(type)->to_float(q.data(), means.data(), k * differing());
        for (size_t i = some; i < q.size(); i++) q[i] = q[i - some];
        for (auto t = on.extra; t && *t && !buffer; t++) {
            if (takes(*t)) buffer = ggml_backend_alloc_ctx_tensors_from_buft(ctx, *t);
        }
        if (!buffer) buffer = ggml_backend_alloc_ctx_tensors(ctx, on.backend);
        ggml_backend_tensor_set(w, q.data(), 0, q.size());
    }
    ~weights() { ggml_backend_buffer_free(buffer); ggml_free(ctx); }
    weights(const weights &) = delete;

    // far counts which of n rows' products y are not those of x with what the weights stand for,
    // but for the rounding of x to eight bits.
    int64_t far(const float * x, int64_t n, const std::vector<float> & y) const {
        int64_t bad = 0;
        for (int64_t c = 0; c < m; c++) {
            const float * v = means.data() + c % differing() * k;
            for (int64_t r = 0; r < n; r++) {
                double sum = 0, squares = 0;
                for (int64_t i = 0; i < k; i++) sum += (double) v[i] * x[r * k + i], squares += (double) v[i] * v[i];
                bad += !(std::abs(y[(size_t) (r * m + c)] - sum) < 0.1 * std::sqrt(squares));
            }
        }
        return bad;
    }

    bool packed_like(const weights & o) const { return ggml_backend_buffer_get_type(buffer) == ggml_backend_buffer_get_type(o.buffer); }

    bool takes(ggml_backend_buffer_type_t t) {
        ggml_context * c = ggml_init({ ggml_tensor_overhead() * 4, nullptr, true });
        ggml_tensor * op = product(c, 1).out;
        w->buffer = ggml_backend_buft_alloc_buffer(t, 0);
        const bool yes = ggml_backend_dev_supports_op(on.dev, op);
        ggml_backend_buffer_free(w->buffer);
        w->buffer = nullptr;
        ggml_free(c);
        return yes;
    }

    // A product by n rows, of which each asks for its expert by number.
    struct node { ggml_tensor * in, * numbers, * out; };
    node product(ggml_context * c, int64_t n) {
        if (!expert) {
            ggml_tensor * in = ggml_new_tensor_2d(c, GGML_TYPE_F32, k, n);
            return { in, nullptr, ggml_mul_mat(c, w, in) };
        }
        ggml_tensor * in = ggml_new_tensor_3d(c, GGML_TYPE_F32, k, 1, n), * numbers = ggml_new_tensor_2d(c, GGML_TYPE_I32, 1, n);
        return { in, numbers, ggml_mul_mat_id(c, w, in, numbers) };
    }

    // by multiplies by n rows of x times times and returns the products and the milliseconds of
    // the fastest.
    double by(const float * x, int64_t n, int times, std::vector<float> & to) {
        ggml_context * c = ggml_init({ ggml_tensor_overhead() * 8 + ggml_graph_overhead(), nullptr, true });
        const node p = product(c, n);
        ggml_cgraph * graph = ggml_new_graph(c);
        ggml_build_forward_expand(graph, p.out);
        ggml_backend_buffer_t b = ggml_backend_alloc_ctx_tensors(c, on.backend);
        ggml_backend_tensor_set(p.in, x, 0, ggml_nbytes(p.in));
        if (p.numbers) ggml_backend_tensor_memset(p.numbers, 0, 0, ggml_nbytes(p.numbers));
        double least = 1e9;
        for (int i = 0; i < times; i++) {
            const double start = processor_time();
            if (ggml_backend_graph_compute(on.backend, graph) != GGML_STATUS_SUCCESS) fail("a product failed");
            least = std::min(least, processor_time() - start);
        }
        to.resize((size_t) (m * n));
        ggml_backend_tensor_get(p.out, to.data(), 0, ggml_nbytes(p.out));
        ggml_backend_buffer_free(b);
        ggml_free(c);
        return least;
    }
};

static int equal(device & d) {
    const int64_t most = 49;
    // Tiles take columns by 32, and other kernels what is no multiple of that.
    const struct { int64_t k, columns; } shapes[] = { { 256, 72 }, { 768, 72 }, { 1792, 72 }, { 256, 96 }, { 768, 96 }, { 2048, 32 } };
    int bad = 0;
    for (ggml_type type : types) {
        for (auto [k, columns] : shapes) {
            weights w(d, type, k, columns), ggml(d, type, k, columns, true);
            const std::vector<float> x = random_rows(k, most, 11);
            std::vector<float> want, got;
            if (ggml.packed_like(w)) ggml.by(x.data(), most, 1, want);
            for (int64_t r = 0; want.size() < (size_t) (most * columns); r++) {
                w.by(x.data() + r * k, 1, 1, got);
                want.insert(want.end(), got.begin(), got.end());
            }
            const int64_t far = w.far(x.data(), most, want);
            if (far) printf("%s of %d by %d: %d of %d values are far off\n", ggml_type_name(type), (int) k, (int) columns, (int) far, (int) want.size());
            bad += far != 0;
            auto compare = [&, k = k, columns = columns](int64_t first, int64_t n) {
                w.by(x.data() + first * k, n, 1, got);
                int differ = 0;
                for (size_t i = 0; i < got.size(); i++) differ += memcmp(&got[i], &want[(size_t) (first * columns) + i], sizeof(float)) != 0;
                if (differ) printf("%s of %d by %d: %d of %d values of %d rows from %d on differ\n", ggml_type_name(type), (int) k, (int) columns, differ, (int) got.size(), (int) n, (int) first);
                bad += differ != 0;
            };
            for (int64_t r = 0; r < most; r++) compare(r, 1);
            for (int64_t n : { 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 19, 33, 49 }) compare(0, n);
        }
        printf("%s: done\n", ggml_type_name(type));
    }
    return bad != 0;
}

static void time_rows(device & d, int64_t m) {
    const int64_t k = 1536;
    const std::vector<float> x = random_rows(k, 64, 11);
    std::vector<float> y;
    for (ggml_type type : types) {
        weights w(d, type, k, m), ggml(d, type, k, m, true);
        // By turns, as what else runs slows down what is measured meanwhile.
        double before = 1e9, one = 1e9;
        for (int i = 0; i < 5; i++) {
            before = std::min(before, ggml.by(x.data(), 1, 10, y));
            one = std::min(one, w.by(x.data(), 1, 10, y));
        }
        printf("%s: %.3f, %.3f %.2f", ggml_type_name(type), before, one, one / before);
        for (int64_t n : { 2, 3, 4, 5, 6, 7, 8, 64 }) {
            const double ms = w.by(x.data(), n, 30, y);
            printf("  %d: %.3f m %.2f", (int) n, ms, (ms / one - 1) / (double) (n - 1));
        }
        printf("\n");
    }
}

// score prints how well the library at path suits the processor, where no process may ask for tiles
// if they are denied.
static int score(const char * path, bool denied) {
#ifdef __x86_64__
    sock_filter refuse[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),  // the number of the system call
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 16),  // its first argument
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x1023, 0, 1),  // ARCH_REQ_XCOMP_PERM
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program = { sizeof refuse / sizeof *refuse, refuse };
    if (denied && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)) fail("no filter can be set");
#else
    if (denied) fail("no other processor has tiles");
#endif
    void * lib = dlopen(path, RTLD_NOW);
    if (!lib) fail(dlerror());
    auto f = (int (*)()) dlsym(lib, "ggml_backend_score");
    printf("%d\n", f ? f() : -1);
    return 0;
}

int main(int argc, char ** argv) {
    if (argc < 3) fail("usage: rows LIBRARY equal | time [COLUMNS] | score [denied] | once TYPE ROWS N");
    const std::string what = argv[2];
    if (what == "score") return score(argv[1], argc > 3);
    device d(argv[1]);
    if (what == "equal") return equal(d);
    if (what == "time") {
        time_rows(d, argc > 3 ? atoi(argv[3]) : 1536);
        return 0;
    }
    if (what == "once" && argc > 5) {
        for (ggml_type type : types) {
            if (strcmp(ggml_type_name(type), argv[3]) != 0) continue;
            const int64_t k = 1536, rows = atoi(argv[4]), n = std::max<int64_t>(rows, 1);
            weights w(d, type, k, k, rows == 0);
            std::vector<float> y;
            w.by(random_rows(k, n, 11).data(), n, atoi(argv[5]), y);
            return 0;
        }
    }
    fail("what is to be done?");
}
