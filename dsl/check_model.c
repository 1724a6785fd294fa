/* Models and train blocks: one entry as a graph, before any pass. */
#include "program.h"

#include <string.h>

/* ---- inputs and results ---------------------------------------------------------------------------- */

/* A tensor of a model's or train block's signature; the batch axis is hidden in a model, visible in train. */
static void elab_input(Check *c, Scope *s, const Tensor *t, uint32_t batch, bool visible) {
    Size dims[MAX_RANK], all[MAX_RANK];
    uint32_t rank = t->dims.axes.n;
    int64_t below = 0;
    scope_set(c, s, t->name, val_bad(), t->loc);
    if (rank + 2 > MAX_RANK) {
        check_error(c, E0307, t->loc,
                    "an input has at most %d axes besides the batch, and this has %u", MAX_RANK - 2,
                    rank);
        return;
    }
    all[0] = binder_info(c, batch)->size;
    for (uint32_t i = 0; i < rank; i++)
        if (!(dims[i] = all[1 + i] = elab_size(c, s, t->dims.axes.data[i].size))) return;
    bool is_int = t->type.kind == TY_INT || t->type.kind == TY_INDEX;
    Size bound = t->type.kind == TY_INDEX ? elab_size(c, s, t->type.index) : 0;
    if (bound && !size_value(c->sizes, bound, &below)) {
        check_error(c, E0304, t->type.loc, "the bound of index(%s) must be known when compiling",
                    size_text(c, bound));
        diag_help(c->diag, "declare it ': int', and say what is read outside: x[i else 0]");
        return;
    }
    Size ground[MAX_RANK];
    for (uint32_t i = 0; i < rank + 1; i++) ground[i] = size_ground(c->sizes, all[i]);
    Value v = graph_input(c->g, t->name, is_int ? T_INT : T_REAL, store_of(&t->type), ground,
                          rank + 1, t->loc);
    note_value(c, v);
    c->value_region.data[v] = 0;
    InputInfo *in = &c->g->inputs.data[c->g->inputs.n - 1];
    in->below = below;
    c->value_below.data[v] = bound;
    Val r = visible ? val_read(c, v, NULL, 0, all, rank + 1, t->loc)
                    : val_read(c, v, &batch, 1, dims, rank, t->loc);
    scope_set(c, s, t->name, r, t->loc);
}

static Val scalar_input(Check *c, const char *name, Loc loc) {
    for (uint32_t i = 0; i < c->g->inputs.n; i++)
        if (strcmp(c->g->inputs.data[i].name, name) == 0)
            return val_read(c, c->g->inputs.data[i].value, NULL, 0, NULL, 0, loc);
    Value v = graph_input(c->g, name_of(c->names, name), T_REAL, ST_F32, NULL, 0, loc);
    note_value(c, v);
    c->value_region.data[v] = 0;
    c->g->inputs.data[c->g->inputs.n - 1].scalar = true;
    return val_read(c, v, NULL, 0, NULL, 0, loc);
}

static void model_opts(Check *c, Scope *s, const Decl *d) {
    for (uint32_t i = 0; i < d->sig.opts.n; i++) {
        const Opt *o = &d->sig.opts.data[i];
        if (!o->value) {
            check_error(c, E0409, o->loc, "the compile-time argument '%s' of a model needs a value",
                        o->name);
            diag_help(c->diag, "write %s = ..., or declare it: const %s = ...", o->name, o->name);
        } else
            scope_set(c, s, o->name, elab(c, s, o->value), o->loc);
    }
}

static bool elab_model(Check *c, const EntryInfo *e, uint32_t batch, Scope **scope) {
    Scope *s = *scope = scope_new(c, e->module->scope, e->module, NULL, e->model->name);
    s->owner = NULL;
    model_opts(c, s, e->model);
    for (uint32_t i = 0; i < e->model->sig.tensors.n; i++)
        elab_input(c, s, &e->model->sig.tensors.data[i], batch, false);
    if (diag_errors(c->diag)) return false;
    elab_block(c, s, &e->model->body);
    prove_pending(c, 0);
    if (diag_errors(c->diag)) return false;
    Val *out = NEWN(c->arena, Val, e->model->outs.n + 1);
    uint32_t n = outs_collect(c, s, e->model, out);
    for (uint32_t i = 0; i < n; i++) {
        const Tensor *t = &e->model->outs.data[i];
        if (t->type.kind == TY_INT) out[i] = val_tensor(c, out[i]);
        Value v = val_value(c, out[i], &batch, 1, t->name, t->loc);
        if (!v) return false;
        if (t->type.kind != TY_NONE) graph_value(c->g, v)->store = (uint8_t)store_of(&t->type);
        graph_output(c->g, OUT_RESULT, t->name, v, 0);
    }
    return n > 0 && diag_errors(c->diag) == 0;
}

