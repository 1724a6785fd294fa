/* Plans, run: the instructions on blocks of lanes, and the loops around them. */
#include "interp_impl.h"

#include <string.h>

/* ---- operands -------------------------------------------------------------------------------- */

static const Cell *operand(const Plan *p, Opd o) {
    return o & OPD_VEC ? p->reg[o & ~OPD_VEC] : &p->cells[o];
}

/* Addresses may run outside of an array where lanes are left out, so no pointer arithmetic. */
static Cell *moved(const Cell *base, int64_t items) {
    return (Cell *)((uintptr_t)base + (uintptr_t)items * sizeof *base);
}

/* konst + terms over cells: the number of lane 0. */
static int64_t lin_value(const Plan *p, const Instr *x) {
    uint64_t v = (uint64_t)x->konst;
    const Term *t = p->terms + x->terms;
    for (uint32_t i = 0; i < x->n_terms; i++)
        v += (uint64_t)t[i].coef * (uint64_t)p->cells[t[i].at].i;
    return (int64_t)v;
}

static bool fault(Plan *p, FaultKind kind, Value v, uint8_t axis, int64_t index, int64_t size) {
    p->m->fault = (Fault){(uint8_t)kind, axis, v, index, size};
    return false;
}

static int64_t at_lane(int64_t u, int64_t step, int64_t i) {
    return (int64_t)((uint64_t)u + (uint64_t)step * (uint64_t)i);
}

static bool needed(const Ctx *c, int32_t i) { return !c->mask || c->mask[i]; }

/* ---- contexts -------------------------------------------------------------------------------- */

/* Sets lanes lo..hi-1 of c, as far as mask says, shrunk to those needed. */
static void ctx_lanes(Ctx *c, int32_t lo, int32_t hi, const uint8_t *mask) {
    while (mask && lo < hi && !mask[lo]) lo++;
    while (mask && lo < hi && !mask[hi - 1]) hi--;
    c->lo = lo;
    c->hi = hi;
    c->mask = mask;
    c->on = lo < hi;
}

static int64_t floor128(__int128 a, int64_t b) {
    const __int128 far = (__int128)1 << 62;
    __int128 q = a / b;
    if (a % b != 0 && (a < 0) != (b < 0)) q--;
    return (int64_t)(q > far ? far : q < -far ? -far : q);
}

/* First and last i with c*i + u REL v. */
static void solve(Fn rel, int64_t c, int64_t u, int64_t v, int64_t *first, int64_t *last) {
    __int128 x = (__int128)v - u; /* c*i REL x */
    if (rel == F_gt) x++;
    if (rel == F_lt) x--;
    bool least = rel == F_gt || rel == F_ge || rel == F_eq,
         most = rel == F_lt || rel == F_le || rel == F_eq;
    if (least && c > 0 && -floor128(-x, c) > *first) *first = -floor128(-x, c);
    if (least && c < 0 && floor128(x, c) < *last) *last = floor128(x, c);
    if (most && c > 0 && floor128(x, c) < *last) *last = floor128(x, c);
    if (most && c < 0 && -floor128(-x, c) > *first) *first = -floor128(-x, c);
}

static void ctx_range(Plan *p, const Instr *x, Ctx *c, const Ctx *from) {
    int64_t first = from->lo, last = (int64_t)from->hi - 1;
    solve((Fn)x->fn, x->lane, lin_value(p, x), p->cells[x->a].i, &first, &last);
    c->on = false;
    if (first <= last) ctx_lanes(c, (int32_t)first, (int32_t)last + 1, from->mask);
}

static void ctx_mask(Plan *p, const Instr *x, Ctx *c, const Ctx *from) {
    const Cell *a = operand(p, x->a);
    for (int32_t i = from->lo; i < from->hi; i++) c->own[i] = a[i].i != 0 && needed(from, i);
    ctx_lanes(c, from->lo, from->hi, c->own);
}

static void ctx_else(Ctx *c, const Ctx *from, const Ctx *then) {
    if (!from->mask && !then->mask && (then->lo == from->lo || then->hi == from->hi)) {
        bool low = then->lo == from->lo;
        ctx_lanes(c, low ? then->hi : from->lo, low ? from->hi : then->lo, NULL);
        return;
    }
    for (int32_t i = from->lo; i < from->hi; i++)
        c->own[i] = needed(from, i) && !(i >= then->lo && i < then->hi && needed(then, i));
    ctx_lanes(c, from->lo, from->hi, c->own);
}

