/* Products in vectors of f32: packed strips (many rows), and few rows against an operand that is read
 * once, as it lies in memory. Every element's sum is one chain of fused multiply-adds over the terms of
 * a block (packed), of its lane of terms (dot) or of all terms (axpy), the same whatever stands around. */
#include "contract.h"

/* ---- packed strips ------------------------------------------------------------------------------ */

enum { MAX_MICRO = 14 };

typedef struct Product {
    const Blocking *bl;
    V rows, cols, c, kc, first; /* of one block of terms, of which there are kc */
    V strip;                    /* numbers of a strip of columns                */
} Product;

/* c[r.. r+n)[s*col_strip ..] of one strip: n rows of two vectors in registers. */
static void micro(Emit *e, const Product *p, uint32_t n, V r, V s, V *acc) {
    const Blocking *bl = p->bl;
    LLVMTypeRef t = k_vec(e->f32, bl->lanes);
    V a = k_elem(e, e->f32, p->rows, k_mul(e, r, k_num(e, K_BLOCK)));
    V b = k_elem(e, e->f32, p->cols, k_mul(e, s, p->strip));
    V at = k_add(e, k_mul(e, r, k_num(e, contract_ld(bl))), k_mul(e, s, k_num(e, bl->col_strip)));
    V c = k_elem(e, e->f32, p->c, at);
    for (uint32_t i = 0; i < 2 * n; i++) emit_set(e, acc[i], LLVMConstNull(t));
    Loop l = loop_begin(e, k_num(e, 0), p->kc, 1);
    V ak = k_elem(e, e->f32, a, l.i),
      bk = k_elem(e, e->f32, b, k_mul(e, l.i, k_num(e, bl->col_strip))), y[2];
    for (uint32_t j = 0; j < 2; j++)
        y[j] = k_load(e, t, k_elem(e, t, bk, k_num(e, j)), 4 * bl->lanes);
    for (uint32_t i = 0; i < n; i++) {
        V x = k_load(e, e->f32, k_elem(e, e->f32, ak, k_num(e, (int64_t)i * K_BLOCK)), 4);
        x = emit_splat(e, bl->lanes, x);
        for (uint32_t j = 0; j < 2; j++)
            emit_set(e, acc[2 * i + j], k_fma(e, x, y[j], emit_get(e, t, acc[2 * i + j])));
    }
    loop_end(e, &l);
    If again = if_begin(e, LLVMBuildNot(e->b, p->first, ""));
    for (uint32_t i = 0; i < 2 * n; i++) {
        V to = k_elem(e, e->f32, c,
                      k_num(e, (int64_t)(i / 2) * contract_ld(bl) + (i % 2) * bl->lanes));
        emit_set(e, acc[i],
                 LLVMBuildFAdd(e->b, k_load(e, t, to, 4 * bl->lanes), emit_get(e, t, acc[i]), ""));
    }
    if_end(e, &again);
    for (uint32_t i = 0; i < 2 * n; i++) {
        V to = k_elem(e, e->f32, c,
                      k_num(e, (int64_t)(i / 2) * contract_ld(bl) + (i % 2) * bl->lanes));
        k_store(e, emit_get(e, t, acc[i]), to, 4 * bl->lanes);
    }
}

/* All rows against one strip of columns. The rows left over at the end go through smaller products, so
 * that fewer are computed in vain. */
static void all_rows(Emit *e, const Product *p, V n_rows, V s, V *acc) {
    uint32_t most = p->bl->micro, some = most > 8 ? 8 : 4, few = some / 2;
    Loop r = loop_begin(e, k_num(e, 0), n_rows, most);
    V left = k_sub(e, n_rows, r.i);
    If many = if_begin(e, k_lt(e, k_num(e, some), left));
    micro(e, p, most, r.i, s, acc);
    if_else(e, &many);
    If fewer = if_begin(e, k_lt(e, k_num(e, few), left));
    micro(e, p, some, r.i, s, acc);
    if_else(e, &fewer);
    micro(e, p, few, r.i, s, acc);
    if_end(e, &fewer);
    if_end(e, &many);
    loop_end(e, &r);
}

