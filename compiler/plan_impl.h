/* What the files of the planner share. */
#ifndef RWKVC_PLAN_IMPL_H
#define RWKVC_PLAN_IMPL_H

#include "edit.h"
#include "plan.h"

/* Where a value is kept: a buffer, and the layer loops that choose its member. */
typedef struct Home {
    BufId buf; /* NOWHERE yet */
    uint8_t n_level;
    uint8_t level[4];
} Home;

enum { NOWHERE = UINT32_MAX };

typedef struct Planner {
    Arena *arena;
    Graph *g;
    Plan *p;
    const PlanOptions *o;
    const char *why;
    Walk walk;
    Home *home;       /* by Value */
    uint8_t *store;   /* by Value: Dtype of its buffer */
    BufId *master;    /* by Value: of a parameter that is kept short and updated; or NOWHERE */
    uint32_t *uses;   /* by Value: nodes that read it, and one for each other use */
    Block **block_of; /* by NodeId: which block defines it */
    uint32_t serial;  /* names of kernels */
} Planner;

/* The nodes of one block as kernels and layer loops, every read after its write. */
typedef struct Unit {
    Kernel *kernel; /* NULL: the layer loop recur */
    NodeId recur;
} Unit;
typedef VEC(Unit) Units;
bool fuse_block(Planner *pl, Block *b, Units *out);

/* What every value is kept as: sets pl->store. (plan_store.c) */
void stores_choose(Planner *pl);
/* New values of parameters that are kept short, once more in short; outputs like the others. In place. */
Graph *graph_add_copies(Graph *g, const PlanOptions *o);
bool param_is_updated(Graph *g, uint32_t index);
/* Does k read the master of the parameter v, where there is one? */
bool kernel_reads_master(Planner *pl, const Kernel *k, Value v);
/* PlanContract.operands of a K_CONTRACT. */
uint8_t product_operands(Planner *pl, const Kernel *k);

/* Long sums of few results in two steps (plan_split.c). In place. */
Graph *graph_split_sums(Graph *g);
/* Is this node a matrix product worth a schedule of its own? (plan_contract.c) */
bool contract_match(Graph *g, NodeId n, PlanContract *c);
/* A recurrence along an axis as a kernel; false and pl->why if it is not one. (plan_scan.c) */
bool scan_make(Planner *pl, NodeId recur, Kernel *k);

void plan_explain(Planner *pl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
Kernel *kernel_new(Planner *pl, KernelKind kind, const char *name, uint32_t level);
/* The argument of k that is v, made if new. */
uint32_t kernel_arg(Planner *pl, Kernel *k, Value v, bool writes);
/* Arguments for every value that the members read and that none of them keeps in scratch. */
void kernel_args(Planner *pl, Kernel *k);
bool value_in(const Kernel *k, const Graph *g, Value v); /* made by a member */

#endif
