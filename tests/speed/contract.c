/* Speed of compiled matrix products on one thread, as shares of what this machine can do, measured between
 * the samples: fused multiply-adds in registers, tile products in registers, reading memory.
 *
 *     speed_contract [TARGET [PART OF A NAME]]
 *
 * A product is computed on half of its grid, as one of two threads does. Its operands and its result come
 * from a ring of copies, so that they are found where the kernels of a model find them: weights in memory,
 * activations in memory or a shared cache. `near`: the same operands again and again. A sample, one call,
 * counts when the thread had the processor for 97 % of it; the median is shown. */
#define _GNU_SOURCE /* madvise, syscall */
#include "contract_world.h"

#include <immintrin.h>
#include <sys/syscall.h>
#include <time.h>

enum { SAMPLES = 101, TRIES = 1000, LIMIT = 3 /* seconds a shape */ };

static double clock_of(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds of one call, or 0 when something else had the processor meanwhile. */
static double seconds(void (*job)(void *), void *user) {
    double w = clock_of(CLOCK_MONOTONIC), c = clock_of(CLOCK_THREAD_CPUTIME_ID);
    job(user);
    w = clock_of(CLOCK_MONOTONIC) - w;
    c = clock_of(CLOCK_THREAD_CPUTIME_ID) - c;
    return c > 0.97 * w ? w : 0;
}

static double median(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, by_size);
    return n ? x[n / 2] : 0;
}

/* ---- what the machine can do -------------------------------------------------------------------------- */

enum { ROUNDS = 4000 };

__attribute__((target("avx512f"))) static void fma_512(void *user) {
    __m512 x = _mm512_set1_ps(0.999f), a[16];
    for (int i = 0; i < 16; i++) a[i] = _mm512_set1_ps((float)i);
    for (int r = 0; r < ROUNDS; r++) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) a[i] = _mm512_fmadd_ps(a[i], x, x);
        __asm__ volatile("" : "+v"(x));
    }
    for (int i = 1; i < 16; i++) a[0] = _mm512_add_ps(a[0], a[i]);
    *(float *)user += _mm512_reduce_add_ps(a[0]);
}

__attribute__((target("avx2,fma"))) static void fma_256(void *user) {
    __m256 x = _mm256_set1_ps(0.999f), a[12];
    for (int i = 0; i < 12; i++) a[i] = _mm256_set1_ps((float)i);
    for (int r = 0; r < ROUNDS; r++) {
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++) a[i] = _mm256_fmadd_ps(a[i], x, x);
        __asm__ volatile("" : "+x"(x));
    }
    for (int i = 1; i < 12; i++) a[0] = _mm256_add_ps(a[0], a[i]);
    *(float *)user += a[0][0];
}

__attribute__((target("amx-tile,amx-bf16"))) static void tiles(void *user) {
    static const _Alignas(64) unsigned char shape[64] = {
        /* palette 1; eight tiles of 16 rows of 64 bytes */
        [0] = 1,   [16] = 64, [18] = 64, [20] = 64, [22] = 64, [24] = 64,
        [26] = 64, [28] = 64, [30] = 64, [48] = 16, [49] = 16, [50] = 16,
        [51] = 16, [52] = 16, [53] = 16, [54] = 16, [55] = 16};
    (void)user;
    _tile_loadconfig(shape);
    _tile_zero(4);
    _tile_zero(5);
    for (int r = 0; r < ROUNDS / 10; r++) {
        _tile_dpbf16ps(0, 4, 5);
        _tile_dpbf16ps(1, 4, 5);
        _tile_dpbf16ps(2, 4, 5);
        _tile_dpbf16ps(3, 4, 5);
    }
    _tile_release();
}

/* STREAM bytes of a large block, then the next ones. */
enum { STREAM = 8 << 20, STREAMS = 32 };
typedef struct Stream {
    char *p;
    size_t at;
    int sum;
} Stream;

