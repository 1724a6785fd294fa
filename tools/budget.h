/* --memory-budget=SIZE[@AXIS=N,...]: how much memory a run may take, and for which lengths. */
#ifndef RWKVC_TOOLS_BUDGET_H
#define RWKVC_TOOLS_BUDGET_H

#include "../compiler/plan.h"

typedef struct MemoryBudget {
    bool is_wanted; /* tell what a run takes */
    int64_t bytes;  /* 0: without a limit */
    struct AxisLength {
        const char *name;
        int64_t length;
        bool is_used; /* some entry has this axis */
    } axis[8];
    uint32_t n;
} MemoryBudget;

/* Reads SIZE[@...], kept in arena a. False, reported, when it is wrong. SIZE is a number of bytes, with a unit:
 * k M G T (of 1000) or Ki Mi Gi Ti (of 1024), and a B behind it or not. */
bool memory_budget_read(Arena *a, const char *text, MemoryBudget *to);
/* The same for a graph: axes that are not named have their usual length. In arena a. */
PlanBudget *memory_budget_of(Arena *a, MemoryBudget *b, const Sizes *s);
/* An axis that no entry had, or NULL. */
const char *memory_budget_unused(const MemoryBudget *b);

#endif
