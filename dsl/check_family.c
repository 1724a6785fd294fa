/* Parameters and states: their paths, their families over the layers, their attributes. */
#include "check_internal.h"

#include <math.h>
#include <string.h>

/* ---- paths ------------------------------------------------------------------------------------- */

static void part_add(Check *c, const char *text, ExprId e) {
    if (c->n_path < sizeof c->path / sizeof *c->path) c->path[c->n_path++] = (NamePart){text, e};
}

void path_push(Check *c, Scope *s, const Path *p) {
    if (c->n_path) part_add(c, ".", 0);
    for (uint32_t i = 0; i < p->parts.n; i++) {
        const PathPart *q = &p->parts.data[i];
        if (q->text) {
            part_add(c, q->text, 0);
            continue;
        }
        Val v = elab(c, s, q->splice);
        double n;
        if (v.kind == V_BAD) continue;
        if (!val_is_const(c, &v) || !val_number(c, &v, &n) || n != floor(n)) {
            check_error(c, E0504, q->splice->loc, "what stands in {} of a path is a whole number known when compiling");
            continue;
        }
        if (v.kind == V_NUM && v.sym) part_add(c, NULL, v.sym);
        else part_add(c, arena_printf(c->arena, "%lld", (long long)n), 0);
    }
}

NameTpl name_tpl(Check *c, const char *last) {
    NameTpl t = {.n = c->n_path + (last ? 1u : 0u) + (last && c->n_path ? 1u : 0u)};
    t.parts = NEWN(c->arena, NamePart, t.n + 1);
    memcpy(t.parts, c->path, sizeof(NamePart) * c->n_path);
    uint32_t n = c->n_path;
    if (last && n) t.parts[n++].text = ".";
    if (last) t.parts[n++].text = last;
    return t;
}

/* The number of an int expression over counters only. */
static double counter_value(Check *c, ExprId e, const int64_t *levels) {
    const Expr x = *graph_expr(c->g, e);
    double a[2] = {0, 0};
    if (x.op == X_NUM) return x.num;
    if (x.op == X_INT) return (double)x.i;
    if (x.op == X_LVL) return x.i < MAX_LEVELS ? (double)levels[x.i] : 0;
    if (x.op == X_SIZE) {
        int64_t n = 0;
        size_value(c->sizes, x.size, &n);
        return (double)n;
    }
    if (x.op == X_SELECT) return counter_value(c, expr_arg(c->g, e, counter_value(c, expr_arg(c->g, e, 0), levels) != 0 ? 1 : 2), levels);
    if (x.op != X_FN) return NAN;
    Val v[2];
    for (uint32_t i = 0; i < x.n_args && i < 2; i++) {
        a[i] = counter_value(c, expr_arg(c->g, e, i), levels);
        v[i] = val_num(a[i], a[i] == floor(a[i]) && graph_type(c->g, expr_arg(c->g, e, i)) == T_INT);
    }
    if ((x.fn == F_idiv || x.fn == F_imod) && a[1] == 0) return NAN;
    return apply_fn(c, (Fn)x.fn, v, x.n_args, (Loc){0}).num;
}

double decision_value(Check *c, ExprId e, const int64_t *levels);
double decision_value(Check *c, ExprId e, const int64_t *levels) { return counter_value(c, e, levels); }

const char *tpl_text(Check *c, const NameTpl *t, const int64_t *levels) {
    Text x = text_new(c->arena);
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->parts[i].text) text_add(&x, t->parts[i].text);
        else text_printf(&x, "%lld", (long long)counter_value(c, t->parts[i].e, levels));
    }
    return name_ofn(c->names, x.data, x.n);
}

/* ---- families ----------------------------------------------------------------------------------- */

FamilyNest nest_now(Check *c) {
    FamilyNest n = {0};
    for (uint32_t level = 0; level < c->level; level++) {
        if (c->cls_now[level] == UINT32_MAX) continue;
        n.level[n.n] = level;
        n.cls[n.n++] = c->cls_now[level];
    }
    return n;
}

