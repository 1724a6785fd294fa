/* A library with the names of NVIDIA's driver and nothing behind them: memory is the host's, kernels compute
 * nothing. It is strict where a driver would crash or be silently wrong: handles and memory that are gone,
 * ranges, alignment, arguments, a thread without a context, calls that a recording does not allow. Work
 * waits in its stream until somebody waits for it, as late as it may be done.
 *
 * FAKE_CUDA in the environment: none (no GPU), old (a driver before 12.0), sm_75, sm_80 or sm_90 (else sm_86),
 * memory (the fourth block is one too many), launch (launches fail), jit (code is not taken), image (machine code
 * is not), graphs (recording fails). */
#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))

enum {
    GOOD,
    BAD_VALUE = 1,
    NO_MEMORY = 2,
    NO_DEVICE = 100,
    BAD_DEVICE = 101,
    BAD_CONTEXT = 201,
    BAD_IMAGE = 200,
    BAD_PTX = 218,
    BAD_HANDLE = 400,
    NOT_FOUND = 500,
    BAD_LAUNCH = 701,
    NO_CAPTURE = 900
};

/* ---- what there is ------------------------------------------------------------------------------ */

enum { BLOCKS = 4096, OPS = 1 << 16, PARAMS = 512, MOST_KERNELS = 512 };

typedef struct block {
    uint8_t *at;
    size_t bytes;
    bool is_pinned;
} block;

typedef struct kernel {
    char name[128];
    int params, block;
} kernel;

typedef struct work {
    enum { COPY, ZERO, LAUNCH, EVENT } kind;
    void *to;
    const void *from;
    size_t bytes;
} work;

typedef struct list {
    work *ops;
    size_t n;
} list;

/* Work of all streams stands in one list, in the order it was asked for: that keeps every promise. */
typedef struct stream {
    bool is_live, is_origin;
    list *capture;  /* being recorded                                         */
    bool is_joined; /* the first stream waits for what it was asked so far    */
} stream;

typedef struct event {
    bool is_timed;
    stream *of;    /* where it was recorded     */
    list *capture; /* of which recording it is  */
} event;

enum { STREAMS = 16 };

static block blocks[BLOCKS];
static size_t n_blocks;
static stream streams[STREAMS];
static list queue;
static kernel kernels[MOST_KERNELS];
static int n_kernels, modules, contexts, graphs, events;
static long faults, launches, replays, waits, taken, forks;
static long trace; /* of all launches that were asked for: kernels, numbers of threads, numbers */
static _Thread_local bool has_context;

static bool wants(const char *what) {
    const char *all = getenv("FAKE_CUDA");
    return all != NULL && strstr(all, what) != NULL;
}

static int fault(const char *text) {
    faults++;
    printf("fake driver: %s\n", text);
    return BAD_VALUE;
}
#define EXPECT(condition, text)                                                                    \
    do {                                                                                           \
        if (!(condition)) return fault(text);                                                      \
    } while (0)
#define IN_CONTEXT() EXPECT(has_context, "a thread that has no context")

API long fake_count(const char *what) {
    static const struct {
        const char *name;
        const long *at;
    } all[] = {{"faults", &faults}, {"launches", &launches}, {"replays", &replays},
               {"waits", &waits},   {"forks", &forks},       {"trace", &trace}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, what) == 0) return *all[i].at;
    if (strcmp(what, "start") == 0) return trace = 0;
    if (strcmp(what, "live") == 0)
        return (long)n_blocks + modules + contexts + graphs + events + (queue.ops != NULL);
    return -1;
}

static bool is_stream(const void *s) {
    const stream *x = s;
    return x >= streams && x < streams + STREAMS && x->is_live;
}

static bool is_recording(void) {
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].capture != NULL) return true;
    return false;
}

/* ---- memory -------------------------------------------------------------------------------------- */

static bool inside(const void *p, size_t bytes, bool pinned) {
    const uint8_t *at = p;
    for (size_t i = 0; i < n_blocks; i++)
        if (at >= blocks[i].at && at + bytes <= blocks[i].at + blocks[i].bytes)
            return blocks[i].is_pinned == pinned;
    return false;
}

