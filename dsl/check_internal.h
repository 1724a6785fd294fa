/* What the files of the checker share.
 *
 * Checking is abstract evaluation: a text is run once with tensors that know their shape and are
 * expressions of the graph, functions being inlined where they are called. An index bound by an
 * equation, a reduction or a lifted call is a binder: X_IDX k with k >= BINDER. A tensor is a scalar
 * expression over the binders of its visible axes; every other binder in it is hidden (the axes of
 * the calls around, the batch among them), and becomes a leading axis when a node is made of it. */
#ifndef RWKVC_CHECK_INTERNAL_H
#define RWKVC_CHECK_INTERNAL_H

#include "ast.h"
#include "check.h"

enum { BINDER = 64, MAX_DEPTH = 64, MAX_GUARDS = 32 };

typedef enum ValKind {
    V_BAD,    /* an error was reported: whatever is made of it is bad, silently */
    V_NUM,    /* a number known when compiling; sym: the same over loop counters */
    V_SIZE,   /* a size formula */
    V_TENSOR, /* e over the binders ax[] of its axes */
} ValKind;

typedef struct Val {
    uint8_t kind;
    bool is_int; /* NUM */
    uint8_t rank;
    double num;
    ExprId sym;
    Size size;
    ExprId e;
    uint32_t ax[MAX_RANK];
    Size dims[MAX_RANK]; /* formulas over constants and axes */
    Size below;          /* int tensors: every element is in 0..below-1, 0 = not known */
    Loc loc;             /* where the shape came from */
} Val;

typedef struct BinderInfo {
    const char *name; /* NULL: an axis placeholder */
    Size size;        /* 0: not known yet */
    bool given;       /* written i:size */
    Loc loc, from;    /* of the binder; where its size came from */
} BinderInfo;

typedef enum SymKind { SYM_VALUE, SYM_FN, SYM_SIZEVAR } SymKind;

typedef struct Scope Scope;
typedef struct Module Module;

typedef struct Sym {
    uint8_t kind;
    bool is_binder, is_state, is_counter;
    uint32_t state; /* is_state: index in Cell.states */
    const char *name;
    Val val;
    const Decl *fn;
    Scope *fn_scope; /* where a nested fn was declared */
    Loc loc;
} Sym;

struct Scope {
    Scope *up;
    Module *module;
    struct Cell *cell; /* the cell whose step this is, or NULL */
    const char *owner; /* name of the function, for messages */
    bool may_delay;    /* text of a cell: prev and state may be used */
    VEC(Sym) syms;
};

/* A file together with the constants it was used with. */
typedef struct ConstDef {
    const char *name;
    const Arg *def; /* NAME = e */
    Val given;      /* from -D or use(...), V_BAD if none */
    Val val;
    uint8_t phase; /* 0 not met, 1 being evaluated, 2 known */
} ConstDef;

struct Module {
    const File *file;
    const char *path, *key;
    VEC(ConstDef) consts;
    VEC(Module *) uses;
    Scope *scope; /* empty, up = NULL: the file level */
};

enum { MAX_MODULES = 200 };
typedef struct Reach {
    Module *m[MAX_MODULES];
    uint32_t n;
} Reach;

/* A state of a cell: a carried value, named in the text. */
typedef struct CellState {
    const char *name;
    uint32_t carry;
    uint8_t rank, type;
    Size dims[MAX_RANK];
    ExprId entry; /* over entry_ax: the value on entry to the step, for `where` */
    uint32_t entry_ax[MAX_RANK];
    Loc loc;
} CellState;

/* A name of a cell delayed by prev: a delay line, or a carried shift register under masks. */
typedef struct CellDelay {
    const char *name;
    ExprId of;                 /* the value delayed: a second version of the name is an error */
    Value source, init, delay; /* delay: the N_DELAY, or the carried register on entry */
    bool carried;
    uint32_t carry;
    uint32_t frame[MAX_RANK], n_frame;
    uint8_t rank, type;
    Size dims[MAX_RANK], below;
    int64_t depth;
    Loc loc;
} CellDelay;

/* What a finished recurrence gives outside as a state: its final value in the shape of the state. */
typedef struct StateOut {
    bool is_delay; /* an N_DELAY's final, else a carry's */
    uint32_t carry, state;
    Value delay;
    bool
        depth_first; /* [depth, frame, dims] inside, [frame, depth, dims] (or no depth axis) outside */
    uint32_t n_frame;
} StateOut;

