/* The graph: equations, recurrences, scatter-adds, and nothing else.
 *
 * A graph is one entry point (forward, step, grad ...). It is a block of nodes in order of
 * definition; a node defines values (tensors). Bodies of recurrences are nested blocks and may read
 * values of the blocks around them (lexical scope).
 *
 *   EQ       out[i,j] = RED[k] expr           one tensor by one equation, at most one reduction
 *   SCATTER  out[s(i)] += expr(i)             the sum over all i, in row-major order of i
 *   RECUR    a block run along an axis (or once a layer) with carried values
 *   DELAY    inside a body: the previous K values of a value of that body, newest first
 *   INPUT PARAM STATE ARG                     values that come from outside
 *
 * Expressions are hash-consed scalar trees: equal trees, equal ids. They hold own indices (X_IDX k:
 * output axes 0..rank-1, then the reduced axes), counters of the recurrences around (X_LVL), reads
 * of values at integer subscripts, and functions of compiler/functions.def.
 *
 * X_SELECT is lazy: an arm is evaluated only where the condition sends it, so its reads need only be
 * inside there. That is the one mechanism of guards.
 *
 * Sizes in a graph are ground (compiler/size.h): numbers and run-time axes only. */
#ifndef RWKVC_GRAPH_H
#define RWKVC_GRAPH_H

#include "base.h"
#include "size.h"

typedef uint32_t Value;  /* 0 = none */
typedef uint32_t NodeId; /* 0 = none */
typedef uint32_t ExprId; /* 0 = none */

enum { MAX_RANK = 12, MAX_LEVELS = 8 };

typedef enum Type { T_REAL, T_INT } Type; /* truth values are T_INT 0 and 1 */

/* What a value is stored as; ST_DEFAULT follows --dtype (and is int32 for T_INT). */
typedef enum Store { ST_DEFAULT, ST_F32, ST_BF16, ST_F16, ST_INT, ST_STORES } Store;

typedef enum Fn {
    F_NONE,
#define FN(name, arity, type, derivative, spelling) F_##name,
#include "functions.def"
#undef FN
    F_COUNT
} Fn;

typedef struct FnInfo {
    const char *name, *spelling; /* spelling: infix operator, or NULL for a call */
    int arity;
    char type;              /* 'r' real result, 's' as the arguments (int if all are), 'i' int result,
                               'z' int arguments and result */
    const char *derivative; /* one expression an argument, separated by ';', over x0 x1 y dy */
} FnInfo;
extern const FnInfo fn_info[F_COUNT];
Fn fn_find(const char *name); /* F_NONE if there is none */

typedef enum Red { RED_NONE, RED_SUM, RED_PROD, RED_MAX, RED_MIN, RED_ARGMAX, RED_COUNT } Red;
extern const char *const red_name[RED_COUNT]; /* "" "sum" "prod" "max" "min" "argmax" */

typedef enum ExprOp {
    X_NONE,
    X_NUM,    /* a real literal: num                                                          */
    X_INT,    /* an int literal: i                                                            */
    X_SIZE,   /* an int: the number of a size formula: size                                   */
    X_IDX,    /* an int: own index k: i                                                       */
    X_LVL,    /* an int: counter of the recurrence at level i (the true position or layer)    */
    X_POS,    /* an int: rank of that counter among the iterations of its class: i = level    */
    X_READ,   /* value at subscripts args (all T_INT)                                         */
    X_FN,     /* fn of args                                                                   */
    X_SELECT, /* args: condition (int), then, else; lazy                                      */
    X_RANDOM, /* uniform in [0,1): place i, args are ints (counters and position); the same
                 number whenever seed, place and args are the same                            */
    X_OPS
} ExprOp;

typedef struct Expr {
    uint8_t op, fn, type;
    uint16_t n_args;
    uint32_t args; /* first of n_args in Graph.args */
    union {
        double num;
        int64_t i;
        Size size;
        Value value;
    };
} Expr;

typedef enum NodeKind { N_NONE, N_INPUT, N_PARAM, N_STATE, N_ARG, N_EQ, N_SCATTER, N_RECUR, N_DELAY } NodeKind;

typedef struct ValueInfo {
    NodeId node;
    uint8_t type, store, rank;
    Size dims[MAX_RANK];
    const char *name; /* for people, may be NULL; interned */
    Loc loc;
} ValueInfo;

