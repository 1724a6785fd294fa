/* Limits of the machine. Every thread first waits until all are there, so that they run together;
 * a thread that had the processor for less than 95 % of its time was disturbed. */
#define _DEFAULT_SOURCE /* madvise, syscall */
#include "measure.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define HAS_X86 1
#endif

enum { ROW = 4096, ROWS = 8, MAX_THREADS = 256 };
static const size_t footprint = (size_t)768 << 20;

struct Measure {
    int threads;
    uint8_t *data;
    bool has_fma, has_avx512, has_amx;
};

static double clock_seconds(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double seconds_now(void) { return clock_seconds(CLOCK_MONOTONIC); }

/* ---- work ---------------------------------------------------------------------------------- */

#ifdef HAS_X86
/* Several rows at once: more requests are on their way to memory than with one stream. */
__attribute__((target("avx2"))) static uint64_t read_rows(const uint8_t *p, size_t bytes) {
    __m256i sum[ROWS] = {0};
    for (size_t at = 0; at + ROWS * ROW <= bytes; at += ROWS * ROW)
        for (size_t x = 0; x < ROW; x += 64) {
            for (size_t r = 0; r < ROWS; r++) {
                const uint8_t *q = p + at + r * ROW + x;
                _mm_prefetch((const char *)q + ROWS * ROW, _MM_HINT_T0);
                __m256i a = _mm256_load_si256((const __m256i *)(const void *)q);
                __m256i b = _mm256_load_si256((const __m256i *)(const void *)(q + 32));
                sum[r] = _mm256_add_epi64(sum[r], _mm256_xor_si256(a, b));
            }
        }
    for (int r = 1; r < ROWS; r++) sum[0] = _mm256_xor_si256(sum[0], sum[r]);
    return (uint64_t)_mm256_extract_epi64(sum[0], 0);
}

/* 12 chains of sums: enough to hide the latency of two units. Each round is 12 * 8 * 2 operations. */
__attribute__((target("avx2,fma"))) static double fma_avx2(long rounds) {
    __m256 a[12], x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
    for (int i = 0; i < 12; i++) a[i] = _mm256_set1_ps((float)i);
    for (long n = 0; n < rounds; n++) {
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++) a[i] = _mm256_fmadd_ps(a[i], x, y);
    }
    for (int i = 1; i < 12; i++) a[0] = _mm256_add_ps(a[0], a[i]);
    return (double)_mm256_cvtss_f32(a[0]);
}

__attribute__((target("avx512f"))) static double fma_avx512(long rounds) {
    __m512 a[12], x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
    for (int i = 0; i < 12; i++) a[i] = _mm512_set1_ps((float)i);
    for (long n = 0; n < rounds; n++) {
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++) a[i] = _mm512_fmadd_ps(a[i], x, y);
    }
    for (int i = 1; i < 12; i++) a[0] = _mm512_add_ps(a[0], a[i]);
    return (double)_mm512_cvtss_f32(a[0]);
}

typedef struct __attribute__((aligned(64))) TileShape {
    uint8_t palette, start, rest[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} TileShape;

/* 4 sums of 16 x 16 of products over 32; a round is 4 * 16*16*32*2 operations. */
__attribute__((target("amx-tile,amx-bf16"))) static double tiles(long rounds) {
    TileShape shape = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shape.bytes[i] = 64;
        shape.rows[i] = 16;
    }
    float out[16 * 16];
    _tile_loadconfig(&shape);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (long n = 0; n < rounds; n++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, out, 64);
    _tile_release();
    return (double)out[0];
}

/* The system lends the tile registers on request, once for the whole process. */
static bool ask_for_tiles(void) {
    enum { GET = 0x1022, ASK = 0x1023, TILE_DATA = 18 };
    unsigned a = 7, c = 0, b, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (!(d >> 24 & 1) || !(d >> 22 & 1)) return false;
    uint64_t mask = 0;
    if (syscall(SYS_arch_prctl, ASK, TILE_DATA) != 0) return false;
    return syscall(SYS_arch_prctl, GET, &mask) == 0 && (mask >> TILE_DATA & 1);
}
#else
static uint64_t read_rows(const uint8_t *p, size_t bytes) {
    uint64_t sum = 0;
    for (size_t i = 0; i + 8 <= bytes; i += 8) {
        uint64_t x;
        memcpy(&x, p + i, 8);
        sum += x;
    }
    return sum;
}
#endif