uint32_t nest_subs(Check *c, const FamilyNest *n, ExprId *subs) {
    for (uint32_t i = 0; i < n->n; i++) subs[i] = expr_pos(c->g, n->level[i]);
    return n->n;
}

static void patch_one(Check *c, const Family *f, Value v, uint32_t cls, Size count) {
    for (uint32_t i = 0; i < f->nest.n; i++)
        if (f->nest.cls[i] == cls && v) graph_value(c->g, v)->dims[i] = count;
}

/* The class is complete: everything that has one item an iteration gets its length. */
void family_patch(Check *c, uint32_t cls, const uint32_t *iters, uint32_t n) {
    Size count = size_num(c->sizes, n);
    c->classes.data[cls].iters.n = 0;
    for (uint32_t i = 0; i < n; i++) *PUSH(c->arena, &c->classes.data[cls].iters) = iters[i];
    for (uint32_t i = 0; i < c->param_family.n; i++)
        patch_one(c, &c->param_family.data[i], c->g->params.data[i].value, cls, count);
    for (uint32_t i = 0; i < c->state_family.n; i++)
        patch_one(c, &c->state_family.data[i], c->g->states.data[i].value, cls, count);
}

/* ---- patterns ----------------------------------------------------------------------------------- */

static bool glob(const char *p, const char *s) {
    for (; *p; p++, s++) {
        if (*p == '*') {
            for (;; s++) {
                if (glob(p + 1, s)) return true;
                if (!*s) return false;
            }
        }
        if (*p != *s) return false;
    }
    return !*s;
}

static bool matches(const Word *w, uint32_t n, bool *hit, const char *name) {
    bool any = false;
    for (uint32_t i = 0; i < n; i++)
        if (glob(w[i].name, name)) any = hit[i] = true;
    return any;
}

bool state_is_named(Check *c, const char *last) {
    NameTpl t = name_tpl(c, last);
    return matches(c->patterns.only, c->patterns.n_only, c->patterns.only_hit, tpl_text(c, &t, c->lvl_now));
}

/* ---- members ------------------------------------------------------------------------------------ */

typedef struct Seen { /* names of members, and which family has them */
    const char **name;
    const Family **of;
    Loc *loc;
    uint32_t cap;
} Seen;

/* The place of an earlier member of this name, or UINT32_MAX. */
static uint32_t seen_add(Seen *s, const char *name, const Family *of, Loc loc) {
    uint32_t at = (uint32_t)hash_bytes(name, strlen(name), 0) & (s->cap - 1);
    for (; s->name[at]; at = (at + 1) & (s->cap - 1))
        if (s->name[at] == name) return at;
    s->name[at] = name;
    s->of[at] = of;
    s->loc[at] = loc;
    return UINT32_MAX;
}

static void note_family(Check *c, const Family *f, Loc loc, const char *which) {
    if (f->call.loc.line) diag_note(c->diag, f->call.loc, "%s belongs to this call of '%s'", which, f->call.name);
    else diag_note(c->diag, loc, "%s is declared here", which);
}

static uint64_t nest_count(Check *c, const FamilyNest *n) {
    uint64_t k = 1;
    for (uint32_t i = 0; i < n->n; i++) k *= c->classes.data[n->cls[i]].iters.n;
    return k;
}

static void nest_counters(Check *c, const FamilyNest *n, uint64_t k, int64_t *levels) {
    memset(levels, 0, sizeof(int64_t) * MAX_LEVELS);
    for (uint32_t i = n->n; i > 0; i--) {
        uint64_t m = c->classes.data[n->cls[i - 1]].iters.n;
        levels[n->level[i - 1]] = c->classes.data[n->cls[i - 1]].iters.data[k % m];
        k /= m;
    }
}

