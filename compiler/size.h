/* Sizes as formulas: Laurent polynomials with rational coefficients over named constants, run-time
 * axes and floor quotients. Interned, so two sizes agree as formulas exactly when their ids do.
 *
 * `D//N` with constants whose numbers divide is D*N^-1, so H*N = D holds for H = D//N; `Y//2` with
 * an axis declared `% 4` is (1/2)*Y. Any other floor quotient is an atom. */
#ifndef RWKVC_SIZE_H
#define RWKVC_SIZE_H

#include "base.h"

typedef uint32_t Size; /* 0 = none (an error was reported or no size) */
typedef struct Sizes Sizes;

Sizes *sizes_new(Arena *a);

Size size_num(Sizes *s, int64_t n);
/* A run-time axis, always >= 1 and a multiple of `multiple` (1 if free). Same name, same axis. */
Size size_axis(Sizes *s, const char *name, int64_t multiple);
/* A named constant that is a number of its own (not a formula over other names). */
Size size_const(Sizes *s, const char *name, int64_t value);

/* 0 when an operand is 0, on overflow of 2^53, or on division by zero. */
Size size_add(Sizes *s, Size a, Size b);
Size size_sub(Sizes *s, Size a, Size b);
Size size_mul(Sizes *s, Size a, Size b);
Size size_floordiv(Sizes *s, Size a, Size b);
Size size_mod(Sizes *s, Size a, Size b); /* a - b*(a//b) */

bool size_is_num(Sizes *s, Size a, int64_t *n);    /* literally a number as a formula              */
bool size_value(Sizes *s, Size a, int64_t *n);     /* a number once constants have their numbers   */
Size size_ground(Sizes *s, Size a);                /* constants replaced by numbers; axes stay     */
bool size_has_axis(Sizes *s, Size a, const char *axis /* NULL: any */);
bool size_nonneg(Sizes *s, Size a);                /* provably >= 0 for all axes; constants by number */
bool size_positive(Sizes *s, Size a);
/* a = sum of coef * atom + rest for one axis, linear only: false if the axis occurs otherwise. */
bool size_linear_in(Sizes *s, Size a, const char *axis, Size *coef, Size *rest);
Size size_subst(Sizes *s, Size a, const char *axis, Size by);

uint32_t size_axes(const Sizes *s);                          /* how many axes are declared */
const char *size_axis_name(const Sizes *s, uint32_t i);      /* 0 .. size_axes-1 */
int64_t size_axis_multiple(const Sizes *s, uint32_t i);
/* The number for given axis lengths (order of size_axis_name); false on overflow or a fraction. */
bool size_eval(Sizes *s, Size a, const int64_t *axes, int64_t *out);

/* A size term by term: num/den times the product of factors, each an axis or a floor quotient p//q
 * to a power. Requires a ground size. */
enum { SIZE_FACTORS = 12 };
typedef struct SizeFactor {
    bool is_quotient;
    uint32_t axis; /* number of the axis, when it is none of a quotient */
    Size p, q;     /* of a quotient */
    int32_t exp;
} SizeFactor;
typedef struct SizeTerm {
    int64_t num, den;
    uint32_t n;
    SizeFactor f[SIZE_FACTORS];
} SizeTerm;
uint32_t size_terms(const Sizes *s, Size a);
/* false if a constant is left in it. */
bool size_term(const Sizes *s, Size a, uint32_t i, SizeTerm *out);

/* "2*D", "P + T", "(Y - 1)//2". The string lives in the arena of s. */
const char *size_str(Sizes *s, Size a);

#endif
