/* The interpreter: axes, what is bound, plans for all nodes, and running them. */
#include "interp_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t DEFAULT_LIMIT = (size_t)8 << 30;

const char *interp_fail(Interp *in, Loc at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    Text t = text_new(in->arena);
    text_vprintf(&t, fmt, ap);
    va_end(ap);
    in->error_at = at;
    return t.data;
}

static const Loc nowhere = {0, 0, 0, 0};

Interp *interp_new(Graph *g, const InterpOptions *o) {
    Arena *a = arena_new();
    Interp *in = NEW(a, Interp);
    in->arena = a;
    in->g = g;
    if (o) in->options = *o;
    if (in->options.memory_limit == 0) in->options.memory_limit = DEFAULT_LIMIT;
    in->n_axes = size_axes(g->sizes);
    in->axes = NEWN(a, int64_t, in->n_axes + 1);
    in->bound = NEWN(a, Array, g->values.n);
    in->is_bound = NEWN(a, bool, g->values.n);
    in->below = NEWN(a, int64_t, g->values.n);
    in->view = NEWN(a, Array, g->values.n);
    in->machine.g = g;
    in->machine.ptr = NEWN(a, void *, g->values.n);
    in->machine.f32 = in->options.rounding == ROUND_F32;
    in->machine.seed = in->options.seed;
    for (uint32_t i = 0; i < g->inputs.n; i++)
        in->below[g->inputs.data[i].value] = g->inputs.data[i].below;
    return in;
}

static void forget_plans(Interp *in) {
    arena_free(in->plans);
    free(in->slab);
    in->plans = NULL;
    in->slab = NULL;
    in->done = false;
}

void interp_free(Interp *in) {
    if (!in) return;
    forget_plans(in);
    arena_free(in->arena);
}

void interp_seed(Interp *in, uint64_t seed) { in->machine.seed = seed; }
Loc interp_error_loc(const Interp *in) { return in->error_at; }
size_t interp_memory(const Interp *in) { return in->memory; }

const char *interp_axis(Interp *in, const char *name, int64_t n) {
    const Sizes *z = in->g->sizes;
    for (uint32_t i = 0; i < in->n_axes; i++) {
        if (strcmp(size_axis_name(z, i), name) != 0) continue;
        int64_t multiple = size_axis_multiple(z, i);
        if (n < 1)
            return interp_fail(in, nowhere, "the axis %s must be at least 1, not %lld", name,
                               (long long)n);
        if (n % multiple != 0)
            return interp_fail(in, nowhere, "the axis %s must be a multiple of %lld, but is %lld",
                               name, (long long)multiple, (long long)n);
        if (in->axes[i] != n) forget_plans(in);
        in->axes[i] = n;
        return NULL;
    }
    return interp_fail(in, nowhere, "there is no axis %s", name);
}

const char *interp_size(Interp *in, Size s, int64_t *n) {
    Known k = {.g = in->g, .axes = in->axes};
    return known_size(&k, s, n) ? NULL : k.error;
}

/* ---- what comes from outside ------------------------------------------------------------------ */

const char *interp_name(Interp *in, Value v) {
    const ValueInfo *info = graph_value(in->g, v);
    const Node *n = graph_node(in->g, info->node);
    if (n->kind == N_INPUT && n->index < in->g->inputs.n) {
        const InputInfo *i = &in->g->inputs.data[n->index];
        return arena_printf(in->arena, "the input '%s'", i->name ? i->name : "?");
    }
    const ParamInfo *p = n->kind == N_PARAM ? &in->g->params.data[n->index] : NULL;
    if (p && p->members.n)
        return arena_printf(in->arena, "the parameter '%s'", p->members.data[0].name);
    const StateInfo *s = n->kind == N_STATE ? &in->g->states.data[n->index] : NULL;
    if (s && s->members.n)
        return arena_printf(in->arena, "the state '%s'", s->members.data[0].name);
    if (info->name) return arena_printf(in->arena, "'%s'", info->name);
    return arena_printf(in->arena, "value %u", v);
}

