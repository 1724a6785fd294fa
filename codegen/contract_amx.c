/* Products of packed bf16 blocks with the tile unit (AMX): 32x32 numbers in four tiles, sums in f32.
 * Both factors are packed tile by tile: 16 rows of 32 terms, and 16 pairs of terms of 16 columns. The tile
 * loads of a step stand between its products, which measured a tenth faster than loads first. */
#include "contract.h"

enum { TILE = 16, TERMS = 32 }; /* rows of a tile, terms of a step */

static V tile(Emit *e, uint32_t n) { return LLVMConstInt(LLVMInt8TypeInContext(e->c), n, false); }

static void tile_memory(Emit *e, const char *name, uint32_t n, V ptr, int64_t stride) {
    V args[3] = {tile(e, n), ptr, k_num(e, stride)};
    emit_intrinsic(e, name, NULL, 0, args, 3);
}

static void tile_product(Emit *e, uint32_t c, uint32_t a, uint32_t b) {
    V args[3] = {tile(e, c), tile(e, a), tile(e, b)};
    emit_intrinsic(e, "llvm.x86.tdpbf16ps", NULL, 0, args, 3);
}

void contract_amx_begin(Emit *e) {
    LLVMTypeRef i8 = LLVMInt8TypeInContext(e->c), t = LLVMArrayType2(i8, 64);
    V shape = LLVMGetNamedGlobal(e->m, "rwkvc.tiles");
    if (!shape) {
        V byte[64];
        for (uint32_t i = 0; i < 64; i++) { /* palette 1; eight tiles of 16 rows of 64 bytes */
            unsigned long long b = i == 0                            ? 1
                                   : i >= 16 && i < 32 && i % 2 == 0 ? 64
                                   : i >= 48 && i < 56               ? TILE
                                                                     : 0;
            byte[i] = LLVMConstInt(i8, b, false);
        }
        shape = LLVMAddGlobal(e->m, t, "rwkvc.tiles");
        LLVMSetInitializer(shape, LLVMConstArray2(i8, byte, 64));
        LLVMSetGlobalConstant(shape, true);
        LLVMSetLinkage(shape, LLVMInternalLinkage);
        LLVMSetAlignment(shape, 64);
    }
    emit_intrinsic(e, "llvm.x86.ldtilecfg", NULL, 0, &shape, 1);
}

void contract_amx_end(Emit *e) { emit_intrinsic(e, "llvm.x86.tilerelease", NULL, 0, NULL, 0); }

typedef struct Tiles {
    const Blocking *bl;
    V rows, cols, c, k, n_cols, first;
} Tiles;

/* Tiles 0..3: sums, tile 2i + j; 4, 5: rows; 6, 7: columns. */
static void sums(Emit *e, const Tiles *p, uint32_t n, V c, const char *name) {
    int64_t ld = contract_ld(p->bl);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < 2; j++)
            tile_memory(e, name, 2 * i + j,
                        k_elem(e, e->f32, c, k_num(e, i * TILE * ld + j * TILE)), 4 * ld);
}

/* n tiles of rows from row r on, two of columns at strip s; block kb of terms, of which there are kc. */
static void block(Emit *e, const Tiles *p, uint32_t n, V r, V s, V kb, V kc, V first) {
    const Blocking *bl = p->bl;
    V a = k_add(e, k_mul(e, r, k_num(e, K_BLOCK)), k_mul(e, kb, k_num(e, contract_row_slot(bl))));
    V b = k_add(e, k_mul(e, s, k_num(e, (int64_t)K_BLOCK * 2 * TILE)),
                k_mul(e, kb, k_num(e, contract_col_slot(bl))));
    V c = k_add(e, k_mul(e, r, k_num(e, contract_ld(bl))), k_mul(e, s, k_num(e, 2 * TILE)));
    a = k_elem(e, e->i16, p->rows, a);
    b = k_elem(e, e->i16, p->cols, b);
    c = k_elem(e, e->f32, p->c, c);
    If again = if_begin(e, LLVMBuildNot(e->b, first, ""));
    sums(e, p, n, c, "llvm.x86.tileloadd64");
    if_else(e, &again);
    for (uint32_t i = 0; i < 2 * n; i++) {
        V t = tile(e, i);
        emit_intrinsic(e, "llvm.x86.tilezero", NULL, 0, &t, 1);
    }
    if_end(e, &again);
    Loop l = loop_begin(e, k_num(e, 0), kc, TERMS);
    V step = k_mul(e, l.i, k_num(e, TILE)), ak = k_elem(e, e->i16, a, step),
      bk = k_elem(e, e->i16, b, step);
    for (uint32_t i = 0; i < n; i++) {
        V row = k_elem(e, e->i16, ak, k_num(e, (int64_t)i * TILE * K_BLOCK));
        tile_memory(e, "llvm.x86.tileloadd64", 4 + i, row, 2 * TERMS);
        for (uint32_t j = 0; j < 2; j++) {
            V col = k_elem(e, e->i16, bk, k_num(e, (int64_t)j * K_BLOCK * TILE));
            if (i == 0) tile_memory(e, "llvm.x86.tileloadd64", 6 + j, col, 4 * TILE);
            tile_product(e, 2 * i + j, 4 + i, 6 + j);
        }
    }
    loop_end(e, &l);
    sums(e, p, n, c, "llvm.x86.tilestored64");
}

/* Terms outside: the rows of a block stay in L1 for all strips, and the sums of a few strips do too. */
static void row_of_blocks(Emit *e, const Tiles *p, uint32_t n, V r) {
    Loop k = loop_begin(e, k_num(e, 0), p->k, K_BLOCK);
    V kc = k_min(e, k_sub(e, p->k, k.i), k_num(e, K_BLOCK)), kb = k_div(e, k.i, k_num(e, K_BLOCK));
    V first = k_and(e, p->first, k_eq(e, k.i, k_num(e, 0)));
    Loop s = loop_begin(e, k_num(e, 0), k_ceil(e, p->n_cols, 2 * TILE), 1);
    block(e, p, n, r, s.i, kb, kc, first);
    loop_end(e, &s);
    loop_end(e, &k);
}

Fun contract_product_amx(Emit *e, const Blocking *bl) {
    LLVMTypeRef params[] = {e->ptr, e->ptr, e->ptr, e->i64, e->i64, e->i64, e->i1};
    Fun f;
    Emit h;
    LLVMBasicBlockRef back;
    if (fun_begin(e, &h, &f, "rwkvc.product_amx", params, 7, &back)) return f;
    V p[7];
    LLVMGetParams(f.fn, p);
    Tiles t = {bl, p[0], p[1], p[2], p[5], p[4], p[6]};
    Loop r = loop_begin(&h, k_num(&h, 0), p[3], 2 * TILE);
    If two = if_begin(&h, k_lt(&h, k_num(&h, TILE), k_sub(&h, p[3], r.i)));
    row_of_blocks(&h, &t, 2, r.i);
    if_else(&h, &two);
    row_of_blocks(&h, &t, 1, r.i);
    if_end(&h, &two);
    loop_end(&h, &r);
    fun_end(&h, back);
    return f;
}
