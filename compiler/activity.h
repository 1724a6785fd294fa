/* Which values a derivative passes through. */
#ifndef RWKVC_ACTIVITY_H
#define RWKVC_ACTIVITY_H

#include "graph.h"

typedef struct Activity {
    Graph *g;
    uint32_t n;   /* values there were */
    bool *varies; /* by value: depends on a parameter that is not frozen */
    bool *counts; /* by value: loss or penalty depend on it */
} Activity;

Activity activity_of(Graph *g, Arena *scratch);

/* Does a derivative pass through carry k of r? */
bool activity_carried(const Activity *a, const Recur *r, uint32_t k);

static inline bool activity_needed(const Activity *a, Value v) {
    return v < a->n && a->varies[v] && a->counts[v];
}

#endif
