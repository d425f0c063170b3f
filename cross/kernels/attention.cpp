// Flash attention over tiles of the KV cache, in place of ggml's, which reads the cache
// anew for each row of queries and takes one position at a time. A tile is converted to
// float32 once for all rows that read it: those of a block of tokens, and of the query
// heads that share a KV head.
//
// What a row comes to does not depend on the rows beside it nor on the threads: tiles and
// chunks lie at fixed cells, each sum runs in one order, and a tile whose cells are all
// masked for a row changes nothing of it. Drafts are verified, prompts are cut into
// batches and prefixes are restored on that ground. Nor does it depend on what a masked cell
// holds, be that not a number: a score is masked by choosing, not by adding alone, and sums
// that come out as no numbers are made again without the values of masked cells.
#include "ggml-cpu-impl.h"
#include "ggml-cpu.h"
#include "each.h"
extern "C" void ggml_compute_forward_flash_attn_ext(const ggml_compute_params * params, ggml_tensor * dst);

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <vector>

// ggml's own, under the name that CMakeLists.txt gives it, for what is left out here.
extern "C" void skerry_flash_attn_by_position(const ggml_compute_params * params, ggml_tensor * dst);

namespace {

#if defined(__AVX512F__)
constexpr int lanes = 16, wide = 4;
#elif defined(__AVX__)
constexpr int lanes = 8, wide = 2;
#elif defined(__aarch64__)
constexpr int lanes = 4, wide = 4;
#else
constexpr int lanes = 4, wide = 2;
#endif

typedef float    vec __attribute__((vector_size(lanes * 4)));
typedef int32_t  ivec __attribute__((vector_size(lanes * 4)));
typedef uint32_t uvec __attribute__((vector_size(lanes * 4)));
typedef float    quad __attribute__((vector_size(16)));

constexpr int     tile    = 64;   // cells converted at a time
constexpr int64_t chunk   = 256;  // cells whose sums are made apart and then merged
constexpr int     most    = 6;    // rows that share what is loaded of a tile
constexpr int64_t block   = 96;   // rows of a unit of work, about
constexpr int64_t few     = 24;   // rows below which units are not made smaller
constexpr int     ahead   = 64;   // cells that are fetched before they are converted
constexpr int64_t partial = 256;  // rows up to which chunks go to threads of their own

template <class V> inline V load(const float * p) { V v; memcpy(&v, p, sizeof v); return v; }
template <class V> inline void store(float * p, V v) { memcpy(p, &v, sizeof v); }

// exp_of is e^x for x <= 0, to about an ulp, by Cephes' polynomial; 0 below -87.
inline vec exp_of(vec x) {
    const vec  none = {}, low = none - 87.0f;
    const ivec gone = x < low;
    x = gone ? low : x;
    const vec  z = x * 1.44269504f + 12582912.0f;
    const vec  n = z - 12582912.0f;
    const vec  r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    uvec bits;
    memcpy(&bits, &z, sizeof bits);
    bits = (bits + 127) << 23;
    vec two;
    memcpy(&two, &bits, sizeof two);
    p *= two;
    return gone ? none : p;
}

inline float sum_of(vec v) {
    float a[lanes];
    memcpy(a, &v, sizeof a);
    for (int w = lanes / 2; w > 0; w /= 2) for (int i = 0; i < w; i++) a[i] += a[i + w];
    return a[0];
}

inline float max_of(vec v) {
    float a[lanes];
    memcpy(a, &v, sizeof a);
    for (int w = lanes / 2; w > 0; w /= 2) for (int i = 0; i < w; i++) a[i] = a[i] > a[i + w] ? a[i] : a[i + w];
    return a[0];
}

// What the operation is about, the same for all threads.
struct problem {
    const ggml_tensor * q, * k, * v, * mask, * sinks;
    ggml_tensor *       dst;
    int64_t dk, dv, tokens, cells, heads, kv_heads, streams, group;
    float   scale, max_bias, softcap;
    int64_t span;  // tokens of a unit