__attribute__((target("avx2"))) static void stream(void *user) {
    Stream *s = user;
    __m256i a[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                    _mm256_setzero_si256()};
    const char *p = s->p + s->at++ % STREAMS * STREAM;
    for (size_t i = 0; i < STREAM; i += 128)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            a[j] = _mm256_xor_si256(
                a[j], _mm256_load_si256((const __m256i *)(const void *)(p + i + 32 * (size_t)j)));
    for (int j = 1; j < 4; j++) a[0] = _mm256_xor_si256(a[0], a[j]);
    s->sum += _mm256_extract_epi32(a[0], 0);
}

typedef struct Peak {
    const char *name;
    void (*job)(void *);
    double work; /* of one call: flop, or bytes */
    void *user;
} Peak;

static float sink;
static Stream memory_stream;

static Peak peak_of(const TargetInfo *t, bool tile, bool memory) {
    if (memory) return (Peak){"reading", stream, STREAM, &memory_stream};
    if (tile) return (Peak){"tiles", tiles, 2.0 * 16 * 16 * 32 * 4 * (ROUNDS / 10), NULL};
    if (t->lanes == 16) return (Peak){"multiply-add", fma_512, 2.0 * 16 * 16 * ROUNDS, &sink};
    return (Peak){"multiply-add", fma_256, 2.0 * 8 * 12 * ROUNDS, &sink};
}

/* ---- products ---------------------------------------------------------------------------------------------- */

/* y[t, n] = sum[k] x[t, k] w: T rows; w as [n, k] or [k, n]; or dW[k, n] = sum[t] x[t, k] dy[t, n]. */
typedef enum Form { F_NK, F_KN, F_DW } Form;
typedef struct Shape {
    const char *name;
    Form form;
    const char *w, *x; /* types; of dW: of dy and x */
    int64_t t, n, k;
    bool memory; /* bound by reading w */
} Shape;

