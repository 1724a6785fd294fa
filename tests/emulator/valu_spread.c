/* Which bits of a result are not known, given which bits of its sources are not. */
#include "valu.h"

/* The sources with what is not known all zero or all one: bit 2k of ones for the low word of source
 * k, 2k + 1 for the high one. */
static void evaluate(const Inst *in, const Work *t, unsigned ones, Lanes in_low[8], Valu *x,
                     Lanes out[3]) {
    *x = t->x;
    x->d = &out[0];
    x->dh = &out[1];
    x->mask = &out[2];
    for (unsigned k = 0; k < in->n_src; k++) {
        bool is_one = ones >> k & 1;
        for (unsigned half = 0; half < 2; half++) {
            const Lanes *from = half ? t->x.h[k] : t->x.s[k];
            if (from == NULL) continue;
            const Lanes *open = &t->open_in[2 * k + half];
            Lanes *to = &in_low[2 * k + half];
            for (unsigned i = 0; i < t->x.n; i++)
                to->u[i] = is_one ? from->u[i] | open->u[i] : from->u[i] & ~open->u[i];
            if (half)
                x->h[k] = to;
            else
                x->s[k] = to;
        }
    }
    in->op->lanes(x);
}

/* Bits that change when unknown bits do: all at once, and one source at a time against the others at
 * either end. */
static void spread_move(const Inst *in, Work *t) {
    Lanes sources[8], low[3], other[3];
    Valu x;
    unsigned n = in->n_src, all = (1u << n) - 1u;
    evaluate(in, t, 0, sources, &x, low);
    for (unsigned j = 0; j <= 2 * n; j++) {
        unsigned ones = j == 2 * n ? all : j < n ? 1u << j : all & ~(1u << (j - n));
        evaluate(in, t, ones, sources, &x, other);
        for (unsigned i = 0; i < t->x.n; i++) {
            t->open[0].u[i] |= low[0].u[i] ^ other[0].u[i];
            if (in->n_dst > 0 && is_wide(in->dst[0].type))
                t->open[1].u[i] |= low[1].u[i] ^ other[1].u[i];
        }
    }
}

static uint64_t upwards(uint64_t x) { return x == 0 ? 0 : ~((x & (0 - x)) - 1); }

void valu_spread(Wave *w, const Inst *in, Work *t) {
    uint64_t open_mask = 0;
    for (unsigned k = 0; k < in->n_src; k++)
        for (unsigned half = 0; half < 2; half++) {
            Lanes *o = &t->open_in[2 * k + half];
            const Lanes *x = NULL;
            if (half == 0 || is_wide(in->src[k].type)) x = valu_source(w, in, k, half, true, o);
            if (x == NULL)
                memset(o, 0, sizeof *o);
            else if (x != o)
                *o = *x;
        }
    for (unsigned i = 0; i < w->n; i++) {
        uint64_t both = 0;
        for (unsigned k = 0; k < in->n_src; k++)
            both |= t->open_in[2 * k].u[i] | (uint64_t)t->open_in[2 * k + 1].u[i] << 32;
        open_mask |= (uint64_t)(both != 0) << i;
        uint64_t r = both == 0 ? 0 : ~(uint64_t)0;
        if (in->op->spread == SPREAD_UNION) r = both;
        if (in->op->spread == SPREAD_UP) r = upwards(both);
        if (in->op->spread == SPREAD_MOVE) r = 0;
        t->open[0].u[i] = (uint32_t)r;
        t->open[1].u[i] = (uint32_t)(r >> 32);
    }
    t->open_mask = open_mask;
    if (in->op->spread == SPREAD_MOVE && open_mask != 0) spread_move(in, t);
    if ((open_mask & w->full) == 0) t->is_open = false;
}