static void give_states(Check *c) {
    for (uint32_t i = 0; i < c->exports.n; i++) {
        const Export *x = &c->exports.data[i];
        const char *name = graph_value(c->g, c->g->states.data[x->state].value)->name;
        graph_output(c->g, OUT_STATE, name, x->value, x->state);
    }
}

/* ---- the train block ----------------------------------------------------------------------------- */

static void collect_patterns(Check *c, const Decl *t, Patterns *p) {
    VEC(Word) only = {0}, freeze = {0};
    for (uint32_t i = 0; i < t->body.n; i++) {
        const Stmt *st = t->body.data[i];
        if (st->kind != S_ONLY && st->kind != S_FREEZE) continue;
        for (uint32_t k = 0; k < st->patterns.n; k++) {
            if (st->kind == S_ONLY)
                *PUSH(c->arena, &only) = st->patterns.data[k];
            else
                *PUSH(c->arena, &freeze) = st->patterns.data[k];
        }
    }
    p->only = only.data;
    p->n_only = only.n;
    p->only_hit = NEWN(c->arena, bool, only.n + 1);
    p->freeze = freeze.data;
    p->n_freeze = freeze.n;
    p->freeze_hit = NEWN(c->arena, bool, freeze.n + 1);
}

static void help_params(Check *c, const char *name) {
    const char *best = NULL;
    uint32_t d = near_enough(name), shown = 0, all = 0;
    Text t = text_new(c->arena);
    for (uint32_t i = 0; i < c->g->params.n; i++)
        for (uint32_t k = 0; k < c->g->params.data[i].members.n; k++, all++) {
            const char *other = c->g->params.data[i].members.data[k].name;
            nearer(name, other, &best, &d);
            if (k == 0 && shown < 6) text_printf(&t, "%s%s", shown++ ? ", " : "", other);
        }
    if (best)
        diag_help(c->diag, "did you mean '%s'?", best);
    else if (all)
        diag_help(c->diag, "there %s %u parameter%s: %s%s", all == 1 ? "is" : "are", all,
                  all == 1 ? "" : "s", t.data, shown < all ? " ..." : "");
    else
        diag_help(c->diag, "the model has no parameters");
}

static void check_patterns(Check *c) {
    const Patterns *p = &c->patterns;
    for (uint32_t i = 0; i < p->n_only; i++)
        if (!p->only_hit[i]) {
            check_error(c, E0904, p->only[i].loc, "'only %s' names no parameter or state",
                        p->only[i].name);
            help_params(c, p->only[i].name);
        }
    for (uint32_t i = 0; i < p->n_freeze; i++)
        if (!p->freeze_hit[i]) {
            check_error(c, E0904, p->freeze[i].loc, "'freeze %s' names no parameter",
                        p->freeze[i].name);
            help_params(c, p->freeze[i].name);
        }
}

/* The names of the model, with the batch in front of its results and of all that depends on data. */
static Scope *train_scope(Check *c, const EntryInfo *e, Scope *model, uint32_t batch) {
    Scope *s = scope_new(c, e->train_module->scope, e->train_module, NULL, NULL);
    scope_set(c, s, name_of(c->names, "B"), val_size(binder_info(c, batch)->size), e->train->loc);
    for (uint32_t i = 0; i < model->syms.n; i++) {
        const Sym *y = &model->syms.data[i];
        if (y->kind != SYM_VALUE) continue;
        Val v = y->val;
        if (v.kind == V_TENSOR && v.rank < MAX_RANK) {
            const uint32_t *f = expr_free(c, v.e);
            bool has = false;
            for (uint32_t k = 1; k <= f[0]; k++) has = has || f[k] == batch;
            for (uint32_t k = 0; k < e->model->outs.n; k++)
                has = has || e->model->outs.data[k].name == y->name;
            if (has) {
                memmove(v.ax + 1, v.ax, sizeof(uint32_t) * v.rank);
                memmove(v.dims + 1, v.dims, sizeof(Size) * v.rank);
                v.ax[0] = batch;
                v.dims[0] = binder_info(c, batch)->size;
                v.rank++;
                v = val_freshen(c, v);
            }
        }
        scope_set(c, s, y->name, v, y->loc);
    }
    return s;
}

