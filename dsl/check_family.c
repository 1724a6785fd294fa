/* Parameters and states: their paths, their families over the layers, their attributes. */
#include "check_internal.h"

#include <math.h>
#include <string.h>

/* ---- paths ------------------------------------------------------------------------------------- */

static void part_add(Check *c, const char *text, ExprId e, Loc loc) {
    if (c->n_path < sizeof c->path / sizeof *c->path)
        c->path[c->n_path++] = (NamePart){text, e};
    else
        check_error(c, E0209, loc, "the name of this has more than %zu pieces",
                    sizeof c->path / sizeof *c->path);
}

void path_push(Check *c, Scope *s, const Path *p) {
    if (c->n_path) part_add(c, ".", 0, p->loc);
    for (uint32_t i = 0; i < p->parts.n; i++) {
        const PathPart *q = &p->parts.data[i];
        if (q->text) {
            part_add(c, q->text, 0, p->loc);
            continue;
        }
        Val v = elab(c, s, q->splice);
        double n;
        if (v.kind == V_BAD) continue;
        if (!val_is_const(c, &v) || !val_number(c, &v, &n)) {
            check_error(
                c, E0504, q->splice->loc,
                "what stands in {} of a path must be known when compiling, and this depends on %s",
                depends_say(c, &v));
            continue;
        }
        if (n != floor(n)) {
            check_error(c, E0504, q->splice->loc,
                        "what stands in {} of a path is a whole number, and this is %.10g", n);
            continue;
        }
        if (v.kind == V_NUM && v.sym)
            part_add(c, NULL, v.sym, p->loc);
        else
            part_add(c, arena_printf(c->arena, "%lld", (long long)n), 0, p->loc);
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

/* ---- numbers made of counters ------------------------------------------------------------------- */

typedef struct Evaluation {
    Check *c;
    const int64_t *levels, *index; /* index: numbers of X_IDX, or NULL */
    double *of;                    /* by ExprId, when shared parts are worth remembering */
    uint32_t steps;
} Evaluation;

enum { MANY_STEPS = 4000 };

static double node_value(const Evaluation *v, Graph *g, ExprId e, const double *a) {
    const Expr *x = graph_expr(g, e);
    int64_t n = 0;
    switch (x->op) {
    case X_NUM: return x->num;
    case X_INT: return (double)x->i;
    case X_LVL: return x->i < MAX_LEVELS ? (double)v->levels[x->i] : 0;
    case X_IDX: return v->index ? (double)v->index[x->i] : NAN;
    case X_SIZE: return size_value(g->sizes, x->size, &n) ? (double)n : NAN;
    case X_SELECT: return a[0] != 0 ? a[1] : a[2];
    case X_FN:
        return (x->fn == F_idiv || x->fn == F_imod) && a[1] == 0 ? NAN : fold_number((Fn)x->fn, a);
    default: return NAN;
    }
}

static double tree_value(Evaluation *v, ExprId e) {
    Graph *g = v->c->g;
    const Expr x = *graph_expr(g, e);
    double a[3] = {0, 0, 0};
    if (v->steps++ > MANY_STEPS) return NAN;
    if (x.op == X_SELECT) {
        a[0] = tree_value(v, expr_arg(g, e, 0));
        return tree_value(v, expr_arg(g, e, a[0] != 0 ? 1 : 2));
    }
    for (uint32_t i = 0; i < x.n_args && i < 3; i++) a[i] = tree_value(v, expr_arg(g, e, i));
    return node_value(v, g, e, a);
}

static void value_once(Graph *g, ExprId e, void *user) {
    Evaluation *v = user;
    double a[3] = {0, 0, 0};
    for (uint32_t i = 0; i < graph_expr(g, e)->n_args && i < 3; i++)
        a[i] = v->of[expr_arg(g, e, i)];
    v->of[e] = node_value(v, g, e, a);
}

static double formula_value(Check *c, ExprId e, const int64_t *levels, const int64_t *index) {
    Evaluation v = {.c = c, .levels = levels, .index = index};
    double r = tree_value(&v, e);
    if (v.steps <= MANY_STEPS) return r;
    Arena *scratch = arena_new();
    v.of = NEWN(scratch, double, c->g->exprs.n);
    expr_walk(c->g, e, value_once, &v);
    r = v.of[e];
    arena_free(scratch);
    return r;
}

double counter_value(Check *c, ExprId e, const int64_t *levels) {
    return formula_value(c, e, levels, NULL);
}

/* ---- names ------------------------------------------------------------------------------------- */

const char *tpl_text(Check *c, const NameTpl *t, const int64_t *levels) {
    Text x = text_new(c->arena);
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->parts[i].text)
            text_add(&x, t->parts[i].text);
        else
            text_printf(&x, "%lld", (long long)counter_value(c, t->parts[i].e, levels));
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

/* '*' stands for any letters: after a mismatch the last one takes one letter more. */
static bool glob(const char *p, const char *s) {
    const char *star = NULL, *from = NULL;
    while (*s) {
        if (*p == '*')
            star = p++, from = s;
        else if (*p == *s)
            p++, s++;
        else if (star)
            p = star + 1, s = ++from;
        else
            return false;
    }
    while (*p == '*') p++;
    return !*p;
}

static bool matches(const Word *w, uint32_t n, bool *hit, const char *name) {
    bool any = false;
    for (uint32_t i = 0; i < n; i++)
        if (glob(w[i].name, name)) any = hit[i] = true;
    return any;
}

const Word *state_is_named(Check *c, const char *last) {
    NameTpl t = name_tpl(c, last);
    const char *name = tpl_text(c, &t, c->lvl_now);
    const Word *w = NULL;
    matches(c->patterns.only, c->patterns.n_only, c->patterns.only_hit, name);
    for (uint32_t i = c->patterns.n_only; i > 0; i--)
        if (glob(c->patterns.only[i - 1].name, name)) w = &c->patterns.only[i - 1];
    return w;
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
    if (f->user.line)
        diag_note(c->diag, f->user, "%s comes from this call", which);
    else if (f->call.loc.line)
        diag_note(c->diag, f->call.loc, "%s belongs to this call of '%s'", which, f->call.name);
    else
        diag_note(c->diag, loc, "%s is declared here", which);
}

enum { MAX_MEMBERS = 200000 };

static uint64_t nest_count(Check *c, const FamilyNest *n) {
    uint64_t k = 1;
    for (uint32_t i = 0; i < n->n && k <= MAX_MEMBERS; i++) k *= c->classes.data[n->cls[i]].iters.n;
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

/* A state and a delay of the value it has, in one cell. */
static bool same_call(const Family *a, const Family *b) {
    return a->call.loc.line && a->call.loc.line == b->call.loc.line &&
           a->call.loc.col == b->call.loc.col && a->call.loc.file == b->call.loc.file;
}

static void twice(Check *c, const Seen *seen, uint32_t first, const Family *f, const char *name,
                  Loc loc, const char *what) {
    const Family *other = seen->of[first];
    Loc at = f->user.line ? f->user : f->call.loc.line ? f->call.loc : loc;
    if (other == f) {
        check_error(c, E0801, at, "every iteration of the loop makes a %s named '%s'", what, name);
    } else {
        check_error(c, E0801, at, "two %ss have the name '%s'", what, name);
        note_family(c, other, seen->loc[first], "the first one");
    }
    if (f->call.loc.line) diag_note(c->diag, loc, "'%s' declares it here", f->call.name);
    if (other == f)
        diag_help(
            c->diag,
            "put the counter into the path of the loop: for l in L as layers.{l}, or of the call: f(...) as layer{l}");
    else if (strcmp(what, "state") == 0 && same_call(f, other))
        diag_help(c->diag, "give the value that prev delays a name of its own: kept = ...;  prev(kept)");
    else if (f->call.loc.line)
        diag_help(c->diag, "give one of the calls a path of its own: f(...) as NAME");
    else
        diag_help(c->diag, "choose another name for one of them");
}

static bool spell(Check *c, Seen *seen, Family *f, Arena *arena, void *members, Loc loc,
                  const char *what) {
    VEC(Member) *list = members;
    for (uint64_t k = 0, n = nest_count(c, &f->nest); k < n; k++) {
        Member *m = PUSH(arena, list);
        nest_counters(c, &f->nest, k, m->counters);
        m->name = tpl_text(c, &f->name, m->counters);
        uint32_t first = seen_add(seen, m->name, f, loc);
        if (first == UINT32_MAX) continue;
        twice(c, seen, first, f, m->name, loc, what);
        return false;
    }
    return true;
}

static void start_not_finite(Check *c, const ParamInfo *p, const Family *f, const Member *m,
                             const char *where) {
    check_error(c, E0803, f->user.line ? f->user : p->loc,
                "the initial value of '%s' is not finite%s", m->name, where);
    if (f->user.line) diag_note(c->diag, p->loc, "it is declared here");
    diag_help(
        c->diag,
        "a division by 0, or a logarithm or root that is none? write max(1, L - 1) and the like");
}

static void draw_member(Check *c, ParamInfo *p, const Family *f, const Member *m) {
    double a = f->init_a ? counter_value(c, f->init_a, m->counters) : 0;
    double b = f->init_b ? counter_value(c, f->init_b, m->counters) : 0;
    *PUSH(c->arena, &p->init_a) = a;
    *PUSH(c->arena, &p->init_b) = b;
    if (isfinite(a) && isfinite(b)) return;
    start_not_finite(c, p, f, m, "");
}

/* A formula is tried where it is likeliest to fail: at the first elements and at all corners. */
static void try_member(Check *c, const ParamInfo *p, const Family *f, const Member *m) {
    uint32_t rank = graph_value(c->g, p->value)->rank - p->family,
             corners = rank < 6 ? 1u << rank : 1;
    int64_t index[MAX_RANK] = {0}, size[MAX_RANK];
    for (uint32_t i = 0; i < rank; i++)
        if (!size_value(c->sizes, graph_value(c->g, p->value)->dims[p->family + i], &size[i]))
            return;
    for (uint32_t k = 0; k < corners + 64; k++) {
        int64_t rest = (int64_t)k - corners;
        for (uint32_t i = rank; i-- > 0;) {
            index[i] = k < corners ? (k >> i & 1 ? size[i] - 1 : 0) : rest % size[i];
            rest /= size[i];
        }
        if (isfinite(formula_value(c, p->formula, m->counters, index))) continue;
        Text at = text_new(c->arena);
        for (uint32_t i = 0; i < rank; i++)
            text_printf(&at, "%s%lld", i ? "," : " at [", (long long)index[i]);
        if (rank) text_add(&at, "]");
        start_not_finite(c, p, f, m, at.n ? at.data : "");
        return;
    }
}

static void train_member(Check *c, ParamInfo *p, Member *m) {
    const Patterns *t = &c->patterns;
    bool named = matches(t->only, t->n_only, t->only_hit, m->name);
    bool frozen = matches(t->freeze, t->n_freeze, t->freeze_hit, m->name);
    m->frozen = p->frozen || (t->n_only && !named) || frozen;
}

static bool few_members(Check *c, const Family *f, Loc loc, uint64_t *total) {
    uint64_t n = nest_count(c, &f->nest);
    if (n > MAX_MEMBERS || (*total += n) > MAX_MEMBERS) {
        check_error(c, E0308, f->user.line ? f->user : loc,
                    "more than %d parameters and states, those of every iteration counted",
                    MAX_MEMBERS);
        diag_help(c->diag, "one parameter with an axis more holds what many small ones do");
        return false;
    }
    return true;
}

void families_finish(Check *c) {
    Seen seen = {.cap = 1024};
    uint64_t total = 0;
    for (uint32_t i = 0; i < c->param_family.n; i++)
        if (!few_members(c, &c->param_family.data[i], c->g->params.data[i].loc, &total)) return;
    for (uint32_t i = 0; i < c->state_family.n; i++)
        if (!few_members(c, &c->state_family.data[i], c->g->states.data[i].loc, &total)) return;
    while (seen.cap < total * 2) seen.cap *= 2;
    seen.name = NEWN(c->arena, const char *, seen.cap);
    seen.of = NEWN(c->arena, const Family *, seen.cap);
    seen.loc = NEWN(c->arena, Loc, seen.cap);
    for (uint32_t i = 0; i < c->param_family.n; i++) {
        ParamInfo *p = &c->g->params.data[i];
        Family *f = &c->param_family.data[i];
        if (!spell(c, &seen, f, c->arena, &p->members, p->loc, p->promoted ? "state" : "parameter"))
            return;
        bool all = true;
        for (uint32_t k = 0; k < p->members.n; k++) {
            if (p->init != INIT_FORMULA)
                draw_member(c, p, f, &p->members.data[k]);
            else if (p->formula)
                try_member(c, p, f, &p->members.data[k]);
            if (diag_errors(c->diag) || !check_work(c, 100, p->loc)) return;
            train_member(c, p, &p->members.data[k]);
            all = all && p->members.data[k].frozen;
        }
        p->frozen = all;
    }
    for (uint32_t i = 0; i < c->state_family.n; i++) {
        StateInfo *t = &c->g->states.data[i];
        if (t->members.n == 0 &&
            !spell(c, &seen, &c->state_family.data[i], c->arena, &t->members, t->loc, "state"))
            return;
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
    if (strcmp(a->name, "lr") == 0) attr_number(c, s, a, &p->lr);
    if (strcmp(a->name, "decay") == 0) p->decay = 1, attr_number(c, s, a, &p->decay);
    if (strcmp(a->name, "frozen") == 0) p->frozen = true;
    if (strcmp(a->name, "stored")) return;
    if (a->values.n > MAX_RANK) {
        check_error(c, E0307, a->loc, "a shape in files has at most %d axes, and this has %u",
                    MAX_RANK, a->values.n);
        return;
    }
    p->stored_rank = (uint8_t)a->values.n;
    for (uint32_t i = 0; i < p->stored_rank; i++)
        p->stored[i] = size_ground(c->sizes, elab_size(c, s, a->values.data[i]));
}

static void check_stored(Check *c, const ParamInfo *p, const Size *dims, uint32_t rank) {
    Size a[MAX_RANK], b[MAX_RANK];
    uint32_t na = 0, nb = 0;
    int64_t n;
    for (uint32_t i = 0; i < p->stored_rank; i++)
        if (!p->stored[i]) return; /* an error was reported */
    for (uint32_t i = 0; i < p->stored_rank; i++)
        if (!size_is_num(c->sizes, p->stored[i], &n) || n != 1) a[na++] = p->stored[i];
    for (uint32_t i = 0; i < rank; i++)
        if (!size_is_num(c->sizes, dims[i], &n) || n != 1) b[nb++] = dims[i];
    if (na == nb && memcmp(a, b, sizeof(Size) * na) == 0) return;
    Val own = {.kind = V_TENSOR, .rank = (uint8_t)rank},
        file = {.kind = V_TENSOR, .rank = p->stored_rank};
    memcpy(own.dims, p->written, sizeof(Size) * rank);
    memcpy(file.dims, p->stored, sizeof(Size) * p->stored_rank);
    check_error(
        c, E0806, p->loc,
        "the parameter is %s, and its shape in files %s: they may differ by axes of length 1 only",
        shape_say(c, &own), val_shape(c, &file));
}

static void draw_kind(Check *c, Scope *s, ParamInfo *p, Family *f, const Ast *x) {
    static const struct {
        const char *name;
        uint8_t kind;
        uint32_t n;
    } draws[] = {{"uniform", INIT_UNIFORM, 2},
                 {"normal", INIT_NORMAL, 1},
                 {"trunc_normal", INIT_TRUNC_NORMAL, 1},
                 {"orthogonal", INIT_ORTHOGONAL, 1}};
    for (uint32_t i = 0; i < 4; i++) {
        if (strcmp(x->call.callee, draws[i].name)) continue;
        p->init = draws[i].kind;
        if (x->call.args.n != draws[i].n) {
            check_error(c, E0408, x->loc, "%s takes %u number%s, and here %s %u", draws[i].name,
                        draws[i].n, draws[i].n > 1 ? "s" : "", x->call.args.n == 1 ? "is" : "are",
                        x->call.args.n);
            return;
        }
        ExprId *to[2] = {&f->init_a, &f->init_b};
        for (uint32_t k = 0; k < draws[i].n; k++) {
            Val v = elab(c, s, x->call.args.data[k].value);
            if (v.kind == V_BAD) continue;
            if (!val_is_const(c, &v))
                check_error(c, E0504, x->call.args.data[k].loc,
                            "a draw's numbers must be known when compiling, and this depends on %s",
                            depends_say(c, &v));
            else
                *to[k] = expr_real(c->g, val_tensor(c, v).e);
        }
        return;
    }
    check_error(c, E0804, x->loc, "there is no initial distribution '%s'", x->call.callee);
    diag_help(c->diag, "there are: uniform(a, b), normal(s), trunc_normal(s), orthogonal(gain)");
}

/* = formula: an expression over the indices i of the parameter, X_IDX 0.., and loop counters. */
static ExprId init_formula(Check *c, Scope *s, const Dims *d, const Size *dims, Ast *x,
                           const char *name) {
    Scope *inner = scope_new(c, s, s->module, s->cell, s->owner);
    uint32_t k[MAX_RANK];
    for (uint32_t i = 0; i < d->axes.n; i++) {
        const Binder *q = &d->axes.data[i];
        Loc where;
        k[i] = binder_new(c, q->name, dims[i], q->loc);
        if (!q->name) continue;
        if (name_visible(c, s, q->name, &where)) {
            check_error(c, E0203, q->loc,
                        "'%s' is the name of something visible here and cannot be an index",
                        q->name);
            if (where.line) diag_note(c->diag, where, "'%s' is declared here", q->name);
            diag_help(c->diag, "take another letter for the index");
            return 0;
        }
        Val v = {.kind = V_TENSOR, .loc = q->loc, .e = expr_idx(c->g, k[i])};
        scope_set(c, inner, q->name, v, q->loc)->is_binder = true;
    }
    bool formula = c->formula;
    c->formula = true;
    Val v = val_tensor(c, elab(c, inner, x));
    c->formula = formula;
    if (v.kind == V_BAD) return 0;
    if (v.rank || expr_reads(c, v.e)) {
        check_error(
            c, E0802, x->loc,
            "the initial value of '%s' is a formula in its indices, loop counters and constants, and this %s",
            name, v.rank ? arena_printf(c->arena, "is %s", val_shape(c, &v)) : "depends on data");
        diag_help(c->diag, v.rank ? "give it indices: param w[i:N] = i/N"
                                  : "a value that depends on data is no parameter: y = ...");
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
            check_error(c, E0304, d->axes.data[i].loc,
                        "a parameter's size is known when compiling, and %s is not",
                        size_text(c, dims[i]));
            diag_help(c->diag, "give it the size of a constant, and subscripts where it is used");
            return UINT32_MAX;
        }
    }
    return d->axes.n;
}

static Value new_param(Check *c, const char *last, Store store, const Size *dims, uint32_t rank,
                       Loc loc, uint32_t *index) {
    FamilyNest nest = nest_now(c);
    Size all[MAX_RANK];
    for (uint32_t i = 0; i < nest.n; i++)
        all[i] = size_num(c->sizes, 1); /* family_patch knows better later */
    for (uint32_t i = 0; i < rank && nest.n + i < MAX_RANK; i++)
        all[nest.n + i] = size_ground(c->sizes, dims[i]);
    if (nest.n + rank > MAX_RANK) {
        check_error(c, E0307, loc,
                    "this parameter has more than %d axes with those of the loops around it",
                    MAX_RANK);
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
    f->user = users_place(c);
    return v;
}

static Val read_param(Check *c, Value v, const FamilyNest *nest, const Size *dims, uint32_t rank,
                      Loc loc) {
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
        scope_set(c, s, d->name, val_bad(), d->loc);
        return;
    }
    if (d->type.kind == TY_INT || d->type.kind == TY_INDEX)
        check_error(c, E0501, d->type.loc, "parameters are real numbers");
    Value v = new_param(c, d->name, store_of(&d->type), dims, rank, d->loc, &index);
    if (!v) return;
    ParamInfo *p = &c->g->params.data[index];
    Family *f = &c->param_family.data[c->param_family.n - 1];
    if (d->formula)
        p->formula = init_formula(c, s, &d->dims, dims, d->formula, d->name);
    else if (d->draw)
        draw_kind(c, s, p, f, d->draw);
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

Value state_promoted(Check *c, const char *last, const Size *dims, uint32_t rank, ExprId formula,
                     Loc loc) {
    uint32_t index;
    Value v = new_param(c, last, ST_F32, dims, rank, loc, &index);
    if (!v) return 0;
    c->g->params.data[index].promoted = true;
    c->g->params.data[index].formula = formula ? formula : expr_num(c->g, 0);
    return v;
}

Value state_input(Check *c, const char *last, Type type, Store store, const Size *dims,
                  uint32_t rank, bool delay, uint32_t *state, Loc loc) {
    FamilyNest nest = nest_now(c);
    Size all[MAX_RANK];
    if (nest.n + rank > MAX_RANK) {
        check_error(c, E0307, loc,
                    "this state has more than %d axes with those of the calls and loops around it",
                    MAX_RANK);
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
    f->user = users_place(c);
    return v;
}
