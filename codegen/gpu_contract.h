/* Matrix products on GPUs: a workgroup computes a tile of the result, piece of terms by piece.
 *
 *   gpu_contract.c   the schedule: tiles, the loop over terms, what follows the sum
 *   gpu_stage.c      a piece of a factor: memory to registers, registers to local memory
 *   gpu_product.c    products of two pieces in local memory; sums back to local memory, row by row
 *   gpu_mma.c        the same by matrix instructions (mma.def)
 *   gpu_few.c        results of few rows: nothing but the time it takes to read the columns' factor matters */
#ifndef RWKVC_GPU_CONTRACT_H
#define RWKVC_GPU_CONTRACT_H

#include "contract.h"
#include "contract_shape.h"
#include "gpu.h"

enum { MOST_LOADS = 16, MOST_SUMS = 64, LOCAL_PAD = 16 /* bytes behind each line of a piece */ };

typedef struct MmaUnit { /* rows of mma.def */
    const char *targets, *intrinsic;
    uint8_t m, n, k, number; /* Dtype: bf16 or f32 */
    const char *a, *b, *d;
} MmaUnit;

typedef struct MmaBit {
    char axis; /* i, j, k, or - */
    uint8_t bit;
} MmaBit;
typedef struct
    MmaLayout { /* of one operand: what the bits of a lane's and of an element's number stand for */
    uint32_t n_lane, n_elem;
    MmaBit lane[6], elem[5];
} MmaLayout;

/* How a tile is computed. */
typedef struct Tile {
    const MmaUnit *unit;           /* NULL: by multiply-adds */
    uint32_t wave_rows, wave_cols; /* unit: the waves of a workgroup */
    uint32_t rows, cols;           /* of the tile */
    uint32_t terms;                /* of a piece */
    uint32_t pass;                 /* rows that go through local memory at once, at the end */
} Tile;

/* A factor's piece on its way. In local memory: lines of points, one a term, f32; packed: lines of terms, one
 * a point, bf16. */
typedef struct Stage {
    const ShapeFactor *f;
    bool packed;
    uint32_t points, terms; /* of a piece */
    Size total;             /* of the terms */
    V to;                   /* local memory */
    uint32_t line;          /* numbers from line to line there */
    uint32_t run, skew;     /* packed: behind every `run` lines lie `skew` numbers more */
    /* gpu_stage.c */
    bool along_terms; /* neighbouring threads load neighbouring terms, else points */
    uint32_t vec, loads, align;
    uint32_t
        group; /* packed, along the points: neighbouring terms that a thread loads and stores as one */
    V base;    /* of the factor, at the batch point */
    V point[MOST_LOADS], term[MOST_LOADS]; /* i32, in the piece: first of the vector */
    V at[MOST_LOADS];                      /* i64: offset of the points */
    V reg[MOST_LOADS];                     /* variables */
} Stage;

typedef struct GpuContract {
    Emit *e;
    Shape s;
    Tile t;
    Stage rows, cols;
    V M, N, K;            /* i32 */
    V m0, n0;             /* i32: the tile's first row and column */
    V idx[SHAPE_INDICES]; /* i64: the point at hand */
    V pieces;             /* local memory, pieces and sums share it */
    V sum[MOST_SUMS];     /* variables of gpu_product.c */
    LLVMTypeRef sum_type;
} GpuContract;

static inline V n32(Emit *e, uint64_t n) { return LLVMConstInt(e->i32, n, false); }
static inline V wide(Emit *e, V x) { return LLVMBuildZExt(e->b, x, e->i64, ""); }
static inline V narrow(Emit *e, V x) { return LLVMBuildTrunc(e->b, x, e->i32, ""); }
static inline V below(Emit *e, V a, V b) { return LLVMBuildICmp(e->b, LLVMIntULT, a, b, ""); }
static inline V choose(Emit *e, V c, V a, V b) { return LLVMBuildSelect(e->b, c, a, b, ""); }
/* Numbers of a vector; 1 of what is none. */
static inline uint32_t count_of(V x) {
    LLVMTypeRef t = LLVMTypeOf(x);
    return LLVMGetTypeKind(t) == LLVMVectorTypeKind ? LLVMGetVectorSize(t) : 1;
}
static inline V add32(Emit *e, V a, uint64_t n) { return LLVMBuildAdd(e->b, a, n32(e, n), ""); }

/* gpu_contract.c */
void tile_place(GpuContract *c);           /* the tile at hand */
void tile_point(GpuContract *c, V m, V n); /* i32: the point at hand */
void tile_members(GpuContract *c, V sum);  /* what follows its sum, and stores */
/* gpu_few.c */
enum { FEW_BLOCK = 512 };
bool few_rows(const GpuContract *c); /* the rows are no more than the samples of a batch */
Tile few_tile(const GpuContract *c);
void few_emit(GpuContract *c);
/* gpu_stage.c */
void stage_plan(GpuContract *c, Stage *s);                /* how it is loaded */
uint32_t stage_bytes(const Stage *s);                     /* of local memory */
void stage_begin(GpuContract *c, Stage *s, V first, V n); /* points first .. of n */
void stage_load(GpuContract *c, Stage *s, V k0);          /* terms from k0 on */
void stage_store(GpuContract *c, Stage *s);
V stage_packed(Emit *e, const Stage *s, V point,
               V term); /* i32: where a term of a packed piece lies */

/* A factor straight from memory: `run` terms from k on of the point that lies at `at`, in a vector; 0 behind
 * the last term. */
void stage_direct(GpuContract *c, Stage *s, uint32_t run);
V stage_offset(GpuContract *c, const Stage *s, V point); /* i64 */
V stage_fetch(GpuContract *c, const Stage *s, V at, V k, uint32_t run);

/* gpu_product.c, gpu_mma.c: the sums of a tile, in variables; out: rows pass*t.pass .. of them to local memory,
 * t.cols + 4 numbers from row to row. */
void product_begin(GpuContract *c);
void product_add(GpuContract *c);
void product_out(GpuContract *c, V pass, V to);
void mma_begin(GpuContract *c);
void mma_add(GpuContract *c);
void mma_out(GpuContract *c, V pass, V to);
/* One square from numbers in registers: a lane has `run` terms from k + term on of a factor's point, and of
 * the one `second` further on, if that is not 0, for `repeat` instructions. axis: 'i' rows, 'j' columns. */
enum { MMA_REPEAT = 8 };
typedef struct MmaLane {
    V point, term; /* i32 */
    uint32_t second, run;
} MmaLane;
MmaLane mma_lane(Emit *e, const MmaUnit *u, char axis);
uint32_t mma_repeat(const MmaUnit *u);
/* a times b and d, of a wave: operands as the unit has them. */
V mma_once(Emit *e, const MmaUnit *u, V a, V b, V d);
LLVMTypeRef mma_sum_type(Emit *e, const MmaUnit *u);
V mma_square(Emit *e, const MmaUnit *u, const V *rows, const V *cols, V sum); /* the new sum */
void mma_square_out(Emit *e, const MmaUnit *u, V col, V sum, uint32_t line, V to);
/* The instruction for squares of a part of rows x cols; NULL: the target has none. */
const MmaUnit *mma_find(const TargetInfo *t, uint8_t number, uint32_t rows, uint32_t cols);
const MmaUnit *mma_unit(uint32_t i); /* row i of the table; NULL behind the last */
void mma_layout(const char *text, MmaLayout *l);

#endif
