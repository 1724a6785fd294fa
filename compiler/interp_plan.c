/* Plans: which loops, which axis for the lanes, which register where. Each axis that may carry the
 * lanes is tried, and the plan with the lowest estimate of time is kept. */
#include "interp_impl.h"

#include <string.h>

static Gen gen_new(Known *k, const Spec *s, Machine *m, Arena *a) {
    Gen g = {.k = k, .g = k->g, .a = a, .spec = s, .lane = NO_AXIS, .f32 = m && m->f32};
    return g;
}

uint32_t plan_mergeable(Known *k, const Spec *s, Arena *scratch) {
    Gen g = gen_new(k, s, NULL, scratch);
    g.dry = true;
    gen_begin(&g);
    gen_product(&g);
    if (s->scatter) gen_address(&g);
    uint32_t may = 0;
    for (uint32_t i = 0; i + 1 < s->n_out; i++)
        if (s->ostride[s->out[i]] == s->ostride[s->out[i + 1]] * s->size[s->out[i + 1]])
            may |= 1u << s->out[i];
    for (uint32_t i = 0; i + 1 < s->n_red; i++) may |= 1u << s->red_axis[i];
    return may & ~g.apart;
}

/* ---- loops ----------------------------------------------------------------------------------- */

/* The axes of a list that are left when some are merged into the next one, and their sizes. */
static uint32_t left_over(const Spec *s, const uint8_t *list, uint32_t n, uint32_t merged,
                          uint8_t *axis, int64_t *size) {
    uint32_t left = 0;
    int64_t product = 1;
    for (uint32_t i = 0; i < n; i++) {
        product *= s->size[list[i]];
        if (merged >> list[i] & 1) continue;
        axis[left] = list[i];
        size[list[i]] = product;
        left++;
        product = 1;
    }
    return left;
}

/* Order of the loops: those of the result, the lanes last among them; then the reduced ones. */
static void set_levels(Plan *p, const Spec *s, uint32_t merged, uint8_t lane) {
    uint8_t axis[MAX_AXES];
    int64_t size[MAX_AXES] = {0};
    uint32_t n = left_over(s, s->out, s->n_out, merged, axis, size);
    bool out_lane = false;
    p->n_levels = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (axis[i] == lane)
            out_lane = true;
        else
            p->level_axis[p->n_levels++] = axis[i];
    }
    if (out_lane) p->level_axis[p->n_levels++] = lane;
    p->acc_level = p->n_levels;
    n = left_over(s, s->red_axis, s->n_red, merged, axis, size);
    for (uint32_t i = 0; i < n; i++) p->level_axis[p->n_levels++] = axis[i];
    p->lane = lane;
    p->fold = lane != NO_AXIS && !out_lane;
    int64_t stride = 1;
    for (uint32_t i = p->n_levels; i-- > p->acc_level;) {
        p->rstride[p->level_axis[i]] = stride;
        stride *= size[p->level_axis[i]];
    }
    for (uint32_t i = 0; i < p->n_levels; i++) p->hi[p->level_axis[i]] = size[p->level_axis[i]];
    memcpy(p->ostride, s->ostride, sizeof p->ostride);
}

/* ---- cost ------------------------------------------------------------------------------------ */

/* Nanoseconds a lane, roughly. */
static double lane_cost(const Instr *x) {
    if (x->op == OP_FN) {
        switch ((Fn)x->fn) {
        case F_exp:
        case F_log:
        case F_sigmoid:
        case F_sin:
        case F_cos: return 8;
        case F_tanh:
        case F_erf:
        case F_softplus:
        case F_pow: return 20;
        case F_idiv:
        case F_imod: return 8;
        case F_div:
        case F_sqrt: return 2;
        default: return 0.5;
        }
    }
    if (x->op == OP_LOAD) {
        if (!x->vec || x->lane == 1) return x->masked ? 0.5 : 0.05;
        return x->lane > 8 || x->lane < -8 ? 2 : 1;
    }
    switch (x->op) {
    case OP_GATHER: return 2;
    case OP_DIVLIN: return 2;
    case OP_RANDOM: return 5;
    case OP_RANGE: return 0.05;
    default: return 0.7;
    }
}

static double sink_cost(const Plan *p, const Spec *s) {
    if (s->scatter) return 2;
    if (p->fold) return 1.5;
    if (p->red) return 0.5;
    return p->lane != NO_AXIS && p->ostride[p->lane] != 1 ? 1.5 : 0.3;
}

