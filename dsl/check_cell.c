/* Cells: states, delays, and what a run carries on. */
#include "check_internal.h"

#include <string.h>

Place place_now(Check *c) { return (Place){c->block, c->level, c->region}; }

void place_set(Check *c, Place p) {
    c->block = p.block;
    c->level = p.level;
    c->region = p.region;
}

static Place outer_place(const Cell *root) {
    return (Place){root->outer_block, root->outer_level, root->outer_region};
}

/* States and delays belong to the step itself, not to a loop in it. */
static bool at_step(Check *c, const Cell *cell, Loc loc, const char *what) {
    if (c->level == cell->root->outer_level + 1) return true;
    check_error(c, E0707, loc,
                "%s stands at the level of the step, and this is inside a loop of it", what);
    if (c->loops) diag_note(c->diag, c->loops->loc, "the loop is here");
    diag_help(
        c->diag,
        "put the loop into the model, around the call of the cell: for l in L { x = f(x) along T as blocks.{l} }");
    return false;
}

/* ---- states ------------------------------------------------------------------------------------- */

typedef struct Varying {
    Check *c;
    uint32_t region, level;
    bool bad;
} Varying;

static void find_varying(Graph *g, ExprId e, void *user) {
    Varying *v = user;
    const Expr *x = graph_expr(g, e);
    if (x->op == X_LVL && x->i >= v->level) v->bad = true;
    if (x->op == X_READ && x->value < v->c->value_region.n &&
        !region_sees(v->c, v->region, v->c->value_region.data[x->value]))
        v->bad = true;
}

/* The initial value, evaluated outside the run, with the axes the state declares. */
static Val start_value(Check *c, Scope *s, const Tensor *t, const Size *dims, const uint32_t *ax,
                       Cell *cell) {
    Scope *inner = scope_new(c, s, s->module, s->cell, s->owner);
    for (uint32_t i = 0; i < t->dims.axes.n; i++) {
        const Binder *b = &t->dims.axes.data[i];
        if (!b->name) continue;
        Val v = {.kind = V_TENSOR, .loc = b->loc, .e = expr_idx(c->g, ax[i])};
        scope_set(c, inner, b->name, v, b->loc)->is_binder = true;
    }
    Place in = place_now(c);
    place_set(c, outer_place(cell->root));
    Val v = t->value ? val_tensor(c, elab(c, inner, t->value)) : val_tensor(c, val_num(0, true));
    place_set(c, in);
    if (v.kind == V_BAD) return v;
    Varying w = {c, cell->root->outer_region, cell->root->outer_level, false};
    expr_walk(c->g, v.e, find_varying, &w);
    if (w.bad) {
        check_error(c, E0708, t->value->loc,
                    "the initial value of state '%s' changes along the axis", t->name);
        diag_help(
            c->diag,
            "it is evaluated once, before the first step: it may read parameters and arguments that stay the same");
        return val_bad();
    }
    if (v.rank && v.rank != t->dims.axes.n) {
        check_error(c, E0405, t->value->loc,
                    "state '%s' is declared %s, and its initial value is %s", t->name,
                    dims_say(c, &t->dims), val_shape(c, &v));
        note_shape(c, &v, "it");
        return val_bad();
    }
    if (v.rank && !dims_bind(c, inner, t, &v, "state", t->value->loc)) return val_bad();
    return v.rank ? val_broadcast(c, v, ax, dims, v.rank)
                  : (v.rank = (uint8_t)t->dims.axes.n, memcpy(v.ax, ax, sizeof v.ax),
                     memcpy(v.dims, dims, sizeof v.dims), v);
}

static void state_dims(Check *c, const Cell *cell, const Size *dims, uint32_t rank, Size *all) {
    for (uint32_t i = 0; i < cell->n_base; i++) all[i] = binder_info(c, cell->base[i])->size;
    for (uint32_t i = 0; i < rank; i++) all[cell->n_base + i] = dims[i];
}

