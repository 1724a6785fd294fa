/* NVIDIA's GPUs, through the driver. Its functions and the few numbers of its interface that are needed
 * are declared here, so that nothing of CUDA has to be there to build. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "gpu.h"

typedef struct cuda {
    gpu g;
    int device;
    void *context;
#define F(returns, name, arguments) returns(*name) arguments;
#define G(returns, name, arguments) F(returns, name, arguments)
#include "cuda.def"
#undef F
#undef G
} cuda;

static const gpu_symbol symbols[] = {
#define F(returns, name, arguments) {#name, offsetof(cuda, name), false},
#define G(returns, name, arguments) {#name, offsetof(cuda, name), true},
#include "cuda.def"
#undef F
#undef G
};

static const char *const libraries[] = {"libcuda.so.1", "libcuda.so", NULL};

enum {
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    BAD_IMAGE = 200,
    NO_BINARY = 209,
    UNSUPPORTED_PTX = 222,
    ATTRIBUTE_UNITS = 16,
    ATTRIBUTE_MAJOR = 75,
    ATTRIBUTE_MINOR = 76,
    JIT_ERROR_LOG = 5,
    JIT_ERROR_LOG_BYTES = 6,
    NON_BLOCKING = 1,
    WITHOUT_TIME = 2,
    CAPTURE_OF_THREAD = 1,
};

enum { PTX_8 = 12000 }; /* CUDA 12.0: the first driver that reads PTX 8.0 */

static cuda *of(gpu *g) { return (cuda *)(void *)g; }

static rw_status check(gpu *g, int error, const char *what, rw_message *m) {
    if (error == 0) return RW_OK;
    const char *name = NULL, *text = NULL;
    (void)of(g)->cuGetErrorName(error, &name);
    (void)of(g)->cuGetErrorString(error, &text);
    return rw_fail(m, error == OUT_OF_MEMORY ? RW_NO_MEMORY : RW_DRIVER, "%s: %s: %s (%s)",
                   g->name[0] != '\0' ? g->name : g->api->kind, what,
                   text != NULL ? text : "an error it has no words for",
                   name != NULL ? name : "unknown");
}
#define DO(g, m, name, ...) check((g), of(g)->name(__VA_ARGS__), #name, (m))

/* Memory of the device has numbers for addresses. */
static uint64_t at(const void *p) { return (uint64_t)(uintptr_t)p; }

/* ---- devices ------------------------------------------------------------------------------------- */

static rw_status start(gpu *g, int *devices, rw_message *m) {
    int version = 0, error = of(g)->cuInit(0);
    if (error == 0) error = of(g)->cuDeviceGetCount(devices);
    if (error == NO_DEVICE) {
        *devices = 0;
        return RW_OK;
    }
    rw_status s = check(g, error, "cuInit", m);
    if (s == RW_OK) s = DO(g, m, cuDriverGetVersion, &version);
    if (s == RW_OK && version < PTX_8)
        return rw_fail(m, RW_NO_DEVICE,
                       "the driver for 'cuda' is of CUDA %d.%d, and 12.0 is the first that reads "
                       "what rwkvc writes (PTX 8.0): install %s",
                       version / 1000, version % 1000 / 10, g->api->product);
    return s;
}

