/* The plan of an entry: which nodes become which kernels, where values live, and what is launched in
 * which order. Everything a file needs beside machine code follows from it.
 *
 * A kernel computes nodes (its members) at every point of a grid of parallel indices; the points are
 * independent of each other, so a grid may be cut into ranges for threads anywhere without changing a
 * bit. Schedules:
 *
 *   row       members share the grid axes; the other axes are loops inside. A member read only inside
 *             lives in scratch for one point at a time.
 *   scan      a recurrence along an axis: at each point of the grid the steps run in order, the carried
 *             values in scratch. One that runs backward may hold another that is run again for it:
 *             `every` steps at a time from what was kept, just before the backward steps that read it.
 *   contract  one sum over a product of two factors: batch, m, n and k axes; tiles of m x n.
 *   scatter   one scatter-add: the grid is over the axes of the result whose subscripts are plain
 *             iteration indices, the rest of the iteration runs in row-major order inside.
 *
 * Layer loops are no kernels: they are ops that launch kernels again with other pointers. */
#ifndef RWKVC_PLAN_H
#define RWKVC_PLAN_H

#include "diag.h"
#include "recompute.h"

typedef enum Dtype { DT_F32, DT_BF16, DT_F16, DT_I32, DTYPES } Dtype;

typedef enum Role { ROLE_TEMP, ROLE_INPUT, ROLE_PARAM, ROLE_STATE, ROLE_OUTPUT } Role;

/* A tensor in memory, contiguous in C order. A family has leading axes of its own members (family of
 * them in dims); a kernel launched for one layer sees one member. */
typedef struct PlanBuf {
    Value value; /* of the graph: what is kept here first */
    uint8_t dtype, role, rank, family;
    Size dims[MAX_RANK];
    uint32_t index; /* ROLE_INPUT PARAM STATE: of the graph's tables; ROLE_OUTPUT: of its outputs */
    /* Numbers of ops, depth first, a loop before its bodies, one number for ops beside each other; outputs
     * and what comes from outside live for the whole run; what a loop reads from outside lives until its
     * end, carry slots and what they are exchanged with all through it. */
    uint32_t born, dies;
    bool carry; /* a slot of a layer loop: its pointer changes by OP_SWAP */
} PlanBuf;

typedef uint32_t BufId; /* index into Plan.bufs */

/* What a kernel is given: the member of buf chosen by the loops around the launch. level[i]: the layer
 * loop whose position selects along leading axis i. n_level = 0: the buffer as it is. */
typedef struct PlanArg {
    BufId buf;
    uint8_t n_level;
    uint8_t level[4];
} PlanArg;

typedef enum KernelKind { K_ROW, K_SCAN, K_CONTRACT, K_SCATTER, KERNEL_KINDS } KernelKind;

enum { LOCAL = UINT32_MAX };

typedef struct PlanMember {
    NodeId node;           /* N_EQ or N_SCATTER */
    uint8_t par[MAX_RANK]; /* axis of the node's value for each grid axis */
    uint32_t arg;          /* stored through this argument, or LOCAL: in scratch */
    uint32_t also;         /* scan: stacked result stored through this argument, or LOCAL */
    uint8_t also_axis;     /* where the axis of steps stands in it */
} PlanMember;

/* Scan: one carried value. */
typedef struct PlanCarry {
    Value arg_value, next; /* of the body */
    uint32_t init_arg;     /* argument with the initial value                         */
    uint32_t final_arg;    /* argument for the final value, or LOCAL: not wanted       */
    uint32_t also; /* its value on entry to each step, stacked through this argument, or LOCAL */
    uint8_t also_axis;
    uint32_t kept; /* the same at every `every`-th step only: or LOCAL */
    uint8_t kept_axis;
    uint32_t every;
    uint8_t par[MAX_RANK]; /* axis of the carried value for each grid axis              */
} PlanCarry;

/* contract: out[batch.., m.., n..] (any order of axes) = sum[k..] a*b. Axis numbers are X_IDX of the node. */
typedef struct PlanContract {
    ExprId a, b; /* factors: a over batch, m, k; b over batch, n, k          */
    uint8_t
        operands; /* Dtype to which factors may be rounded where that is faster; DT_F32: multiplied
                         as they are stored. Sums are f32 always */
    uint8_t n_batch, n_m, n_n, n_k;
    uint8_t batch[MAX_RANK], m[MAX_RANK], n[MAX_RANK], k[MAX_RANK];
} PlanContract;

typedef struct Kernel {
    uint8_t kind;
    uint8_t n_par;
    Size par[MAX_RANK]; /* grid; K_CONTRACT: batch axes, m and n are inside */
    VEC(PlanMember)
    members; /* K_CONTRACT: the contraction, then its epilogue: pointwise nodes over
                                        exactly its axes, each reading the one before at the same point */
    VEC(PlanCarry) carries;
    NodeId recur; /* K_SCAN */
    NodeId
        again; /* K_SCAN: the recurrence run again, or 0. Its members and carries come first; init_arg
                     of these is what was kept, [.., ceil(length/every), ..]. Its results are no
                     arguments: the backward members read them as they stand in scratch          */
    uint32_t n_again, n_again_carries;
    PlanContract contract;
    VEC(Value) arg_values;   /* the value each argument is, as the members name it */
    VEC(uint8_t) arg_writes; /* 1: written */
    VEC(uint8_t)
    arg_family;       /* leading subscripts (X_POS) of every read of this value that choose the
                                        member the argument points to: they are no part of the address */
    const char *name; /* for people and symbols: unique in the plan */
    uint8_t level;    /* recurrences around the members */
} Kernel;