static int take(void **out, size_t bytes, bool pinned) {
    EXPECT(bytes > 0 && n_blocks < BLOCKS, "a block of no bytes");
    EXPECT(!is_recording(), "memory while a graph is recorded");
    if (wants("memory") && !pinned && ++taken > 3) return NO_MEMORY;
    uint8_t *p = aligned_alloc(512, (bytes + 511) & ~(size_t)511);
    if (p == NULL || bytes > (size_t)1 << 32) return NO_MEMORY;
    memset(p, 0xa5, bytes);
    blocks[n_blocks++] = (block){p, bytes, pinned};
    *out = p;
    return GOOD;
}

static int give(const void *p, bool pinned) {
    for (size_t i = 0; i < n_blocks; i++)
        if (blocks[i].at == p && blocks[i].is_pinned == pinned) {
            EXPECT(queue.n == 0, "memory is freed that work waits for");
            free(blocks[i].at);
            blocks[i] = blocks[--n_blocks];
            return GOOD;
        }
    return fault("memory is freed that is not there");
}

API int cuMemAlloc_v2(uint64_t *at, size_t bytes) {
    void *p = NULL;
    IN_CONTEXT();
    int error = take(&p, bytes, false);
    *at = (uint64_t)(uintptr_t)p;
    return error;
}
API int cuMemFree_v2(uint64_t at) { return give((void *)(uintptr_t)at, false); }
API int cuMemHostAlloc(void **at, size_t bytes, unsigned flags) {
    IN_CONTEXT();
    EXPECT(flags == 0, "flags of pinned memory");
    return take(at, bytes, true);
}
API int cuMemFreeHost(void *at) { return give(at, true); }
API int cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
    IN_CONTEXT();
    *free_bytes = (size_t)3 << 30;
    *total = (size_t)4 << 30;
    return GOOD;
}

/* ---- streams ------------------------------------------------------------------------------------- */

static int add(void *s, work w) {
    IN_CONTEXT();
    stream *x = s;
    EXPECT(is_stream(s), "a stream that is not there");
    list *to = x->capture != NULL ? x->capture : &queue;
    x->is_joined = false;
    EXPECT(to->n < OPS, "too much work");
    to->ops[to->n++] = w;
    return GOOD;
}

static int do_all(list *l) {
    int error = GOOD;
    for (size_t i = 0; i < l->n; i++) {
        work *w = &l->ops[i];
        bool is_up = w->kind == COPY && inside(w->from, w->bytes, true);
        bool is_down = w->kind == COPY && inside(w->to, w->bytes, true);
        bool good =
            w->kind > ZERO || ((is_down || inside(w->to, w->bytes, false)) &&
                               (w->kind == ZERO || is_up || inside(w->from, w->bytes, false)));
        if (!good) error = fault("work is done in memory that is gone");
        if (good && w->kind == COPY) memcpy(w->to, w->from, w->bytes);
        if (good && w->kind == ZERO) memset(w->to, 0, w->bytes);
        launches += w->kind == LAUNCH;
    }
    l->n = 0;
    return error;
}

API int cuStreamCreate(void **out, unsigned flags) {
    IN_CONTEXT();
    EXPECT(flags == 1, "a stream that waits for others");
    if (queue.ops == NULL) queue.ops = calloc(OPS, sizeof(work));
    for (int i = 0; i < STREAMS; i++)
        if (!streams[i].is_live) {
            streams[i] = (stream){.is_live = true};
            *out = &streams[i];
            return GOOD;
        }
    return fault("too many streams");
}
API int cuStreamDestroy_v2(void *s) {
    EXPECT(is_stream(s), "a stream that is not there");
    ((stream *)s)->is_live = false;
    for (int i = 0; i < STREAMS; i++)
        if (streams[i].is_live) return GOOD;
    free(queue.ops);
    queue.ops = NULL;
    return GOOD;
}
API int cuStreamSynchronize(void *s) {
    IN_CONTEXT();
    EXPECT(is_stream(s), "a stream that is not there");
    EXPECT(!is_recording(), "waiting while a graph is recorded");
    waits++;
    return do_all(&queue);
}

