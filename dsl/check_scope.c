/* Names, binders and values of the checker: what a name means, and how a value becomes a node. */
#include "check_internal.h"

#include <math.h>
#include <string.h>

/* ---- values -------------------------------------------------------------------------------- */

Val val_bad(void) { return (Val){.kind = V_BAD}; }
Val val_num(double v, bool is_int) { return (Val){.kind = V_NUM, .num = v, .is_int = is_int}; }
Val val_size(Size s) { return s ? (Val){.kind = V_SIZE, .size = s} : val_bad(); }

bool val_is_const(Check *c, const Val *v) {
    return v->kind == V_NUM || (v->kind == V_SIZE && !size_has_axis(c->sizes, v->size, NULL));
}

bool val_number(Check *c, const Val *v, double *out) {
    int64_t n;
    if (v->kind == V_NUM) return *out = v->num, true;
    if (v->kind != V_SIZE || !size_value(c->sizes, v->size, &n)) return false;
    *out = (double)n;
    return true;
}

static void collect_levels(Graph *g, ExprId e, void *user) {
    const Expr *x = graph_expr(g, e);
    if (x->op == X_LVL && x->i < MAX_LEVELS) ((bool *)user)[x->i] = true;
}

/* What is decided by a counter holds for the iterations in which the decision comes out the same. */
bool val_decide(Check *c, const Val *v, double *out) {
    if (!val_number(c, v, out)) return false;
    if (v->kind != V_NUM || !v->sym) return true;
    bool level[MAX_LEVELS] = {false};
    expr_walk(c->g, v->sym, collect_levels, level);
    for (Loop *l = c->loops; l; l = l->up) {
        if (!level[l->level]) continue;
        Decision *d = PUSH(c->arena, &l->log);
        d->e = v->sym;
        d->value = v->num;
        memcpy(d->level, c->lvl_now, sizeof d->level);
    }
    return true;
}

Val val_tensor(Check *c, Val v) {
    if (v.kind == V_TENSOR || v.kind == V_BAD) return v;
    Val r = {.kind = V_TENSOR, .loc = v.loc};
    if (v.kind == V_SIZE)
        r.e = expr_size(c->g, size_ground(c->sizes, v.size));
    else if (v.sym)
        r.e = v.sym;
    else
        r.e = v.is_int ? expr_int(c->g, (int64_t)v.num) : expr_num(c->g, v.num);
    return r;
}

/* ---- binders ------------------------------------------------------------------------------- */

uint32_t binder_new(Check *c, const char *name, Size size, Loc loc) {
    BinderInfo *b = PUSH(c->arena, &c->binders);
    b->name = name;
    b->size = size;
    b->given = size != 0;
    b->loc = b->from = loc;
    return BINDER + c->binders.n - 1;
}

BinderInfo *binder_info(Check *c, uint32_t b) { return &c->binders.data[b - BINDER]; }

static uint32_t *free_merge(Check *c, const uint32_t *a, const uint32_t *b) {
    uint32_t *r = NEWN(c->arena, uint32_t, a[0] + b[0] + 1), n = 0, i = 1, j = 1;
    while (i <= a[0] || j <= b[0]) {
        uint32_t x = j > b[0] || (i <= a[0] && a[i] <= b[j]) ? a[i++] : b[j++];
        if (!n || r[n] != x) r[++n] = x;
    }
    r[0] = n;
    return r;
}

static const uint32_t none[1] = {0};

static const uint32_t *free_of(Check *c, ExprId e) {
    while (c->free_memo.n <= e) *PUSH(c->arena, &c->free_memo) = NULL;
    if (c->free_memo.data[e]) return c->free_memo.data[e];
    const Expr x = *graph_expr(c->g, e);
    const uint32_t *r = none;
    if (x.op == X_IDX && x.i >= BINDER) {
        uint32_t *one = NEWN(c->arena, uint32_t, 2);
        one[0] = 1;
        one[1] = (uint32_t)x.i;
        r = one;
    }
    for (uint32_t k = 0; k < x.n_args; k++) {
        const uint32_t *a = free_of(c, expr_arg(c->g, e, k));
        if (a[0]) r = r[0] ? free_merge(c, r, a) : a;
    }
    c->free_memo.data[e] = (uint32_t *)(uintptr_t)r;
    return r;
}

const uint32_t *expr_free(Check *c, ExprId e) { return free_of(c, e); }

typedef struct Substitution {
    const uint32_t *from;
    const ExprId *to;
    uint32_t n;
} Substitution;

