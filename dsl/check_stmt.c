/* Statements: assignments, branches, and loops over layers. */
#include "check_internal.h"

#include <math.h>
#include <string.h>

/* ---- assignment --------------------------------------------------------------------------------- */

void assign(Check *c, Scope *s, const char *name, Val v, Loc loc) {
    if (v.kind == V_TENSOR) {
        v = val_node(c, v, name, loc);
        v.loc = loc;
    }
    scope_set(c, s, name, v, loc);
}

static bool may_assign(Check *c, Scope *s, const char *name, Loc loc) {
    const Sym *y = scope_find(s, name);
    Loc where;
    if (y && y->kind == SYM_VALUE && !y->is_binder && !y->is_counter) return true;
    if (y) {
        check_error(c, E0207, loc, "'%s' is %s here and cannot be assigned", name,
                    y->is_counter  ? "the counter of a loop"
                    : y->is_binder ? "an index"
                                   : "a function");
        diag_note(c->diag, y->loc, "'%s' is declared here", name);
        diag_help(c->diag, "take another name for the value");
        return false;
    }
    if (!name_visible(c, s, name, &where)) return true;
    check_error(c, E0207, loc, "'%s' is a constant or an axis and cannot be assigned", name);
    if (where.line) diag_note(c->diag, where, "'%s' is declared here", name);
    diag_help(c->diag, "take another name for the value");
    return false;
}

static Ast *ast_new(Check *c, AstKind kind, Loc loc) {
    Ast *x = NEW(c->arena, Ast);
    x->kind = kind;
    x->loc = loc;
    return x;
}

/* y[i,j] += e is y[i,j] = y[i,j] + e. */
static Ast *updated(Check *c, const Stmt *st) {
    if (st->assign.op == '=') return st->assign.value;
    Ast *old = ast_new(c, A_NAME, st->loc);
    old->name = st->assign.name;
    if (st->assign.has_binders && st->assign.binders.n) {
        Ast *at = ast_new(c, A_INDEX, st->loc);
        at->index.base = old;
        for (uint32_t i = 0; i < st->assign.binders.n; i++) {
            Ast *b = ast_new(c, A_NAME, st->assign.binders.data[i].loc);
            b->name = st->assign.binders.data[i].name;
            Sub *sub = PUSH(c->arena, &at->index.subs);
            sub->value = b;
            sub->loc = b->loc;
        }
        old = at;
    }
    Ast *x = ast_new(c, A_BINARY, st->loc);
    x->op = st->assign.op == '+' ? OP_ADD : st->assign.op == '-' ? OP_SUB : OP_MUL;
    x->a = old;
    x->b = st->assign.value;
    return x;
}

static void elab_assign(Check *c, Scope *s, const Stmt *st) {
    const char *name = st->assign.name;
    if (!may_assign(c, s, name, st->loc)) return;
    if (st->assign.op != '=' && !scope_find(s, name)) {
        check_error(c, E0201, st->loc, "'%s' has no value yet that '%c=' could change", name,
                    st->assign.op);
        const char *near = nearest_name(c, s, name, false);
        if (near)
            diag_help(c->diag, "did you mean '%s'?", near);
        else
            diag_help(c->diag, "its first value is given with '='");
        scope_set(c, s, name, val_bad(), st->loc);
        return;
    }
    if (st->assign.after.n)
        check_error(c, E0905, st->assign.after.data[0].loc,
                    "only 'update = optimizer(...)' in a train block takes '%s'",
                    st->assign.after.data[0].name);
    c->result_name = name;
    Ast *x = updated(c, st);
    Val v = st->assign.has_binders ? elab_equation(c, s, &st->assign.binders, x, st->loc)
                                   : elab(c, s, x);
    if (!st->assign.has_binders) prove_pending(c, 0);
    const Sym *y = scope_find(s, name);
    if (y && y->is_state && v.kind != V_BAD) v = val_tensor(c, v);
    assign(c, s, name, v, st->loc);
}

static void elab_multi(Check *c, Scope *s, const Stmt *st) {
    Val *out = NULL;
    uint32_t n = 0, want = st->multi.targets.n;
    if (st->multi.value->kind != A_CALL)
        check_error(c, E0410, st->loc,
                    "several names are assigned by a call that gives several results");
    else
        n = elab_call(c, s, st->multi.value, &out);
    prove_pending(c, 0);
    if (n && n != want) {
        check_error(c, E0410, st->loc, "'%s' gives %u result%s, and %u name%s here",
                    st->multi.value->call.callee, n, n > 1 ? "s" : "", want,
                    want > 1 ? "s stand" : " stands");
        n = 0;
    }
    for (uint32_t i = 0; i < want; i++)
        if (may_assign(c, s, st->multi.targets.data[i].name, st->multi.targets.data[i].loc))
            assign(c, s, st->multi.targets.data[i].name, n ? out[i] : val_bad(),
                   st->multi.targets.data[i].loc);
}

