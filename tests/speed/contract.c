/* Speed of compiled matrix products on one thread, as shares of what this machine can do, measured in the
 * same minute: fused multiply-adds in registers, tile products in registers, reading memory.
 *
 *     speed_contract [TARGET [PART OF A NAME]]
 *
 * The tile unit's peak is that of zeros; at the same code it multiplies real numbers a fifth slower.
 * A sample counts when the thread had the processor for 95 % of it; the median of such samples is shown. */
#include "contract_world.h"

#include <immintrin.h>
#include <sys/syscall.h>
#include <time.h>

enum { SAMPLES = 15, TRIES = 60 };

static double clock_of(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds of one call: the median of clean samples of about 10 ms. */
static double seconds(void (*job)(void *), void *user) {
    double clean[SAMPLES], best = 1e9;
    int n = 0;
    long calls = 1;
    for (int i = 0; i < TRIES && n < SAMPLES; i++) {
        double w = clock_of(CLOCK_MONOTONIC), c = clock_of(CLOCK_THREAD_CPUTIME_ID);
        for (long j = 0; j < calls; j++) job(user);
        w = clock_of(CLOCK_MONOTONIC) - w;
        c = clock_of(CLOCK_THREAD_CPUTIME_ID) - c;
        if (w / (double)calls < best) best = w / (double)calls;
        if (i > 1 && c > 0.95 * w) clean[n++] = w / (double)calls;
        calls = w > 0.2 ? 1 : 1 + (long)(0.01 / best);
    }
    qsort(clean, (size_t)n, sizeof *clean, by_size);
    return n ? clean[n / 2] : best;
}

/* ---- what the machine can do -------------------------------------------------------------------------- */

enum { ROUNDS = 20000 };

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

typedef struct Stream {
    const char *p;
    size_t n;
    int sum;
} Stream;

__attribute__((target("avx2"))) static void stream(void *user) {
    Stream *s = user;
    __m256i a[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                    _mm256_setzero_si256()};
    for (size_t i = 0; i + 128 <= s->n; i += 128)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            a[j] = _mm256_xor_si256(
                a[j],
                _mm256_load_si256((const __m256i *)(const void *)(s->p + i + 32 * (size_t)j)));
    for (int j = 1; j < 4; j++) a[0] = _mm256_xor_si256(a[0], a[j]);
    s->sum += _mm256_extract_epi32(a[0], 0);
}

typedef struct Peaks {
    double fma, tile, read; /* flop/s, flop/s, bytes/s */
} Peaks;

static Peaks measure(const TargetInfo *t) {
    Peaks p = {0};
    float sink = 0;
    p.fma = t->lanes == 16 ? 2.0 * 16 * 16 * ROUNDS / seconds(fma_512, &sink)
                           : 2.0 * 8 * 12 * ROUNDS / seconds(fma_256, &sink);
    if (t->amx) p.tile = 2.0 * 16 * 16 * 32 * 4 * (ROUNDS / 10) / seconds(tiles, &sink);
    Stream s = {.n = (size_t)400 << 20};
    char *all = aligned_alloc(1 << 21, s.n);
    madvise(all, s.n, 14 /* huge pages */);
    memset(all, 1, s.n);
    s.p = all;
    p.read = (double)s.n / seconds(stream, &s);
    free(all);
    printf("%s: multiply-add %.0f GFLOP/s, tiles %.0f GFLOP/s, reading %.1f GB/s\n", t->name,
           p.fma / 1e9, p.tile / 1e9, p.read / 1e9);
    return p;
}

/* ---- products ---------------------------------------------------------------------------------------------- */

/* y[t, n] = sum[k] x[t, k] w: T rows; w as [n, k] or [k, n]; or dW[m, n] = sum[t] x[t, m] y[t, n]. */
typedef enum Form { F_NK, F_KN, F_DW } Form;
typedef struct Shape {
    const char *name;
    Form form;
    const char *type; /* of w */
    int64_t t, n, k;
    bool memory; /* bound by reading w */
} Shape;

static const Shape shapes[] = {
    {"linear 64 f32", F_NK, "", 64, 768, 768, false},
    {"linear 512 f32", F_NK, "", 512, 768, 768, false},
    {"up 512 f32", F_NK, "", 512, 3072, 768, false},
    {"down 512 f32", F_NK, "", 512, 768, 3072, false},
    {"back 512 f32", F_KN, "", 512, 768, 768, false},
    {"weights 512 f32", F_DW, "", 512, 768, 768, false},
    {"low rank 512 f32", F_KN, "", 512, 64, 768, false},
    {"linear 17 f32", F_NK, "", 17, 768, 768, false},
    {"linear 64 bf16", F_NK, "bf16", 64, 768, 768, false},
    {"linear 512 bf16", F_NK, "bf16", 512, 768, 768, false},
    {"up 512 bf16", F_NK, "bf16", 512, 3072, 768, false},
    {"down 512 bf16", F_NK, "bf16", 512, 768, 3072, false},
    {"square 512 bf16", F_NK, "bf16", 512, 2048, 2048, false},
    {"back 512 bf16", F_KN, "bf16", 512, 768, 768, false},
    {"head 1 f32", F_NK, "", 1, 131072, 768, true},
    {"head 1 bf16", F_NK, "bf16", 1, 262144, 768, true},
    {"head 1 f16", F_NK, "f16", 1, 262144, 768, true},
    {"head 4 bf16", F_NK, "bf16", 4, 262144, 768, true},
    {"head 8 bf16", F_NK, "bf16", 8, 262144, 768, true},
    {"across 1 f32", F_KN, "", 1, 3072, 32768, true},
    {"across 1 bf16", F_KN, "bf16", 1, 3072, 65536, true},
    {"one 768 f32", F_NK, "", 1, 768, 768, true},
    {"one 768 bf16", F_NK, "bf16", 1, 768, 768, true},
    {"one low in bf16", F_KN, "bf16", 1, 64, 768, true},
    {"one low out bf16", F_KN, "bf16", 1, 768, 64, true},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct Job {
    Product p;
    void *args[3], *scratch;
    int64_t sizes[64], grid;
} Job;

static void call(void *user) {
    Job *j = user;
    int64_t levels[WORLD_LEVELS] = {0};
    j->p.fn(j->args, j->sizes, levels, j->scratch, 0, j->grid);
}

static void text_of(const Shape *s, char *text, size_t n) {
    static const char *const forms[] = {
        "input %%1 \"w\": real %s [%lld, %lld]\ninput %%2 \"x\": real [T, %lld]\n"
        "%%3: real [T, %lld] = sum[i2: %lld] %%1[i1, i2]*%%2[i0, i2]\noutput result \"y\" %%3\n",
        "input %%1 \"w\": real %s [%lld, %lld]\ninput %%2 \"x\": real [T, %lld]\n"
        "%%3: real [T, %lld] = sum[i2: %lld] %%1[i2, i1]*%%2[i0, i2]\noutput result \"y\" %%3\n",
        "input %%1 \"x\": real [T, %lld]\ninput %%2 \"dy\": real %s [T, %lld]\n"
        "%%3: real [%lld, %lld] = sum[i2: T] %%1[i2, i0]*%%2[i2, i1]\noutput result \"y\" %%3\n"};
    int used = snprintf(text, n, "graph \"t\"\naxis T\n");
    long long a = s->n, b = s->k;
    text += used;
    n -= (size_t)used;
    if (s->form == F_NK)
        snprintf(text, n, forms[0], s->type, a, b, b, a, b);
    else if (s->form == F_KN)
        snprintf(text, n, forms[1], s->type, b, a, b, a, b);
    else
        snprintf(text, n, forms[2], b, s->type, a, b, a);
}

static void *memory(size_t bytes) {
    size_t n = (bytes + 64 + (1 << 21) - 1) >> 21 << 21;
    void *p = aligned_alloc(1 << 21, n);
    if (!p) exit(1);
    madvise(p, n, 14);
    memset(p, 0, n);
    return p;
}

static void run(Job *j, const Shape *s, const Peaks *peaks, const TargetInfo *t) {
    uint64_t seed = 3;
    for (uint32_t i = 0; i < 3; i++) {
        const PlanBuf *b = &j->p.plan->bufs.data[i];
        size_t items = 1;
        for (uint32_t d = 0; d < b->rank; d++)
            items *= (size_t)product_size(&j->p, b->dims[d], &s->t);
        j->args[i] = memory(items * 4);
        for (size_t k = 0; i < 2 && k < items; k++)
            put_real(j->args[i], k, b->dtype, number_of(&seed));
    }
    for (uint32_t i = 0; i < j->p.code.sizes.n; i++)
        j->sizes[i] = product_size(&j->p, j->p.code.sizes.data[i], &s->t);
    j->grid = product_size(&j->p, j->p.code.grid, &s->t);
    j->scratch = memory((size_t)product_size(&j->p, j->p.code.scratch, &s->t));
    double one = seconds(call, j), flop = 2.0 * (double)s->t * (double)s->n * (double)s->k;
    double bytes = (double)s->n * (double)s->k * (*s->type ? 2 : 4);
    bool tile = t->amx && strcmp(s->type, "bf16") == 0;
    double share =
        s->memory ? bytes / one / peaks->read : flop / one / (tile ? peaks->tile : peaks->fma);
    printf("%-18s T %4lld N %6lld K %6lld %9.1f us %8.1f GFLOP/s %6.1f GB/s %4.0f %% of %s\n",
           s->name, (long long)s->t, (long long)s->n, (long long)s->k, 1e6 * one, flop / one / 1e9,
           bytes / one / 1e9, 100 * share,
           s->memory ? "reading"
           : tile    ? "tiles"
                     : "multiply-add");
    fflush(stdout);
    for (int i = 0; i < 3; i++) free(j->args[i]);
    free(j->scratch);
}

int main(int argc, char **argv) {
    const TargetInfo *t = target_find(argc > 1 ? argv[1] : "native");
    const char *part = argc > 2 ? argv[2] : "";
    if (!t || (t->amx && syscall(SYS_arch_prctl, 0x1023, 18))) return 77;
    static Job jobs[SHAPES];
    Product p[SHAPES];
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
        p[i].code = (KernelCode){0};
        product_plan(&p[i], names[i], 1);
    }
    if (products_make(arena_new(), p, SHAPES, t)) return 1;
    _mm_setcsr(_mm_getcsr() | 0x8040); /* as the runtime does: no subnormals */
    Peaks peaks = measure(t);
    for (int i = 0; i < SHAPES; i++) {
        jobs[i].p = p[i];
        if (strstr(shapes[i].name, part)) run(&jobs[i], &shapes[i], &peaks, t);
    }
    return 0;
}