static bool spell(Check *c, Seen *seen, Family *f, Arena *arena, void *members, Loc loc, const char *what) {
    VEC(Member) *list = members;
    for (uint64_t k = 0, n = nest_count(c, &f->nest); k < n; k++) {
        Member *m = PUSH(arena, list);
        nest_counters(c, &f->nest, k, m->counters);
        m->name = tpl_text(c, &f->name, m->counters);
        uint32_t first = seen_add(seen, m->name, f, loc);
        if (first == UINT32_MAX) continue;
        check_error(c, E0801, f->call.loc.line ? f->call.loc : loc, "two %ss have the name '%s'", what, m->name);
        note_family(c, seen->of[first], seen->loc[first], "the first one");
        if (f->call.loc.line) diag_note(c->diag, loc, "'%s' declares it here", f->call.name);
        diag_help(c->diag, "name one of the calls: f(...) as NAME, or the loop: for l in L as NAME.{l}");
        return false;
    }
    return true;
}

static void draw_member(Check *c, ParamInfo *p, const Family *f, const Member *m) {
    double a = f->init_a ? counter_value(c, f->init_a, m->counters) : 0;
    double b = f->init_b ? counter_value(c, f->init_b, m->counters) : 0;
    *PUSH(c->arena, &p->init_a) = a;
    *PUSH(c->arena, &p->init_b) = b;
    if (!isfinite(a) || !isfinite(b)) check_error(c, E0803, p->loc, "the initial value of '%s' is not finite", m->name);
}

static void train_member(Check *c, ParamInfo *p, Member *m) {
    const Patterns *t = &c->patterns;
    bool named = matches(t->only, t->n_only, t->only_hit, m->name);
    bool frozen = matches(t->freeze, t->n_freeze, t->freeze_hit, m->name);
    m->frozen = p->frozen || (t->n_only && !named) || frozen;
}

void families_finish(Check *c) {
    Seen seen = {.cap = 1024};
    uint64_t total = 0;
    for (uint32_t i = 0; i < c->param_family.n; i++) total += nest_count(c, &c->param_family.data[i].nest);
    for (uint32_t i = 0; i < c->state_family.n; i++) total += nest_count(c, &c->state_family.data[i].nest);
    while (seen.cap < total * 2) seen.cap *= 2;
    seen.name = NEWN(c->arena, const char *, seen.cap);
    seen.of = NEWN(c->arena, const Family *, seen.cap);
    seen.loc = NEWN(c->arena, Loc, seen.cap);
    for (uint32_t i = 0; i < c->param_family.n; i++) {
        ParamInfo *p = &c->g->params.data[i];
        Family *f = &c->param_family.data[i];
        if (!spell(c, &seen, f, c->arena, &p->members, p->loc, p->promoted ? "state" : "parameter")) return;
        bool all = true;
        for (uint32_t k = 0; k < p->members.n; k++) {
            if (p->init != INIT_FORMULA) draw_member(c, p, f, &p->members.data[k]);
            train_member(c, p, &p->members.data[k]);
            all = all && p->members.data[k].frozen;
        }
        p->frozen = all;
    }
    for (uint32_t i = 0; i < c->state_family.n; i++) {
        StateInfo *t = &c->g->states.data[i];
        if (t->members.n == 0 && !spell(c, &seen, &c->state_family.data[i], c->arena, &t->members, t->loc, "state")) return;
    }
}

/* ---- parameters --------------------------------------------------------------------------------- */

Store store_of(const TypeRef *t) {
    switch (t->kind) {
    case TY_F32: return ST_F32;
    case TY_BF16: return ST_BF16;
    case TY_F16: return ST_F16;
    case TY_INT:
    case TY_INDEX: return ST_INT;
    default: return ST_DEFAULT;
    }
}

static bool attr_number(Check *c, Scope *s, const Attr *a, double *out) {
    if (a->values.n == 0) return true;
    return elab_const(c, s, a->values.data[0], out, a->name);
}

