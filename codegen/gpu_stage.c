/* Pieces of factors to local memory: points of a tile by terms of a piece.
 *
 * Neighbouring threads load what is neighbours in memory, several numbers at once where they provably lie
 * side by side. What stands behind the last term is 0; what stands behind the last point is any number. */
#include "gpu_contract.h"

static LLVMTypeRef number_type(Emit *e, const Stage *s) {
    return s->f->dtype == DT_F32 ? e->f32 : s->f->dtype == DT_F16 ? e->f16 : e->i16;
}

static LLVMTypeRef vector(LLVMTypeRef t, uint32_t n) { return n == 1 ? t : LLVMVectorType(t, n); }
static uint32_t bytes_of(const Stage *s) { return s->f->dtype == DT_F32 ? 4 : 2; }

/* ---- how it is loaded ------------------------------------------------------------------------------- */

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

static bool is_one(Emit *e, Size s) {
    int64_t n;
    return size_is_num(e->g->sizes, s, &n) && n == 1;
}

static bool is_zero(Emit *e, Size s) {
    int64_t n;
    return size_is_num(e->g->sizes, s, &n) && n == 0;
}

/* Numbers that lie side by side from every multiple of as many on, in the innermost digit. */
static uint32_t run_of(Emit *e, const ShapeDigits *d, uint32_t most) {
    const ShapeDigit *in = &d->d[d->n - 1];
    if (!is_one(e, in->stride)) return 1;
    if (d->n == 1) return most; /* what stands behind the end is cut off */
    uint32_t n = gpu_multiple(e, in->size);
    return n == 0 ? most : least(n, most);
}

static void align_to(Emit *e, uint32_t *align, Size stride, uint32_t bytes) {
    if (is_zero(e, stride)) return;
    uint32_t n = gpu_multiple(e, stride);
    if (n) *align = least(*align, n * bytes);
}

/* Bytes that the address of every vector is a multiple of. */
static uint32_t alignment_of(GpuContract *c, const Stage *s) {
    Emit *e = c->e;
    const ShapeFactor *f = s->f;
    uint32_t bytes = bytes_of(s), align = gpu_alignment(e, f->arg);
    align_to(e, &align, f->base, bytes);
    for (uint32_t i = 0; i < f->n_atoms; i++) align_to(e, &align, f->atoms[i].coef, bytes);
    for (uint32_t i = 0; i < c->s.batch.n; i++)
        align_to(e, &align, f->stride[c->s.batch.axis[i]], bytes);
    for (uint32_t i = 0; i < f->points.n; i++)
        if (s->along_terms || i + 1 < f->points.n)
            align_to(e, &align, f->points.d[i].stride, bytes);
    for (uint32_t i = 0; i < f->terms.n; i++)
        if (!s->along_terms || i + 1 < f->terms.n) align_to(e, &align, f->terms.d[i].stride, bytes);
    return least(align, bytes * s->vec);
}

static void align_vectors(GpuContract *c, Stage *s) {
    s->align = alignment_of(c, s);
    if (c->e->gpu->t->family != FAMILY_NVIDIA) return;
    s->vec = least(s->vec, s->align / bytes_of(s)); /* it takes only whole vectors */
    s->align = least(s->align, s->vec * bytes_of(s));
}

void stage_plan(GpuContract *c, Stage *s) {
    Emit *e = c->e;
    uint32_t all = s->points * s->terms, most = 16 / bytes_of(s), block = e->gpu->block;
    uint32_t terms = run_of(e, &s->f->terms, least(most, s->terms)),
             points = run_of(e, &s->f->points, least(most, s->points));
    s->along_terms = terms >= points;
    s->vec = s->along_terms ? terms : points;
    while (s->vec > 1 && all / s->vec < block) s->vec /= 2;
    align_vectors(c, s);
    s->loads = all / s->vec / block;
    s->group = 1;
    while (s->packed && !s->along_terms && s->group < 4 && s->loads % (2 * s->group) == 0)
        s->group *= 2;
    s->line = s->packed ? s->terms + LOCAL_PAD / 2 : s->points + LOCAL_PAD / 4;
    /* Neighbouring threads store lines that are s->vec apart, which alone would be the same few banks. */
    s->run = s->along_terms ? 1 : s->vec;
    s->skew = s->packed && s->run > 1 ? LOCAL_PAD / 2 : 0;
}

uint32_t stage_bytes(const Stage *s) {
    if (!s->packed) return s->terms * s->line * 4;
    return 2 * (s->points * s->line + s->points / s->run * s->skew);
}

V stage_packed(Emit *e, const Stage *s, V point, V term) {
    V at = LLVMBuildAdd(e->b, LLVMBuildMul(e->b, point, n32(e, s->line), ""), term, "");
    if (s->skew == 0) return at;
    V runs = LLVMBuildUDiv(e->b, point, n32(e, s->run), "");
    return LLVMBuildAdd(e->b, at, LLVMBuildMul(e->b, runs, n32(e, s->skew), ""), "");
}