/* ---- branches ----------------------------------------------------------------------------------- */

static void elab_if(Check *c, Scope *s, const Stmt *st) {
    Val v = elab(c, s, st->branch.cond);
    double n;
    if (v.kind == V_BAD) return;
    if (!val_is_const(c, &v) || !val_decide(c, &v, &n)) {
        check_error(c, E0502, st->branch.cond->loc,
                    "the condition of 'if' must be known when compiling, and this depends on %s",
                    depends_say(c, &v));
        diag_help(c->diag, "a choice by data is select(condition, a, b)");
        return;
    }
    elab_block(c, s, n != 0 ? &st->branch.then : &st->branch.otherwise);
}

/* ---- loops over layers ---------------------------------------------------------------------------- */

typedef struct Carried {
    const char *name;
    Sym *sym; /* outside */
    Val before;
    uint32_t carry;
} Carried;
typedef VEC(Carried) Carrieds;

static void carried_add(Check *c, Scope *s, Carrieds *l, const char *name) {
    Sym *y = scope_find(s, name);
    if (!y || y->kind != SYM_VALUE || y->is_binder || y->is_counter) return;
    for (uint32_t i = 0; i < l->n; i++)
        if (l->data[i].name == name) return;
    Carried *k = PUSH(c->arena, l);
    k->name = name;
    k->sym = y;
    k->before = y->val;
}

/* Names bound before the loop and assigned in it. */
static void find_carried(Check *c, Scope *s, const Stmts *b, Carrieds *l, uint32_t depth) {
    if (depth > MAX_DEPTH) return;
    for (uint32_t i = 0; i < b->n; i++) {
        const Stmt *st = b->data[i];
        if (st->kind == S_ASSIGN) carried_add(c, s, l, st->assign.name);
        if (st->kind == S_MULTI)
            for (uint32_t k = 0; k < st->multi.targets.n; k++)
                carried_add(c, s, l, st->multi.targets.data[k].name);
        if (st->kind == S_FOR) find_carried(c, s, &st->loop.body, l, depth + 1);
        if (st->kind == S_IF) {
            find_carried(c, s, &st->branch.then, l, depth + 1);
            find_carried(c, s, &st->branch.otherwise, l, depth + 1);
        }
    }
}

static bool begin_carried(Check *c, NodeId r, Carrieds *l) {
    for (uint32_t i = 0; i < l->n; i++) {
        Carried *k = &l->data[i];
        if (k->before.kind == V_BAD) return false;
        bool number = k->before.kind != V_TENSOR;
        Val v = val_tensor(c, k->before);
        if (number) v.e = expr_real(c->g, v.e); /* a number before the loop: a real one in it */
        k->before = v;
        /* the frame of a carried value: every axis it may come to depend on */
        Value init = val_value(c, v, c->ambient, c->n_ambient, k->name, k->sym->loc);
        if (!init) return false;
        k->carry = graph_recur_carry(c->g, r, init, k->name);
    }
    return true;
}

typedef VEC(uint32_t) Iters;

/* The iterations that decide everything as the one elaborated did. */
static bool same_class(Check *c, Loop *loop, const bool *done, Iters *iters, Loc loc) {
    *PUSH(c->arena, iters) = (uint32_t)loop->now;
    for (int64_t l = loop->now + 1; l < loop->count; l++) {
        bool same = !done[l];
        for (uint32_t i = 0; same && i < loop->log.n; i++) {
            Decision d = loop->log.data[i];
            d.level[loop->level] = l;
            same = counter_value(c, d.e, d.level) == d.value;
            if (!check_work(c, 1, loc)) return false;
        }
        if (same) *PUSH(c->arena, iters) = (uint32_t)l;
    }
    return check_work(c, (uint64_t)(loop->count - loop->now), loc);
}

static void depends_on(Graph *g, ExprId e, void *user) {
    const Expr *x = graph_expr(g, e);
    if (x->op == X_LVL && x->i < MAX_LEVELS) ((bool *)user)[x->i] = true;
}