static void attr_apply(Check *c, Scope *s, ParamInfo *p, const Attr *a) {
    if (strcmp(a->name, "lr") == 0) {
        if (a->values.n != 1) check_error(c, E0806, a->loc, "lr takes one number: the factor of the learning rate");
        else attr_number(c, s, a, &p->lr);
    } else if (strcmp(a->name, "decay") == 0) {
        p->decay = 1;
        attr_number(c, s, a, &p->decay);
    } else if (strcmp(a->name, "frozen") == 0) {
        p->frozen = true;
        if (a->values.n) check_error(c, E0806, a->loc, "frozen takes no value");
    } else if (strcmp(a->name, "stored") == 0) {
        p->stored_rank = (uint8_t)(a->values.n <= MAX_RANK ? a->values.n : MAX_RANK);
        for (uint32_t i = 0; i < p->stored_rank; i++) p->stored[i] = size_ground(c->sizes, elab_size(c, s, a->values.data[i]));
    } else {
        check_error(c, E0805, a->loc, "a parameter has no attribute '%s'", a->name);
        diag_help(c->diag, "there are: lr NUMBER, decay [NUMBER], frozen, stored [SIZES]");
    }
}

static void check_stored(Check *c, const ParamInfo *p, const Size *dims, uint32_t rank) {
    Size a[MAX_RANK], b[MAX_RANK];
    uint32_t na = 0, nb = 0;
    int64_t n;
    for (uint32_t i = 0; i < p->stored_rank; i++)
        if (!size_is_num(c->sizes, p->stored[i], &n) || n != 1) a[na++] = p->stored[i];
    for (uint32_t i = 0; i < rank; i++)
        if (!size_is_num(c->sizes, dims[i], &n) || n != 1) b[nb++] = dims[i];
    if (na == nb && memcmp(a, b, sizeof(Size) * na) == 0) return;
    check_error(c, E0806, p->loc, "a stored shape differs from the parameter's own by axes of length 1 only");
}

static void draw_kind(Check *c, Scope *s, ParamInfo *p, Family *f, const Ast *x) {
    static const struct { const char *name; uint8_t kind; uint32_t n; } draws[] = {
        {"uniform", INIT_UNIFORM, 2}, {"normal", INIT_NORMAL, 1}, {"trunc_normal", INIT_TRUNC_NORMAL, 1}, {"orthogonal", INIT_ORTHOGONAL, 1}};
    for (uint32_t i = 0; i < 4; i++) {
        if (strcmp(x->call.callee, draws[i].name)) continue;
        p->init = draws[i].kind;
        if (x->call.args.n != draws[i].n) {
            check_error(c, E0408, x->loc, "%s takes %u number%s", draws[i].name, draws[i].n, draws[i].n > 1 ? "s" : "");
            return;
        }
        ExprId *to[2] = {&f->init_a, &f->init_b};
        for (uint32_t k = 0; k < draws[i].n; k++) {
            Val v = elab(c, s, x->call.args.data[k].value);
            if (v.kind == V_BAD) continue;
            if (!val_is_const(c, &v)) check_error(c, E0504, x->call.args.data[k].loc, "a number known when compiling is wanted");
            else *to[k] = expr_real(c->g, val_tensor(c, v).e);
        }
        return;
    }
    check_error(c, E0804, x->loc, "there is no initial distribution '%s'", x->call.callee);
    diag_help(c->diag, "there are: uniform(a, b), normal(s), trunc_normal(s), orthogonal(gain)");
}

static bool reads_data(Check *c, ExprId e) {
    const Expr *x = graph_expr(c->g, e);
    if (x->op == X_READ || x->op == X_RANDOM) return true;
    for (uint32_t i = 0; i < x->n_args; i++)
        if (reads_data(c, expr_arg(c->g, e, i))) return true;
    return false;
}

