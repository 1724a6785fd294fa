/* Lanes that see each other: reads of one lane into scalars, permutations of lanes, the accumulation
 * registers. */
#include "ops.h"
#include "wave.h"

/* ---- one lane -------------------------------------------------------------------------------- */

static bool stopped_by_reads(Wave *w, const Inst *in) {
    vectors_doubtful(w, in);
    scalars_doubtful(w, in);
    return w->stop == FAULTED;
}

static uint32_t scalar_source(Wave *w, const Inst *in, unsigned k, const char *what) {
    const Slot *s = &in->src[k];
    if (s->kind == O_CONST) return (uint32_t)s->bits;
    if (s->reg != S_NULL && w->s_unknown[s->reg] != 0)
        wave_fault(w, in, -1, "%s comes from a register never written", what);
    return scalar_get(w, s->reg);
}

static void read_lane(Wave *w, const Inst *in, unsigned lane) {
    const Slot *s = &in->src[0];
    if (s->kind != O_VECTOR) {
        scalar_set(w, in, in->dst[0].reg,
                   s->kind == O_CONST ? (uint32_t)s->bits : scalar_get(w, s->reg),
                   s->kind == O_CONST ? 0 : w->s_unknown[s->reg]);
        return;
    }
    scalar_set(w, in, in->dst[0].reg, w->v[s->reg].u[lane], unknown_of(w, s->reg, lane));
}

static void exec_readfirstlane(Wave *w, const Inst *in) {
    if (stopped_by_reads(w, in)) return;
    read_lane(w, in, w->exec == 0 ? 0 : (unsigned)__builtin_ctzll(w->exec));
}

static void exec_readlane(Wave *w, const Inst *in) {
    if (stopped_by_reads(w, in)) return;
    uint32_t lane = scalar_source(w, in, 1, "the lane to read");
    if (w->stop != FAULTED) read_lane(w, in, lane & (w->n - 1));
}

static void exec_writelane(Wave *w, const Inst *in) {
    if (stopped_by_reads(w, in)) return;
    Lanes x, open;
    const Slot *s = &in->src[0];
    uint32_t lane = scalar_source(w, in, 1, "the lane to write") & (w->n - 1);
    if (w->stop == FAULTED) return;
    x.u[lane] = s->kind == O_CONST ? (uint32_t)s->bits : scalar_get(w, s->reg);
    memset(&open, 0, sizeof open);
    open.u[lane] = s->kind == O_CONST || s->reg == S_NULL ? 0 : w->s_unknown[s->reg];
    for (unsigned i = 0; i < w->n; i++)
        if (i != lane) x.u[i] = 0;
    vector_set(w, in, in->dst[0].reg, &x, &open, (uint64_t)1 << lane);
}

/* ---- permutations ---------------------------------------------------------------------------- */

/* dst[i] = src[from[i]]; from < 0: zero. Lanes switched off count as zero if they must be active. */
static void permute(Wave *w, const Inst *in, unsigned reg, const int from[MAX_LANES],
                    bool only_active) {
    Lanes x, open;
    for (unsigned i = 0; i < w->n; i++) {
        int k = from[i];
        bool has_source = k >= 0 && (!only_active || (w->exec >> k & 1));
        x.u[i] = has_source ? w->v[reg].u[k] : 0;
        open.u[i] = has_source ? unknown_of(w, reg, (unsigned)k) : 0;
    }
    vector_set(w, in, in->dst[0].reg, &x, &open, w->exec);
}

static void local_result(Wave *w, const Inst *in) {
    wait_issue(w, in, CNT_LGKM, false, false, in->dst[0].reg, 1);
}

/* An address of four bytes a lane. */
static bool lane_addresses(Wave *w, const Inst *in, unsigned reg, int lane[MAX_LANES]) {
    for (unsigned i = 0; i < w->n; i++) {
        lane[i] = -1;
        if ((w->exec >> i & 1) == 0) continue;
        if (unknown_of(w, reg, i) != 0) {
            wave_fault(w, in, (int)i, "the lane comes from v%u, which was never written there",
                       reg);
            return false;
        }
        lane[i] = (int)((w->v[reg].u[i] + (uint32_t)in->mod.offset) >> 2 & (w->n - 1));
    }
    return true;
}

static void exec_bpermute(Wave *w, const Inst *in) {
    int from[MAX_LANES];
    if (stopped_by_reads(w, in) || !lane_addresses(w, in, in->src[0].reg, from)) return;
    permute(w, in, in->src[1].reg, from, true);
    local_result(w, in);
}

