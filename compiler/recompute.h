/* Recomputation: a backward layer loop makes values of the forward loop's body again, instead of reading
 * them where that one keeps them for every layer.
 *
 *     l: k = relu(h)^2, kept with h for every layer   ->   only h kept; k again in the backward body
 *
 * Keeping a value costs its bytes for every layer, making it again costs work. Which values to keep, so
 * that bytes + rate*work is least, is a least cut of the body's data flow: exact, for every rate. Falling
 * rates give the best choices there are, from nothing recomputed to only what each layer starts from. */
#ifndef RWKVC_RECOMPUTE_H
#define RWKVC_RECOMPUTE_H

#include "graph.h"

typedef struct Recomputed { /* a value made again */
    ValueInfo info;
    uint8_t kind, red; /* NodeKind and Red of what makes it */
    uint32_t layers;   /* in how many iterations of the loop */
} Recomputed;

typedef struct RecomputeChoice {
    double rate;   /* bytes kept that are worth a unit of work */
    int64_t bytes; /* kept for the backward loops, at the lengths given */
    double work;   /* spent again; a multiply-add of a matrix product is 1 */
} RecomputeChoice;

typedef VEC(RecomputeChoice) RecomputeChoices;
typedef VEC(Recomputed) RecomputeList;

/* The choices there are at these axes (by number of the axis), by rising work; the first recomputes nothing,
 * the last keeps least. None: the graph keeps nothing for backward loops. */
void recompute_choices(Arena *a, Graph *g, const int64_t *axes, RecomputeChoices *out);

/* What to recompute of a graph. */
typedef struct RecomputeRule {
    const int64_t *axes; /* lengths, by number of the axis */
    double rate;         /* so much that bytes + rate*work is least */
    bool pointwise;      /* only equations without a sum */
} RecomputeRule;

/* g with values recomputed. g must be the caller's own: it is used up. NULL: a tensor would have more numbers than
 * there may be. list (NULL: not wanted): what is recomputed, in arena a. Requires a simplified, distributed graph;
 * maintains every value, computed by the same operations in the same order. Cost: a least cut of the layers' data
 * flow. */
Graph *graph_recompute(Arena *a, Graph *g, const RecomputeRule *rule, RecomputeList *list);

#endif
