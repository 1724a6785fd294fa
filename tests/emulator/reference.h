/* What instructions have to give, said in other ways than the emulator does it: slowly, with wide
 * types, by the definition. */
#ifndef TESTS_EMULATOR_REFERENCE_H
#define TESTS_EMULATOR_REFERENCE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* One lane's sources; the macros below are what rows speak in. */
typedef struct In {
    uint64_t a, b, c, old;
    bool mask, vcc;
    unsigned lane;
    uint32_t s12;
    const uint32_t *of; /* a of all lanes */
} In;

static inline float from_bits(uint32_t x) {
    float f;
    memcpy(&f, &x, sizeof f);
    return f;
}
static inline uint32_t to_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
static inline double from_bits64(uint64_t x) {
    double d;
    memcpy(&d, &x, sizeof d);
    return d;
}
static inline uint64_t to_bits64(double x) {
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* ---- halves ---------------------------------------------------------------------------------- */

static inline double half_value(uint32_t h) {
    int e = h >> 10 & 31;
    double fraction = (double)(h & 0x3ff), sign = h & 0x8000 ? -1 : 1;
    if (e == 31) return fraction != 0 ? (double)NAN : sign * (double)INFINITY;
    return sign * (e == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, e - 25));
}

/* The nearest half, of two the even one. */
static inline uint32_t half(double x) {
    uint32_t sign = signbit(x) ? 0x8000 : 0;
    if (isnan(x)) return 0x7e00;
    x = fabs(x);
    if (x >= 65520) return sign | 0x7c00;
    int e = x < 0x1p-14 ? -14 : ilogb(x);
    double units = nearbyint(ldexp(x, 10 - e)); /* 1024 to 2048 of them, below 1024 subnormal */
    return sign | (uint32_t)((double)(e + 14) * 1024 + units);
}

/* The same towards zero. */
static inline uint32_t half_cut(double x) {
    uint32_t sign = signbit(x) ? 0x8000 : 0;
    if (isnan(x)) return 0x7e00;
    x = fabs(x);
    if (isinf(x)) return sign | 0x7c00;
    if (x >= 65504) return sign | 0x7bff;
    int e = x < 0x1p-14 ? -14 : ilogb(x);
    return sign | (uint32_t)((double)(e + 14) * 1024 + floor(ldexp(x, 10 - e)));
}

/* Of a number wider than a double: the nearest of three candidates. */
static inline uint32_t half_exact(__float128 x) {
    uint32_t guess = half((double)x), best = guess;
    if ((guess & 0x7c00) == 0x7c00) return guess;
    __float128 least = -1;
    for (int d = -1; d <= 1; d++) {
        uint32_t h = (guess & 0x7fff) + (uint32_t)d;
        if (h > 0x7fff || (h & 0x7c00) == 0x7c00) continue;
        h |= guess & 0x8000;
        __float128 off = x - (__float128)half_value(h);
        if (off < 0) off = -off;
        bool is_better = least < 0 || off < least || (off == least && h % 2 == 0);
        if (is_better) best = h, least = off;
    }
    return best;
}

/* ---- floats ---------------------------------------------------------------------------------- */

static inline float fma_exact(float a, float b, float c) { return fmaf(a, b, c); }
static inline double flushed(double x) { return fabs(x) < 0x1p-126 ? copysign(0, x) : x; }
static inline float unit(float x) { return x >= 1 ? 1 : x > 0 ? x : 0; }
static inline bool signals(float x) { return isnan(x) && (to_bits(x) >> 22 & 1) == 0; }
static inline float lesser(float a, float b) {
    if (signals(a) || signals(b)) return NAN;
    if (isnan(a)) return b;
    if (isnan(b)) return a;
    if (a == 0 && b == 0) return signbit(a) ? a : b;
    return a < b ? a : b;
}
static inline double lesser64(double a, double b) {
    bool sa = isnan(a) && (to_bits64(a) >> 51 & 1) == 0,
         sb = isnan(b) && (to_bits64(b) >> 51 & 1) == 0;
    if (sa || sb) return (double)NAN;
    if (isnan(a)) return b;
    if (isnan(b)) return a;
    if (a == 0 && b == 0) return signbit(a) ? a : b;
    return a < b ? a : b;
}
static inline float middle(float a, float b, float c) {
    if (isnan(a) || isnan(b) || isnan(c)) return lesser(lesser(a, b), c);
    float low = lesser(lesser(a, b), c), high = -lesser(lesser(-a, -b), -c);
    uint32_t rest = to_bits(a) ^ to_bits(b) ^ to_bits(c) ^ to_bits(low) ^ to_bits(high);
    return from_bits(rest);
}
static inline int power_of(float x) {
    int e;
    frexpf(x, &e);
    return x == 0 ? 0 : e;
}
static inline int power_of64(double x) {
    int e;
    frexp(x, &e);
    return x == 0 ? 0 : e;
}
static inline int raw_exponent(float x) { return (int)(to_bits(x) >> 23 & 255); }
static inline int raw_exponent64(double x) { return (int)(to_bits64(x) >> 52 & 2047); }
static inline float ldexp_once(float x, int n) {
    return (float)ldexp((double)x, n > 400 ? 400 : n < -400 ? -400 : n);
}
static inline uint32_t product_bits(float a, float b) { return to_bits(a * b); }