static Value read_all(Check *c, Value from, const ExprId *lead, uint32_t n_lead, const Size *all,
                      uint32_t rank, const char *name, Loc loc) {
    ExprId subs[2 * MAX_RANK];
    Size dims[MAX_RANK];
    for (uint32_t i = 0; i < n_lead; i++) subs[i] = lead[i];
    for (uint32_t i = 0; i < rank; i++) {
        subs[n_lead + i] = expr_idx(c->g, i);
        dims[i] = size_ground(c->sizes, all[i]);
    }
    Value v = graph_eq(c->g, c->block, dims, rank, RED_NONE, NULL, 0,
                       expr_read(c->g, from, subs, n_lead + rank), c->level, name, loc);
    note_value(c, v);
    return v;
}

/* The initial value of a state `only` names: a parameter shared by the batch. */
static Value promoted_start(Check *c, const Tensor *t, const Val *start, const Cell *cell,
                            const Size *all, uint32_t rank) {
    if (expr_reads(c, start->e)) {
        check_error(c, E0708, t->value->loc,
                    "'only' names state '%s', and its initial value is no formula", t->name);
        diag_note(c->diag, state_is_named(c, t->name)->loc, "it is named here");
        diag_help(c->diag,
                  "only a state that starts from a formula can become a parameter; one that "
                  "starts from a parameter is trained by that one");
        return 0;
    }
    ExprId to[MAX_RANK], lead[MAX_LEVELS];
    for (uint32_t i = 0; i < start->rank; i++) to[i] = expr_idx(c->g, i);
    ExprId formula = expr_real(c->g, expr_subst(c, start->e, start->ax, to, start->rank));
    Value p = state_promoted(c, t->name, start->dims, start->rank, formula, t->loc);
    if (!p) return 0;
    FamilyNest nest = nest_now(c);
    uint32_t n = nest_subs(c, &nest, lead);
    ExprId subs[2 * MAX_RANK];
    Size dims[MAX_RANK];
    memcpy(subs, lead, sizeof(ExprId) * n);
    for (uint32_t i = 0; i < start->rank; i++) subs[n + i] = expr_idx(c->g, cell->n_base + i);
    for (uint32_t i = 0; i < rank; i++) dims[i] = size_ground(c->sizes, all[i]);
    Value v = graph_eq(c->g, c->block, dims, rank, RED_NONE, NULL, 0,
                       expr_read(c->g, p, subs, n + start->rank), c->level, t->name, t->loc);
    note_value(c, v);
    return v;
}

static void export_state(Check *c, Value v, uint32_t state) {
    Export *e = PUSH(c->arena, &c->exports);
    e->value = v;
    e->state = state;
}

static Value state_begin(Check *c, const Tensor *t, const Val *start, Cell *cell, Type type) {
    Size all[MAX_RANK];
    uint32_t rank = cell->n_base + start->rank, state;
    if (rank > MAX_RANK) {
        check_error(c, E0307, t->loc,
                    "state '%s' has more than %d axes with those of the calls around it", t->name,
                    MAX_RANK);
        return 0;
    }
    state_dims(c, cell, start->dims, start->rank, all);
    Place in = place_now(c);
    place_set(c, outer_place(cell->root));
    Store store = t->type.kind == TY_NONE ? (type == T_INT ? ST_INT : ST_F32) : store_of(&t->type);
    Value v = 0;
    if (c->patterns.n_only && state_is_named(c, t->name))
        v = promoted_start(c, t, start, cell, all, rank);
    else if (cell->root->streams && (c->states == STATES_IN || c->export_starts)) {
        Value input = state_input(c, t->name, type, store, all, rank, false, &state, t->loc);
        ExprId lead[MAX_LEVELS];
        FamilyNest nest = nest_now(c);
        uint32_t n = nest_subs(c, &nest, lead);
        if (input && c->export_starts) {
            v = val_value(c, *start, cell->base, cell->n_base, t->name, t->loc);
            if (v) export_state(c, v, state);
        } else if (input) {
            v = read_all(c, input, lead, n, all, rank, t->name, t->loc);
            StateOut *o = PUSH(c->arena, &cell->root->outs);
            o->state = state;
            o->carry = graph_node(c->g, cell->recur)->recur->carry.n;
        }
    } else {
        v = val_value(c, *start, cell->base, cell->n_base, t->name, t->loc);
    }
    place_set(c, in);
    return v;
}

