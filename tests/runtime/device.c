/* Sessions on GPUs, against the same on a processor: AMD's and NVIDIA's code run on the emulator, whose libraries with
 * HIP's and with CUDA's names are the arguments. What is called more than twice is replayed, so everything here is
 * called more often. */
#include <math.h>
#include <pthread.h>
#include <sha2.h>
#include <stdatomic.h>

#include "calls.h"
#include "compiled.h"
#include "runtime/format.h"

enum { B = 2, T = 17, AMD = 2, DEVICES = 4 };
/* AMD's first: their code may stand in one file. */
static const struct {
    const char *name, *arch, *suffix;
    bool is_like_last; /* its code is that of the one before: a few cases will do */
} devices[DEVICES] = {{"hip:0", "gfx942", "hsaco", false},
                      {"hip:1", "gfx1100", "hsaco", false},
                      {"cuda:0", "sm_80", "ptx", false},
                      {"cuda:1", "sm_90", "ptx", true}};

#ifdef __SANITIZE_ADDRESS__
static const bool is_sanitized = true; /* and slow */
#else
static const bool is_sanitized = false;
#endif

static const char *hip, *cuda; /* the libraries */
static const char *library_of(const char *device) {
    return device != NULL && strncmp(device, "cuda", 4) == 0 ? cuda : hip;
}

static int32_t tokens[B * 64];

/* ---- memory ---------------------------------------------------------------------------------- */

static atomic_long taken, live; /* through the hook */

static void *counted(void *user, void *old, size_t old_bytes, size_t new_bytes) {
    (void)user;
    (void)old_bytes;
    live += new_bytes > 0 ? old == NULL : -(old != NULL);
    taken += new_bytes > 0;
    if (new_bytes > 0) return realloc(old, new_bytes);
    free(old);
    return NULL;
}
static const rw_alloc counting = {counted, NULL};

/* ---- a model on a device ---------------------------------------------------------------------- */

typedef struct on {
    rw_context *c;
    rw_program *p;
    rw_session *s;
} on;

static rw_session *session(rw_program *p) {
    rw_dim dims[] = {{"B", B}, {"T", T}};
    rw_session *s = NULL;
    rw_session_options o = {.dims = dims, .n_dims = 2};
    GOOD(rw_session_create(p, &o, &s, &m));
    if (s != NULL) GOOD(rw_params_init(s, 7, &m));
    return s;
}

static bool load_on(on *x, const char *path) {
    GOOD(rw_program_load(x->c, path, &x->p, &m));
    if (x->p != NULL) x->s = session(x->p);
    return x->s != NULL;
}

/* device: NULL: the processor. */
static bool context_on(on *x, const char *device) {
    rw_context_options o = {
        .device = device, .threads = 1, .library = library_of(device), .alloc = &counting};
    *x = (on){0};
    GOOD(rw_context_create(&o, &x->c, &m));
    if (x->c == NULL) return false;
    CHECK(strcmp(rw_context_device(x->c), device != NULL ? device : "cpu") == 0, "%s",
          rw_context_device(x->c));
    return true;
}

static bool open_on(on *x, const char *device, const char *path) {
    return context_on(x, device) && load_on(x, path);
}

static void close_on(on *x) {
    rw_session_destroy(x->s);
    rw_program_destroy(x->p);
    rw_context_destroy(x->c);
}

static void put(rw_session *s, const char *name, const int32_t *data, int64_t b, int64_t t) {
    rw_tensor x = {
        .name = name, .dtype = RW_I32, .rank = t > 0 ? 2 : 1, .shape = {b, t}, .data = data};
    x.bytes = (size_t)(b * (t > 0 ? t : 1)) * sizeof *data;
    GOOD(rw_put(s, name, &x, &m));
}

static float train(rw_session *s, const char *entry, int step) {
    float loss = 0;
    put(s, "token", tokens, B, T);
    put(s, "target", tokens + 1, B, T);
    if (step > 0) {
        GOOD(rw_put_number(s, "lr", 1e-2, &m));
        GOOD(rw_put_number(s, "decay", 0.1, &m));
        GOOD(rw_put_number(s, "step", step, &m));
    }
    GOOD(rw_call(s, entry, &m));
    GOOD(rw_get(s, "loss", RW_F32, &loss, sizeof loss, &m));
    return loss;
}

/* ---- comparing -------------------------------------------------------------------------------- */

