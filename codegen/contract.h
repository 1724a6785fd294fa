/* What the files of the matrix-product schedule share.
 *
 *   contract.c        the schedule: which operand is which, tiles, the kernel, its epilogue
 *   contract_pack.c   element offsets, packed blocks of both operands
 *   contract_vec.c    products of packed f32 blocks; few rows against many (decoding)
 *   contract_amx.c    products of packed bf16 blocks with the tile unit
 *
 * The work proper is done by functions of the module that every kernel shares; they take packed blocks
 * or offsets of elements, so they know nothing of axes. Roles: "rows" are the points of the side whose
 * numbers are broadcast, "columns" those of the side that lies in the lanes of vectors. */
#ifndef RWKVC_CONTRACT_H
#define RWKVC_CONTRACT_H

#include "emit.h"

/* Sums are cut into blocks of K_BLOCK terms wherever they stand in the grid: a fixed order of every sum. */
enum { K_BLOCK = 256, FEW_ROWS = 8, LD_PAD = 16 };

/* Blocks of one target. A tile is tile_rows x tile_cols of the result; a range of tiles is computed in
 * rectangles. When the whole sum fits `slots` blocks of terms, they are rows x near_cols: all terms are
 * packed, the rows once for all their neighbours. Else they are rows x cols, one block of terms at a time.
 * Both are computed in pieces of part_rows x part_cols, which are finished while they are at hand. */
typedef struct Blocking {
    bool amx;
    uint32_t lanes; /* of a vector of f32                                       */
    uint32_t strip; /* columns of a packed strip: two vectors, or a tile's     */
    uint32_t micro; /* rows of the product kept in registers                    */
    uint32_t tile_rows, tile_cols, rows, near_cols, cols, part_rows, part_cols, slots;
} Blocking;
Blocking contract_blocking(const Emit *e, bool amx);
static inline uint32_t contract_ld(const Blocking *bl) { return bl->cols + LD_PAD; }
/* Packed numbers from one block of terms to the next. Rows are written in squares: a vector more. */
static inline uint32_t contract_row_slot(const Blocking *bl) {
    return (bl->rows + 2 * bl->lanes) * K_BLOCK;
}
static inline uint32_t contract_col_slot(const Blocking *bl) { return bl->near_cols * K_BLOCK; }

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
/* pack_rows(dst, ld, src, const i64 *row, n_rows, const i64 *k, kc): numbers at src[row[r] + k[k]]. f32:
 * dst[r*ld + k]. bf16: tiles [r/16][k/32][16][32] of rows of K_BLOCK, filled up with zeros to a multiple of 32
 * terms. */
Fun contract_pack_rows(Emit *e, const Blocking *bl, uint8_t src, bool bf16);
/* pack_cols(dst, src, const i64 *col, n_cols, const i64 *k, kc): strips of bl->strip columns, each
 * K_BLOCK*strip numbers: [k][strip] of f32, or (bf16) [k/2][strip][2], zeros as above. */
Fun contract_pack_cols(Emit *e, const Blocking *bl, uint8_t src, bool bf16);
/* product(rows, cols, c, n_rows, n_cols, k, i1 first): c[r*ld + j] = or += the sum over k terms, in blocks. */
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
/* ceil(a / n) for n > 0 */
static inline V k_ceil(Emit *e, V a, int64_t n) {
    return k_div(e, k_add(e, a, k_num(e, n - 1)), k_num(e, n));
}
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
void k_prefetch(Emit *e,
                V ptr); /* into L2: more can be under way than into L1; ptr may point anywhere */

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
