/* Offsets of elements and packed blocks: whatever the axes and strides of an operand, the products see
 * f32 or bf16 numbers in the order they want them. How the elements lie is seen at run time, a block at
 * a time: contiguous along the terms, contiguous along the points, or neither.
 *
 * Buffers are readable 64 bytes past their end, so a whole vector may be read wherever its first number
 * is inside, up to 64 bytes. Rows and columns past the last one are packed as copies of the last one. */
#include "contract.h"

/* ---- offsets ----------------------------------------------------------------------------------- */

/* Offset of flattened point p: sum of its digits times their strides; *last: its last digit. */
static V digits_offset(Emit *e, V p, V n, V size, V stride, V *last) {
    V rest = emit_var(e, e->i64, p), sum = emit_var(e, e->i64, k_num(e, 0));
    V tail = emit_var(e, e->i64, k_num(e, 0));
    Loop l = loop_begin(e, k_num(e, 0), n, 1);
    {
        V d = k_sub(e, k_sub(e, n, k_num(e, 1)), l.i), r = emit_get(e, e->i64, rest);
        V s = k_load_i64(e, size, d), q = k_div(e, r, s), digit = k_sub(e, r, k_mul(e, q, s));
        emit_set(e, sum,
                 k_add(e, emit_get(e, e->i64, sum), k_mul(e, digit, k_load_i64(e, stride, d))));
        V first = k_eq(e, l.i, k_num(e, 0));
        emit_set(e, tail, LLVMBuildSelect(e->b, first, digit, emit_get(e, e->i64, tail), ""));
        emit_set(e, rest, q);
    }
    loop_end(e, &l);
    *last = emit_get(e, e->i64, tail);
    return emit_get(e, e->i64, sum);
}

Fun contract_offsets(Emit *e) {
    LLVMTypeRef params[] = {e->ptr, e->i64, e->i64, e->i64, e->ptr, e->ptr};
    Fun f;
    Emit h;
    LLVMBasicBlockRef back;
    if (fun_begin(e, &h, &f, "rwkvc.offsets", params, 6, &back)) return f;
    V dst = LLVMGetParam(f.fn, 0), start = LLVMGetParam(f.fn, 1), count = LLVMGetParam(f.fn, 2);
    V n = LLVMGetParam(f.fn, 3), size = LLVMGetParam(f.fn, 4), stride = LLVMGetParam(f.fn, 5);
    V last = k_sub(&h, n, k_num(&h, 1));
    V step = k_load_i64(&h, stride, last), length = k_load_i64(&h, size, last);
    /* Runs of the last digit: one division a run. */
    V done = emit_var(&h, h.i64, k_num(&h, 0));
    While w = while_begin(&h);
    V i = emit_get(&h, h.i64, done);
    while_test(&h, &w, k_lt(&h, i, count));
    V digit, base = digits_offset(&h, k_add(&h, start, i), n, size, stride, &digit);
    V run = k_min(&h, k_sub(&h, count, i), k_sub(&h, length, digit));
    Loop l = loop_begin(&h, k_num(&h, 0), run, 1);
    V offset = k_add(&h, base, k_mul(&h, l.i, step));
    k_store(&h, offset, k_elem(&h, h.i64, dst, k_add(&h, i, l.i)), 8);
    loop_end(&h, &l);
    emit_set(&h, done, k_add(&h, i, run));
    while_end(&h, &w);
    fun_end(&h, back);
    return f;
}

/* i1: off[from .. from+n) are neighbours, rising by one. n >= 1. */
static V contiguous(Emit *e, V off, V from, V n) {
    V first = k_load_i64(e, off, from);
    V ok = emit_var(e, e->i64, k_num(e, 1));
    Loop l = loop_begin(e, k_num(e, 1), n, 1);
    V same = k_eq(e, k_load_i64(e, off, k_add(e, from, l.i)), k_add(e, first, l.i));
    emit_set(e, ok, k_and(e, emit_get(e, e->i64, ok), LLVMBuildZExt(e->b, same, e->i64, "")));
    loop_end(e, &l);
    return k_eq(e, emit_get(e, e->i64, ok), k_num(e, 1));
}

/* ---- numbers ----------------------------------------------------------------------------------- */

