/* What the files of the matrix-product schedule share.
 *
 *   contract.c        the schedule: which operand is which, blocks, scratch
 *   contract_rect.c   the kernel: rectangles of the result, their sums, their epilogue
 *   contract_pack.c   element offsets, packed strips of both operands
 *   contract_vec.c    products of packed f32 strips; few rows against many (decoding)
 *   contract_amx.c    products of packed bf16 strips with the tile unit
 *
 * The work proper is done by functions of the module that every kernel shares; they take packed strips
 * or offsets of elements, so they know nothing of axes. Roles: "rows" are the points of the side whose
 * numbers are broadcast, "columns" those of the side that lies in the lanes of vectors. */
#ifndef RWKVC_CONTRACT_H
#define RWKVC_CONTRACT_H

#include "emit.h"

/* Sums are cut into blocks of K_BLOCK terms wherever they stand in the grid: a fixed order of every sum. */
enum { K_BLOCK = 256, FEW_ROWS = 8, FEW_COLS = 1024, LD_PAD = 16, TERM_STEP = 32 };
enum { FEW_LD = FEW_COLS + LD_PAD, FEW_SUMS = FEW_ROWS * FEW_LD };

/* Blocks of one target. A tile is tile_rows x tile_cols of the result; a range of tiles is computed in
 * rectangles of at most rows x cols. Of a rectangle all columns are packed (a panel), then strip by strip
 * of rows, each just before it is multiplied. A sum of at most `near` terms is packed whole; else `far`
 * terms at a time, while the sums of the rectangle wait in scratch. */
typedef struct Blocking {
    bool amx;
    uint32_t lanes;                /* of a vector of f32                       */
    uint32_t micro;                /* rows of the product kept in registers    */
    uint32_t row_strip, col_strip; /* rows and columns of a packed strip       */
    uint32_t tile_rows, tile_cols, rows, cols, near, far;
    uint32_t panel; /* packed numbers of a panel of columns, about              */
} Blocking;
Blocking contract_blocking(const Emit *e, bool amx);
static inline uint32_t contract_ld(const Blocking *bl) { return bl->cols + LD_PAD; }

typedef struct Fun {
    V fn;
    LLVMTypeRef type;
} Fun;

/* Keeps LLVM from making calls of memset and memcpy out of loops: there is nobody to call. */
void fun_no_calls(Emit *e, V fn);
/* The function `name` of the module: true when it is there already, else h stands in its empty body and
 * fun_end must follow. */
bool fun_begin(Emit *e, Emit *h, Fun *f, const char *name, const LLVMTypeRef *params, uint32_t n,
               LLVMBasicBlockRef *back);
void fun_end(Emit *h, LLVMBasicBlockRef back);
V fun_call(Emit *e, Fun f, V *args, uint32_t n);

/* offsets(i64 *dst, start, count, n, const i64 *size, const i64 *stride): the offset of each of `count`
 * points of a flattened index from `start` on, whose n digits have these sizes and strides. */
Fun contract_offsets(Emit *e);
/* pack_rows(dst, ld, strip, src, const i64 *row, n_rows, n_all, const i64 *k, kc, i1 along): numbers at
 * src[row[r] + k[k]]; along: the k[] are neighbours; row[] goes on to n_all. To strips of bl->row_strip rows,
 * `strip` numbers each. f32: [row*ld + k]. bf16: tiles [k/32][row/16][16][32], filled up with zeros to a
 * multiple of 32 terms. */
Fun contract_pack_rows(Emit *e, const Blocking *bl, uint8_t src, bool bf16);
/* pack_cols(dst, src, const i64 *col, n_cols, const i64 *k, kc, i1 along): strips of bl->col_strip
 * columns: [k][strip] of f32, or tiles [k/32][2][16][16][2] of bf16, zeros as above. */
Fun contract_pack_cols(Emit *e, const Blocking *bl, uint8_t src, bool bf16);
/* i1: off[from .. from+n) are neighbours, rising by one. n >= 1. */
V contract_contiguous(Emit *e, V off, V from, V n);
/* Numbers of one packed strip of k terms; of rows in f32: blocks [k/K_BLOCK][row][K_BLOCK]. */
V contract_row_strip(Emit *e, const Blocking *bl, V k);
V contract_col_strip(Emit *e, const Blocking *bl, V k);
/* product(rows, cols, c, n_rows, n_cols, k, i1 first, hints, n_hints): of one strip of rows and a panel,
 * c[r*ld + j] = or += the sum over k terms. Hints: pairs of addresses, from and to, of what will be wanted
 * soon. */
