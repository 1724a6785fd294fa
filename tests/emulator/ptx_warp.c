/* A warp: lanes with places of their own in the code. Those at the lowest place run, together with all that come
 * there; what has to be done together waits for the others. */
#include "ptx.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- faults ---------------------------------------------------------------------------------- */

/* The instruction in one line. */
static void text_of(const PtxInst *in, char *out, size_t room) {
    size_t n = 0;
    bool was_blank = false;
    for (uint32_t i = 0; i < in->text_bytes && n + 2 < room; i++) {
        bool is_blank = in->text[i] == ' ' || in->text[i] == '\t' || in->text[i] == '\n';
        if (is_blank && !was_blank) out[n++] = ' ';
        if (!is_blank) out[n++] = in->text[i];
        was_blank = is_blank;
    }
    out[n] = '\0';
}

static void add_place(char *to, size_t room, const PtxInst *in) {
    char text[200];
    size_t n = strlen(to);
    text_of(in, text, sizeof text);
    snprintf(to + n, room - n, "\n    at line %u: %s", in->line, text);
}

void ptx_fault(PtxWarp *w, const PtxInst *in, int lane, const char *format, ...) {
    Group *g = w->common;
    Worker *worker = g->worker;
    const PtxRaced *r = &w->group->raced;
    if (w->stop == FAULTED) return; /* the first counts */
    w->stop = FAULTED;
    va_list args;
    va_start(args, format);
    fault_begin(g, w->index, lane, format, args);
    va_end(args);
    size_t room = sizeof worker->fault;
    add_place(worker->fault, room, in);
    if (r->in == NULL) return;
    size_t n = strlen(worker->fault);
    snprintf(worker->fault + n, room - n,
             "\n    before: wave %u, lane %u read %s memory that another %s", r->warp, r->lane,
             r->is_shared ? "local" : "global",
             r->is_of_group ? "group wrote" : "thread wrote since the last barrier");
    add_place(worker->fault, room, r->in);
}

void ptx_not_known(PtxWarp *w, const PtxInst *in) {
    ptx_fault(w, in, -1, "this instruction is not emulated");
}

/* ---- registers ------------------------------------------------------------------------------- */

uint32_t ptx_mask(const PtxLanes *x) {
    uint32_t mask = 0;
    for (unsigned base = 0; base < PTX_LANES; base += 8) {
        uint32_t byte = 0;
        for (unsigned i = 0; i < 8; i++) byte |= (uint32_t)(x->u[base + i] != 0) << i;
        mask |= byte << base;
    }
    return mask;
}

void ptx_set(PtxWarp *w, int32_t reg, bool is_wide, const PtxLanes *x, uint32_t open) {
    PtxLanes *to = ptx_register(w, reg);
    uint32_t lanes = w->lanes;
    w->unknown[reg] = (w->unknown[reg] & ~lanes) | (open & lanes);
    if (lanes == UINT32_MAX) {
        memcpy(to, x, is_wide ? 2 * PTX_UNIT : PTX_UNIT);
    } else if (is_wide) {
        for (size_t i = 0; i < PTX_LANES; i++) to->U[i] = lanes >> i & 1 ? x->U[i] : to->U[i];
    } else {
        for (size_t i = 0; i < PTX_LANES; i++) to->u[i] = lanes >> i & 1 ? x->u[i] : to->u[i];
    }
}

/* ---- places ---------------------------------------------------------------------------------- */

/* Which half of the warp they are of, or both. */
static unsigned side_of(const PtxWarp *w, uint32_t lanes) {
    return ((lanes & w->first) != 0 ? 1u : 0u) | ((lanes & ~w->first) != 0 ? 2u : 0u);
}