/* bf16 bits as i16 (round to nearest, ties to even). Only vectors are converted by an instruction. */
static V to_bf16(Emit *e, V x, uint32_t n) {
    if (n == 1)
        return LLVMBuildExtractElement(e->b, to_bf16(e, emit_splat(e, 4, x), 4),
                                       LLVMConstInt(e->i32, 0, false), "");
    return LLVMBuildBitCast(e->b, LLVMBuildFPTrunc(e->b, x, k_vec(e->bf16, n), ""),
                            k_vec(e->i16, n), "");
}

/* n bf16 numbers at src: as stored, or rounded. */
static V load_bf16(Emit *e, V src, uint8_t dtype, uint32_t n, V mask) {
    if (dtype != DT_BF16) return to_bf16(e, k_load_real(e, src, dtype, n, mask), n);
    LLVMTypeRef t = n == 1 ? e->i16 : k_vec(e->i16, n);
    if (!mask) return k_load(e, t, src, 2);
    V args[4] = {src, LLVMConstInt(e->i32, 2, false), mask, LLVMConstNull(t)};
    LLVMTypeRef over[2] = {t, e->ptr};
    return emit_intrinsic(e, "llvm.masked.load", over, 2, args, 4);
}

/* Transposes n vectors of n lanes, n = 8 or 16. */
static void transpose(Emit *e, V *v, uint32_t n) {
    for (uint32_t s = 1; s < n; s *= 2) {
        V lo[16], hi[16], out[16];
        for (uint32_t j = 0; j < n; j++) {
            uint32_t keep = j & ~s & (n - 1);
            lo[j] = LLVMConstInt(e->i32, j & s ? n + keep : keep, false);
            hi[j] = LLVMConstInt(e->i32, j & s ? n + j : keep + s, false);
        }
        for (uint32_t i = 0; i < n; i++) {
            if (i & s) continue;
            out[i] = LLVMBuildShuffleVector(e->b, v[i], v[i + s], LLVMConstVector(lo, n), "");
            out[i + s] = LLVMBuildShuffleVector(e->b, v[i], v[i + s], LLVMConstVector(hi, n), "");
        }
        for (uint32_t i = 0; i < n; i++) v[i] = out[i];
    }
}

/* ---- one block --------------------------------------------------------------------------------- */

typedef struct Pack {
    V src, off, n, k, kc; /* numbers at src[off[point] + k[term]], n points, kc terms */
    V dst, ld;            /* rows: row stride of dst; columns: none                   */
    V terms;              /* terms written: kc, or (bf16) that and zeros to a multiple of 32 */
    uint8_t dtype;
    uint32_t lanes, strip;
    bool bf16;
} Pack;

static V source(Emit *e, const Pack *p, V offset) {
    return k_elem(e, k_storage(e, p->dtype), p->src, offset);
}

/* Offset of point i, of the last one when there is no such. */
static V point(Emit *e, const Pack *p, V i) {
    return k_load_i64(e, p->off, k_min(e, i, k_sub(e, p->n, k_num(e, 1))));
}

static V term(Emit *e, const Pack *p, V i) {
    return k_load_i64(e, p->k, k_min(e, i, k_sub(e, p->kc, k_num(e, 1))));
}

static void pack_terms(Emit *e, Pack *p) {
    V up = k_mul(e, k_ceil(e, p->kc, 32), k_num(e, 32));
    p->terms = p->bf16 ? up : p->kc;
}

/* Stores number x (float) or zero (x = NULL) at dst[i]. */
static void put(Emit *e, const Pack *p, V i, V x) {
    if (!p->bf16)
        k_store(e, x ? x : emit_f32(e, 0), k_elem(e, e->f32, p->dst, i), 4);
    else
        k_store(e, x ? to_bf16(e, x, 1) : LLVMConstInt(e->i16, 0, false),
                k_elem(e, e->i16, p->dst, i), 2);
}

/* ---- rows ----------------------------------------------------------------------------------------- */

/* Where term k of row r goes; bf16: in tiles of 16 rows and 32 terms. */
static V row_place(Emit *e, const Pack *p, V r, V k) {
    if (!p->bf16) return k_add(e, k_mul(e, r, p->ld), k);
    V in = LLVMBuildURem(e->b, r, k_num(e, 16), ""),
      left = LLVMBuildURem(e->b, k, k_num(e, 32), "");
    V row = k_add(e, k_mul(e, k_sub(e, r, in), k_num(e, K_BLOCK)), k_mul(e, in, k_num(e, 32)));
    return k_add(e, row, k_add(e, k_mul(e, k_sub(e, k, left), k_num(e, 16)), left));
}

