/* What is computed and moved: operations of nodes, operations and bytes of the launches of a plan, as
 * formulas in the run-time axes. */
#ifndef RWKVC_WORK_H
#define RWKVC_WORK_H

#include "edit.h"
#include "plan.h"
#include "report.h"

/* ---- nodes (flops.c) ------------------------------------------------------------------------- */

typedef struct Flops {
    Graph *g;
    Walk walk, inner;
    FlopCount count; /* so far; `total` is the caller's */
} Flops;
Flops flops_new(Graph *g, Arena *scratch);
FlopCount flops_none(Graph *g);
/* An equation or a scatter-add, `times` over. along: inside a recurrence along an axis. */
void flops_node(Flops *f, const Node *n, Size times, bool along);

/* ---- launches (plan_work.c) ------------------------------------------------------------------ */

/* docs/format.md has the same order. Operations: a multiply-add counts 2. Bytes: what a launch touches of
 * each argument, once; what of it is still in a cache is not known here. */
typedef enum WorkPart {
    WORK_WEIGHTS,    /* operations of products with parameters            */
    WORK_PRODUCTS,   /* of matrix products without one, and convolutions  */
    WORK_RECURRENCE, /* inside recurrences along an axis                  */
    WORK_REST,       /* all other operations                              */
    WORK_GIVEN,      /* bytes read of parameters, states and inputs       */
    WORK_MADE,       /* bytes read of what launches before have made      */
    WORK_WRITTEN,    /* bytes written                                     */
    WORK_PARTS
} WorkPart;
extern const char *const work_name[WORK_PARTS];

typedef struct Work {
    Size of[WORK_PARTS]; /* 0: the formula is too large */
} Work;

Work work_none(Graph *g);
/* *to += times * w */
void work_add(Graph *g, Work *to, const Work *w, int64_t times);
typedef struct PlanWork {
    Work *kernel; /* of a launch, by kernel; in the arena of the plan */
    Work whole;   /* of a run, with its copies */
} PlanWork;
PlanWork plan_work(Plan *p);
Work copy_work(Plan *p, const Op *o);
/* Calls fn for every launch and copy; times: in one run. level: layer loops around. */
typedef void LaunchFn(Plan *p, const Op *o, int64_t times, uint32_t level, void *user);
void plan_each(Plan *p, LaunchFn *fn, void *user);

/* plan_report.c: launches and bytes, outside the layers and in a layer of each class. */
void plan_report(Plan *p, Text *out);

#endif