static void add_dims(Text *t, const int64_t *dims, uint32_t rank) {
    text_add(t, "[");
    for (uint32_t i = 0; i < rank; i++) text_printf(t, i ? ",%lld" : "%lld", (long long)dims[i]);
    text_add(t, "]");
}

const char *interp_bind(Interp *in, Value v, const Array *a) {
    const ValueInfo *info = v && v < in->g->values.n ? graph_value(in->g, v) : NULL;
    uint8_t kind = info ? graph_node(in->g, info->node)->kind : (uint8_t)N_NONE;
    if (kind != N_INPUT && kind != N_PARAM && kind != N_STATE)
        return interp_fail(in, nowhere, "value %u does not come from outside", v);
    if (a->type != info->type)
        return interp_fail(in, info->loc, "%s must hold %s", interp_name(in, v),
                           info->type == T_INT ? "ints" : "real numbers");
    if (a->rank != info->rank)
        return interp_fail(in, info->loc, "%s must have %u axes, not %u", interp_name(in, v),
                           info->rank, a->rank);
    in->bound[v] = *a;
    in->is_bound[v] = true;
    return NULL;
}

static const char *wrong_dims(Interp *in, Value v, const int64_t *dims) {
    const ValueInfo *info = graph_value(in->g, v);
    Text t = text_new(in->arena);
    text_printf(&t, "%s is ", interp_name(in, v));
    add_dims(&t, in->bound[v].dims, info->rank);
    text_add(&t, ", but must be ");
    for (uint32_t i = 0; i < info->rank; i++)
        text_printf(&t, "%s%s", i ? "," : "[", size_str(in->g->sizes, info->dims[i]));
    text_add(&t, "] = ");
    add_dims(&t, dims, info->rank);
    return interp_fail(in, info->loc, "%s", t.data);
}

/* Every number of v in 0..below-1? */
static const char *check_below(Interp *in, Value v, int64_t below, int64_t items) {
    const Array *a = &in->bound[v];
    for (int64_t i = 0; i < items; i++) {
        if (a->ints[i] >= 0 && a->ints[i] < below) continue;
        int64_t at[MAX_RANK], rest = i;
        for (uint32_t k = a->rank; k-- > 0; rest /= a->dims[k]) at[k] = rest % a->dims[k];
        Text t = text_new(in->arena);
        text_printf(&t, "%s has %lld at ", interp_name(in, v), (long long)a->ints[i]);
        add_dims(&t, at, a->rank);
        return interp_fail(in, graph_value(in->g, v)->loc, "%s; its numbers must be in 0..%lld",
                           t.data, (long long)below - 1);
    }
    return NULL;
}

static const char *take_in(Interp *in, Value v) {
    const Room *room = &in->rooms->room[v];
    const ValueInfo *info = graph_value(in->g, v);
    if (!in->is_bound[v]) {
        in->machine.ptr[v] = NULL;
        return room->used ? interp_fail(in, info->loc, "%s was not given", interp_name(in, v))
                          : NULL;
    }
    for (uint32_t i = 0; i < info->rank; i++)
        if (in->bound[v].dims[i] != room->dims[i]) return wrong_dims(in, v, room->dims);
    if (info->type == T_INT && in->below[v] > 0) {
        const char *error = check_below(in, v, in->below[v], room->items);
        if (error) return error;
    }
    if (room->offset == SIZE_MAX) {
        in->machine.ptr[v] = in->bound[v].real;
        return NULL;
    }
    double *d = in->machine.ptr[v] = in->slab + room->offset;
    for (int64_t i = 0; i < room->items; i++) d[i] = (double)(float)in->bound[v].real[i];
    return NULL;
}

/* ---- plans ----------------------------------------------------------------------------------- */

/* Loops run over the axes longer than 1. */
static void spec_axes(Known *k, const Size *sizes, uint32_t n, Spec *s, uint8_t *list,
                      uint32_t *count) {
    for (uint32_t i = 0; i < n; i++) {
        uint32_t axis = s->n_idx++;
        known_size(k, sizes[i], &s->size[axis]);
        if (s->size[axis] > 1) list[(*count)++] = (uint8_t)axis;
    }
}