/* Terms are neighbours: copies. */
static void rows_copy(Emit *e, const Pack *p) {
    V k0 = k_load_i64(e, p->k, k_num(e, 0));
    Loop r = loop_begin(e, k_num(e, 0), p->n, 1);
    V from = k_add(e, k_load_i64(e, p->off, r.i), k0);
    V ahead = k_add(e, point(e, p, k_add(e, r.i, k_num(e, 8))), k0); /* rows come from far */
    uint32_t n = p->bf16 ? 32 : p->lanes;
    LLVMTypeRef t = p->bf16 ? e->i16 : e->f32;
    V whole = p->bf16 ? k_sub(e, p->kc, k_num(e, n - 1)) : p->kc;
    Loop l = loop_begin(e, k_num(e, 0), whole, n);
    V src = source(e, p, k_add(e, from, l.i));
    for (uint32_t q = 0; q < n; q += 64 / k_bytes(p->dtype))
        k_prefetch(e, source(e, p, k_add(e, ahead, k_add(e, l.i, k_num(e, q)))));
    V x = p->bf16 ? load_bf16(e, src, p->dtype, n, NULL) : k_load_real(e, src, p->dtype, n, NULL);
    k_store(e, x, k_elem(e, t, p->dst, row_place(e, p, r.i, l.i)), 4);
    loop_end(e, &l);
    if (p->bf16) {
        V left = LLVMBuildURem(e->b, p->kc, k_num(e, 32), ""), at = k_sub(e, p->kc, left);
        If some = if_begin(e, k_lt(e, k_num(e, 0), left));
        x = load_bf16(e, source(e, p, k_add(e, from, at)), p->dtype, n, k_lanes_below(e, n, left));
        k_store(e, x, k_elem(e, t, p->dst, row_place(e, p, r.i, at)), 4);
        if_end(e, &some);
    }
    loop_end(e, &r);
}

/* Rows r0.. are neighbours: squares of lanes x lanes, transposed. */
static void rows_squares(Emit *e, const Pack *p, V r0) {
    V from = k_load_i64(e, p->off, r0);
    Loop l = loop_begin(e, k_num(e, 0), p->terms, p->lanes);
    V v[16];
    for (uint32_t i = 0; i < p->lanes; i++) {
        V k = term(e, p, k_add(e, l.i, k_num(e, i)));
        v[i] = k_load_real(e, source(e, p, k_add(e, from, k)), p->dtype, p->lanes, NULL);
    }
    transpose(e, v, p->lanes);
    V in = k_lanes_below(e, p->lanes, k_sub(e, p->kc, l.i));
    for (uint32_t i = 0; i < p->lanes; i++) {
        V to = row_place(e, p, k_add(e, r0, k_num(e, i)), l.i);
        if (!p->bf16) {
            k_store(e, v[i], k_elem(e, e->f32, p->dst, to), 4);
            continue;
        }
        V x = LLVMBuildSelect(e->b, in, v[i], LLVMConstNull(k_vec(e->f32, p->lanes)), "");
        k_store(e, to_bf16(e, x, p->lanes), k_elem(e, e->i16, p->dst, to), 2);
    }
    loop_end(e, &l);
}

static void rows_single(Emit *e, const Pack *p, V r0, V n) {
    Loop r = loop_begin(e, r0, k_add(e, r0, n), 1);
    V from = k_load_i64(e, p->off, r.i);
    Loop l = loop_begin(e, k_num(e, 0), p->kc, 1);
    V x = k_load_real(e, source(e, p, k_add(e, from, k_load_i64(e, p->k, l.i))), p->dtype, 1, NULL);
    put(e, p, row_place(e, p, r.i, l.i), x);
    loop_end(e, &l);
    Loop z = loop_begin(e, p->kc, p->terms, 1);
    put(e, p, row_place(e, p, r.i, z.i), NULL);
    loop_end(e, &z);
    loop_end(e, &r);
}

