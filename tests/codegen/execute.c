/* A plan's ops run one after another: every buffer ends at a page that may not be touched, behind the
 * 64 bytes that may be read. */
#define _GNU_SOURCE
#include "execute.h"

#include "emulated.h"
#include "threads.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xmmintrin.h>

#include "../../compiler/interp.h"

typedef void (*KernelFn)(void *const *, const int64_t *, const int64_t *, void *, int64_t, int64_t);

typedef struct Buffer {
    char *p;
    size_t bytes;
    int64_t dims[MAX_RANK];
} Buffer;

typedef struct Bound {
    Value v;
    Array x;
    size_t n;
} Bound;

typedef struct Machine {
    Arena *a;
    Graph *g;  /* the plan's */
    Graph *of; /* what the plan was made from: the interpreter runs this */
    Plan *p;
    const Execute *x;
    KernelCode *codes;
    KernelFn *fns;
    Buffer *bufs;
    void **ptr; /* by BufId: loops exchange them */
    int64_t axes[64];
    int64_t levels[2 * MAX_LEVELS + 1];
    int64_t pos[MAX_LEVELS];
    char *scratch;
    size_t scratch_bytes;
    Interp *in;
    Bound *bound; /* what the interpreter was given */
    uint32_t n_bound;
    double *noise; /* by output: the most that rounding changed it */
    uint64_t rng;
    const char *error;
    double *seconds;
    Emulated *emu; /* AMD, NVIDIA: where the buffers are too */
} Machine;

static double uniform(Machine *m) {
    m->rng = m->rng * 6364136223846793005u + 1442695040888963407u;
    return (double)(m->rng >> 11) / 4503599627370496.0 - 1;
}

static size_t dtype_bytes(uint8_t d) { return d == DT_BF16 || d == DT_F16 ? 2 : 4; }

/* ---- memory ------------------------------------------------------------------------------------ */

/* What may be read of a buffer. */
static size_t with_rest(size_t bytes) { return (bytes + 63) / 64 * 64 + 64; }

static char *guarded(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = with_rest(bytes);
    size_t whole = (n + page - 1) / page * page;
    char *p = mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    mprotect(p + whole, page, PROT_NONE);
    memset(p, 0xff, whole);
    return p + whole - n;
}

static float half_to_float(uint16_t h) {
    double s = h >> 15 ? -1 : 1;
    int e = h >> 10 & 31, f = h & 1023;
    return (float)(e ? s * ldexp(1024 + f, e - 25) : s * ldexp(f, -24));
}

static uint16_t float_to_half(float x) { /* of small numbers, for test data: truncating is enough */
    uint16_t best = 0;
    double d = fabs((double)x);
    int e;
    double f = frexp(d, &e);
    if (d > 1e-4) best = (uint16_t)((unsigned)(e + 14) << 10 | ((unsigned)(f * 2048) & 1023));
    return (uint16_t)(best | (x < 0 ? 0x8000 : 0));
}

