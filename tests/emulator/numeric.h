/* Numbers as the instructions see them: halves, bfloats, and the parts of floats. Everything without
 * branches where loops over lanes shall become vector code. */
#ifndef EMU_NUMERIC_H
#define EMU_NUMERIC_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t bits_of(float x) {
    union {
        float f;
        uint32_t u;
    } c = {.f = x};
    return c.u;
}

static inline float float_of(uint32_t x) {
    union {
        uint32_t u;
        float f;
    } c = {.u = x};
    return c.f;
}

static inline uint64_t bits_of64(double x) {
    union {
        double f;
        uint64_t u;
    } c = {.f = x};
    return c.u;
}

static inline double double_of(uint64_t x) {
    union {
        uint64_t u;
        double f;
    } c = {.u = x};
    return c.f;
}

static inline bool is_nan(float x) { return (bits_of(x) & 0x7fffffffu) > 0x7f800000u; }
static inline bool is_nan64(double x) { return (bits_of64(x) << 1) > 0xffe0000000000000u; }
static inline bool is_signalling(float x) { return is_nan(x) && (bits_of(x) & 0x400000u) == 0; }
static inline bool is_signalling64(double x) {
    return is_nan64(x) && (bits_of64(x) & 0x8000000000000u) == 0;
}
static inline float quiet(float x) { return float_of(bits_of(x) | 0x400000u); }
static inline double quiet64(double x) { return double_of(bits_of64(x) | 0x8000000000000u); }

/* Subnormals become zero, the sign stays. */
static inline float flush(float x) {
    uint32_t u = bits_of(x);
    return float_of((u & 0x7f800000u) == 0 ? u & 0x80000000u : u);
}

static inline int exponent(float x) { return (int)(bits_of(x) >> 23 & 255u); }
static inline int exponent64(double x) { return (int)(bits_of64(x) >> 52 & 2047u); }

/* 2^n, n in -1022..1023. */
static inline double power_of_two(int n) { return double_of((uint64_t)(n + 1023) << 52); }

/* x * 2^n, rounded once. */
static inline float scale(float x, int n) {
    n = n < -300 ? -300 : n > 300 ? 300 : n;
    return (float)((double)x * power_of_two(n));
}

/* ---- 16 bits --------------------------------------------------------------------------------- */

static inline float half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = h & 0x7fffu;
    /* Subnormals: the fraction as a number, times 2^-24. */
    uint32_t normal = (rest << 13) + (112u << 23), special = (rest << 13) | 0x7f800000u;
    float small = (float)(int32_t)rest * float_of(0x33800000u);
    uint32_t u = rest < 0x400u ? bits_of(small) : rest < 0x7c00u ? normal : special;
    u |= rest > 0x7c00u ? 0x400000u : 0;
    return float_of(u | sign);
}

/* The number kept of a fraction of 24 bits that loses `drop` of them. */
static inline uint32_t round_even(uint32_t fraction, uint32_t drop) {
    uint32_t half = 1u << (drop - 1), odd = fraction >> drop & 1u;
    return (fraction + half - 1u + odd) >> drop;
}

static inline uint16_t float_to_half(float x) {
    uint32_t u = bits_of(x), sign = u >> 16 & 0x8000u, rest = u & 0x7fffffffu;
    uint32_t e = rest >> 23, fraction = (rest & 0x7fffffu) | 0x800000u;
    uint32_t drop = e >= 113 ? 13 : e >= 101 ? 126 - e : 25;
    uint32_t kept = round_even(fraction, drop);
    uint32_t finite = e >= 113 ? kept + ((e - 113u) << 10) : kept;
    finite = finite > 0x7c00u ? 0x7c00u : finite;
    uint32_t nan = 0x7e00u | (rest >> 13 & 0x3ffu);
    return (uint16_t)(sign | (rest > 0x7f800000u ? nan : rest >= 0x47800000u ? 0x7c00u : finite));
}

static inline uint16_t float_to_half_to_zero(float x) {
    uint32_t u = bits_of(x), sign = u >> 16 & 0x8000u, rest = u & 0x7fffffffu;
    uint32_t e = rest >> 23, fraction = (rest & 0x7fffffu) | 0x800000u;
    uint32_t drop = e >= 113 ? 13 : e >= 101 ? 126 - e : 25;
    uint32_t kept = fraction >> drop;
    uint32_t finite = e >= 113 ? kept + ((e - 113u) << 10) : kept;
    uint32_t nan = 0x7e00u | (rest >> 13 & 0x3ffu);
    if (rest > 0x7f800000u) return (uint16_t)(sign | nan);
    if (rest == 0x7f800000u) return (uint16_t)(sign | 0x7c00u);
    return (uint16_t)(sign | (finite > 0x7bffu ? 0x7bffu : finite));
}

