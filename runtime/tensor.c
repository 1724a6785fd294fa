/* Element types: their table, and numbers from one type into another. */
#include "tensor.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "files are used in place from their maps: a little-endian host is needed"
#endif

enum family { F = 1, I, U, B };

static const struct {
    const char *name;
    size_t bytes;
    enum family family;
} dtypes[RW_DTYPES] = {
#define DTYPE(id, name, bytes, family, st, npy, storage, torch) [id] = {name, bytes, family},
#include "dtypes.def"
#undef DTYPE
};

static bool known(rw_dtype d) {
    return (unsigned)d < RW_DTYPES;
}

size_t rw_dtype_bytes(rw_dtype d) {
    return known(d) ? dtypes[d].bytes : 0;
}

const char *rw_dtype_name(rw_dtype d) {
    return known(d) ? dtypes[d].name : "?";
}

int rw_dtype_is_float(rw_dtype d) {
    return known(d) && dtypes[d].family == F;
}

rw_dtype rw_dtype_find(const char *name) {
    int d = 0;
    while (d < RW_DTYPES && strcmp(dtypes[d].name, name) != 0)
        d++;
    return (rw_dtype)d;
}

rw_status rw_tensor_count(const rw_tensor *t, size_t *n) {
    size_t size = rw_dtype_bytes(t->dtype), count = 1;
    if (size == 0 || t->rank < 0 || t->rank > RW_MAX_RANK)
        return RW_BAD_SHAPE;
    bool is_empty = false, overflows = false;
    for (int i = 0; i < t->rank; i++) {
        if (t->shape[i] < 0)
            return RW_BAD_SHAPE;
        is_empty = is_empty || t->shape[i] == 0;
        /* an empty tensor may have any other dimensions: its product is 0 whatever they are */
        if (!is_empty && __builtin_mul_overflow(count, (size_t)t->shape[i], &count))
            overflows = true;
    }
    if (is_empty)
        count = 0;
    else if (overflows || count > (size_t)PTRDIFF_MAX / size)
        return RW_BAD_SHAPE;
    *n = count;
    return RW_OK;
}

char *rw_tensor_shape(const rw_tensor *t, char *text, size_t cap) {
    size_t at = 0;
    if (cap == 0)
        return text;
    text[0] = '\0';
    for (int i = 0; i <= t->rank && i <= RW_MAX_RANK && at < cap; i++) {
        int n;
        if (i == t->rank)
            n = snprintf(text + at, cap - at, i == 0 ? "[]" : "]");
        else
            n = snprintf(text + at, cap - at, "%s%lld", i == 0 ? "[" : ",", (long long)t->shape[i]);
        at += n > 0 ? (size_t)n : 0;
    }
    return text;
}

/* ---- the 16-bit types ---------------------------------------------------------------------- */

