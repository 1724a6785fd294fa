/* Sources of vector instructions with everything that can be said about them: lanes of others (DPP),
 * bytes and words (SDWA), halves (op_sel), signs, subnormals; and which of their bits are not
 * known, which take the same ways. */
#include "numeric.h"
#include "valu.h"

static const Lanes *splat(Lanes *out, uint32_t x) {
    for (size_t i = 0; i < MAX_LANES; i++) out->u[i] = x;
    return out;
}

/* ---- the register ---------------------------------------------------------------------------- */

/* The word `half` of a slot; of pairs of floats the one that op_sel names. */
static unsigned word_index(const Inst *in, unsigned k, unsigned half) {
    if (in->src[k].type != 'F') return half;
    return (unsigned)(half ? in->mod.op_sel_hi : in->mod.op_sel) >> k & 1u;
}

static const Lanes *word(Wave *w, const Inst *in, unsigned k, unsigned half, Lanes *out) {
    const Slot *s = &in->src[k];
    unsigned index = word_index(in, k, half);
    if (s->kind == O_VECTOR) return &w->v[s->reg + index];
    if (s->kind == O_CONST) return s->lane + half;
    if (s->kind == O_SCC) return splat(out, w->scc);
    if (s->type == 'm') {
        mask_expand(mask_get(w, s->reg), out);
        return out;
    }
    return splat(out, scalar_get(w, s->reg + index));
}

static const Lanes *word_unknown(Wave *w, const Inst *in, unsigned k, unsigned half, Lanes *out) {
    const Slot *s = &in->src[k];
    unsigned index = word_index(in, k, half);
    if (s->kind == O_CONST || s->reg == S_NULL) return splat(out, 0);
    if (s->kind == O_SCC) return splat(out, w->scc_unknown ? ~0u : 0);
    if (s->kind == O_SCALAR && s->type == 'm') {
        mask_expand(mask_unknown(w, s->reg), out);
        return out;
    }
    if (s->kind == O_SCALAR) return splat(out, w->s_unknown[s->reg + index]);
    for (unsigned i = 0; i < w->n; i++) out->u[i] = unknown_of(w, s->reg + index, i);
    return out;
}

/* ---- lanes and parts ------------------------------------------------------------------------- */

static const Lanes *gather(const Wave *w, const Inst *in, const Lanes *x, Lanes *out) {
    Lanes from = *x; /* out may be x */
    for (unsigned i = 0; i < w->n; i++) {
        int k = in->dpp_from[i];
        bool has_source = k >= 0 && (in->mod.fetch_inactive || (w->exec >> k & 1));
        out->u[i] = has_source ? from.u[k] : 0;
    }
    return out;
}

static const Lanes *part(const Wave *w, const Lanes *x, unsigned shift, unsigned bits,
                         bool is_signed, Lanes *out) {
    uint32_t mask = (1u << bits) - 1u, sign = is_signed ? 1u << (bits - 1) : 0;
    for (unsigned i = 0; i < w->n; i++) out->u[i] = (((x->u[i] >> shift) & mask) ^ sign) - sign;
    return out;
}

static const Lanes *select_sdwa(const Wave *w, const Inst *in, unsigned k, bool want_unknown,
                                const Lanes *x, Lanes *out) {
    unsigned sel = in->mod.src_sel[k];
    bool is_signed = in->src[k].sext && !want_unknown;
    if (sel <= SEL_BYTE_3)
        x = part(w, x, 8 * sel, 8, is_signed, out);
    else if (sel <= SEL_WORD_1)
        x = part(w, x, 16 * (sel - SEL_WORD_0), 16, is_signed, out);
    if (!want_unknown || !in->src[k].sext || sel == SEL_DWORD) return x;
    uint32_t top = sel <= SEL_BYTE_3 ? 0x80u : 0x8000u;
    for (unsigned i = 0; i < w->n; i++) /* an unknown sign makes all above it unknown */
        if (out->u[i] & top) out->u[i] |= ~(top - 1u);
    return x;
}

