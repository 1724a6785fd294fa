/* Products of packed bf16 strips with the tile unit (AMX): 32x32 numbers in four tiles, sums in f32.
 * Both factors are packed tile by tile, two of a step of 32 terms side by side: 16 rows of 32 terms, and
 * 16 pairs of terms of 16 columns. Measured: tile loads between the products of a step are a tenth faster
 * than loads first; columns that come from L2 are a tenth faster when they are asked for a step ahead. */
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
    V rows, cols, c, strip; /* strip: numbers of a strip of columns */
    V n_cols, k, first;
    V waits;                 /* variable: where the sums in the tiles belong, or NULL       */
    V hint, last;            /* variable: the pair of addresses at hand; the last one       */
    V want, until, per_step; /* variables: the line to be asked for, its end, lines a step  */
} Tiles;

/* Tiles 0..3: sums, tile 2i + j; 4, 5: rows; 6, 7: columns. */
static void sums(Emit *e, const Tiles *p, uint32_t i, uint32_t j, V c, const char *name) {
    int64_t ld = contract_ld(p->bl);
    V at = k_elem(e, e->f32, c, k_num(e, i * TILE * ld + j * TILE));
    tile_memory(e, name, 2 * i + j, at, 4 * ld);
}

/* What the last block left in a tile of sums is stored, and the tile begins anew: a store between two
 * products costs a third of one behind all of them. One strip alone keeps its sums. */
static void exchange(Emit *e, const Tiles *p, uint32_t i, uint32_t j, V c, V first) {
    V old = emit_get(e, e->ptr, p->waits);
    If other = if_begin(e, LLVMBuildICmp(e->b, LLVMIntNE, old, c, ""));
    If some = if_begin(e, LLVMBuildIsNotNull(e->b, old, ""));
    sums(e, p, i, j, old, "llvm.x86.tilestored64");
    if_end(e, &some);
    If zero = if_begin(e, first);
    V t = tile(e, 2 * i + j);
    emit_intrinsic(e, "llvm.x86.tilezero", NULL, 0, &t, 1);
    if_else(e, &zero);
    sums(e, p, i, j, c, "llvm.x86.tileloadd64");
    if_end(e, &zero);
    if_end(e, &other);
}

/* Lines of what is wanted soon, into L2. */
static void ask(Emit *e, const Tiles *p) {
    Loop l = loop_begin(e, k_num(e, 0), emit_get(e, e->i64, p->per_step), 1);
    V at = emit_get(e, e->ptr, p->want);
    k_prefetch(e, at, 2);
    at = k_elem(e, LLVMInt8TypeInContext(e->c), at, k_num(e, 64));
    emit_set(e, p->want, at);
    V end = emit_get(e, e->ptr, p->until);
    If next = if_begin(e, LLVMBuildICmp(e->b, LLVMIntUGE, at, end, ""));
    V hint = emit_get(e, e->ptr, p->hint),
      done = LLVMBuildICmp(e->b, LLVMIntUGE, hint, p->last, "");
    V n = emit_get(e, e->i64, p->per_step);
    emit_set(e, p->per_step, LLVMBuildSelect(e->b, done, k_num(e, 0), n, ""));
    hint = LLVMBuildSelect(e->b, done, hint, k_elem(e, e->ptr, hint, k_num(e, 2)), "");
    emit_set(e, p->hint, hint);
    emit_set(e, p->want, k_load(e, e->ptr, hint, 8));
    emit_set(e, p->until, k_load(e, e->ptr, k_elem(e, e->ptr, hint, k_num(e, 1)), 8));
    if_end(e, &next);
    loop_end(e, &l);
}

/* One step of n tiles of rows and two of columns. c: the sums begin here, or NULL. */
static void step(Emit *e, const Tiles *p, uint32_t n, V a, V b, V c, V first) {
    enum { WORDS = TILE * TERMS };
    for (uint32_t i = 0; i < n; i++) {
        tile_memory(e, "llvm.x86.tileloadd64", 4 + i, k_elem(e, e->i16, a, k_num(e, i * WORDS)),
                    2 * TERMS);
        for (uint32_t j = 0; j < 2; j++) {
            if (i == 0)
                tile_memory(e, "llvm.x86.tileloadd64", 6 + j,
                            k_elem(e, e->i16, b, k_num(e, j * WORDS)), 4 * TILE);
            if (c) exchange(e, p, i, j, c, first);
            tile_product(e, 2 * i + j, 4 + i, 6 + j);
        }
    }
    ask(e, p);
}

