/* The float64 interpreter of a graph: the reference for everything made from graphs.
 *
 * Numbers. Reals are float64 and ints int64. Int + - * wrap around at 64 bits; // and % are floor,
 * and zero as divisor is an error of the data. Sums and products are plain: one term after another
 * in row-major order of the reduced axes, from 0 (or 1); a sum over a product of two factors may
 * regroup the factors, never the terms. max, min and argmax take the first of equal items in
 * row-major order; binary max and min take the first argument of two equal ones; a NaN stays a NaN
 * through max, min and argmax. round goes to the nearest whole number, halves to the even one.
 *
 * With ROUND_F32 every real number is rounded to float32 where it arises: literals, what comes from
 * outside, the result of each scalar function and reduction step, so all stored elements too;
 * random numbers have 24 bits then (random.h).
 *
 * Use: interp_new, interp_axis for each run-time axis, interp_bind for each input, parameter and
 * state that is used, interp_run, interp_get. Axes, bindings and numbers may change between runs;
 * plans are made anew only when an axis has. */
#ifndef RWKVC_INTERP_H
#define RWKVC_INTERP_H

#include "graph.h"

/* Contiguous, in C order. An item of T_REAL is a double, of T_INT an int64_t. */
typedef struct Array {
    uint8_t type, rank;
    int64_t dims[MAX_RANK];
    union {
        double *real;
        int64_t *ints;
    };
} Array;

typedef enum Rounding { ROUND_NONE, ROUND_F32 } Rounding;

/* Called after a value was computed: values of the top block and of the bodies of layer loops (with
 * the counters of the n loops around). The array is valid during the call. */
typedef void (*InterpTap)(void *user, Value v, const Array *a, const int64_t *counters, uint32_t n);

typedef struct InterpOptions {
    Rounding rounding;
    uint64_t seed;       /* of random */
    size_t memory_limit; /* bytes for all values together; 0 = 8 GiB */
    InterpTap tap;       /* may be NULL */
    void *tap_user;
} InterpOptions;

typedef struct Interp Interp;

/* g must stay as it is while the interpreter lives. o may be NULL. */
Interp *interp_new(Graph *g, const InterpOptions *o);
void interp_free(Interp *in);
void interp_seed(Interp *in, uint64_t seed); /* for the runs after this */

/* These answer NULL, or what is wrong in the user's words; the text lives until interp_free. */
const char *interp_axis(Interp *in, const char *name, int64_t n);
/* v: an input, parameter or state. The caller owns the items and keeps them until the last run. */
const char *interp_bind(Interp *in, Value v, const Array *a);
const char *interp_run(Interp *in);
/* The number of a size for the axes set so far. */
const char *interp_size(Interp *in, Size s, int64_t *n);

/* Where in the user's text the last error of interp_run stands; line 0 = nowhere. */
Loc interp_error_loc(const Interp *in);

/* The items of an output after a good run, until the next run; NULL for anything else. */
const Array *interp_get(Interp *in, Value v);

/* Bytes the values of the last run took together. */
size_t interp_memory(const Interp *in);

/* ---- formulas of initial values (no reads) --------------------------------------------------- */

/* At one point: idx holds MAX_RANK indices, levels MAX_LEVELS counters, or NULL for all 0. NaN if the
 * formula reads a value or divides an int by 0. */
double interp_eval_formula(Graph *g, ExprId e, const int64_t *idx, const int64_t *levels);
/* The same for all points of dims (C order), much faster. NULL or what is wrong, in arena a. */
const char *interp_fill_formula(Arena *a, Graph *g, ExprId e, const int64_t *dims, uint32_t rank,
                                const int64_t *levels, double *out);

#endif