static void stay(PtxWarp *w, uint32_t pc, uint32_t lanes, bool waits) {
    for (unsigned i = 0; i < w->n_sets; i++) {
        PtxSet *s = &w->sets[i];
        bool meets = waits && s->waits, is_beside = side_of(w, s->lanes) == side_of(w, lanes);
        if (s->pc != pc || !(meets || is_beside)) continue;
        s->lanes |= lanes;
        s->waits = false; /* these may be those that were waited for */
        return;
    }
    w->sets[w->n_sets++] = (PtxSet){pc, lanes, waits};
}

/* Nobody can go on. */
static void forsaken(PtxWarp *w) {
    const PtxSet *s = &w->sets[0], *t = &w->sets[1];
    const PtxInst *in = &w->code->inst[s->pc];
    if (w->n_sets > 1) {
        char text[100];
        text_of(&w->code->inst[t->pc], text, sizeof text);
        ptx_fault(
            w, in, -1,
            "lanes 0x%08x wait here for others, lanes 0x%08x of the warp elsewhere: line %u: %s",
            s->lanes, t->lanes, w->code->inst[t->pc].line, text);
        return;
    }
    ptx_fault(w, in, -1, "lanes 0x%08x wait here for others of the warp, which have ended",
              s->lanes);
}

/* Those at the lowest place run, and of two halves the first. */
static bool goes_before(const PtxWarp *w, const PtxSet *a, const PtxSet *b) {
    bool first = side_of(w, a->lanes) & 1u, second = side_of(w, b->lanes) & 1u;
    return first != second ? first : a->pc < b->pc;
}

static void settle(PtxWarp *w) {
    unsigned first = UINT32_MAX;
    if (w->lanes != 0) stay(w, w->pc, w->lanes, false);
    w->lanes = 0;
    w->switch_at = UINT32_MAX;
    for (unsigned i = 0; i < w->n_sets; i++)
        if (!w->sets[i].waits &&
            (first == UINT32_MAX || goes_before(w, &w->sets[i], &w->sets[first])))
            first = i;
    if (first == UINT32_MAX) {
        if (w->n_sets == 0)
            w->stop = ENDED;
        else
            forsaken(w);
        return;
    }
    w->pc = w->sets[first].pc;
    w->lanes = w->sets[first].lanes;
    w->sets[first] = w->sets[--w->n_sets];
    for (unsigned i = 0; i < w->n_sets; i++)
        if (w->sets[i].pc > w->pc && w->sets[i].pc < w->switch_at) w->switch_at = w->sets[i].pc;
}

bool ptx_together(PtxWarp *w, const PtxInst *in, uint32_t lanes) {
    if ((lanes & ~w->lanes) == 0) return true;
    w->common->worker->counts[in->index]--; /* it is yet to come */
    stay(w, in->index, w->lanes, true);
    w->lanes = 0;
    settle(w);
    return false;
}

/* Half of the lanes. Any two of them are in different halves half of the time. */
static uint32_t half_of(uint32_t chance) {
    uint32_t bits = chance % 31 + 1, half = 0;
    for (uint32_t i = 0; i < PTX_LANES; i++)
        half |= (uint32_t)(__builtin_popcount(i & bits) & 1) << i;
    return chance >> 16 & 1 ? half : ~half;
}

/* Each time another half goes first. */
void ptx_part(PtxWarp *w) {
    PtxSet all[PTX_LANES];
    unsigned n = w->n_sets;
    if (!w->is_apart) return;
    w->parted = w->parted * 1664525u + 1013904223u;
    w->first = half_of(w->parted >> 8);
    memcpy(all, w->sets, n * sizeof *all);
    if (w->lanes != 0) all[n++] = (PtxSet){w->pc, w->lanes, false};
    w->n_sets = 0;
    w->lanes = 0;
    for (unsigned i = 0; i < n; i++)
        for (unsigned side = 0; side < 2; side++) {
            uint32_t lanes = all[i].lanes & (side == 0 ? w->first : ~w->first);
            if (lanes != 0) w->sets[w->n_sets++] = (PtxSet){all[i].pc, lanes, all[i].waits};
        }
    settle(w);
}

/* ---- control --------------------------------------------------------------------------------- */

