/* Plans compiled and run without the runtime, and compared with the interpreter. */
#ifndef RWKVC_EXECUTE_H
#define RWKVC_EXECUTE_H

#include "../../codegen/codegen.h"

typedef struct Execute {
    const TargetInfo *target;
    PlanOptions plan;
    int64_t axis_even, axis_odd; /* lengths of run-time axes, by the parity of their number */
    uint64_t seed;               /* of the data */
    double bar;   /* largest difference to the interpreter, relative to the largest number */
    double noise; /* that many times more than what rounding to float32 and moved data do to the
                     interpreter's numbers, measured by running it so */
    double nudge; /* how far data are moved for that, relative to each number */
    double drown; /* how much noise, relative to the largest number, makes a comparison idle */
    uint32_t *outputs, *drowned; /* counts all outputs and those that are idle, or NULL */
    bool pieces;                 /* cut every launch into pieces of odd lengths */
    uint32_t orders;             /* emulated: how many other orders of waves and groups to try, 0: one */
    /* Emulated: each barrier of each kernel is left out once, and what that shows is counted (emulated.h); or NULL. */
    struct BarrierCount *barriers;
    uint32_t repeat; /* launches once more each, for times */
    bool per_item;   /* the bar is relative to each number, and the interpreter rounds to float32 */
    bool only_compile;
    bool verbose;
    bool small_params; /* parameters near 0 instead of -1..1 */
    const char *keep;  /* file for the object's code, or NULL */
} Execute;

/* NULL, or what went wrong. *worst: the largest difference seen, relative to the largest number, with
 * noise to what is allowed; *hash: of all bits of all outputs. */
const char *execute_graph(Arena *a, Graph *g, const Execute *x, double *worst, uint64_t *hash);

#endif