static rw_status choose(gpu *g, int index, rw_message *m) {
    cuda *c = of(g);
    int major = 0, minor = 0;
    rw_status s = DO(g, m, cuDeviceGet, &c->device, index);
    if (s == RW_OK) s = DO(g, m, cuDeviceGetName, g->model, (int)sizeof g->model, c->device);
    if (s == RW_OK) s = DO(g, m, cuDeviceGetAttribute, &major, ATTRIBUTE_MAJOR, c->device);
    if (s == RW_OK) s = DO(g, m, cuDeviceGetAttribute, &minor, ATTRIBUTE_MINOR, c->device);
    if (s == RW_OK) s = DO(g, m, cuDeviceGetAttribute, &g->units, ATTRIBUTE_UNITS, c->device);
    if (s == RW_OK) s = DO(g, m, cuDeviceTotalMem_v2, &g->memory, c->device);
    if (s == RW_OK) s = DO(g, m, cuDevicePrimaryCtxRetain, &c->context, c->device);
    if (s == RW_OK) s = DO(g, m, cuCtxSetCurrent, c->context);
    snprintf(g->arch, sizeof g->arch, "sm_%d%d", major, minor);
    g->has_graphs = c->cuStreamBeginCapture_v2 != NULL && c->cuStreamEndCapture != NULL &&
                    c->cuGraphInstantiateWithFlags != NULL && c->cuGraphLaunch != NULL &&
                    c->cuGraphDestroy != NULL && c->cuGraphExecDestroy != NULL;
    return s;
}

static void close_device(gpu *g) {
    if (of(g)->context != NULL) (void)of(g)->cuDevicePrimaryCtxRelease_v2(of(g)->device);
}

static rw_status enter(gpu *g, rw_message *m) { return DO(g, m, cuCtxSetCurrent, of(g)->context); }

static rw_status room(gpu *g, size_t *free_bytes, size_t *total, rw_message *m) {
    return DO(g, m, cuMemGetInfo_v2, free_bytes, total);
}

/* ---- code ---------------------------------------------------------------------------------------- */

/* The driver's assembler has words of its own for what it does not like. */
static rw_status load(gpu *g, const void *image, void **module, rw_message *m) {
    char log[400] = "";
    int options[2] = {JIT_ERROR_LOG, JIT_ERROR_LOG_BYTES};
    void *values[2] = {log, (void *)(uintptr_t)(sizeof log - 1)};
    int error = of(g)->cuModuleLoadDataEx(module, image, 2, options, values);
    log[sizeof log - 1] = '\0';
    log[strcspn(log, "\n")] = '\0';
    if (error == UNSUPPORTED_PTX)
        return rw_fail(m, RW_DRIVER, "%s: the driver is too old for this PTX: install %s", g->name,
                       g->api->product);
    if ((error == BAD_IMAGE || error == NO_BINARY) && memcmp(image, "\177ELF", 4) == 0) {
        const char *text = "";
        (void)of(g)->cuGetErrorString(error, &text);
        return rw_fail(
            m, RW_DRIVER,
            "%s: the driver does not take this machine code; it may be older than the ptxas "
            "that made it: install %s, or compile the text as .ptx (%s)",
            g->name, g->api->product, text);
    }
    if (error == 0 || error == OUT_OF_MEMORY || log[0] == '\0')
        return check(g, error, "cuModuleLoadDataEx", m);
    return rw_fail(m, RW_DRIVER, "%s: cuModuleLoadDataEx: %s", g->name, log);
}

static void unload(gpu *g, void *module) { (void)of(g)->cuModuleUnload(module); }

static rw_status find(gpu *g, void *module, const char *symbol, void **function, rw_message *m) {
    return DO(g, m, cuModuleGetFunction, function, module, symbol);
}

static rw_status launch(gpu *g, void *queue, void *function, uint32_t groups, uint32_t block,
                        void **args, rw_message *m) {
    return DO(g, m, cuLaunchKernel, function, groups, 1, 1, block, 1, 1, 0, queue, args, NULL);
}

/* ---- memory -------------------------------------------------------------------------------------- */

static rw_status take(gpu *g, size_t bytes, uint8_t **out, rw_message *m) {
    uint64_t p = 0;
    rw_status s = DO(g, m, cuMemAlloc_v2, &p, bytes);
    *out = s == RW_OK ? (uint8_t *)(uintptr_t)p : NULL;
    return s;
}

static void give(gpu *g, uint8_t *p) { (void)of(g)->cuMemFree_v2(at(p)); }

