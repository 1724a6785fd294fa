/* A matrix product as it lies in memory: which factor gives rows and which columns, how far it is from point
 * to point and from term to term.
 *
 * The side with the last axis of the result gives the columns, the other one the rows. The points of a side
 * and the terms of the sum are flattened: digits, each with a size and a stride in its factor; neighbours
 * that are one axis in memory are joined. */
#ifndef RWKVC_CONTRACT_SHAPE_H
#define RWKVC_CONTRACT_SHAPE_H

#include "emit_impl.h"

enum { SHAPE_INDICES = 2 * MAX_RANK };

typedef struct ShapeDigit {
    Size size, stride; /* of one digit: 1 and 0 where there is nothing to count */
} ShapeDigit;

typedef struct ShapeDigits {
    uint32_t n; /* at least one; the last is the innermost */
    ShapeDigit d[MAX_RANK];
    V size, stride; /* arrays of i64, where who makes the kernel wants tables */
} ShapeDigits;

typedef struct ShapeFactor {
    uint32_t arg;
    uint8_t dtype; /* f32, bf16 or f16 */
    Size base;     /* offset at index 0 ... */
    uint32_t n_atoms;
    struct {
        ExprId atom;
        Size coef;
    } atoms[AFFINE_MAX * 2];    /* ... and of the counters around */
    Size stride[SHAPE_INDICES]; /* by index of the node */
    ShapeDigits points, terms;
} ShapeFactor;

typedef struct ShapeAxes { /* of the node, in order, without those of one item */
    uint32_t n;
    uint8_t axis[MAX_RANK];
    Size total;
} ShapeAxes;

typedef struct Shape {
    uint32_t rank;
    Size size[SHAPE_INDICES]; /* by index of the node */
    ShapeAxes batch, m, n, k; /* m: of the rows, n: of the columns */
    ShapeFactor rows, cols;
} Shape;

/* false: no product of two factors that lie in memory. */
bool shape_of(Emit *e, Shape *s);
/* How far a factor is from its argument's beginning at the batch point idx (by index of the node): i64. */
V shape_offset(Emit *e, const Shape *s, const ShapeFactor *f, const V *idx);
bool shape_is_run(Emit *e, const ShapeDigits *d); /* neighbours in memory */

#endif