typedef struct Block {
    VEC(NodeId) nodes;
} Block;

/* One class of iterations of a recurrence. A recurrence along an axis has one class with all of
 * them (iters.n = 0). A layer loop has one class for each distinct body; iters lists its layers in
 * rising order, and tensors with one item an iteration have a leading axis of that length. */
typedef struct RecurOut {
    Value body;     /* value of the body, one an iteration                                 */
    uint8_t axis;   /* where the axis of iterations stands in result                        */
    uint32_t every; /* 0: all iterations; else those whose counter is a multiple of it      */
    Value result;   /* defined by the recurrence: dims of body with length inserted (rounded
                       up: length/every)                                                    */
} RecurOut;

typedef struct RecurClass {
    VEC(uint32_t) iters;
    Block body;
    Value *args;        /* [n_carry] N_ARG values of this body: the carried value on entry */
    Value *next;        /* [n_carry] values visible in the body: the carried value after   */
    VEC(RecurOut) outs;
} RecurClass;

typedef struct Carry {
    Value init;       /* visible outside, dims and type of the carried value     */
    Value final;      /* defined by the recurrence: after the last iteration     */
    const char *name; /* for people */
    Value kept;       /* Recur.every: the carried value on entry to iterations 0, every, 2 every ...
                         where it was kept when these steps ran before; 0 else    */
    uint8_t lead;     /* leading axes of kept, the last 0 or 1 of the loops around: its position
                         (X_POS) chooses                                          */
} Carry;

typedef struct Recur {
    Size length;     /* iterations; for layers a number                              */
    const char *axis; /* for people: "T", "layers"                                    */
    bool reverse;    /* runs from the last position to the first; counters are true positions */
    bool layers;     /* repeated layers: stays a loop, bodies hold whole tensors      */
    uint8_t level;   /* number of recurrences around it                               */
    uint32_t every;  /* > 0: a recurrence run again; it may start at any multiple of `every` from
                        what its carries kept                                         */
    VEC(Carry) carry;
    VEC(RecurClass) classes;
} Recur;

typedef struct Node {
    uint8_t kind;
    uint8_t red;     /* N_EQ: Red                                                         */
    uint8_t n_extra; /* N_EQ: reduced axes, N_SCATTER: iteration axes                      */
    uint8_t level;   /* recurrences around this node                                      */
    Value out;       /* the value defined (N_RECUR: none; see carry and outs)             */
    Size extra[MAX_RANK]; /* N_EQ: sizes of the reduced axes (X_IDX rank..rank+n_extra-1);
                             N_SCATTER: sizes of the iteration axes (X_IDX 0..n_extra-1)   */
    ExprId expr;     /* N_EQ, N_SCATTER                                                   */
    ExprId subs[MAX_RANK]; /* N_SCATTER: where expr is added, one an axis of out; a point outside
                              out is an error of the data                                  */
    uint32_t index;  /* N_INPUT, N_PARAM, N_STATE: which of Graph.inputs, params, states  */
    Recur *recur;    /* N_RECUR                                                           */
    /* N_DELAY: out[k,...] = source at the (k+1)-th step before; dims[0] = depth */
    Value source;    /* value of the same body, may be defined later in it                */
    Value init;      /* [depth, ...] visible outside the recurrence, newest first: before the first step */
    Value final;     /* [depth, ...] defined here, visible outside the recurrence, or 0   */
    Loc loc;
} Node;

/* ---- what the outside sees ----------------------------------------------------------------- */

typedef enum InitKind { INIT_FORMULA, INIT_UNIFORM, INIT_NORMAL, INIT_TRUNC_NORMAL, INIT_ORTHOGONAL } InitKind;

/* Parameters (and states) of repeated layers are families: one value with leading axes, one an
 * enclosing loop, and a name for each member. A parameter outside loops has one member and no
 * leading axis. Members stand in row-major order of the leading axes. */
typedef struct Member {
    const char *name;              /* "blocks.3.att.x_r" */
    int64_t counters[MAX_LEVELS];  /* X_LVL values at which its initial formula is evaluated */
    bool frozen;                   /* this member is not trained (a pattern named only others) */
} Member;