static rw_status take_host(gpu *g, size_t bytes, uint8_t **out, rw_message *m) {
    void *p = NULL;
    rw_status s = DO(g, m, cuMemHostAlloc, &p, bytes, 0);
    *out = s == RW_OK ? p : NULL;
    return s;
}

static void give_host(gpu *g, uint8_t *p) { (void)of(g)->cuMemFreeHost(p); }

static rw_status up(gpu *g, void *queue, void *to, const void *from, size_t bytes, rw_message *m) {
    return DO(g, m, cuMemcpyHtoDAsync_v2, at(to), from, bytes, queue);
}

static rw_status down(gpu *g, void *queue, void *to, const void *from, size_t bytes,
                      rw_message *m) {
    return DO(g, m, cuMemcpyDtoHAsync_v2, to, at(from), bytes, queue);
}

static rw_status within(gpu *g, void *queue, void *to, const void *from, size_t bytes,
                        rw_message *m) {
    return DO(g, m, cuMemcpyDtoDAsync_v2, at(to), at(from), bytes, queue);
}

static rw_status zero(gpu *g, void *queue, void *to, size_t bytes, rw_message *m) {
    return DO(g, m, cuMemsetD8Async, at(to), 0, bytes, queue);
}

/* ---- queues, marks, graphs ----------------------------------------------------------------------- */

static rw_status queue_make(gpu *g, void **queue, rw_message *m) {
    return DO(g, m, cuStreamCreate, queue, NON_BLOCKING);
}

static void queue_drop(gpu *g, void *queue) { (void)of(g)->cuStreamDestroy_v2(queue); }

static rw_status wait_for(gpu *g, void *queue, rw_message *m) {
    return DO(g, m, cuStreamSynchronize, queue);
}

static rw_status mark_make(gpu *g, bool timed, void **mark, rw_message *m) {
    return DO(g, m, cuEventCreate, mark, timed ? 0 : WITHOUT_TIME);
}

static void mark_drop(gpu *g, void *mark) { (void)of(g)->cuEventDestroy_v2(mark); }

static rw_status set_mark(gpu *g, void *queue, void *mark, rw_message *m) {
    return DO(g, m, cuEventRecord, mark, queue);
}

static rw_status follow(gpu *g, void *queue, void *mark, rw_message *m) {
    return DO(g, m, cuStreamWaitEvent, queue, mark, 0);
}

static rw_status between(gpu *g, void *from, void *to, double *seconds, rw_message *m) {
    float ms = 0;
    rw_status s = DO(g, m, cuEventElapsedTime, &ms, from, to);
    *seconds = 1e-3 * (double)ms;
    return s;
}

static rw_status record_begin(gpu *g, void *queue, rw_message *m) {
    return DO(g, m, cuStreamBeginCapture_v2, queue, CAPTURE_OF_THREAD);
}

static rw_status record_end(gpu *g, void *queue, void **graph, rw_message *m) {
    void *recorded = NULL;
    rw_status s = DO(g, m, cuStreamEndCapture, queue, &recorded);
    if (s == RW_OK) s = DO(g, m, cuGraphInstantiateWithFlags, graph, recorded, 0);
    if (recorded != NULL) (void)of(g)->cuGraphDestroy(recorded);
    return s;
}

static rw_status replay(gpu *g, void *queue, void *graph, rw_message *m) {
    return DO(g, m, cuGraphLaunch, graph, queue);
}

static void graph_drop(gpu *g, void *graph) { (void)of(g)->cuGraphExecDestroy(graph); }

const gpu_api driver_cuda = {
    .kind = "cuda",
    .variable = "RWKVC_CUDA_LIBRARY",
    .libraries = libraries,
    .product = "NVIDIA's driver",
    .symbols = symbols,
    .n_symbols = sizeof symbols / sizeof *symbols,
    .bytes = sizeof(cuda),
    GPU_FUNCTIONS,
};
