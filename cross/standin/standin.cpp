// A STAND-IN for a GPU, for tests: a ggml backend library that reports a device of type GPU with
// memory of its own and computes on the CPU, with the kernels that the process has loaded. What
// depends on there being a GPU (layers that are offloaded, graphs that are split, hidden states
// that are copied, memory that runs out, a device that fails) happens as it would on one. Nothing
// is faster on it, and no package carries it.
//
// Its memory is malloc'ed, but ggml is told that the host cannot read it, so that what goes in or
// comes out is copied by set_tensor and get_tensor alone, and only through them.
//
// The environment says how it is, and is read at each call, so that a test may change it:
//
//   SKERRY_STANDIN_MEMORY   bytes of its memory; 1e9 where it is not set
//   SKERRY_STANDIN_DEVICES  0: there is no such device in this machine
//   SKERRY_STANDIN_FAIL     not empty: whatever it is to compute fails
//   SKERRY_STANDIN_ABORT    not empty: it ends the process then, as CUDA does
#include "ggml-backend-impl.h"
#include "ggml-impl.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <link.h>
#include <string>

namespace {

std::atomic<size_t> used{0};

bool set(const char * name) {
    const char * v = getenv(name);
    return v && *v;
}

size_t total() { return set("SKERRY_STANDIN_MEMORY") ? strtoull(getenv("SKERRY_STANDIN_MEMORY"), nullptr, 10) : size_t(1000000000); }

// cpu is the device of the kernels that the process has loaded.
ggml_backend_dev_t cpu() {
    static ggml_backend_dev_t found = [] {
        std::string path;
        dl_iterate_phdr([](dl_phdr_info * info, size_t, void * out) {
            if (!strstr(info->dlpi_name, "/libggml-cpu")) return 0;
            *static_cast<std::string *>(out) = info->dlpi_name;
            return 1;
        }, &path);
        void * lib = path.empty() ? nullptr : dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
        auto init = lib ? reinterpret_cast<ggml_backend_init_t>(dlsym(lib, "ggml_backend_init")) : nullptr;
        return init ? init()->iface.get_device(init(), 0) : nullptr;
    }();
    return found;
}

// Its memory.

void * base(ggml_backend_buffer_t b) { return b->context; }

void release(ggml_backend_buffer_t b) {
    free(b->context);
    used -= b->size;
}

void fill(ggml_backend_buffer_t, ggml_tensor * t, uint8_t value, size_t offset, size_t n) { memset(static_cast<char *>(t->data) + offset, value, n); }
void put(ggml_backend_buffer_t, ggml_tensor * t, const void * data, size_t offset, size_t n) { memcpy(static_cast<char *>(t->data) + offset, data, n); }
void get(ggml_backend_buffer_t, const ggml_tensor * t, void * data, size_t offset, size_t n) { memcpy(data, static_cast<const char *>(t->data) + offset, n); }
void clear(ggml_backend_buffer_t b, uint8_t value) { memset(b->context, value, b->size); }

const ggml_backend_buffer_i buffer_i = {
    /* .free_buffer   = */ release,
    /* .get_base      = */ base,
    /* .init_tensor   = */ nullptr,
    /* .memset_tensor = */ fill,
    /* .set_tensor    = */ put,
    /* .get_tensor    = */ get,
    /* .cpy_tensor    = */ nullptr,
    /* .clear         = */ clear,
    /* .reset         = */ nullptr,
};

const size_t alignment = 64;

ggml_backend_buffer_t allocate(ggml_backend_buffer_type_t type, size_t size) {
    if (used.fetch_add(size) + size > total()) {
        used -= size;
        GGML_LOG_ERROR("allocating %.2f MB on the stand-in failed: out of memory\n", size / 1e6);
        return nullptr;
    }
    void * p = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (!p) {
        used -= size;
        return nullptr;
    }
    return ggml_backend_buffer_init(type, buffer_i, p, size);
}

ggml_backend_buffer_type * buffer_type() {
    static ggml_backend_buffer_type type = {
        /* .iface    = */ {
            /* .get_name       = */ [](ggml_backend_buffer_type_t) { return "Standin0"; },
            /* .alloc_buffer   = */ allocate,
            /* .get_alignment  = */ [](ggml_backend_buffer_type_t) { return alignment; },
            /* .get_max_size   = */ nullptr,
            /* .get_alloc_size = */ nullptr,
            /* .is_host        = */ [](ggml_backend_buffer_type_t) { return false; },
            /* .noalloc_buffer = */ nullptr,
        },
        /* .device   = */ nullptr,
        /* .context  = */ nullptr,
        /* .no_alloc = */ false,
    };
    return &type;
}

// Its queue of work: a backend of the CPU, with one thread.

ggml_backend_t inner(ggml_backend_t b) { return static_cast<ggml_backend_t>(b->context); }

void end(ggml_backend_t b) {
    ggml_backend_free(inner(b));
    delete b;
}

ggml_status compute(ggml_backend_t b, ggml_cgraph * graph, int batch) {
    if (set("SKERRY_STANDIN_ABORT")) GGML_ABORT("the stand-in was lost");
    if (set("SKERRY_STANDIN_FAIL")) {
        GGML_LOG_ERROR("the stand-in does not answer\n");
        return GGML_STATUS_FAILED;
    }
    return inner(b)->iface.graph_compute(inner(b), graph, batch);
}

ggml_guid guid = {0x73, 0x6b, 0x65, 0x72, 0x72, 0x79, 0x73, 0x74, 0x61, 0x6e, 0x64, 0x69, 0x6e, 0, 0, 1};

ggml_backend_t begin(ggml_backend_dev_t dev, const char *) {
    ggml_backend_t c = ggml_backend_dev_init(cpu(), nullptr);
    if (!c) return nullptr;
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(cpu());
    auto threads = reinterpret_cast<ggml_backend_set_n_threads_t>(ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads"));
    if (threads) threads(c, 1);
    ggml_backend_i iface = {};
    iface.get_name = [](ggml_backend_t) { return "Standin0"; };
    iface.free = end;
    iface.graph_compute = compute;
    return new ggml_backend{&guid, iface, dev, c};
}

// The device.

bool ours(ggml_backend_buffer_type_t type) { return type == buffer_type(); }

// usable says whether all that an operation reads and writes lies where this device may see it.
bool usable(const ggml_tensor * op) {
    for (const ggml_tensor * src : op->src) {
        if (src && src->buffer && !ours(src->buffer->buft)) return false;
    }
    return true;
}

void memory(ggml_backend_dev_t, size_t * left, size_t * all) {
    *all = total();
    *left = *all - std::min(*all, used.load());
}

void properties(ggml_backend_dev_t dev, ggml_backend_dev_props * p) {
    *p = {};
    p->name = dev->iface.get_name(dev);
    p->description = dev->iface.get_description(dev);
    p->type = GGML_BACKEND_DEVICE_TYPE_GPU;
    p->library = "stand-in";
    memory(dev, &p->memory_free, &p->memory_total);
}

ggml_backend_device * device() {
    static ggml_backend_device dev = [] {
        ggml_backend_device d = {};
        d.iface.get_name = [](ggml_backend_dev_t) { return "Standin0"; };
        d.iface.get_description = [](ggml_backend_dev_t) { return "stand-in for a GPU, which computes on the CPU"; };
        d.iface.get_memory = memory;
        d.iface.get_type = [](ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; };
        d.iface.get_props = properties;
        d.iface.init_backend = begin;
        d.iface.get_buffer_type = [](ggml_backend_dev_t) -> ggml_backend_buffer_type_t { return buffer_type(); };
        d.iface.supports_op = [](ggml_backend_dev_t, const ggml_tensor * op) { return usable(op) && ggml_backend_dev_supports_op(cpu(), op); };
        d.iface.supports_buft = [](ggml_backend_dev_t, ggml_backend_buffer_type_t type) { return ours(type); };
        return d;
    }();
    buffer_type()->device = &dev;
    return &dev;
}

ggml_backend_reg_t reg() {
    if (!cpu()) {
        GGML_LOG_ERROR("the stand-in computes with the kernels of the CPU, and none are loaded\n");
        return nullptr;
    }
    static ggml_backend_reg r = [] {
        ggml_backend_reg r = {};
        r.api_version = GGML_BACKEND_API_VERSION;
        r.iface.get_name = [](ggml_backend_reg_t) { return "Standin"; };
        r.iface.get_device_count = [](ggml_backend_reg_t) -> size_t { return set("SKERRY_STANDIN_DEVICES") && *getenv("SKERRY_STANDIN_DEVICES") == '0' ? 0 : 1; };
        r.iface.get_device = [](ggml_backend_reg_t, size_t) -> ggml_backend_dev_t { return device(); };
        r.iface.get_proc_address = [](ggml_backend_reg_t, const char *) -> void * { return nullptr; };
        return r;
    }();
    device()->reg = &r;
    return &r;
}

}  // namespace

GGML_BACKEND_DL_IMPL(reg)