static int copy(void *to, const void *from, size_t bytes, bool up, bool down, void *s) {
    EXPECT(bytes > 0, "a copy of nothing");
    EXPECT(inside(to, bytes, down) && inside(from, bytes, up),
           "a copy out of bounds, or of memory that is not pinned");
    EXPECT(!is_recording() || (!up && !down), "copies of the host's in a graph");
    return add(s, (work){COPY, to, from, bytes});
}
API int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *s) {
    return copy((void *)(uintptr_t)to, from, bytes, true, false, s);
}
API int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *s) {
    return copy(to, (void *)(uintptr_t)from, bytes, false, true, s);
}
API int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *s) {
    return copy((void *)(uintptr_t)to, (void *)(uintptr_t)from, bytes, false, false, s);
}
API int cuMemsetD8Async(uint64_t to, unsigned char value, size_t n, void *s) {
    EXPECT(n > 0 && value == 0 && inside((void *)(uintptr_t)to, n, false), "zeros out of bounds");
    return add(s, (work){ZERO, (void *)(uintptr_t)to, NULL, n});
}

/* ---- events, graphs ------------------------------------------------------------------------------ */

API int cuEventCreate(void **out, unsigned flags) {
    IN_CONTEXT();
    EXPECT(flags == 0 || flags == 2, "flags of an event");
    event *e = calloc(1, sizeof *e);
    e->is_timed = flags == 0;
    events++;
    *out = e;
    return GOOD;
}
API int cuEventDestroy_v2(void *e) {
    events--;
    free(e);
    return GOOD;
}
API int cuEventRecord(void *what, void *s) {
    event *e = what;
    bool joined = is_stream(s) && ((stream *)s)->is_joined;
    int error = add(s, (work){.kind = EVENT, .to = e});
    if (error != GOOD) return error;
    e->of = s;
    e->capture = e->of->capture;
    e->of->is_joined = joined;
    return GOOD;
}
/* A stream that waits for one that is recorded is recorded too, till the first waits for it. */
API int cuStreamWaitEvent(void *s, void *what, unsigned flags) {
    stream *x = s;
    event *e = what;
    EXPECT(is_stream(s) && e->of != NULL && flags == 0, "waiting for nothing");
    EXPECT(x->capture == NULL || e->capture == x->capture, "an event of another recording");
    if (x->is_origin) e->of->is_joined = true;
    if (x->capture == NULL && e->capture != NULL) {
        forks++;
        x->capture = e->capture;
    }
    return GOOD;
}
API int cuEventElapsedTime(float *ms, void *a, void *b) {
    EXPECT(a != b && queue.n == 0, "time of work that is not done");
    EXPECT(((event *)a)->is_timed && ((event *)b)->is_timed, "events that keep no time");
    *ms = 0.25f;
    return GOOD;
}

API int cuStreamBeginCapture_v2(void *s, int mode) {
    stream *x = s;
    if (wants("graphs")) return NO_CAPTURE;
    EXPECT(is_stream(s) && mode == 1 && !is_recording(), "recording of something else");
    x->capture = calloc(1, sizeof(list));
    x->capture->ops = calloc(OPS, sizeof(work));
    x->is_origin = true;
    graphs++;
    return GOOD;
}
API int cuStreamEndCapture(void *s, void **graph) {
    stream *x = s;
    EXPECT(is_stream(s) && x->is_origin, "the end of no recording");
    *graph = x->capture;
    x->is_origin = false;
    for (int i = 0; i < STREAMS; i++) {
        EXPECT(streams[i].capture == NULL || &streams[i] == x || streams[i].is_joined,
               "a recording that nobody waits for");
        streams[i].capture = NULL;
    }
    return GOOD;
}
API int cuGraphInstantiateWithFlags(void **exec, void *graph, unsigned long long flags) {
    const list *from = graph;
    EXPECT(flags == 0, "flags of a graph");
    list *x = calloc(1, sizeof *x);
    x->ops = calloc(from->n + 1, sizeof(work));
    memcpy(x->ops, from->ops, from->n * sizeof(work));
    x->n = from->n;
    graphs++;
    *exec = x;
    return GOOD;
}
API int cuGraphLaunch(void *exec, void *s) {
    const list *x = exec;
    int error = GOOD;
    replays++;
    for (size_t i = 0; i < x->n && error == GOOD; i++) error = add(s, x->ops[i]);
    return error;
}
API int cuGraphExecDestroy(void *exec) {
    list *x = exec;
    free(x->ops);
    free(x);
    graphs--;
    return GOOD;
}
API int cuGraphDestroy(void *graph) { return cuGraphExecDestroy(graph); }

/* ---- code ---------------------------------------------------------------------------------------- */