/* What a state starts from, where `init` may be what the piece before left. */
static Value restart_value(Check *c, const Tensor *t, const Val *start, Cell *cell, Value init) {
    if (!cell->root->streams || c->states != STATES_IN || c->export_starts) return init;
    Place in = place_now(c);
    place_set(c, outer_place(cell->root));
    Value v = val_value(c, *start, cell->base, cell->n_base, t->name, t->loc);
    place_set(c, in);
    return v;
}

/* A state of an optimizer: one number for each of the parameter, carried from one training step to the next. */
static void optimizer_state(Check *c, Scope *s, const Tensor *t, Cell *cell) {
    uint32_t state;
    Val start = val_tensor(c, elab(c, s, t->value));
    if (start.kind == V_BAD) return;
    if (t->dims.axes.n || start.rank || t->type.kind == TY_INT || expr_reads(c, start.e)) {
        check_error(
            c, E0905, t->loc,
            "a state of an optimizer is one real number for each of a parameter, and starts as a constant");
        return;
    }
    const Family *pf = &c->param_family.data[c->optimized];
    Size dims[MAX_RANK];
    for (uint32_t i = 0; i < cell->n_base; i++)
        dims[i] = size_ground(c->sizes, binder_info(c, cell->base[i])->size);
    Value v = graph_state(c->g, T_REAL, ST_F32, dims, cell->n_base, t->loc, &state);
    note_value(c, v);
    StateInfo *info = &c->g->states.data[state];
    const ParamInfo *p = &c->g->params.data[c->optimized];
    info->family = p->family;
    info->optimizer = true;
    info->loc = t->loc;
    for (uint32_t i = 0; i < p->members.n; i++) {
        Member *m = PUSH(c->arena, &info->members);
        *m = p->members.data[i];
        m->name = name_of(c->names, arena_printf(c->arena, "%s.%s", m->name, t->name));
    }
    info->start = graph_eq(c->g, c->block, dims, cell->n_base, RED_NONE, NULL, 0,
                           expr_real(c->g, start.e), c->level, t->name, t->loc);
    note_value(c, info->start);
    *PUSH(c->arena, &c->state_family) = *pf;
    CellState *st = PUSH(c->arena, &cell->states);
    *st = (CellState){.name = t->name, .carry = state, .type = T_REAL, .loc = t->loc};
    scope_set(c, s, t->name, val_read(c, v, cell->base, cell->n_base, NULL, 0, t->loc), t->loc)
        ->is_state = true;
}