typedef struct ParamInfo {
    Value value;
    uint8_t family; /* leading axes */
    VEC(Member) members;
    uint8_t init;    /* InitKind */
    ExprId formula;  /* INIT_FORMULA: over own indices X_IDX (without the leading axes) and X_LVL, no reads */
    VEC(double) init_a, init_b;    /* one a member: uniform a..b, normal 0..a, trunc_normal a, orthogonal gain a */
    double lr;       /* factor */
    double decay;    /* factor, 0 = none */
    bool frozen;     /* by attribute, freeze or only: no gradient is made */
    bool promoted;   /* a state's initial value turned into a parameter */
    uint8_t stored_rank;           /* 0: stored as its own shape */
    Size stored[MAX_RANK];         /* shape in files, of one member */
    Size written[MAX_RANK];        /* own dims as formulas over the constants, as the text has them */
    Loc loc;
} ParamInfo;

typedef struct StateInfo {
    Value value;        /* the N_STATE input; 0 in entries that start sequences by themselves */
    Value start;        /* value at the start of a sequence (reads parameters only), in the "start" entry */
    uint8_t family;
    bool delay;         /* newest first along the first own axis (absent when depth is 1) */
    bool optimizer;     /* one number for each of a parameter: kept from one training step to the next */
    VEC(Member) members;
    Loc loc;
} StateInfo;

typedef struct InputInfo {
    Value value;
    const char *name;
    int64_t below;    /* index(V): every number is in 0..below-1; 0 = no promise */
    bool scalar;      /* run-time scalar of the trainer: lr decay step seed */
    Loc loc;
} InputInfo;

typedef enum OutputKind {
    OUT_RESULT, OUT_STATE, OUT_LOSS, OUT_PENALTY, OUT_METRIC, OUT_GRAD, OUT_PARAM, OUT_OPT
} OutputKind;
extern const char *const output_kind_name[];
typedef struct OutputInfo {
    uint8_t kind;
    const char *name;  /* OUT_RESULT "logits"; OUT_LOSS "loss"; OUT_METRIC its name; OUT_OPT "m" "v" ... */
    Value value;
    uint32_t index;    /* OUT_STATE: of states; OUT_GRAD, OUT_PARAM: of params; OUT_OPT: of states */
} OutputInfo;

typedef struct Graph {
    Arena *arena;
    Names *names;
    Sizes *sizes;
    const char *entry; /* "forward" ... */
    VEC(Node) nodes;         /* by NodeId; [0] unused */
    VEC(ValueInfo) values;   /* by Value; [0] unused  */
    VEC(Expr) exprs;         /* by ExprId; [0] unused */
    VEC(uint32_t) args;
    uint32_t *expr_table, expr_table_cap; /* hash-consing */
    Block top;
    VEC(ParamInfo) params;
    VEC(StateInfo) states;
    VEC(InputInfo) inputs;
    VEC(OutputInfo) outputs;
    uint32_t n_random; /* places used by X_RANDOM */
} Graph;

Graph *graph_new(Arena *a, Names *names, Sizes *sizes, const char *entry);

static inline Node *graph_node(Graph *g, NodeId n) { return &g->nodes.data[n]; }
static inline ValueInfo *graph_value(Graph *g, Value v) { return &g->values.data[v]; }
static inline Expr *graph_expr(Graph *g, ExprId e) { return &g->exprs.data[e]; }
static inline ExprId expr_arg(Graph *g, ExprId e, uint32_t k) { return g->args.data[g->exprs.data[e].args + k]; }

/* ---- making expressions (hash-consed; local folding that loses nothing) --------------------- */

ExprId expr_num(Graph *g, double v);
ExprId expr_int(Graph *g, int64_t v);
ExprId expr_size(Graph *g, Size s);            /* an X_INT when s is a number */
ExprId expr_idx(Graph *g, uint32_t k);
ExprId expr_lvl(Graph *g, uint32_t level);
ExprId expr_pos(Graph *g, uint32_t level);
ExprId expr_read(Graph *g, Value v, const ExprId *subs, uint32_t n); /* n = rank of v */
ExprId expr_fn(Graph *g, Fn f, const ExprId *args);                  /* n = arity */
ExprId expr_fn1(Graph *g, Fn f, ExprId a);
ExprId expr_fn2(Graph *g, Fn f, ExprId a, ExprId b);
ExprId expr_select(Graph *g, ExprId cond, ExprId a, ExprId b);
ExprId expr_random(Graph *g, uint32_t place, const ExprId *args, uint32_t n);
ExprId expr_real(Graph *g, ExprId e);          /* F_real(e) if e is an int, else e */

