/* Offsets of elements and packed strips: whatever the axes and strides of an operand, the products see
 * f32 or bf16 numbers in the order they want them. How the elements lie is seen at run time: contiguous
 * along the terms, contiguous along the points, or neither.
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

V contract_contiguous(Emit *e, V off, V from, V n) {
    V first = k_load_i64(e, off, from);
    V ok = emit_var(e, e->i64, k_num(e, 1));
    Loop l = loop_begin(e, k_num(e, 1), n, 1);
    V same = k_eq(e, k_load_i64(e, off, k_add(e, from, l.i)), k_add(e, first, l.i));
    emit_set(e, ok, k_and(e, emit_get(e, e->i64, ok), LLVMBuildZExt(e->b, same, e->i64, "")));
    loop_end(e, &l);
    return k_eq(e, emit_get(e, e->i64, ok), k_num(e, 1));
}

V contract_row_strip(Emit *e, const Blocking *bl, V k) {
    return k_mul(e, k_up(e, k, bl->amx ? TERM_STEP : K_BLOCK), k_num(e, bl->row_strip));
}

V contract_col_strip(Emit *e, const Blocking *bl, V k) {
    return k_mul(e, bl->amx ? k_up(e, k, TERM_STEP) : k, k_num(e, bl->col_strip));
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

/* Two vectors of 16 floats, one behind the other, as 32 bf16 numbers. */
static V to_bf16_pair(Emit *e, V lo, V hi) {
    V args[2] = {hi, lo};
    V x = emit_intrinsic(e, "llvm.x86.avx512bf16.cvtne2ps2bf16.512", NULL, 0, args, 2);
    return LLVMBuildBitCast(e->b, x, k_vec(e->i16, 32), "");
}

