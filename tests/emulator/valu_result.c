/* Results of vector instructions that are not written as they are: scaled and clamped, 16 bits of a
 * register, bytes and words of SDWA, lanes that DPP leaves out. */
#include "numeric.h"
#include "valu.h"

/* ---- output modifiers ------------------------------------------------------------------------ */

static double scaled(const Modifiers *m, double x) {
    static const double factor[] = {1.0, 2.0, 4.0, 0.5};
    x *= factor[m->omod];
    if (m->clamp) x = x > 1.0 ? 1.0 : x > 0.0 ? x : 0.0; /* NaN: 0 */
    return x;
}

static uint16_t scaled_half(const Modifiers *m, uint32_t x) {
    return float_to_half((float)scaled(m, (double)half_to_float((uint16_t)x)));
}

static bool is_half(const Inst *in, char type) {
    return type == 'h' || ((type == 'w' || type == 'H') && strstr(in->op->name, "f16") != NULL);
}

static void scale_result(const Wave *w, const Inst *in, Work *t, char type) {
    const Modifiers *m = &in->mod;
    for (unsigned i = 0; i < w->n; i++) {
        if (type == 'f' || type == 'F') t->out[0].f[i] = (float)scaled(m, (double)t->out[0].f[i]);
        if (type == 'F') t->out[1].f[i] = (float)scaled(m, (double)t->out[1].f[i]);
        if (type == 'd') {
            uint64_t u = t->out[0].u[i] | (uint64_t)t->out[1].u[i] << 32;
            u = bits_of64(scaled(m, double_of(u)));
            t->out[0].u[i] = (uint32_t)u;
            t->out[1].u[i] = (uint32_t)(u >> 32);
        }
        if (!is_half(in, type)) continue;
        uint32_t x = scaled_half(m, t->out[0].u[i] & 0xffffu);
        if (type == 'H') x |= (uint32_t)scaled_half(m, t->out[0].u[i] >> 16) << 16;
        t->out[0].u[i] = x;
    }
}

static void flush_result(const Wave *w, Work *t, char type) {
    for (unsigned i = 0; i < w->n; i++) {
        t->out[0].f[i] = flush(t->out[0].f[i]);
        if (type == 'F') t->out[1].f[i] = flush(t->out[1].f[i]);
    }
}

/* ---- parts of registers ---------------------------------------------------------------------- */

/* Writes the bits of `part`, shifted into place already; the others keep what they were, and those of
 * `vague` are not known. */
static void write_part(Wave *w, const Inst *in, unsigned reg, Work *t, uint32_t part,
                       uint32_t vague) {
    Lanes x, open;
    bool is_open =
        t->is_open || vague != 0 || ((w->doubt[reg] & t->lanes) != 0 && part != UINT32_MAX);
    for (unsigned i = 0; i < w->n; i++) {
        x.u[i] = (t->out[0].u[i] & part) | (w->v[reg].u[i] & ~part);
        open.u[i] = unknown_of(w, reg, i) & ~part;
        if (t->is_open) open.u[i] |= t->open[0].u[i] & part;
        open.u[i] |= vague;
    }
    vector_set(w, in, reg, &x, is_open ? &open : NULL, t->lanes);
}

static void write_half(Wave *w, const Inst *in, const Slot *d, Work *t) {
    uint32_t flags = in->op->flags;
    unsigned listed = in->n_src - ((flags & F_ACCUMULATES) != 0 ? 1u : 0u);
    bool is_high = (flags & F_D16) != 0 ? (flags & F_HIGH) != 0 : in->mod.op_sel >> listed & 1;
    bool keeps = w->processor->is_gfx11 || (flags & F_D16) != 0 || is_high;
    unsigned shift = is_high ? 16 : 0;
    for (unsigned i = 0; i < w->n; i++) {
        t->out[0].u[i] = (t->out[0].u[i] & 0xffffu) << shift;
        if (t->is_open) t->open[0].u[i] = (t->open[0].u[i] & 0xffffu) << shift;
    }
    uint32_t vague = !keeps && (flags & F_KEEPS_HIGH) != 0 ? 0xffff0000u : 0;
    write_part(w, in, d->reg, t, keeps ? 0xffffu << shift : UINT32_MAX, vague);
}

/* What a byte or word of the result becomes, and in open what is not known of it. */
static uint32_t placed(const Modifiers *m, uint32_t x) {
    bool is_byte = m->dst_sel <= SEL_BYTE_3;
    unsigned shift = is_byte ? 8u * m->dst_sel : 16u * (m->dst_sel - (unsigned)SEL_WORD_0);
    uint32_t mask = is_byte ? 0xffu : 0xffffu, sign = (mask + 1) >> 1;
    x &= mask;
    if (m->dst_unused == UNUSED_SEXT) x = (x ^ sign) - sign;
    return x << shift;
}

static uint32_t placed_mask(const Modifiers *m) {
    bool is_byte = m->dst_sel <= SEL_BYTE_3;
    if (m->dst_unused != UNUSED_PRESERVE) return UINT32_MAX;
    return is_byte ? 0xffu << 8u * m->dst_sel
                   : 0xffffu << 16u * (m->dst_sel - (unsigned)SEL_WORD_0);
}

static void write_sdwa(Wave *w, const Inst *in, const Slot *d, Work *t) {
    const Modifiers *m = &in->mod;
    if (m->dst_sel == SEL_DWORD) {
        write_part(w, in, d->reg, t, UINT32_MAX, 0);
        return;
    }
    for (unsigned i = 0; i < w->n; i++) {
        t->out[0].u[i] = placed(m, t->out[0].u[i]);
        if (t->is_open) t->open[0].u[i] = placed(m, t->open[0].u[i]);
    }
    write_part(w, in, d->reg, t, placed_mask(m), 0);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void write_mask(Wave *w, const Inst *in, const Slot *d, Work *t) {
    uint64_t mask = mask_pack(&t->mask, w->n) & w->exec;
    uint64_t open = t->is_open ? t->open_mask & w->exec : 0;
    if (in->is_cmpx) mask_set(w, in, S_EXEC, mask, open);
    if (d != NULL) mask_set(w, in, d->reg, mask, open);
}

static void write_result(Wave *w, const Inst *in, const Slot *d, Work *t) {
    bool is_float = d->type == 'f' || d->type == 'F';
    if (in->mod.clamp || in->mod.omod != 0) scale_result(w, in, t, d->type);
    if (w->flushes && is_float) flush_result(w, t, d->type);
    if (in->mod.has_sdwa) {
        write_sdwa(w, in, d, t);
    } else if (d->type == 'h' || d->type == 'w' || d->type == 'j') {
        write_half(w, in, d, t);
    } else {
        vector_set(w, in, d->reg, &t->out[0], t->is_open ? &t->open[0] : NULL, t->lanes);
        if (is_wide(d->type))
            vector_set(w, in, d->reg + 1u, &t->out[1], t->is_open ? &t->open[1] : NULL, t->lanes);
    }
}

void valu_commit(Wave *w, const Inst *in, Work *t) {
    if (in->is_cmpx && in->n_dst == 0) write_mask(w, in, NULL, t);
    for (unsigned i = 0; i < in->n_dst; i++) {
        const Slot *d = &in->dst[i];
        if (d->type == 'm')
            write_mask(w, in, d, t);
        else
            write_result(w, in, d, t);
    }
}