Fun contract_product(Emit *e, const Blocking *bl);
Fun contract_product_amx(Emit *e, const Blocking *bl);
/* dot(x, const i64 *row, w, const i64 *col, c, n_rows, n_cols, k): both contiguous along k, x f32. */
Fun contract_dot(Emit *e, const Blocking *bl, uint8_t w);
/* axpy(x, const i64 *row, w, stride, c, n_rows, n_cols, k): w contiguous along the columns. */
Fun contract_axpy(Emit *e, const Blocking *bl, uint8_t w);
void contract_amx_begin(Emit *e); /* loads the shapes of tiles   */
void contract_amx_end(Emit *e);   /* gives the tile unit back    */

/* ---- short hands --------------------------------------------------------------------------------- */

static inline V k_add(Emit *e, V a, V b) { return LLVMBuildAdd(e->b, a, b, ""); }
static inline V k_sub(Emit *e, V a, V b) { return LLVMBuildSub(e->b, a, b, ""); }
static inline V k_mul(Emit *e, V a, V b) { return LLVMBuildMul(e->b, a, b, ""); }
static inline V k_div(Emit *e, V a, V b) {
    return LLVMBuildUDiv(e->b, a, b, "");
} /* of a >= 0, b > 0 */
static inline V k_lt(Emit *e, V a, V b) { return LLVMBuildICmp(e->b, LLVMIntSLT, a, b, ""); }
static inline V k_le(Emit *e, V a, V b) { return LLVMBuildICmp(e->b, LLVMIntSLE, a, b, ""); }
static inline V k_eq(Emit *e, V a, V b) { return LLVMBuildICmp(e->b, LLVMIntEQ, a, b, ""); }
static inline V k_and(Emit *e, V a, V b) { return LLVMBuildAnd(e->b, a, b, ""); }
static inline V k_min(Emit *e, V a, V b) { return LLVMBuildSelect(e->b, k_lt(e, a, b), a, b, ""); }
static inline V k_num(Emit *e, int64_t n) { return emit_const(e, n); }
/* ceil(a / n) for n > 0, and that times n */
static inline V k_ceil(Emit *e, V a, int64_t n) {
    return k_div(e, k_add(e, a, k_num(e, n - 1)), k_num(e, n));
}
static inline V k_up(Emit *e, V a, int64_t n) { return k_mul(e, k_ceil(e, a, n), k_num(e, n)); }
V k_elem(Emit *e, LLVMTypeRef t, V ptr, V index); /* address of ptr[index] */
V k_load(Emit *e, LLVMTypeRef t, V ptr, uint32_t align);
void k_store(Emit *e, V x, V ptr, uint32_t align);
V k_load_i64(Emit *e, V ptr, V index);
LLVMTypeRef k_vec(LLVMTypeRef t, uint32_t lanes);
V k_lanes_below(Emit *e, uint32_t lanes, V n); /* <lanes x i1>: lane < n */
LLVMTypeRef k_storage(Emit *e, uint8_t dtype); /* type of one stored number: float or i16 */
uint32_t k_bytes(uint8_t dtype);
/* n stored numbers from ptr[0] as floats; mask NULL: all of them, else zeros where it is off. */
V k_load_real(Emit *e, V ptr, uint8_t dtype, uint32_t n, V mask);
V k_fma(Emit *e, V a, V b, V c);
/* ptr may point anywhere; more can be under way into L2 than into L1. */
void k_prefetch(Emit *e, V ptr, uint32_t level);

typedef struct If {
    LLVMBasicBlockRef other, after;
    bool has_else;
} If;
/* while (cond) { ... }: while_begin, code of the condition, while_test, body, while_end */
typedef struct While {
    LLVMBasicBlockRef head, after;
} While;
While while_begin(Emit *e);
void while_test(Emit *e, const While *w, V cond);
void while_end(Emit *e, const While *w);

If if_begin(Emit *e, V cond);
void if_else(Emit *e, If *i);
void if_end(Emit *e, If *i);

#endif
