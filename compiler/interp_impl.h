/* Inside the interpreter: plans of equations.
 *
 * An equation is compiled once (for given axes) to a plan: loops over its axes, one of which, the
 * lane axis, is run in blocks of LANES items, and instructions over registers. An operand is a cell
 * (one number for the whole block) or a vector register (LANES numbers). An instruction runs at the
 * depth of the innermost loop it depends on, so what a loop does not change is computed outside it.
 *
 * Selects make contexts: the lanes for which an arm is needed. An instruction of a context is
 * skipped when no lane needs it, works on the range of lanes between the first and the last one
 * needed, and touches only needed lanes where anything else might go wrong (reads that are not
 * proved to be inside, integer division). Guards that are affine in the lane are ranges, found by
 * arithmetic on the bounds; others are masks, a byte a lane. */
#ifndef RWKVC_INTERP_IMPL_H
#define RWKVC_INTERP_IMPL_H

#include "interp.h"
#include "random.h"

enum {
    LANES = 128,
    MAX_AXES = 2 * MAX_RANK,
    NO_AXIS = 255,
    /* cells: axes, counters, ranks of counters, then constants and results */
    CELL_LVL = MAX_AXES,
    CELL_POS = CELL_LVL + MAX_LEVELS,
    CELL_FREE = CELL_POS + MAX_LEVELS,
    FORM_MAX = 24
};

typedef union Cell {
    double r;
    int64_t i;
} Cell;

typedef uint32_t Opd; /* a cell, or OPD_VEC | a vector register */
#define OPD_VEC 0x80000000u

typedef struct Term {
    Opd at;
    int64_t coef;
} Term;

typedef enum OpCode {
    OP_FN,     /* d = fn(a, b), of ints or of reals                                      */
    OP_AFF,    /* d = konst + terms, the lane's share is lane times its number           */
    OP_DIVLIN, /* d = the same // or % bound (fn), without vector terms                  */
    OP_CHECK,  /* error unless 0 <= konst + terms (+ lane*i) < bound                     */
    OP_CHECKV, /* error unless 0 <= a < bound, a vector                                  */
    OP_LOAD,   /* d = read[konst + terms], step `lane` from lane to lane                 */
    OP_GATHER, /* d = read[a], a vector                                                  */
    OP_SELECT, /* d = a where context `read` is on, else b                               */
    OP_RANDOM, /* d = random(konst; terms' operands)                                     */
    OP_COND,   /* context d = its parent if the cell a is not 0                          */
    OP_RANGE,  /* context d = lanes of its parent with konst + terms + lane*i REL cell a */
    OP_MASK,   /* context d = lanes of its parent where the vector a is not 0            */
    OP_ELSE    /* context d = lanes of its parent that are not in context `read`         */
} OpCode;

typedef struct Instr {
    uint8_t op, fn;
    bool ints;   /* OP_FN: of int arguments           */
    bool real;   /* the result is a real              */
    bool vec;    /* the result is a vector            */
    bool masked; /* must not touch lanes left out     */
    uint8_t depth, axis;
    uint16_t n_terms, n_vterms; /* cells first, then vectors */
    uint32_t ctx, d, terms, read;
    Opd a, b;
    int64_t konst, lane, bound;
} Instr;

typedef struct Ctx {
    uint32_t parent;
    uint32_t lanes; /* itself, or the nearest context around it whose lanes are the same ones */
    uint32_t dep;   /* axes it depends on */
    bool on;        /* is any lane needed? */
    int32_t lo, hi; /* the range of needed lanes (of contexts that are their own `lanes`) */
    const uint8_t *mask; /* NULL: all of the range */
    uint8_t *own;        /* room for a mask */
} Ctx;

typedef enum FaultKind { FAULT_NONE, FAULT_READ, FAULT_SCATTER, FAULT_DIVISION } FaultKind;
typedef struct Fault {
    uint8_t kind, axis;
    Value value; /* what is read or added to */
    int64_t index, size;
} Fault;

/* What plans share while they run. */
typedef struct Machine {
    Graph *g;
    void **ptr; /* items of each value, by Value */
    int64_t lvl[MAX_LEVELS], pos[MAX_LEVELS];
    uint64_t seed;
    bool f32;
    Cell *scratch;   /* vector registers */
    double *pack[3]; /* panels of a contraction: its two factors and the result */
    Fault fault;
} Machine;

/* What a plan computes. Axes are own indices of expressions. Those in neither list keep the number
 * that stands in their cell. */