/* The lanes of those that run which the guard lets through; false: it is not known. */
static bool guard(PtxWarp *w, const PtxInst *in, uint32_t *lanes) {
    uint32_t mask = in->guard < 0 ? UINT32_MAX : ptx_mask(ptx_register(w, in->guard));
    uint32_t open = in->guard < 0 ? 0 : w->unknown[in->guard] & w->lanes;
    if (in->is_negated) mask = ~mask;
    *lanes = mask & w->lanes;
    if (open == 0) return true;
    ptx_fault(w, in, __builtin_ctz(open),
              "it depends on a predicate that comes from what was never written");
    return false;
}

void ptx_guarded(PtxWarp *w, const PtxInst *in) {
    uint32_t lanes, all = w->lanes;
    if (!guard(w, in, &lanes)) return;
    w->lanes = lanes;
    if (lanes != 0) in->inner(w, in);
    w->lanes = all;
}

void ptx_branch(PtxWarp *w, const PtxInst *in) {
    uint32_t taken;
    if (!guard(w, in, &taken) || taken == 0) return;
    if (taken == w->lanes) {
        w->pc = in->target;
        if (w->n_sets > 0) settle(w);
        return;
    }
    w->lanes &= ~taken;
    stay(w, in->target, taken, false);
    settle(w);
}

void ptx_return(PtxWarp *w, const PtxInst *in) {
    uint32_t lanes;
    if (!guard(w, in, &lanes)) return;
    w->ended |= lanes;
    w->lanes &= ~lanes;
    if (w->lanes == 0) settle(w);
}

void ptx_barrier(PtxWarp *w, const PtxInst *in) {
    if (in->number == w->common->worker->launch->dropped) return;
    if (w->ended != 0) {
        ptx_fault(w, in, -1, "it waits at a barrier, but lanes 0x%08x of the warp have ended",
                  w->ended);
        return;
    }
    if (!ptx_together(w, in, w->all)) return;
    ptx_part(w);
    w->stop = AT_BARRIER;
}

void ptx_run(Group *g, unsigned warp, uint64_t turn) {
    PtxWarp *w = &g->ptx->warps[warp];
    uint64_t *counts = g->worker->counts, left = turn;
    while (left > 0 && w->stop == RUNNING) {
        if (w->pc >= w->switch_at) settle(w);
        const PtxInst *in = &w->code->inst[w->pc++];
        counts[in->index]++;
        in->exec(w, in);
        left--;
    }
    w->executed += turn - left;
    uint64_t most = g->worker->launch->emu->options.max_instructions;
    if (w->executed > most && w->stop == RUNNING)
        ptx_fault(w, &w->code->inst[w->pc], -1, "it has run %llu instructions: no end is in sight",
                  (unsigned long long)w->executed);
}

/* ---- other lanes' registers ------------------------------------------------------------------ */

/* Which lane each reads: up, down, across, of a number; the clamp and the segment are in c. */
static unsigned lane_read(uint8_t row, unsigned lane, uint32_t b, uint32_t c) {
    uint32_t by = b & 31u, clamp = c & 31u, segment = c >> 8 & 31u;
    uint32_t most = (lane & segment) | (clamp & ~segment), least = lane & segment, from;
    bool is_inside;
    switch (row) {
    case 'u':
        from = lane - by;
        is_inside = (int32_t)from >= (int32_t)most;
        break;
    case 'd':
        from = lane + by;
        is_inside = from <= most;
        break;
    case 'b':
        from = lane ^ by;
        is_inside = from <= most;
        break;
    default: from = least | (by & ~segment); is_inside = from <= most;
    }
    return is_inside ? from & 31u : lane;
}

