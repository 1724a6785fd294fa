/* Expressions, the part only the graph core needs: nodes exactly as given, and their order. */
#ifndef RWKVC_EXPR_H
#define RWKVC_EXPR_H

#include "graph.h"

enum { MAX_ARGS = 32 }; /* of one expression node */

/* The node exactly as given, hash-consed, nothing folded. `bits` is the payload of the node: the
 * number's bits, the literal, the size, the value or the place of X_RANDOM. */
ExprId expr_raw(Graph *g, ExprOp op, Fn fn, uint64_t bits, const ExprId *args, uint32_t n);

/* An order of expressions by structure, the same however and whenever they were made. */
int expr_compare(Graph *g, ExprId a, ExprId b);

bool expr_is_int(Graph *g, ExprId e, int64_t *v); /* an X_INT */
bool expr_is_num(Graph *g, ExprId e, double *v);  /* an X_NUM */

/* The size an int expression is whatever the indices are; 0 if it depends on them. */
Size expr_const_size(Graph *g, ExprId e);

/* Int arithmetic in canonical affine form (affine.c); the builders of expr.c call these. */
ExprId affine_sum(Graph *g, Fn f, ExprId a, ExprId b); /* F_add, F_sub */
ExprId affine_product(Graph *g, ExprId a, ExprId b);
ExprId affine_negative(Graph *g, ExprId a);
ExprId affine_divide(Graph *g, Fn f, ExprId a, ExprId b); /* F_idiv, F_imod */
/* 1, 0, or -1 when an int comparison is not decided by the difference of its sides alone. */
int affine_compare(Graph *g, Fn f, ExprId a, ExprId b);

#endif