static ExprId subst_leaf(ExprMap *m, ExprId e, const ExprId *subs) {
    (void)subs;
    const Substitution *u = m->user;
    const Expr *x = graph_expr(m->src, e);
    if (x->op != X_IDX) return 0;
    for (uint32_t i = 0; i < u->n; i++)
        if (x->i == (int64_t)u->from[i]) return u->to[i];
    return 0;
}

ExprId expr_subst(Check *c, ExprId e, const uint32_t *from, const ExprId *to, uint32_t n) {
    const uint32_t *f = expr_free(c, e);
    bool any = false;
    for (uint32_t i = 0; i < n && !any; i++)
        for (uint32_t k = 1; k <= f[0] && !any; k++) any = f[k] == from[i];
    if (!any) return e;
    Arena *scratch = arena_new();
    Substitution u = {from, to, n};
    ExprMap m = {.src = c->g, .dst = c->g, .leaf = subst_leaf, .user = &u};
    expr_map_begin(&m, scratch);
    ExprId r = expr_map(&m, e);
    arena_free(scratch);
    return r;
}

Val val_freshen(Check *c, Val v) {
    if (v.kind != V_TENSOR || v.rank == 0) return v;
    ExprId to[MAX_RANK];
    uint32_t old[MAX_RANK];
    for (uint32_t i = 0; i < v.rank; i++) {
        old[i] = v.ax[i];
        v.ax[i] = binder_new(c, NULL, v.dims[i], v.loc);
        to[i] = expr_idx(c->g, v.ax[i]);
    }
    v.e = expr_subst(c, v.e, old, to, v.rank);
    return v;
}

/* ---- regions: which values a place may read ------------------------------------------------- */

uint32_t region_new(Check *c) {
    *PUSH(c->arena, &c->region_up) = c->region;
    return c->region_up.n - 1;
}

bool region_sees(Check *c, uint32_t from, uint32_t what) {
    for (;; from = c->region_up.data[from]) {
        if (from == what) return true;
        if (from == 0) return false;
    }
}

void note_value(Check *c, Value v) {
    while (c->value_region.n <= v) *PUSH(c->arena, &c->value_region) = 0;
    while (c->value_below.n <= v) *PUSH(c->arena, &c->value_below) = 0;
    while (c->value_user.n <= v) *PUSH(c->arena, &c->value_user) = (Loc){0};
    c->value_region.data[v] = c->region;
    c->value_user.data[v] = users_place(c);
}

/* ---- nodes --------------------------------------------------------------------------------- */

Val val_read(Check *c, Value v, const uint32_t *hidden, uint32_t n_hidden, const Size *dims,
             uint32_t rank, Loc loc) {
    Val r = {.kind = V_TENSOR, .rank = (uint8_t)rank, .loc = loc};
    ExprId subs[MAX_RANK * 2];
    for (uint32_t i = 0; i < n_hidden; i++) subs[i] = expr_idx(c->g, hidden[i]);
    for (uint32_t i = 0; i < rank; i++) {
        r.dims[i] = dims[i];
        r.ax[i] = binder_new(c, NULL, dims[i], loc);
        subs[n_hidden + i] = expr_idx(c->g, r.ax[i]);
    }
    r.e = expr_read(c->g, v, subs, n_hidden + rank);
    if (v < c->value_below.n) r.below = c->value_below.data[v];
    return r;
}

/* Under a select, a node made of an arm keeps the condition: its reads need only be inside there. */
static ExprId guarded(Check *c, ExprId e) {
    ExprId cond = c->n_guards ? guard_all(c) : 0;
    if (!cond || !expr_free(c, e)[0]) return e;
    const uint32_t *fe = expr_free(c, e), *fc = expr_free(c, cond);
    bool meet = false;
    for (uint32_t i = 1; i <= fe[0]; i++)
        for (uint32_t k = 1; k <= fc[0]; k++) meet = meet || fe[i] == fc[k];
    if (!meet) return e;
    return expr_select(c->g, cond, e,
                       graph_type(c->g, e) == T_INT ? expr_int(c->g, 0) : expr_num(c->g, 0));
}

static bool too_many_axes(Check *c, uint32_t n, Loc loc) {
    if (n <= MAX_RANK) return false;
    check_error(c, E0307, loc,
                "this needs %u axes with those of the calls around it, and %u is the most", n,
                MAX_RANK);
    return true;
}

bool range_known(Check *c, uint32_t binder) {
    const BinderInfo *b = binder_info(c, binder);
    if (b->size) return true;
    check_error(c, E0302, b->loc, "the range of index '%s' is not known here",
                b->name ? b->name : "?");
    diag_help(c->diag, "write it where the index is bound: %s:SIZE", b->name ? b->name : "i");
    return false;
}

