/* The vector unit: fetches operands, runs the function of the row over all lanes, writes the results
 * of the active ones. exec_plain is the way of almost every instruction: registers and constants as
 * they are, everything known. exec_valu takes the rest. */
#include "valu.h"

bool is_wide(char type) { return type == 'd' || type == 'q' || type == 'l' || type == 'F'; }

static const Lanes *splat(Lanes *out, uint32_t x) {
    for (size_t i = 0; i < MAX_LANES; i++) out->u[i] = x;
    return out;
}

/* ---- the plain way --------------------------------------------------------------------------- */

/* Which register of the pair a word of a pair of floats is. */
static unsigned word_of_pair(const Inst *in, unsigned k, unsigned half) {
    return (unsigned)(half ? in->mod.op_sel_hi : in->mod.op_sel) >> k & 1u;
}

/* False: something is not known or not there yet. */
static inline bool plain_source(Wave *w, const Inst *in, unsigned k, Work *t) {
    const Slot *s = &in->src[k];
    unsigned low = 0, high = 1;
    if (s->type == 'F') low = word_of_pair(in, k, 0), high = word_of_pair(in, k, 1);
    bool wide = is_wide(s->type);
    if (s->kind == O_VECTOR) {
        uint64_t doubt = w->doubt[s->reg + low];
        t->x.s[k] = &w->v[s->reg + low];
        if (wide) {
            doubt |= w->doubt[s->reg + high];
            t->x.h[k] = &w->v[s->reg + high];
        }
        return (doubt & w->exec) == 0;
    }
    if (s->kind == O_CONST) {
        t->x.s[k] = s->lane;
        t->x.h[k] = s->lane + 1;
        return true;
    }
    if (s->kind != O_SCALAR) return false;
    bool is_pair = wide || (s->type == 'm' && w->n == 64);
    if (w->s_unknown[s->reg] != 0 || w->s_awaited[s->reg]) return false;
    if (is_pair && (w->s_unknown[s->reg + 1] != 0 || w->s_awaited[s->reg + 1])) return false;
    if (s->type == 'm') {
        mask_expand(mask_get(w, s->reg), &t->in[2 * k]);
        t->x.s[k] = &t->in[2 * k];
        return true;
    }
    t->x.s[k] = splat(&t->in[2 * k], scalar_get(w, s->reg + low));
    if (wide) t->x.h[k] = splat(&t->in[2 * k + 1], scalar_get(w, s->reg + high));
    return true;
}

static bool compute_plain(Wave *w, const Inst *in, Work *t) {
    if (w->flushes) return false;
    for (unsigned k = 0; k < in->n_src; k++)
        if (!plain_source(w, in, k, t)) return false;
    t->x.n = w->n;
    t->x.d = &t->out[0];
    t->x.dh = &t->out[1];
    t->x.mask = &t->mask;
    t->x.in = in;
    t->x.is_ieee = w->mode >> 9 & 1;
    t->lanes = w->exec;
    t->is_open = false;
    in->op->lanes(&t->x);
    return true;
}

static void commit_mask(Wave *w, const Inst *in, const Slot *d, Work *t) {
    uint64_t mask = mask_pack(&t->mask, w->n) & w->exec;
    uint64_t open = t->is_open ? t->open_mask & w->exec : 0;
    if (in->is_cmpx) mask_set(w, in, S_EXEC, mask, open);
    if (d != NULL) mask_set(w, in, d->reg, mask, open);
}

static void commit_plain(Wave *w, const Inst *in, Work *t) {
    if (in->is_cmpx && in->n_dst == 0) commit_mask(w, in, NULL, t);
    for (unsigned i = 0; i < in->n_dst; i++) {
        const Slot *d = &in->dst[i];
        if (d->type == 'm') {
            commit_mask(w, in, d, t);
            continue;
        }
        vector_set(w, in, d->reg, &t->out[0], t->is_open ? &t->open[0] : NULL, t->lanes);
        if (is_wide(d->type))
            vector_set(w, in, d->reg + 1u, &t->out[1], t->is_open ? &t->open[1] : NULL, t->lanes);
    }
}

void exec_plain(Wave *w, const Inst *in) {
    Work t;
    if (compute_plain(w, in, &t))
        commit_plain(w, in, &t);
    else
        exec_valu(w, in);
}

/* ---- every way ------------------------------------------------------------------------------- */

/* Lanes whose result counts: active, let through by the masks of DPP, and with a lane to read from. */
static uint64_t written_lanes(const Wave *w, const Inst *in) {
    if (!in->mod.has_dpp) return w->exec;
    uint64_t lanes = w->exec & in->dpp_lanes;
    if (in->mod.bound_ctrl) return lanes;
    for (unsigned i = 0; i < w->n; i++) {
        int from = in->dpp_from[i];
        bool has_source = from >= 0 && (in->mod.fetch_inactive || (w->exec >> from & 1));
        if (!has_source) lanes &= ~((uint64_t)1 << i);
    }
    return lanes;
}

/* Is anything of what it reads not known? What is awaited stops it. */
static bool is_doubtful(Wave *w, const Inst *in) {
    uint64_t doubt = vectors_doubtful(w, in);
    if (w->stop == FAULTED) return true;
    bool scalar = scalars_doubtful(w, in);
    return scalar || (doubt & (in->mod.has_dpp ? w->full : w->exec)) != 0;
}

static void compute(Wave *w, const Inst *in, Work *t) {
    t->x = (Valu){.n = w->n,
                  .d = &t->out[0],
                  .dh = &t->out[1],
                  .mask = &t->mask,
                  .in = in,
                  .is_ieee = w->mode >> 9 & 1};
    t->is_open = is_doubtful(w, in);
    if (w->stop == FAULTED) return;
    for (unsigned k = 0; k < in->n_src; k++) {
        t->x.s[k] = valu_source(w, in, k, 0, false, &t->in[2 * k]);
        if (is_wide(in->src[k].type))
            t->x.h[k] = valu_source(w, in, k, 1, false, &t->in[2 * k + 1]);
    }
    t->lanes = written_lanes(w, in);
    if (t->is_open) valu_spread(w, in, t);
    in->op->lanes(&t->x);
}

void exec_valu(Wave *w, const Inst *in) {
    Work t;
    compute(w, in, &t);
    if (w->stop != FAULTED) valu_commit(w, in, &t);
}

/* Both halves read before either writes. */
void exec_dual(Wave *w, const Inst *in) {
    Work t, u;
    if (!compute_plain(w, in, &t)) compute(w, in, &t);
    if (w->stop != FAULTED && !compute_plain(w, in->dual, &u)) compute(w, in->dual, &u);
    if (w->stop == FAULTED) return;
    commit_plain(w, in, &t);
    commit_plain(w, in->dual, &u);
}