/* Names of kernels, how many parameters they have, and their threads, from the text. */
static void read_text(const char *text) {
    n_kernels = 0;
    for (const char *p = text; (p = strstr(p, ".entry ")) != NULL && n_kernels < MOST_KERNELS;) {
        kernel *k = &kernels[n_kernels++];
        *k = (kernel){.params = 0};
        p += strlen(".entry ");
        sscanf(p, "%127[^( \n]", k->name);
        const char *end = strchr(p, ')'), *threads = strstr(p, ".reqntid ");
        for (const char *q = p; (q = strstr(q, ".param")) != NULL && q < end; q++) k->params++;
        if (threads != NULL) k->block = atoi(threads + strlen(".reqntid "));
    }
}

static const uint8_t *code; /* machine code, as long as a module of it lives */
static size_t code_bytes;

/* The last machine code that was loaded; NULL: it was text. */
API const void *fake_code(size_t *bytes) {
    *bytes = code_bytes;
    return code;
}

static Elf64_Shdr section_at(uint32_t i) {
    Elf64_Ehdr h;
    Elf64_Shdr s;
    memcpy(&h, code, sizeof h);
    memcpy(&s, code + h.e_shoff + i * sizeof s, sizeof s);
    return s;
}

/* Attributes of a kernel: how many parameters it has, and its threads. */
static void read_info(kernel *k, const uint8_t *p, const uint8_t *end) {
    enum { SIZED = 4, PARAMETER = 0x17, THREADS = 0x10 };
    while (p + 4 <= end) {
        unsigned n = p[2] | (unsigned)p[3] << 8;
        k->params += p[0] == SIZED && p[1] == PARAMETER;
        if (p[0] == SIZED && p[1] == THREADS) memcpy(&k->block, p + 4, sizeof k->block);
        p += 4 + (p[0] == SIZED ? n : 0);
    }
}

static void read_kernels(const Elf64_Ehdr *h, const char *names) {
    static const char info[] = ".nv.info.";
    n_kernels = 0;
    for (uint32_t i = 0; i < h->e_shnum && n_kernels < MOST_KERNELS; i++) {
        Elf64_Shdr s = section_at(i);
        const char *name = names + s.sh_name;
        if (strncmp(name, info, sizeof info - 1) != 0) continue;
        kernel *k = &kernels[n_kernels++];
        *k = (kernel){.params = 0};
        snprintf(k->name, sizeof k->name, "%s", name + sizeof info - 1);
        read_info(k, code + s.sh_offset, code + s.sh_offset + s.sh_size);
    }
}

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

static int read_code(const uint8_t *image) {
    Elf64_Ehdr h;
    memcpy(&h, image, sizeof h);
    EXPECT((uintptr_t)image % 16 == 0, "machine code out of line");
    EXPECT(h.e_ident[EI_CLASS] == ELFCLASS64 && h.e_type == ET_EXEC && h.e_machine == EM_CUDA,
           "code of another machine");
    code = image;
    code_bytes = most(h.e_shoff + h.e_shnum * sizeof(Elf64_Shdr),
                      h.e_phoff + h.e_phnum * sizeof(Elf64_Phdr));
    for (uint32_t i = 0; i < h.e_shnum; i++) {
        Elf64_Shdr s = section_at(i);
        if (s.sh_type != SHT_NOBITS) code_bytes = most(code_bytes, s.sh_offset + s.sh_size);
    }
    read_kernels(&h, (const char *)image + section_at(h.e_shstrndx).sh_offset);
    return GOOD;
}

API int cuModuleLoadDataEx(void **module, const void *image, unsigned n, int *options,
                           void **values) {
    IN_CONTEXT();
    EXPECT(n == 2 && options[0] == 5 && options[1] == 6 && (uintptr_t)values[1] >= 64,
           "options of the assembler");
    bool is_code = memcmp(image, ELFMAG, SELFMAG) == 0;
    if (is_code && wants("image")) return BAD_IMAGE;
    if (is_code) {
        int error = read_code(image);
        modules += error == GOOD;
        *module = kernels;
        return error;
    }
    code = NULL;
    EXPECT(strstr(image, ".version 8.0") != NULL && strncmp(image, "//!", 3) != 0,
           "no text of PTX");
    if (wants("jit")) {
        snprintf(values[0], (uintptr_t)values[1],
                 "ptxas application ptx input, line 7; error\nmore");
        return BAD_PTX;
    }
    read_text(image);
    modules++;
    *module = kernels;
    return GOOD;
}
API int cuModuleUnload(void *module) {
    EXPECT(module == kernels && modules > 0, "a module that is not there");
    modules--;
    return GOOD;
}
API int cuModuleGetFunction(void **function, void *module, const char *name) {
    EXPECT(module == kernels && modules > 0, "a module that is not there");
    for (int i = 0; i < n_kernels; i++)
        if (strcmp(kernels[i].name, name) == 0) {
            *function = &kernels[i];
            return GOOD;
        }
    return NOT_FOUND;
}

