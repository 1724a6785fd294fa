/* Vector instructions on 64 bits. */
#define LANES_DEF   "lanes_wide.def"
#define LANES_TABLE ops_wide
#include "numeric.h"

static inline bool sum_overflows(int64_t product, uint64_t c) {
    int64_t sum;
    return __builtin_add_overflow(product, (int64_t)c, &sum);
}

/* x is finite and not zero. */
static inline int exponent_of(double x) {
    int e;
    frexp(x, &e);
    return e;
}

static inline double fraction_of(double x) {
    int e;
    return frexp(x, &e);
}

static inline bool is_subnormal(double x) { return x != 0 && exponent64(x) == 0; }

/* As for floats (lanes_float.c), with the ranges of doubles. */
static inline bool div_scales(double d, double n) {
    if (d == 0 || n == 0) return false;
    if (exponent64(n) - exponent64(d) >= 768) return true;
    if (is_subnormal(d)) return false;
    return is_subnormal(n / d);
}

static inline double div_scale(double x, double d, double n) {
    bool is_denominator = bits_of64(x) == bits_of64(d);
    if (d == 0 || n == 0) return double_of(0x7ff8000000000000u);
    if (exponent64(n) - exponent64(d) >= 768) return is_denominator ? ldexp(x, 128) : x;
    if (is_subnormal(d)) return ldexp(x, 128);
    bool is_tiny = is_subnormal(1.0 / d), is_small = is_subnormal(n / d);
    if (is_tiny && is_small) return is_denominator ? ldexp(x, -128) : x;
    if (is_tiny) return ldexp(x, -128);
    if (is_small) return bits_of64(x) == bits_of64(n) ? ldexp(x, 128) : x;
    return exponent64(n) <= 53 ? ldexp(x, 128) : x;
}

static inline double div_fixup(double quotient, double d, double n) {
    uint64_t sign = (bits_of64(d) ^ bits_of64(n)) & 0x8000000000000000u;
    bool d_inf = isinf(d), n_inf = isinf(n);
    if (is_nan64(n)) return quiet64(n);
    if (is_nan64(d)) return quiet64(d);
    if ((n == 0 && d == 0) || (n_inf && d_inf)) return double_of(0xfff8000000000000u);
    if (d == 0 || n_inf) return double_of(sign | 0x7ff0000000000000u);
    if (d_inf || n == 0) return double_of(sign);
    if (exponent64(n) - exponent64(d) < -1075) return double_of(sign);
    if (is_nan64(quotient)) return double_of(sign | 0x7ff0000000000000u);
    return double_of((bits_of64(quotient) & 0x7fffffffffffffffu) | sign);
}

/* Subnormal results are rounded once: from a sum whose last bit says that something was lost. */
static inline double div_fmas(double a, double b, double c, bool is_scaled) {
    double r = fma(a, b, c);
    if (!is_scaled) return r;
    if (exponent64(c) > 1023) return ldexp(r, 128);
    if (fabs(r) >= 0x1p-894 || !isfinite(r)) return ldexp(r, -128);
    double p = a * b, s = p + c, t = s - p;
    double lost = (p - (s - t)) + (c - t) + fma(a, b, -p);
    uint64_t u = bits_of64(s);
    if (lost != 0 && (u & 1) == 0) u = (lost < 0) == (s > 0) ? u - 1 : u | 1;
    return ldexp(double_of(u), -128);
}

#include "lanes.h"