/* What an inner loop decided for each of its iterations is decided for the loops around, too. */
static bool pass_decisions(Check *c, const Loop *loop, const Iters *iters, Loc loc) {
    for (uint32_t i = 0; i < loop->log.n; i++) {
        bool level[MAX_LEVELS] = {false};
        expr_walk(c->g, loop->log.data[i].e, depends_on, level);
        for (Loop *l = loop->up; l; l = l->up) {
            if (!level[l->level]) continue;
            if (!check_work(c, 10 * (uint64_t)iters->n, loc)) return false;
            for (uint32_t k = 0; k < iters->n; k++) {
                Decision *d = PUSH(c->arena, &l->log);
                *d = loop->log.data[i];
                d->level[loop->level] = iters->data[k];
            }
        }
    }
    return true;
}

static bool end_carried(Check *c, Scope *body, NodeId r, uint32_t cls, Carrieds *l) {
    bool ok = true;
    for (uint32_t i = 0; i < l->n; i++) {
        Carried *k = &l->data[i];
        const Sym *y = scope_find(body, k->name);
        Val v = val_tensor(c, y->val);
        if (v.kind == V_BAD) return false;
        bool same = v.rank == k->before.rank;
        for (uint32_t j = 0; same && j < v.rank; j++)
            same = same_size(c, v.dims[j], k->before.dims[j]);
        if (!same) {
            check_error(c, E0406, y->loc,
                        "'%s' is carried through the loop and changes its shape from %s to %s",
                        k->name, val_shape(c, &k->before), val_shape(c, &v));
            diag_note(c->diag, k->sym->loc, "it is bound before the loop here");
            diag_help(c->diag, "take another name for what changes");
            ok = false;
            continue;
        }
        if (graph_type(c->g, v.e) != graph_type(c->g, k->before.e)) {
            if (graph_type(c->g, k->before.e) == T_INT) {
                check_error(c, E0501, y->loc,
                            "'%s' holds whole numbers before the loop and becomes real in it",
                            k->name);
                ok = false;
                continue;
            }
            v.e = expr_real(c->g, v.e);
        }
        Value next = val_value(c, v, c->ambient, c->n_ambient, k->name, y->loc);
        if (!next) return false;
        graph_recur_next(c->g, r, cls, k->carry, next);
    }
    return ok;
}

static Scope *loop_scope(Check *c, Scope *s, const Stmt *st, const Loop *loop) {
    Scope *b = scope_new(c, s, s->module, s->cell, s->owner);
    Val l = val_num((double)loop->now, true);
    l.sym = expr_lvl(c->g, loop->level);
    scope_set(c, b, st->loop.var, l, st->loc)->is_counter = true;
    return b;
}

/* One class of iterations: the body elaborated for the first of them. */
static bool loop_class(Check *c, Scope *s, const Stmt *st, Loop *loop, NodeId r, Carrieds *l,
                       bool *done) {
    Place outer = place_now(c);
    uint32_t first = (uint32_t)loop->now, exports = c->exports.n, path = c->n_path;
    uint32_t cls = graph_recur_class(c->g, r, &first, 1);
    RecurClass *k = &graph_node(c->g, r)->recur->classes.data[cls];
    c->lvl_now[loop->level] = loop->now;
    c->lvl_len[loop->level] = size_num(c->sizes, loop->count);
    c->cls_now[loop->level] = c->classes.n;
    (void)PUSH(c->arena, &c->classes);
    place_set(c, (Place){&k->body, c->level + 1, region_new(c)});
    loop->log.n = 0;
    Scope *b = loop_scope(c, s, st, loop);
    if (st->loop.as) path_push(c, b, st->loop.as);
    for (uint32_t i = 0; i < l->n; i++) {
        Value arg = k->args[l->data[i].carry];
        note_value(c, arg);
        Val v = val_read(c, arg, c->ambient, c->n_ambient, l->data[i].before.dims,
                         l->data[i].before.rank, l->data[i].before.loc);
        scope_set(c, b, l->data[i].name, v, l->data[i].sym->loc);
    }
    uint32_t errors = diag_errors(c->diag), cls_id = c->cls_now[loop->level];
    elab_block(c, b, &st->loop.body);
    bool ok = diag_errors(c->diag) == errors && end_carried(c, b, r, cls, l);
    place_set(c, outer);
    c->n_path = path;
    Iters iters = {0};
    if (!same_class(c, loop, done, &iters, st->loc) || !pass_decisions(c, loop, &iters, st->loc))
        return false;
    RecurClass *rc = &graph_node(c->g, r)->recur->classes.data[cls];
    rc->iters.n = 0;
    for (uint32_t i = 0; i < iters.n; i++) {
        done[iters.data[i]] = true;
        *PUSH(c->arena, &rc->iters) = iters.data[i];
    }
    family_patch(c, cls_id, iters.data, iters.n);
    for (uint32_t i = exports; ok && i < c->exports.n; i++) {
        c->exports.data[i].value = graph_recur_out(c->g, r, cls, c->exports.data[i].value, 0);
        note_value(c, c->exports.data[i].value);
    }
    return ok;
}

