/* Vector instructions on 32-bit floats and halves. Reciprocals, roots, exponentials and logarithms
 * are computed in doubles and rounded: the processors promise one unit in the last place. */
#define LANES_DEF   "lanes_float.def"
#define LANES_TABLE ops_float
#include "numeric.h"

/* 2^x: the whole part goes to the exponent, the rest, within 1/2, through the series of 2^r. Neither
 * takes nor gives subnormals. */
static inline float exp2_of(float x) {
    static const double c[] = {1.0,
                               6.931471805599453e-1,
                               2.402265069591007e-1,
                               5.550410866482158e-2,
                               9.618129107628477e-3,
                               1.333355814642844e-3,
                               1.540353039338161e-4,
                               1.525273380405984e-5,
                               1.321548679014431e-6,
                               1.017808600923970e-7,
                               7.054911620801121e-9,
                               4.445538271870811e-10};
    double v = (double)flush(x);
    v = v > 200.0 ? 200.0 : v;
    v = v < -200.0 ? -200.0 : v;
    v = is_nan(x) ? 0.0 : v;
    double whole = rint(v), r = v - whole, sum = c[11];
    for (int k = 10; k >= 0; k--) sum = sum * r + c[k];
    float y = flush((float)(sum * power_of_two((int)whole)));
    return is_nan(x) ? quiet(x) : y;
}

/* log2 x: the exponent, and for the fraction m within 1/sqrt(2)..sqrt(2) the series of
 * 2 artanh((m - 1)/(m + 1)) / ln 2. */
static inline float log2_of(float x) {
    uint32_t u = bits_of(flush(x)), shifted = u - 0x3f3504f3u; /* 1/sqrt(2) */
    int e = (int32_t)shifted >> 23;
    double m = (double)float_of((shifted & 0x7fffffu) + 0x3f3504f3u);
    double s = (m - 1.0) / (m + 1.0), s2 = s * s, sum = 1.0 / 19.0;
    for (int k = 17; k >= 1; k -= 2) sum = sum * s2 + 1.0 / (double)k;
    float y = (float)(2.8853900817779268 * s * sum + (double)e);
    y = (u & 0x7fffffffu) == 0 ? -INFINITY : y;
    y = u == 0x7f800000u ? INFINITY : y;
    y = u > 0x80000000u ? float_of(0x7fc00000u) : y;
    return is_nan(x) ? quiet(x) : y;
}

/* The argument counts whole turns; beyond 256 of them the processors give sin 0. */
static inline float sine(float x, bool is_cosine) {
    double turns = (double)x;
    if (exponent(x) == 255) return float_of(0x7fc00000u);
    if (fabs(turns) > 256.0) return is_cosine ? 1.0f : 0.0f;
    turns -= floor(turns);
    double angle = turns * 6.283185307179586476925;
    return (float)(is_cosine ? cos(angle) : sin(angle));
}

/* What is above the next lower whole number, less than 1; NaN for what has none. */
static inline float fraction_above(float x) {
    float r = x - floorf(x), most = float_of(0x3f7fffffu);
    return r > most ? most : r;
}

/* x = fraction * 2^exponent, the fraction within 1/2..1; x is finite and not zero. */
static inline int exponent_of(float x) { return exponent64((double)x) - 1022; }
static inline float fraction_of(float x) {
    uint64_t u = bits_of64((double)x);
    return (float)double_of((u & 0x800fffffffffffffu) | (uint64_t)1022 << 52);
}

static inline uint32_t norm_i(float x) {
    double t = is_nan(x) ? 0 : (double)x;
    t = t < -1 ? -1 : t > 1 ? 1 : t;
    return (uint32_t)(int32_t)rint(t * 32767.0) & 0xffffu;
}

static inline uint32_t norm_u(float x) {
    double t = is_nan(x) ? 0 : (double)x;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return (uint32_t)(int32_t)rint(t * 65535.0);
}

/* ---- division -------------------------------------------------------------------------------- */

static inline bool is_subnormal(double x, double smallest) { return x != 0 && fabs(x) < smallest; }

#define SMALLEST 1.1754943508222875e-38 /* 2^-126 */