/* Largest difference of a kind's tensors, relative to the largest number of each. */
static double differ(const rw_session *a, const rw_session *b, rw_kind kind) {
    size_t n = rw_session_count(b, kind);
    double worst = 0;
    CHECK(rw_session_count(a, kind) == n && n > 0, "%zu and %zu", rw_session_count(a, kind), n);
    for (size_t i = 0; i < n; i++) {
        rw_tensor x = {0}, y = {0};
        GOOD(rw_session_tensor(a, kind, i, &x));
        GOOD(rw_session_tensor(b, kind, i, &y));
        CHECK(x.bytes == y.bytes && x.dtype == RW_F32 && y.dtype == RW_F32, "%s", y.name);
        const float *p = x.data, *q = y.data;
        double most = 1e-3, error = 0;
        for (size_t k = 0; k < y.bytes / 4 && x.bytes == y.bytes; k++) {
            most = fmax(most, fabs((double)q[k]));
            error = fmax(error, isfinite(p[k]) ? fabs((double)p[k] - (double)q[k]) : 1e9);
        }
        worst = fmax(worst, error / most);
    }
    return worst;
}
#define CLOSE(a, b, kind, bar)                                                                     \
    CHECK(differ(a, b, kind) < (bar), "they differ by %g", differ(a, b, kind))

/* ---- cases ------------------------------------------------------------------------------------ */

/* Lengths that take turns, each more often than a call is kept, and back again. */
static void forward(on *g, on *c) {
    static const int lengths[] = {1, 5, 17, 2, 3, 5, 16, 17, 5, 17, 5, 17};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int round = 0; round < 3; round++) {
            for (int k = 0; k < 2; k++) {
                rw_session *s = k == 0 ? g->s : c->s;
                GOOD(rw_states_start(s));
                put(s, "token", tokens + round, B, lengths[i]);
                GOOD(rw_call(s, "forward", &m));
            }
            CLOSE(g->s, c->s, RW_OUTPUT, 1e-5);
            CLOSE(g->s, c->s, RW_STATE, 1e-5);
        }
}

/* Entries that take turns: what is replayed leaves behind where its own results are. */
static void mixed(on *g, on *c) {
    for (int i = 0; i < 8; i++) {
        (void)train(g->s, "grad", 0);
        (void)train(c->s, "grad", 0);
        CLOSE(g->s, c->s, RW_GRADIENT, 1e-5);
        for (int k = 0; k < 2; k++) {
            rw_session *s = k == 0 ? g->s : c->s;
            GOOD(rw_states_start(s));
            put(s, "token", tokens, B, 3);
            GOOD(rw_call(s, "forward", &m));
        }
        CLOSE(g->s, c->s, RW_OUTPUT, 1e-5);
    }
}

/* Token by token; in the middle one session becomes two, and the states go through a file. */
static void steps(on *g, on *c) {
    rw_session *fork = session(g->p);
    const char *path = in_folder("states.safetensors");
    GOOD(rw_states_start(g->s));
    GOOD(rw_states_start(c->s));
    for (int t = 0; t < 20; t++) {
        if (t == 9) GOOD(rw_states_copy(fork, g->s, &m));
        for (int k = 0; k < 2; k++) {
            rw_session *s = k == 0 ? (t >= 9 && t < 14 ? fork : g->s) : c->s;
            put(s, "token", tokens + t, B, 0);
            GOOD(rw_call(s, "step", &m));
        }
        CLOSE(t >= 9 && t < 14 ? fork : g->s, c->s, RW_OUTPUT, 1e-5);
        if (t != 13) continue;
        rw_weights *w = NULL;
        long before = live;
        GOOD(rw_session_save(fork, RW_STATE, path, NULL, &m));
        CHECK(live == before, "%ld blocks stay after a file was written", live - before);
        GOOD(rw_weights_open(path, &w, &m));
        GOOD(rw_states_load(g->s, RW_STATE, w, &m));
        rw_weights_close(w);
    }
    CLOSE(g->s, c->s, RW_STATE, 1e-5);
    rw_session_destroy(fork);
}

static void training(on *g, on *c) {
    (void)train(g->s, "grad", 0);
    (void)train(c->s, "grad", 0);
    CLOSE(g->s, c->s, RW_GRADIENT, 1e-5);
    for (int step = 1; step <= 6; step++) {
        float a = train(g->s, "train", step), b = train(c->s, "train", step);
        CHECK(fabsf(a - b) < 1e-5f * (float)step, "step %d: %g and %g", step, (double)a, (double)b);
    }
    CLOSE(g->s, c->s, RW_PARAM, 1e-3);
    CLOSE(g->s, c->s, RW_OPTIMIZER, 1e-3);
}