Value val_value(Check *c, Val v, const uint32_t *frame, uint32_t n_frame, const char *name,
                Loc loc) {
    v = val_tensor(c, v);
    if (v.kind == V_BAD || too_many_axes(c, n_frame + v.rank, loc)) return 0;
    uint32_t from[MAX_RANK];
    ExprId to[MAX_RANK];
    Size dims[MAX_RANK];
    ExprId e = guarded(c, v.e);
    for (uint32_t i = 0; i < n_frame; i++)
        if (!range_known(c, frame[i])) return 0;
    for (uint32_t i = 0; i < n_frame + v.rank; i++) {
        from[i] = i < n_frame ? frame[i] : v.ax[i - n_frame];
        to[i] = expr_idx(c->g, i);
        dims[i] = size_ground(c->sizes,
                              i < n_frame ? binder_info(c, frame[i])->size : v.dims[i - n_frame]);
        if (!dims[i]) return 0;
    }
    e = expr_subst(c, e, from, to, n_frame + v.rank);
    if (expr_free(c, e)[0]) {
        const BinderInfo *b = binder_info(c, expr_free(c, e)[1]);
        check_error(c, E0606, loc, "this value depends on an index%s%s%s that it cannot keep here",
                    b->name ? " '" : "", b->name ? b->name : "", b->name ? "'" : "");
        return 0;
    }
    Value r =
        graph_eq(c->g, c->block, dims, n_frame + v.rank, RED_NONE, NULL, 0, e, c->level, name, loc);
    note_value(c, r);
    c->value_below.data[r] = v.below;
    return r;
}

static uint32_t hidden_of(Check *c, const Val *v, ExprId e, uint32_t *out) {
    const uint32_t *f = expr_free(c, e);
    uint32_t n = 0;
    for (uint32_t k = 1; k <= f[0]; k++) {
        bool visible = false;
        for (uint32_t i = 0; i < v->rank; i++) visible = visible || v->ax[i] == f[k];
        if (visible) continue;
        if (n < MAX_RANK) out[n] = f[k];
        n++;
    }
    return n;
}

Val val_node(Check *c, Val v, const char *name, Loc loc) {
    if (v.kind != V_TENSOR || c->formula) return v;
    uint32_t hidden[MAX_RANK];
    uint32_t n = hidden_of(c, &v, guarded(c, v.e), hidden);
    if (too_many_axes(c, n + v.rank, loc)) return val_bad();
    Value id = val_value(c, v, hidden, n, name, loc);
    if (!id) return val_bad();
    Val r = val_read(c, id, hidden, n, v.dims, v.rank, v.loc);
    r.below = v.below;
    return r;
}

static void find_work(Graph *g, ExprId e, void *user) {
    const Expr *x = graph_expr(g, e);
    if (x->op == X_RANDOM || (x->op == X_FN && x->type == T_REAL && x->fn != F_real))
        *(bool *)user = true;
}

static void find_read(Graph *g, ExprId e, void *user) {
    const Expr *x = graph_expr(g, e);
    if (x->op == X_READ || x->op == X_RANDOM) *(bool *)user = true;
}

bool expr_reads(Check *c, ExprId e) {
    bool any = false;
    expr_walk(c->g, e, find_read, &any);
    return any;
}

/* Reading a view again costs nothing; arithmetic is done once. */
Val val_cheap(Check *c, Val v, Loc loc) {
    if (v.kind != V_TENSOR) return v;
    bool work = false;
    expr_walk(c->g, v.e, find_work, &work);
    return work ? val_node(c, v, NULL, loc) : v;
}

/* ---- scopes and modules -------------------------------------------------------------------- */

Scope *scope_new(Check *c, Scope *up, Module *m, Cell *cell, const char *owner) {
    Scope *s = NEW(c->arena, Scope);
    s->up = up;
    s->module = m;
    s->cell = cell;
    s->owner = owner;
    s->may_delay = up && up->may_delay;
    return s;
}

Sym *scope_find(Scope *s, const char *name) {
    for (; s; s = s->up)
        for (uint32_t i = s->syms.n; i > 0; i--)
            if (s->syms.data[i - 1].name == name) return &s->syms.data[i - 1];
    return NULL;
}

Sym *scope_set(Check *c, Scope *s, const char *name, Val v, Loc loc) {
    for (uint32_t i = 0; i < s->syms.n; i++)
        if (s->syms.data[i].name == name) {
            s->syms.data[i].val = v;
            s->syms.data[i].loc = loc;
            return &s->syms.data[i];
        }
    Sym *y = PUSH(c->arena, &s->syms);
    y->name = name;
    y->val = v;
    y->loc = loc;
    return y;
}