static void set_context(Plan *p, const Instr *x) {
    Ctx *c = &p->ctx[x->d];
    const Ctx *parent = &p->ctx[x->b], *from = &p->ctx[parent->lanes];
    const Ctx *then = &p->ctx[x->read];
    c->on = false;
    if (!parent->on) return;
    switch ((OpCode)x->op) {
    case OP_COND: c->on = p->cells[x->a].i != 0; return;
    case OP_RANGE: ctx_range(p, x, c, from); return;
    case OP_MASK: ctx_mask(p, x, c, from); return;
    default:
        if (c->lanes != x->d)
            c->on = !then->on;
        else if (!then->on)
            ctx_lanes(c, from->lo, from->hi, from->mask);
        else
            ctx_else(c, from, &p->ctx[then->lanes]);
    }
}

/* ---- instructions that fill vectors ----------------------------------------------------------- */

static void do_aff(Plan *p, const Instr *x, Cell *d, int32_t lo, int32_t n) {
    int64_t u = at_lane(lin_value(p, x), x->lane, lo);
    for (int32_t i = 0; i < n; i++) d[i].i = at_lane(u, x->lane, i);
    const Term *t = p->terms + x->terms + x->n_terms;
    for (uint32_t k = 0; k < x->n_vterms; k++) {
        const Cell *a = operand(p, t[k].at) + lo;
        const uint64_t coef = (uint64_t)t[k].coef;
        for (int32_t i = 0; i < n; i++)
            d[i].i = (int64_t)((uint64_t)d[i].i + coef * (uint64_t)a[i].i);
    }
}

/* Quotients and remainders of an arithmetic sequence, by one division. */
static void do_divlin(Plan *p, const Instr *x, Cell *d, int32_t lo, int32_t n) {
    int64_t u = at_lane(lin_value(p, x), x->lane, lo), c = x->bound;
    int64_t q = floor_div(u, c), r = floor_mod(u, c);
    int64_t dq = floor_div(x->lane, c), dr = floor_mod(x->lane, c);
    for (int32_t i = 0; i < n; i++) {
        d[i].i = x->fn == F_idiv ? q : r;
        q = (int64_t)((uint64_t)q + (uint64_t)dq);
        if (r >= c - dr) {
            r -= c - dr;
            q = (int64_t)((uint64_t)q + 1);
        } else {
            r += dr;
        }
    }
}

static bool do_check(Plan *p, const Instr *x, const Ctx *c) {
    int64_t u = lin_value(p, x);
    Value v = x->read == UINT32_MAX ? p->scatter : p->reads[x->read];
    FaultKind kind = x->read == UINT32_MAX ? FAULT_SCATTER : FAULT_READ;
    /* The first and the last lane are needed ones, and between them the subscript stays between. */
    int64_t first = x->vec ? at_lane(u, x->lane, c->lo) : u,
            last = x->vec ? at_lane(u, x->lane, c->hi - 1) : u;
    if ((uint64_t)first >= (uint64_t)x->bound) return fault(p, kind, v, x->axis, first, x->bound);
    return (uint64_t)last < (uint64_t)x->bound || fault(p, kind, v, x->axis, last, x->bound);
}

static bool do_checkv(Plan *p, const Instr *x, const Ctx *c) {
    const Cell *a = operand(p, x->a);
    for (int32_t i = c->lo; i < c->hi; i++) {
        if ((uint64_t)a[i].i < (uint64_t)x->bound || !needed(c, i)) continue;
        bool scatter = x->read == UINT32_MAX;
        return fault(p, scatter ? FAULT_SCATTER : FAULT_READ,
                     scatter ? p->scatter : p->reads[x->read], x->axis, a[i].i, x->bound);
    }
    return true;
}

static void do_load(Plan *p, const Instr *x, const Ctx *c) {
    const Cell *from = moved(p->base[x->read], lin_value(p, x));
    bool some = x->masked && c->mask;
    if (x->lane == 1 && !some) {
        p->reg[x->d] = (Cell *)(uintptr_t)from; /* read where it stands */
        return;
    }
    Cell *d = p->reg[x->d] = p->m->scratch + (size_t)p->slot_of[x->d] * LANES;
    for (int32_t i = c->lo; i < c->hi; i++)
        d[i] = some && !c->mask[i] ? (Cell){.i = 0} : *moved(from, x->lane * i);
}

