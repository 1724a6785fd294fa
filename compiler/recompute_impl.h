/* What the files of recomputation share. */
#ifndef RWKVC_RECOMPUTE_IMPL_H
#define RWKVC_RECOMPUTE_IMPL_H

#include "again.h"
#include "cut.h"
#include "recompute.h"

/* A class of a forward loop and the class of the same layers in a later loop that reads what it keeps. */
typedef struct Pair {
    NodeId from, back;
    uint32_t from_cls, back_cls;
} Pair;

typedef struct
    Keep { /* from the vertex of a node (or the source) to that of its value: kept, if cut */
    uint32_t from, to;
    int64_t bytes;
} Keep;

typedef struct Work { /* from the source to the vertex of a node: made again, if cut */
    uint32_t to;
    double work;
} Work;

typedef struct Recompute {
    Graph *g;
    Arena *scratch;
    Walk walk;
    const int64_t *axes;
    bool pointwise; /* of all nodes only equations without a sum may run again */
    VEC(Pair) pairs;
    Value *body;   /* by Value, results of forward loops that only the partner reads, layer by
                               layer: the value of the body; 0 else */
    uint8_t *axis; /* by Value, of the same results: where the axis of layers stands */
    Value *same;   /* by Value, what a forward loop carries: the value outside that it is; 0 none */
    uint32_t *node_vertex; /* by NodeId, nodes of forward bodies; 0 none */
    uint32_t *
        value_vertex; /* by Value, values of forward bodies that can be kept or made again; 0 none */
    uint32_t n_vertices;
    VEC(Keep) keeps;
    VEC(Work) works;
    VEC(CutEdge) rules; /* CUT_NEVER */
} Recompute;

/* Pairs, body, same. (recompute.c) */
Recompute recompute_find(Graph *g, Arena *scratch, const int64_t *axes);
/* The network. (recompute_net.c) */
void recompute_net(Recompute *r);
/* The least cut at a rate: which vertices are on the sink's side. In scratch. */
const bool *recompute_cut(Recompute *r, double rate, RecomputeChoice *what);

#endif