/* ---- threads ------------------------------------------------------------------------------- */

typedef struct Shared {
    Measure *m;
    Limit what;
    atomic_int arrived;
} Shared;

typedef struct Worker {
    Shared *shared;
    int number;
    double begin, end, cpu, work, result;
} Worker;

static void do_work(Worker *w) {
    const Measure *m = w->shared->m;
    const long rounds = 1 << 16;
    if (w->shared->what == LIMIT_READ) {
        size_t part = footprint / (size_t)m->threads / (ROW * ROWS) * (ROW * ROWS);
        w->result += (double)read_rows(m->data + part * (size_t)w->number, part);
        w->work += (double)part;
        return;
    }
#ifdef HAS_X86
    if (w->shared->what == LIMIT_BF16) {
        w->result += tiles(rounds);
        w->work += (double)rounds * 4 * 16 * 16 * 32 * 2;
    } else if (m->has_avx512) {
        w->result += fma_avx512(rounds);
        w->work += (double)rounds * 12 * 16 * 2;
    } else {
        w->result += fma_avx2(rounds);
        w->work += (double)rounds * 12 * 8 * 2;
    }
#else
    (void)rounds;
#endif
}

static void *run_worker(void *arg) {
    Worker *w = arg;
    atomic_fetch_add(&w->shared->arrived, 1);
    while (atomic_load(&w->shared->arrived) < w->shared->m->threads) continue;
    double cpu = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
    w->begin = seconds_now();
    do do_work(w);
    while (seconds_now() - w->begin < 0.03);
    w->end = seconds_now();
    w->cpu = clock_seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
    return NULL;
}

double measure_sample(Measure *m, Limit what, bool *clean) {
    Worker w[MAX_THREADS] = {0};
    pthread_t id[MAX_THREADS];
    Shared shared = {.m = m, .what = what};
    int started = 0;
    *clean = false;
    for (int i = 0; i < m->threads; i++) w[i] = (Worker){.shared = &shared, .number = i};
    while (started < m->threads - 1 &&
           pthread_create(&id[started], NULL, run_worker, &w[started + 1]) == 0)
        started++;
    /* a thread that could not be made is not waited for; its share is missing, and that is said */
    atomic_fetch_add(&shared.arrived, m->threads - 1 - started);
    run_worker(&w[0]);
    for (int i = 0; i < started; i++) pthread_join(id[i], NULL);
    double rate = 0;
    *clean = started == m->threads - 1;
    for (int i = 0; i <= started; i++) {
        rate += w[i].work / (w[i].end - w[i].begin);
        *clean &= w[i].cpu >= 0.95 * (w[i].end - w[i].begin);
    }
    return rate;
}

/* ---- life ---------------------------------------------------------------------------------- */

Measure *measure_new(int threads) {
    Measure *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    m->threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    /* one more block: the last rows ask for what lies behind them */
    if (posix_memalign((void **)&m->data, (size_t)2 << 20, footprint + ROW * ROWS) != 0) {
        free(m);
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    madvise(m->data, footprint, MADV_HUGEPAGE);
#endif
    memset(m->data, 1, footprint + ROW * ROWS);
#ifdef HAS_X86
    m->has_fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    m->has_avx512 = m->has_fma && __builtin_cpu_supports("avx512f");
    m->has_amx = ask_for_tiles();
#endif
    return m;
}

void measure_free(Measure *m) {
    if (m) free(m->data);
    free(m);
}

bool measure_has(const Measure *m, Limit what) {
    return what == LIMIT_READ ? true : what == LIMIT_F32 ? m->has_fma : m->has_amx;
}

/* ---- samples ------------------------------------------------------------------------------- */

void series_add(Series *s, double value, bool clean) {
    const int cap = (int)(sizeof s->any / sizeof *s->any);
    if (s->n_any < cap) s->any[s->n_any++] = value;
    if (clean && s->n_clean < cap) s->clean[s->n_clean++] = value;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

Spread series_spread(const Series *s) {
    double v[64];
    int n = s->n_clean ? s->n_clean : s->n_any;
    if (n == 0) return (Spread){0};
    memcpy(v, s->n_clean ? s->clean : s->any, (size_t)n * sizeof *v);
    qsort(v, (size_t)n, sizeof *v, by_value);
    double median = n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
    return (Spread){.median = median, .low = v[0], .high = v[n - 1], .n = n};
}