/* Rebuilds e with every X_IDX, X_LVL, X_POS, X_READ leaf replaced by what leaf() returns (0 = keep;
 * for X_READ the subscripts have been rewritten already and stand in subs). Shared parts are
 * rewritten once. src and dst may be one graph or two that share names and sizes. */
typedef struct ExprMap ExprMap;
struct ExprMap {
    Graph *src, *dst;
    ExprId (*leaf)(ExprMap *m, ExprId e, const ExprId *subs); /* may be NULL: keep all */
    /* May be NULL. Called for X_FN, X_SELECT and X_RANDOM with their new operands; 0 = as before. */
    ExprId (*node)(ExprMap *m, ExprId e, const ExprId *args);
    void *user;
    Arena *scratch;
    /* Private; set by expr_map_begin, which also forgets what was mapped before. */
    uint32_t *memo, memo_n, memo_cap; /* table of pairs: source, result */
    VEC(uint32_t) stack;
};
void expr_map_begin(ExprMap *m, Arena *scratch);
ExprId expr_map(ExprMap *m, ExprId e);

/* Calls fn for every expression below e, each once, operands first. */
void expr_walk(Graph *g, ExprId e, void (*fn)(Graph *g, ExprId e, void *user), void *user);

/* The expression a text says: numbers, the names given (standing for values[k]), functions of the table
 * in their spelling, select(c, a, b), axes. 0 and *error (in the graph's arena) if it says none. */
ExprId expr_parse(Graph *g, const char *text, const char *const *names, const ExprId *values, uint32_t n,
                  const char **error);

/* ---- affine view of an int expression -------------------------------------------------------- */

/* e = konst + sum coef[i]*atom[i]; an atom is any int expression that is not a sum or a product by a
 * size: X_IDX, X_LVL, X_POS, a read (gather), or a // or % by a size. false if e is not of that form
 * (product of two indices) or has more than AFFINE_MAX atoms. */
enum { AFFINE_MAX = 8 };
typedef struct Affine {
    Size konst;
    uint32_t n;
    ExprId atom[AFFINE_MAX]; /* rising ids, no repeats */
    Size coef[AFFINE_MAX];   /* never zero */
} Affine;
bool expr_affine(Graph *g, ExprId e, Affine *out);
ExprId expr_from_affine(Graph *g, const Affine *a); /* canonical: equal affine forms, equal ids */
/* Simplifies int expressions to canonical affine form wherever they are one; // and % by sizes are
 * reduced with the bounds of the atoms where known ((h*N + n)//N = h for 0 <= n < N). dims: sizes of
 * X_IDX, by index; level_len: lengths of the counters, by level. */
typedef struct Ranges {
    const Size *idx;
    uint32_t n_idx;
    const Size *level;
    uint32_t n_level;
} Ranges;
ExprId expr_simplify_int(Graph *g, ExprId e, const Ranges *r);
/* Bounds of an int expression as sizes; 0 where unknown. */
void expr_bounds(Graph *g, ExprId e, const Ranges *r, Size *lo, Size *hi);

/* ---- making nodes --------------------------------------------------------------------------- */

/* All append to `b` and return the value defined. name may be NULL. */
Value graph_input(Graph *g, const char *name, Type type, Store store, const Size *dims, uint32_t rank, Loc loc);
Value graph_param(Graph *g, Type type, Store store, const Size *dims, uint32_t rank, Loc loc, uint32_t *index);
Value graph_state(Graph *g, Type type, Store store, const Size *dims, uint32_t rank, Loc loc, uint32_t *index);
Value graph_eq(Graph *g, Block *b, const Size *dims, uint32_t rank, Red red, const Size *extra, uint32_t n_extra,
               ExprId expr, uint32_t level, const char *name, Loc loc);
Value graph_scatter(Graph *g, Block *b, const Size *dims, uint32_t rank, const Size *iter, uint32_t n_iter,
                    const ExprId *subs, ExprId expr, uint32_t level, const char *name, Loc loc);
/* New recurrence; fill carries and classes with the functions below, then graph_recur_end appends it to
 * b and defines final and result values. */
