/* What the files of this room share: one kernel at a time becomes one LLVM function.
 *
 * Vectors are written by hand, not left to a vectoriser: an expression is evaluated at `At`, a place
 * that covers `width` neighbouring points. An index is a scalar, the same in every lane, or a scalar
 * and a constant stride from lane to lane, or a vector of its own; reads become broadcasts, vector
 * loads or gathers accordingly. No fast-math flags: products that feed sums are fused where this code
 * says so, hence every lane of every width gives the same bits as a scalar would. */
#ifndef RWKVC_EMIT_H
#define RWKVC_EMIT_H

#include <llvm-c/Core.h>

#include "codegen.h"

typedef LLVMValueRef V;

/* ---- values ---------------------------------------------------------------------------------- */

typedef enum ValKind {
    VAL_NONE,
    VAL_REAL, /* float or <width x float>                                   */
    VAL_BOOL, /* i1 or <width x i1>                                          */
    VAL_INT,  /* i64: v + stride*lane; stride 0 = the same in every lane     */
    VAL_IVEC  /* <width x i64>                                               */
} ValKind;

typedef struct Val {
    V v;
    uint8_t kind;
    bool vec;       /* VAL_REAL, VAL_BOOL: v is a vector */
    uint32_t align; /* VAL_INT: v is known to be a multiple of it (1 = nothing known) */
    int64_t stride;
} Val;

/* Where expressions are evaluated. Lanes whose mask is off are neither read nor stored. */
typedef struct At {
    uint32_t width;        /* 1: scalars */
    Val idx[2 * MAX_RANK]; /* by X_IDX */
    V tail; /* <width x i1>: lanes inside the range, or NULL: all. Reads at a stride of
                                  one may touch the lanes outside all the same (buffers are padded) */
    V mask; /* <width x i1>: lanes that conditions around sent here, or NULL */
    bool
        lined; /* GPUs: the lanes' first subscript, of what is read and stored, is a multiple of their number */
    uint32_t align; /* of such an access, in bytes, where that is known; else 0 */
} At;

/* ---- one kernel ------------------------------------------------------------------------------ */

typedef struct EmitArg {
    V ptr;
    Value value;   /* of the graph */
    uint8_t dtype; /* Dtype of its buffer */
    uint8_t drop;  /* leading axes of the value that the launch has chosen already */
    bool writes;
    uint32_t scope;     /* which memory it is: equal numbers may overlap */
    V stride[MAX_RANK]; /* as far as asked for: emit_arg_stride */
} EmitArg;

/* A value that lives in the kernel: in scratch, or as a register bound for the place at hand. */
typedef struct EmitLocal {
    Value value;
    Val bound;          /* kind != VAL_NONE: reads give this, whatever their subscripts */
    V ptr;              /* else in scratch (NULL: not there): element at sum subs[i]*stride[i] */
    V stride[MAX_RANK]; /* i64, by axis of the value; 0 for axes of the grid */
    Val lane_offset; /* where the lanes are points of the grid: this point's place, or VAL_NONE */
    uint32_t scope;
} EmitLocal;

typedef struct Access {
    V inst;
    uint32_t scope;
} Access;

typedef struct Emit {
    Codegen *cg;
    Arena *arena; /* of the codegen */
    Plan *p;
    Graph *g;
    Kernel *k;
    KernelCode *code; /* the emitter sets grid and scratch; sizes are made by emit_size */
    LLVMContextRef c;
    LLVMModuleRef m;
    LLVMBuilderRef b;
    V fn;
    LLVMBasicBlockRef
        entry; /* ends in a branch to the body; emit_entry_* put invariants before it */
    V args_p, sizes_p, levels_p, scratch_p, begin, end; /* parameters */
    V seed_p; /* where the seed of random numbers is; NULL: behind the levels */
    LLVMTypeRef f32, i1, i16, i32, i64, ptr, f16, bf16, f64;
    uint32_t lanes;  /* f32 numbers in a vector of the target */
    bool has_bf16;   /* native conversion */
    bool pairs_bf16; /* one of two numbers, NVIDIA's */
    bool amx;        /* the tile unit for products of bf16 */
    struct Gpu *gpu; /* gpu.h: a GPU's kernel; NULL: a processor's */
    EmitArg *args;   /* by argument of the kernel */
    VEC(EmitLocal) locals;
    Val lvl
        [MAX_LEVELS]; /* X_LVL: by level; of the loops around from `levels`, of a scan its step */
    Val pos[MAX_LEVELS];         /* X_POS */
    Size idx_size[2 * MAX_RANK]; /* sizes of the X_IDX at hand (for bounds), by X_IDX */
    uint32_t n_idx;
    struct Memo *memo;  /* private to expr.c */
    uint32_t *local_of; /* by Value: index into locals + 1, or 0 */
    uint32_t *arg_of;   /* by Value: argument + 1, or 0 */
    const char *error;
    /* private to build.c */
    VEC(V) size_loads; /* by place in code->sizes */
    VEC(Access) accesses;
    uint32_t n_scopes, n_fixed_scopes; /* the first ones are the arguments' */
} Emit;