static double plan_cost(const Plan *p, const Spec *s) {
    double runs = 1, lanes = 1, cost = 0;
    uint32_t at = 0;
    for (uint32_t depth = 0; depth <= p->n_levels; depth++) {
        if (depth > 0) {
            uint8_t axis = p->level_axis[depth - 1];
            double n = (double)p->hi[axis];
            if (axis == p->lane) {
                lanes = n < LANES ? n : LANES;
                n = (double)((p->hi[axis] + LANES - 1) / LANES);
            }
            runs *= n;
            cost += runs * 4;
        }
        for (; at < p->first[depth + 1]; at++)
            cost += runs * (4 + lane_cost(&p->instr[at]) * (p->instr[at].vec ? lanes : 1));
    }
    return cost + runs * (8 + sink_cost(p, s) * lanes);
}

/* ---- registers ------------------------------------------------------------------------------- */

/* Vectors computed and used up in the innermost loop share registers; all others have their own. */
typedef struct Slots {
    uint32_t *last; /* by vector: the last instruction that uses it */
    bool *shared;
    uint32_t *slot;
    VEC(uint32_t) spare;
    uint32_t n;
} Slots;

static void use(Slots *z, Opd o, uint32_t at) {
    if (gen_is_vec(o)) z->last[o & ~OPD_VEC] = at;
}

static void each_operand(const Plan *p, const Instr *x, void (*fn)(Slots *, Opd, uint32_t),
                         Slots *z, uint32_t at) {
    bool a = x->op == OP_FN || x->op == OP_CHECKV || x->op == OP_GATHER || x->op == OP_SELECT ||
             x->op == OP_COND || x->op == OP_MASK || x->op == OP_RANGE;
    if (a) fn(z, x->a, at);
    if (x->op == OP_FN || x->op == OP_SELECT) fn(z, x->b, at);
    for (uint32_t i = 0; i < (uint32_t)x->n_terms + x->n_vterms; i++)
        fn(z, p->terms[x->terms + i].at, at);
}

static void retire(Slots *z, Opd o, uint32_t at) {
    if (!gen_is_vec(o)) return;
    uint32_t v = o & ~OPD_VEC;
    if (!z->shared[v] || z->last[v] != at) return;
    z->shared[v] = false; /* only once */
    z->spare.data[z->spare.n++] = z->slot[v];
}

static bool defines_vector(const Instr *x) {
    return x->vec && x->op <= OP_RANDOM && x->op != OP_CHECK && x->op != OP_CHECKV;
}

static void set_registers(Plan *p, Gen *g, Arena *a) {
    uint32_t n = g->reg_dep.n, n_instr = g->instr.n;
    Slots z = {.last = NEWN(g->a, uint32_t, n + 1),
               .shared = NEWN(g->a, bool, n + 1),
               .slot = NEWN(g->a, uint32_t, n + 1)};
    z.spare.data = NEWN(g->a, uint32_t, n + 1);
    memset(z.shared, 1, n + 1);
    for (uint32_t i = 0; i < n_instr; i++) {
        bool inner = p->instr[i].depth == p->n_levels;
        each_operand(p, &p->instr[i], use, &z, i);
        if (defines_vector(&p->instr[i]) && !inner) z.shared[p->instr[i].d] = false;
    }
    use(&z, p->root, n_instr);
    if (p->scatter) use(&z, p->address, n_instr);
    p->reg = NEWN(a, Cell *, n + 1);
    for (uint32_t i = 0; i < n_instr; i++) {
        const Instr *x = &p->instr[i];
        if (x->op == OP_FN)
            each_operand(p, x, retire, &z, i); /* the result may take an argument's place */
        if (defines_vector(x)) z.slot[x->d] = z.spare.n ? z.spare.data[--z.spare.n] : z.n++;
        if (x->op != OP_FN) each_operand(p, x, retire, &z, i);
        if (defines_vector(x) && z.shared[x->d] && z.last[x->d] == 0)
            z.spare.data[z.spare.n++] = z.slot[x->d];
    }
    p->n_slots = z.n + 2;
    p->slot_of = NEWN(a, uint32_t, n + 1);
    memcpy(p->slot_of, z.slot, n * sizeof *z.slot);
    p->n_reg = n;
}

void plan_place(Plan *p) {
    for (uint32_t i = 0; i < p->n_reg; i++)
        p->reg[i] = p->m->scratch + (size_t)p->slot_of[i] * LANES;
    p->acc = p->m->scratch + (size_t)(p->n_slots - 2) * LANES;
    p->best = &(p->acc + LANES)->i;
}

