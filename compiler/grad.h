/* What grad.c and flow.c share: adjoints under construction. */
#ifndef RWKVC_GRAD_H
#define RWKVC_GRAD_H

#include "activity.h"
#include "adjoint.h"
#include "chain.h"
#include "mirror.h"
#include "reduce.h"

typedef VEC(ExprId) Terms; /* each over X_IDX 0 .. rank-1, legal in the scope of its value */

/* What flows to one value outside from the bodies of a layer loop. Axes of the value whose
 * subscript has no index of its own (W[layer, i, j]) are fixed; what is summed in the body has
 * the kept axes only. */
typedef struct Sink {
    Value v;
    ExprId fixed[MAX_RANK]; /* by axis of v: its subscript, or 0 = kept */
    bool stacked;           /* a fixed subscript holds the counter: an item an iteration; else
                               a carried sum */
    uint32_t carry;         /* of the carried sum */
    Terms terms;            /* of the class at hand */
} Sink;

/* A flow that leaves a recurrence and is turned round outside, once the recurrence is finished. */
typedef struct Parting {
    Value v;
    Flow flow;
} Parting;

/* The adjoint recurrence that a scope is a class of. */
typedef struct Turnback {
    NodeId old, made;
    VEC(Sink) sinks;
    VEC(Parting) parting;
} Turnback;

typedef struct Room Room;
struct Room {
    Room *parent;
    Scope *scope;
    Turnback *of; /* NULL at top */
};

typedef struct Grad {
    Graph *g;
    Arena *scratch;
    Mirror m;
    Activity act;
    Derivatives *formulas;
    Terms *terms;   /* by value of the graph that is differentiated */
    Value *adjoint; /* the same: the sum of its terms, once it was made */
    GradError error;
    bool failed;
} Grad;

void grad_fail(Grad *d, Loc loc, const char *text);

/* ---- flow.c ---- */

/* adjoint of v [subs(i)] += expr(i), from a node in room. */
void grad_flow(Grad *d, Room *room, Value v, Flow *f);
/* The flow of e (over the own indices of v) to all of v. */
void grad_flow_whole(Grad *d, Room *room, Value v, ExprId e);
/* The adjoint of v as a value in room; 0 if nothing flowed to it. */
Value grad_adjoint(Grad *d, Room *room, Value v);
Value grad_adjoint_or_zero(Grad *d, Room *room, Value v);
/* Ends a class of a layer loop: what its sinks gathered goes to an out or a carried sum. */
void grad_end_class(Grad *d, Room *room);
/* Ends the adjoint recurrence, which stands in `room`: what left it is turned round there. */
void grad_end_recur(Grad *d, Room *room, Turnback *t);

#endif