/* Two halves, each from where op_sel says. */
static const Lanes *select_halves(const Wave *w, const Inst *in, unsigned k, const Lanes *x,
                                  Lanes *out) {
    unsigned low = in->mod.op_sel >> k & 1u, high = in->mod.op_sel_hi >> k & 1u;
    if (low == 0 && high == 1) return x;
    for (unsigned i = 0; i < w->n; i++) {
        uint32_t v = x->u[i];
        out->u[i] = (v >> 16 * low & 0xffffu) | (v >> 16 * high) << 16;
    }
    return out;
}

/* A float, or a half made one. */
static const Lanes *widen(const Wave *w, const Inst *in, unsigned k, bool want_unknown,
                          const Lanes *x, Lanes *out) {
    unsigned shift = in->mod.op_sel >> k & 1u ? 16 : 0;
    if ((in->mod.op_sel_hi >> k & 1) == 0) return x;
    for (unsigned i = 0; i < w->n; i++) {
        uint32_t h = x->u[i] >> shift & 0xffffu;
        if (want_unknown)
            out->u[i] = h != 0 ? ~0u : 0;
        else
            out->f[i] = half_to_float((uint16_t)h);
    }
    return out;
}

static const Lanes *move(const Wave *w, const Inst *in, unsigned k, bool want_unknown,
                         const Lanes *x, Lanes *out) {
    char type = in->src[k].type;
    if (in->mod.has_dpp && k == 0) x = gather(w, in, x, out);
    if (in->mod.has_sdwa && k < 2) x = select_sdwa(w, in, k, want_unknown, x, out);
    if (type == 'H') return select_halves(w, in, k, x, out);
    if (type == 'x') return widen(w, in, k, want_unknown, x, out);
    if (type != 'h' && type != 'w' && type != 'j') return x;
    return part(w, x, in->mod.op_sel >> k & 1u ? 16 : 0, 16, false, out);
}

/* ---- signs ----------------------------------------------------------------------------------- */

/* The bits that |x| clears and -x flips, for the word `half`. */
static void sign_bits(const Inst *in, unsigned k, unsigned half, uint32_t *clear, uint32_t *flip) {
    const Slot *s = &in->src[k];
    uint32_t sign = 0x80000000u;
    *clear = *flip = 0;
    switch (s->type) {
    case 'm': return;
    case 'h':
    case 'w':
    case 'j': sign = 0x8000u; break;
    case 'd':
    case 'q':
    case 'l':
        if (half == 0) return;
        break;
    case 'H':
        *flip =
            (in->mod.neg_lo >> k & 1 ? 0x8000u : 0) | (in->mod.neg_hi >> k & 1 ? 0x80000000u : 0);
        return;
    case 'F':
        if ((half ? in->mod.neg_hi : in->mod.neg_lo) >> k & 1) *flip = sign;
        return;
    default: break;
    }
    if (s->abs) *clear = sign;
    if (s->neg) *flip = sign;
}

static bool is_float_type(char type) { return type == 'f' || type == 'F' || type == 'x'; }

const Lanes *valu_source(Wave *w, const Inst *in, unsigned k, unsigned half, bool want_unknown,
                         Lanes *out) {
    const Lanes *x;
    if (want_unknown) {
        x = word_unknown(w, in, k, half, out);
        return move(w, in, k, true, x, out);
    }
    uint32_t clear, flip;
    x = word(w, in, k, half, out);
    x = move(w, in, k, false, x, out);
    sign_bits(in, k, half, &clear, &flip);
    bool flushes = w->flushes && is_float_type(in->src[k].type) &&
                   strcmp(in->op->name, "v_cmp_class_f32") != 0;
    if (clear == 0 && flip == 0 && !flushes) return x;
    for (unsigned i = 0; i < w->n; i++) {
        out->u[i] = (x->u[i] & ~clear) ^ flip;
        if (flushes) out->f[i] = flush(out->f[i]);
    }
    return out;
}
