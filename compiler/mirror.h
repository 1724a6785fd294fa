/* New recurrences that run beside old ones and read what those computed.
 *
 * A scope is a block of new nodes that stands to a block of old nodes as its adjoint (or
 * tangent): same level, same counters. An expression made for a scope may at first name any old
 * value of the blocks around the old block, as if the new nodes stood in the old body.
 * mirror_place makes the reads legal: a value of an old body is stacked over the iterations (an
 * out of its recurrence) and read at the counter. */
#ifndef RWKVC_MIRROR_H
#define RWKVC_MIRROR_H

#include "graph.h"

/* A block: recur 0 is the top, else the body of that class. */
typedef struct Home {
    NodeId recur;
    uint32_t cls;
} Home;

typedef struct Scope Scope;
struct Scope {
    Scope *parent;  /* NULL at top */
    Home old, made; /* the block mirrored, and the block of new nodes */
    uint32_t level; /* recurrences around nodes of it */
};

typedef struct Mirror {
    Graph *g;
    Arena *scratch;
    VEC(Home) value_home; /* by Value: the block that defines it */
    VEC(Home) node_home;  /* by NodeId, recurrences only: the block it stands in */
    Size levels[MAX_LEVELS];
    bool too_deep; /* a value with an axis more would have too many */
} Mirror;

void mirror_begin(Mirror *m, Graph *g, Arena *scratch);
Block *mirror_block(Mirror *m, Home h);
Home mirror_home(const Mirror *m, Value v);
/* A new value or recurrence stands in s (a recurrence: from its graph_recur_begin on). */
void mirror_value(Mirror *m, Value v, Home h);
void mirror_recur(Mirror *m, NodeId r, Home h);
/* The scope of class cls of the new recurrence r that mirrors class cls of old. */
Scope *mirror_enter(Mirror *m, Scope *s, NodeId old, NodeId r, uint32_t cls);

/* e with every read legal in s. */
ExprId mirror_place(Mirror *m, Scope *s, ExprId e);
/* v stacked over the iterations of the class it belongs to, counter in front. */
Value mirror_stack(Mirror *m, Value v);

/* An equation in s; expr is placed. */
Value mirror_eq(Mirror *m, Scope *s, const Size *dims, uint32_t rank, Red red, const Size *extra,
                uint32_t n_extra, ExprId expr, const char *name, Loc loc);
/* v read at its own indices X_IDX 0 .. rank-1. */
ExprId mirror_whole(Mirror *m, Value v);

static inline bool home_same(Home a, Home b) { return a.recur == b.recur && a.cls == b.cls; }

#endif