Fun contract_product(Emit *e, const Blocking *bl) {
    LLVMTypeRef params[] = {e->ptr, e->ptr, e->ptr, e->i64, e->i64, e->i64, e->i1, e->ptr, e->i64};
    Fun f;
    Emit h;
    LLVMBasicBlockRef back;
    if (fun_begin(e, &h, &f, "rwkvc.product", params, 9, &back)) return f;
    V a[9];
    LLVMGetParams(f.fn, a);
    Product p = {.bl = bl, .c = a[2], .strip = contract_col_strip(&h, bl, a[5])};
    LLVMTypeRef t = k_vec(h.f32, bl->lanes);
    V acc[2 * MAX_MICRO];
    for (uint32_t i = 0; i < 2 * bl->micro; i++) acc[i] = emit_var(&h, t, LLVMConstNull(t));
    Loop l = loop_begin(&h, k_num(&h, 0), a[5], K_BLOCK);
    p.rows = k_elem(&h, h.f32, a[0], k_mul(&h, l.i, k_num(&h, bl->row_strip)));
    p.cols = k_elem(&h, h.f32, a[1], k_mul(&h, l.i, k_num(&h, bl->col_strip)));
    p.kc = k_min(&h, k_sub(&h, a[5], l.i), k_num(&h, K_BLOCK));
    p.first = k_and(&h, a[6], k_eq(&h, l.i, k_num(&h, 0)));
    Loop s = loop_begin(&h, k_num(&h, 0), k_ceil(&h, a[4], bl->col_strip), 1);
    all_rows(&h, &p, a[3], s.i, acc);
    loop_end(&h, &s);
    loop_end(&h, &l);
    fun_end(&h, back);
    return f;
}

/* ---- few rows -------------------------------------------------------------------------------------- */

enum { DOT_COLS = 8, AXPY_TERMS = 8, SUMS = 16 };

typedef struct Few {
    const Blocking *bl;
    V x, row, w, col, stride, c, n_rows, n_cols, k;
    uint8_t dtype;
    V acc[SUMS];
    V ahead; /* axpy: numbers from a row of w to the one that is asked for */
} Few;

static V sum_lanes(Emit *e, V v, uint32_t lanes) {
    for (uint32_t n = lanes / 2; n; n /= 2) {
        V half[2][16];
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = 0; j < 2; j++) half[j][i] = LLVMConstInt(e->i32, i + j * n, false);
        V undef = LLVMGetUndef(LLVMTypeOf(v));
        V lo = LLVMBuildShuffleVector(e->b, v, undef, LLVMConstVector(half[0], n), "");
        V hi = LLVMBuildShuffleVector(e->b, v, undef, LLVMConstVector(half[1], n), "");
        v = LLVMBuildFAdd(e->b, lo, hi, "");
    }
    return LLVMBuildExtractElement(e->b, v, LLVMConstInt(e->i32, 0, false), "");
}

static void few_store(Emit *e, const Few *f, V r, V j, V x, uint32_t align) {
    V to = k_add(e, k_mul(e, r, k_num(e, FEW_LD)), j);
    k_store(e, x, k_elem(e, e->f32, f->c, to), align);
}

/* One step of m rows times n columns, lanes terms from k on; in: the lanes inside, or NULL. */
static void dot_step(Emit *e, const Few *f, uint32_t m, uint32_t n, const V *x, const V *w, V k,
                     V in) {
    uint32_t lanes = f->bl->lanes;
    LLVMTypeRef t = k_vec(e->f32, lanes);
    V xs[4];
    for (uint32_t i = 0; i < m; i++) {
        xs[i] = k_load_real(e, k_elem(e, e->f32, x[i], k), DT_F32, lanes, NULL);
        if (in) xs[i] = LLVMBuildSelect(e->b, in, xs[i], LLVMConstNull(t), "");
    }
    for (uint32_t j = 0; j < n; j++) {
        V y = k_load_real(e, k_elem(e, k_storage(e, f->dtype), w[j], k), f->dtype, lanes, NULL);
        if (in) y = LLVMBuildSelect(e->b, in, y, LLVMConstNull(t), "");
        for (uint32_t i = 0; i < m; i++)
            emit_set(e, f->acc[i * n + j], k_fma(e, xs[i], y, emit_get(e, t, f->acc[i * n + j])));
    }
}