/* Of RWKV-7 with 768 channels, and a few others; 512 or 2048 tokens are computed together. */
static const Shape shapes[] = {
    {"linear f32", F_NK, "", "", 512, 768, 768, false},
    {"up f32", F_NK, "", "", 512, 3072, 768, false},
    {"down f32", F_NK, "", "", 512, 768, 3072, false},
    {"back f32", F_KN, "", "", 512, 768, 768, false},
    {"gradient f32", F_DW, "", "", 512, 768, 768, false},
    {"low rank f32", F_KN, "", "", 512, 64, 768, false},
    {"linear f32", F_NK, "", "", 17, 768, 768, false},
    {"linear bf16", F_NK, "bf16", "", 64, 768, 768, false},
    {"linear bf16", F_NK, "bf16", "", 512, 768, 768, false},
    {"linear bf16 x bf16", F_NK, "bf16", "bf16", 512, 768, 768, false},
    {"up bf16", F_NK, "bf16", "", 512, 3072, 768, false},
    {"down bf16", F_NK, "bf16", "", 512, 768, 3072, false},
    {"low rank in bf16", F_KN, "bf16", "", 512, 64, 768, false},
    {"low rank in bf16", F_KN, "bf16", "", 512, 128, 768, false},
    {"low rank out bf16", F_KN, "bf16", "", 512, 768, 64, false},
    {"square bf16", F_NK, "bf16", "", 512, 2048, 2048, false},
    {"linear bf16", F_NK, "bf16", "", 2048, 768, 768, false},
    {"head bf16", F_NK, "bf16", "", 512, 8192, 768, false},
    {"back bf16", F_KN, "bf16", "", 2048, 768, 768, false},
    {"back down bf16", F_KN, "bf16", "", 2048, 768, 3072, false},
    {"gradient bf16", F_DW, "bf16", "bf16", 2048, 768, 768, false},
    {"gradient bf16", F_DW, "", "bf16", 2048, 768, 768, false},
    {"gradient up bf16", F_DW, "", "bf16", 2048, 3072, 768, false},
    {"head 1 f32", F_NK, "", "", 1, 16384, 768, true},
    {"head 1 bf16", F_NK, "bf16", "", 1, 16384, 768, true},
    {"head 1 f16", F_NK, "f16", "", 1, 16384, 768, true},
    {"head 4 bf16", F_NK, "bf16", "", 4, 16384, 768, true},
    {"head 8 bf16", F_NK, "bf16", "", 8, 16384, 768, true},
    {"across 1 f32", F_KN, "", "", 1, 3072, 2048, true},
    {"across 1 bf16", F_KN, "bf16", "", 1, 3072, 4096, true},
    {"one 768 f32", F_NK, "", "", 1, 768, 768, true},
    {"one 768 bf16", F_NK, "bf16", "", 1, 768, 768, true},
    {"one low in bf16", F_KN, "bf16", "", 1, 64, 768, true},
    {"one low out bf16", F_KN, "bf16", "", 1, 768, 64, true},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Copies of one argument, side by side. */
typedef struct Ring {
    char *p;
    size_t bytes, copies, at;
} Ring;

typedef struct Job {
    Product p;
    Ring ring[3];
    bool near;
    void *args[3], *scratch;
    int64_t sizes[64], grid;
} Job;

static void call(void *user) {
    Job *j = user;
    int64_t levels[WORLD_LEVELS] = {0};
    j->p.fn(j->args, j->sizes, levels, j->scratch, 0, j->grid);
}

static void next(Job *j) {
    for (int i = 0; i < 3; i++) {
        Ring *r = &j->ring[i];
        r->at = j->near ? 0 : (r->at + 1) % r->copies;
        j->args[i] = r->p + r->at * r->bytes;
    }
}

static void text_of(const Shape *s, char *text, size_t n) {
    static const char *const forms[] = {
        "input %%1 \"w\": real %s [%lld, %lld]\ninput %%2 \"x\": real %s [T, %lld]\n"
        "%%3: real [T, %lld] = sum[i2: %lld] %%1[i1, i2]*%%2[i0, i2]\noutput result \"y\" %%3\n",
        "input %%1 \"w\": real %s [%lld, %lld]\ninput %%2 \"x\": real %s [T, %lld]\n"
        "%%3: real [T, %lld] = sum[i2: %lld] %%1[i2, i1]*%%2[i0, i2]\noutput result \"y\" %%3\n",
        "input %%1 \"x\": real %s [T, %lld]\ninput %%2 \"dy\": real %s [T, %lld]\n"
        "%%3: real [%lld, %lld] = sum[i2: T] %%1[i2, i0]*%%2[i2, i1]\noutput result \"y\" %%3\n"};
    int used = snprintf(text, n, "graph \"t\"\naxis T\n");
    long long a = s->n, b = s->k;
    text += used;
    n -= (size_t)used;
    if (s->form == F_NK)
        snprintf(text, n, forms[0], s->w, a, b, s->x, b, a, b);
    else if (s->form == F_KN)
        snprintf(text, n, forms[1], s->w, b, a, s->x, b, a, b);
    else
        snprintf(text, n, forms[2], s->x, b, s->w, a, b, a);
}

static void *memory(size_t bytes) {
    size_t n = (bytes + 64 + (1 << 21) - 1) >> 21 << 21;
    void *p = aligned_alloc(1 << 21, n);
    if (!p) exit(1);
    madvise(p, n, 14 /* huge pages */);
    memset(p, 0, n);
    return p;
}

/* Operands that do not fit a cache, or, activations, that fit a shared one. */
static void ring_of(Job *j, const Shape *s, int i) {
    const PlanBuf *b = &j->p.plan->bufs.data[i];
    Ring *r = &j->ring[i];
    size_t items = 1, room = (size_t)(i == 0 && s->form != F_DW ? 256 : 24) << 20;
    for (uint32_t d = 0; d < b->rank; d++) items *= (size_t)product_size(&j->p, b->dims[d], &s->t);
    r->bytes = (items * (b->dtype == DT_F32 ? 4 : 2) + 64 + 4095) / 4096 * 4096;
    r->copies = room / r->bytes + 1;
    r->p = memory(r->bytes * r->copies);
    uint64_t seed = 3;
    for (size_t k = 0; i < 2 && k < items; k++) put_real(r->p, k, b->dtype, number_of(&seed));
    for (size_t k = 1; i < 2 && k < r->copies; k++) memcpy(r->p + k * r->bytes, r->p, r->bytes);
}

/* Median seconds of the product, and its work as a share of the peak beside it. */
static int measure(Job *j, const Peak *peak, double work, double *one, double *share) {
    double time[SAMPLES], part[SAMPLES], until = clock_of(CLOCK_MONOTONIC) + LIMIT;
    int n = 0;
    for (int i = 0; i < TRIES && n < SAMPLES && clock_of(CLOCK_MONOTONIC) < until; i++) {
        next(j);
        double a = seconds(peak->job, peak->user), b = seconds(call, j),
               c = seconds(peak->job, peak->user);
        if (i == 0 || a == 0 || b == 0 || c == 0) continue;
        time[n] = b;
        part[n++] = work / b / (2 * peak->work / (a + c));
    }
    *one = median(time, n);
    *share = median(part, n);
    return n;
}

static void run(Job *j, const Shape *s, const TargetInfo *t) {
    for (int i = 0; i < 3; i++) ring_of(j, s, i);
    for (uint32_t i = 0; i < j->p.code.sizes.n; i++)
        j->sizes[i] = product_size(&j->p, j->p.code.sizes.data[i], &s->t);
    int64_t grid = product_size(&j->p, j->p.code.grid, &s->t);
    j->grid = (grid + 1) / 2;
    j->scratch = memory((size_t)product_size(&j->p, j->p.code.scratch, &s->t));
    double part = (double)j->grid / (double)grid, k = (double)s->k;
    double flop = 2.0 * (double)s->t * (double)s->n * k * part;
    double bytes = (double)s->n * k * (*s->w ? 2 : 4) * part;
    Peak peak = peak_of(t, t->amx && (*s->w || *s->x), s->memory);
    printf("%-18s T %4lld N %5lld K %5lld", s->name, (long long)s->t, (long long)s->n,
           (long long)s->k);
    for (int near = 0; near < (s->memory ? 1 : 2); near++) {
        double one, share;
        j->near = near;
        int n = measure(j, &peak, s->memory ? bytes : flop, &one, &share);
        printf("%s %9.1f us %7.1f %s %3.0f %% (%d)", near ? "  near" : "", 1e6 * one,
               (s->memory ? bytes : flop) / one / 1e9, s->memory ? "GB/s" : "GFLOP/s", 100 * share,
               n);
    }
    printf(" of %s\n", peak.name);
    fflush(stdout);
    for (int i = 0; i < 3; i++) free(j->ring[i].p);
    free(j->scratch);
}

int main(int argc, char **argv) {
    const TargetInfo *t = target_find(argc > 1 ? argv[1] : "native");
    const char *part = argc > 2 ? argv[2] : "";
    if (!t || (t->amx && syscall(SYS_arch_prctl, 0x1023, 18))) return 77;
    static Job jobs[SHAPES];
    static Product p[SHAPES];
    static char names[SHAPES][8];
    for (int i = 0; i < SHAPES; i++) {
        char text[512];
        text_of(&shapes[i], text, sizeof text);
        const char *error = product_read(&p[i], text);
        if (error) {
            fprintf(stderr, "%s: %s\n", shapes[i].name, error);
            return 1;
        }
        snprintf(names[i], sizeof names[i], "s%d", i);
        product_plan(&p[i], names[i], 1);
    }
    if (products_make(arena_new(), p, SHAPES, t)) return 1;
    _mm_setcsr(_mm_getcsr() | 0x8040); /* as the runtime does: no subnormals */
    memory_stream.p = memory((size_t)STREAM * STREAMS);
    memset(memory_stream.p, 1, (size_t)STREAM * STREAMS);
    for (int i = 0; i < SHAPES; i++) {
        jobs[i].p = p[i];
        if (strstr(shapes[i].name, part)) run(&jobs[i], &shapes[i], t);
    }
    return 0;
}