/* = formula: an expression over the indices i of the parameter, X_IDX 0.., and loop counters. */
static ExprId init_formula(Check *c, Scope *s, const Dims *d, const Size *dims, Ast *x, const char *name) {
    Binders b = {0};
    Scope *inner = scope_new(c, s, s->module, s->cell, s->owner);
    uint32_t k[MAX_RANK];
    for (uint32_t i = 0; i < d->axes.n; i++) {
        const Binder *q = &d->axes.data[i];
        Loc where;
        k[i] = binder_new(c, q->name, dims[i], q->loc);
        if (!q->name) continue;
        if (name_visible(c, s, q->name, &where)) {
            check_error(c, E0203, q->loc, "'%s' is the name of something visible here and cannot be an index", q->name);
            if (where.line) diag_note(c->diag, where, "'%s' is declared here", q->name);
            return 0;
        }
        Val v = {.kind = V_TENSOR, .loc = q->loc, .e = expr_idx(c->g, k[i])};
        scope_set(c, inner, q->name, v, q->loc)->is_binder = true;
    }
    (void)b;
    bool formula = c->formula;
    c->formula = true;
    Val v = val_tensor(c, elab(c, inner, x));
    c->formula = formula;
    if (v.kind == V_BAD) return 0;
    if (v.rank || reads_data(c, v.e)) {
        check_error(c, E0802, x->loc, "the initial value of '%s' is a formula in its indices, loop counters and constants", name);
        return 0;
    }
    ExprId to[MAX_RANK];
    for (uint32_t i = 0; i < d->axes.n; i++) to[i] = expr_idx(c->g, i);
    return expr_real(c->g, expr_subst(c, v.e, k, to, d->axes.n));
}

static uint32_t declared_dims(Check *c, Scope *s, const Dims *d, Size *dims, Loc loc) {
    if (d->axes.n > MAX_RANK - 4) {
        check_error(c, E0307, loc, "a parameter has at most %d axes", MAX_RANK - 4);
        return UINT32_MAX;
    }
    for (uint32_t i = 0; i < d->axes.n; i++) {
        dims[i] = elab_size(c, s, d->axes.data[i].size);
        int64_t n;
        if (!dims[i]) return UINT32_MAX;
        if (!size_value(c->sizes, dims[i], &n)) {
            check_error(c, E0304, d->axes.data[i].loc, "a parameter's size is known when compiling, and %s is not", size_str(c->sizes, dims[i]));
            return UINT32_MAX;
        }
    }
    return d->axes.n;
}

static Value new_param(Check *c, const char *last, Store store, const Size *dims, uint32_t rank, Loc loc, uint32_t *index) {
    FamilyNest nest = nest_now(c);
    Size all[MAX_RANK];
    for (uint32_t i = 0; i < nest.n; i++) all[i] = size_num(c->sizes, 1); /* family_patch knows better later */
    for (uint32_t i = 0; i < rank && nest.n + i < MAX_RANK; i++) all[nest.n + i] = size_ground(c->sizes, dims[i]);
    if (nest.n + rank > MAX_RANK) {
        check_error(c, E0307, loc, "this parameter has more than %d axes with those of the loops around it", MAX_RANK);
        return 0;
    }
    Value v = graph_param(c->g, T_REAL, store, all, nest.n + rank, loc, index);
    note_value(c, v);
    c->value_region.data[v] = 0;
    graph_value(c->g, v)->name = last;
    ParamInfo *p = &c->g->params.data[*index];
    p->family = (uint8_t)nest.n;
    p->lr = 1;
    p->loc = loc;
    for (uint32_t i = 0; i < rank; i++) p->written[i] = dims[i];
    Family *f = PUSH(c->arena, &c->param_family);
    f->name = name_tpl(c, last);
    f->nest = nest;
    if (c->n_calls) f->call = c->calls[c->n_calls - 1];
    return v;
}