/* c[r..r+m)[j..j+n) = dot products, two steps at a time; the next n columns are asked for meanwhile. */
static void dot_block(Emit *e, const Few *f, uint32_t m, uint32_t n, V r, V j) {
    uint32_t lanes = f->bl->lanes;
    LLVMTypeRef t = k_vec(e->f32, lanes), stored = k_storage(e, f->dtype);
    V x[4], w[DOT_COLS];
    for (uint32_t i = 0; i < m; i++)
        x[i] = k_elem(e, e->f32, f->x, k_load_i64(e, f->row, k_add(e, r, k_num(e, i))));
    for (uint32_t i = 0; i < n; i++)
        w[i] = k_elem(e, stored, f->w, k_load_i64(e, f->col, k_add(e, j, k_num(e, i))));
    for (uint32_t i = 0; i < m * n; i++) emit_set(e, f->acc[i], LLVMConstNull(t));
    V next = k_min(e, k_add(e, j, k_num(e, n)), k_sub(e, f->n_cols, k_num(e, 1)));
    V ahead = k_sub(e, k_load_i64(e, f->col, next), k_load_i64(e, f->col, j));
    uint32_t two = 2 * lanes, line = 64 / k_bytes(f->dtype);
    V whole = k_mul(e, k_div(e, f->k, k_num(e, two)), k_num(e, two));
    Loop l = loop_begin(e, k_num(e, 0), whole, two);
    for (uint32_t i = 0; n > 1 && i < n; i++)
        for (uint32_t q = 0; q < two; q += line)
            k_prefetch(e, k_elem(e, stored, w[i], k_add(e, ahead, k_add(e, l.i, k_num(e, q)))), 2);
    for (uint32_t s = 0; s < two; s += lanes)
        dot_step(e, f, m, n, x, w, k_add(e, l.i, k_num(e, s)), NULL);
    loop_end(e, &l);
    Loop rest = loop_begin(e, whole, f->k, lanes);
    dot_step(e, f, m, n, x, w, rest.i, k_lanes_below(e, lanes, k_sub(e, f->k, rest.i)));
    loop_end(e, &rest);
    for (uint32_t i = 0; i < m; i++)
        for (uint32_t q = 0; q < n; q++)
            few_store(e, f, k_add(e, r, k_num(e, i)), k_add(e, j, k_num(e, q)),
                      sum_lanes(e, emit_get(e, t, f->acc[i * n + q]), lanes), 4);
}

/* All rows against columns j .. j + n: four rows at a time, the rest one by one. */
static void dot_rows(Emit *e, const Few *f, uint32_t n, V j) {
    uint32_t part = n < DOT_COLS ? n : f->bl->lanes / 4;
    V fours = k_mul(e, k_div(e, f->n_rows, k_num(e, 4)), k_num(e, 4));
    Loop r = loop_begin(e, k_num(e, 0), fours, 4);
    Loop q = loop_begin(e, k_num(e, 0), k_num(e, n), part);
    dot_block(e, f, 4, part, r.i, k_add(e, j, q.i));
    loop_end(e, &q);
    loop_end(e, &r);
    Loop s = loop_begin(e, fours, f->n_rows, 1);
    dot_block(e, f, 1, n, s.i, j);
    loop_end(e, &s);
}

static void few_vars(Emit *h, Few *f) {
    LLVMTypeRef t = k_vec(h->f32, f->bl->lanes);
    for (uint32_t i = 0; i < sizeof f->acc / sizeof *f->acc; i++)
        f->acc[i] = emit_var(h, t, LLVMConstNull(t));
}

Fun contract_dot(Emit *e, const Blocking *bl, uint8_t w) {
    char name[64];
    snprintf(name, sizeof name, "rwkvc.dot.%u", w);
    LLVMTypeRef params[] = {e->ptr, e->ptr, e->ptr, e->ptr, e->ptr, e->i64, e->i64, e->i64};
    Fun f;
    Emit h;
    LLVMBasicBlockRef back;
    if (fun_begin(e, &h, &f, name, params, 8, &back)) return f;
    V p[8];
    LLVMGetParams(f.fn, p);
    Few d = {.bl = bl,
             .x = p[0],
             .row = p[1],
             .w = p[2],
             .col = p[3],
             .c = p[4],
             .n_rows = p[5],
             .n_cols = p[6],
             .k = p[7],
             .dtype = w};
    few_vars(&h, &d);
    V whole = k_mul(&h, k_div(&h, d.n_cols, k_num(&h, DOT_COLS)), k_num(&h, DOT_COLS));
    Loop j = loop_begin(&h, k_num(&h, 0), whole, DOT_COLS);
    dot_rows(&h, &d, DOT_COLS, j.i);
    loop_end(&h, &j);
    Loop s = loop_begin(&h, whole, d.n_cols, 1);
    dot_rows(&h, &d, 1, s.i);
    loop_end(&h, &s);
    fun_end(&h, back);
    return f;
}

/* All columns of rows r .. r + m: c += x[.., k .. k + n) * w[k .. k + n, ..], term after term. A line of each
 * of the n rows of w at a time; those `ahead` are asked for. */
