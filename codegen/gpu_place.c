/* How a kernel's points are dealt to workgroups and threads, and where values inside live.
 *
 * The costs of lane.c are those of waves: what lies in the lanes of a vector there, lies in neighbouring
 * threads here. */
#include "gpu.h"

enum { USUAL_BLOCK = 256, BUSY_WAVES = 1024, LONG_SUM = 32, TERMS = 4 };

static double points_of(Work *w) {
    double n = 1;
    for (uint32_t i = 0; i < w->n_par; i++) n *= (double)size_guess(w->e, w->par[i]);
    return n;
}

/* Time for so many waves, when about BUSY_WAVES of them run at once. */
static double time_of(double each, double waves) {
    return each * (waves > BUSY_WAVES ? waves / BUSY_WAVES : 1);
}

bool gpu_prefers_points(Work *w, double inside, double across) {
    if (!w->n_par) return false;
    double lanes = (double)w->e->lanes, points = points_of(w);
    double alone = time_of(across * lanes, (points + lanes - 1) / lanes);
    return alone < time_of(inside, points) * 0.8;
}

/* ---- teams ------------------------------------------------------------------------------------------------ */

static uint32_t power_above(double n) {
    uint32_t p = 1;
    while (p < 1024 && p < n) p *= 2;
    return p;
}

static double results_of(Work *w, const Nest *n) {
    double r = 1;
    for (uint32_t a = 0; a < n->n; a++)
        if (!n->reduced[a]) r *= (double)size_guess(w->e, n->size[a]);
    return r;
}

static bool is_solo(Work *w, const Nest *n) {
    for (uint32_t a = 0; a < n->n; a++)
        if (!n->reduced[a] && !box_is_one(w->e, &n->size[a], 1)) return false;
    return true;
}

static bool deals_sums(const Nest *n) { return n->lane >= 0 && n->reduced[n->lane]; }

/* Threads that add up each of the sums of a nest. Where there are sums enough for all threads, each takes a few
 * terms: its loads are under way together, and fewer exchanges follow. */
static uint32_t share_of(Work *w, const Nest *n) {
    uint32_t wave = w->e->gpu->t->wave;
    uint32_t each = power_above((double)size_guess(w->e, n->size[n->lane]));
    if (each >= LONG_SUM && each / TERMS * results_of(w, n) >= USUAL_BLOCK) each /= TERMS;
    return each < wave ? each : wave;
}

uint32_t gpu_share(Work *w, const Nest *n) {
    const Gpu *g = w->e->gpu;
    if (!deals_sums(n)) return 1;
    if (is_solo(w, n) && size_guess(w->e, n->size[n->lane]) > g->t->wave) return g->block;
    return share_of(w, n);
}

/* Threads that a nest has work for. */
static double threads_for(Work *w, const Nest *n) {
    double sums = deals_sums(n) ? (double)size_guess(w->e, n->size[n->lane]) : 1;
    if (is_solo(w, n)) return sums >= 4096 ? 512 : sums > USUAL_BLOCK ? USUAL_BLOCK : sums;
    double results = results_of(w, n) * (deals_sums(n) ? share_of(w, n) : 1);
    return results > USUAL_BLOCK ? USUAL_BLOCK : results;
}

static uint32_t block_for(Work *w) {
    double most = 1;
    for (uint32_t i = 0; i < w->nests.n; i++) {
        double t = threads_for(w, &w->nests.data[i]);
        if (t > most) most = t;
    }
    uint32_t block = power_above(most);
    return block < w->e->lanes ? w->e->lanes : block;
}

/* Nests that know nothing of each other: their results may be computed by several workgroups. */
static bool may_be_cut(Work *w) {
    Emit *e = w->e;
    if (e->k->kind == K_SCAN || e->locals.n) return false;
    for (uint32_t i = 0; i < w->nests.n; i++) {
        if (is_solo(w, &w->nests.data[i])) return false;
        for (uint32_t k = 0; k < e->k->members.n; k++) {
            Value v = graph_node(e->g, e->k->members.data[k].node)->out;
            if (w->nest_of[v] != i + 1 && nest_reads(w, &w->nests.data[i], v)) return false;
        }
    }
    return true;
}

static void set_slices(Work *w) {
    Emit *e = w->e;
    Sizes *s = e->g->sizes;
    double most = 0;
    Size rounds = 0;
    for (uint32_t i = 0; i < w->nests.n; i++) {
        const Nest *n = &w->nests.data[i];
        uint32_t teams = e->gpu->block / gpu_share(w, n);
        double r = results_of(w, n) / teams;
        if (r <= most) continue;
        Size total = size_num(s, teams - 1);
        Size all = size_num(s, 1);
        for (uint32_t a = 0; a < n->n; a++)
            if (!n->reduced[a]) all = size_mul(s, all, size_ground(s, n->size[a]));
        most = r;
        rounds = size_floordiv(s, size_add(s, total, all), size_num(s, teams));
    }
    int64_t one;
    if (rounds && !(size_is_num(s, rounds, &one) && one <= 1)) e->gpu->slices = rounds;
}

void gpu_place(Work *w) {
    Emit *e = w->e;
    Gpu *g = e->gpu;
    g->point = w->grid_lane;
    g->dense = e->k->kind == K_SCAN;
    gpu_columns(w);
    g->block = g->point ? USUAL_BLOCK : block_for(w);
    w->tile = g->point ? g->block : 1;
    g->heads = 1;
    if (g->point) return;
    if (may_be_cut(w))
        set_slices(w);
    else
        g->heads = gpu_heads(w);
}

/* ---- values inside ------------------------------------------------------------------------------------------ */

bool gpu_keep(Work *w, EmitLocal *l, Size count, bool slots) {
    Emit *e = w->e;
    Gpu *g = e->gpu;
    int64_t n;
    bool ints = graph_value(e->g, l->value)->type == T_INT;
    LLVMTypeRef t = ints ? e->i32 : e->f32;
    uint32_t at = (uint32_t)(l - e->locals.data);
    if (w->column_axis[at]) {
        gpu_place_columns(w, l, at);
        return true;
    }
    if (!size_is_num(e->g->sizes, size_ground(e->g->sizes, count), &n)) return false;
    if (n == w->tile && !slots) {
        l->ptr = emit_var(e, t, NULL);
        for (uint32_t a = 0; a < MAX_RANK; a++) l->stride[a] = NULL;
        gpu_set_place(e, l->scope, GPU_IN_REGISTERS);
        return true;
    }
    if (n * 4 > (int64_t)(g->t->local_room - 4096) - (int64_t)g->local_used) return false;
    l->ptr = gpu_array(e, t, (uint64_t)n, "inside");
    gpu_set_place(e, l->scope, GPU_IN_LOCAL);
    return true;
}