static uint16_t float_to_bf16(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static float bf16_to_float(uint16_t h) {
    uint32_t u = (uint32_t)h << 16;
    float x;
    memcpy(&x, &u, 4);
    return x;
}

static double get(const char *p, uint8_t dtype, size_t i) {
    float f;
    int32_t n;
    uint16_t h;
    switch (dtype) {
    case DT_F32: memcpy(&f, p + 4 * i, 4); return (double)f;
    case DT_I32: memcpy(&n, p + 4 * i, 4); return n;
    case DT_BF16: memcpy(&h, p + 2 * i, 2); return (double)bf16_to_float(h);
    default: memcpy(&h, p + 2 * i, 2); return (double)half_to_float(h);
    }
}

static void set(char *p, uint8_t dtype, size_t i, double x) {
    float f = (float)x;
    int32_t n = (int32_t)x;
    uint16_t h = dtype == DT_BF16 ? float_to_bf16(f) : dtype == DT_F16 ? float_to_half(f) : 0;
    switch (dtype) {
    case DT_F32: memcpy(p + 4 * i, &f, 4); break;
    case DT_I32: memcpy(p + 4 * i, &n, 4); break;
    default: memcpy(p + 2 * i, &h, 2);
    }
}

static bool make_buffers(Machine *m) {
    uint32_t n = m->p->bufs.n;
    m->bufs = NEWN(m->a, Buffer, n + 1);
    m->ptr = NEWN(m->a, void *, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        const PlanBuf *b = &m->p->bufs.data[i];
        size_t items = 1;
        for (uint32_t d = 0; d < b->rank; d++) {
            if (!size_eval(m->g->sizes, b->dims[d], m->axes, &m->bufs[i].dims[d])) return false;
            items *= (size_t)m->bufs[i].dims[d];
        }
        m->bufs[i].bytes = items * dtype_bytes(b->dtype);
        m->bufs[i].p = m->emu ? emulated_alloc(m->emu, with_rest(m->bufs[i].bytes))
                              : guarded(m->bufs[i].bytes);
        if (!m->bufs[i].p) return false;
        m->ptr[i] = m->bufs[i].p;
    }
    return true;
}

static void free_guarded(char *p, size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = with_rest(bytes);
    size_t whole = (n + page - 1) / page * page;
    if (p) munmap(p + n - whole, whole + page);
}

static void free_buffers(Machine *m) {
    for (uint32_t i = 0; m->bufs && i < m->p->bufs.n && !m->emu; i++)
        free_guarded(m->bufs[i].p, m->bufs[i].bytes);
    emulated_close(m->emu);
}

/* ---- data ---------------------------------------------------------------------------------------- */

static int64_t below_of(const Graph *g, Value v) {
    for (uint32_t i = 0; i < g->inputs.n; i++)
        if (g->inputs.data[i].value == v) return g->inputs.data[i].below;
    return 0;
}

/* Numbers of many sizes, and now and then one of those that are special. */
static double wild(Machine *m) {
    static const double special[] = {
        0,    -0.0,  INFINITY, -INFINITY, NAN,   1,     -1,    0.5,    2,      3,
        -3,   1e-37, -1e-37,   3e38,      -3e38, 88.72, 88.73, -87.33, -87.34, -103,
        0.62, -0.62, 4,        -4,        2.5,   -2.5,  1e9,   1.5,    0.7071};
    double u = uniform(m), size = uniform(m);
    size_t n = sizeof special / sizeof *special;
    if (u > 0.8) return special[(size_t)((u - 0.8) * 5 * (double)n * 0.9999)];
    return (u > 0 ? 1 : -1) * exp2(size * size * size * 30) * (1 + fabs(u));
}

static double number(Machine *m, Value v, bool ints, bool param) {
    if (m->x->per_item && !ints) return wild(m);
    double u = uniform(m);
    int64_t below = below_of(m->g, v);
    for (uint32_t i = 0; i < m->g->states.n; i++) /* roots of them are taken */
        if (m->g->states.data[i].value == v && m->g->states.data[i].optimizer) return 1 + 0.5 * u;
    for (uint32_t i = 0; i < m->g->inputs.n; i++)
        if (m->g->inputs.data[i].value == v && m->g->inputs.data[i].scalar)
            return strcmp(m->g->inputs.data[i].name, "step") == 0 ? 3 : 0.01;
    if (ints) return below ? floor(fabs(u) * 0.999999 * (double)below) : u > -0.5;
    if (param && m->x->small_params) return u * 0.1;
    return u;
}

/* of: the value in the graph that was planned */
static const char *bind_one(Machine *m, Value v, Value of, bool param) {
    const ValueInfo *info = graph_value(m->of, of);
    BufId b = m->p->buf_of[v];
    Array x = {.type = info->type, .rank = info->rank};
    size_t n = 1;
    for (uint32_t i = 0; i < info->rank; i++) {
        const char *e = interp_size(m->in, info->dims[i], &x.dims[i]);
        if (e) return e;
        n *= (size_t)x.dims[i];
    }
    double *items = NEWN(m->a, double, n);
    int64_t *ints = (int64_t *)(void *)items;
    bool is_int = info->type == T_INT;
    for (size_t i = 0; i < n; i++) {
        double u = (double)(float)number(m, v, is_int, param);
        if (b != UINT32_MAX) {
            set(m->bufs[b].p, m->p->bufs.data[b].dtype, i, u);
            u = get(m->bufs[b].p, m->p->bufs.data[b].dtype, i);
        }
        if (is_int)
            ints[i] = (int64_t)u;
        else
            items[i] = u;
    }
    if (is_int)
        x.ints = ints;
    else
        x.real = items;
    if (m->emu && b != UINT32_MAX) {
        void *copy = arena_alloc(m->a, m->bufs[b].bytes + 1);
        memcpy(copy, m->bufs[b].p, m->bufs[b].bytes);
        emulated_put(m->emu, m->bufs[b].p, copy, m->bufs[b].bytes);
    }
    m->bound[m->n_bound++] = (Bound){of, x, n};
    return interp_bind(m->in, of, &x);
}

static const char *bind_all(Machine *m) {
    const char *e = NULL;
    Graph *g = m->g;
    m->bound = NEWN(m->a, Bound, g->inputs.n + g->params.n + g->states.n + 1);
    for (uint32_t i = 0; i < g->inputs.n && !e; i++)
        e = bind_one(m, g->inputs.data[i].value, m->of->inputs.data[i].value, false);
    for (uint32_t i = 0; i < g->params.n && !e; i++)
        e = bind_one(m, g->params.data[i].value, m->of->params.data[i].value, true);
    for (uint32_t i = 0; i < g->states.n && !e; i++)
        if (g->states.data[i].value)
            e = bind_one(m, g->states.data[i].value, m->of->states.data[i].value, false);
    return e;
}

/* ---- running --------------------------------------------------------------------------------------- */

static char *address(Machine *m, const PlanArg *a, size_t *bytes) {
    const Buffer *b = &m->bufs[a->buf];
    size_t left = b->bytes, at = 0;
    for (uint32_t i = 0; i < a->n_level; i++) {
        left /= (size_t)b->dims[i];
        at += left * (size_t)m->pos[a->level[i]];
    }
    if (bytes) *bytes = left;
    return (char *)m->ptr[a->buf] + at;
}

static const char *probe(Machine *m, const Op *o, uint32_t groups, const uint64_t *in, uint32_t n,
                         void *room, size_t room_bytes) {
    Span spans[256];
    uint32_t n_spans = 0;
    for (uint32_t i = 0; i < o->args.n; i++) {
        BufId b = o->args.data[i].buf;
        bool known = false;
        for (uint32_t k = 0; k < n_spans; k++) known |= spans[k].p == m->ptr[b];
        if (!known) spans[n_spans++] = (Span){m->ptr[b], m->bufs[b].bytes};
    }
    if (room) spans[n_spans++] = (Span){room, room_bytes};
    const KernelCode *c = &m->codes[o->kernel];
    return emulated_probe(m->emu, c->symbol, groups, c->block, in, n, spans, n_spans);
}

/* codegen.h has the order of arguments. A launch is cut at odd places, to see that it may be. */
static void launch_gpu(Machine *m, const Op *o, void *const *args, const int64_t *sizes,
                       int64_t grid, size_t scratch) {
    const KernelCode *c = &m->codes[o->kernel];
    uint64_t in[512];
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->args.n; i++) in[n++] = (uint64_t)(uintptr_t)args[i];
    for (uint32_t i = 0; i < c->sizes.n; i++) in[n++] = (uint64_t)sizes[i];
    for (uint32_t i = 0; i < 2 * c->levels; i++) in[n++] = (uint64_t)m->levels[i];
    in[n++] = (uint64_t)(uintptr_t)&m->levels[2 * MAX_LEVELS];
    size_t each = (scratch + 63) / 64 * 64;
    int64_t most = m->emu && !m->x->pieces ? 1 << 20 : each ? 3 : 1000;
    if (most > grid) most = grid;
    size_t bytes = each * (size_t)most;
    char *room = !each ? NULL : m->emu ? emulated_alloc(m->emu, bytes) : guarded(bytes);
    in[n++] = (uint64_t)(uintptr_t)room;
    ThreadsKernel fn;
    memcpy(&fn, &m->fns[o->kernel], sizeof fn);
    for (int64_t at = 0; at < grid && !m->error; at += most) {
        in[n] = (uint64_t)at;
        uint32_t groups = (uint32_t)(grid - at < most ? grid - at : most);
        const char *wrong =
            m->emu && m->x->barriers && !m->x->pieces ? probe(m, o, groups, in, n + 1, room, bytes)
            : m->emu ? emulated_launch(m->emu, c->symbol, groups, c->block, in, n + 1)
                     : threads_launch(fn, in, groups, c->block, m->x->target->wave, m->rng);
        if (m->emu) emulated_beside(m->emu, false); /* the pieces of a launch share their room */
        if (wrong) m->error = arena_printf(m->a, "%s: %s", c->symbol, wrong);
    }
    if (room && m->emu) emulated_free(m->emu, room);
    if (!m->emu) free_guarded(room, bytes);
}