/* The block of terms k0 .. k0 + kc, of the strip of columns s. */
static void block(Emit *e, const Tiles *p, uint32_t n, V s, V k0, V kc) {
    V a = k_elem(e, e->i16, p->rows, k_mul(e, k0, k_num(e, p->bl->row_strip)));
    V b = k_add(e, k_mul(e, s, p->strip), k_mul(e, k0, k_num(e, p->bl->col_strip)));
    V c = k_elem(e, e->f32, p->c, k_mul(e, s, k_num(e, p->bl->col_strip)));
    b = k_elem(e, e->i16, p->cols, b);
    V first = k_and(e, p->first, k_eq(e, k0, k_num(e, 0)));
    step(e, p, n, a, b, c, first);
    emit_set(e, p->waits, c);
    Loop l = loop_begin(e, k_num(e, TERMS), kc, TERMS);
    V on = k_mul(e, l.i, k_num(e, 2 * TILE));
    step(e, p, n, k_elem(e, e->i16, a, on), k_elem(e, e->i16, b, on), NULL, NULL);
    loop_end(e, &l);
}

/* Two strips of columns at a time: their sums, and a block of the rows, stay in L1. */
static void strip(Emit *e, const Tiles *p, uint32_t n) {
    emit_set(e, p->waits, LLVMConstNull(e->ptr));
    V all = k_ceil(e, p->n_cols, 2 * TILE);
    Loop two = loop_begin(e, k_num(e, 0), all, 2);
    Loop k = loop_begin(e, k_num(e, 0), p->k, K_BLOCK);
    V kc = k_min(e, k_sub(e, p->k, k.i), k_num(e, K_BLOCK));
    Loop s = loop_begin(e, two.i, k_min(e, all, k_add(e, two.i, k_num(e, 2))), 1);
    block(e, p, n, s.i, k.i, kc);
    loop_end(e, &s);
    loop_end(e, &k);
    loop_end(e, &two);
    V c = emit_get(e, e->ptr, p->waits);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < 2; j++) sums(e, p, i, j, c, "llvm.x86.tilestored64");
}

/* As many lines a step as bring all hints while the product runs. */
static void hints_begin(Emit *e, Tiles *p, V hint, V n) {
    p->hint = emit_var(e, e->ptr, hint);
    p->last = k_elem(e, e->ptr, hint, k_mul(e, k_sub(e, n, k_num(e, 1)), k_num(e, 2)));
    V none = LLVMConstNull(e->ptr);
    p->want = emit_var(e, e->ptr, none);
    p->until = emit_var(e, e->ptr, none);
    p->per_step = emit_var(e, e->i64, k_num(e, 0));
    If some = if_begin(e, k_lt(e, k_num(e, 0), n));
    V from = k_load_i64(e, hint, k_num(e, 0)), to = k_load_i64(e, hint, k_num(e, 1));
    V lines = k_mul(e, k_add(e, k_ceil(e, k_sub(e, to, from), 64), k_num(e, 1)), n);
    V steps = k_mul(e, k_ceil(e, p->k, TERMS), k_ceil(e, p->n_cols, 2 * TILE));
    emit_set(e, p->per_step, k_div(e, k_sub(e, k_add(e, lines, steps), k_num(e, 1)), steps));
    emit_set(e, p->want, k_load(e, e->ptr, hint, 8));
    emit_set(e, p->until, k_load(e, e->ptr, k_elem(e, e->ptr, hint, k_num(e, 1)), 8));
    if_end(e, &some);
}

Fun contract_product_amx(Emit *e, const Blocking *bl) {
    LLVMTypeRef params[] = {e->ptr, e->ptr, e->ptr, e->i64, e->i64, e->i64, e->i1, e->ptr, e->i64};
    Fun f;
    Emit h;
    LLVMBasicBlockRef back;
    if (fun_begin(e, &h, &f, "rwkvc.product_amx", params, 9, &back)) return f;
    V p[9];
    LLVMGetParams(f.fn, p);
    Tiles t = {
        .bl = bl, .rows = p[0], .cols = p[1], .c = p[2], .n_cols = p[4], .k = p[5], .first = p[6]};
    t.strip = contract_col_strip(&h, bl, p[5]);
    t.waits = emit_var(&h, h.ptr, NULL);
    hints_begin(&h, &t, p[7], p[8]);
    If two = if_begin(&h, k_lt(&h, k_num(&h, TILE), p[3]));
    strip(&h, &t, 2);
    if_else(&h, &two);
    strip(&h, &t, 1);
    if_end(&h, &two);
    fun_end(&h, back);
    return f;
}
