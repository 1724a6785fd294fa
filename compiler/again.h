/* Values of a layer loop's body seen from a later loop over the same layers of the same block: read where
 * the first loop keeps them for every layer, or made again by copies of the nodes that make them. */
#ifndef RWKVC_AGAIN_H
#define RWKVC_AGAIN_H

#include "edit.h"

typedef struct Again {
    Graph *g;
    Arena *scratch;
    NodeId loop; /* whose body they are of; 0: no loop, every reader sees them */
    uint32_t cls;
    Value *copy;       /* by Value: what stands for it; 0: itself, or what is kept */
    uint32_t n_values; /* values made later have no copy */
    Edit edit;
    bool failed; /* something would have too many axes or too many numbers */
} Again;

Again again_new(Graph *g, Arena *scratch);
/* From now on values of this class of this loop; forgets copies. */
void again_from(Again *x, NodeId loop, uint32_t cls);
/* Do two classes hold the same layers? */
bool again_same_layers(const RecurClass *a, const RecurClass *b);

/* Where the loop keeps value v of its body for every layer, made where there is none; NULL: it cannot be. */
const RecurOut *again_kept(Again *x, Value v);
/* An expression of the body as the other loop says it. */
ExprId again_expr(Again *x, ExprId e);
/* Copies node n, an equation, scatter-add or recurrence without delays, into a block of as many loops; sets
 * the copies of what it defines. Of a recurrence only those results that wanted (by Value) are given out;
 * wanted may be NULL: all. */
void again_node(Again *x, NodeId n, const bool *wanted, Block *to);

#endif