static void do_gather(Plan *p, const Instr *x, const Ctx *c) {
    const Cell *from = p->base[x->read], *a = operand(p, x->a);
    Cell *d = p->reg[x->d];
    bool some = x->masked && c->mask;
    for (int32_t i = c->lo; i < c->hi; i++)
        d[i] = some && !c->mask[i] ? (Cell){.i = 0} : from[a[i].i];
}

static void copy_lanes(Cell *d, const Cell *a, bool one, int32_t lo, int32_t hi) {
    if (lo >= hi) return;
    if (!one)
        memcpy(d + lo, a + lo, (size_t)(hi - lo) * sizeof *d);
    else
        for (int32_t i = lo; i < hi; i++) d[i] = *a;
}

static void do_select(Plan *p, const Instr *x, Cell *d, const Ctx *c) {
    const Ctx *then = &p->ctx[x->read];
    const Cell *a = operand(p, x->a), *b = operand(p, x->b);
    bool one_a = !(x->a & OPD_VEC), one_b = !(x->b & OPD_VEC);
    if (!then->on) {
        copy_lanes(d, b, one_b, c->lo, c->hi);
        return;
    }
    const Ctx *t = &p->ctx[then->lanes];
    if (!t->mask || t->mask == c->mask) { /* nobody looks at the lanes c leaves out */
        copy_lanes(d, b, one_b, c->lo, t->lo);
        copy_lanes(d, a, one_a, t->lo, t->hi);
        copy_lanes(d, b, one_b, t->hi, c->hi);
        return;
    }
    for (int32_t i = c->lo; i < c->hi; i++) {
        bool yes = i >= t->lo && i < t->hi && t->mask[i];
        d[i] = yes ? a[one_a ? 0 : i] : b[one_b ? 0 : i];
    }
}

static void do_random(Plan *p, const Instr *x, Cell *d, int32_t lo, int32_t n) {
    uint64_t h[LANES];
    const Term *t = p->terms + x->terms;
    for (int32_t i = 0; i < n; i++) h[i] = random_begin(p->m->seed, (uint32_t)x->konst);
    for (uint32_t k = 0; k < x->n_terms; k++) {
        bool one = !(t[k].at & OPD_VEC);
        const Cell *a = operand(p, t[k].at) + (one ? 0 : lo);
        for (int32_t i = 0; i < n; i++) h[i] = random_next(h[i], a[one ? 0 : i].i);
    }
    for (int32_t i = 0; i < n; i++) d[i].r = p->m->f32 ? random_end_f32(h[i]) : random_end(h[i]);
}

/* // and % by a divisor that may be 0. */
static bool do_division(Plan *p, const Instr *x, Cell *d, const Ctx *c, int32_t lo, int32_t n) {
    bool one_a = !(x->a & OPD_VEC), one_b = !(x->b & OPD_VEC);
    const Cell *a = operand(p, x->a) + (one_a ? 0 : lo), *b = operand(p, x->b) + (one_b ? 0 : lo);
    for (int32_t i = 0; i < n; i++) {
        int64_t num = a[one_a ? 0 : i].i, by = b[one_b ? 0 : i].i;
        if (by == 0) {
            if (!x->vec || needed(c, lo + i)) return fault(p, FAULT_DIVISION, 0, 0, num, 0);
            by = 1;
        }
        d[i].i = x->fn == F_idiv ? floor_div(num, by) : floor_mod(num, by);
    }
    return true;
}

/* ---- the instructions ------------------------------------------------------------------------- */

static bool do_fn(Plan *p, const Instr *x, Cell *d, const Ctx *c, int32_t lo, int32_t n) {
    if (x->masked) return do_division(p, x, d, c, lo, n);
    bool one_a = !(x->a & OPD_VEC), one_b = !(x->b & OPD_VEC);
    const Cell *a = operand(p, x->a) + (one_a ? 0 : lo), *b = operand(p, x->b) + (one_b ? 0 : lo);
    fn_apply((Fn)x->fn, x->ints, d, a, one_a, b, one_b, n);
    if (p->m->f32 && x->real) round_f32(d, n);
    return true;
}

static void load_cell(Plan *p, const Instr *x) {
    p->cells[x->d] = *moved(p->base[x->read], lin_value(p, x));
}