typedef struct Spec {
    uint32_t n_idx;
    int64_t size[MAX_AXES];
    uint32_t n_out, n_red; /* loops: axes of the result, reduced axes; each rising */
    uint8_t out[MAX_AXES], red_axis[MAX_AXES];
    int64_t ostride[MAX_AXES]; /* of the result, by axis */
    uint8_t red;
    bool ints;          /* the result is of T_INT */
    uint32_t n_factors; /* the expression is their product; divided: 1/x instead of x */
    const ExprId *factors;
    const bool *divided;
    bool negative; /* and its sign turned */
    Value scatter; /* 0, or the value defined: factors[0] is added at subs */
    const ExprId *subs;
    bool ordered; /* loops in the order of out, lanes innermost */
} Spec;

typedef struct Plan {
    Machine *m;
    uint8_t red;
    bool ints, argmax_ints; /* type of the result; of what argmax compares */
    bool fold;              /* the lanes are a reduced axis */
    bool direct;            /* the root is computed in place in the result */
    bool round;
    uint8_t lane;                 /* axis, or NO_AXIS */
    uint32_t n_levels, acc_level; /* loops; those from acc_level on are reduced */
    uint8_t level_axis[MAX_AXES];
    int64_t lo[MAX_AXES], hi[MAX_AXES]; /* by axis */
    int64_t ostride[MAX_AXES];
    int64_t rstride[MAX_AXES]; /* row-major strides of the reduced axes */
    Instr *instr;
    uint32_t first[MAX_AXES + 2]; /* instructions of depth d: first[d] .. first[d+1]-1 */
    Term *terms;
    Cell *cells;
    Cell **reg; /* where each vector stands now */
    uint32_t n_reg, *slot_of;
    uint32_t n_slots; /* vector registers of scratch it takes */
    uint32_t n_ctx;
    Ctx *ctx;
    uint32_t n_reads;
    Value *reads;
    const Cell **base;
    Opd root, address;
    Value scatter;
    Cell *out;
    bool started; /* the first term of a reduction is in */
    Cell *acc;
    int64_t *best; /* argmax: where acc was found */
    double cost;   /* estimate, in nanoseconds */
} Plan;

/* ---- interp_form.c: int expressions as affine forms with numbers ----------------------------- */

typedef struct FormTerm {
    ExprId atom; /* X_IDX, X_LVL, X_POS or any other int expression */
    int64_t coef;
} FormTerm;
typedef struct Form {
    int64_t konst;
    uint32_t n;
    FormTerm t[FORM_MAX];
} Form;

/* What was found out about an int expression of the equation at hand. */
typedef struct Found {
    ExprId e;
    bool tried, bounded;
    int64_t lo, hi;
    Form *form; /* as long as it has terms */
} Found;

typedef struct KnownSize {
    int64_t n;
    bool known;
} KnownSize;

/* What a compilation knows. */
typedef struct Known {
    Graph *g;
    const int64_t *axes;           /* lengths of run-time axes, in the order of sizes */
    int64_t level_len[MAX_LEVELS]; /* of counters, of their ranks; 0 = unknown */
    int64_t pos_len[MAX_LEVELS];
    uint32_t n_idx;
    int64_t size[MAX_AXES]; /* of own indices */
    const int64_t *below;   /* by value: numbers are in 0..below-1; 0 = unknown */
    uint32_t depth;         /* of the recursion */
    Arena *lasting;         /* of sizes; NULL: they are not kept */
    KnownSize *sizes;       /* by Size */
    uint32_t n_sizes;
    Arena *scratch;
    Found *found; /* open addressing; of one equation */
    uint32_t n_found, cap_found;
    const char *error;
} Known;

enum { MAX_DEPTH = 1000, MAX_INSTR = 1 << 16 };

void known_begin(Known *k, Arena *scratch); /* a new equation: n_idx and size have changed */

void form_of(Known *k, ExprId e, Form *f);
bool form_add(Form *f, const Form *x, int64_t scale); /* false: too many terms */
void form_opaque(Form *f, ExprId e);
bool form_is_opaque(const Form *f, ExprId e);
/* 128-bit bounds; false if unknown or beyond 2^62. */
bool form_bounds(Known *k, const Form *f, int64_t *lo, int64_t *hi);
/* c1*(x//s) + c2*(x%s) with c1 = c2*s becomes c2*x. */
void form_join(Known *k, Form *f);
bool known_size(Known *k, Size s, int64_t *n);

/* ---- interp_gen.c: expressions to instructions ----------------------------------------------- */

typedef struct Memo {
    ExprId e;
    uint32_t ctx;
    Opd opd;
    uint32_t next;
} Memo;
typedef struct Arms {
    ExprId cond;
    uint32_t parent, then, otherwise; /* otherwise: 0 = not made yet */
} Arms;