/* The lanes that have to be here; false: the warp stops. */
static bool members(PtxWarp *w, const PtxInst *in, uint32_t *lanes) {
    const PtxLanes *mask = ptx_source(w, in->arg[4]);
    uint32_t first = mask->u[__builtin_ctz(w->lanes)];
    for (unsigned i = 0; i < PTX_LANES; i++) {
        if ((w->lanes >> i & 1) == 0) continue;
        const char *why = ptx_unknown(w, in->arg[4]) >> i & 1
                              ? "the lanes that meet come from what was never written"
                          : mask->u[i] != first ? "lanes name others to meet than their neighbours"
                          : (first >> i & 1) == 0 ? "it is not among the lanes that meet"
                                                  : NULL;
        if (why == NULL) continue;
        ptx_fault(w, in, (int)i, "%s", why);
        return false;
    }
    if ((first & ~w->all) != 0 && w->all != UINT32_MAX && first != UINT32_MAX) {
        ptx_fault(w, in, -1, "lanes 0x%08x are to meet, which do not exist", first & ~w->all);
        return false;
    }
    *lanes = first & w->all & ~w->ended;
    return true;
}

void ptx_shuffle(PtxWarp *w, const PtxInst *in) {
    PtxLanes out;
    uint32_t here, open = 0;
    if (!members(w, in, &here) || !ptx_together(w, in, here)) return;
    const PtxLanes *a = ptx_source(w, in->arg[1]), *b = ptx_source(w, in->arg[2]),
                   *c = ptx_source(w, in->arg[3]);
    uint32_t doubt = (ptx_unknown(w, in->arg[2]) | ptx_unknown(w, in->arg[3])) & w->lanes;
    if (doubt != 0) {
        ptx_fault(w, in, __builtin_ctz(doubt),
                  "the lane to read comes from what was never written");
        return;
    }
    uint32_t unknown =
        ptx_unknown(w, in->arg[1]) | ~here; /* of a lane that is not here nothing is known */
    for (unsigned i = 0; i < PTX_LANES; i++) {
        unsigned from = lane_read((uint8_t)in->op->name[10], i, b->u[i], c->u[i]);
        out.u[i] = a->u[from];
        open |= (unknown >> from & 1) << i;
    }
    ptx_set(w, in->arg[0], false, &out, open);
    ptx_part(w);
}

/* ---- parts of registers ---------------------------------------------------------------------- */

/* The first part is the lowest. */
void ptx_join(PtxWarp *w, const PtxInst *in) {
    PtxLanes out;
    bool is_wide = in->op->types[0] == 'd';
    unsigned n = in->n_arg - 1u, bits = (is_wide ? 64u : 32u) / n;
    uint32_t open = 0;
    for (unsigned k = 0; k < n; k++) open |= ptx_unknown(w, in->arg[1 + k]);
    for (unsigned i = 0; i < PTX_LANES; i++) {
        uint64_t x = 0;
        for (unsigned k = 0; k < n; k++)
            x |= (uint64_t)ptx_source(w, in->arg[1 + k])->u[i] << k * bits;
        if (is_wide)
            out.U[i] = x;
        else
            out.u[i] = (uint32_t)x;
    }
    ptx_set(w, in->arg[0], is_wide, &out, open);
}

void ptx_split(PtxWarp *w, const PtxInst *in) {
    PtxLanes out;
    unsigned n = in->n_dst;
    bool is_wide = in->op->types[n + 1] == 'd';
    unsigned bits = (is_wide ? 64u : 32u) / n;
    PtxLanes from; /* the source may be overwritten by a part */
    memcpy(&from, ptx_source(w, in->arg[n]), is_wide ? 2 * PTX_UNIT : PTX_UNIT);
    uint32_t open = ptx_unknown(w, in->arg[n]), all = bits == 16 ? 0xffffu : UINT32_MAX;
    for (unsigned k = 0; k < n; k++) {
        for (unsigned i = 0; i < PTX_LANES; i++) {
            uint64_t x = is_wide ? from.U[i] : from.u[i];
            out.u[i] = (uint32_t)(x >> k * bits) & all;
        }
        ptx_set(w, in->arg[k], false, &out, open);
    }
}