/* ---- building -------------------------------------------------------------------------------- */

/* Instructions by depth, in the order they were made within one. */
static void sort_by_depth(Plan *p, const Gen *g, Arena *a) {
    p->instr = NEWN(a, Instr, g->instr.n + 1);
    uint32_t n = 0;
    for (uint32_t depth = 0; depth <= p->n_levels; depth++) {
        p->first[depth] = n;
        for (uint32_t i = 0; i < g->instr.n; i++)
            if (g->instr.data[i].depth == depth) p->instr[n++] = g->instr.data[i];
    }
    p->first[p->n_levels + 1] = n;
}

/* The result's items can be computed in place: the last instruction makes them, once an item. */
static bool computed_last(const Plan *p, const Spec *s, const Gen *g) {
    if (s->red || s->scatter || p->lane == NO_AXIS || p->ostride[p->lane] != 1 ||
        !gen_is_vec(p->root))
        return false;
    uint32_t n = g->instr.n;
    if (n == 0) return false;
    const Instr *x = &p->instr[n - 1];
    return (x->op == OP_FN || x->op == OP_SELECT || x->op == OP_RANDOM) && x->vec && x->ctx == 0 &&
           (x->d | OPD_VEC) == p->root && x->depth == p->n_levels;
}

static Plan *build(Known *k, const Spec *s, uint32_t merged, uint8_t lane, Machine *m, Arena *a,
                   Arena *scratch) {
    Plan *p = NEW(a, Plan);
    set_levels(p, s, merged, lane);
    Gen g = gen_new(k, s, m, scratch);
    g.merged = merged;
    g.lane = lane;
    for (uint32_t i = 0; i < p->n_levels; i++) g.place[p->level_axis[i]] = (uint8_t)(i + 1);
    gen_begin(&g);
    p->root = gen_product(&g);
    p->scatter = s->scatter;
    if (s->scatter) p->address = gen_address(&g);
    if (k->error) return NULL;
    p->m = m;
    p->red = s->red;
    p->ints = s->ints;
    p->argmax_ints = s->red == RED_ARGMAX && graph_type(k->g, s->factors[0]) == T_INT;
    p->round = m->f32 && !s->ints;
    sort_by_depth(p, &g, a);
    p->terms = arena_copy(a, g.terms.data, g.terms.n * sizeof *g.terms.data);
    p->cells = arena_copy(a, g.cells.data, g.cells.n * sizeof *g.cells.data);
    p->n_ctx = g.ctx.n;
    p->ctx = arena_copy(a, g.ctx.data, g.ctx.n * sizeof *g.ctx.data);
    for (uint32_t i = 0; i < p->n_ctx; i++)
        if (p->ctx[i].own) p->ctx[i].own = NEWN(a, uint8_t, LANES);
    p->n_reads = g.reads.n;
    p->reads = arena_copy(a, g.reads.data, g.reads.n * sizeof *g.reads.data);
    p->base = NEWN(a, const Cell *, g.reads.n + 1);
    set_registers(p, &g, a);
    p->direct = computed_last(p, s, &g);
    p->cost = plan_cost(p, s);
    return p;
}

/* Axes that may carry the lanes: any of the result's, the last reduced one, or none. */
static uint32_t candidates(const Spec *s, uint32_t merged, uint8_t *lane) {
    int64_t size[MAX_AXES];
    uint32_t n = left_over(s, s->out, s->n_out, merged, lane, size);
    if (s->ordered && n > 1) lane[0] = lane[n - 1];
    if (s->ordered && n > 1) n = 1;
    uint8_t red[MAX_AXES];
    uint32_t n_red = left_over(s, s->red_axis, s->n_red, merged, red, size);
    if (n_red) lane[n++] = red[n_red - 1];
    if (n == 0) lane[n++] = NO_AXIS;
    return n;
}

Plan *loops_plan(Known *k, const Spec *s, uint32_t merged, Machine *m, Arena *a, Arena *scratch) {
    uint8_t lane[2 * MAX_AXES + 1];
    uint32_t n = candidates(s, merged, lane);
    uint8_t best = lane[0];
    double least = 0;
    for (uint32_t i = 0; i < n && n > 1; i++) {
        const Plan *p = build(k, s, merged, lane[i], m, scratch, scratch);
        if (!p) return NULL;
        if (i > 0 && p->cost >= least) continue; /* of equal ones the first */
        least = p->cost;
        best = lane[i];
    }
    return build(k, s, merged, best, m, a, scratch);
}