/* 32 bf16 numbers at src: as stored, or rounded; zeros where the mask, if any, is off. */
static V load_bf16(Emit *e, V src, uint8_t dtype, V in) {
    if (dtype == DT_BF16 && !in) return k_load(e, k_vec(e->i16, 32), src, 2);
    if (dtype == DT_BF16) {
        LLVMTypeRef over[2] = {k_vec(e->i16, 32), e->ptr};
        V args[4] = {src, LLVMConstInt(e->i32, 2, false), k_lanes_below(e, 32, in),
                     LLVMConstNull(over[0])};
        return emit_intrinsic(e, "llvm.masked.load", over, 2, args, 4);
    }
    V half[2];
    for (uint32_t i = 0; i < 2; i++) {
        V mask = in ? k_lanes_below(e, 16, k_sub(e, in, k_num(e, 16 * i))) : NULL;
        half[i] =
            k_load_real(e, k_elem(e, k_storage(e, dtype), src, k_num(e, 16 * i)), dtype, 16, mask);
    }
    return to_bf16_pair(e, half[0], half[1]);
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
    V n_all;              /* rows: numbers of off that may be looked at                */
    V dst, ld, strip;     /* rows: numbers of a strip, of f32 also from row to row     */
    V terms;              /* terms written: kc, or (bf16) that and zeros to a multiple of 32 */
    uint8_t dtype;
    const Blocking *bl;
    uint32_t lanes;
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

/* lanes neighbouring points at one term: floats, or for bf16 as stored where that is bf16. */
static V across(Emit *e, const Pack *p, V from, V k) {
    V src = source(e, p, k_add(e, from, term(e, p, k)));
    if (p->bf16 && p->dtype == DT_BF16) return k_load(e, k_vec(e->i16, p->lanes), src, 2);
    return k_load_real(e, src, p->dtype, p->lanes, NULL);
}

/* Terms k and k + 1 of 16 neighbouring points as words; zeros for terms that are not there (edge). */
static V across_pair(Emit *e, const Pack *p, V from, V k, bool edge) {
    V x[2], place[32];
    for (uint32_t i = 0; i < 2; i++) {
        V at = k_add(e, k, k_num(e, i));
        x[i] = across(e, p, from, at);
        if (edge)
            x[i] = LLVMBuildSelect(e->b, k_lt(e, at, p->kc), x[i], LLVMConstNull(LLVMTypeOf(x[i])),
                                   "");
    }
    for (uint32_t i = 0; i < 32; i++) place[i] = LLVMConstInt(e->i32, i / 2 + i % 2 * 16, false);
    V order = LLVMConstVector(place, 32), both;
    if (p->dtype == DT_BF16) {
        both = LLVMBuildShuffleVector(e->b, x[0], x[1], order, "");
    } else {
        both = to_bf16_pair(e, x[0], x[1]);
        both = LLVMBuildShuffleVector(e->b, both, LLVMGetPoison(LLVMTypeOf(both)), order, "");
    }
    return LLVMBuildBitCast(e->b, both, k_vec(e->i32, 16), "");
}

static Pack pack_of(Emit *e, const Blocking *bl, uint8_t src, bool bf16, V kc) {
    return (Pack){.kc = kc,
                  .terms = bf16 ? k_up(e, kc, TERM_STEP) : kc,
                  .dtype = src,
                  .bl = bl,
                  .lanes = bl->lanes,
                  .bf16 = bf16};
}

/* The first number of single loops is rounded by itself. */
static V single(Emit *e, const Pack *p, V from, V k) {
    V x = k_load_real(e, source(e, p, k_add(e, from, term(e, p, k))), p->dtype, 1, NULL);
    if (!p->bf16) return x;
    return LLVMBuildSelect(e->b, k_lt(e, k, p->kc), to_bf16(e, x, 1),
                           LLVMConstInt(e->i16, 0, false), "");
}

/* ---- rows ----------------------------------------------------------------------------------------- */

/* Where term k of row r goes; bf16: in tiles of 16 rows and 32 terms, two a step. */
static V row_place(Emit *e, const Pack *p, V r, V k) {
    V rows = k_num(e, p->bl->row_strip), number = k_div(e, r, rows);
    V at = k_mul(e, number, p->strip);
    r = k_sub(e, r, k_mul(e, number, rows));
    if (!p->bf16) return k_elem(e, e->f32, p->dst, k_add(e, k_add(e, at, k_mul(e, r, p->ld)), k));
    V in = LLVMBuildURem(e->b, k, k_num(e, TERM_STEP), "");
    V step = k_mul(e, k_sub(e, k, in), rows);
    at = k_add(e, at, k_add(e, step, k_mul(e, r, k_num(e, TERM_STEP))));
    return k_elem(e, e->i16, p->dst, k_add(e, at, in));
}

/* Terms are neighbours: copies. What lies AHEAD is asked for, also in rows after these. */
static void rows_copy(Emit *e, const Pack *p) {
    enum { AHEAD = 6144 }; /* bytes */
    V k0 = k_load_i64(e, p->k, k_num(e, 0));
    V row = k_mul(e, p->kc, k_num(e, k_bytes(p->dtype)));
    V skip = k_add(e, k_div(e, k_num(e, AHEAD), row), k_num(e, 1));
    Loop r = loop_begin(e, k_num(e, 0), p->n, 1);
    V from = k_add(e, k_load_i64(e, p->off, r.i), k0);
    V later = k_min(e, k_add(e, r.i, skip), k_sub(e, p->n_all, k_num(e, 1)));
    V ahead = k_add(e, k_load_i64(e, p->off, later), k0);
    uint32_t n = p->bf16 ? TERM_STEP : p->lanes;
    V rest = p->bf16 ? LLVMBuildURem(e->b, p->kc, k_num(e, n), "") : k_num(e, 0);
    V whole = k_sub(e, p->kc, rest);
    Loop l = loop_begin(e, k_num(e, 0), whole, n);
    V src = source(e, p, k_add(e, from, l.i));
    for (uint32_t q = 0; q < n; q += 64 / k_bytes(p->dtype))
        k_prefetch(e, source(e, p, k_add(e, ahead, k_add(e, l.i, k_num(e, q)))), 2);
    V x = p->bf16 ? load_bf16(e, src, p->dtype, NULL) : k_load_real(e, src, p->dtype, n, NULL);
    k_store(e, x, row_place(e, p, r.i, l.i), 4);
    loop_end(e, &l);
    if (p->bf16) {
        If some = if_begin(e, k_lt(e, k_num(e, 0), rest));
        x = load_bf16(e, source(e, p, k_add(e, from, whole)), p->dtype, rest);
        k_store(e, x, row_place(e, p, r.i, whole), 4);
        if_end(e, &some);
    }
    loop_end(e, &r);
}

/* Rows r0.. are neighbours: lanes terms (bf16: pairs of terms) of each, transposed. The next rows' are asked
 * for. */
static void rows_square(Emit *e, const Pack *p, V r0, V from, V k, bool edge) {
    V v[16], ahead = k_add(e, from, k_num(e, 128 / k_bytes(p->dtype)));
    for (uint32_t i = 0; i < p->lanes; i++) {
        for (uint32_t j = 0; j < (p->bf16 ? 2u : 1u); j++) {
            V at = term(e, p, k_add(e, k, k_num(e, p->bf16 ? 2 * i + j : i)));
            k_prefetch(e, source(e, p, k_add(e, ahead, at)), 2);
        }
        v[i] = p->bf16 ? across_pair(e, p, from, k_add(e, k, k_num(e, 2 * i)), edge)
                       : across(e, p, from, k_add(e, k, k_num(e, i)));
    }
    transpose(e, v, p->lanes);
    for (uint32_t i = 0; i < p->lanes; i++)
        k_store(e, v[i], row_place(e, p, k_add(e, r0, k_num(e, i)), k), 4);
}

/* Rows r0 .. r1 are neighbours, term by term as they come in memory. */
static void rows_squares(Emit *e, const Pack *p, V r0, V r1) {
    V from = k_load_i64(e, p->off, r0);
    uint32_t step = p->bf16 ? TERM_STEP : p->lanes;
    V whole = p->bf16 ? k_mul(e, k_div(e, p->kc, k_num(e, step)), k_num(e, step)) : p->kc;
    Loop l = loop_begin(e, k_num(e, 0), whole, step);
    Loop r = loop_begin(e, r0, r1, p->lanes);
    rows_square(e, p, r.i, k_add(e, from, k_sub(e, r.i, r0)), l.i, false);
    loop_end(e, &r);
    loop_end(e, &l);
    if (!p->bf16) return;
    If some = if_begin(e, k_lt(e, whole, p->kc));
    Loop q = loop_begin(e, r0, r1, p->lanes);
    rows_square(e, p, q.i, k_add(e, from, k_sub(e, q.i, r0)), whole, true);
    loop_end(e, &q);
    if_end(e, &some);
}

static void rows_single(Emit *e, const Pack *p, V r0, V n) {
    Loop r = loop_begin(e, r0, k_add(e, r0, n), 1);
    V from = k_load_i64(e, p->off, r.i);
    Loop l = loop_begin(e, k_num(e, 0), p->terms, 1);
    k_store(e, single(e, p, from, l.i), row_place(e, p, r.i, l.i), p->bf16 ? 2 : 4);
    loop_end(e, &l);
    loop_end(e, &r);
}

/* Neither the terms nor all rows are neighbours: perhaps those of a vector are. */
static void rows_by_vectors(Emit *e, const Pack *p) {
    Loop l = loop_begin(e, k_num(e, 0), p->n, p->lanes);
    V n = k_min(e, k_sub(e, p->n, l.i), k_num(e, p->lanes));
    If run = if_begin(e, contract_contiguous(e, p->off, l.i, n));
    rows_squares(e, p, l.i, k_add(e, l.i, n));
    if_else(e, &run);
    rows_single(e, p, l.i, n);
    if_end(e, &run);
    loop_end(e, &l);
}

Fun contract_pack_rows(Emit *e, const Blocking *bl, uint8_t src, bool bf16) {
    char name[64];
    snprintf(name, sizeof name, "rwkvc.pack_rows.%s.%u", bf16 ? "bf16" : "f32", src);
    LLVMTypeRef params[] = {e->ptr, e->i64, e->i64, e->ptr, e->ptr,
                            e->i64, e->i64, e->ptr, e->i64, e->i1};
    Fun f;
    Emit h;
    LLVMBasicBlockRef back;
    if (fun_begin(e, &h, &f, name, params, 10, &back)) return f;
    V a[10];
    LLVMGetParams(f.fn, a);
    Pack p = pack_of(&h, bl, src, bf16, a[8]);
    p.dst = a[0], p.ld = a[1], p.strip = a[2], p.src = a[3], p.off = a[4], p.n = a[5],
    p.n_all = a[6], p.k = a[7];
    If along = if_begin(&h, a[9]);
    rows_copy(&h, &p);
    if_else(&h, &along);
    If run = if_begin(&h, contract_contiguous(&h, p.off, k_num(&h, 0), p.n));
    rows_squares(&h, &p, k_num(&h, 0), p.n);
    if_else(&h, &run);
    rows_by_vectors(&h, &p);
    if_end(&h, &run);
    if_end(&h, &along);
    fun_end(&h, back);
    return f;
}

/* ---- columns: [k][strip] of f32, or tiles of 16 pairs of terms of 16 columns, two a step ------------ */

/* Where word `unit` (a term, or two) of columns from c0 on goes, in words of four bytes. */
static V word(Emit *e, const Pack *p, V c0, V unit) {
    V strip = k_num(e, p->bl->col_strip), in = LLVMBuildURem(e->b, c0, strip, "");
    V at = k_mul(e, k_sub(e, c0, in), p->bf16 ? k_div(e, p->terms, k_num(e, 2)) : p->terms);
    if (!p->bf16)
        return k_elem(e, e->i32, p->dst, k_add(e, k_add(e, at, in), k_mul(e, unit, strip)));
    V row = LLVMBuildURem(e->b, unit, k_num(e, 16), ""),
      col = LLVMBuildURem(e->b, in, k_num(e, 16), "");
    at = k_add(e, at, k_mul(e, k_sub(e, unit, row), strip));
    at = k_add(e, at,
               k_add(e, k_mul(e, row, k_num(e, 16)), k_mul(e, k_sub(e, in, col), k_num(e, 16))));
    return k_elem(e, e->i32, p->dst, k_add(e, at, col));
}

static V units(Emit *e, const Pack *p) {
    return p->bf16 ? k_div(e, p->terms, k_num(e, 2)) : p->terms;
}

/* Words of lanes columns from unit u on, as they lie along the terms; transposed and stored. The columns
 * after them are asked for. */
static void cols_square(Emit *e, const Pack *p, V c0, const V *from, V ahead, V u, bool whole) {
    V v[16];
    V k = p->bf16 ? k_mul(e, u, k_num(e, 2)) : u;
    for (uint32_t i = 0; i < p->lanes; i++) {
        V src = source(e, p, k_add(e, from[i], k));
        if (whole) k_prefetch(e, k_elem(e, k_storage(e, p->dtype), src, ahead), 2);
        if (!p->bf16)
            v[i] = k_load_real(e, src, p->dtype, p->lanes, NULL);
        else
            v[i] = LLVMBuildBitCast(e->b,
                                    load_bf16(e, src, p->dtype, whole ? NULL : k_sub(e, p->kc, k)),
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
    V ahead = k_sub(e, k_add(e, point(e, p, k_add(e, c0, k_num(e, p->lanes))), k0), from[0]);
    V whole =
        p->bf16 ? k_mul(e, k_div(e, p->kc, k_num(e, TERM_STEP)), k_num(e, TERM_STEP / 2)) : p->kc;
    Loop l = loop_begin(e, k_num(e, 0), whole, p->lanes);
    cols_square(e, p, c0, from, ahead, l.i, true);
    loop_end(e, &l);
    if (!p->bf16) return;
    If some = if_begin(e, k_lt(e, whole, units(e, p)));
    cols_square(e, p, c0, from, ahead, whole, false);
    if_end(e, &some);
}

/* Columns c0 .. c1 are neighbours: units u0 .. u1 of them all, as they come in memory. */
static void cols_copy(Emit *e, const Pack *p, V c0, V c1, V u0, V u1, bool edge) {
    V from = k_load_i64(e, p->off, c0);
    Loop u = loop_begin(e, u0, u1, 1);
    V k = p->bf16 ? k_mul(e, u.i, k_num(e, 2)) : u.i;
    V ahead = k_sub(e, term(e, p, k_add(e, k, k_num(e, 4))), term(e, p, k));
    Loop c = loop_begin(e, c0, c1, p->lanes);
    V at = k_add(e, from, k_sub(e, c.i, c0));
    for (uint32_t i = 0; i < (p->bf16 ? 2u : 1u); i++)
        k_prefetch(
            e, source(e, p, k_add(e, k_add(e, at, ahead), term(e, p, k_add(e, k, k_num(e, i))))),
            2);
    V x = p->bf16 ? across_pair(e, p, at, k, edge) : across(e, p, at, k);
    k_store(e, x, word(e, p, c.i, u.i), 4);
    loop_end(e, &c);
    loop_end(e, &u);
}

static void cols_copied(Emit *e, const Pack *p, V c0, V c1) {
    V whole = p->bf16 ? k_div(e, p->kc, k_num(e, 2)) : p->kc;
    cols_copy(e, p, c0, c1, k_num(e, 0), whole, false);
    if (p->bf16) cols_copy(e, p, c0, c1, whole, units(e, p), true);
}

static void cols_single(Emit *e, const Pack *p, V c0, V n) {
    Loop c = loop_begin(e, c0, k_add(e, c0, n), 1);
    V from = k_load_i64(e, p->off, c.i);
    Loop l = loop_begin(e, k_num(e, 0), units(e, p), 1);
    V to = word(e, p, c.i, l.i);
    for (uint32_t i = 0; i < (p->bf16 ? 2u : 1u); i++) {
        V k = p->bf16 ? k_add(e, k_mul(e, l.i, k_num(e, 2)), k_num(e, i)) : l.i;
        V place = p->bf16 ? k_elem(e, e->i16, to, k_num(e, i)) : to;
        k_store(e, single(e, p, from, k), place, p->bf16 ? 2 : 4);
    }
    loop_end(e, &l);
    loop_end(e, &c);
}

/* Neither the terms nor all columns are neighbours: perhaps those of a vector are. */
static void cols_by_vectors(Emit *e, const Pack *p) {
    Loop l = loop_begin(e, k_num(e, 0), p->n, p->lanes);
    V n = k_min(e, k_sub(e, p->n, l.i), k_num(e, p->lanes));
    If run = if_begin(e, contract_contiguous(e, p->off, l.i, n));
    cols_copied(e, p, l.i, k_add(e, l.i, n));
    if_else(e, &run);
    cols_single(e, p, l.i, n);
    if_end(e, &run);
    loop_end(e, &l);
}

Fun contract_pack_cols(Emit *e, const Blocking *bl, uint8_t src, bool bf16) {
    char name[64];
    snprintf(name, sizeof name, "rwkvc.pack_cols.%s.%u", bf16 ? "bf16" : "f32", src);
    LLVMTypeRef params[] = {e->ptr, e->ptr, e->ptr, e->i64, e->ptr, e->i64, e->i1};
    Fun f;
    Emit h;
    LLVMBasicBlockRef back;
    if (fun_begin(e, &h, &f, name, params, 7, &back)) return f;
    V a[7];
    LLVMGetParams(f.fn, a);
    Pack p = pack_of(&h, bl, src, bf16, a[5]);
    p.dst = a[0], p.src = a[1], p.off = a[2], p.n = a[3], p.k = a[4];
    If along = if_begin(&h, a[6]);
    Loop l = loop_begin(&h, k_num(&h, 0), p.n, p.lanes);
    cols_transposed(&h, &p, l.i);
    loop_end(&h, &l);
    if_else(&h, &along);
    If run = if_begin(&h, contract_contiguous(&h, p.off, k_num(&h, 0), p.n));
    cols_copied(&h, &p, k_num(&h, 0), p.n);
    if_else(&h, &run);
    cols_by_vectors(&h, &p);
    if_end(&h, &run);
    if_end(&h, &along);
    fun_end(&h, back);
    return f;
}