static Val read_param(Check *c, Value v, const FamilyNest *nest, const Size *dims, uint32_t rank, Loc loc) {
    Val r = {.kind = V_TENSOR, .rank = (uint8_t)rank, .loc = loc};
    ExprId subs[MAX_RANK * 2];
    uint32_t n = nest_subs(c, nest, subs);
    for (uint32_t i = 0; i < rank; i++) {
        r.dims[i] = dims[i];
        r.ax[i] = binder_new(c, NULL, dims[i], loc);
        subs[n + i] = expr_idx(c->g, r.ax[i]);
    }
    r.e = expr_read(c->g, v, subs, n + rank);
    return r;
}

static void elab_param(Check *c, Scope *s, const ParamDecl *d) {
    Size dims[MAX_RANK];
    uint32_t rank = declared_dims(c, s, &d->dims, dims, d->loc), index;
    if (rank == UINT32_MAX) {
        scope_set(c, s, d->name, val_bad(), d->loc);
        return;
    }
    if (c->formula) {
        check_error(c, E0802, d->loc, "a parameter inside an initial value");
        return;
    }
    if (d->type.kind == TY_INT || d->type.kind == TY_INDEX) check_error(c, E0501, d->type.loc, "parameters are real numbers");
    Value v = new_param(c, d->name, store_of(&d->type), dims, rank, d->loc, &index);
    if (!v) return;
    ParamInfo *p = &c->g->params.data[index];
    Family *f = &c->param_family.data[c->param_family.n - 1];
    if (d->formula) p->formula = init_formula(c, s, &d->dims, dims, d->formula, d->name);
    else if (d->draw) draw_kind(c, s, p, f, d->draw);
    if (d->draw && p->init == INIT_ORTHOGONAL && rank < 2)
        check_error(c, E0804, d->draw->loc, "an orthogonal start needs at least two axes");
    p = &c->g->params.data[index];
    for (uint32_t i = 0; i < d->attrs.n; i++) attr_apply(c, s, p, &d->attrs.data[i]);
    if (p->stored_rank) check_stored(c, p, graph_value(c->g, v)->dims + p->family, rank);
    FamilyNest nest = f->nest;
    scope_set(c, s, d->name, read_param(c, v, &nest, dims, rank, d->loc), d->loc);
}

void elab_params(Check *c, Scope *s, const Stmt *st) {
    for (uint32_t i = 0; i < st->params.n; i++) elab_param(c, s, &st->params.data[i]);
}

/* ---- states ------------------------------------------------------------------------------------- */

Value state_promoted(Check *c, const char *last, const Size *dims, uint32_t rank, ExprId formula, Loc loc) {
    uint32_t index;
    Value v = new_param(c, last, ST_F32, dims, rank, loc, &index);
    if (!v) return 0;
    c->g->params.data[index].promoted = true;
    c->g->params.data[index].formula = formula ? formula : expr_num(c->g, 0);
    return v;
}

Value state_input(Check *c, const char *last, Type type, Store store, const Size *dims, uint32_t rank, bool delay,
                  uint32_t *state, Loc loc) {
    FamilyNest nest = nest_now(c);
    Size all[MAX_RANK];
    if (nest.n + rank > MAX_RANK) {
        check_error(c, E0307, loc, "this state has more than %d axes with those of the calls and loops around it", MAX_RANK);
        return 0;
    }
    for (uint32_t i = 0; i < nest.n; i++) all[i] = size_num(c->sizes, 1);
    for (uint32_t i = 0; i < rank; i++) all[nest.n + i] = size_ground(c->sizes, dims[i]);
    Value v = graph_state(c->g, type, store, all, nest.n + rank, loc, state);
    note_value(c, v);
    c->value_region.data[v] = 0;
    graph_value(c->g, v)->name = last;
    StateInfo *t = &c->g->states.data[*state];
    t->family = (uint8_t)nest.n;
    t->delay = delay;
    t->loc = loc;
    Family *f = PUSH(c->arena, &c->state_family);
    f->name = name_tpl(c, last);
    f->nest = nest;
    if (c->n_calls) f->call = c->calls[c->n_calls - 1];
    return v;
}