/* Parameters and states of the optimizer through files, into a session that goes on from there. */
static void resume(on *g) {
    rw_session *other = session(g->p);
    static const rw_kind kinds[] = {RW_PARAM, RW_OPTIMIZER};
    for (int i = 0; i < 2; i++) {
        rw_weights *w = NULL;
        const char *path = in_folder(i == 0 ? "p.safetensors" : "o.safetensors");
        GOOD(rw_session_save(g->s, kinds[i], path, NULL, &m));
        GOOD(rw_weights_open(path, &w, &m));
        if (i == 0) GOOD(rw_params_load(other, w, false, &m));
        if (i == 1) GOOD(rw_states_load(other, RW_OPTIMIZER, w, &m));
        rw_weights_close(w);
    }
    for (int step = 7; step <= 9; step++) {
        float a = train(g->s, "train", step), b = train(other, "train", step);
        CHECK(a == b, "step %d: %g and %g, the same bits are wanted", step, (double)a, (double)b);
    }
    CHECK(differ(g->s, other, RW_PARAM) == 0, "parameters differ");
    rw_session_destroy(other);
}

static void profile(on *g) {
    double seconds = 0;
    uint64_t launches = 0;
    GOOD(rw_profile_begin(g->s, "forward", &m));
    for (int i = 0; i < 3; i++) {
        put(g->s, "token", tokens, B, T);
        GOOD(rw_states_start(g->s));
        GOOD(rw_call(g->s, "forward", &m));
    }
    rw_profile_end(g->s);
    for (size_t i = 0; i + 1 < rw_profile_count(g->s); i++) {
        rw_kernel_time line;
        GOOD(rw_profile_line(g->s, i, &line));
        launches += line.launches;
        seconds += line.seconds;
    }
    CHECK(launches == 3 * rw_program_launches(g->p, "forward") && seconds > 0,
          "%llu launches, %llu a call, %g s", (unsigned long long)launches,
          (unsigned long long)rw_program_launches(g->p, "forward"), seconds);
}

static void takes_nothing(on *g) {
    put(g->s, "token", tokens, B, 0);
    GOOD(rw_states_start(g->s));
    for (int i = 0; i < 6; i++) {
        long before = taken;
        put(g->s, "token", tokens + i, B, 0);
        GOOD(rw_call(g->s, "step", &m));
        CHECK(taken == before, "call %d took memory %ld times", i, taken - before);
    }
}

static void on_device(const char *device, const char *path, const char *so, bool is_like_last) {
    on g, c;
    bool good = open_on(&g, device, path);
    good = open_on(&c, NULL, so) && good;
    if (good && !is_like_last) {
        forward(&g, &c);
        mixed(&g, &c);
        takes_nothing(&g);
    }
    if (good) {
        steps(&g, &c);
        training(&g, &c);
        resume(&g);
        profile(&g);
    }
    close_on(&g);
    close_on(&c);
    CHECK(live == 0, "%s: %ld blocks of memory are left", device, live);
}

/* Devices of one thread, of two drivers, in turn. */
static void in_turn(char path[][300]) {
    on x[DEVICES];
    bool good = true;
    for (int d = 0; d < DEVICES; d++) good = context_on(&x[d], devices[d].name) && good;
    for (int d = 0; good && d < DEVICES; d++) good = load_on(&x[d], path[d]);
    for (int i = 0; good && i < 4; i++) {
        for (int d = 0; d < DEVICES; d++) (void)train(x[d].s, "train", i + 1);
        for (int d = 1; d < DEVICES; d++) CLOSE(x[0].s, x[d].s, RW_PARAM, 1e-3);
    }
    for (int d = 0; d < DEVICES; d++) close_on(&x[d]);
}

typedef struct trained {
    rw_session *s;
    float loss;
    pthread_t thread;
} trained;

static void *train_some(void *user) {
    trained *x = user;
    for (int step = 1; step <= 5; step++) x->loss = train(x->s, "train", step);
    return NULL;
}