/* One call of a cell. A cell called in the step of another shares its recurrence (root). */
typedef struct Cell {
    NodeId recur;
    struct Cell *root;
    Block *outer_block;
    uint32_t outer_region, outer_level;
    uint32_t base[MAX_RANK], n_base; /* hidden axes every state of it has */
    ExprId where, restart;           /* conditions of the step, 0 = none */
    bool streams;                    /* of the root: runs along the axis the model streams along */
    bool optimizer; /* its steps are those of training: states are inputs and results */
    VEC(CellState) states;
    VEC(CellDelay) delays;
    VEC(StateOut) outs; /* of the root */
} Cell;

/* A decision that a loop counter took part in. */
typedef struct Decision {
    ExprId e;
    double value;
    int64_t level[MAX_LEVELS];
} Decision;

typedef struct Loop {
    uint32_t level;
    int64_t count, now; /* iterations, the one being elaborated */
    VEC(Decision) log;
    Loc loc;
    struct Loop *up;
} Loop;

/* Path pieces, literal or an int expression over counters. */
typedef struct NamePart {
    const char *text;
    ExprId e;
} NamePart;
typedef struct NameTpl {
    uint32_t n;
    NamePart *parts;
} NameTpl;

typedef struct Pending {
    uint8_t what; /* 0 read, 1 gather */
    ExprId sub;
    Size dim;
    ExprId guards[MAX_GUARDS];
    uint32_t n_guards;
    Loc loc;
    Val of;           /* the tensor read: its shape and where that came from */
    const char *name; /* its name, or NULL */
    uint32_t axis;
} Pending;

typedef struct CallSite {
    Loc loc;
    const char *name;
} CallSite;

/* Where states begin: given from outside, or at the start of a sequence. */
typedef enum StateMode { STATES_IN, STATES_START } StateMode;

/* A value on its way out of the layer loops around it: the final (or first) value of a state. */
typedef struct Export {
    Value value;
    uint32_t state;
} Export;

/* What the names of parameters and states are matched with. */
typedef struct Patterns {
    const Word *only, *freeze;
    uint32_t n_only, n_freeze;
    bool *only_hit, *freeze_hit;
} Patterns;

typedef struct FamilyNest { /* loops around a family */
    uint32_t n;
    uint32_t level[MAX_LEVELS];
    uint32_t cls[MAX_LEVELS]; /* index into Check.classes */
} FamilyNest;

typedef struct ClassIters {
    VEC(uint32_t) iters;
} ClassIters;

typedef struct Family {
    NameTpl name;
    FamilyNest nest;
    ExprId init_a, init_b;
    CallSite call; /* where the function that declares it was called */
    Loc user;      /* the call in the main file that led there */
} Family;

typedef struct Check {
    Arena *arena;
    Names *names;
    Sizes *sizes;
    Diag *diag;
    Graph *g;
    Block *block;
    uint32_t level;
    uint32_t region;            /* the block nodes go to, for lexical checks */
    VEC(uint32_t) region_up;    /* by region */
    VEC(uint32_t) value_region; /* by Value */
    VEC(Size) value_below;      /* by Value */
    VEC(Loc) value_user;        /* by Value: the call in the main file that led to it */
    VEC(BinderInfo) binders;    /* by binder - BINDER */
    VEC(uint32_t *) free_memo;  /* by ExprId: sorted binders, [0] = count */
    VEC(Pending) pending;
    VEC(Size) range_idx;   /* ground ranges by X_IDX number, for proofs */
    uint32_t ranges_known; /* binders before this one have theirs */
    ExprId guards[MAX_GUARDS];
    uint32_t n_guards;
    CallSite calls[MAX_DEPTH + 1];
    uint32_t n_calls;
    uint32_t ambient[MAX_RANK], n_ambient; /* hidden axes of the calls around, outermost first */
    NamePart path[MAX_DEPTH * 4];
    uint32_t n_path;
    Loop *loops;
    int64_t lvl_now[MAX_LEVELS];
    Size lvl_len[MAX_LEVELS];
    uint32_t
        cls_now[MAX_LEVELS]; /* class index of the layer loop at a level, UINT32_MAX: an axis */
    VEC(ClassIters) classes;
    VEC(Family) param_family, state_family;
    VEC(Export) exports;
    bool export_starts; /* the hidden entry that gives first states */
    uint32_t optimized; /* the parameter an optimizer is at */
    bool formula;       /* initial values: nothing may become a node */
    bool in_train;
    int training;
    StateMode states;
    const char *stream_axis; /* of the model, or NULL */
    Patterns patterns;
    Module *main;
    VEC(Module *) modules;
    const CheckOptions *options;
    VEC(bool) define_used;
    uint32_t depth;          /* of nested expressions */
    uint64_t work;           /* done so far, in units of check_work */
    const char *result_name; /* what the value being made will be called, for people */
} Check;

