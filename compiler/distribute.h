/* Taking one recurrence along an axis apart: what distribute.c, hoist.c and cycle.c share. */
#ifndef RWKVC_DISTRIBUTE_H
#define RWKVC_DISTRIBUTE_H

#include "edit.h"

/* What a value of the body is once it has left the body. */
typedef enum PlaceKind {
    PL_SELF, /* `value` itself, the same at every step            */
    PL_AXIS, /* `value` has the axis of iterations at place `axis` */
    PL_SHIFT /* what `source` was at an earlier step, `init` before the first */
} PlaceKind;

typedef struct Place {
    uint8_t kind, axis;
    bool
        carried; /* PL_SHIFT: a carried value, exactly one step back; else a delay line, whose first
                     subscript says how many more */
    Value value, source, init;
} Place;

typedef VEC(uint32_t) List;

/* Vertices are the nodes of the body in order, then the carried values on entry. */
typedef struct Dist {
    Graph *g;
    Arena *scratch;
    Walk walk, inner; /* inner: for tests made while walk is at work */
    Edit edit;
    Block *out; /* where nodes go that leave the body */
    Recur *r;
    RecurClass *body;
    uint32_t level;          /* of the recurrence: its counter is X_LVL level */
    Size length[MAX_LEVELS]; /* of recurrences inside a cycle, by level */
    uint32_t axis;           /* usual place of the axis of iterations */
    Loc loc;
    NodeId *nodes;
    uint32_t n_nodes, n_vertices;
    uint32_t n_values; /* values there were at the start; later ones are PL_SELF */
    uint32_t *vertex;  /* by value: 1 + the vertex that defines it, 0 outside the body */
    Place *place;      /* by value */
    List *uses;        /* by vertex: values of the body it uses */
    uint32_t *comp;    /* by vertex: its component */
    bool *out_done;    /* by number of body->outs: its result is defined */
    /* how dist_expr rewrites just now */
    ExprId counter;
    int at;
    bool lower;
} Dist;

static inline uint32_t dist_vertex(const Dist *d, Value v) {
    return v < d->n_values ? d->vertex[v] : 0;
}
static inline Place dist_place(const Dist *d, Value v) {
    if (v < d->n_values && (d->place[v].kind != PL_SELF || d->place[v].value)) return d->place[v];
    return (Place){.kind = PL_SELF, .value = v};
}
/* The component that defines v, as 1 + its number; 0 if v comes from outside. */
static inline uint32_t dist_comp(const Dist *d, Value v) {
    uint32_t x = dist_vertex(d, v);
    return x ? 1 + d->comp[x - 1] : 0;
}

/* ---- hoist.c ---- */

/* Value v of the body at step `counter`. */
ExprId dist_value_at(Dist *d, Value v, const ExprId *subs, uint32_t n, ExprId counter);
/* e seen from where the counter is called `counter`: own indices from `at` on move up by one (at
 * < 0: none); lower: counters of inner recurrences lose a level. */
ExprId dist_expr(Dist *d, ExprId e, ExprId counter, int at, bool lower);
/* v as a value with the axis of iterations at place `axis` (axis < 0: the value at the present
 * step), by a copy in b if it is not there in that form. */
Value dist_form(Dist *d, Value v, int axis, Block *b, uint32_t level);
/* Moves node `id` out of the body: along the axis if anything in it varies, else as it is. */
void dist_hoist(Dist *d, NodeId id);
/* Every result that stacks v and is not there yet, as a copy. */
void dist_outs(Dist *d);
/* The carried value or delay of vertex x is on no cycle: reads shift, its final value is an
 * equation. */
void dist_shift(Dist *d, uint32_t x);

/* ---- cycle.c ---- */

/* A recurrence of its own for the vertices xs (rising), or a sum if that is all it is. */
void dist_cycle(Dist *d, const uint32_t *xs, uint32_t n);

#endif
