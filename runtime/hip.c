/* AMD's GPUs, through the HIP runtime. Its functions and the few numbers of its interface that are needed
 * are declared here, so that nothing of ROCm has to be there to build. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "gpu.h"

typedef struct hip {
    gpu g;
#define F(returns, name, arguments) returns(*name) arguments;
#define G(returns, name, arguments) F(returns, name, arguments)
#include "hip.def"
#undef F
#undef G
} hip;

static const gpu_symbol symbols[] = {
#define F(returns, name, arguments) {#name, offsetof(hip, name), false},
#define G(returns, name, arguments) {#name, offsetof(hip, name), true},
#include "hip.def"
#undef F
#undef G
};

static const char *const libraries[] = {"libamdhip64.so.6", "libamdhip64.so.5", "libamdhip64.so",
                                        NULL};

enum {
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    NO_BINARY = 209,
    TO_DEVICE = 1,
    TO_HOST = 2,
    WITHIN = 3,
    ATTRIBUTE_UNITS = 63,
    NON_BLOCKING = 1,
    WITHOUT_TIME = 2,
    CAPTURE_OF_THREAD = 1,
};

/* gcnArchName in the structures of properties before ROCm 6 and since; the name stands at their beginning. */
enum { OLD_ARCH = 396, NEW_ARCH = 1160, NAME = 256, ARCH = 256, PROPERTIES = 4096 };

static const hip *of(const gpu *g) { return (const hip *)(const void *)g; }

static rw_status check(const gpu *g, int error, const char *what, rw_message *m) {
    if (error == 0) return RW_OK;
    const hip *h = of(g);
    return rw_fail(m, error == OUT_OF_MEMORY ? RW_NO_MEMORY : RW_DRIVER, "%s: %s: %s (%s)",
                   g->name[0] != '\0' ? g->name : g->api->kind, what, h->hipGetErrorString(error),
                   h->hipGetErrorName(error));
}
#define DO(g, m, name, ...) check((g), of(g)->name(__VA_ARGS__), #name, (m))

/* ---- devices ------------------------------------------------------------------------------------- */

static rw_status start(gpu *g, int *devices, rw_message *m) {
    int error = of(g)->hipInit(0);
    if (error == 0) error = of(g)->hipGetDeviceCount(devices);
    if (error == NO_DEVICE || error == INVALID_DEVICE) {
        *devices = 0; /* a system without one says so in either way */
        return RW_OK;
    }
    return check(g, error, "hipGetDeviceCount", m);
}

/* "gfx942:sramecc+:xnack-": what stands behind the processor are settings that our code does not mind. */
static rw_status read_properties(gpu *g, int index, rw_message *m) {
    const hip *h = of(g);
    char all[PROPERTIES] = {0};
    bool is_new = h->hipGetDevicePropertiesR0600 != NULL;
    if (!is_new && h->hipGetDeviceProperties == NULL)
        return rw_fail(m, RW_NO_DEVICE,
                       "the driver for 'hip' has no hipGetDeviceProperties: it is none of AMD's");
    rw_status s = is_new ? DO(g, m, hipGetDevicePropertiesR0600, all, index)
                         : DO(g, m, hipGetDeviceProperties, all, index);
    if (s != RW_OK) return s;
    const char *arch = all + (is_new ? NEW_ARCH : OLD_ARCH);
    all[NAME - 1] = all[(is_new ? NEW_ARCH : OLD_ARCH) + ARCH - 1] = '\0';
    snprintf(g->model, sizeof g->model, "%s", all);
    snprintf(g->arch, sizeof g->arch, "%.*s", (int)strcspn(arch, ":"), arch);
    if (strncmp(g->arch, "gfx", 3) == 0) return RW_OK;
    return rw_fail(m, RW_DRIVER, "%s: the driver does not say which processor it is", g->name);
}

static rw_status choose(gpu *g, int index, rw_message *m) {
    const hip *h = of(g);
    size_t unused;
    rw_status s = DO(g, m, hipSetDevice, index);
    if (s == RW_OK) s = read_properties(g, index, m);
    if (s == RW_OK) s = DO(g, m, hipDeviceGetAttribute, &g->units, ATTRIBUTE_UNITS, index);
    if (s == RW_OK) s = DO(g, m, hipMemGetInfo, &unused, &g->memory);
    g->has_graphs = h->hipStreamBeginCapture != NULL && h->hipStreamEndCapture != NULL &&
                    h->hipGraphInstantiate != NULL && h->hipGraphLaunch != NULL &&
                    h->hipGraphDestroy != NULL && h->hipGraphExecDestroy != NULL;
    return s;
}

static void close_device(gpu *g) { (void)g; }

static rw_status enter(gpu *g, rw_message *m) { return DO(g, m, hipSetDevice, g->index); }

static rw_status room(gpu *g, size_t *free_bytes, size_t *total, rw_message *m) {
    return DO(g, m, hipMemGetInfo, free_bytes, total);
}