/* expr.c
 * The seed of random() stands behind the loops' counters: levels[2*MAX_LEVELS]. */
/* Forgets what was computed; needed whenever code moves to another place (other indices, other block). */
void emit_fresh(Emit *e);
Val emit_expr(Emit *e, At *at, ExprId x);
Val emit_sum(Emit *e, At *at, V acc,
             ExprId x);                  /* acc + x, for a real acc; fused where x is a product */
V emit_real(Emit *e, At *at, Val v);     /* float or vector: as it is, converted from an int */
V emit_real_vec(Emit *e, At *at, Val v); /* always of the place's width */
V emit_bool(Emit *e, At *at, Val v);     /* i1 or vector */
V emit_int_vec(Emit *e, At *at, Val v);  /* i64 (width 1) or <width x i64> */
Val val_real(Emit *e, V v);              /* kind by LLVM's type */
Val val_int(V v);                        /* the same in all lanes */
Val val_lane(V base, uint32_t align);    /* base, base + 1, ... */
V emit_const(Emit *e, int64_t n);        /* i64 */
V emit_f32(Emit *e, double x);
V emit_splat(Emit *e, uint32_t width, V scalar);

/* read.c: memory */
/* The element of a value at subscripts of all its axes. */
Val emit_read(Emit *e, At *at, Value v, const Val *subs);
Val emit_read_local(Emit *e, At *at, const EmitLocal *l, const Val *subs);
Val emit_read_arg(Emit *e, At *at, uint32_t arg, const Val *subs);
/* Stores x at subscripts of all axes of the argument's value (rank of the value). */
void emit_store_arg(Emit *e, At *at, uint32_t arg, const Val *subs, Val x);
void emit_store_local(Emit *e, At *at, EmitLocal *l, const Val *subs, Val x);
/* width contiguous elements at ptr[offset] as floats and back, through the storage type. */
V emit_load_f32(Emit *e, V ptr, V offset, uint8_t dtype, uint32_t width, V mask, uint32_t scope);
void emit_store_f32(Emit *e, V ptr, V offset, uint8_t dtype, uint32_t width, V mask, V x,
                    uint32_t scope);
void emit_scoped(Emit *e, V access, uint32_t scope); /* what memory a load or store touches */
/* i64 in the entry block: stride in elements of axis i of an argument (its dropped axes have none). */
V emit_arg_stride(Emit *e, uint32_t arg, uint32_t axis);

/* build.c */
V emit_size(Emit *e, Size s); /* i64: a constant, or loaded in the entry block once */
/* Is s a number that code may depend on? Lengths are not, nor how many layers there are. */
bool emit_known(Emit *e, Size s, int64_t *n);
/* Runs of code that must dominate everything: saves and restores where the builder stands. */
LLVMBasicBlockRef emit_entry_begin(Emit *e);
void emit_entry_end(Emit *e, LLVMBasicBlockRef back);

/* for (i = from; i < to; i += step) { ... }; from < to need not hold. */
typedef struct Loop {
    LLVMBasicBlockRef head, body, after;
    V i, step;
} Loop;
Loop loop_begin(Emit *e, V from, V to, int64_t step);
void loop_end(Emit *e, Loop *l);
V emit_var(Emit *e, LLVMTypeRef t, V init); /* a register that changes: alloca in the entry block */
V emit_get(Emit *e, LLVMTypeRef t, V var);
void emit_set(Emit *e, V var, V value);
/* x/y and the root, of floats or vectors of them; as exact as the target does them fast. */
V emit_quotient(Emit *e, V x, V y);
V emit_root(Emit *e, V x);
V emit_intrinsic(Emit *e, const char *name, LLVMTypeRef *over, uint32_t n_over, V *args,
                 uint32_t n);

/* math.c: scalar functions of real arguments, floats or vectors of any width alike. */
V math_fn(Emit *e, Fn f, V x, V y);

/* Schedules: build the whole function from its (empty) body, set code->grid and code->scratch. NULL, or
 * what is wrong. */
const char *row_emit(Emit *e);
const char *scan_emit(Emit *e);
const char *scatter_emit(Emit *e);
/* contract.c: emit_declined, with nothing built, sends the kernel to row_emit, which can do all. */
const char *contract_emit(Emit *e);
extern const char emit_declined[];

#endif