NodeId graph_recur_begin(Graph *g, Size length, const char *axis, bool reverse, bool layers, uint32_t level, Loc loc);
/* -> number of the carry; classes made before get an arg too */
uint32_t graph_recur_carry(Graph *g, NodeId r, Value init, const char *name);
/* -> number of the class; makes args */
uint32_t graph_recur_class(Graph *g, NodeId r, const uint32_t *iters, uint32_t n);
void graph_recur_next(Graph *g, NodeId r, uint32_t cls, uint32_t carry, Value next);
Value graph_recur_out(Graph *g, NodeId r, uint32_t cls, Value body, uint32_t axis);  /* -> result */
Value graph_recur_out_every(Graph *g, NodeId r, uint32_t cls, Value body, uint32_t axis, uint32_t every);
/* Items along the axis of an out of class c. */
Size graph_out_length(Graph *g, const Recur *r, const RecurClass *c, uint32_t every);
void graph_recur_end(Graph *g, NodeId r, Block *b);                                   /* defines final values */
Value graph_delay(Graph *g, NodeId r, uint32_t cls, Value source, Value init, uint32_t depth, const char *name,
                  Loc loc);
/* source may be 0 at first and set later: graph_node(g, graph_value(g, v)->node)->source = s */
void graph_delay_final(Graph *g, Value delay); /* defines Node.final with dims of the delay */
void graph_output(Graph *g, OutputKind kind, const char *name, Value v, uint32_t index);

bool graph_same_dims(Graph *g, Value a, Value b);
Type graph_type(Graph *g, ExprId e);

/* Calls fn for each node of b and of the bodies inside, a recurrence before its bodies. N_INPUT, N_PARAM
 * and N_STATE stand in the top block; N_ARG (index: number of the carry) stand in no block. */
void graph_each(Graph *g, Block *b, void (*fn)(Graph *g, NodeId n, void *user), void *user);

/* ---- passes (one file each) ----------------------------------------------------------------- */

/* Text of a graph; graph_read reads it back to a graph that prints the same. */
void graph_print(Graph *g, Text *out);
void expr_print(Graph *g, ExprId e, Text *out); /* one expression as that text has it */
/* Equations and scatter-adds as that text has them, a line each, with before[i] in front. */
void graph_print_nodes(Graph *g, const NodeId *nodes, uint32_t n, const char *const *before, Text *out);
/* The number each value has in that text (%7), by Value; 0 if it is in no block. In scratch. */
uint32_t *graph_numbers(Graph *g, Arena *scratch);
/* NULL and *error (in arena a) with a line number when the text is no graph. */
Graph *graph_read(Arena *a, const char *text, size_t n, const char **error);
/* NULL when the graph keeps every rule of this header; else what is wrong (in g's arena). Range rules
 * that need numbers are the interpreter's. */
const char *graph_verify(Graph *g);
void graph_dot(Graph *g, Text *out);

/* A copy with dead nodes left out and nothing else changed. */
Graph *graph_clone(Graph *g, const char *entry);
/* Folding, common subexpressions, dead code, views and copies read through, algebra (rules at its head). */
Graph *graph_simplify(Graph *g);
/* Each value of a body is given out once: further stacks of it become views. In place. */
Graph *graph_unstack(Graph *g);
/* Takes apart every recurrence along an axis: what is on no cycle becomes equations over the whole
 * axis, delays become shifted reads, each cycle keeps a recurrence of its own. Layer loops stay. */
Graph *graph_distribute(Graph *g);
/* Streaming. NULL and a reason with a place when the entry may not be run step by step along `axis`. */
typedef struct StreamError {
    Loc loc;
    Value value;
    const char *text;
} StreamError;
bool graph_streams(Graph *g, const char *axis, StreamError *why);   /* before graph_distribute */
/* The same program at the last position of `axis` only: one step. Requires graph_streams. */
Graph *graph_step(Graph *g, const char *axis);
/* Results at the last position only. */
Graph *graph_prefill(Graph *g, const char *axis);

/* Reverse mode: the sum of the OUT_LOSS and OUT_PENALTY outputs differentiated to every parameter that is
 * not frozen (one OUT_GRAD each, zeros where nothing reaches it). Requires distributed g. On failure
 * NULL and the place and reason (something without a derivative was reached). */
typedef struct GradError {
    Loc loc;
    const char *text;
} GradError;
Graph *graph_grad(Graph *g, GradError *why);
/* Forward mode, for tests: a new real input "d.NAME" for each parameter member family and the output
 * "d.loss" (OUT_METRIC): the directional derivative of loss + penalty. */
Graph *graph_tangent(Graph *g, GradError *why);

#endif