/* What a kernel may find where nothing was written: no numbers, on the stack below it and in registers. */
__attribute__((noinline)) static void litter(void) {
    char stack[1 << 16];
    memset(stack, 0xff, sizeof stack);
    __asm__ volatile("" : : "r"(stack) : "memory");
#if defined(__x86_64__)
#define ONES(r) "vpcmpeqd %%ymm" r ", %%ymm" r ", %%ymm" r "\n\t"
    __asm__ volatile(ONES("0") ONES("1") ONES("2") ONES("3") ONES("4") ONES("5") ONES("6") ONES("7")
                         ONES("8") ONES("9") ONES("10") ONES("11") ONES("12") ONES("13") ONES("14")
                             ONES("15")
                     :
                     :
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
#endif
}

static void launch(Machine *m, const Op *o) {
    const KernelCode *c = &m->codes[o->kernel];
    void *args[256];
    int64_t sizes[64], grid = 0, scratch = 0;
    for (uint32_t i = 0; i < o->args.n; i++) args[i] = address(m, &o->args.data[i], NULL);
    for (uint32_t i = 0; i < c->sizes.n; i++)
        size_eval(m->g->sizes, c->sizes.data[i], m->axes, &sizes[i]);
    size_eval(m->g->sizes, c->grid, m->axes, &grid);
    size_eval(m->g->sizes, c->scratch, m->axes, &scratch);
    if (m->x->verbose) fprintf(stderr, "%s %lld\n", c->symbol, (long long)grid);
    if (m->x->target->family != FAMILY_X86) {
        launch_gpu(m, o, args, sizes, grid, (size_t)scratch);
        return;
    }
    if ((size_t)scratch > m->scratch_bytes) {
        m->scratch_bytes = (size_t)scratch;
        m->scratch = guarded(m->scratch_bytes);
    }
    char *room = m->scratch ? m->scratch + (m->scratch_bytes + 63) / 64 * 64 -
                                  ((size_t)scratch + 63) / 64 * 64
                            : NULL;
    for (uint32_t k = 0; k <= m->x->repeat; k++) {
        struct timespec t0, t1;
        clock_gettime(CLOCK_MONOTONIC, &t0);
        for (int64_t at = 0; at < grid;) {
            int64_t n = m->x->pieces ? 1 + (at * 7 + 3) % 29 : grid;
            if (at + n > grid) n = grid - at;
            litter();
            m->fns[o->kernel](args, sizes, m->levels, room, at, at + n);
            at += n;
        }
        clock_gettime(CLOCK_MONOTONIC, &t1);
        double s = (double)(t1.tv_sec - t0.tv_sec) + 1e-9 * (double)(t1.tv_nsec - t0.tv_nsec);
        if (!m->seconds[o->kernel] || s < m->seconds[o->kernel]) m->seconds[o->kernel] = s;
    }
}

static void run_ops(Machine *m, const Ops *ops);

static void run_loop(Machine *m, const Op *o) {
    for (uint32_t k = 0; k < o->count; k++) {
        uint32_t i = o->reverse ? o->count - 1 - k : k;
        m->levels[2 * o->level] = i;
        m->levels[2 * o->level + 1] = m->pos[o->level] = o->pos_of[i];
        run_ops(m, &o->bodies[o->class_of[i]]);
    }
}

static void run_op(Machine *m, const Op *o) {
    if (o->kind == OP_LAUNCH) launch(m, o);
    if (o->kind == OP_LOOP) run_loop(m, o);
    if (o->kind == OP_SWAP) {
        void *t = m->ptr[o->args.data[0].buf];
        m->ptr[o->args.data[0].buf] = m->ptr[o->args.data[1].buf];
        m->ptr[o->args.data[1].buf] = t;
    }
    if (o->kind == OP_COPY) {
        size_t n;
        char *dst = address(m, &o->args.data[0], &n), *src = address(m, &o->args.data[1], NULL);
        if (m->emu)
            emulated_copy(m->emu, dst, src, n);
        else
            memcpy(dst, src, n);
    }
}

/* Ops beside each other in their order; in pieces the other way round. */
static void run_ops(Machine *m, const Ops *ops) {
    for (uint32_t i = 0, end; i < ops->list.n && !m->error; i = end) {
        for (end = i + 1; end < ops->list.n && ops->list.data[end].beside;) end++;
        for (uint32_t k = i; k < end && !m->error; k++) {
            if (m->emu) emulated_beside(m->emu, k > i);
            run_op(m, &ops->list.data[m->x->pieces ? end - 1 - (k - i) : k]);
        }
    }
}

/* ---- comparing -------------------------------------------------------------------------------------- */

static const char *interpreter(Machine *m, Rounding r, Interp **out) {
    InterpOptions io = {.seed = 7, .memory_limit = (size_t)1 << 31, .rounding = r};
    Interp *in = *out = interp_new(m->of, &io);
    const char *e = NULL;
    for (uint32_t i = 0; !e && i < size_axes(m->g->sizes); i++)
        e = interp_axis(in, size_axis_name(m->g->sizes, i), m->axes[i]);
    return e;
}

/* The interpreter rounding to float32, with data that are moved by so much. */
static const char *sample(Machine *m, double nudge) {
    Interp *in;
    const char *e = interpreter(m, ROUND_F32, &in);
    for (uint32_t i = 0; i < m->n_bound && !e; i++) {
        Array x = m->bound[i].x;
        if (x.type == T_REAL && nudge > 0) {
            const double *from = x.real;
            x.real = NEWN(m->a, double, m->bound[i].n);
            for (size_t k = 0; k < m->bound[i].n; k++)
                x.real[k] = from[k] * (1 + (uniform(m) > 0 ? nudge : -nudge));
        }
        e = interp_bind(in, m->bound[i].v, &x);
    }
    if (!e) e = interp_run(in);
    for (uint32_t k = 0; k < m->of->outputs.n && !e; k++) {
        const Array *w = interp_get(m->in, m->of->outputs.data[k].value),
                    *g = interp_get(in, m->of->outputs.data[k].value);
        size_t n = 1;
        for (uint32_t i = 0; i < w->rank; i++) n *= (size_t)w->dims[i];
        for (size_t i = 0; i < n; i++) {
            double d =
                w->type == T_INT ? (double)(w->ints[i] - g->ints[i]) : w->real[i] - g->real[i];
            if (isnan(d)) d = isnan(w->real[i]) && isnan(g->real[i]) ? 0 : INFINITY;
            if (fabs(d) > m->noise[k]) m->noise[k] = fabs(d);
        }
    }
    if (e) e = arena_str(m->a, e);
    interp_free(in);
    return e;
}

static const char *measure_noise(Machine *m) {
    const char *e = NULL;
    for (int i = 0; i < 3 && !e; i++) e = sample(m, i > 0 ? m->x->nudge : 0);
    return e;
}

static const char *compare_one(Machine *m, uint32_t k, double *worst, uint64_t *hash) {
    const OutputInfo *o = &m->g->outputs.data[k];
    const Array *want = interp_get(m->in, m->of->outputs.data[k].value);
    BufId b = m->p->buf_of[o->value];
    if (!want || b == UINT32_MAX) return arena_printf(m->a, "output %s has no buffer", o->name);
    size_t n = 1;
    for (uint32_t i = 0; i < want->rank; i++) n *= (size_t)want->dims[i];
    uint8_t dtype = m->p->bufs.data[b].dtype;
    double top = 0, bar = m->x->bar;
    if (dtype == DT_BF16 && bar < 4e-3) bar = 4e-3; /* what storing rounds away */
    if (dtype == DT_F16 && bar < 1e-3) bar = 1e-3;
    for (size_t i = 0; i < n; i++) {
        double w = want->type == T_INT ? (double)want->ints[i] : want->real[i];
        if (fabs(w) > top && isfinite(w)) top = fabs(w);
    }
    if (m->x->outputs) *m->x->outputs += 1;
    if (m->x->drowned) *m->x->drowned += m->x->noise * m->noise[k] > m->x->drown * (1e-3 + top);
    *hash = hash_bytes(m->ptr[b], n * dtype_bytes(dtype), *hash);
    for (size_t i = 0; i < n; i++) {
        double w = want->type == T_INT ? (double)want->ints[i] : want->real[i],
               g = get(m->ptr[b], dtype, i);
        if (w == g || (w != w && g != g)) continue;
        double unit = m->x->per_item ? fabs(w) : 1e-3 + top, noise = m->x->noise * m->noise[k];
        double e = fabs(w - g) / (unit + noise / m->x->bar);
        if (m->x->per_item && fabs(w) < 1.2e-38 && g == 0) continue; /* flushed */
        if (!(e <= *worst)) *worst = e;
        if (!(e <= bar))
            return arena_printf(
                m->a,
                "output %s (kind %u, index %u) item %zu of %zu: %.9g, interpreter %.9g, largest %.3g, noise %.2g",
                o->name ? o->name : "?", o->kind, o->index, i, n, g, w, top, m->noise[k]);
    }
    return NULL;
}

static const char *load(Machine *m, const void *object, size_t n, void **handle) {
    if (m->x->target->family == FAMILY_AMD || m->x->target->family == FAMILY_NVIDIA) {
        const char *e = emulated_open(m->a, m->x->target, object, n, &m->emu);
        if (!e) emulated_share(m->emu, m->levels, sizeof m->levels);
        return e;
    }
    char path[] = "/tmp/rwkvc-test-XXXXXX", command[200], so[64];
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, object, n) != (ssize_t)n) return "cannot write the object";
    close(fd);
    snprintf(so, sizeof so, "%s.so", path);
    snprintf(command, sizeof command, "ld -shared -z noexecstack %s -o %s %s",
             m->x->target->family == FAMILY_THREADS ? "" : "--no-undefined", so, path);
    if (system(command)) return "cannot link";
    unlink(path);
    *handle = dlopen(so, RTLD_NOW | RTLD_LOCAL);
    unlink(so);
    if (!*handle) return arena_str(m->a, dlerror());
    for (uint32_t i = 0; i < m->p->kernels.n; i++) {
        void *f = dlsym(*handle, m->codes[i].symbol);
        if (!f) return arena_printf(m->a, "no symbol %s", m->codes[i].symbol);
        memcpy(&m->fns[i], &f, sizeof f);
    }
    return NULL;
}

