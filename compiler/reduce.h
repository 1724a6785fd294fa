/* What derivatives need about reductions. */
#ifndef RWKVC_REDUCE_H
#define RWKVC_REDUCE_H

#include "mirror.h"

/* For n: out[i] = prod[k] e(i,k): the product of all the others, a value over (i, k) in s,
 * computed without dividing, so right where factors are zero. 0: too many axes. */
Value reduce_others(Mirror *m, Scope *s, const Node *n);

/* For n: out[i] = max[k] e(i,k) (or min): a condition over (i, k): k is the first in row-major
 * order where the result is attained. */
ExprId reduce_is_first(Mirror *m, Scope *s, const Node *n);

/* A sum over the own indices from `rank` on of e = f*inner, where f does not depend on them, is
 * outer(sum of inner): a sum of few factors is a product of matrices, f is what follows it. A
 * select by a condition on data, free of the summed indices, moves out too if inner may be
 * evaluated everywhere; one on indices alone stays, since it says where there is work at all.
 * ranges: of the own indices and counters. Nothing to move out: inner is e, outer is the sum. */
ExprId reduce_inner(Graph *g, ExprId e, uint32_t rank, const Ranges *ranges);
ExprId reduce_outer(Graph *g, ExprId e, uint32_t rank, const Ranges *ranges, ExprId sum);

#endif
