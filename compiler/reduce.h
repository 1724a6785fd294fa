/* Nodes that the derivative of a reduction needs. */
#ifndef RWKVC_REDUCE_H
#define RWKVC_REDUCE_H

#include "mirror.h"

/* For n: out[i] = prod[k] e(i,k): the product of all the others, a value over (i, k) in s,
 * computed without dividing, so right where factors are zero. 0: too many axes. */
Value reduce_others(Mirror *m, Scope *s, const Node *n);

/* For n: out[i] = max[k] e(i,k) (or min): a condition over (i, k): k is the first in row-major
 * order where the result is attained. */
ExprId reduce_is_first(Mirror *m, Scope *s, const Node *n);

#endif