/* Two sessions of one program, each by a thread of its own. */
static void at_once(const char *device, const char *path) {
    on x;
    if (open_on(&x, device, path)) {
        trained t[2] = {{.s = x.s}, {.s = session(x.p)}};
        for (int i = 0; i < 2; i++)
            CHECK(pthread_create(&t[i].thread, NULL, train_some, &t[i]) == 0, "no thread");
        for (int i = 0; i < 2; i++) pthread_join(t[i].thread, NULL);
        CHECK(t[0].loss == t[1].loss && differ(t[0].s, t[1].s, RW_PARAM) == 0, "losses %g and %g",
              (double)t[0].loss, (double)t[1].loss);
        rw_session_destroy(t[1].s);
    }
    close_on(&x);
}

/* What can be reached is known of what products are made of, on what they would run on. */
static void rates(const char *device, const char *path, const char *so) {
    on g, c;
    double f32 = -1, bf16 = -1, none = -1;
    if (context_on(&g, device) && context_on(&c, NULL)) {
        GOOD(rw_program_read(g.c, path, &g.p, &m));
        FAILS(RW_BAD_ARG, "not loaded for a GPU", rw_program_product_rate(g.p, RW_F32, &none, &m));
        rw_program_destroy(g.p);
        GOOD(rw_program_load(g.c, path, &g.p, &m));
        GOOD(rw_program_product_rate(g.p, RW_F32, &f32, &m));
        GOOD(rw_program_product_rate(g.p, RW_BF16, &bf16, &m));
        FAILS(RW_NO_SUCH, "no products of f16", rw_program_product_rate(g.p, RW_F16, &none, &m));
        CHECK(f32 > 0 && bf16 > 2 * f32 && none == 0, "%s: %g, %g, %g", device, f32, bf16, none);
        GOOD(rw_program_load(c.c, so, &c.p, &m));
        FAILS(RW_BAD_ARG, "not loaded for a GPU", rw_program_product_rate(c.p, RW_F32, &none, &m));
        close_on(&c);
    }
    close_on(&g);
}

/* Masters and copies: of bf16 the two devices' losses are near each other, and both learn. */
static void short_weights(const char *device, const char *path, const char *so) {
    on g, c;
    bool good = open_on(&g, device, path);
    good = open_on(&c, NULL, so) && good;
    float first = 0, last = 0;
    for (int step = 1; good && step <= 6; step++) {
        float a = train(g.s, "train", step), b = train(c.s, "train", step);
        CHECK(fabsf(a - b) < 3e-2f, "%s step %d: %g and %g", device, step, (double)a, (double)b);
        first = step == 1 ? a : first;
        last = a;
    }
    CHECK(last < first, "%s: from %g to %g", device, (double)first, (double)last);
    if (good) CHECK(differ(g.s, c.s, RW_PARAM) < 0.2, "%g", differ(g.s, c.s, RW_PARAM));
    close_on(&g);
    close_on(&c);
}

/* ---- which code, which device --------------------------------------------------------------------- */

static void mistakes(const char *one, const char *so, const char *ptx, const char *newer) {
    rw_context *cpu = NULL, *gpu = NULL, *none = NULL;
    rw_program *p = NULL;
    rw_context_options o = {.device = "hip:1", .library = hip};
    GOOD(rw_context_create(NULL, &cpu, &m));
    GOOD(rw_context_create(&o, &gpu, &m));
    if (cpu == NULL || gpu == NULL) return;
    FAILS(RW_WRONG_TARGET, "run it with --device hip:0", rw_program_load(cpu, one, &p, &m));
    FAILS(RW_WRONG_TARGET, "run it with --device cuda:0", rw_program_load(cpu, ptx, &p, &m));
    FAILS(RW_WRONG_TARGET, "hip:1 is gfx1100: compile it with --target=gfx1100",
          rw_program_load(gpu, one, &p, &m));
    FAILS(RW_WRONG_TARGET, "code for x86-64-v3, and hip:1 is gfx1100",
          rw_program_load(gpu, so, &p, &m));
    FAILS(RW_WRONG_TARGET, "-o FILE.hsaco", rw_program_load(gpu, ptx, &p, &m));
    o.device = "hip:2";
    FAILS(RW_NO_DEVICE, "sees 2, from hip:0 on", rw_context_create(&o, &none, &m));
    o.device = "hip:x";
    FAILS(RW_NO_DEVICE, "this runtime knows cpu, hip:0", rw_context_create(&o, &none, &m));
    o.device = "hip:0";
    o.library = "/nowhere/libamdhip64.so";
    FAILS(RW_NO_DEVICE, "/nowhere/libamdhip64.so: this driver cannot be opened",
          rw_context_create(&o, &none, &m));
    rw_context_destroy(gpu);
    o = (rw_context_options){.device = "cuda:0", .library = cuda};
    GOOD(rw_context_create(&o, &gpu, &m));
    if (gpu == NULL) return;
    FAILS(RW_WRONG_TARGET, "code for sm_90, and cuda:0 is sm_80, which is older",
          rw_program_load(gpu, newer, &p, &m));
    FAILS(RW_WRONG_TARGET, "-o FILE.ptx", rw_program_load(gpu, one, &p, &m));
    o.device = "cuda:2";
    FAILS(RW_NO_DEVICE, "sees 2, from cuda:0 on", rw_context_create(&o, &none, &m));
    CHECK(none == NULL && p == NULL, "something was made");
    rw_context_destroy(cpu);
    rw_context_destroy(gpu);
}