Fun contract_pack_rows(Emit *e, const Blocking *bl, uint8_t src, bool bf16) {
    char name[64];
    snprintf(name, sizeof name, "rwkvc.pack_rows.%s.%u", bf16 ? "bf16" : "f32", src);
    LLVMTypeRef params[] = {e->ptr, e->i64, e->ptr, e->ptr, e->i64, e->ptr, e->i64};
    Fun f;
    Emit h;
    LLVMBasicBlockRef back;
    if (fun_begin(e, &h, &f, name, params, 7, &back)) return f;
    Pack p = {.dst = LLVMGetParam(f.fn, 0),
              .ld = LLVMGetParam(f.fn, 1),
              .src = LLVMGetParam(f.fn, 2),
              .off = LLVMGetParam(f.fn, 3),
              .n = LLVMGetParam(f.fn, 4),
              .k = LLVMGetParam(f.fn, 5),
              .kc = LLVMGetParam(f.fn, 6),
              .dtype = src,
              .lanes = bl->lanes,
              .bf16 = bf16};
    pack_terms(&h, &p);
    If along = if_begin(&h, contiguous(&h, p.k, k_num(&h, 0), p.kc));
    rows_copy(&h, &p);
    if_else(&h, &along);
    Loop l = loop_begin(&h, k_num(&h, 0), p.n, p.lanes);
    V n = k_min(&h, k_sub(&h, p.n, l.i), k_num(&h, p.lanes));
    If across = if_begin(&h, contiguous(&h, p.off, l.i, n));
    rows_squares(&h, &p, l.i);
    if_else(&h, &across);
    rows_single(&h, &p, l.i, n);
    if_end(&h, &across);
    loop_end(&h, &l);
    if_end(&h, &along);
    fun_end(&h, back);
    return f;
}

/* ---- columns: [k][strip] of f32, or [k/2][strip] of pairs of bf16 --------------------------------- */

/* Where word `unit` (a term, or two) of column c0 of this chunk goes, in words of four bytes. */
static V word(Emit *e, const Pack *p, V c0, V unit) {
    V strip = k_num(e, p->strip), in = LLVMBuildURem(e->b, c0, strip, "");
    int64_t size = (int64_t)K_BLOCK * p->strip / (p->bf16 ? 2 : 1);
    V base = k_add(e, k_mul(e, k_div(e, c0, strip), k_num(e, size)), in);
    return k_elem(e, e->i32, p->dst, k_add(e, base, k_mul(e, unit, strip)));
}

static V units(Emit *e, const Pack *p) {
    return p->bf16 ? k_div(e, p->terms, k_num(e, 2)) : p->terms;
}

/* Words of lanes columns from unit u on, as they lie along the terms; transposed and stored. */
static void cols_square(Emit *e, const Pack *p, V c0, const V *from, V u, bool whole) {
    V v[16];
    V k = p->bf16 ? k_mul(e, u, k_num(e, 2)) : u;
    V mask = whole ? NULL : k_lanes_below(e, 2 * p->lanes, k_sub(e, p->kc, k));
    for (uint32_t i = 0; i < p->lanes; i++) {
        V src = source(e, p, k_add(e, from[i], k));
        if (!p->bf16)
            v[i] = k_load_real(e, src, p->dtype, p->lanes, NULL);
        else
            v[i] = LLVMBuildBitCast(e->b, load_bf16(e, src, p->dtype, 2 * p->lanes, mask),
                                    k_vec(e->i32, p->lanes), "");
    }
    transpose(e, v, p->lanes);
    for (uint32_t i = 0; i < p->lanes; i++)
        k_store(e, v[i], word(e, p, c0, k_add(e, u, k_num(e, i))), 4);
}

static void cols_transposed(Emit *e, const Pack *p, V c0) {
    V from[16], k0 = k_load_i64(e, p->k, k_num(e, 0));
    for (uint32_t i = 0; i < p->lanes; i++)
        from[i] = k_add(e, point(e, p, k_add(e, c0, k_num(e, i))), k0);
    V whole = p->bf16 ? k_div(e, k_sub(e, p->kc, LLVMBuildURem(e->b, p->kc, k_num(e, 32), "")),
                              k_num(e, 2))
                      : p->kc;
    Loop l = loop_begin(e, k_num(e, 0), whole, p->lanes);
    cols_square(e, p, c0, from, l.i, true);
    loop_end(e, &l);
    if (!p->bf16) return;
    If some = if_begin(e, k_lt(e, whole, units(e, p)));
    cols_square(e, p, c0, from, whole, false);
    if_end(e, &some);
}