/* ---- check_say.c: errors, shapes and names for people ---------------------------------------------- */

/* Told at the user's own line first, whatever file `at` is in. */
void check_error(Check *c, ErrorCode code, Loc at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
Loc users_place(const Check *c); /* the call in the main file everything is inside */
void note_shape(Check *c, const Val *v, const char *what);
const char *val_shape(Check *c, const Val *v); /* "[T,D]" */
const char *shape_say(Check *c, const Val *v); /* "[T,D] = [T,64]" */
const char *size_text(Check *c, Size s);       /* "D//N" */
const char *size_say(Check *c, Size s);        /* "D//N = 8" */
const char *dims_say(Check *c, const Dims *d); /* "[K,2*J]", as the text has it */
const char *meet_say(Check *c, const char *what, const Val *a, const Val *b);
uint32_t near_enough(const char *name);
void nearer(const char *name, const char *other, const char **best, uint32_t *d);
const char *nearest_name(Check *c, Scope *s, const char *name, bool fns);
const char *depends_say(Check *c, const Val *v);                /* "data" */
void help_ints(Check *c);                                       /* where whole numbers come from */
void help_near(Check *c, Scope *s, const char *name, bool fns); /* "did you mean 'softmax'?" */

/* ---- check_scope.c: names, binders, values ------------------------------------------------------ */

Val val_bad(void);
Val val_num(double v, bool is_int);
Val val_size(Size s);
bool val_is_const(Check *c, const Val *v);            /* NUM, or SIZE without run-time axes */
bool val_number(Check *c, const Val *v, double *out); /* its number; no decision is logged */
bool val_decide(Check *c, const Val *v, double *out); /* the same, logging what a counter decides */
Val val_tensor(Check *c, Val v);                      /* numbers and sizes as tensors of rank 0 */
uint32_t binder_new(Check *c, const char *name, Size size, Loc loc);
BinderInfo *binder_info(Check *c, uint32_t b);
const uint32_t *expr_free(Check *c, ExprId e); /* [0] = count, then rising binders */
ExprId expr_subst(Check *c, ExprId e, const uint32_t *from, const ExprId *to, uint32_t n);
Val val_freshen(Check *c, Val v);
Val val_node(Check *c, Val v, const char *name, Loc loc); /* a tensor stored as a node of its own */
Val val_cheap(Check *c, Val v, Loc loc); /* the same unless reading it again costs nothing */
Value val_value(Check *c, Val v, const uint32_t *frame, uint32_t n_frame, const char *name,
                Loc loc);
Val val_read(Check *c, Value v, const uint32_t *hidden, uint32_t n_hidden, const Size *dims,
             uint32_t rank, Loc loc);
void note_value(Check *c, Value v);          /* a new value belongs to the current region */
bool expr_reads(Check *c, ExprId e);         /* depends on data or chance */
bool range_known(Check *c, uint32_t binder); /* else an error */
Scope *scope_new(Check *c, Scope *up, Module *m, struct Cell *cell, const char *owner);
Sym *scope_find(Scope *s, const char *name); /* here and around, not the file */
Sym *scope_set(Check *c, Scope *s, const char *name, Val v, Loc loc);
bool module_lookup(Check *c, Module *m, const char *name, Val *out,
                   bool *found); /* const or axis */
void module_reach(Module *m, Reach *r);
const Decl *module_fn(Module *m, const char *name, Module **where);
typedef enum Declared { IS_NOTHING, IS_CONST, IS_AXIS } Declared;
Declared module_declares(Module *m, const char *name, Loc *where); /* nothing is evaluated */
bool name_visible(Check *c, Scope *s, const char *name, Loc *where);
uint32_t region_new(Check *c);
bool region_sees(Check *c, uint32_t from, uint32_t what);

/* Every text ends soon: false, and an error the first time, once an entry took too much. A statement is
 * WORK_STMT, a small step 1. */
enum { WORK_STMT = 400, WORK_EXPR = 40, WORK_MAX = 8000000 };
#define MOST_WHOLE 9007199254740992.0 /* 2^53 */
bool check_work(Check *c, uint64_t units, Loc loc);

/* ---- check_prove.c ------------------------------------------------------------------------------ */

void prove_later(Check *c, ExprId sub, const Val *of, Loc loc, const char *name, uint32_t axis);
void prove_pending(Check *c, uint32_t from);
void guard_push(Check *c, ExprId cond);
ExprId guard_all(Check *c); /* 0 when there is none */
bool prove_nonneg(Check *c, ExprId e, const ExprId *guards, uint32_t n);
bool expr_range(Check *c, ExprId e, Size *lo, Size *hi);

static inline bool fn_is_call(Fn f) {
    return f != F_NONE && f != F_real && (!fn_info[f].spelling || !fn_info[f].spelling[0]);
}

/* ---- check_fold.c: operators and functions -------------------------------------------------------- */

bool same_size(Check *c, Size a, Size b);
Val val_broadcast(Check *c, Val v, const uint32_t *ax, const Size *dims, uint32_t rank);
bool meet(Check *c, const char *what, Val *a, Val *b,
          Loc loc); /* gives both one shape, or reports */
void note_shapes(Check *c, const char *what, const Val *a, const Val *b);
Val apply_fn(Check *c, Fn f, const Val *args, uint32_t n, Loc loc);
double fold_number(Fn f, const double *x); /* the function of numbers */

/* ---- check_index.c: equations, reductions, subscripts ------------------------------------------------ */

Val elab_equation(Check *c, Scope *s, const Binders *b, Ast *x, Loc loc);
Val elab_reduce(Check *c, Scope *s, Ast *x);
Val elab_index(Check *c, Scope *s, Ast *x);
/* RED over binders k[] of v: a node over everything else v depends on. */
Val reduce(Check *c, Red red, Val v, const uint32_t *k, uint32_t nk, const char *name, Loc loc);
ExprId typed_select(Check *c, ExprId cond, ExprId a, ExprId b);

/* ---- check_expr.c ------------------------------------------------------------------------------- */

Val elab(Check *c, Scope *s, Ast *x);
Val elab_tensor(Check *c, Scope *s, Ast *x);
Size elab_size(Check *c, Scope *s, Ast *x); /* 0 after an error */
bool elab_const(Check *c, Scope *s, Ast *x, double *out,
                const char *what); /* a number known when compiling */
Val binary(Check *c, AstOp op, Val a, Val b, Loc loc);

/* ---- check_call.c ------------------------------------------------------------------------------- */

/* The results of a call, one a declared result; 0 after an error. */
uint32_t elab_call(Check *c, Scope *s, Ast *x, Val **out);
/* Binds the dimensions a signature or result declares to what a tensor has; false after an error. */
bool dims_bind(Check *c, Scope *s, const Tensor *t, const Val *v, const char *what, Loc at);
uint32_t outs_collect(Check *c, Scope *s, const Decl *d, Val *out); /* out: one a declared result */

/* ---- check_cell.c ------------------------------------------------------------------------------- */

typedef struct Place { /* where nodes go */
    Block *block;
    uint32_t level, region;
} Place;
Place place_now(Check *c);
void place_set(Check *c, Place p);

Val elab_prev(Check *c, Scope *s, Ast *x);
void elab_states(Check *c, Scope *s, const Stmt *st);
void cell_finish(Check *c, Scope *s, Cell *cell); /* end of the step: what is carried on */
void cell_export(Check *c, Cell *root);           /* after the recurrence: states out */

/* ---- check_family.c ----------------------------------------------------------------------------- */

void path_push(Check *c, Scope *s, const Path *p);
NameTpl name_tpl(Check *c, const char *last);
const char *tpl_text(Check *c, const NameTpl *t, const int64_t *levels);
FamilyNest nest_now(Check *c);
uint32_t nest_subs(Check *c, const FamilyNest *n, ExprId *subs);
void elab_params(Check *c, Scope *s, const Stmt *st);
double counter_value(Check *c, ExprId e,
                     const int64_t *levels); /* of an int expression over counters */
/* A state's input, or the parameter its initial value was turned into; NULL formula: zeros. */
Value state_input(Check *c, const char *last, Type type, Store store, const Size *dims,
                  uint32_t rank, bool delay, uint32_t *state, Loc loc);
Value state_promoted(Check *c, const char *last, const Size *dims, uint32_t rank, ExprId formula,
                     Loc loc);
const Word *state_is_named(Check *c, const char *last); /* by `only`: where, else NULL */
void family_patch(Check *c, uint32_t cls, const uint32_t *iters, uint32_t n);
void families_finish(Check *c);

/* ---- check_stmt.c ------------------------------------------------------------------------------- */

void elab_block(Check *c, Scope *s, const Stmts *b);
void assign(Check *c, Scope *s, const char *name, Val v, Loc loc);
Store store_of(const TypeRef *t);

#endif
