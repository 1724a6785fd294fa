/* v_cmp_*: every relation of every type. v_cmpx_* are the same rows, written to EXEC (decode.c). */
#define LANES_DEF   "lanes_compare.def"
#define LANES_TABLE ops_compare
#include "numeric.h"

/* Which of the ten classes a number has, as a mask: signalling NaN, quiet NaN, -inf, -normal,
 * -subnormal, -0, 0, subnormal, normal, inf. */
static inline uint32_t class_of(bool is_negative, bool is_quiet, int e, int highest,
                                bool is_zero_fraction) {
    if (e == highest && !is_zero_fraction) return is_quiet ? 2u : 1u;
    unsigned kind = e == highest ? 0 : e != 0 ? 1 : !is_zero_fraction ? 2 : 3;
    return is_negative ? 4u << kind : 1u << (9 - kind);
}

static inline uint32_t class_f32(float x) {
    uint32_t u = bits_of(x);
    return class_of(u >> 31, u & 0x400000u, exponent(x), 255, (u & 0x7fffffu) == 0);
}

static inline uint32_t class_f64(double x) {
    uint64_t u = bits_of64(x);
    return class_of(u >> 63, u & 0x8000000000000u, exponent64(x), 2047,
                    (u & 0xfffffffffffffu) == 0);
}

static inline uint32_t class_f16(uint16_t u) {
    return class_of(u >> 15, u & 0x200u, u >> 10 & 31, 31, (u & 0x3ffu) == 0);
}

#include "lanes.h"