static inline double quotient_fixed(double q, double d, double n, bool underflows) {
    bool negative = signbit(d) != signbit(n);
    double r;
    if (isnan(n) || isnan(d) || (n == 0 && d == 0) || (isinf(n) && isinf(d))) return (double)NAN;
    if (d == 0 || isinf(n))
        r = (double)INFINITY;
    else if (isinf(d) || n == 0 || underflows)
        r = 0;
    else
        r = isnan(q) ? (double)INFINITY : q; /* a step before went beyond all numbers */
    return copysign(r, negative ? -1 : 1);
}

static inline bool subnormal32(double x) { return x != 0 && fabs(x) < 0x1p-126; }
static inline bool scales_back(float d, float n) {
    if (d == 0 || n == 0) return false;
    if (raw_exponent(n) - raw_exponent(d) >= 96) return true;
    return !subnormal32((double)d) && subnormal32((double)n / (double)d);
}
static inline float scaled_part(float d, float n, bool is_d) {
    float x = is_d ? d : n;
    bool is_same = to_bits(d) == to_bits(n); /* then it counts as both */
    if (d == 0 || n == 0) return NAN;
    if (raw_exponent(n) - raw_exponent(d) >= 96) return is_d || is_same ? ldexp_once(x, 64) : x;
    if (subnormal32((double)d)) return ldexp_once(x, 64);
    bool tiny = subnormal32(1 / (double)d), small = subnormal32((double)n / (double)d);
    if (tiny && small) return is_d || is_same ? ldexp_once(x, -64) : x;
    if (tiny) return ldexp_once(x, -64);
    if (small) return !is_d || is_same ? ldexp_once(x, 64) : x;
    return raw_exponent(n) <= 23 ? ldexp_once(x, 64) : x;
}
static inline bool scales_back64(double d, double n) {
    if (d == 0 || n == 0) return false;
    if (raw_exponent64(n) - raw_exponent64(d) >= 768) return true;
    return raw_exponent64(d) != 0 && n / d != 0 && fabs(n / d) < 0x1p-1022;
}
static inline double scaled_part64(double d, double n, bool is_d) {
    double x = is_d ? d : n;
    bool is_same = to_bits64(d) == to_bits64(n);
    if (d == 0 || n == 0) return (double)NAN;
    if (raw_exponent64(n) - raw_exponent64(d) >= 768) return is_d || is_same ? ldexp(x, 128) : x;
    if (raw_exponent64(d) == 0) return ldexp(x, 128);
    bool tiny = 1 / d != 0 && fabs(1 / d) < 0x1p-1022,
         small = n / d != 0 && fabs(n / d) < 0x1p-1022;
    if (tiny && small) return is_d || is_same ? ldexp(x, -128) : x;
    if (tiny) return ldexp(x, -128);
    if (small) return !is_d || is_same ? ldexp(x, 128) : x;
    return raw_exponent64(n) <= 53 ? ldexp(x, 128) : x;
}

/* The bit of its class: signalling, quiet, -inf, -normal, -subnormal, -0, +0, and back. */
static inline uint32_t class_bit(double x, bool is_quiet, double smallest) {
    if (isnan(x)) return is_quiet ? 2 : 1;
    double m = fabs(x);
    int k = isinf(x) ? 0 : m == 0 ? 3 : m < smallest ? 2 : 1;
    return signbit(x) ? 1u << (2 + k) : 1u << (9 - k);
}

/* ---- whole numbers --------------------------------------------------------------------------- */