/* Does the quotient have to be scaled back by v_div_fmas? */
static inline bool div_scales(float denominator, float numerator) {
    double d = (double)denominator, n = (double)numerator;
    if (d == 0 || n == 0) return false;
    if (exponent(numerator) - exponent(denominator) >= 96) return true;
    if (is_subnormal(d, SMALLEST)) return false;
    return is_subnormal(n / d, SMALLEST);
}

/* x is the denominator or the numerator, scaled so that the steps of a division neither overflow nor
 * lose bits. */
static inline float div_scale(float x, float denominator, float numerator) {
    double d = (double)denominator, n = (double)numerator;
    bool is_denominator = bits_of(x) == bits_of(denominator);
    if (d == 0 || n == 0) return float_of(0x7fc00000u);
    if (exponent(numerator) - exponent(denominator) >= 96) return is_denominator ? scale(x, 64) : x;
    if (is_subnormal(d, SMALLEST)) return scale(x, 64);
    bool is_tiny = is_subnormal(1.0 / d, SMALLEST), is_small = is_subnormal(n / d, SMALLEST);
    if (is_tiny && is_small) return is_denominator ? scale(x, -64) : x;
    if (is_tiny) return scale(x, -64);
    if (is_small) return bits_of(x) == bits_of(numerator) ? scale(x, 64) : x;
    return exponent(numerator) <= 23 ? scale(x, 64) : x;
}

/* The quotient with the cases that the steps before cannot have got right. */
static inline float div_fixup(float quotient, float denominator, float numerator) {
    uint32_t sign = (bits_of(denominator) ^ bits_of(numerator)) & 0x80000000u;
    bool d_inf = (bits_of(denominator) << 1) == 0xff000000u;
    bool n_inf = (bits_of(numerator) << 1) == 0xff000000u;
    if (is_nan(numerator)) return quiet(numerator);
    if (is_nan(denominator)) return quiet(denominator);
    if ((numerator == 0 && denominator == 0) || (n_inf && d_inf)) return float_of(0xffc00000u);
    if (denominator == 0 || n_inf) return float_of(sign | 0x7f800000u);
    if (d_inf || numerator == 0) return float_of(sign);
    if (exponent(numerator) - exponent(denominator) < -150) return float_of(sign);
    if (is_nan(quotient)) return float_of(sign | 0x7f800000u); /* a step before has overflown */
    return float_of((bits_of(quotient) & 0x7fffffffu) | sign);
}

static inline float div_fixup_half(float quotient, float denominator, float numerator) {
    return div_fixup(quotient, denominator, numerator); /* the same cases, all within floats */
}

/* ---- halves ---------------------------------------------------------------------------------- */

static inline float half_low(uint32_t x) { return half_to_float((uint16_t)x); }
static inline float half_high(uint32_t x) { return half_to_float((uint16_t)(x >> 16)); }
static inline float bfloat_low(uint32_t x) { return float_of(x << 16); }
static inline float bfloat_high(uint32_t x) { return float_of(x & 0xffff0000u); }
static inline uint32_t both(float l, float h) {
    return float_to_half(l) | (uint32_t)float_to_half(h) << 16;
}

/* a * b + c in a double, rounded to odd: rounding it once more to a float is rounding once. */
static inline double sum_to_odd(float a, float b, float c) {
    double p = (double)a * (double)b, s = p + (double)c;
    double t = s - p, lost = (p - (s - t)) + ((double)c - t);
    uint64_t u = bits_of64(s);
    if (exponent64(s) != 2047 && lost != 0 && (u & 1) == 0)
        u = (lost < 0) == (s > 0) ? u - 1 : u | 1;
    return double_of(u);
}

static inline uint16_t mix(float a, float b, float c, bool is_clamped) {
    double r = sum_to_odd(a, b, c);
    if (is_clamped) r = r > 1 ? 1 : r > 0 ? r : 0;
    return double_to_half(r);
}

/* The last step of a division takes back the scale of the first. */
static inline float div_fmas(float a, float b, float c, bool is_scaled) {
    if (!is_scaled) return fmaf(a, b, c);
    return (float)(sum_to_odd(a, b, c) * power_of_two(exponent(c) > 127 ? 64 : -64));
}

#include "lanes.h"