static Value one_number(Check *c, Val v, const char *what, Loc loc) {
    v = val_tensor(c, v);
    if (v.kind == V_BAD) return 0;
    if (v.rank || expr_free(c, v.e)[0]) {
        char subs[2 * MAX_RANK + 2] = "", *s = subs;
        for (uint32_t i = 0; i < v.rank; i++)
            *s++ = i == 0 ? 'b' : (char)('h' + i), *s++ = i + 1 < v.rank ? ',' : 0;
        check_error(c, E0903, loc, "'%s' is one number, and this is %s", what,
                    v.rank ? val_shape(c, &v) : "one for each sample");
        diag_help(c->diag, "average it over the batch and the other axes: %s = mean[%s] x[%s]",
                  what, v.rank ? subs : "b", v.rank ? subs : "b");
        return 0;
    }
    v.e = expr_real(c->g, v.e);
    return val_value(c, v, NULL, 0, what, loc);
}

static bool has_output(Check *c, const char *name, Loc loc) {
    bool known = strcmp(name, "loss") == 0 || strcmp(name, "penalty") == 0;
    for (uint32_t i = 0; i < c->g->outputs.n; i++)
        known = known || strcmp(c->g->outputs.data[i].name, name) == 0;
    if (!known) return false;
    check_error(c, E0211, loc, "there is a result '%s' already", name);
    diag_help(c->diag, "give the metric a name of its own");
    return true;
}

static void train_statement(Check *c, Scope *s, const Stmt *st, Elaboration *out) {
    if (st->kind == S_METRIC) {
        if (has_output(c, st->metric.name, st->loc)) return;
        Value v = one_number(c, elab(c, s, st->metric.value), st->metric.name, st->loc);
        prove_pending(c, 0);
        if (v) graph_output(c->g, OUT_METRIC, st->metric.name, v, 0);
        return;
    }
    if (st->kind == S_ONLY || st->kind == S_FREEZE) return;
    if (st->kind == S_ASSIGN && strcmp(st->assign.name, "update") == 0) {
        if (out->update) {
            check_error(c, E0905, st->loc, "a second 'update' in one train block");
            diag_note(c->diag, out->update->loc, "the first one is here");
            diag_help(c->diag,
                      "another train block trains otherwise: train %s as NAME(...) { ... }",
                      out->model_name);
        }
        out->update = st;
        return;
    }
    Stmts one = {0};
    *PUSH(c->arena, &one) = (Stmt *)(uintptr_t)st;
    elab_block(c, s, &one);
}

/* What 'loss' or 'penalty' is at the end, if the block assigned it. */
static bool give_number(Check *c, Scope *s, const Scope *model, const char *what, OutputKind kind) {
    const char *name = name_of(c->names, what);
    const Sym *y = NULL, *old = NULL;
    for (uint32_t i = 0; i < s->syms.n; i++)
        if (s->syms.data[i].name == name && s->syms.data[i].kind == SYM_VALUE) y = &s->syms.data[i];
    for (uint32_t i = 0; i < model->syms.n; i++)
        if (model->syms.data[i].name == name) old = &model->syms.data[i];
    if (!y || y->val.kind == V_BAD) return y != NULL;
    if (old && memcmp(&old->loc, &y->loc, sizeof(Loc)) == 0) return false;
    Value v = one_number(c, y->val, what, y->loc);
    if (v) graph_output(c->g, kind, what, v, 0);
    return true;
}

/* Inputs of the block and of the model are given by name, side by side. */
static void new_input(Check *c, const EntryInfo *e, const Tensor *t) {
    const Tensors *ts = &e->model->sig.tensors;
    static const char *const scalars[] = {"lr", "decay", "step"};
    for (uint32_t i = 0; i < ts->n; i++) {
        if (ts->data[i].name != t->name) continue;
        check_error(c, E0211, t->loc, "the model has an input '%s' already", t->name);
        diag_note(c->diag, ts->data[i].loc, "it is declared here");
        diag_help(c->diag, "the block sees the names of the model; give it another name");
    }
    for (uint32_t i = 0; i < 3; i++) {
        if (strcmp(t->name, scalars[i])) continue;
        check_error(c, E0211, t->loc, "'%s' is a number that training gives the optimizer",
                    t->name);
        diag_help(c->diag, "give the input another name");
    }
}