/* ---- where ------------------------------------------------------------------------------------------- */

/* Offset of index p (i32) of digits: i64. */
static V offset_of(Emit *e, const ShapeDigits *d, V p) {
    V at = NULL;
    for (uint32_t i = d->n; i-- > 0;) {
        V rest = p;
        if (i > 0) {
            V n = narrow(e, emit_size(e, d->d[i].size)), q = LLVMBuildUDiv(e->b, p, n, "");
            rest = LLVMBuildSub(e->b, p, LLVMBuildMul(e->b, q, n, ""), "");
            p = q;
        }
        V part = LLVMBuildMul(e->b, wide(e, rest), emit_size(e, d->d[i].stride), "");
        at = at ? LLVMBuildAdd(e->b, at, part, "") : part;
    }
    return at;
}

void stage_begin(GpuContract *c, Stage *s, V first, V n) {
    Emit *e = c->e;
    V thread = e->gpu->thread, at = shape_offset(e, &c->s, s->f, c->idx);
    uint32_t fast = (s->along_terms ? s->terms : s->points) / s->vec, block = e->gpu->block;
    s->base = LLVMBuildGEP2(e->b, number_type(e, s), e->args[s->f->arg].ptr, &at, 1, "");
    for (uint32_t l = 0; l < s->loads; l++) {
        V i = add32(e, thread, (uint64_t)(l / s->group) * block);
        V quick = LLVMBuildURem(e->b, i, n32(e, fast), ""),
          slow = LLVMBuildUDiv(e->b, i, n32(e, fast), "");
        slow = add32(e, LLVMBuildMul(e->b, slow, n32(e, s->group), ""), l % s->group);
        quick = LLVMBuildMul(e->b, quick, n32(e, s->vec), "");
        s->point[l] = s->along_terms ? slow : quick;
        s->term[l] = s->along_terms ? quick : slow;
        V p = LLVMBuildAdd(e->b, first, s->point[l], "");
        p = choose(e, below(e, p, n), p, n32(e, 0));
        s->at[l] = offset_of(e, &s->f->points, p);
        s->reg[l] = emit_var(e, vector(number_type(e, s), s->vec), NULL);
    }
}

/* ---- loads and stores ---------------------------------------------------------------------------------- */

static bool ends_whole(GpuContract *c, const Stage *s) {
    uint32_t n = gpu_multiple(c->e, s->total);
    return n == 0 || n % s->terms == 0;
}

/* The numbers of x whose terms, from k on, there are. */
static V cut(GpuContract *c, const Stage *s, V x, V k) {
    Emit *e = c->e;
    V zero = LLVMConstNull(LLVMTypeOf(x));
    if (!s->along_terms || s->vec == 1) return choose(e, below(e, k, c->K), x, zero);
    V lane[16];
    for (uint32_t i = 0; i < s->vec; i++) lane[i] = n32(e, i);
    V all = LLVMBuildAdd(e->b, emit_splat(e, s->vec, k), LLVMConstVector(lane, s->vec), "");
    return choose(e, below(e, all, emit_splat(e, s->vec, c->K)), x, zero);
}

void stage_load(GpuContract *c, Stage *s, V k0) {
    Emit *e = c->e;
    LLVMTypeRef t = number_type(e, s);
    bool whole = ends_whole(c, s);
    for (uint32_t l = 0; l < s->loads; l++) {
        V k = LLVMBuildAdd(e->b, k0, s->term[l], ""), in = k;
        if (!whole) in = choose(e, below(e, k, c->K), k, n32(e, 0));
        V at = LLVMBuildAdd(e->b, s->at[l], offset_of(e, &s->f->terms, in), "");
        V x = LLVMBuildLoad2(e->b, vector(t, s->vec), LLVMBuildGEP2(e->b, t, s->base, &at, 1, ""),
                             "");
        LLVMSetAlignment(x, s->align);
        emit_scoped(e, x, e->args[s->f->arg].scope);
        emit_set(e, s->reg[l], whole ? x : cut(c, s, x, k));
    }
}

static V as_float(Emit *e, const Stage *s, V x) {
    uint32_t n = count_of(x);
    if (s->f->dtype == DT_F32) return x;
    if (s->f->dtype == DT_F16) return LLVMBuildFPExt(e->b, x, vector(e->f32, n), "");
    V bits = LLVMBuildZExt(e->b, x, vector(e->i32, n), "");
    bits = LLVMBuildShl(e->b, bits, emit_splat(e, n, n32(e, 16)), "");
    return LLVMBuildBitCast(e->b, bits, vector(e->f32, n), "");
}

