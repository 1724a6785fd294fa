/* The adjoint of one use of a tensor: from "what flows back at each point of an iteration" to an
 * equation (or a scatter) over the points of the tensor. */
#ifndef RWKVC_ADJOINT_H
#define RWKVC_ADJOINT_H

#include "graph.h"

enum { FLOW_ITER = 2 * MAX_RANK }; /* most iteration axes of a flow */

/* adjoint[subs(i)] += expr(i) for all i. */
typedef struct Flow {
    uint32_t n_iter;
    Size iter[FLOW_ITER]; /* sizes of X_IDX 0 .. n_iter-1 of subs and expr */
    uint32_t rank;        /* of the tensor */
    ExprId subs[MAX_RANK];
    ExprId expr;
    bool guarded; /* where expr is 0 by a guard, subs may lie outside the tensor */
} Flow;

/* The flow seen from the tensor: X_IDX 0 .. rank-1 are its points, the n_extra after them are
 * summed. scatter: the flow could not be turned round and has to be added point by point; subs
 * were made safe. */
typedef struct Turned {
    bool scatter;
    uint32_t n_extra;
    Size extra[FLOW_ITER];
    ExprId expr;
} Turned;

/* dims: of the tensor; levels: lengths of the counters around. False: too many axes. */
bool adjoint_turn(Graph *g, const Size *dims, const Size *levels, uint32_t n_levels, Flow *f,
                  Turned *out);

#endif