static const char *compile(Machine *m, void **handle) {
    Codegen *cg = codegen_new(m->a, m->x->target);
    const void *object;
    size_t n;
    const char *e = codegen_add(cg, m->p, m->codes), *keep = m->x->keep;
    bool as_text = keep && strlen(keep) > 3 && strcmp(keep + strlen(keep) - 3, ".ll") == 0;
    FILE *f = keep ? fopen(keep, "wb") : NULL;
    if (f && as_text) {
        Text t = text_new(m->a);
        codegen_print_ir(cg, &t);
        fwrite(t.data, 1, t.n, f);
    }
    if (!e) e = codegen_object(cg, "test", 4, &object, &n);
    if (!e && f && !as_text) fwrite(object, 1, n, f);
    if (f) fclose(f);
    codegen_free(cg);
    return e ? e : load(m, object, n, handle);
}

static const char *run_all(Machine *m, double *worst, uint64_t *hash) {
    for (uint32_t i = 0; i < size_axes(m->g->sizes); i++)
        m->axes[i] =
            (i % 2 ? m->x->axis_odd : m->x->axis_even) * size_axis_multiple(m->g->sizes, i);
    const char *e = interpreter(m, m->x->per_item ? ROUND_F32 : ROUND_NONE, &m->in);
    m->noise = NEWN(m->a, double, m->g->outputs.n + 1);
    if (!e && !make_buffers(m)) e = "no memory";
    if (!e) e = bind_all(m);
    if (!e) e = interp_run(m->in);
    if (!e && m->x->noise > 0) e = measure_noise(m);
    if (e) return arena_str(m->a, e);
    m->levels[2 * MAX_LEVELS] = 7;
    unsigned csr = _mm_getcsr();
    _mm_setcsr(csr | 0x8040); /* subnormals are 0 */
    run_ops(m, &m->p->ops);
    _mm_setcsr(csr);
    if (!e) e = m->error;
    if (m->emu && m->x->barriers) emulated_barriers(m->emu, m->x->barriers);
    for (uint32_t i = 0; !e && i < m->g->outputs.n; i++) e = compare_one(m, i, worst, hash);
    return e;
}