/* Before the metrics, whose order is that of the text. */
static void losses_first(Graph *g) {
    for (uint32_t i = 0, k = 0; i < g->outputs.n; i++) {
        const OutputInfo o = g->outputs.data[i];
        if (o.kind == OUT_METRIC) continue;
        memmove(&g->outputs.data[k + 1], &g->outputs.data[k], sizeof o * (i - k));
        g->outputs.data[k++] = o;
    }
}

static bool elab_train(Check *c, const EntryInfo *e, Scope *model, uint32_t batch,
                       Elaboration *out) {
    Scope *s = out->train_scope = train_scope(c, e, model, batch);
    c->n_ambient = 0;
    c->in_train = true;
    c->n_calls = 0;
    c->g->outputs.n = 0; /* results are not asked for */
    out->model_name = e->train->name;
    for (uint32_t i = 0; i < e->train->sig.tensors.n; i++)
        new_input(c, e, &e->train->sig.tensors.data[i]);
    for (uint32_t i = 0; i < e->train->sig.tensors.n; i++)
        elab_input(c, s, &e->train->sig.tensors.data[i], batch, true);
    for (uint32_t i = 0; i < e->train->body.n && !diag_full(c->diag); i++)
        train_statement(c, s, e->train->body.data[i], out);
    prove_pending(c, 0);
    if (diag_errors(c->diag)) return false;
    bool loss = give_number(c, s, model, "loss", OUT_LOSS);
    give_number(c, s, model, "penalty", OUT_PENALTY);
    losses_first(c->g);
    if (!loss) {
        check_error(c, E0902, e->train->loc, "the train block of '%s' assigns no loss",
                    e->train->name);
        diag_help(
            c->diag,
            "write loss = mean[b,t] ce[b,t] or the like at its own level, not inside a branch or loop");
    }
    return diag_errors(c->diag) == 0;
}

/* ---- one entry ------------------------------------------------------------------------------------ */

static void check_reset(Check *c, const Program *p, const char *entry, Diag *d) {
    *c = p->c;
    c->diag = d;
    c->g = graph_new(c->arena, c->names, c->sizes, entry);
    memset(&c->region_up, 0, sizeof c->region_up);
    memset(&c->value_region, 0, sizeof c->value_region);
    memset(&c->value_below, 0, sizeof c->value_below);
    memset(&c->value_user, 0, sizeof c->value_user);
    memset(&c->binders, 0, sizeof c->binders);
    memset(&c->free_memo, 0, sizeof c->free_memo);
    memset(&c->pending, 0, sizeof c->pending);
    memset(&c->range_idx, 0, sizeof c->range_idx);
    c->ranges_known = 0;
    *PUSH(c->arena, &c->region_up) = 0;
    c->block = &c->g->top;
}

bool elaborate(Program *p, const EntryInfo *e, Diag *d, Elaboration *out) {
    memset(out, 0, sizeof *out);
    Check *c = &out->c;
    check_reset(c, p, e->name, d);
    bool train = e->kind == ENTRY_GRAD || e->kind == ENTRY_TRAIN;
    c->stream_axis = e->model->along;
    c->states = train || !e->model->along ? STATES_START : STATES_IN;
    c->export_starts = e->kind == ENTRY_START;
    c->training = train;
    if (train) collect_patterns(c, e->train, &c->patterns);
    Val given;
    bool found;
    const char *name = name_of(c->names, "B");
    module_lookup(c, train ? e->train_module : e->module, name, &given, &found);
    Size size = found && given.kind == V_SIZE && size_has_axis(c->sizes, given.size, "B")
                    ? given.size
                    : size_axis(c->sizes, name, 1);
    uint32_t batch = binder_new(c, NULL, size, e->model->loc);
    c->ambient[c->n_ambient++] = batch;
    uint32_t errors = diag_errors(d);
    Scope *model;
    bool ok = elab_model(c, e, batch, &model);
    if (ok && train) ok = elab_train(c, e, model, batch, out);
    if (!ok || diag_errors(d) > errors) return false;
    if (e->kind == ENTRY_START) c->g->outputs.n = 0;
    if (!train) give_states(c);
    families_finish(c);
    out->g = c->g;
    if (train) check_patterns(c);
    return diag_errors(d) == errors;
}