typedef struct Gen {
    Known *k;
    Graph *g;
    Arena *a;
    const Spec *spec;
    bool f32;
    bool dry;        /* only to see which axes are always used together as one */
    uint32_t apart;  /* bit a: axis a and the next of its list are not */
    uint32_t merged; /* bit a: axis a is part of the next one of its list */
    uint8_t lane;
    uint8_t place[MAX_AXES]; /* 1 + level of the loop over an axis, 0 = none */
    VEC(Instr) instr;
    VEC(Term) terms;
    VEC(Ctx) ctx;
    VEC(Cell) cells;
    VEC(uint32_t) cell_dep;
    VEC(uint32_t) reg_dep;
    VEC(Value) reads;
    VEC(Arms) arms;
    VEC(Memo) memo;
    uint32_t *memo_head, memo_cap;
} Gen;

void gen_begin(Gen *g);
Opd gen_value(Gen *g, ExprId e, bool real, uint32_t ctx);
Opd gen_product(Gen *g);
Opd gen_address(Gen *g); /* of a scatter, with its checks */
bool gen_is_vec(Opd o);
uint32_t gen_dep(const Gen *g, Opd o);

/* ---- interp_plan.c --------------------------------------------------------------------------- */

/* Bits of axes that may be looped over as one with the next axis of their list. */
uint32_t plan_mergeable(Known *k, const Spec *s, Arena *scratch);
/* The cheapest plan with these axes merged; NULL and k->error. In arena a. */
Plan *loops_plan(Known *k, const Spec *s, uint32_t merged, Machine *m, Arena *a, Arena *scratch);

void plan_place(Plan *p); /* gives the vectors their places, once the scratch is there */

/* ---- interp_exec.c --------------------------------------------------------------------------- */

void plan_enter(Plan *p); /* counters and addresses of values, before plan_loops */
bool plan_loops(Plan *p); /* over lo..hi of each axis; false: m->fault */
bool plan_run(Plan *p, void *out);

/* ---- interp_ops.c ---------------------------------------------------------------------------- */

/* d[i] = fn(a[i], b[i]) for i < n; one_a, one_b: that argument is one number. d may be a or b. */
void fn_apply(Fn fn, bool ints, Cell *d, const Cell *a, bool one_a, const Cell *b, bool one_b,
              int32_t n);
void round_f32(Cell *d, int32_t n);
int64_t floor_div(int64_t a, int64_t b); /* b != 0 */
int64_t floor_mod(int64_t a, int64_t b);

/* ---- interp_contract.c: sums over products as matrix products --------------------------------- */

typedef struct Contract Contract;
/* NULL if the equation is none, or too small to gain. */
Contract *contract_make(Known *k, const Spec *s, double cost, Machine *m, Arena *a, Arena *scratch);
bool contract_run(Contract *c, void *out);
uint32_t contract_slots(const Contract *c);
void contract_place(Contract *c);
enum { PANELS = 3, TILE_M = 64, TILE_N = 128, TILE_K = 256 };
static const size_t panel_items[PANELS] = {TILE_M * TILE_K, TILE_K *TILE_N, TILE_M *TILE_N};

/* ---- interp_memory.c: where values stand ------------------------------------------------------ */

/* AT_FIXED: in the slab too, for a time of its own. AT_RECUR: where its recurrence says, iteration
 * by iteration. */
enum { AT_NONE, AT_BOUND, AT_SLAB, AT_FIXED, AT_RECUR };
typedef struct Room {
    uint8_t at;
    bool used; /* read, carried or put out */
    int64_t items;
    size_t offset; /* in the slab, in items */
    int64_t dims[MAX_RANK];
} Room;

/* How each class of a recurrence hands on values. */
typedef enum NextKind { NEXT_SAME, NEXT_PLACED, NEXT_COPY } NextKind;
typedef struct ClassRoom {
    uint8_t *next;    /* [n_carry] NextKind; NEXT_PLACED: computed where the next iteration reads */
    bool *out_placed; /* [outs] computed in its place of the result */
    VEC(NodeId) delays;
} ClassRoom;
typedef struct RecurRoom {
    int64_t length;
    size_t *carry[2]; /* [n_carry] offsets of the two buffers of each carried value */
    bool *both;       /* [n_carry] the second one exists */
    ClassRoom *classes;
} RecurRoom;

typedef struct Rooms {
    Room *room;        /* by Value */
    RecurRoom **recur; /* by NodeId */
    size_t *delay;     /* by NodeId: a row of staging for delays of delays */
    size_t items;      /* of the slab */
} Rooms;
/* NULL and k->error. Everything in arena a. */
Rooms *rooms_make(Known *k, Arena *a);

#endif