    int64_t spans() const { return (tokens + span - 1) / span; }
    int64_t units() const { return streams * kv_heads * spans(); }
    int64_t chunks() const { return (cells + chunk - 1) / chunk; }
};

// A unit is some tokens' rows of the query heads that share a KV head: row r is of token
// first + r / group and head kv_head * group + r % group.
struct unit {
    int64_t stream, kv_head, first, rows;
};

unit unit_of(const problem & a, int64_t i) {
    const int64_t first = i % a.spans() * a.span;
    i /= a.spans();
    return { i / a.kv_heads, i % a.kv_heads, first, std::min(a.span, a.tokens - first) * a.group };
}

// The weighted sum of values [rows][dv], the largest score and the sum of weights of some
// of the cells.
struct sums {
    float * o, * m, * s;
};

size_t sums_size(const problem & a, int64_t rows) { return (size_t) (rows * (a.dv + 2)); }

sums sums_at(const problem & a, float * p, int64_t rows) { return { p, p + rows * a.dv, p + rows * (a.dv + 1) }; }

void clear(const problem & a, sums x, int64_t rows) {
    std::fill(x.o, x.o + rows * a.dv, 0.0f);
    std::fill(x.m, x.m + rows, -INFINITY);
    std::fill(x.s, x.s + rows, 0.0f);
}

// merge adds the cells of y, which follow those of x, to row r of x.
void merge(const problem & a, sums x, sums y, int64_t r) {
    if (y.m[r] == -INFINITY) return;
    const float m = std::max(x.m[r], y.m[r]);
    const float f = expf(x.m[r] - m), g = expf(y.m[r] - m);
    for (int64_t d = 0; d < a.dv; d++) x.o[r * a.dv + d] = x.o[r * a.dv + d] * f + y.o[r * a.dv + d] * g;
    x.s[r] = x.s[r] * f + y.s[r] * g;
    x.m[r] = m;
}

struct memory;

// What a thread computes in.
struct scratch {
    struct memory * memory;
    float * q, * rows, * kt, * v, * mask, * total, * part;
};

float * take(float *& p, int64_t n) {
    float * at = p;
    p += (n + 15) / 16 * 16;
    return at;
}

// Memory is kept from one operation to the next by all threads together: who calls for a
// computation is on another thread every time, of which each would keep its own.
struct memory {
    std::vector<float> buf;
    std::atomic<int>   users{0};  // threads that have not yet left it, where several share it
};

// Both begin as constants: what a constructor does as the library is loaded, to be asked whether
// it suits, may be more than the processor can. Spare is never freed, since others may compute
// while the process ends.
std::mutex              spare_mu;  // guards spare
std::vector<memory *> * spare;

// borrow returns memory for n floats: of what is spare the least that does, or the largest,
// made larger. leave gives it back.
memory * borrow(size_t n) {
    memory * m = nullptr;
    {
        std::lock_guard<std::mutex> hold(spare_mu);
        if (!spare) spare = new std::vector<memory *>;
        auto best = spare->end();
        for (auto i = spare->begin(); i != spare->end(); ++i) {
            if (best == spare->end()) { best = i; continue; }
            const size_t x = (*i)->buf.size(), y = (*best)->buf.size();
            if (y < n + 16 ? x > y : x >= n + 16 && x < y) best = i;
        }
        if (best != spare->end()) {
            m = *best;
            spare->erase(best);
        }
    }
    if (!m) m = new memory;
    if (m->buf.size() < n + 16) {
        std::vector<float>().swap(m->buf);  // before there is more: nothing of it is wanted
        m->buf.resize(n + 16);
    }
    return m;
}

void leave(memory * m) {
    std::lock_guard<std::mutex> hold(spare_mu);
    spare->push_back(m);
}

float * aligned(memory * m) { return (float *) (((uintptr_t) m->buf.data() + 63) & ~(uintptr_t) 63); }

scratch scratch_of(const problem & a) {
    const int64_t rows = a.span * a.group;
    scratch w;
    w.memory = borrow((size_t) (rows * a.dk + 2 * tile * a.dk + tile * a.dv + a.span * tile) + 2 * sums_size(a, rows) + 7 * 16);
    float * p = aligned(w.memory);
    w.q     = take(p, rows * a.dk);
    w.rows  = take(p, tile * a.dk);
    w.kt    = take(p, tile * a.dk);
    w.v     = take(p, tile * a.dv);
    w.mask  = take(p, a.span * tile);
    w.total = take(p, (int64_t) sums_size(a, rows));
    w.part  = take(p, (int64_t) sums_size(a, rows));
    return w;
}

void to_float(const ggml_tensor * t, const char * from, float * to, int64_t n) {
    switch (t->type) {
        case GGML_TYPE_F32: memcpy(to, from, (size_t) n * sizeof *to); break;
        case GGML_TYPE_F16: ggml_cpu_fp16_to_fp32((const ggml_fp16_t *) from, to, n); break;
        default:            ggml_get_type_traits(t->type)->to_float(from, to, n);
    }
}

// load_tile converts n cells of a KV head from first on: keys to kt [dk][tile], values to
// v [tile][dv].
void load_tile(const problem & a, const scratch & w, const unit & u, int64_t first, int n) {
    const int64_t sk = u.stream / (a.streams / a.k->ne[3]), sv = u.stream / (a.streams / a.v->ne[3]);
    const char * k = (const char *) a.k->data + u.kv_head * a.k->nb[2] + sk * a.k->nb[3];
    const char * v = (const char *) a.v->data + u.kv_head * a.v->nb[2] + sv * a.v->nb[3];
    const int64_t bytes_k = (int64_t) ggml_row_size(a.k->type, a.dk), bytes_v = (int64_t) ggml_row_size(a.v->type, a.dv);
    for (int j = 0; j < n; j++) {
        if (first + j + ahead < a.cells) {
            for (int64_t b = 0; b < bytes_k; b += 64) __builtin_prefetch(k + (first + j + ahead) * a.k->nb[1] + b);
            for (int64_t b = 0; b < bytes_v; b += 64) __builtin_prefetch(v + (first + j + ahead) * a.v->nb[1] + b);
        }
        to_float(a.k, k + (first + j) * a.k->nb[1], w.rows + j * a.dk, a.dk);
        to_float(a.v, v + (first + j) * a.v->nb[1], w.v + j * a.dv, a.dv);
    }
    const int whole = (n + 3) / 4 * 4;
    std::fill(w.rows + n * a.dk, w.rows + whole * a.dk, 0.0f);
    std::fill(w.v + n * a.dv, w.v + tile * a.dv, 0.0f);
    for (int64_t d = 0; d < a.dk; d += 4) {
        for (int i = 0; i < 4; i++) std::fill(w.kt + (d + i) * tile + whole, w.kt + (d + i + 1) * tile, 0.0f);
        for (int j = 0; j < whole; j += 4) {
            const float * p = w.rows + j * a.dk + d;
            const quad x = load<quad>(p), y = load<quad>(p + a.dk), z = load<quad>(p + 2 * a.dk), t = load<quad>(p + 3 * a.dk);
            const quad xy = __builtin_shufflevector(x, y, 0, 4, 1, 5), zt = __builtin_shufflevector(z, t, 0, 4, 1, 5);
            const quad xY = __builtin_shufflevector(x, y, 2, 6, 3, 7), zT = __builtin_shufflevector(z, t, 2, 6, 3, 7);
            float * to = w.kt + d * tile + j;
            store(to, (quad) __builtin_shufflevector(xy, zt, 0, 1, 4, 5));
            store(to + tile, (quad) __builtin_shufflevector(xy, zt, 2, 3, 6, 7));
            store(to + 2 * tile, (quad) __builtin_shufflevector(xY, zT, 0, 1, 4, 5));
            store(to + 3 * tile, (quad) __builtin_shufflevector(xY, zT, 2, 3, 6, 7));
        }
    }
}

// load_mask converts the mask of a unit's tokens for n cells from first on, -infinity for
// the rest of the tile, and says which of the tokens, from lo to hi, read any of them. It
// returns how many of the cells are to be loaded: none after them is read.
int load_mask(const problem & a, const scratch & w, const unit & u, int64_t first, int n, int64_t & lo, int64_t & hi) {
    const int64_t tokens = u.rows / a.group;
    lo = tokens, hi = 0;
    int used = a.mask ? 0 : n;
    for (int64_t t = 0; t < tokens; t++) {
        float * to = w.mask + t * tile;
        bool any = !a.mask;
        if (a.mask) {
            const ggml_fp16_t * m = (const ggml_fp16_t *) ((const char *) a.mask->data + (u.first + t) * a.mask->nb[1] + u.stream % a.mask->ne[3] * a.mask->nb[3]) + first;
            for (int j = used; j < n; j++) if (m[j] != 0xFC00) used = j + 1;
            for (int j = 0; j < n; j++) any |= m[j] != 0xFC00;
            if (any) ggml_cpu_fp16_to_fp32(m, to, n);
        } else {
            std::fill(to, to + n, 0.0f);
        }
        if (any) {
            std::fill(to + n, to + tile, -INFINITY);
            lo = std::min(lo, t), hi = t + 1;
        } else {
            std::fill(to, to + tile, -INFINITY);
        }
    }
    return used;
}

// scores_of are the products of R rows of queries [R][dk] with a tile's keys, to s [R][tile].
template <int R> void scores_of(const float * q, const float * kt, int64_t dk, float * s) {
    for (int at = 0; at < tile; at += wide * lanes) {
        vec acc[R][wide];
        each<R>([&](auto r) SKERRY_INLINE { each<wide>([&](auto i) SKERRY_INLINE { acc[r][i] = vec{}; }); });
        for (int64_t d = 0; d < dk; d++) {
            vec k[wide];
            each<wide>([&](auto i) SKERRY_INLINE { k[i] = load<vec>(kt + d * tile + at + i * lanes); });
            each<R>([&](auto r) SKERRY_INLINE {
                const float x = q[r * dk + d];
                each<wide>([&](auto i) SKERRY_INLINE { acc[r][i] += x * k[i]; });
            });
        }
        each<R>([&](auto r) SKERRY_INLINE { each<wide>([&](auto i) SKERRY_INLINE { store(s + r * tile + at + i * lanes, acc[r][i]); }); });
    }
}

// weigh makes a row's scores s [tile] its weights, against the largest score up to here, m,
// to which the mask has been added; it returns what the earlier sums are to be scaled by.
float weigh(const problem & a, float slope, const float * mask, float * s, float * m, float * sum) {
    if (a.softcap != 0) for (int j = 0; j < tile; j++) s[j] = a.softcap * tanhf(s[j]);
    vec x[tile / lanes], top;
    const vec none = vec{} - INFINITY;
    for (int i = 0; i < tile / lanes; i++) {
        const vec by = load<vec>(mask + i * lanes);
        x[i] = by == none ? none : load<vec>(s + i * lanes) + slope * by;
        top = i == 0 ? x[0] : (x[i] > top ? x[i] : top);
    }
    const float before = *m, now = std::max(before, max_of(top));
    if (now == -INFINITY) {
        std::fill(s, s + tile, 0.0f);
        return 1;
    }
    vec total = {};
    for (int i = 0; i < tile / lanes; i++) {
        const vec p = exp_of(x[i] - now);
        store(s + i * lanes, p);
        total += p;
    }
    const float f = before == now ? 1.0f : expf(before - now);
    *sum = *sum * f + sum_of(total);
    *m = now;
    return f;
}

// add_values scales R rows of sums [R][dv] by f and adds a tile's values with the weights p;
// with a mask [tile], which only a row of its own has, those of the cells that it leaves.
template <int R, int W> void add_values(const float * p, const float * v, int64_t dv, const float * f, float * o, const float * mask = nullptr) {
    vec acc[R][W];
    each<R>([&](auto r) SKERRY_INLINE { each<W>([&](auto i) SKERRY_INLINE { acc[r][i] = load<vec>(o + r * dv + i * lanes) * f[r]; }); });
    for (int j = 0; j < tile; j++) {
        if (R == 1 && mask && mask[j] == -INFINITY) continue;
        vec x[W];
        each<W>([&](auto i) SKERRY_INLINE { x[i] = load<vec>(v + j * dv + i * lanes); });
        each<R>([&](auto r) SKERRY_INLINE {
            const float w = p[r * tile + j];
            each<W>([&](auto i) SKERRY_INLINE { acc[r][i] += w * x[i]; });
        });
    }
    each<R>([&](auto r) SKERRY_INLINE { each<W>([&](auto i) SKERRY_INLINE { store(o + r * dv + i * lanes, acc[r][i]); }); });
}

float slope_of(const problem & a, int64_t head) {
    if (a.max_bias <= 0) return 1;
    const int64_t n = (int64_t) 1 << (int) floor(log2((double) a.heads));
    return head < n ? powf(powf(2, -a.max_bias / n), head + 1) : powf(powf(2, -a.max_bias / 2 / n), 2 * (head - n) + 1);
}

template <int R> void add_rows(const problem & a, const scratch & w, const unit & u, int64_t row, sums x, bool careful = false) {
    const float * mask = careful ? w.mask + row / a.group * tile : nullptr;
    float s[R * tile], f[R];
    scores_of<R>(w.q + row * a.dk, w.kt, a.dk, s);
    for (int r = 0; r < R; r++) {
        const int64_t i = row + r;
        f[r] = weigh(a, slope_of(a, u.kv_head * a.group + i % a.group), w.mask + i / a.group * tile, s + r * tile, x.m + i, x.s + i);
    }
    int64_t d = 0;
    for (; d + wide * lanes <= a.dv; d += wide * lanes) add_values<R, wide>(s, w.v + d, a.dv, f, x.o + row * a.dv + d, mask);
    for (; d < a.dv; d += lanes) add_values<R, 1>(s, w.v + d, a.dv, f, x.o + row * a.dv + d, mask);
}

// sum_chunk makes x the sums of a unit's rows over the cells of chunk c. Where it is careful
// it does not touch the values of cells that are masked for a row.
void sum_chunk(const problem & a, const scratch & w, const unit & u, int64_t c, sums x, bool careful) {
    clear(a, x, u.rows);
    const int64_t end = std::min(a.cells, (c + 1) * chunk);
    for (int64_t first = c * chunk; first < end; first += tile) {
        const int n = (int) std::min<int64_t>(tile, end - first);
        int64_t lo, hi;
        const int used = load_mask(a, w, u, first, n, lo, hi);
        if (lo >= hi) continue;
        load_tile(a, w, u, first, used);
        for (int64_t row = lo * a.group, stop = hi * a.group; row < stop;) {
            switch (careful ? 0 : std::min<int64_t>(most, stop - row)) {
                case 0:  add_rows<1>(a, w, u, row, x, true); row += 1; break;
                case 1:  add_rows<1>(a, w, u, row, x); row += 1; break;
                case 2:  add_rows<2>(a, w, u, row, x); row += 2; break;
                case 3:  add_rows<3>(a, w, u, row, x); row += 3; break;
                case 4:  add_rows<4>(a, w, u, row, x); row += 4; break;
                case 5:  add_rows<5>(a, w, u, row, x); row += 5; break;
                default: add_rows<most>(a, w, u, row, x); row += most;
            }
        }
    }
}

// add_chunk is sum_chunk, once more with care where a sum is no number: a weight of zero
// does not make nothing of a value that is none.
void add_chunk(const problem & a, const scratch & w, const unit & u, int64_t c, sums x) {
    sum_chunk(a, w, u, c, x, false);
    vec off = {};
    for (int64_t i = 0; i < u.rows * a.dv; i += lanes) off += load<vec>(x.o + i) * 0.0f;
    if (sum_of(off) != 0) sum_chunk(a, w, u, c, x, true);
}

// load_queries puts a unit's queries, scaled, into w.q.
void load_queries(const problem & a, const scratch & w, const unit & u) {
    for (int64_t r = 0; r < u.rows; r++) {
        const float * q = (const float *) ((const char *) a.q->data + (u.first + r / a.group) * a.q->nb[1]
            + (u.kv_head * a.group + r % a.group) * a.q->nb[2] + u.stream * a.q->nb[3]);
        for (int64_t d = 0; d < a.dk; d++) w.q[r * a.dk + d] = q[d] * a.scale;
    }
}

// finish divides row r of a unit by its sum of weights and writes it to dst, whose rows
// are [stream][token][head].
void finish(const problem & a, const unit & u, sums x, int64_t r) {
    const int64_t head = u.kv_head * a.group + r % a.group, token = u.first + r / a.group;
    float f = 1;
    if (a.sinks) {
        const float sink = ((const float *) a.sinks->data)[head], m = std::max(x.m[r], sink);
        f = expf(x.m[r] - m);
        x.s[r] = x.s[r] * f + expf(sink - m);
    }
    f = x.s[r] == 0 ? 0 : f / x.s[r];
    float * to = (float *) ((char *) a.dst->data + ((u.stream * a.tokens + token) * a.heads + head) * a.dst->nb[1]);
    for (int64_t d = 0; d < a.dv; d++) to[d] = x.o[r * a.dv + d] * f;
}

// whole_units takes units one after the other.
void whole_units(const ggml_compute_params * params, const problem & a) {
    const scratch w = scratch_of(a);
    for (int64_t i = params->ith; i < a.units(); i = ggml_threadpool_chunk_add(params->threadpool, 1)) {
        const unit u = unit_of(a, i);
        const sums total = sums_at(a, w.total, u.rows), part = sums_at(a, w.part, u.rows);
        load_queries(a, w, u);
        clear(a, total, u.rows);
        for (int64_t c = 0; c < a.chunks(); c++) {
            add_chunk(a, w, u, c, part);
            for (int64_t r = 0; r < u.rows; r++) merge(a, total, part, r);
        }
        for (int64_t r = 0; r < u.rows; r++) finish(a, u, total, r);
    }
    leave(w.memory);
}

// parts_at are the sums of a unit's rows over chunk c.
sums parts_at(const problem & a, float * parts, const unit & u, int64_t c) {
    const int64_t before = ((u.stream * a.kv_heads + u.kv_head) * a.tokens + u.first) * a.group;
    return sums_at(a, parts + sums_size(a, before * a.chunks() + c * u.rows), u.rows);
}

// parted_units, where there are few units, gives their chunks to the threads one by one,
// and merges them once all are there.
void parted_units(const ggml_compute_params * params, const problem & a, float * parts) {
    const scratch w = scratch_of(a);
    const int64_t rows = a.span * a.group, chunks = a.chunks();
    int64_t loaded = -1;
    for (int64_t i = params->ith; i < a.units() * chunks; i = ggml_threadpool_chunk_add(params->threadpool, 1)) {
        const unit u = unit_of(a, i / chunks);
        if (loaded != i / chunks) load_queries(a, w, u);
        loaded = i / chunks;
        add_chunk(a, w, u, i % chunks, parts_at(a, parts, u, i % chunks));
    }
    ggml_barrier(params->threadpool);
    for (int64_t i = params->ith; i < a.units() * rows; i += params->nth) {
        const unit u = unit_of(a, i / rows);
        const int64_t r = i % rows;
        if (r >= u.rows) continue;
        const sums total = sums_at(a, w.total, u.rows);
        std::fill(total.o + r * a.dv, total.o + (r + 1) * a.dv, 0.0f);
        total.m[r] = -INFINITY, total.s[r] = 0;
        for (int64_t c = 0; c < chunks; c++) merge(a, total, parts_at(a, parts, u, c), r);
        finish(a, u, total, r);
    }
    leave(w.memory);
}

bool fits(const ggml_tensor * dst) {
    const ggml_tensor * q = dst->src[0], * k = dst->src[1], * v = dst->src[2], * mask = dst->src[3];
    for (const ggml_tensor * t : { k, v }) {
        if (t->ne[0] % ggml_blck_size(t->type) != 0) return false;
        if (t->type != GGML_TYPE_F32 && t->type != GGML_TYPE_F16 && !ggml_get_type_traits(t->type)->to_float) return false;
    }
    return q->type == GGML_TYPE_F32 && q->nb[0] == sizeof(float) && k->ne[0] == q->ne[0] && k->ne[0] % 4 == 0 && v->ne[0] % lanes == 0
        && k->nb[0] == ggml_type_size(k->type) && v->nb[0] == ggml_type_size(v->type)
        && k->ne[2] == v->ne[2] && q->ne[2] % k->ne[2] == 0 && q->ne[3] % k->ne[3] == 0 && q->ne[3] % v->ne[3] == 0
        && (!mask || (mask->type == GGML_TYPE_F16 && mask->ne[2] == 1));
}

problem problem_of(const ggml_tensor * dst, int threads) {
    problem a = {};
    a.q = dst->src[0], a.k = dst->src[1], a.v = dst->src[2], a.mask = dst->src[3], a.sinks = dst->src[4];
    a.dst = (ggml_tensor *) dst;
    a.dk = a.k->ne[0], a.dv = a.v->ne[0], a.cells = a.k->ne[1], a.kv_heads = a.k->ne[2];
    a.tokens = a.q->ne[1], a.heads = a.q->ne[2], a.streams = a.q->ne[3], a.group = a.heads / a.kv_heads;
    memcpy(&a.scale, (const float *) dst->op_params, sizeof(float));
    memcpy(&a.max_bias, (const float *) dst->op_params + 1, sizeof(float));
    memcpy(&a.softcap, (const float *) dst->op_params + 2, sizeof(float));
    if (a.softcap != 0) a.scale /= a.softcap;
    // Units as large as pays, but for some four a thread.
    const int64_t lines = a.tokens * a.kv_heads * a.streams;
    const int64_t even = (lines + 4 * threads - 1) / (4 * threads);
    a.span = std::min(a.tokens, std::min(std::max(even, few / a.group), std::max<int64_t>(1, block / a.group)));
    a.span = std::max<int64_t>(1, a.span);
    return a;
}

} // namespace

extern "C" void ggml_compute_forward_flash_attn_ext(const ggml_compute_params * params, ggml_tensor * dst) {
    if (!fits(dst)) {
        skerry_flash_attn_by_position(params, dst);
        return;
    }
    const problem a = problem_of(dst, params->nth);
    const bool parted = params->nth > 1 && a.chunks() > 1 && a.units() < 4 * params->nth && a.tokens * a.heads * a.streams <= partial;
    if (params->ith == 0) {
        ggml_threadpool_chunk_set(params->threadpool, params->nth);
        if (parted) {
            memory * shared = borrow(sums_size(a, a.tokens * a.heads * a.streams * a.chunks()));
            shared->users = params->nth;
            memcpy(params->wdata, &shared, sizeof shared);
        }
    }
    ggml_barrier(params->threadpool);
    if (!parted) {
        whole_units(params, a);
        return;
    }
    memory * shared;
    memcpy(&shared, params->wdata, sizeof shared);
    parted_units(params, a, aligned(shared));
    if (--shared->users == 0) leave(shared);
}