/* ---- the optimizer --------------------------------------------------------------------------------- */

typedef struct Optimizer {
    const Decl *d;
    Module *module;
    const Ast *call;
    double clip; /* 0 = none */
    Val opts[MAX_RANK];
} Optimizer;

static bool find_optimizer(Check *c, Scope *s, const Stmt *st, Optimizer *o) {
    const Ast *x = st->assign.value;
    o->call = x;
    o->d = x->kind == A_CALL ? module_fn(s->module, x->call.callee, &o->module) : NULL;
    if (!o->d || o->d->kind != D_CELL) {
        check_error(c, E0905, x->loc, "'update' is a call of an optimizer, and this is %s",
                    x->kind != A_CALL ? "no call"
                    : !o->d           ? "no cell of this text"
                                      : "no cell");
        diag_help(
            c->diag,
            "an optimizer is a cell on p, g, lr, decay, step that gives the new p: update = adamw()");
        return false;
    }
    for (uint32_t i = 0; i < st->assign.after.n; i++) {
        const Arg *a = &st->assign.after.data[i];
        if (!a->name || strcmp(a->name, "clip"))
            check_error(c, E0905, a->loc, "after an optimizer only 'clip NUMBER' may stand");
        else if (!elab_const(c, s, a->value, &o->clip, "clip"))
            return false;
        else if (!(o->clip > 0))
            check_error(c, E0905, a->loc,
                        "clip is a number above 0: the largest norm of all gradients together");
    }
    return diag_errors(c->diag) == 0;
}

static Val whole_value(Check *c, Value v, Loc loc) {
    const ValueInfo i = *graph_value(c->g, v);
    return val_read(c, v, NULL, 0, i.dims, i.rank, loc);
}

static Value grad_of(const Graph *g, uint32_t param) {
    for (uint32_t i = 0; i < g->outputs.n; i++)
        if (g->outputs.data[i].kind == OUT_GRAD && g->outputs.data[i].index == param)
            return g->outputs.data[i].value;
    return 0;
}

/* 1 for the members that are trained, over the leading axes of v; 0 when all are. */
static ExprId trained_mask(Check *c, const ParamInfo *p, const Val *v) {
    bool any = false;
    for (uint32_t i = 0; i < p->members.n; i++) any = any || p->members.data[i].frozen;
    if (!any) return 0;
    ExprId at = expr_int(c->g, 0), mask = expr_int(c->g, 0);
    for (uint32_t k = 0; k < p->family; k++) {
        ExprId len = expr_size(c->g, size_ground(c->sizes, v->dims[k]));
        at = expr_fn2(c->g, F_add, expr_fn2(c->g, F_mul, at, len), expr_idx(c->g, v->ax[k]));
    }
    for (uint32_t i = 0; i < p->members.n; i++)
        if (!p->members.data[i].frozen)
            mask = expr_fn2(c->g, F_or, mask, expr_fn2(c->g, F_eq, at, expr_int(c->g, i)));
    return mask;
}

static ExprId masked(Check *c, ExprId mask, ExprId e, ExprId other) {
    return mask ? expr_select(c->g, mask, e, other) : e;
}

/* min(1, clip/(norm + 1e-6)), norm over all gradients. */
static Val clip_factor(Check *c, double clip, Loc loc) {
    Val sum = val_num(0, false);
    for (uint32_t i = 0; i < c->g->params.n; i++) {
        Value gv = grad_of(c->g, i);
        const ParamInfo *p = &c->g->params.data[i];
        if (!gv || p->frozen) continue;
        Val g = whole_value(c, gv, loc);
        ExprId e = masked(c, trained_mask(c, p, &g), g.e, expr_num(c->g, 0));
        Size extra[MAX_RANK];
        uint32_t from[MAX_RANK];
        ExprId to[MAX_RANK];
        for (uint32_t k = 0; k < g.rank; k++) {
            extra[k] = size_ground(c->sizes, g.dims[k]);
            from[k] = g.ax[k];
            to[k] = expr_idx(c->g, k);
        }
        e = expr_subst(c, expr_fn2(c->g, F_mul, e, e), from, to, g.rank);
        Value s = graph_eq(c->g, c->block, NULL, 0, g.rank ? RED_SUM : RED_NONE, extra, g.rank, e,
                           0, "norm", loc);
        note_value(c, s);
        sum = binary(c, OP_ADD, sum, val_read(c, s, NULL, 0, NULL, 0, loc), loc);
    }
    Val norm = val_node(c, apply_fn(c, F_sqrt, &sum, 1, loc), "grad_norm", loc);
    if (norm.kind != V_TENSOR) return val_num(1, false);
    graph_output(c->g, OUT_METRIC, "grad_norm", graph_expr(c->g, norm.e)->value, 0);
    Val q = binary(c, OP_DIV, val_num(clip, false),
                   binary(c, OP_ADD, norm, val_num(1e-6, false), loc), loc);
    Val one_q[2] = {val_num(1, false), q};
    return val_node(c, apply_fn(c, F_min, one_q, 2, loc), "clip", loc);
}