typedef enum OpKind { OP_LAUNCH, OP_LOOP, OP_COPY, OP_SWAP } OpKind;
typedef struct Op Op;
typedef struct Ops {
    VEC(Op) list;
} Ops;
struct Op {
    uint8_t kind;
    bool
        beside; /* a launch or copy that waits for nothing of the group of ops before it that it ends */
    uint32_t kernel; /* OP_LAUNCH */
    VEC(PlanArg)
    args; /* OP_LAUNCH: one an argument of the kernel; OP_COPY, OP_SWAP: dst, src.
                                        OP_COPY copies all bytes; OP_SWAP exchanges two carry slots' pointers */
    /* OP_LOOP: iterations 0..count-1 (or backward), each runs the ops of its class; the position of an
     * iteration is its rank in its class. level numbers the loop for PlanArg and X_LVL/X_POS. */
    uint32_t count;
    bool reverse;
    uint8_t level;
    uint32_t n_classes;
    uint32_t *class_of, *pos_of; /* [count] */
    Ops *bodies;                 /* [n_classes] */
};

/* Memory of one run at given lengths of axes, in bytes. */
typedef struct PlanPeak {
    int64_t outside; /* parameters, states and inputs, all through the run                    */
    int64_t tensors; /* everything else, placed as the runtime places it: results, what is kept */
    Size formula; /* of the tensors that live at once where these are most; 0: too large for one */
} PlanPeak;

/* What a plan with lengths says of its memory. */
typedef struct PlanMemory {
    PlanPeak whole, peak; /* were nothing recomputed; as planned */
    RecomputeList again;  /* what is recomputed */
} PlanMemory;

typedef struct Plan {
    Arena *arena;
    Graph *g;
    VEC(PlanBuf) bufs;
    VEC(Kernel) kernels;
    Ops ops;
    BufId *buf_of;      /* by Value; UINT32_MAX: none (lives in a kernel, or aliases) */
    PlanMemory *memory; /* NULL: no lengths were given */
} Plan;

typedef struct PlanLog PlanLog;

/* Most memory a run may take, parameters, states and inputs included. */
typedef struct PlanBudget {
    int64_t bytes;       /* 0: no limit, but tell what it takes */
    const int64_t *axes; /* lengths it is for, in the order of size_axis_name */
    int64_t *least;      /* NULL, or where a refusal leaves the least that can be met */
} PlanBudget;

typedef struct PlanOptions {
    uint8_t weights, saved;   /* Dtype of matrices; of saved activations and operands of products
                               (--dtype; plan_store.c has the rules) */
    bool fuse;                /* false: every node a kernel of its own (for tests) */
    const PlanBudget *budget; /* NULL: no lengths are known */
    void (*explain)(void *user, const char *line); /* other decisions, or NULL */
    void *explain_user;
    PlanLog *log; /* what was fused, and what not, is recorded here (plan_log.h); or NULL */
} PlanOptions;

/* Makes the plan of a simplified graph, within its budget by recomputing (recompute.h) what costs least for
 * what it saves. NULL and *why for what is not compiled: a recurrence that is part of a cycle of another one;
 * a budget that cannot be met. */
Plan *plan_make(Arena *a, Graph *g, const PlanOptions *o, const char **why);
/* Does launching k read `old` only at the element of `made` it writes, by the member that writes it alone? Then
 * both may be one place. (plan_reuse.c) */
bool plan_point_by_point(const Plan *p, const Kernel *k, Value old, Value made);
/* Are the subscripts q and q + 1 of a read k//c and k%c, with c the size of the second axis? Then the two axes
 * are read as one, contiguous, by the index *k. (plan_contract.c) */
bool read_joins_axes(Graph *g, ExprId read, uint32_t q, ExprId *k);
/* plan_peak.c. false: a size is too large, or no number. */
bool plan_peak(Plan *p, const int64_t *axes, PlanPeak *out);
bool plan_same_shape(const PlanBuf *a, const PlanBuf *b); /* and type */
/* plan_place.c: the buffer of the parameter, or of the state of the optimizer, that the output in `to` leads on (of
 * a parameter that is there twice, the one of its type); the buffer an output may be written over. UINT32_MAX: none. */
BufId plan_led_on(const Plan *p, const OutputInfo *o, const PlanBuf *to);
BufId plan_output_place(const Plan *p, const OutputInfo *o);
/* budget.c: lengths where none are given: one sample, 1024 along every other axis, rounded up to what an axis
 * is declared a multiple of. axes: size_axes numbers. */
void plan_usual_axes(const Sizes *s, int64_t *axes);
/* The memory of a plan with lengths, and what it recomputes, as text; sources: names of files. */
void plan_print_memory(Plan *p, const PlanBudget *b, const Diag *sources, Text *out);
/* NULL when the plan keeps the rules above (each node in one kernel, values written before read,
 * locals read only inside, grid axes independent ...). */
const char *plan_verify(Plan *p);
void plan_print(Plan *p, Text *out); /* --emit=plan */

#endif