static void declare_state(Check *c, Scope *s, const Tensor *t) {
    Cell *cell = s->cell;
    Size dims[MAX_RANK];
    uint32_t ax[MAX_RANK];
    uint32_t rank = t->dims.axes.n;
    Type type = t->type.kind == TY_INT || t->type.kind == TY_INDEX ? T_INT : T_REAL;
    scope_set(c, s, t->name, val_bad(), t->loc);
    if (rank > MAX_RANK) {
        check_error(c, E0307, t->loc, "a state has at most %d axes, and this has %u", MAX_RANK,
                    rank);
        return;
    }
    for (uint32_t i = 0; i < rank; i++) {
        const Binder *b = &t->dims.axes.data[i];
        Loc where;
        if (!(dims[i] = elab_size(c, s, b->size))) return;
        ax[i] = binder_new(c, b->name, dims[i], b->loc);
        if (b->name && name_visible(c, s, b->name, &where)) {
            check_error(c, E0203, b->loc,
                        "'%s' is the name of something visible here and cannot be an index",
                        b->name);
            if (where.line) diag_note(c->diag, where, "'%s' is declared here", b->name);
            diag_help(c->diag, "take another letter for the index");
            return;
        }
    }
    Val start = start_value(c, s, t, dims, ax, cell);
    if (start.kind == V_BAD) return;
    if (graph_type(c->g, start.e) != type) {
        if (type == T_INT) {
            check_error(c, E0501, t->loc,
                        "state '%s' holds whole numbers, and its initial value is real", t->name);
            return;
        }
        start.e = expr_real(c->g, start.e);
    }
    Value init = state_begin(c, t, &start, cell, type);
    if (!init) return;
    CellState *st = PUSH(c->arena, &cell->states);
    st->name = t->name;
    st->rank = (uint8_t)rank;
    st->type = (uint8_t)type;
    st->loc = t->loc;
    memcpy(st->dims, dims, sizeof st->dims);
    st->carry = graph_recur_carry(c->g, cell->recur, init, t->name);
    Value arg = graph_node(c->g, cell->recur)->recur->classes.data[0].args[st->carry];
    note_value(c, arg);
    Val now = val_read(c, arg, cell->base, cell->n_base, dims, rank, t->loc);
    if (cell->restart) {
        Value from = restart_value(c, t, &start, cell, init);
        if (!from) return;
        Val first = val_read(c, from, cell->base, cell->n_base, dims, rank, t->loc);
        first = val_broadcast(c, first, now.ax, now.dims, rank);
        now.e = expr_select(c->g, cell->restart, first.e, now.e);
        now = val_node(c, now, t->name, t->loc);
    }
    st->entry = now.e;
    memcpy(st->entry_ax, now.ax, sizeof st->entry_ax);
    Sym *y = scope_set(c, s, t->name, now, t->loc);
    y->is_state = true;
}

void elab_states(Check *c, Scope *s, const Stmt *st) {
    for (uint32_t i = 0; i < st->states.n; i++)
        scope_set(c, s, st->states.data[i].name, val_bad(), st->states.data[i].loc);
    if (!s->cell || !s->may_delay) {
        if (s->owner)
            check_error(c, E0707, st->loc, "only a cell has states, and '%s' is a function",
                        s->owner);
        else
            check_error(c, E0707, st->loc,
                        "only a cell has states, and this is a model or train block");
        diag_help(c->diag, "declare a cell and run it: %s(...) along %s",
                  s->owner ? s->owner : "NAME", c->stream_axis ? c->stream_axis : "T");
        return;
    }
    for (uint32_t i = 0; s->cell->optimizer && i < st->states.n; i++)
        optimizer_state(c, s, &st->states.data[i], s->cell);
    if (s->cell->optimizer || !at_step(c, s->cell, st->loc, "a state")) return;
    for (uint32_t i = 0; i < st->states.n; i++) declare_state(c, s, &st->states.data[i]);
}

/* ---- delays ------------------------------------------------------------------------------------- */

static void delay_frame(Check *c, const Cell *cell, const Val *v, CellDelay *d) {
    memcpy(d->frame, cell->base, sizeof d->frame);
    d->n_frame = cell->n_base;
    const uint32_t *f = expr_free(c, v->e);
    for (uint32_t j = 1; j <= f[0]; j++) {
        bool known = false;
        for (uint32_t a = 0; a < v->rank; a++) known = known || v->ax[a] == f[j];
        for (uint32_t a = 0; a < d->n_frame; a++) known = known || d->frame[a] == f[j];
        if (!known && d->n_frame < MAX_RANK) d->frame[d->n_frame++] = f[j];
    }
}

/* A condition of the step over the axes of a register, [depth, frame, dims]. */
static ExprId mask_at(Check *c, const CellDelay *d, ExprId mask) {
    ExprId to[MAX_RANK];
    for (uint32_t i = 0; i < d->n_frame; i++) to[i] = expr_idx(c->g, 1 + i);
    return expr_subst(c, mask, d->frame, to, d->n_frame);
}

