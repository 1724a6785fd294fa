/* What the planner decided, and why (--explain): recorded when PlanOptions.log is set. */
#ifndef RWKVC_PLAN_LOG_H
#define RWKVC_PLAN_LOG_H

#include "plan.h"

typedef enum FuseRule {
#define RULE(name, joined, text) R_##name,
#include "fuse_rules.def"
#undef RULE
    FUSE_RULES
} FuseRule;

typedef struct PlanDecision {
    NodeId node;          /* what looked for a kernel           */
    const Kernel *kernel; /* that was held against; NULL: every */
    uint8_t rule;
} PlanDecision;

/* What becomes of an equation beside a recurrence along an axis. Graphs are made anew after it: known by what
 * the text calls it, and where. */
typedef struct PlanMove {
    const char *name;
    Loc loc, recur; /* of the value; of the recurrence */
    uint8_t rule;
} PlanMove;

struct PlanLog {
    Arena *arena;
    VEC(PlanMove) moves; /* in their order */
    VEC(PlanDecision) decisions;  /* in their order */
    VEC(const Kernel *) made; /* as they were planned, by number in the plan */
};

/* Records, if there is a log, that v met this rule at a recurrence. */
void plan_move_decide(PlanLog *log, Graph *g, Value v, NodeId recur, FuseRule rule);
/* The kernel that computes v; UINT32_MAX: none does. */
uint32_t plan_kernel_of(Plan *p, Value v);
/* Whether a and b, each computed by a kernel, are computed together and by which rule, in one or two lines.
 * name_a, name_b: what they are called there. */
void plan_log_tell(Plan *p, const PlanLog *log, Value a, Value b, const char *name_a,
                   const char *name_b, Text *out);
/* Whether both are computed in the same list of launches: the same kind of layer, or outside of them. */
bool plan_log_meet(Plan *p, Value a, Value b);
bool plan_log_in_layer(Plan *p, uint32_t kernel, int64_t layer);
/* "row kernel w_14, in layers 1..11": where a kernel runs. */
void plan_log_place(Plan *p, uint32_t kernel, Text *out);

#endif
