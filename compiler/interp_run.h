/* Inside the interpreter: what an Interp holds, and running blocks. */
#ifndef RWKVC_INTERP_RUN_H
#define RWKVC_INTERP_RUN_H

#include "interp_impl.h"

/* What a node runs. */
typedef struct Job {
    Plan *plan; /* of an equation or scatter, or */
    Contract *contract;
    uint32_t *class_of; /* of a recurrence whose classes list their iterations; else NULL */
    uint32_t *pos_of;
    double **carry[2]; /* of a recurrence: where each carried value stands, and its other buffer */
} Job;

struct Interp {
    Arena *arena, *plans; /* plans: for the axes as they are; NULL if they have changed */
    Graph *g;
    InterpOptions options;
    uint32_t n_axes;
    int64_t *axes; /* 0 = not set */
    Array *bound;  /* by Value */
    bool *is_bound;
    int64_t *below;
    Array *view;
    Machine machine;
    Rooms *rooms;
    Job *jobs; /* by NodeId */
    uint32_t n_slots;
    double *slab; /* all values that are computed */
    size_t memory;
    bool done;
    Loc error_at;
};

const char *interp_fail(Interp *in, Loc at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
const char *interp_name(Interp *in, Value v);
const Array *interp_view(Interp *in, Value v);

/* interp_recur.c. tapped: its values are shown to the tap. NULL or what is wrong. */
const char *interp_block(Interp *in, const Block *b, bool tapped);

#endif