static bool const_value(Check *c, Module *m, ConstDef *k, Val *out) {
    if (k->phase == 1) {
        check_error(c, E0305, k->def->loc, "constant '%s' is defined by itself", k->name);
        for (uint32_t j = 0; j < c->modules.n; j++) {
            const Module *o = c->modules.data[j];
            for (uint32_t i = 0; i < o->consts.n; i++)
                if (&o->consts.data[i] != k && o->consts.data[i].phase == 1)
                    diag_note(c->diag, o->consts.data[i].def->loc, "by way of '%s'",
                              o->consts.data[i].name);
        }
        k->phase = 2;
        k->val = val_bad();
    }
    if (k->phase == 0) {
        k->phase = 1;
        Val v = k->given.kind != V_BAD ? k->given : elab(c, m->scope, k->def->value);
        double n;
        /* A formula over names stays one; any other whole number becomes a name of its own. */
        bool formula =
            k->given.kind == V_BAD && v.kind == V_SIZE && !(k->def->value->kind == A_NUM);
        if (v.kind == V_TENSOR || (v.kind == V_SIZE && !val_is_const(c, &v))) {
            if (v.kind == V_SIZE)
                check_error(c, E0304, k->def->loc,
                            "constant '%s' must be known when compiling, and %s is not", k->name,
                            size_text(c, v.size));
            else
                check_error(c, E0304, k->def->loc,
                            "constant '%s' must be known when compiling, and this depends on data",
                            k->name);
            diag_help(
                c->diag,
                "axes are known when the program runs: write the formula where it is used, or fn %s() = ...",
                k->name);
            v = val_bad();
        } else if (!formula && v.kind != V_BAD && val_number(c, &v, &n) && n == floor(n) &&
                   fabs(n) <= MOST_WHOLE) {
            v = val_size(size_const(c->sizes, k->name, (int64_t)n));
        }
        if (k->phase == 1) k->val = v;
        k->phase = 2;
    }
    *out = k->val;
    return true;
}

/* m and all it uses, each once, in the order in which names are looked for. */
void module_reach(Module *m, Reach *r) {
    for (uint32_t i = 0; i < r->n; i++)
        if (r->m[i] == m) return;
    if (r->n == MAX_MODULES) return;
    r->m[r->n++] = m;
    for (uint32_t i = 0; i < m->uses.n; i++) module_reach(m->uses.data[i], r);
}

static const AxisDecl *find_axis(const Module *m, const char *name) {
    for (uint32_t i = 0; i < m->file->decls.n; i++) {
        const Decl *d = m->file->decls.data[i];
        for (uint32_t k = 0; d->kind == D_AXIS && k < d->axes.n; k++)
            if (d->axes.data[k].name == name) return &d->axes.data[k];
    }
    return NULL;
}

bool module_lookup(Check *c, Module *m, const char *name, Val *out, bool *found) {
    Reach r = {.n = 0};
    module_reach(m, &r);
    for (uint32_t k = 0; k < r.n; k++) {
        for (uint32_t i = 0; i < r.m[k]->consts.n; i++)
            if (r.m[k]->consts.data[i].name == name)
                return *found = const_value(c, r.m[k], &r.m[k]->consts.data[i], out);
        const AxisDecl *axis = find_axis(r.m[k], name);
        if (axis) return *out = val_size(size_axis(c->sizes, name, axis->multiple)), *found = true;
    }
    return *found = false;
}

const Decl *module_fn(Module *m, const char *name, Module **where) {
    Reach r = {.n = 0};
    module_reach(m, &r);
    for (uint32_t k = 0; k < r.n; k++)
        for (uint32_t i = 0; i < r.m[k]->file->decls.n; i++) {
            const Decl *d = r.m[k]->file->decls.data[i];
            if (d->name == name && (d->kind == D_FN || d->kind == D_CELL || d->kind == D_MODEL))
                return *where = r.m[k], d;
        }
    return NULL;
}

Declared module_declares(Module *m, const char *name, Loc *where) {
    Reach r = {.n = 0};
    module_reach(m, &r);
    for (uint32_t k = 0; k < r.n; k++) {
        for (uint32_t i = 0; i < r.m[k]->consts.n; i++)
            if (r.m[k]->consts.data[i].name == name)
                return *where = r.m[k]->consts.data[i].def->loc, IS_CONST;
        const AxisDecl *axis = find_axis(r.m[k], name);
        if (axis) return *where = axis->loc, IS_AXIS;
    }
    return IS_NOTHING;
}

bool name_visible(Check *c, Scope *s, const char *name, Loc *where) {
    (void)c;
    const Sym *y = scope_find(s, name);
    if (y) return *where = y->loc, !y->is_binder;
    return module_declares(s->module, name, where) != IS_NOTHING;
}