static Val times(Check *c, Val v, double f, Loc loc) {
    return f == 1 ? v : binary(c, OP_MUL, v, val_num(f, false), loc);
}

static Val optimizer_arg(Check *c, const char *name, const ParamInfo *p, Val value, Val grad,
                         Loc loc) {
    if (strcmp(name, "p") == 0) return value;
    if (strcmp(name, "g") == 0) return grad;
    if (strcmp(name, "lr") == 0) return times(c, scalar_input(c, "lr", loc), p->lr, loc);
    if (strcmp(name, "decay") == 0) return times(c, scalar_input(c, "decay", loc), p->decay, loc);
    if (strcmp(name, "step") == 0) return scalar_input(c, "step", loc);
    return val_bad();
}

static bool optimizer_opts(Check *c, Scope *caller, const Optimizer *o, Scope *in) {
    for (uint32_t i = 0; i < o->d->sig.opts.n; i++) {
        const Opt *q = &o->d->sig.opts.data[i];
        Ast *x = q->value;
        Scope *from = in;
        const Args *lists[2] = {&o->call->call.args, &o->call->call.opts};
        for (uint32_t l = 0; l < 2; l++)
            for (uint32_t k = 0; k < lists[l]->n; k++)
                if (lists[l]->data[k].name == q->name) x = lists[l]->data[k].value, from = caller;
        if (!x) {
            check_error(c, E0409, o->call->loc, "'%s' needs its compile-time argument '%s'",
                        o->d->name, q->name);
            diag_note(c->diag, o->d->loc, "'%s' is declared here", o->d->name);
            return false;
        }
        scope_set(c, in, q->name, elab(c, from, x), q->loc);
    }
    const Args *lists[2] = {&o->call->call.args, &o->call->call.opts};
    for (uint32_t l = 0; l < 2; l++)
        for (uint32_t k = 0; k < lists[l]->n; k++) {
            bool known = false;
            for (uint32_t i = 0; i < o->d->sig.opts.n; i++)
                known = known || o->d->sig.opts.data[i].name == lists[l]->data[k].name;
            if (known) continue;
            const char *name = lists[l]->data[k].name;
            if (name)
                check_error(c, E0409, lists[l]->data[k].loc, "'%s' has no argument '%s'",
                            o->d->name, name);
            else
                check_error(c, E0409, lists[l]->data[k].loc,
                            "an optimizer is given numbers by name");
            diag_note(c->diag, o->d->loc, "'%s' is declared here", o->d->name);
            diag_help(c->diag,
                      "write %s(beta1 = 0.9); p, g, lr, decay and step are given by the training",
                      o->d->name);
            return false;
        }
    return true;
}