static void no_room(const char *path) {
    on g = {0};
    rw_context_options o = {.device = "hip:0", .library = hip};
    GOOD(rw_context_create(&o, &g.c, &m));
    if (g.c == NULL) return;
    GOOD(rw_program_load(g.c, path, &g.p, &m));
    rw_dim dims[] = {{"B", 4096}, {"T", 65536}};
    rw_session_options so = {.dims = dims, .n_dims = 2};
    if (g.p != NULL)
        FAILS(RW_NO_MEMORY, "8.0 GiB. Smaller batches", rw_session_create(g.p, &so, &g.s, &m));
    if (g.p != NULL) FAILS(RW_NO_MEMORY, "--memory-budget", rw_session_create(g.p, &so, &g.s, &m));
    close_on(&g);
}

static void lists(void) {
    rw_device d[1];
    size_t n = 0;
    GOOD(rw_devices("hip", hip, d, 1, &n, &m));
    CHECK(n == 2 && strcmp(d[0].arch, "gfx942") == 0 && strcmp(d[0].name, "hip:0") == 0 &&
              d[0].memory == (size_t)8 << 30 && d[0].units == 304,
          "%zu devices, the first %s", n, d[0].arch);
    GOOD(rw_devices("cuda", cuda, d, 1, &n, &m));
    CHECK(n == 2 && strcmp(d[0].arch, "sm_80") == 0 && strcmp(d[0].model, "emulated sm_80") == 0 &&
              d[0].memory == (size_t)8 << 30 && d[0].units == 108,
          "%zu devices, the first %s", n, d[0].arch);
}

/* Each kind of file, cut at many places and with bits changed: never loaded. */
static void damaged(const char *path) {
    on g = {0};
    size_t n;
    uint8_t *data = slurp(path, &n);
    uint64_t seed = 5;
    rw_context_options o = {.device = "hip:0", .library = hip};
    GOOD(rw_context_create(&o, &g.c, &m));
    for (int i = 0; g.c != NULL && i < 150; i++) {
        size_t cut = i < 40 ? (size_t)i * 3 : dice(&seed) % n;
        rw_status s = rw_program_load_memory(g.c, "cut", data, cut, &g.p, &m);
        CHECK(s == RW_BAD_FILE && g.p == NULL, "%s cut at %zu: %s", path, cut, m.text);
        uint8_t *byte = &data[i < 100 ? (size_t)i : dice(&seed) % n], was = *byte;
        *byte ^= (uint8_t)(1u << dice(&seed) % 8);
        s = rw_program_load_memory(g.c, "changed", data, n, &g.p, &m);
        CHECK(s == RW_BAD_FILE && g.p == NULL, "%s changed at %d: %s", path, (int)(byte - data),
              m.text);
        *byte = was;
    }
    free(data);
    close_on(&g);
}

/* Tables of a bundle that lie, under a hash that is right: refused, or another entry is read, never more. */
static void lies(const char *path) {
    on g = {0};
    size_t n;
    uint8_t *data = slurp(path, &n);
    uint64_t seed = 9;
    int refused = 0;
    rw_context_options o = {.device = "hip:1", .library = hip};
    GOOD(rw_context_create(&o, &g.c, &m));
    for (int i = 0; g.c != NULL && i < 200; i++) {
        uint8_t *copy = malloc(n);
        memcpy(copy, data, n);
        /* the count, and the rows of three entries */
        uint8_t *at = copy + 24 + (i < 8 ? 0 : dice(&seed) % 200);
        for (int k = 0; k < (i < 100 ? 1 : 8); k++) at[k] = (uint8_t)dice(&seed);
        SHA2_CTX c;
        SHA256Init(&c);
        SHA256Update(&c, copy, n - RW_HASH_BYTES);
        SHA256Final(copy + n - RW_HASH_BYTES, &c);
        rw_status s = rw_program_load_memory(g.c, "lying", copy, n, &g.p, &m);
        CHECK((s == RW_OK) == (g.p != NULL), "%s", m.text);
        refused += s != RW_OK;
        rw_program_destroy(g.p);
        g.p = NULL;
        free(copy);
    }
    CHECK(refused > 50, "%d of 200 were refused", refused);
    free(data);
    close_on(&g);
}