/* Through a float rounded to odd (its last bit says that something was lost), so that it rounds
 * once. */
static inline uint16_t double_to_half(double x) {
    float f = (float)x;
    uint32_t u = bits_of(f);
    if (exponent(f) != 255 && (double)f != x && (u & 1u) == 0)
        u = fabs((double)f) > fabs(x) ? u - 1 : u | 1u;
    return float_to_half(float_of(u));
}

/* a * b + c of halves: the product is exact in a double, and so is what the sum loses. */
static inline uint16_t half_fma(float a, float b, float c) {
    double p = (double)a * (double)b, s = p + (double)c;
    double t = s - p, lost = (p - (s - t)) + ((double)c - t);
    uint64_t u = bits_of64(s);
    if (exponent64(s) != 2047 && lost != 0 && (u & 1) == 0)
        u = (lost < 0) == (s > 0) ? u - 1 : u | 1;
    return double_to_half(double_of(u));
}

static inline float bfloat_to_float(uint16_t x) { return float_of((uint32_t)x << 16); }

static inline uint16_t float_to_bfloat(float x) {
    uint32_t u = bits_of(x);
    if (is_nan(x)) return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

/* ---- the rules of min and max ---------------------------------------------------------------- */

static inline float min_of(float a, float b, bool is_ieee) {
    float r = a < b ? a : b;
    r = a == b ? float_of(bits_of(a) | bits_of(b)) : r; /* -0 is less than 0 */
    r = is_nan(b) ? a : r;
    r = is_nan(a) ? b : r;
    r = is_nan(r) || (is_ieee && is_signalling(b)) ? quiet(b) : r;
    return is_ieee && is_signalling(a) ? quiet(a) : r;
}

static inline float max_of(float a, float b, bool is_ieee) {
    float r = a > b ? a : b;
    r = a == b ? float_of(bits_of(a) & bits_of(b)) : r;
    r = is_nan(b) ? a : r;
    r = is_nan(a) ? b : r;
    r = is_nan(r) || (is_ieee && is_signalling(b)) ? quiet(b) : r;
    return is_ieee && is_signalling(a) ? quiet(a) : r;
}

static inline double min_of64(double a, double b, bool is_ieee) {
    if (is_ieee && is_signalling64(a)) return quiet64(a);
    if (is_ieee && is_signalling64(b)) return quiet64(b);
    if (is_nan64(a)) return is_nan64(b) ? quiet64(b) : b;
    if (is_nan64(b)) return a;
    if (a == b) return double_of(bits_of64(a) | bits_of64(b));
    return a < b ? a : b;
}

static inline double max_of64(double a, double b, bool is_ieee) {
    if (is_ieee && is_signalling64(a)) return quiet64(a);
    if (is_ieee && is_signalling64(b)) return quiet64(b);
    if (is_nan64(a)) return is_nan64(b) ? quiet64(b) : b;
    if (is_nan64(b)) return a;
    if (a == b) return double_of(bits_of64(a) & bits_of64(b));
    return a > b ? a : b;
}

static inline float median_of(float a, float b, float c, bool is_ieee) {
    if (is_nan(a) || is_nan(b) || is_nan(c)) return min_of(min_of(a, b, is_ieee), c, is_ieee);
    float low = min_of(a, b, false), high = max_of(a, b, false);
    return max_of(low, min_of(high, c, false), false);
}

/* ---- conversions that saturate --------------------------------------------------------------- */

static inline int32_t to_i32(double x) {
    double t = is_nan64(x) ? 0 : x;
    t = t < -2147483648.0 ? -2147483648.0 : t;
    t = t > 2147483647.0 ? 2147483647.0 : t;
    return (int32_t)t;
}

static inline uint32_t to_u32(double x) {
    double t = is_nan64(x) ? 0 : x;
    t = t < 0 ? 0 : t;
    t = t > 4294967295.0 ? 4294967295.0 : t;
    return (uint32_t)(int64_t)t;
}

static inline int32_t clamp_int(int64_t x, int64_t low, int64_t high) {
    return (int32_t)(x < low ? low : x > high ? high : x);
}

static inline uint32_t clamp_unsigned(uint64_t x, uint64_t high) {
    return (uint32_t)(x > high ? high : x);
}

#endif
