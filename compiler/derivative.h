/* Derivatives of the scalar functions, as functions.def writes them. */
#ifndef RWKVC_DERIVATIVE_H
#define RWKVC_DERIVATIVE_H

#include "graph.h"

typedef enum DerivativeKind { D_ZERO, D_FORMULA, D_MISSING } DerivativeKind;

/* What functions.def has for argument k of f. */
DerivativeKind derivative_kind(Fn f, uint32_t k);

/* The formulas of the table, each read when it is first used. */
typedef struct Derivatives Derivatives;
Derivatives *derivatives_new(Graph *g, Arena *scratch);

/* The formula for argument k of y = f(x0, x1) with its names replaced: what flows back to x_k
 * when dy flows back to y. It is linear in dy, so with the tangent of x_k for dy it is the
 * tangent of y. 0 when the table has no expression there. */
ExprId derivative_of(Derivatives *d, Fn f, uint32_t k, const ExprId *x, ExprId y, ExprId dy);

#endif