/* The optimizer's step for one parameter: its text, mapped over every number of it. */
static bool update_param(Check *c, Scope *caller, const Optimizer *o, uint32_t index, Val factor) {
    const ParamInfo *p = &c->g->params.data[index];
    Loc loc = o->call->loc;
    Value gv = grad_of(c->g, index);
    if (!gv) return true;
    Val v = whole_value(c, p->value, loc), g = whole_value(c, gv, loc);
    Cell cell = {.optimizer = true, .n_base = v.rank};
    cell.root = &cell;
    ExprId to[MAX_RANK];
    for (uint32_t k = 0; k < v.rank; k++) {
        cell.base[k] = binder_new(c, NULL, v.dims[k], loc);
        to[k] = expr_idx(c->g, cell.base[k]);
    }
    ExprId mask = trained_mask(c, p, &v);
    if (mask) mask = expr_subst(c, mask, v.ax, to, v.rank);
    v.e = expr_subst(c, v.e, v.ax, to, v.rank);
    g.e = expr_subst(c, g.e, g.ax, to, g.rank);
    v.rank = g.rank = 0;
    Val old = v;
    memcpy(c->ambient, cell.base, sizeof c->ambient);
    c->n_ambient = cell.n_base;
    c->optimized = index;
    if (factor.kind == V_TENSOR) g = val_node(c, binary(c, OP_MUL, g, factor, loc), "g", loc);
    Scope *in = scope_new(c, o->module->scope, o->module, &cell, o->d->name);
    in->may_delay = true;
    if (!optimizer_opts(c, caller, o, in)) return false;
    for (uint32_t i = 0; i < o->d->sig.tensors.n; i++) {
        const Tensor *t = &o->d->sig.tensors.data[i];
        Val a = optimizer_arg(c, t->name, p, v, g, loc);
        if (a.kind == V_BAD) {
            check_error(
                c, E0905, loc,
                "an optimizer's arguments are p, g, lr, decay and step, and '%s' of '%s' is none of them",
                t->name, o->d->name);
            diag_note(c->diag, t->loc, "'%s' is declared here", t->name);
            diag_help(c->diag,
                      "other numbers stand after ';' with a value: cell %s(p[], g[]; %s = 0.1)",
                      o->d->name, t->name);
            return false;
        }
        if (a.kind == V_TENSOR) a.loc = t->loc;
        scope_set(c, in, t->name, a, t->loc);
    }
    uint32_t errors = diag_errors(c->diag);
    c->calls[c->n_calls++] = (CallSite){loc, o->d->name};
    elab_block(c, in, &o->d->body);
    prove_pending(c, 0);
    c->n_calls--;
    if (diag_errors(c->diag) > errors) return false;
    if (o->d->outs.n != 1) {
        check_error(c, E0905, loc, "an optimizer gives one result, the new p, and '%s' gives %u",
                    o->d->name, o->d->outs.n);
        return false;
    }
    Val r;
    if (outs_collect(c, in, o->d, &r) != 1) return false;
    r = val_tensor(c, r);
    r.e = masked(c, mask, r.e, old.e);
    Value nv = val_value(c, r, cell.base, cell.n_base, "p", loc);
    if (!nv) return false;
    graph_output(c->g, OUT_PARAM, c->g->params.data[index].members.data[0].name, nv, index);
    for (uint32_t i = 0; i < cell.states.n; i++) {
        const CellState *st = &cell.states.data[i];
        Value sv = val_value(c, val_tensor(c, scope_find(in, st->name)->val), cell.base,
                             cell.n_base, st->name, loc);
        if (!sv) return false;
        graph_output(c->g, OUT_OPT, st->name, sv, st->carry);
    }
    return true;
}

bool elaborate_update(Elaboration *x, Graph *g, Diag *d) {
    Check *c = &x->c;
    c->diag = d;
    c->g = g;
    c->block = &g->top;
    c->level = c->region = 0;
    c->n_ambient = c->n_path = c->n_guards = c->n_calls = 0;
    c->work = 0;
    memset(&c->value_region, 0, sizeof c->value_region);
    memset(&c->value_below, 0, sizeof c->value_below);
    memset(&c->value_user, 0, sizeof c->value_user);
    memset(&c->free_memo, 0, sizeof c->free_memo);
    for (uint32_t v = 1; v < g->values.n; v++) note_value(c, v);
    Optimizer o = {0};
    Scope *s = scope_new(c, x->train_scope->up, x->train_scope->module, NULL, NULL);
    if (!x->update) {
        diag_report(d, E0907, x->train_scope->syms.n ? x->train_scope->syms.data[0].loc : (Loc){0},
                    "the train block has no 'update': there is no entry 'train'");
        return false;
    }
    if (!find_optimizer(c, s, x->update, &o)) return false;
    Val factor = o.clip > 0 ? clip_factor(c, o.clip, o.call->loc) : val_num(1, false);
    for (uint32_t i = 0; i < g->params.n; i++)
        if (!g->params.data[i].frozen && !update_param(c, s, &o, i, factor)) return false;
    uint32_t n = 0; /* gradients are inside; the entry gives what they did */
    for (uint32_t i = 0; i < g->outputs.n; i++)
        if (g->outputs.data[i].kind != OUT_GRAD) g->outputs.data[n++] = g->outputs.data[i];
    g->outputs.n = n;
    return diag_errors(d) == 0;
}