static void axpy_block(Emit *e, const Few *f, uint32_t m, uint32_t n, V r, V k) {
    uint32_t lanes = f->bl->lanes, line = 64 / k_bytes(f->dtype);
    LLVMTypeRef t = k_vec(e->f32, lanes), stored = k_storage(e, f->dtype);
    V x[4 * AXPY_TERMS], w[AXPY_TERMS];
    for (uint32_t i = 0; i < m; i++) {
        V from = k_add(e, k_load_i64(e, f->row, k_add(e, r, k_num(e, i))), k);
        for (uint32_t q = 0; q < n; q++) {
            V at = k_elem(e, e->f32, f->x, k_add(e, from, k_num(e, q)));
            x[i * n + q] = emit_splat(e, lanes, k_load(e, e->f32, at, 4));
        }
    }
    for (uint32_t q = 0; q < n; q++)
        w[q] = k_elem(e, stored, f->w, k_mul(e, k_add(e, k, k_num(e, q)), f->stride));
    Loop l = loop_begin(e, k_num(e, 0), f->n_cols, line);
    for (uint32_t q = 0; q < n; q++)
        k_prefetch(e, k_elem(e, stored, w[q], k_add(e, f->ahead, l.i)), 2);
    for (uint32_t v = 0; v < line; v += lanes) {
        V j = k_add(e, l.i, k_num(e, v)), y[AXPY_TERMS];
        for (uint32_t q = 0; q < n; q++)
            y[q] = k_load_real(e, k_elem(e, stored, w[q], j), f->dtype, lanes, NULL);
        for (uint32_t i = 0; i < m; i++) {
            V at = k_add(e, k_mul(e, k_add(e, r, k_num(e, i)), k_num(e, FEW_LD)), j);
            V to = k_elem(e, e->f32, f->c, at), sum = k_load(e, t, to, 4);
            for (uint32_t q = 0; q < n; q++) sum = k_fma(e, x[i * n + q], y[q], sum);
            k_store(e, sum, to, 4);
        }
    }
    loop_end(e, &l);
}

/* n terms from k on, of all rows: four at a time, with as many terms as there are registers for. */
static void axpy_terms(Emit *e, const Few *f, uint32_t n, V k) {
    uint32_t some = n == 1 ? 1 : f->bl->lanes / 4;
    V fours = k_mul(e, k_div(e, f->n_rows, k_num(e, 4)), k_num(e, 4));
    Loop r = loop_begin(e, k_num(e, 0), fours, 4);
    Loop q = loop_begin(e, k, k_add(e, k, k_num(e, n)), some);
    axpy_block(e, f, 4, some, r.i, q.i);
    loop_end(e, &q);
    loop_end(e, &r);
    Loop s = loop_begin(e, fours, f->n_rows, 1);
    axpy_block(e, f, 1, n, s.i, k);
    loop_end(e, &s);
}

Fun contract_axpy(Emit *e, const Blocking *bl, uint8_t w) {
    char name[64];
    snprintf(name, sizeof name, "rwkvc.axpy.%u", w);
    LLVMTypeRef params[] = {e->ptr, e->ptr, e->ptr, e->i64, e->ptr, e->i64, e->i64, e->i64};
    Fun f;
    Emit h;
    LLVMBasicBlockRef back;
    if (fun_begin(e, &h, &f, name, params, 8, &back)) return f;
    V p[8];
    LLVMGetParams(f.fn, p);
    Few d = {.bl = bl,
             .x = p[0],
             .row = p[1],
             .w = p[2],
             .stride = p[3],
             .c = p[4],
             .n_rows = p[5],
             .n_cols = p[6],
             .k = p[7],
             .dtype = w};
    /* Narrow rows: more of them, about a page. */
    V rows = k_add(&h, k_div(&h, k_num(&h, FEW_COLS / 4), d.n_cols), k_num(&h, 1));
    d.ahead = k_mul(&h, k_mul(&h, rows, k_num(&h, AXPY_TERMS)), d.stride);
    LLVMTypeRef t = k_vec(h.f32, bl->lanes);
    Loop r = loop_begin(&h, k_num(&h, 0), d.n_rows, 1);
    Loop j = loop_begin(&h, k_num(&h, 0), d.n_cols, bl->lanes);
    few_store(&h, &d, r.i, j.i, LLVMConstNull(t), 4);
    loop_end(&h, &j);
    loop_end(&h, &r);
    V whole = k_mul(&h, k_div(&h, d.k, k_num(&h, AXPY_TERMS)), k_num(&h, AXPY_TERMS));
    Loop k = loop_begin(&h, k_num(&h, 0), whole, AXPY_TERMS);
    axpy_terms(&h, &d, AXPY_TERMS, k.i);
    loop_end(&h, &k);
    Loop one = loop_begin(&h, whole, d.k, 1);
    axpy_terms(&h, &d, 1, one.i);
    loop_end(&h, &one);
    fun_end(&h, back);
    return f;
}