static Spec spec_of(Known *k, const Node *n) {
    const ValueInfo *v = graph_value(k->g, n->out);
    Spec s = {.red = n->red, .ints = v->type == T_INT, .n_factors = 1, .factors = &n->expr};
    if (n->kind == N_SCATTER) {
        spec_axes(k, n->extra, n->n_extra, &s, s.out, &s.n_out);
        s.scatter = n->out;
        s.subs = n->subs;
        s.ordered = true;
    } else {
        spec_axes(k, v->dims, v->rank, &s, s.out, &s.n_out);
    }
    int64_t stride = 1;
    for (uint32_t i = s.n_idx; i-- > 0; stride *= s.size[i]) s.ostride[i] = stride;
    if (n->kind == N_EQ) spec_axes(k, n->extra, n->n_extra, &s, s.red_axis, &s.n_red);
    memcpy(k->size, s.size, sizeof k->size);
    k->n_idx = s.n_idx;
    return s;
}

static bool plan_node(Interp *in, Known *k, NodeId id) {
    const Node *n = graph_node(in->g, id);
    Arena *scratch = arena_new();
    Job *job = &in->jobs[id];
    Spec s = spec_of(k, n);
    known_begin(k, scratch);
    uint32_t merged = k->error ? 0 : plan_mergeable(k, &s, scratch);
    if (!k->error) job->plan = loops_plan(k, &s, merged, &in->machine, in->plans, scratch);
    if (job->plan)
        job->contract = contract_make(k, &s, job->plan->cost, &in->machine, in->plans, scratch);
    if (job->contract) job->plan = NULL;
    uint32_t slots = job->contract ? contract_slots(job->contract)
                     : job->plan   ? job->plan->n_slots
                                   : 0;
    if (in->n_slots < slots) in->n_slots = slots;
    arena_free(scratch);
    if (k->error) in->error_at = n->loc;
    return k->error == NULL;
}

static bool plan_block(Interp *in, Known *k, const Block *b);

/* Which class runs each iteration, and as its how-manieth. */
static void plan_order(Interp *in, const Recur *r, int64_t length, Job *job) {
    bool lists = false;
    for (uint32_t i = 0; i < r->classes.n; i++) lists = lists || r->classes.data[i].iters.n;
    if (!lists) return;
    job->class_of = NEWN(in->plans, uint32_t, length);
    job->pos_of = NEWN(in->plans, uint32_t, length);
    for (uint32_t i = 0; i < r->classes.n; i++) {
        const RecurClass *c = &r->classes.data[i];
        for (uint32_t j = 0; j < c->iters.n; j++) {
            if (c->iters.data[j] >= length) continue;
            job->class_of[c->iters.data[j]] = i;
            job->pos_of[c->iters.data[j]] = j;
        }
    }
}

static bool plan_recur(Interp *in, Known *k, NodeId id) {
    const Recur *r = graph_node(in->g, id)->recur;
    int64_t length = in->rooms->recur[id]->length;
    Job *job = &in->jobs[id];
    plan_order(in, r, length, job);
    for (uint32_t i = 0; i < 2; i++) job->carry[i] = NEWN(in->plans, double *, r->carry.n + 1);
    k->level_len[r->level] = length;
    for (uint32_t i = 0; i < r->classes.n; i++) {
        const RecurClass *c = &r->classes.data[i];
        k->pos_len[r->level] = c->iters.n ? c->iters.n : length;
        if (!plan_block(in, k, &c->body)) return false;
    }
    k->level_len[r->level] = k->pos_len[r->level] = 0;
    return true;
}

static bool plan_block(Interp *in, Known *k, const Block *b) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        const Node *n = graph_node(in->g, b->nodes.data[i]);
        if ((n->kind == N_EQ || n->kind == N_SCATTER) && !plan_node(in, k, b->nodes.data[i]))
            return false;
        if (n->kind == N_RECUR && !plan_recur(in, k, b->nodes.data[i])) return false;
    }
    return true;
}