static const char *run_again(Machine *m, uint64_t whole) {
    double worst = 0;
    uint64_t hash = 0;
    unsigned csr = _mm_getcsr();
    _mm_setcsr(csr | 0x8040);
    run_ops(m, &m->p->ops);
    _mm_setcsr(csr);
    const char *e = m->error;
    for (uint32_t i = 0; !e && i < m->g->outputs.n; i++) e = compare_one(m, i, &worst, &hash);
    return e ? e : hash == whole ? NULL : "other bits when launches are cut into pieces";
}

/* Cut into pieces, and on emulated GPUs in other orders of waves and groups, the same bits. */
static const char *run_pieces(Machine *m, uint64_t whole) {
    Execute x = *m->x;
    x.pieces = true;
    x.outputs = x.drowned = NULL;
    x.repeat = 0;
    m->x = &x;
    const char *e = NULL;
    for (uint32_t k = 0; !e && k < (m->emu && x.orders ? x.orders : 1); k++) {
        if (m->emu) emulated_seed(m->emu, 1 + k);
        e = run_again(m, whole);
    }
    return e;
}

const char *execute_graph(Arena *a, Graph *g, const Execute *x, double *worst, uint64_t *hash) {
    const char *why = NULL;
    Machine m = {.a = a, .g = g, .x = x, .rng = x->seed};
    m.p = plan_make(a, g, &x->plan, &why);
    if (!m.p) return why;
    if ((why = plan_verify(m.p))) return why;
    m.of = g;
    m.g = m.p->g;
    if (g->outputs.n != m.g->outputs.n) return "the plan has other outputs";
    if (x->verbose) {
        Text t = text_new(a);
        plan_print(m.p, &t);
        fputs(t.data, stderr);
    }
    m.codes = NEWN(a, KernelCode, m.p->kernels.n + 1);
    m.fns = NEWN(a, KernelFn, m.p->kernels.n + 1);
    m.seconds = NEWN(a, double, m.p->kernels.n + 1);
    void *handle = NULL;
    const char *e = compile(&m, &handle);
    if (!e && !x->only_compile) e = run_all(&m, worst, hash);
    if (!e && !x->only_compile && !x->repeat) e = run_pieces(&m, *hash);
    if (x->verbose)
        for (uint32_t i = 0; i < m.p->kernels.n; i++)
            fprintf(stderr, "%9.3f ms %s\n", 1e3 * m.seconds[i], m.codes[i].symbol);
    if (e) e = arena_str(a, e);
    if (m.in) interp_free(m.in);
    free_buffers(&m);
    if (handle) dlclose(handle);
    return e;
}
