/* The scalar functions on blocks of numbers. */
#include "interp_impl.h"

#include <math.h>

int64_t floor_div(int64_t a, int64_t b) {
    if (b == -1) return (int64_t)(0 - (uint64_t)a);
    int64_t q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}

int64_t floor_mod(int64_t a, int64_t b) {
    if (b == -1) return 0;
    int64_t r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }

/* ints wrap around */
static int64_t plus(int64_t x, int64_t y) { return (int64_t)((uint64_t)x + (uint64_t)y); }
static int64_t minus(int64_t x, int64_t y) { return (int64_t)((uint64_t)x - (uint64_t)y); }
static int64_t times(int64_t x, int64_t y) { return (int64_t)((uint64_t)x * (uint64_t)y); }

/* d may be a or b item by item, which is no dependence between items. */
#define MAP1(in, out, e)                                                                           \
    {                                                                                              \
        _Pragma("GCC ivdep") for (int32_t i = 0; i < n; i++) {                                     \
            const in x = a[i].FIELD_##in;                                                          \
            d[i].FIELD_##out = (e);                                                                \
        }                                                                                          \
        return;                                                                                    \
    }
#define MAP2(in, out, e)                                                                           \
    if (one_a && n > 1) {                                                                          \
        const in x = a->FIELD_##in;                                                                \
        _Pragma("GCC ivdep") for (int32_t i = 0; i < n; i++) {                                     \
            const in y = b[i].FIELD_##in;                                                          \
            d[i].FIELD_##out = (e);                                                                \
        }                                                                                          \
    } else if (one_b && n > 1) {                                                                   \
        const in y = b->FIELD_##in;                                                                \
        _Pragma("GCC ivdep") for (int32_t i = 0; i < n; i++) {                                     \
            const in x = a[i].FIELD_##in;                                                          \
            d[i].FIELD_##out = (e);                                                                \
        }                                                                                          \
    } else {                                                                                       \
        _Pragma("GCC ivdep") for (int32_t i = 0; i < n; i++) {                                     \
            const in x = a[i].FIELD_##in, y = b[i].FIELD_##in;                                     \
            d[i].FIELD_##out = (e);                                                                \
        }                                                                                          \
    }                                                                                              \
    return;
#define FIELD_double  r
#define FIELD_int64_t i

static void powers(Cell *d, const Cell *a, bool one_a, const Cell *b, bool one_b, int32_t n) {
    if (one_b && b->r == 2) MAP1(double, double, x *x)
    MAP2(double, double, pow(x, y))
}

static void on_reals(Fn fn, Cell *d, const Cell *a, bool one_a, const Cell *b, bool one_b,
                     int32_t n) {
    switch (fn) {
    case F_neg: MAP1(double, double, -x)
    case F_add: MAP2(double, double, x + y)
    case F_sub: MAP2(double, double, x - y)
    case F_mul: MAP2(double, double, (x) * (y))
    case F_div: MAP2(double, double, x / y)
    case F_pow: powers(d, a, one_a, b, one_b, n); return;
    case F_eq: MAP2(double, int64_t, x == y)
    case F_ne: MAP2(double, int64_t, x != y)
    case F_lt: MAP2(double, int64_t, x < y)
    case F_le: MAP2(double, int64_t, x <= y)
    case F_gt: MAP2(double, int64_t, x > y)
    case F_ge: MAP2(double, int64_t, x >= y)
    case F_and: MAP2(double, int64_t, x != 0 && y != 0)
    case F_or: MAP2(double, int64_t, x != 0 || y != 0)
    case F_not: MAP1(double, int64_t, x == 0)
    case F_max: MAP2(double, double, x >= y || x != x ? x : y)
    case F_min: MAP2(double, double, x <= y || x != x ? x : y)
    case F_exp: MAP1(double, double, exp(x))
    case F_log: MAP1(double, double, log(x))
    case F_tanh: MAP1(double, double, tanh(x))
    case F_sigmoid: MAP1(double, double, sigmoid(x))
    case F_softplus: MAP1(double, double, softplus(x))
    case F_relu: MAP1(double, double, x > 0 || x != x ? x : 0)
    case F_erf: MAP1(double, double, erf(x))
    case F_sin: MAP1(double, double, sin(x))
    case F_cos: MAP1(double, double, cos(x))
    case F_sqrt: MAP1(double, double, sqrt(x))
    case F_abs: MAP1(double, double, fabs(x))
    case F_round: MAP1(double, double, rint(x))
    case F_floor: MAP1(double, double, floor(x))
    case F_real:
    case F_stop: MAP1(double, double, x)
    default: MAP1(double, double, x *NAN) /* a row without a value is seen at once */
    }
}

static void on_ints(Fn fn, Cell *d, const Cell *a, bool one_a, const Cell *b, bool one_b,
                    int32_t n) {
    switch (fn) {
    case F_neg: MAP1(int64_t, int64_t, minus(0, x))
    case F_add: MAP2(int64_t, int64_t, plus(x, y))
    case F_sub: MAP2(int64_t, int64_t, minus(x, y))
    case F_mul: MAP2(int64_t, int64_t, times(x, y))
    case F_idiv: MAP2(int64_t, int64_t, floor_div(x, y))
    case F_imod: MAP2(int64_t, int64_t, floor_mod(x, y))
    case F_eq: MAP2(int64_t, int64_t, x == y)
    case F_ne: MAP2(int64_t, int64_t, x != y)
    case F_lt: MAP2(int64_t, int64_t, x < y)
    case F_le: MAP2(int64_t, int64_t, x <= y)
    case F_gt: MAP2(int64_t, int64_t, x > y)
    case F_ge: MAP2(int64_t, int64_t, x >= y)
    case F_and: MAP2(int64_t, int64_t, x != 0 && y != 0)
    case F_or: MAP2(int64_t, int64_t, x != 0 || y != 0)
    case F_not: MAP1(int64_t, int64_t, x == 0)
    case F_max: MAP2(int64_t, int64_t, x >= y ? x : y)
    case F_min: MAP2(int64_t, int64_t, x <= y ? x : y)
    case F_real: MAP1(int64_t, double, (double)x)
    case F_relu: MAP1(int64_t, int64_t, x > 0 ? x : 0)
    case F_abs: MAP1(int64_t, int64_t, x < 0 ? minus(0, x) : x)
    default: MAP1(int64_t, int64_t, x)
    }
}

void fn_apply(Fn fn, bool ints, Cell *d, const Cell *a, bool one_a, const Cell *b, bool one_b,
              int32_t n) {
    if (ints)
        on_ints(fn, d, a, one_a, b, one_b, n);
    else
        on_reals(fn, d, a, one_a, b, one_b, n);
}

void round_f32(Cell *d, int32_t n) {
    for (int32_t i = 0; i < n; i++) d[i].r = (double)(float)d[i].r;
}