static uint64_t bits_of(double x) {
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static double from_bits(uint64_t u) {
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* x as sign, ebits of exponent and mbits of fraction: to nearest, ties to even. The significand
 * is shifted to the place of the result's last bit; adding it, hidden bit and all, to the exponent
 * field lets a carry run into the exponent, and into infinity, by itself. */
static uint16_t narrow(double x, int ebits, int mbits) {
    uint64_t u = bits_of(x);
    uint32_t sign = (uint32_t)(u >> 63) << 15;
    uint32_t inf = ((1u << ebits) - 1) << mbits;
    int emin = 2 - (1 << (ebits - 1)); /* exponent of the smallest normal number */
    int e = (int)(u >> 52 & 0x7ff) - 1023;
    uint64_t fraction = u & 0xfffffffffffffu;
    if (e == 1024)
        return (uint16_t)(sign | inf | (fraction != 0 ? 1u << (mbits - 1) : 0));
    if (e < emin - mbits - 1)
        return (uint16_t)sign; /* below half of the smallest subnormal number */
    if (e > emin + (1 << ebits))
        return (uint16_t)(sign | inf);
    int shift = 52 - mbits + (e < emin ? emin - e : 0);
    uint64_t s = fraction | (uint64_t)1 << 52;
    uint64_t half = (uint64_t)1 << (shift - 1);
    uint64_t q = s >> shift, rest = s & (2 * half - 1);
    if (rest > half || (rest == half && (q & 1) != 0))
        q++;
    uint32_t r = (uint32_t)q + (e > emin ? (uint32_t)(e - emin) << mbits : 0);
    return (uint16_t)(sign | (r > inf ? inf : r));
}

double rw_f16_to_f64(uint16_t h) {
    uint64_t sign = (uint64_t)(h >> 15) << 63;
    int e = h >> 10 & 31;
    uint64_t fraction = h & 1023u;
    if (e == 31)
        return from_bits(sign | 0x7ff0000000000000u | (fraction != 0 ? 0x8000000000000u : 0));
    if (e == 0) {
        double x = (double)fraction * 0x1p-24;
        return sign != 0 ? -x : x;
    }
    return from_bits(sign | (uint64_t)(e - 15 + 1023) << 52 | fraction << 42);
}

uint16_t rw_f64_to_f16(double x) {
    return narrow(x, 5, 10);
}

static float bf16_to_f32(uint16_t h) {
    uint32_t u = (uint32_t)h << 16;
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

double rw_bf16_to_f64(uint16_t h) {
    return (double)bf16_to_f32(h);
}

uint16_t rw_f64_to_bf16(double x) {
    return narrow(x, 8, 7);
}

/* ---- whole tensors ------------------------------------------------------------------------- */

#define EACH(type, value)                                                                          \
    {                                                                                              \
        const type *p = t->data;                                                                   \
        for (size_t i = 0; i < n; i++) {                                                           \
            type x = p[i];                                                                         \
            dst[i] = (value);                                                                      \
        }                                                                                          \
        break;                                                                                     \
    }

static size_t count_of(const rw_tensor *t) {
    size_t n = 0;
    return rw_tensor_count(t, &n) == RW_OK && t->data != NULL ? n : 0;
}

void rw_tensor_to_f64(const rw_tensor *t, double *dst) {
    size_t n = count_of(t);
    switch (t->dtype) {
    case RW_F32: EACH(float, (double)x)
    case RW_F16: EACH(uint16_t, rw_f16_to_f64(x))
    case RW_BF16: EACH(uint16_t, rw_bf16_to_f64(x))
    case RW_F64: EACH(double, x)
    case RW_I8: EACH(int8_t, (double)x)
    case RW_U8: EACH(uint8_t, (double)x)
    case RW_I16: EACH(int16_t, (double)x)
    case RW_U16: EACH(uint16_t, (double)x)
    case RW_I32: EACH(int32_t, (double)x)
    case RW_U32: EACH(uint32_t, (double)x)
    case RW_I64: EACH(int64_t, (double)x)
    case RW_BOOL: EACH(uint8_t, x != 0 ? 1.0 : 0.0)
    case RW_DTYPES: break;
    }
}

void rw_tensor_to_f32(const rw_tensor *t, float *dst) {
    size_t n = count_of(t);
    switch (t->dtype) {
    case RW_F32: EACH(float, x)
    case RW_F16: EACH(uint16_t, (float)rw_f16_to_f64(x))
    case RW_BF16: EACH(uint16_t, bf16_to_f32(x))
    case RW_F64: EACH(double, (float)x)
    case RW_I8: EACH(int8_t, (float)x)
    case RW_U8: EACH(uint8_t, (float)x)
    case RW_I16: EACH(int16_t, (float)x)
    case RW_U16: EACH(uint16_t, (float)x)
    case RW_I32: EACH(int32_t, (float)x)
    case RW_U32: EACH(uint32_t, (float)x)
    case RW_I64: EACH(int64_t, (float)x)
    case RW_BOOL: EACH(uint8_t, x != 0 ? 1.0f : 0.0f)
    case RW_DTYPES: break;
    }
}

rw_status rw_tensor_to_i64(const rw_tensor *t, int64_t *dst, rw_message *m) {
    size_t n = count_of(t);
    switch (t->dtype) {
    case RW_I8: EACH(int8_t, x)
    case RW_U8: EACH(uint8_t, x)
    case RW_I16: EACH(int16_t, x)
    case RW_U16: EACH(uint16_t, x)
    case RW_I32: EACH(int32_t, x)
    case RW_U32: EACH(uint32_t, x)
    case RW_I64: EACH(int64_t, x)
    case RW_BOOL: EACH(uint8_t, x != 0)
    default:
        return rw_fail(m, RW_BAD_SHAPE, "%s: holds %s numbers where integers are wanted",
                       t->name != NULL && t->name[0] != '\0' ? t->name : "tensor",
                       rw_dtype_name(t->dtype));
    }
    return RW_OK;
}

/* The integer nearest to x, ties to even, held in lo..hi; 0 for NaN. */
static int64_t nearest(double x, int64_t lo, int64_t hi) {
    if (x != x)
        return 0;
    if (x <= (double)lo)
        return lo;
    if (x >= (double)hi)
        return hi;
    int64_t k = (int64_t)x; /* towards zero; exact, since |x| < 2^63 */
    double rest = x - (double)k;
    if (rest > 0.5 || (rest == 0.5 && (k & 1) != 0))
        k++;
    else if (rest < -0.5 || (rest == -0.5 && (k & 1) != 0))
        k--;
    return k;
}

#define STORE(type, value)                                                                         \
    {                                                                                              \
        type *p = dst;                                                                             \
        for (size_t i = 0; i < n; i++) {                                                           \
            double x = (double)src[i];                                                             \
            p[i] = (type)(value);                                                                  \
        }                                                                                          \
        break;                                                                                     \
    }

#define STORE_ALL                                                                                  \
    switch (d) {                                                                                   \
    case RW_F32: STORE(float, x)                                                                   \
    case RW_F16: STORE(uint16_t, rw_f64_to_f16(x))                                                 \
    case RW_BF16: STORE(uint16_t, rw_f64_to_bf16(x))                                               \
    case RW_F64: STORE(double, x)                                                                  \
    case RW_I8: STORE(int8_t, nearest(x, INT8_MIN, INT8_MAX))                                      \
    case RW_U8: STORE(uint8_t, nearest(x, 0, UINT8_MAX))                                           \
    case RW_I16: STORE(int16_t, nearest(x, INT16_MIN, INT16_MAX))                                  \
    case RW_U16: STORE(uint16_t, nearest(x, 0, UINT16_MAX))                                        \
    case RW_I32: STORE(int32_t, nearest(x, INT32_MIN, INT32_MAX))                                  \
    case RW_U32: STORE(uint32_t, nearest(x, 0, UINT32_MAX))                                        \
    case RW_I64: STORE(int64_t, nearest(x, INT64_MIN, INT64_MAX))                                  \
    case RW_BOOL: STORE(uint8_t, x != 0)                                                           \
    case RW_DTYPES: break;                                                                         \
    }

void rw_f64_to(rw_dtype d, const double *src, void *dst, size_t n) {
    STORE_ALL
}

void rw_f32_to(rw_dtype d, const float *src, void *dst, size_t n) {
    STORE_ALL
}