static V place_plain(Emit *e, const Stage *s, V term, V point) {
    V at = LLVMBuildAdd(e->b, LLVMBuildMul(e->b, term, n32(e, s->line), ""), point, "");
    return LLVMBuildGEP2(e->b, e->f32, s->to, &at, 1, "");
}

static V place_packed(Emit *e, const Stage *s, V point, V term) {
    V at = stage_packed(e, s, point, term);
    return LLVMBuildGEP2(e->b, e->i16, s->to, &at, 1, "");
}

static void put(Emit *e, V x, V to, uint32_t align) {
    LLVMSetAlignment(LLVMBuildStore(e->b, x, to), align);
}

static V element(Emit *e, V x, uint32_t i) {
    return count_of(x) > 1 ? LLVMBuildExtractElement(e->b, x, n32(e, i), "") : x;
}

/* As f32: lines of points. */
static void store_plain(Emit *e, Stage *s, V x, uint32_t l) {
    x = as_float(e, s, x);
    if (!s->along_terms) {
        put(e, x, place_plain(e, s, s->term[l], s->point[l]), 4 * least(s->vec, 4));
        return;
    }
    for (uint32_t i = 0; i < s->vec; i++)
        put(e, element(e, x, i), place_plain(e, s, add32(e, s->term[l], i), s->point[l]), 4);
}

static V as_bf16(Emit *e, const Stage *s, V x) {
    return s->f->dtype == DT_BF16 ? x : emit_narrow(e, as_float(e, s, x), DT_BF16, count_of(x));
}

/* As bf16, lines of terms: a vector of them, or a few terms of each point from as many loads. */
static void store_packed(Emit *e, Stage *s, const V *x, uint32_t l) {
    if (s->along_terms) {
        put(e, x[0], place_packed(e, s, s->point[l], s->term[l]), 2 * s->vec);
        return;
    }
    for (uint32_t i = 0; i < s->vec; i++) {
        V all = s->group == 1 ? element(e, x[0], i) : LLVMGetPoison(vector(e->i16, s->group));
        for (uint32_t g = 0; s->group > 1 && g < s->group; g++)
            all = LLVMBuildInsertElement(e->b, all, element(e, x[g], i), n32(e, g), "");
        put(e, all, place_packed(e, s, add32(e, s->point[l], i), s->term[l]), 2 * s->group);
    }
}

void stage_store(GpuContract *c, Stage *s) {
    Emit *e = c->e;
    for (uint32_t l = 0; l < s->loads; l += s->group) {
        V x[4];
        for (uint32_t g = 0; g < s->group; g++)
            x[g] = emit_get(e, vector(number_type(e, s), s->vec), s->reg[l + g]);
        if (!s->packed) {
            store_plain(e, s, x[0], l);
            continue;
        }
        for (uint32_t g = 0; g < s->group; g++) x[g] = as_bf16(e, s, x[g]);
        store_packed(e, s, x, l);
    }
}

/* ---- without local memory ------------------------------------------------------------------------------ */

void stage_direct(GpuContract *c, Stage *s, uint32_t run) {
    Emit *e = c->e;
    V at = shape_offset(e, &c->s, s->f, c->idx);
    s->base = LLVMBuildGEP2(e->b, number_type(e, s), e->args[s->f->arg].ptr, &at, 1, "");
    s->along_terms = true;
    s->vec = run_of(e, &s->f->terms, least(run, 16 / bytes_of(s)));
    align_vectors(c, s);
}

V stage_offset(GpuContract *c, const Stage *s, V point) {
    return offset_of(c->e, &s->f->points, point);
}

V stage_fetch(GpuContract *c, const Stage *s, V at, V k, uint32_t run) {
    Emit *e = c->e;
    LLVMTypeRef t = number_type(e, s);
    V all = run == 1 ? NULL : LLVMGetPoison(vector(t, run));
    for (uint32_t i = 0; i < run; i += s->vec) {
        V here = i ? add32(e, k, i) : k, in = here;
        bool whole = ends_whole(c, s);
        if (!whole) in = choose(e, below(e, here, c->K), here, n32(e, 0));
        V from = LLVMBuildAdd(e->b, at, offset_of(e, &s->f->terms, in), "");
        V x = LLVMBuildLoad2(e->b, vector(t, s->vec), LLVMBuildGEP2(e->b, t, s->base, &from, 1, ""),
                             "");
        LLVMSetAlignment(x, s->align);
        emit_scoped(e, x, e->args[s->f->arg].scope);
        if (!whole) x = cut(c, s, x, here);
        for (uint32_t q = 0; all && q < s->vec; q++)
            all = LLVMBuildInsertElement(e->b, all, element(e, x, q), n32(e, i + q), "");
        if (!all) all = x;
    }
    return s->packed ? as_bf16(e, s, all) : as_float(e, s, all);
}
