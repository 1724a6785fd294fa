/* contract: a sum over a product of two factors, in tiles of m x n, and what follows at the same points.
 * Columns (contract_shape.h) lie in the lanes of vectors.
 *
 * Grid: batch, then groups of `rows` rows, then tiles of columns, then the tiles of rows of a group. So a
 * range is cut into large rectangles; where there are few columns, a group is one tile of rows, and the
 * range is cut along the rows. A result of FEW_ROWS rows or less is computed without packing: the columns'
 * factor (the weights, in decoding) is read once as it lies. Which way is taken depends on sizes alone and
 * every sum has an order of its own, so a result is the same however the grid is cut. */
#include "contract_rect.h"

#include <string.h>

/* ---- the shape ---------------------------------------------------------------------------------- */

/* Of the f32 micro kernels all vector registers are sums but the few that hold factors. A panel and the
 * sums that wait fill about half of 2 MiB of L2. */
Blocking contract_blocking(const Emit *e, bool amx) {
    static const Blocking tiles = {.amx = true,
                                   .lanes = 16,
                                   .micro = 32,
                                   .row_strip = 32,
                                   .col_strip = 32,
                                   .tile_rows = 64,
                                   .tile_cols = 32,
                                   .rows = 512,
                                   .cols = 384,
                                   .near = 1024,
                                   .far = 512,
                                   .panel = 320 << 10};
    static const Blocking wide = {.lanes = 16,
                                  .micro = 14,
                                  .row_strip = 56,
                                  .col_strip = 32,
                                  .tile_rows = 56,
                                  .tile_cols = 32,
                                  .rows = 224,
                                  .cols = 512,
                                  .near = 768,
                                  .far = 256,
                                  .panel = 192 << 10};
    static const Blocking narrow = {.lanes = 8,
                                    .micro = 6,
                                    .row_strip = 48,
                                    .col_strip = 16,
                                    .tile_rows = 48,
                                    .tile_cols = 32,
                                    .rows = 192,
                                    .cols = 512,
                                    .near = 768,
                                    .far = 256,
                                    .panel = 192 << 10};
    return amx ? tiles : e->lanes == 16 ? wide : narrow;
}

static Size times(Emit *e, Size a, Size b) { return size_mul(e->g->sizes, a, b); }
static Size number(Emit *e, int64_t n) { return size_num(e->g->sizes, n); }

static void choose_few(Contract *c) {
    int64_t m;
    bool known = size_is_num(c->e->g->sizes, c->s.m.total, &m);
    if (known && m > FEW_ROWS) return;
    if (shape_is_run(c->e, &c->s.cols.terms))
        c->few = FEW_DOT;
    else if (shape_is_run(c->e, &c->s.cols.points) && c->s.cols.terms.n == 1)
        c->few = FEW_AXPY;
    c->few_only = known && c->few != FEW_NONE;
    c->x_direct = c->s.rows.dtype == DT_F32 && shape_is_run(c->e, &c->s.rows.terms);
}

static Size tiles(Emit *e, Size total, uint32_t tile) {
    Size up = size_add(e->g->sizes, total, number(e, tile - 1));
    return size_floordiv(e->g->sizes, up, number(e, tile));
}

/* ---- scratch -------------------------------------------------------------------------------------- */

static int64_t most(Emit *e, Size total, uint32_t tile, uint32_t limit) {
    int64_t n;
    if (!size_is_num(e->g->sizes, total, &n) || n >= limit) return limit;
    return (n + tile - 1) / tile * tile;
}

static V at_byte(Emit *e, int64_t *used, int64_t bytes) {
    V p = k_elem(e, LLVMInt8TypeInContext(e->c), e->scratch_p, k_num(e, *used));
    *used += (bytes + 63) / 64 * 64;
    return p;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t greatest(int64_t a, int64_t b) { return a > b ? a : b; }

/* What packed strips and the sums of many rows take. Squares and tiles are stored whole: some numbers more
 * than there are rows, or terms. */
static void lay_out_many(Contract *c, int64_t rows, int64_t *used) {
    Emit *e = c->e;
    const Blocking *bl = &c->bl;
    int64_t bytes = bl->amx ? 2 : 4, strip = bl->row_strip, more = 2 * K_BLOCK * bl->lanes, n;
    bool known = size_is_num(e->g->sizes, c->s.k.total, &n);
    int64_t terms = known && n <= bl->near ? most(e, c->s.k.total, K_BLOCK, bl->near) : bl->near;
    if (known && n > bl->near) terms = bl->far;
    rows = (rows + strip - 1) / strip * strip;
    int64_t packed = known && n > bl->near && shape_is_run(c->e, &c->s.rows.terms) ? strip : rows,
            sums = known && n <= bl->near ? strip : rows;
    int64_t panel = terms * most(e, c->s.n.total, bl->tile_cols, bl->cols);
    c->hint = at_byte(e, used, (int64_t)MOST_OUT * strip * 16);
    c->a = at_byte(e, used, bytes * (packed * terms + more));
    c->b = at_byte(e, used, bytes * (least(bl->panel, panel) + more));
    c->c = at_byte(e, used, 4 * greatest(sums * contract_ld(bl), FEW_SUMS));
}

static Size lay_out(Contract *c) {
    Emit *e = c->e;
    const Blocking *bl = &c->bl;
    int64_t rows = most(e, c->s.m.total, bl->tile_rows, c->few_only ? FEW_ROWS : bl->rows),
            used = 0;
    int64_t terms = greatest(bl->near, bl->far), cols = greatest(bl->cols, FEW_COLS);
    c->row = at_byte(e, &used, (rows + bl->lanes) * 8);
    c->col = at_byte(e, &used, (cols + bl->lanes) * 8);
    c->ka = at_byte(e, &used, terms * 8);
    c->kb = at_byte(e, &used, terms * 8);
    if (c->few_only)
        c->c = at_byte(e, &used, 4 * FEW_SUMS);
    else
        lay_out_many(c, rows, &used);
    if (c->few == FEW_NONE || c->x_direct) return number(e, used);
    c->x = at_byte(e, &used, 0);
    Size one = size_add(e->g->sizes, c->s.k.total, number(e, LD_PAD));
    /* Rows are packed in squares: as many as a vector has lanes are written, then one vector more. */
    return size_add(e->g->sizes, number(e, used + 64), times(e, one, number(e, 4 * bl->lanes)));
}

const char *contract_emit(Emit *e) {
    Contract c = {.e = e};
    if (e->lanes != 8 && e->lanes != 16) return emit_declined;
    if (!shape_of(e, &c.s)) return emit_declined;
    choose_few(&c);
    c.bl = contract_blocking(e, e->amx && e->k->contract.operands == DT_BF16);
    Size grid = times(e, times(e, c.s.batch.total, tiles(e, c.s.m.total, c.bl.tile_rows)),
                      tiles(e, c.s.n.total, c.bl.tile_cols));
    if (!grid) return emit_declined;
    fun_no_calls(e, e->fn);
    e->code->grid = grid;
    e->code->scratch = lay_out(&c);
    contract_kernel(&c);
    return NULL;
}