/* Where a step restarts, the register is empty: d->init may be what the piece before left. */
static Value register_entry(Check *c, const Cell *cell, const CellDelay *d, Value arg,
                            const Size *dims, uint32_t rank) {
    if (!cell->restart) return arg;
    ExprId subs[MAX_RANK];
    for (uint32_t i = 0; i < rank; i++) subs[i] = expr_idx(c->g, i);
    ExprId zero = d->type == T_INT ? expr_int(c->g, 0) : expr_num(c->g, 0);
    ExprId e =
        expr_select(c->g, mask_at(c, d, cell->restart), zero, expr_read(c->g, arg, subs, rank));
    Value v = graph_eq(c->g, c->block, dims, rank, RED_NONE, NULL, 0, e, c->level, d->name, d->loc);
    note_value(c, v);
    return v;
}

/* The first prev of a name: a delay line of depth 1, made deeper when the step is complete. */
static CellDelay *delay_new(Check *c, Cell *cell, const Sym *y, Loc loc) {
    CellDelay *d = PUSH(c->arena, &cell->delays);
    const Val *v = &y->val;
    d->name = y->name;
    d->of = v->e;
    d->loc = loc;
    d->rank = v->rank;
    d->type = (uint8_t)graph_type(c->g, v->e);
    d->below = v->below;
    d->depth = 1;
    memcpy(d->dims, v->dims, sizeof d->dims);
    delay_frame(c, cell, v, d);
    uint32_t rank = 1 + d->n_frame + d->rank;
    Size dims[MAX_RANK];
    if (rank > MAX_RANK) {
        check_error(c, E0307, loc,
                    "a delay of '%s' has more than %d axes with those of the calls around it",
                    y->name, MAX_RANK);
        cell->delays.n--;
        return NULL;
    }
    d->source = val_value(c, *v, d->frame, d->n_frame, y->name, loc);
    if (!d->source) {
        cell->delays.n--;
        return NULL;
    }
    dims[0] = size_num(c->sizes, 1);
    memcpy(dims + 1, graph_value(c->g, d->source)->dims, sizeof(Size) * (rank - 1));
    Place in = place_now(c);
    place_set(c, outer_place(cell->root));
    ExprId zero = d->type == T_INT ? expr_int(c->g, 0) : expr_num(c->g, 0);
    d->init = graph_eq(c->g, c->block, dims, rank, RED_NONE, NULL, 0, zero, c->level, y->name, loc);
    note_value(c, d->init);
    place_set(c, in);
    d->carried = cell->where || cell->restart;
    if (d->carried) {
        d->carry = graph_recur_carry(c->g, cell->recur, d->init, y->name);
        Value arg = graph_node(c->g, cell->recur)->recur->classes.data[0].args[d->carry];
        note_value(c, arg);
        d->delay = register_entry(c, cell, d, arg, dims, rank);
    } else {
        d->delay = graph_delay(c->g, cell->recur, 0, d->source, d->init, 1, y->name, loc);
        note_value(c, d->delay);
    }
    c->value_below.data[d->delay] = d->below;
    return d;
}

static CellDelay *delay_find(Check *c, Cell *cell, const Sym *y, Loc loc) {
    for (uint32_t i = 0; i < cell->delays.n; i++) {
        CellDelay *d = &cell->delays.data[i];
        if (d->name != y->name) continue;
        if (d->of == y->val.e) return d;
        check_error(c, E0703, loc,
                    "a cell delays one value of a name, and '%s' was delayed when it had another",
                    y->name);
        diag_note(c->diag, d->loc, "the first prev(%s) is here", y->name);
        diag_note(c->diag, y->loc, "'%s' got another value here", y->name);
        diag_help(c->diag, "give the second value a name of its own");
        return NULL;
    }
    return delay_new(c, cell, y, loc);
}