static bool exec(Plan *p, uint32_t from, uint32_t to) {
    for (const Instr *x = p->instr + from, *end = p->instr + to; x < end; x++) {
        if (x->op >= OP_COND) {
            set_context(p, x);
            continue;
        }
        const Ctx *c = &p->ctx[x->ctx];
        if (!c->on) continue;
        c = &p->ctx[c->lanes];
        int32_t lo = x->vec ? c->lo : 0, n = x->vec ? c->hi - lo : 1;
        if (n <= 0) continue;
        bool vector = x->vec && x->op != OP_CHECK && x->op != OP_CHECKV;
        Cell *d = vector ? p->reg[x->d] + lo : &p->cells[x->vec ? 0 : x->d];
        bool ok = true;
        switch ((OpCode)x->op) {
        case OP_FN: ok = do_fn(p, x, d, c, lo, n); break;
        case OP_AFF:
            if (!x->vec)
                d->i = lin_value(p, x);
            else
                do_aff(p, x, d, lo, n);
            break;
        case OP_DIVLIN: do_divlin(p, x, d, lo, n); break;
        case OP_CHECK: ok = do_check(p, x, c); break;
        case OP_CHECKV: ok = do_checkv(p, x, c); break;
        case OP_LOAD:
            if (!x->vec)
                load_cell(p, x);
            else
                do_load(p, x, c);
            break;
        case OP_GATHER: do_gather(p, x, c); break;
        case OP_SELECT:
            if (!x->vec)
                *d = *operand(p, p->ctx[x->read].on ? x->a : x->b);
            else
                do_select(p, x, d - lo, c);
            break;
        default: do_random(p, x, d, lo, n); break;
        }
        if (!ok) return false;
    }
    return true;
}

/* ---- results --------------------------------------------------------------------------------- */

static int64_t out_offset(const Plan *p) {
    int64_t at = 0;
    for (uint32_t i = 0; i < p->acc_level; i++) {
        uint8_t axis = p->level_axis[i];
        at += (p->cells[axis].i - p->lo[axis]) * p->ostride[axis];
    }
    return at;
}

static int32_t lanes(const Plan *p) { return p->lane == NO_AXIS ? 1 : p->ctx[0].hi; }

static void store(Plan *p, const Cell *a, bool one, bool many) {
    Cell *d = p->out + out_offset(p);
    if (!many) {
        *d = *a;
        return;
    }
    int64_t step = p->ostride[p->lane];
    int32_t n = lanes(p);
    for (int32_t i = 0; i < n; i++) d[i * step] = a[one ? 0 : i];
}

static void scatter(Plan *p) {
    bool one_a = !(p->address & OPD_VEC), one_r = !(p->root & OPD_VEC);
    const Cell *at = operand(p, p->address), *a = operand(p, p->root);
    int32_t n = lanes(p);
    for (int32_t i = 0; i < n; i++) {
        Cell *d = p->out + at[one_a ? 0 : i].i, x = a[one_r ? 0 : i];
        if (p->ints)
            d->i = (int64_t)((uint64_t)d->i + (uint64_t)x.i);
        else
            d->r = p->round ? (double)(float)(d->r + x.r) : d->r + x.r;
    }
}

/* Does x take the place of the best so far? Equal ones do not, the first NaN does. */
static bool better(const Plan *p, Cell x, Cell acc) {
    bool ints = p->red == RED_ARGMAX ? p->argmax_ints : p->ints;
    if (p->red == RED_MIN)
        return ints ? x.i < acc.i : x.r < acc.r || (x.r != x.r && acc.r == acc.r);
    return ints ? x.i > acc.i : x.r > acc.r || (x.r != x.r && acc.r == acc.r);
}

static void reduce_one(const Plan *p, Cell *acc, Cell x) {
    if (p->red == RED_SUM && p->ints)
        acc->i = (int64_t)((uint64_t)acc->i + (uint64_t)x.i);
    else if (p->red == RED_SUM)
        acc->r += x.r;
    else if (p->ints)
        acc->i = (int64_t)((uint64_t)acc->i * (uint64_t)x.i);
    else
        acc->r *= x.r;
    if (p->round) acc->r = (double)(float)acc->r;
}

static int64_t place_of(const Plan *p) {
    int64_t at = 0;
    for (uint32_t i = p->acc_level; i < p->n_levels; i++)
        at += p->cells[p->level_axis[i]].i * p->rstride[p->level_axis[i]];
    return at;
}

/* One step of the reduction for each item of the lanes: result[i] takes in a[i]. */
static void reduce_across(Plan *p) {
    const Cell *a = operand(p, p->root);
    bool one = !(p->root & OPD_VEC);
    int32_t n = lanes(p);
    Cell *acc = p->acc;
    if (p->red == RED_SUM && !p->ints && !p->round && !one) {
        _Pragma("GCC ivdep") for (int32_t i = 0; i < n; i++) acc[i].r += a[i].r;
        return;
    }
    if (p->red == RED_SUM || p->red == RED_PROD) {
        for (int32_t i = 0; i < n; i++) reduce_one(p, &acc[i], a[one ? 0 : i]);
        return;
    }
    int64_t place = place_of(p);
    for (int32_t i = 0; i < n; i++) {
        Cell x = a[one ? 0 : i];
        if (p->started && !better(p, x, acc[i])) continue;
        acc[i] = x;
        p->best[i] = place;
    }
    p->started = true;
}