static inline uint64_t pow2(unsigned n) { return (uint64_t)1 << n; }
static inline int64_t floor_div(int64_t x, int64_t by) { return x / by - (x % by < 0); }
static inline uint64_t least64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline int64_t signed24(uint32_t x) {
    return (int64_t)(x % 0x1000000) - (x & 0x800000 ? 0x1000000 : 0);
}
static inline int64_t signed16(uint32_t x) {
    return (int64_t)(x & 0xffff) - (x & 0x8000 ? 0x10000 : 0);
}
static inline uint64_t bits_between(uint64_t x, unsigned from, unsigned width) {
    uint64_t r = 0;
    for (unsigned i = 0; i < width && from + i < 64; i++) r += (x >> (from + i) & 1) * pow2(i);
    return r;
}
static inline uint32_t signed_between(uint32_t x, unsigned from, unsigned width) {
    uint64_t r = bits_between(x, from, width);
    if (width > 0 && r >= pow2(width - 1)) r -= pow2(width);
    return (uint32_t)r;
}
static inline uint64_t reversed(uint64_t x, unsigned bits) {
    uint64_t r = 0;
    for (unsigned i = 0; i < bits; i++) r = r * 2 + (x >> i & 1);
    return r;
}
static inline unsigned ones_in(uint64_t x, unsigned bits) {
    unsigned n = 0;
    for (unsigned i = 0; i < bits; i++) n += (unsigned)(x >> i & 1);
    return n;
}
/* How far from the top the first 1 is, or the first bit unlike the top one; none: -1. */
static inline uint32_t leading(uint64_t x, unsigned bits, bool unlike) {
    unsigned top = unlike ? (unsigned)(x >> (bits - 1) & 1) : 0;
    for (unsigned i = 0; i < bits; i++)
        if ((x >> (bits - 1 - i) & 1) != top) return i;
    return UINT32_MAX;
}
static inline uint32_t saturated(double x, unsigned bits) {
    double high = (double)pow2(bits - 1) - 1, low = -high - 1;
    return isnan(x) ? 0 : (uint32_t)(int64_t)(x > high ? high : x < low ? low : x);
}
static inline uint32_t unsigned_of(double x) {
    return !(x > 0) ? 0 : x >= 4294967295.0 ? UINT32_MAX : (uint32_t)(uint64_t)x;
}
static inline int64_t sorted3(int64_t a, int64_t b, int64_t c, unsigned which) {
    int64_t s[3] = {a, b, c};
    for (unsigned i = 0; i < 2; i++)
        for (unsigned j = 0; j < 2; j++)
            if (s[j] > s[j + 1]) {
                int64_t t = s[j];
                s[j] = s[j + 1];
                s[j + 1] = t;
            }
    return s[which];
}
static inline uint32_t normed(double x, double low, double factor) {
    if (isnan(x)) return 0;
    x = x < low ? low : x > 1 ? 1 : x;
    return (uint32_t)(int32_t)nearbyint(x * factor);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static inline uint32_t bytes_picked(uint32_t a, uint32_t b, uint32_t c) {
    uint8_t from[8], to[4];
    memcpy(from, &b, 4);
    memcpy(from + 4, &a, 4);
    for (unsigned i = 0; i < 4; i++) {
        uint8_t s = (uint8_t)(c >> 8 * i);
        if (s < 8)
            to[i] = from[s];
        else if (s < 12)
            to[i] = from[2 * (s - 8) + 1] >= 128 ? 255 : 0;
        else
            to[i] = s == 12 ? 0 : 255;
    }
    uint32_t r;
    memcpy(&r, to, 4);
    return r;
}
/* 0: absolute differences; else products, 1: of signed a, 2: of signed b, 4: of neither. */
static inline uint32_t bytes_summed(uint32_t a, uint32_t b, unsigned mode) {
    int64_t sum = 0;
    for (unsigned i = 0; i < 4; i++) {
        int64_t x = a >> 8 * i & 255, y = b >> 8 * i & 255;
        if (mode & 1 && x > 127) x -= 256;
        if (mode & 2 && y > 127) y -= 256;
        sum += mode == 0 ? (x > y ? x - y : y - x) : x * y;
    }
    return (uint32_t)(uint64_t)sum;
}
static inline uint32_t bytes_averaged(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t r = 0;
    for (unsigned i = 0; i < 4; i++)
        r += ((a >> 8 * i & 255) + (b >> 8 * i & 255) + (c >> 8 * i & 1)) / 2 *
             (uint32_t)pow2(8 * i);
    return r;
}
static inline uint32_t clamp_byte(int64_t x) { return (uint32_t)(x < 0 ? 0 : x > 255 ? 255 : x); }
static inline uint32_t byte_inserted(uint32_t into, unsigned place, float x) {
    double r = isnan(x) || x < 0 ? 0 : x > 255 ? 255 : nearbyint((double)x);
    uint8_t bytes[4];
    memcpy(bytes, &into, 4);
    bytes[place] = (uint8_t)r;
    memcpy(&into, bytes, 4);
    return into;
}

/* ---- what rows speak in ---------------------------------------------------------------------- */

#define A           ((uint32_t)x->a)
#define B           ((uint32_t)x->b)
#define CC          ((uint32_t)x->c)
#define A_HIGH      ((uint32_t)(x->a >> 32))
#define B_HIGH      ((uint32_t)(x->b >> 32))
#define C_HIGH      ((uint32_t)(x->c >> 32))
#define A0          (A & 0xffff)
#define B0          (B & 0xffff)
#define C0          (CC & 0xffff)
#define A1          (A >> 16)
#define B1          (B >> 16)
#define C1          (CC >> 16)
#define IA          ((int32_t)A)
#define IB          ((int32_t)B)
#define IC          ((int32_t)CC)
#define QA          (x->a)
#define QB          (x->b)
#define QC          (x->c)
#define FA          from_bits(A)
#define FB          from_bits(B)
#define FC          from_bits(CC)
#define FA1         from_bits(A_HIGH)
#define FB1         from_bits(B_HIGH)
#define FC1         from_bits(C_HIGH)
#define DA          from_bits64(QA)
#define DB          from_bits64(QB)
#define DC          from_bits64(QC)
#define HA          half_value(A0)
#define HB          half_value(B0)
#define HC          half_value(C0)
#define HA1         half_value(A1)
#define HB1         half_value(B1)
#define HC1         half_value(C1)
#define SA          (x->s12)
#define MASK        ((unsigned)x->mask)
#define VCC         (x->vcc)
#define LANE        (x->lane)
#define OLD         ((uint32_t)x->old)
#define OLDD        from_bits64(x->old)
#define OF(k)       (x->of[k])
#define PAIR(l, h)  (((uint32_t)(l)&0xffff) | (uint32_t)(h) << 16)
#define FPAIR(l, h) (to_bits(l) | (uint64_t)to_bits(h) << 32)
#define ORDERED     (!isnan(FA) && !isnan(FB))
#define ORDERED16   (!isnan(HA) && !isnan(HB))
#define ORDERED64   (!isnan(DA) && !isnan(DB))

/* ---- numbers to try -------------------------------------------------------------------------- */

static inline uint64_t any_bits(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* 64 bits that mean something as whole numbers, floats, doubles or halves, special ones often. */
static inline uint64_t any_number(uint64_t *state) {
    static const uint32_t floats[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
                                      0xff800000, 0x7fc00000, 0x7f800001, 1,          0x80000001,
                                      0x007fffff, 0x00800000, 0x7f7fffff, 0x3f000000, 0x4f000000,
                                      0x4f800000, 0xcf000000, 0x34000000, 0x1f800000, 0x5f800000};
    static const uint64_t doubles[] = {0,
                                       0x8000000000000000,
                                       0x3ff0000000000000,
                                       0x7ff0000000000000,
                                       0xfff0000000000000,
                                       0x7ff8000000000000,
                                       1,
                                       0x000fffffffffffff,
                                       0x0010000000000000,
                                       0x7fefffffffffffff,
                                       0x41e0000000000000,
                                       0xc1e0000000000000,
                                       0x3fe0000000000000,
                                       0x7ff0000000000001};
    static const uint16_t halves[] = {0, 0x8000, 0x3c00, 0x7c00, 0xfc00, 0x7e00,
                                      1, 0x3ff,  0x400,  0x7bff, 0x3800, 0x7c01};
    uint64_t r = any_bits(state), s = any_bits(state), t = any_bits(state);
    switch (r % 9) {
    case 0: return s;
    case 1: return (uint64_t)(int64_t)(int8_t)(uint8_t)s;
    case 2: return floats[s % 20] | (uint64_t)floats[t % 20] << 32;
    case 3:
        return to_bits((float)ldexp((double)(int32_t)(uint32_t)s, (int)(t % 40) - 40)) |
               (uint64_t)to_bits(
                   (float)ldexp((double)(int32_t)(uint32_t)(s >> 32), (int)(t % 40) - 40))
                   << 32;
    case 4: return doubles[s % 14];
    case 5: return to_bits64(ldexp((double)(int64_t)s, (int)(t % 70) - 70));
    case 6: return halves[s % 12] | (uint64_t)halves[t % 12] << 16 | (s >> 20 << 32);
    case 7: return (s & 0xbfffbfff) | 0x20002000 | t >> 32 << 32;
    default: return (uint64_t)(uint32_t)(s % 70) | t % 70 << 32;
    }
}

#endif