/* The number of steps as an expression, and its bounds as numbers. */
static bool delay_steps(Check *c, Scope *s, Ast *x, ExprId *k, int64_t *lo, int64_t *hi) {
    *k = expr_int(c->g, 1);
    *lo = *hi = 1;
    if (!x) return true;
    Val v = elab(c, s, x);
    double n;
    Size a, b;
    if (v.kind == V_BAD) return false;
    if (v.kind == V_NUM && v.sym && val_decide(c, &v, &n)) v = val_num(n, v.is_int);
    v = val_tensor(c, v);
    if (v.rank || graph_type(c->g, v.e) != T_INT) {
        if (v.rank)
            check_error(c, E0704, x->loc,
                        "the number of steps of prev is one number, and this is %s",
                        val_shape(c, &v));
        else
            check_error(c, E0704, x->loc,
                        "the number of steps of prev is a whole number, and this is real");
        return false;
    }
    *k = v.e;
    if (!expr_range(c, v.e, &a, &b) || !size_value(c->sizes, a, lo) ||
        !size_value(c->sizes, b, hi)) {
        check_error(c, E0704, x->loc,
                    "the number of steps of prev needs a range known when compiling");
        diag_help(
            c->diag,
            "numbers, constants, counters and indices have one, and data of index(N): prev(x, k)");
        return false;
    }
    if (*lo >= 0 && *hi <= 65536) return true;
    check_error(c, E0704, x->loc, "prev goes back 0 to 65536 steps, and this %s %lld",
                *lo == *hi ? "is" : "may be", (long long)(*lo < 0 ? *lo : *hi));
    return false;
}

Val elab_prev(Check *c, Scope *s, Ast *x) {
    const Args *a = &x->call.args;
    if (a->n < 1 || a->n > 2 || x->call.opts.n || a->data[0].value->kind != A_NAME) {
        check_error(c, E0702, x->loc,
                    "prev takes the name of an input or local value, and a number of steps");
        diag_help(c->diag, "name the value first: z = ...;  prev(z)");
        return val_bad();
    }
    if (!s->cell || !s->may_delay) {
        if (s->owner)
            check_error(c, E0701, x->loc,
                        "prev looks one step back, and only a cell has steps; '%s' is a function",
                        s->owner);
        else
            check_error(c, E0701, x->loc, "prev looks one step back, and only a cell has steps");
        diag_help(c->diag, "declare a cell and run it: %s(...) along %s",
                  s->owner ? s->owner : "NAME", c->stream_axis ? c->stream_axis : "T");
        return val_bad();
    }
    if (s->cell->optimizer) {
        check_error(c, E0905, x->loc, "an optimizer keeps what it needs in states, not with prev");
        return val_bad();
    }
    if (!at_step(c, s->cell, x->loc, "prev")) return val_bad();
    const char *name = a->data[0].value->name;
    Sym *y = scope_find(s, name);
    if (!y || y->kind != SYM_VALUE || y->is_binder) {
        check_error(c, E0702, a->data[0].loc, "'%s' is no input or local value of this cell", name);
        if (!y) help_near(c, s, name, false);
        return val_bad();
    }
    if (y->val.kind == V_BAD) return val_bad();
    if (y->val.kind != V_TENSOR) {
        check_error(c, E0702, a->data[0].loc,
                    "'%s' is a number known when compiling: there is nothing to delay", name);
        return val_bad();
    }
    ExprId k;
    int64_t lo, hi;
    if (!delay_steps(c, s, a->n == 2 ? a->data[1].value : NULL, &k, &lo, &hi)) return val_bad();
    if (hi == 0) return val_freshen(c, y->val);
    CellDelay *d = delay_find(c, s->cell, y, x->loc);
    if (!d) return val_bad();
    if (hi > d->depth) d->depth = hi;
    Val r = y->val;
    ExprId subs[MAX_RANK];
    subs[0] = expr_fn2(c->g, F_sub, k, expr_int(c->g, 1));
    for (uint32_t i = 0; i < d->n_frame; i++) subs[1 + i] = expr_idx(c->g, d->frame[i]);
    for (uint32_t i = 0; i < r.rank; i++) subs[1 + d->n_frame + i] = expr_idx(c->g, r.ax[i]);
    ExprId e = expr_read(c->g, d->delay, subs, 1 + d->n_frame + r.rank);
    r.e = lo > 0 ? e : expr_select(c->g, expr_fn2(c->g, F_ge, k, expr_int(c->g, 1)), e, r.e);
    return val_freshen(c, r);
}