/* Rounded copies of what comes from outside stand behind the slab's own values. */
static size_t place_bound(Interp *in, size_t items) {
    for (uint32_t v = 1; v < in->g->values.n; v++) {
        Room *room = &in->rooms->room[v];
        if (room->at != AT_BOUND) continue;
        room->offset = SIZE_MAX;
        if (!in->machine.f32 || !room->used || graph_value(in->g, v)->type != T_REAL) continue;
        room->offset = items;
        items += (size_t)room->items;
    }
    return items;
}

/* The slab, then the vector registers and panels, in one piece. */
static const char *take_memory(Interp *in) {
    size_t values = place_bound(in, in->rooms->items), panels = 0;
    for (uint32_t i = 0; i < PANELS; i++) panels += panel_items[i];
    size_t vectors = (size_t)in->n_slots * LANES, items = values + vectors + panels;
    in->memory = items * sizeof(double);
    if (values > in->options.memory_limit / sizeof(double) || in->memory > in->options.memory_limit)
        return interp_fail(in, nowhere, "this needs %.1f MiB of memory, and the limit is %.1f MiB",
                           (double)values * sizeof(double) / 1048576,
                           (double)in->options.memory_limit / 1048576);
    in->slab = malloc(in->memory + 64);
    if (!in->slab)
        return interp_fail(in, nowhere, "no memory for %.1f MiB", (double)in->memory / 1048576);
    in->machine.scratch = (Cell *)(in->slab + values);
    double *panel = in->slab + values + vectors;
    for (uint32_t i = 0; i < PANELS; panel += panel_items[i++]) in->machine.pack[i] = panel;
    for (uint32_t v = 1; v < in->g->values.n; v++) {
        const Room *room = &in->rooms->room[v];
        if (room->at == AT_SLAB || room->at == AT_FIXED)
            in->machine.ptr[v] = in->slab + room->offset;
    }
    for (uint32_t i = 1; i < in->g->nodes.n; i++) {
        if (in->jobs[i].plan) plan_place(in->jobs[i].plan);
        if (in->jobs[i].contract) contract_place(in->jobs[i].contract);
    }
    return NULL;
}

static const char *prepare(Interp *in) {
    forget_plans(in);
    in->plans = arena_new();
    in->n_slots = 2;
    Known k = {.g = in->g, .axes = in->axes, .below = in->below, .lasting = in->plans};
    in->jobs = NEWN(in->plans, Job, in->g->nodes.n);
    in->rooms = rooms_make(&k, in->plans);
    if (in->rooms && in->rooms->items > in->options.memory_limit / sizeof(double))
        return take_memory(in);
    if (!in->rooms || !plan_block(in, &k, &in->g->top))
        return interp_fail(in, in->error_at, "%s", k.error);
    return take_memory(in);
}

/* ---- running ---------------------------------------------------------------------------------- */

const char *interp_run(Interp *in) {
    in->done = false;
    in->error_at = nowhere;
    if (!in->slab) {
        const char *error = prepare(in);
        if (error) {
            forget_plans(in);
            return error;
        }
    }
    for (uint32_t v = 1; v < in->g->values.n; v++) {
        if (in->rooms->room[v].at != AT_BOUND) continue;
        const char *error = take_in(in, v);
        if (error) return error;
    }
    const char *error = interp_block(in, &in->g->top, true);
    in->done = error == NULL;
    return error;
}

const Array *interp_view(Interp *in, Value v) {
    const ValueInfo *info = graph_value(in->g, v);
    Array *a = &in->view[v];
    a->type = info->type;
    a->rank = info->rank;
    memcpy(a->dims, in->rooms->room[v].dims, sizeof a->dims);
    a->real = in->machine.ptr[v];
    return a;
}

const Array *interp_get(Interp *in, Value v) {
    if (!in->done) return NULL;
    for (uint32_t i = 0; i < in->g->outputs.n; i++)
        if (in->g->outputs.data[i].value == v) return interp_view(in, v);
    return NULL;
}