/* ---- code ---------------------------------------------------------------------------------------- */

static rw_status load(gpu *g, const void *image, void **module, rw_message *m) {
    return DO(g, m, hipModuleLoadData, module, image);
}

static void unload(gpu *g, void *module) { (void)of(g)->hipModuleUnload(module); }

static rw_status find(gpu *g, void *module, const char *symbol, void **function, rw_message *m) {
    return DO(g, m, hipModuleGetFunction, function, module, symbol);
}

static rw_status launch(gpu *g, void *queue, void *function, uint32_t groups, uint32_t block,
                        void **args, rw_message *m) {
    return DO(g, m, hipModuleLaunchKernel, function, groups, 1, 1, block, 1, 1, 0, queue, args,
              NULL);
}

/* ---- memory -------------------------------------------------------------------------------------- */

static rw_status take(gpu *g, size_t bytes, uint8_t **out, rw_message *m) {
    void *p = NULL;
    rw_status s = DO(g, m, hipMalloc, &p, bytes);
    *out = s == RW_OK ? p : NULL;
    return s;
}

static void give(gpu *g, uint8_t *p) { (void)of(g)->hipFree(p); }

static rw_status take_host(gpu *g, size_t bytes, uint8_t **out, rw_message *m) {
    void *p = NULL;
    rw_status s = DO(g, m, hipHostMalloc, &p, bytes, 0);
    *out = s == RW_OK ? p : NULL;
    return s;
}

static void give_host(gpu *g, uint8_t *p) { (void)of(g)->hipHostFree(p); }

static rw_status up(gpu *g, void *queue, void *to, const void *from, size_t bytes, rw_message *m) {
    return DO(g, m, hipMemcpyAsync, to, from, bytes, TO_DEVICE, queue);
}

static rw_status down(gpu *g, void *queue, void *to, const void *from, size_t bytes,
                      rw_message *m) {
    return DO(g, m, hipMemcpyAsync, to, from, bytes, TO_HOST, queue);
}

static rw_status within(gpu *g, void *queue, void *to, const void *from, size_t bytes,
                        rw_message *m) {
    return DO(g, m, hipMemcpyAsync, to, from, bytes, WITHIN, queue);
}

static rw_status zero(gpu *g, void *queue, void *to, size_t bytes, rw_message *m) {
    return DO(g, m, hipMemsetAsync, to, 0, bytes, queue);
}

/* ---- queues, marks, graphs ----------------------------------------------------------------------- */

static rw_status queue_make(gpu *g, void **queue, rw_message *m) {
    return DO(g, m, hipStreamCreateWithFlags, queue, NON_BLOCKING);
}

static void queue_drop(gpu *g, void *queue) { (void)of(g)->hipStreamDestroy(queue); }

static rw_status wait_for(gpu *g, void *queue, rw_message *m) {
    return DO(g, m, hipStreamSynchronize, queue);
}

static rw_status mark_make(gpu *g, bool timed, void **mark, rw_message *m) {
    return DO(g, m, hipEventCreateWithFlags, mark, timed ? 0 : WITHOUT_TIME);
}

static void mark_drop(gpu *g, void *mark) { (void)of(g)->hipEventDestroy(mark); }

static rw_status set_mark(gpu *g, void *queue, void *mark, rw_message *m) {
    return DO(g, m, hipEventRecord, mark, queue);
}

static rw_status follow(gpu *g, void *queue, void *mark, rw_message *m) {
    return DO(g, m, hipStreamWaitEvent, queue, mark, 0);
}

static rw_status between(gpu *g, void *from, void *to, double *seconds, rw_message *m) {
    float ms = 0;
    rw_status s = DO(g, m, hipEventElapsedTime, &ms, from, to);
    *seconds = 1e-3 * (double)ms;
    return s;
}

static rw_status record_begin(gpu *g, void *queue, rw_message *m) {
    return DO(g, m, hipStreamBeginCapture, queue, CAPTURE_OF_THREAD);
}

static rw_status record_end(gpu *g, void *queue, void **graph, rw_message *m) {
    void *recorded = NULL;
    rw_status s = DO(g, m, hipStreamEndCapture, queue, &recorded);
    if (s == RW_OK) s = DO(g, m, hipGraphInstantiate, graph, recorded, NULL, NULL, 0);
    if (recorded != NULL) (void)of(g)->hipGraphDestroy(recorded);
    return s;
}

static rw_status replay(gpu *g, void *queue, void *graph, rw_message *m) {
    return DO(g, m, hipGraphLaunch, graph, queue);
}

static void graph_drop(gpu *g, void *graph) { (void)of(g)->hipGraphExecDestroy(graph); }

const gpu_api driver_hip = {
    .kind = "hip",
    .variable = "RWKVC_HIP_LIBRARY",
    .libraries = libraries,
    .product = "AMD's ROCm",
    .symbols = symbols,
    .n_symbols = sizeof symbols / sizeof *symbols,
    .bytes = sizeof(hip),
    GPU_FUNCTIONS,
};