/* The lanes one after another into one result. */
static void reduce_along(Plan *p) {
    const Cell *a = operand(p, p->root);
    bool one = !(p->root & OPD_VEC);
    int32_t n = lanes(p);
    Cell acc = *p->acc;
    if (p->red == RED_SUM && !p->ints && !p->round && !one) {
        for (int32_t i = 0; i < n; i++) acc.r += a[i].r;
    } else if (p->red == RED_SUM || p->red == RED_PROD) {
        for (int32_t i = 0; i < n; i++) reduce_one(p, &acc, a[one ? 0 : i]);
    } else {
        int64_t place = place_of(p); /* the lanes are the last axis, so a step is 1 */
        for (int32_t i = 0; i < n; i++) {
            Cell x = a[one ? 0 : i];
            if (p->started && !better(p, x, acc)) continue;
            acc = x;
            p->best[0] = place + i;
            p->started = true;
        }
    }
    *p->acc = acc;
}

static void reduce_begin(Plan *p, int32_t n) {
    p->started = false;
    Cell zero = {.i = 0};
    if (p->red == RED_PROD && p->ints) zero.i = 1;
    if (p->red == RED_PROD && !p->ints) zero.r = 1;
    for (int32_t i = 0; i < n; i++) p->acc[i] = zero;
}

static void reduce_end(Plan *p, bool many) {
    if (p->red == RED_ARGMAX)
        for (int32_t i = 0; i < (many ? lanes(p) : 1); i++) p->acc[i].i = p->best[i];
    store(p, p->acc, false, many);
}

/* ---- loops ----------------------------------------------------------------------------------- */

static bool run_level(Plan *p, uint32_t level);

static bool run_loop(Plan *p, uint32_t level) {
    uint8_t axis = p->level_axis[level];
    bool in_lanes = axis == p->lane, last = level + 1 == p->n_levels;
    int64_t step = in_lanes ? LANES : 1, hi = p->hi[axis];
    uint32_t from = p->first[level + 1], to = p->first[level + 2];
    for (int64_t i = p->lo[axis]; i < hi; i += step) {
        p->cells[axis].i = i;
        if (in_lanes) p->ctx[0].hi = (int32_t)(hi - i < LANES ? hi - i : LANES);
        if (last && p->direct) p->reg[p->root & ~OPD_VEC] = p->out + out_offset(p);
        if (from < to && !exec(p, from, to)) return false;
        if (!run_level(p, level + 1)) return false;
    }
    return true;
}

static void finish(Plan *p) {
    bool many = p->lane != NO_AXIS;
    if (p->scatter)
        scatter(p);
    else if (!p->red && !p->direct)
        store(p, operand(p, p->root), !(p->root & OPD_VEC), many);
    else if (p->red && many && !p->fold)
        reduce_across(p);
    else if (p->red)
        reduce_along(p);
}

static bool run_level(Plan *p, uint32_t level) {
    bool whole = p->red && level == p->acc_level; /* a reduction begins and ends here */
    bool many = p->lane != NO_AXIS && !p->fold;
    if (whole) reduce_begin(p, many ? lanes(p) : 1);
    if (level == p->n_levels)
        finish(p);
    else if (!run_loop(p, level))
        return false;
    if (whole) reduce_end(p, many);
    return true;
}

void plan_enter(Plan *p) {
    const Machine *m = p->m;
    for (uint32_t i = 0; i < MAX_LEVELS; i++) {
        p->cells[CELL_LVL + i].i = m->lvl[i];
        p->cells[CELL_POS + i].i = m->pos[i];
    }
    for (uint32_t i = 0; i < p->n_reads; i++) p->base[i] = m->ptr[p->reads[i]];
}

bool plan_loops(Plan *p) {
    p->ctx[0].lo = 0;
    p->ctx[0].hi = 1;
    if (p->first[1] && !exec(p, 0, p->first[1])) return false;
    return run_level(p, 0);
}

bool plan_run(Plan *p, void *out) {
    plan_enter(p);
    p->out = out;
    return plan_loops(p);
}