static void note(const void *data, size_t n) {
    for (size_t i = 0; i < n; i++)
        trace = (long)((unsigned long)trace * 1099511628211u ^ ((const uint8_t *)data)[i]);
}

API int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                       unsigned by, unsigned bz, unsigned local, void *s, void **args,
                       void **extra) {
    const kernel *k = function;
    EXPECT(k >= kernels && k < kernels + n_kernels, "a kernel that is not there");
    EXPECT(gx > 0 && gx < 1u << 31 && gy == 1 && gz == 1 && by == 1 && bz == 1,
           "a grid of other axes");
    EXPECT(bx == (unsigned)k->block && local == 0 && extra == NULL, "another number of threads");
    if (wants("launch")) return BAD_LAUNCH;
    note(k->name, strlen(k->name));
    note(&gx, sizeof gx);
    for (int i = 0; i < k->params; i++) {
        uint64_t x;
        memcpy(&x, args[i], sizeof x);
        bool is_pointer = x >> 32 != 0; /* sizes and counters here are small */
        if (!is_pointer) note(&x, sizeof x);
        EXPECT(!is_pointer || (x % 4 == 0 && inside((void *)(uintptr_t)x, 4, false)),
               "an argument out of bounds");
        EXPECT(is_pointer == (i < k->params - 1 && i >= k->params - 3) || i < k->params - 3,
               "seed and scratch are the last pointers, then begin");
    }
    return add(s, (work){.kind = LAUNCH});
}

/* ---- devices ------------------------------------------------------------------------------------- */

API int cuInit(unsigned flags) { return wants("none") ? NO_DEVICE : flags == 0 ? GOOD : BAD_VALUE; }
API int cuDriverGetVersion(int *version) {
    *version = wants("old") ? 11080 : 12040;
    return GOOD;
}
API int cuDeviceGetCount(int *count) {
    *count = 1;
    return GOOD;
}
API int cuDeviceGet(int *device, int ordinal) {
    *device = 7;
    return ordinal == 0 ? GOOD : BAD_DEVICE;
}
API int cuDeviceGetName(char *name, int length, int device) {
    EXPECT(device == 7, "another device");
    snprintf(name, (size_t)length, "Fake GPU");
    return GOOD;
}
API int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    EXPECT(device == 7, "another device");
    *bytes = (size_t)4 << 30;
    return GOOD;
}
API int cuDeviceGetAttribute(int *value, int attribute, int device) {
    EXPECT(device == 7, "another device");
    int number = wants("sm_75") ? 75 : wants("sm_80") ? 80 : wants("sm_90") ? 90 : 86;
    *value = attribute == 16 ? 108 : attribute == 75 ? number / 10 : number % 10;
    return attribute == 16 || attribute == 75 || attribute == 76 ? GOOD : BAD_VALUE;
}
API int cuDevicePrimaryCtxRetain(void **context, int device) {
    EXPECT(device == 7, "another device");
    contexts++;
    *context = &contexts;
    return GOOD;
}
API int cuDevicePrimaryCtxRelease_v2(int device) {
    EXPECT(device == 7 && contexts > 0, "a context that is not there");
    contexts--;
    return GOOD;
}
API int cuCtxSetCurrent(void *context) {
    EXPECT(context == &contexts && contexts > 0, "a context that is not there");
    has_context = true;
    return GOOD;
}
API int cuGetErrorName(int error, const char **text) {
    *text = error == NO_MEMORY    ? "CUDA_ERROR_OUT_OF_MEMORY"
            : error == BAD_LAUNCH ? "CUDA_ERROR_LAUNCH"
                                  : "CUDA_ERROR";
    return GOOD;
}
API int cuGetErrorString(int error, const char **text) {
    *text = error == BAD_LAUNCH ? "too many resources requested for launch" : "a text";
    return GOOD;
}