/* ---- the end of the step ----------------------------------------------------------------------------- */

static void finish_state(Check *c, Scope *s, Cell *cell, const CellState *st) {
    const Sym *y = NULL;
    for (uint32_t i = 0; i < s->syms.n; i++)
        if (s->syms.data[i].name == st->name) y = &s->syms.data[i];
    if (!y || y->val.kind == V_BAD) return;
    Val now = val_tensor(c, y->val);
    bool same = now.rank == st->rank;
    for (uint32_t i = 0; same && i < st->rank; i++) same = same_size(c, now.dims[i], st->dims[i]);
    if (!same) {
        Val was = now;
        was.rank = st->rank;
        memcpy(was.dims, st->dims, sizeof was.dims);
        check_error(c, E0406, y->loc, "state '%s' is %s, and what is assigned is %s", st->name,
                    val_shape(c, &was), val_shape(c, &now));
        diag_note(c->diag, st->loc, "the state is declared here");
        note_shape(c, &now, "what is assigned");
        return;
    }
    if (graph_type(c->g, now.e) != st->type) {
        if (st->type == T_INT) {
            check_error(c, E0501, y->loc,
                        "state '%s' holds whole numbers, and what is assigned is real", st->name);
            return;
        }
        now.e = expr_real(c->g, now.e);
    }
    if (cell->where) {
        ExprId to[MAX_RANK];
        for (uint32_t i = 0; i < st->rank; i++) to[i] = expr_idx(c->g, now.ax[i]);
        now.e = expr_select(c->g, cell->where, now.e,
                            expr_subst(c, st->entry, st->entry_ax, to, st->rank));
    }
    Value next = val_value(c, now, cell->base, cell->n_base, st->name, y->loc);
    if (next) graph_recur_next(c->g, cell->recur, 0, st->carry, next);
}

static void patch_depth(Check *c, Value v, int64_t depth) {
    graph_value(c->g, v)->dims[0] = size_num(c->sizes, depth);
}

/* Where the delay begins: zeros, or a state of [frame, (depth), dims]. */
static void delay_begin(Check *c, Cell *cell, CellDelay *d) {
    if (!cell->root->streams || (c->states != STATES_IN && !c->export_starts)) return;
    Size all[MAX_RANK];
    bool deep = d->depth > 1;
    uint32_t n = 0, state;
    for (uint32_t i = 0; i < d->n_frame; i++) all[n++] = binder_info(c, d->frame[i])->size;
    if (deep) all[n++] = size_num(c->sizes, d->depth);
    for (uint32_t i = 0; i < d->rank; i++) all[n++] = d->dims[i];
    Store store = d->type == T_INT ? ST_INT : ST_DEFAULT;
    Place in = place_now(c);
    place_set(c, outer_place(cell->root));
    Value input = state_input(c, d->name, (Type)d->type, store, all, n, deep, &state, d->loc);
    if (input && c->export_starts) {
        Size dims[MAX_RANK];
        for (uint32_t i = 0; i < n; i++) dims[i] = size_ground(c->sizes, all[i]);
        ExprId zero = d->type == T_INT ? expr_int(c->g, 0) : expr_num(c->g, 0);
        Value v =
            graph_eq(c->g, c->block, dims, n, RED_NONE, NULL, 0, zero, c->level, d->name, d->loc);
        note_value(c, v);
        export_state(c, v, state);
    } else if (input) {
        ExprId subs[2 * MAX_RANK];
        FamilyNest nest = nest_now(c);
        uint32_t k = nest_subs(c, &nest, subs);
        for (uint32_t i = 0; i < d->n_frame; i++) subs[k++] = expr_idx(c->g, 1 + i);
        if (deep) subs[k++] = expr_idx(c->g, 0);
        for (uint32_t i = 0; i < d->rank; i++) subs[k++] = expr_idx(c->g, 1 + d->n_frame + i);
        graph_node(c->g, graph_value(c->g, d->init)->node)->expr = expr_read(c->g, input, subs, k);
        StateOut *o = PUSH(c->arena, &cell->root->outs);
        *o = (StateOut){.is_delay = !d->carried,
                        .carry = d->carry,
                        .state = state,
                        .delay = d->delay,
                        .depth_first = true,
                        .n_frame = d->n_frame};
    }
    place_set(c, in);
}