/* lanes neighbouring columns at one term, as bits in words. */
static V across(Emit *e, const Pack *p, V from, V k) {
    V src = source(e, p, k_add(e, from, k));
    if (!p->bf16) return k_load_real(e, src, p->dtype, p->lanes, NULL);
    return LLVMBuildZExt(e->b, load_bf16(e, src, p->dtype, p->lanes, NULL), k_vec(e->i32, p->lanes),
                         "");
}

static void cols_copy(Emit *e, const Pack *p, V c0) {
    V from = k_load_i64(e, p->off, c0);
    Loop l = loop_begin(e, k_num(e, 0), units(e, p), 1);
    if (!p->bf16) {
        k_store(e, across(e, p, from, k_load_i64(e, p->k, l.i)), word(e, p, c0, l.i), 4);
        loop_end(e, &l);
        return;
    }
    V zero = LLVMConstNull(k_vec(e->i32, p->lanes));
    V half[2];
    for (uint32_t i = 0; i < 2; i++) {
        V k = k_add(e, k_mul(e, l.i, k_num(e, 2)), k_num(e, i));
        half[i] =
            LLVMBuildSelect(e->b, k_lt(e, k, p->kc), across(e, p, from, term(e, p, k)), zero, "");
    }
    V up = emit_splat(e, p->lanes, LLVMConstInt(e->i32, 16, false));
    V both = LLVMBuildOr(e->b, half[0], LLVMBuildShl(e->b, half[1], up, ""), "");
    k_store(e, both, word(e, p, c0, l.i), 4);
    loop_end(e, &l);
}

static void cols_single(Emit *e, const Pack *p, V c0, V n) {
    Loop c = loop_begin(e, c0, k_add(e, c0, n), 1);
    V from = k_load_i64(e, p->off, c.i);
    Loop l = loop_begin(e, k_num(e, 0), units(e, p), 1);
    V to = word(e, p, c.i, l.i);
    for (uint32_t i = 0; i < (p->bf16 ? 2u : 1u); i++) {
        V k = p->bf16 ? k_add(e, k_mul(e, l.i, k_num(e, 2)), k_num(e, i)) : l.i;
        V x = k_load_real(e, source(e, p, k_add(e, from, term(e, p, k))), p->dtype, 1, NULL);
        if (!p->bf16) {
            k_store(e, x, to, 4);
            continue;
        }
        x = LLVMBuildSelect(e->b, k_lt(e, k, p->kc), to_bf16(e, x, 1),
                            LLVMConstInt(e->i16, 0, false), "");
        k_store(e, x, k_elem(e, e->i16, to, k_num(e, i)), 2);
    }
    loop_end(e, &l);
    loop_end(e, &c);
}

Fun contract_pack_cols(Emit *e, const Blocking *bl, uint8_t src, bool bf16) {
    char name[64];
    snprintf(name, sizeof name, "rwkvc.pack_cols.%s.%u", bf16 ? "bf16" : "f32", src);
    LLVMTypeRef params[] = {e->ptr, e->ptr, e->ptr, e->i64, e->ptr, e->i64};
    Fun f;
    Emit h;
    LLVMBasicBlockRef back;
    if (fun_begin(e, &h, &f, name, params, 6, &back)) return f;
    Pack p = {.dst = LLVMGetParam(f.fn, 0),
              .src = LLVMGetParam(f.fn, 1),
              .off = LLVMGetParam(f.fn, 2),
              .n = LLVMGetParam(f.fn, 3),
              .k = LLVMGetParam(f.fn, 4),
              .kc = LLVMGetParam(f.fn, 5),
              .dtype = src,
              .lanes = bl->lanes,
              .strip = bl->strip,
              .bf16 = bf16};
    pack_terms(&h, &p);
    V along = contiguous(&h, p.k, k_num(&h, 0), p.kc);
    Loop l = loop_begin(&h, k_num(&h, 0), p.n, p.lanes);
    V n = k_min(&h, k_sub(&h, p.n, l.i), k_num(&h, p.lanes));
    If first = if_begin(&h, along);
    cols_transposed(&h, &p, l.i);
    if_else(&h, &first);
    If second = if_begin(&h, contiguous(&h, p.off, l.i, n));
    cols_copy(&h, &p, l.i);
    if_else(&h, &second);
    cols_single(&h, &p, l.i, n);
    if_end(&h, &second);
    if_end(&h, &first);
    loop_end(&h, &l);
    fun_end(&h, back);
    return f;
}