static void elab_for(Check *c, Scope *s, const Stmt *st) {
    Val cv = elab(c, s, st->loop.count);
    double count;
    Loc where;
    if (cv.kind == V_BAD) return;
    if (!val_is_const(c, &cv) || !val_decide(c, &cv, &count)) {
        check_error(c, E0504, st->loop.count->loc,
                    "how often a loop runs must be known when compiling, and this depends on %s",
                    depends_say(c, &cv));
        diag_help(c->diag, "along an axis runs a cell: f(x) along T");
        return;
    }
    if (count != floor(count) || count < 0 || count > 65536) {
        check_error(c, E0301, st->loop.count->loc,
                    "a loop runs a whole number of times, 65536 at most, and this is %.10g", count);
        return;
    }
    if (name_visible(c, s, st->loop.var, &where)) {
        check_error(c, E0203, st->loc,
                    "'%s' is the name of something visible here and cannot count a loop",
                    st->loop.var);
        if (where.line) diag_note(c->diag, where, "'%s' is declared here", st->loop.var);
        diag_help(c->diag, "take another name for the counter");
        return;
    }
    if (c->formula) {
        check_error(c, E0802, st->loc, "a loop inside an initial value");
        return;
    }
    if (count == 0) return;
    if (c->level + 1 >= MAX_LEVELS) {
        check_error(c, E0209, st->loc, "loops and runs are nested more than %d deep", MAX_LEVELS);
        return;
    }
    Loop loop = {.level = c->level, .count = (int64_t)count, .loc = st->loc, .up = c->loops};
    Carrieds l = {0};
    find_carried(c, s, &st->loop.body, &l, 0);
    NodeId r = graph_recur_begin(c->g, size_num(c->sizes, loop.count),
                                 name_of(c->names, st->loop.var), false, true, c->level, st->loc);
    bool ok = begin_carried(c, r, &l);
    bool *done = NEWN(c->arena, bool, loop.count);
    c->loops = &loop;
    for (; ok && loop.now < loop.count; loop.now++)
        if (!done[loop.now]) ok = loop_class(c, s, st, &loop, r, &l, done);
    c->loops = loop.up;
    if (!ok) {
        for (uint32_t i = 0; i < l.n; i++) l.data[i].sym->val = val_bad();
        return;
    }
    graph_recur_end(c->g, r, c->block);
    for (uint32_t i = 0; i < l.n; i++) {
        Value f = graph_node(c->g, r)->recur->carry.data[l.data[i].carry].final;
        note_value(c, f);
        Sym *y = scope_find(s, l.data[i].name);
        y->val = val_read(c, f, c->ambient, c->n_ambient, l.data[i].before.dims,
                          l.data[i].before.rank, l.data[i].before.loc);
    }
}

/* ---- blocks ------------------------------------------------------------------------------------- */

static void elab_fn_decl(Check *c, Scope *s, const Stmt *st) {
    Sym *y = PUSH(c->arena, &s->syms);
    y->kind = SYM_FN;
    y->name = st->fn->name;
    y->fn = st->fn;
    y->fn_scope = s;
    y->loc = st->fn->loc;
}

static void elab_stmt(Check *c, Scope *s, const Stmt *st) {
    switch (st->kind) {
    case S_PARAMS: elab_params(c, s, st); break;
    case S_STATE: elab_states(c, s, st); break;
    case S_ASSIGN: elab_assign(c, s, st); break;
    case S_MULTI: elab_multi(c, s, st); break;
    case S_FOR: elab_for(c, s, st); break;
    case S_IF: elab_if(c, s, st); break;
    case S_FN: elab_fn_decl(c, s, st); break;
    case S_METRIC:
    case S_ONLY:
    case S_FREEZE:
        if (!c->in_train)
            check_error(c, E0902, st->loc, "'%s' belongs in a train block",
                        st->kind == S_METRIC ? "metric"
                        : st->kind == S_ONLY ? "only"
                                             : "freeze");
        break;
    }
}

void elab_block(Check *c, Scope *s, const Stmts *b) {
    for (uint32_t i = 0; i < b->n && !diag_full(c->diag); i++) {
        if (!check_work(c, WORK_STMT, b->data[i]->loc)) return;
        elab_stmt(c, s, b->data[i]);
    }
}