static void register_next(Check *c, Cell *cell, CellDelay *d) {
    const ValueInfo v = *graph_value(c->g, d->delay);
    ExprId subs[MAX_RANK];
    for (uint32_t i = 0; i < v.rank; i++) subs[i] = expr_idx(c->g, i);
    ExprId newest = expr_read(c->g, d->source, subs + 1, v.rank - 1u);
    ExprId stay = expr_read(c->g, d->delay, subs, v.rank);
    ExprId first = expr_fn2(c->g, F_eq, subs[0], expr_int(c->g, 0));
    subs[0] = expr_fn2(c->g, F_sub, subs[0], expr_int(c->g, 1));
    ExprId e = d->depth > 1
                   ? expr_select(c->g, first, newest, expr_read(c->g, d->delay, subs, v.rank))
                   : newest;
    if (cell->where) e = expr_select(c->g, mask_at(c, d, cell->where), e, stay);
    Value next =
        graph_eq(c->g, c->block, v.dims, v.rank, RED_NONE, NULL, 0, e, c->level, d->name, d->loc);
    note_value(c, next);
    graph_recur_next(c->g, cell->recur, 0, d->carry, next);
}

static void finish_delay(Check *c, Cell *cell, CellDelay *d) {
    patch_depth(c, d->init, d->depth);
    patch_depth(c, d->delay, d->depth);
    if (d->carried)
        patch_depth(c, graph_node(c->g, cell->recur)->recur->classes.data[0].args[d->carry],
                    d->depth);
    delay_begin(c, cell, d);
    if (d->carried)
        register_next(c, cell, d);
    else if (cell->root->streams && c->states == STATES_IN)
        graph_delay_final(c->g, d->delay);
}

void cell_finish(Check *c, Scope *s, Cell *cell) {
    for (uint32_t i = 0; i < cell->states.n; i++) finish_state(c, s, cell, &cell->states.data[i]);
    for (uint32_t i = 0; i < cell->delays.n; i++) finish_delay(c, cell, &cell->delays.data[i]);
}

/* [depth, frame, dims] inside is [frame, (depth), dims] outside. */
static Value turn_delay(Check *c, Value v, uint32_t n_frame, Loc loc) {
    const ValueInfo f = *graph_value(c->g, v);
    int64_t depth = 1;
    size_value(c->sizes, f.dims[0], &depth);
    ExprId subs[MAX_RANK];
    Size dims[MAX_RANK];
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_frame; i++)
        subs[1 + i] = expr_idx(c->g, n), dims[n++] = f.dims[1 + i];
    subs[0] = depth > 1 ? expr_idx(c->g, n) : expr_int(c->g, 0);
    if (depth > 1) dims[n++] = f.dims[0];
    for (uint32_t i = 1 + n_frame; i < f.rank; i++)
        subs[i] = expr_idx(c->g, n), dims[n++] = f.dims[i];
    Value r = graph_eq(c->g, c->block, dims, n, RED_NONE, NULL, 0, expr_read(c->g, v, subs, f.rank),
                       c->level, f.name, loc);
    note_value(c, r);
    return r;
}

void cell_export(Check *c, Cell *root) {
    Recur *r = graph_node(c->g, root->recur)->recur;
    for (uint32_t i = 0; i < r->carry.n; i++) note_value(c, r->carry.data[i].final);
    for (uint32_t i = 0; i < root->outs.n; i++) {
        const StateOut *o = &root->outs.data[i];
        Value v = o->is_delay ? graph_node(c->g, graph_value(c->g, o->delay)->node)->final
                              : r->carry.data[o->carry].final;
        if (!v) continue;
        note_value(c, v);
        if (o->depth_first) v = turn_delay(c, v, o->n_frame, graph_value(c->g, v)->loc);
        export_state(c, v, o->state);
    }
}