/* ---- all ------------------------------------------------------------------------------------------ */

static bool compiled(const char *target, uint8_t dtype, const char *path) {
    static const char *const names[] = {"init",    "start", "step",  "forward",
                                        "prefill", "grad",  "train", NULL};
    Arena *a = arena_new();
    const char *wrong = compile_typed(a, tiny_text, names, target, dtype, path);
    CHECK(wrong == NULL, "%s: %s", target, wrong);
    arena_free(a);
    return wrong == NULL;
}

/* Both of AMD's in a bundle. */
static bool bundled(const char *path) {
    Arena *a = arena_new();
    Diag *d = diag_new(a, 0);
    Program *p = check_text(a, d, "tiny.rwkv", tiny_text, strlen(tiny_text), NULL);
    const TargetInfo *const targets[] = {target_find(devices[0].arch),
                                         target_find(devices[1].arch)};
    FileEntry e = {.name = "forward"};
    PlanOptions o = {.fuse = true};
    const char *wrong = "no graph";
    bool is_io;
    if (p != NULL) e.graph = program_graph(p, "forward", d);
    if (e.graph != NULL) e.plan = plan_make(a, e.graph, &o, &wrong);
    if (e.plan != NULL)
        wrong = file_write_all(a, &e, 1, targets, 2, &(FileTo){.path = path, .program = "tiny"},
                               &is_io);
    CHECK(wrong == NULL, "%s", wrong);
    arena_free(a);
    return wrong == NULL;
}

/* A device takes its own of several; who has none is told what there is. */
static void choices(const char *path) {
    on g;
    for (int d = 0; d < AMD; d++) {
        if (!context_on(&g, devices[d].name)) continue;
        GOOD(rw_program_load(g.c, path, &g.p, &m));
        if (g.p != NULL)
            CHECK(strcmp(rw_program_target(g.p), devices[d].arch) == 0, "%s",
                  rw_program_target(g.p));
        close_on(&g);
    }
    if (!context_on(&g, NULL)) return;
    FAILS(RW_WRONG_TARGET, "code for gfx942, gfx1100, a GPU", rw_program_load(g.c, path, &g.p, &m));
    GOOD(rw_program_read(g.c, path, &g.p, &m));
    if (g.p != NULL)
        CHECK(strcmp(rw_program_target(g.p), "gfx942, gfx1100") == 0, "%s", rw_program_target(g.p));
    close_on(&g);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    hip = argv[1];
    cuda = argv[2];
    for (int i = 0; i < B * 64; i++) tokens[i] = i * 7 % TINY_V;
    folder_make();
    char so[300], both[300], file[DEVICES][300];
    snprintf(so, sizeof so, "%s/a.so", folder);
    snprintf(both, sizeof both, "%s/both.hsaco", folder);
    bool good = compiled("x86-64-v3", DT_F32, so);
    for (int d = 0; d < DEVICES && good; d++) {
        snprintf(file[d], sizeof file[d], "%s/%s.%s", folder, devices[d].arch, devices[d].suffix);
        good = compiled(devices[d].arch, DT_F32, file[d]);
        if (good) on_device(devices[d].name, file[d], so, devices[d].is_like_last);
    }
    if (good) {
        in_turn(file);
        for (int d = 0; d < DEVICES; d += AMD) {
            at_once(devices[d].name, file[d]);
            if (d == 0 || !is_sanitized) rates(devices[d].name, file[d], so);
            damaged(file[d]);
        }
        no_room(file[0]);
        mistakes(file[0], so, file[2], file[3]);
        lists();
        if (bundled(both)) {
            choices(both);
            damaged(both);
            lies(both);
        }
    }
    good = good && compiled("x86-64-v3", DT_BF16, so);
    for (int d = 0; d < DEVICES && good; d++)
        if (compiled(devices[d].arch, DT_BF16, file[d]))
            short_weights(devices[d].name, file[d], so);
    folder_remove();
    return finish();
}
