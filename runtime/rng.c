/* Random numbers that depend on seed, name and index alone. Logarithm, sine and cosine are series
 * of our own: libraries differ in their last bits, + - * / and sqrt of doubles do not. */
#include "rng.h"

#include <float.h>
#include <math.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0
#error "doubles must be computed as doubles (no x87): first values would differ between machines"
#endif
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

/* ---- Philox4x32-10 ------------------------------------------------------------------------- */

void rw_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p = (uint64_t)0xd2511f53u * c0, q = (uint64_t)0xcd9e8d57u * c2;
        uint32_t hi_p = (uint32_t)(p >> 32), hi_q = (uint32_t)(q >> 32);
        c0 = hi_q ^ c1 ^ k0;
        c1 = (uint32_t)q;
        c2 = hi_p ^ c3 ^ k1;
        c3 = (uint32_t)p;
        k0 += 0x9e3779b9u; /* the golden ratio */
        k1 += 0xbb67ae85u; /* sqrt(3) - 1      */
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* The draws of one parameter. */
typedef struct stream {
    uint32_t key[2];
    uint64_t name;
} stream;

/* 64-bit FNV-1a, then mixed, so that names that differ in their last letter differ everywhere. */
static uint64_t hash_of(const char *name) {
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name != '\0'; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

static stream stream_of(uint64_t seed, const char *name) {
    return (stream){.key = {(uint32_t)seed, (uint32_t)(seed >> 32)}, .name = hash_of(name)};
}

/* Two numbers in the open interval 0..1, multiples of 2^-53. The upper 16 bits of the index count
 * the attempts of draws that may be refused. */
static void two_uniform(const stream *s, uint64_t index, unsigned attempt, double u[2]) {
    uint64_t i = index | (uint64_t)attempt << 48;
    uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), (uint32_t)s->name,
                           (uint32_t)(s->name >> 32)};
    uint32_t w[4];
    rw_philox(counter, s->key, w);
    for (int k = 0; k < 2; k++) {
        uint64_t bits = w[2 * k] | (uint64_t)w[2 * k + 1] << 32;
        u[k] = ((double)(bits >> 12) + 0.5) * 0x1p-52;
    }
}

/* ---- functions ----------------------------------------------------------------------------- */

/* log of a positive normal number. x = 2^e f with f in sqrt(1/2)..sqrt(2); then log f =
 * 2 (s + s^3/3 + s^5/5 + ...) with s = (f-1)/(f+1), |s| < 0.172: 11 terms leave 2e-18. */
static double own_log(double x) {
    static const double log2_of_e = 0.69314718055994530942;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int e = (int)(bits >> 52 & 0x7ff) - 1023;
    bits = (bits & 0xfffffffffffffu) | (uint64_t)1023 << 52;
    double f;
    memcpy(&f, &bits, sizeof f);
    if (f > 1.41421356237309504880) {
        f *= 0.5;
        e++;
    }
    double s = (f - 1) / (f + 1), z = s * s, sum = 0;
    for (int k = 21; k >= 1; k -= 2)
        sum = sum * z + 1.0 / k;
    return (double)e * log2_of_e + 2 * s * sum;
}

/* sin and cos of 2 pi u for u in 0..1. u is brought to t in -1/8..1/8 and a number of quarter
 * turns, both exact; the series of sin and cos at |2 pi t| < 0.79 then leave 1e-17. */
static void own_turn(double u, double *sine, double *cosine) {
    double turns = (double)(int)(4 * u + 0.5);
    double x = 6.28318530717958647693 * (u - turns * 0.25), z = x * x;
    double s = 0, c = 0;
    for (int k = 17; k >= 3; k -= 2)
        s = (1 - s) * z / (double)(k * (k - 1));
    for (int k = 16; k >= 2; k -= 2)
        c = (1 - c) * z / (double)(k * (k - 1));
    s = x - x * s;
    c = 1 - c;
    int quarter = (int)turns & 3;
    *sine = quarter == 0 ? s : quarter == 1 ? c : quarter == 2 ? -s : -c;
    *cosine = quarter == 0 ? c : quarter == 1 ? -s : quarter == 2 ? -c : s;
}

/* Two independent standard normal numbers (Box and Muller). */
static void two_normal(const stream *s, uint64_t index, unsigned attempt, double z[2]) {
    double u[2];
    two_uniform(s, index, attempt, u);
    double radius = sqrt(-2 * own_log(u[0]));
    own_turn(u[1], &z[1], &z[0]);
    z[0] *= radius;
    z[1] *= radius;
}

/* ---- draws --------------------------------------------------------------------------------- */

void rw_draw_uniform(uint64_t seed, const char *name, double a, double b, double *dst, size_t n) {
    stream s = stream_of(seed, name);
    double u[2];
    for (size_t i = 0; i < n; i += 2) {
        two_uniform(&s, i / 2, 0, u);
        dst[i] = a + (b - a) * u[0];
        if (i + 1 < n)
            dst[i + 1] = a + (b - a) * u[1];
    }
}

void rw_draw_normal(uint64_t seed, const char *name, double sigma, double *dst, size_t n) {
    stream s = stream_of(seed, name);
    double z[2];
    for (size_t i = 0; i < n; i += 2) {
        two_normal(&s, i / 2, 0, z);
        dst[i] = sigma * z[0];
        if (i + 1 < n)
            dst[i + 1] = sigma * z[1];
    }
}

/* A narrow normal is drawn until it lies inside (0.95 and more of the attempts do). A wide one is
 * nearly flat there: a uniform number x is drawn and kept with probability exp(-x^2 / 2 sigma^2)
 * (0.6 and more are). 65535 attempts never all fail. */
static double one_truncated(const stream *s, double sigma, uint64_t i) {
    double u[2], x = 0;
    for (unsigned attempt = 0; attempt < 65536; attempt++) {
        if (sigma < 1) {
            two_normal(s, i, attempt, u);
            x = sigma * u[0];
            if (x >= -2 && x <= 2)
                return x;
        } else {
            two_uniform(s, i, attempt, u);
            x = 4 * u[0] - 2;
            if (2 * sigma * sigma * own_log(u[1]) < -x * x)
                return x;
        }
    }
    return 0;
}

void rw_draw_trunc_normal(uint64_t seed, const char *name, double sigma, double *dst, size_t n) {
    stream s = stream_of(seed, name);
    for (size_t i = 0; i < n; i++)
        dst[i] = sigma > 0 ? one_truncated(&s, sigma, i) : sigma; /* 0, or no number at all */
}
