/* What the files of the planner share. */
#ifndef RWKVC_PLAN_IMPL_H
#define RWKVC_PLAN_IMPL_H

#include "edit.h"
#include "plan.h"
#include "plan_log.h"

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

/* The plan of a graph as it is, which must be the planner's own. (plan.c) */
Plan *plan_graph(Arena *a, Graph *g, const PlanOptions *o, const char **why);
/* These passes record in log, unless it is NULL, what becomes of equations beside recurrences.
 * Readers of a recurrence's results, and of what it streams through, pulled into it (pull.c). */
Graph *graph_pull(Graph *g, PlanLog *log);
/* Pointwise equations and sums around a recurrence that stay within a point of its grid, in its body
 * (neighbour.c). */
Graph *graph_neighbours(Graph *g, PlanLog *log);
/* Values seen in another shape are read where they are kept, if they are (share.c). */
Graph *graph_share(Graph *g);
/* Recurrences run again where their states are needed, instead of kept for all steps (replay.c). */
Graph *graph_replay(Graph *g, PlanLog *log);

/* What every value is kept as: sets pl->store. (plan_store.c) */
void stores_choose(Planner *pl);
/* New values of parameters that are kept short, once more in short; outputs like the others. In place. */
Graph *graph_add_copies(Graph *g, const PlanOptions *o);
bool param_is_updated(Graph *g, uint32_t index);
/* Does k read the master of the parameter v, where there is one? */
bool kernel_reads_master(Planner *pl, const Kernel *k, Value v);
/* PlanContract.operands of a K_CONTRACT. */
uint8_t product_operands(Planner *pl, const Kernel *k);

/* Results written over operands that end there (plan_reuse.c): lifetimes are to be set again. */
void plan_reuse(Planner *pl);
/* Ops that need not wait for each other, marked and moved together (plan_beside.c); axes: the lengths at which
 * it may cost only little memory. */
void plan_beside(Planner *pl, const int64_t *axes);
const char *plan_verify_beside(Plan *p); /* NULL, or what is wrong */
/* When every buffer is needed, where born and dies are 0. (plan.c) */
void plan_lifetimes(Planner *pl);
/* Long sums of few results in two steps (plan_split.c). In place. */
Graph *graph_split_sums(Graph *g);
/* Is this node a matrix product worth a schedule of its own? (plan_contract.c) */
bool contract_match(Graph *g, NodeId n, PlanContract *c);
/* Changes g so that no value of a recurrence along an axis is stacked twice. (plan_scan.c) */
void graph_outs_apart(Graph *g);
/* A recurrence along an axis as a kernel, `again` (or 0) run again inside it; false and pl->why if it is
 * not one. (plan_scan.c) */
bool scan_make(Planner *pl, NodeId recur, NodeId again, Kernel *k);
/* Which axes of a body's values belong together, and which of these classes are the grid (axes of one item
 * left out); for values of the body as it is. NULL: it is no scan. In scratch. */
typedef struct ScanAxes ScanAxes;
ScanAxes *scan_axes(Graph *g, NodeId recur, Arena *scratch);
uint32_t scan_axes_grid(const ScanAxes *x, const uint32_t **cls);
uint32_t scan_axes_class(ScanAxes *x, Value v, uint32_t axis);
/* The backward recurrence of block b that alone reads, step for step, what `again` makes; 0: none. */
NodeId scan_reader(Planner *pl, const Block *b, NodeId again);

void plan_explain(Planner *pl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Records, if asked to, that `node` met this rule at kernel k (NULL: at all). */
void plan_decide(Planner *pl, NodeId node, const Kernel *k, FuseRule rule);
/* plan_name.c: a name no other kernel of the plan has. */
const char *plan_kernel_name(Planner *pl, const Kernel *k, uint32_t number);
Kernel *kernel_new(Planner *pl, KernelKind kind, const char *name, uint32_t level);
/* The argument of k that is v, made if new. */
uint32_t kernel_arg(Planner *pl, Kernel *k, Value v, bool writes);
/* Arguments for every value that the members read and that none of them keeps in scratch. */
void kernel_args(Planner *pl, Kernel *k);
bool value_in(const Kernel *k, const Graph *g, Value v); /* made by a member */

#endif