static void exec_permute(Wave *w, const Inst *in) {
    int to[MAX_LANES], from[MAX_LANES];
    if (stopped_by_reads(w, in) || !lane_addresses(w, in, in->src[0].reg, to)) return;
    for (unsigned i = 0; i < w->n; i++) from[i] = -1;
    for (unsigned i = 0; i < w->n; i++) /* the highest lane wins */
        if (to[i] >= 0) from[to[i]] = (int)i;
    permute(w, in, in->src[1].reg, from, true);
    local_result(w, in);
}

static void exec_swizzle(Wave *w, const Inst *in) {
    int from[MAX_LANES];
    uint32_t mode = (uint32_t)in->imm & 0xffffu;
    if (stopped_by_reads(w, in)) return;
    if (mode >= 0xc000u) {
        wave_fault(w, in, -1, "this swizzle is not emulated");
        return;
    }
    for (unsigned i = 0; i < w->n; i++) {
        unsigned k;
        if (mode & 0x8000u)
            k = (i & ~3u) | (mode >> 2 * (i & 3u) & 3u);
        else
            k = (i & ~31u) | ((((i & 31u) & mode) | (mode >> 5 & 31u)) ^ (mode >> 10 & 31u));
        from[i] = (int)k;
    }
    permute(w, in, in->src[0].reg, from, true);
    local_result(w, in);
}

/* v_permlane16: lane i of a row reads the lane of its row that 4 bits of the two scalars name;
 * v_permlanex16: of the other row of the pair. op_sel: also from lanes that are off; without a source
 * the old value stays, or with the second bit of op_sel zero comes. */
static void permlane16(Wave *w, const Inst *in, bool is_crossed) {
    if (stopped_by_reads(w, in)) return;
    uint64_t select = scalar_source(w, in, 1, "the selector");
    select |= (uint64_t)scalar_source(w, in, 2, "the selector") << 32;
    if (w->stop == FAULTED) return;
    Lanes x, open;
    uint64_t lanes = w->exec;
    bool any_lane = in->mod.op_sel & 1, is_bounded = in->mod.op_sel & 2;
    unsigned reg = in->src[0].reg;
    for (unsigned i = 0; i < w->n; i++) {
        unsigned k = (i & ~15u) | (unsigned)(select >> 4 * (i & 15u) & 15u);
        if (is_crossed) k ^= 16;
        bool has_source = any_lane || (w->exec >> k & 1);
        x.u[i] = has_source ? w->v[reg].u[k] : 0;
        open.u[i] = has_source ? unknown_of(w, reg, k) : 0;
        if (!has_source && !is_bounded) lanes &= ~((uint64_t)1 << i);
    }
    vector_set(w, in, in->dst[0].reg, &x, &open, lanes);
}

static void exec_permlane16(Wave *w, const Inst *in) { permlane16(w, in, false); }
static void exec_permlanex16(Wave *w, const Inst *in) { permlane16(w, in, true); }

static void exec_swap(Wave *w, const Inst *in) {
    if (stopped_by_reads(w, in)) return;
    unsigned a = in->dst[0].reg, b = in->src[0].reg;
    Lanes x = w->v[a], y = w->v[b], open_x, open_y;
    for (unsigned i = 0; i < w->n; i++) {
        open_x.u[i] = unknown_of(w, a, i);
        open_y.u[i] = unknown_of(w, b, i);
    }
    vector_set(w, in, a, &y, &open_y, w->exec);
    vector_set(w, in, b, &x, &open_x, w->exec);
}

#define X(label, t, function)                                                                      \
    { .name = #label, .types = t, .kind = K_CROSS, .exec = function }

const Op ops_cross[] = {X(v_readfirstlane_b32, "s=u", exec_readfirstlane),
                        X(v_readlane_b32, "s=uu", exec_readlane),
                        X(v_writelane_b32, "u=uu", exec_writelane),
                        X(v_permlane16_b32, "u=uuu", exec_permlane16),
                        X(v_permlanex16_b32, "u=uuu", exec_permlanex16),
                        X(v_swap_b32, "u=u", exec_swap),
                        X(ds_bpermute_b32, "u=uu", exec_bpermute),
                        X(ds_permute_b32, "u=uu", exec_permute),
                        X(ds_swizzle_b32, "u=u", exec_swizzle),
                        {.name = NULL}};
