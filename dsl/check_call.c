/* Calls: functions are inlined where they are called, mapped over the extra leading axes of their
 * arguments, and a cell is run along one of those axes. */
#include "check_internal.h"

#include <string.h>

typedef struct Frame { /* the extra leading axes of a call, and what they are inside */
    uint32_t n;
    Size size[MAX_RANK];
    uint32_t binder[MAX_RANK]; /* 0 for the axis of time */
    int time;                  /* index of that axis, -1 if none */
    uint32_t level;            /* of the recurrence, when time >= 0 */
} Frame;

typedef struct Call {
    Ast *x;
    const Decl *d;
    Scope *def; /* where the function was declared */
    Scope *in;  /* its own names */
    Val *args;  /* one a tensor of the signature */
    Loc *at;    /* where the call gives it */
    bool *given;
    Frame frame;
    Size along; /* 0 = none */
} Call;

/* ---- finding the function ----------------------------------------------------------------------- */

static bool find_callee(Check *c, Scope *s, Call *k) {
    const char *name = k->x->call.callee;
    const Sym *y = scope_find(s, name);
    Module *m;
    if (y && y->kind == SYM_FN) {
        k->d = y->fn;
        k->def = y->fn_scope;
        return true;
    }
    if (!y && (k->d = module_fn(s->module, name, &m))) {
        k->def = m->scope;
        return true;
    }
    if (y) {
        check_error(c, E0204, k->x->loc, "'%s' is a tensor, not a function", name);
        diag_help(c->diag, "subscripts stand in brackets: %s[i]", name);
        return false;
    }
    check_error(c, E0204, k->x->loc, "there is no function or cell '%s'", name);
    help_near(c, s, name, true);
    return false;
}

/* ---- compile-time arguments --------------------------------------------------------------------- */

static int find_opt(const Decl *d, const char *name) {
    for (uint32_t i = 0; i < d->sig.opts.n; i++)
        if (d->sig.opts.data[i].name == name) return (int)i;
    return -1;
}

static int find_tensor(const Decl *d, const char *name) {
    for (uint32_t i = 0; i < d->sig.tensors.n; i++)
        if (d->sig.tensors.data[i].name == name) return (int)i;
    return -1;
}

static void note_signature(Check *c, const Call *k) {
    if (k->d->loc.line) diag_note(c->diag, k->d->loc, "'%s' is declared here", k->d->name);
}

static void set_opt(Check *c, Scope *s, Call *k, int i, Ast *value, Loc loc, bool *given) {
    const char *name = k->d->sig.opts.data[i].name;
    if (given[i]) {
        check_error(c, E0409, loc, "'%s' is given twice in this call of '%s'", name, k->d->name);
        return;
    }
    given[i] = true;
    Val v = elab(c, s, value);
    if (v.kind == V_TENSOR) {
        check_error(c, E0504, loc,
                    "'%s' of '%s' must be known when compiling, and this depends on data", name,
                    k->d->name);
        diag_help(c->diag, "what stands after ';' is made of numbers, constants and loop counters");
        v = val_bad();
    }
    scope_set(c, k->in, name, v, loc);
}

static void unknown_opt(Check *c, const Call *k, const char *name, Loc loc) {
    check_error(c, E0409, loc, "'%s' has no argument '%s'", k->d->name, name);
    note_signature(c, k);
    Text t = text_new(c->arena);
    for (uint32_t i = 0; i < k->d->sig.opts.n; i++)
        text_printf(&t, "%s%s", i ? ", " : "", k->d->sig.opts.data[i].name);
    if (t.n) diag_help(c->diag, "it has, after ';': %s", t.data);
}

static bool bind_opts(Check *c, Scope *s, Call *k) {
    uint32_t n = k->d->sig.opts.n, next = 0;
    bool *given = NEWN(c->arena, bool, n + 1);
    for (uint32_t i = 0; i < k->x->call.opts.n; i++) {
        const Arg *a = &k->x->call.opts.data[i];
        int at = a->name ? find_opt(k->d, a->name) : -1;
        if (a->name && at < 0) unknown_opt(c, k, a->name, a->loc);
        /* `f(x; eps)` is `f(x; eps = eps)` where f has an eps, else the next one in order. */
        if (!a->name && a->value->kind == A_NAME) at = find_opt(k->d, a->value->name);
        if (!a->name && at < 0) {
            while (next < n && given[next]) next++;
            if (next < n)
                at = (int)next;
            else {
                check_error(c, E0408, a->loc, "'%s' takes %u compile-time argument%s", k->d->name,
                            n, n == 1 ? "" : "s");
                note_signature(c, k);
            }
        }
        if (at >= 0) set_opt(c, s, k, at, a->value, a->loc, given);
    }
    for (uint32_t i = 0; i < k->x->call.args.n; i++) { /* f(a, eps = 1) is read as f(a; eps = 1) */
        const Arg *a = &k->x->call.args.data[i];
        if (!a->name || find_tensor(k->d, a->name) >= 0) continue;
        int at = find_opt(k->d, a->name);
        if (at < 0)
            unknown_opt(c, k, a->name, a->loc);
        else
            set_opt(c, s, k, at, a->value, a->loc, given);
    }
    bool ok = true;
    for (uint32_t i = 0; i < n; i++) {
        const Opt *o = &k->d->sig.opts.data[i];
        if (given[i]) continue;
        if (o->value)
            scope_set(c, k->in, o->name, val_bad(),
                      o->loc); /* a default: later, it may use sizes */
        else {
            check_error(c, E0409, k->x->loc, "'%s' needs its compile-time argument '%s'",
                        k->d->name, o->name);
            note_signature(c, k);
            diag_help(c->diag, "write %s(...; %s = ...)", k->d->name, o->name);
            ok = false;
        }
    }
    for (uint32_t i = 0; i < n; i++)
        if (!given[i] && k->d->sig.opts.data[i].value &&
            k->d->sig.opts.data[i].value->kind == A_NUM)
            scope_set(c, k->in, k->d->sig.opts.data[i].name,
                      elab(c, k->def, k->d->sig.opts.data[i].value), k->d->sig.opts.data[i].loc);
    return ok;
}

static void default_opts(Check *c, Call *k) {
    for (uint32_t i = 0; i < k->d->sig.opts.n; i++) {
        const Opt *o = &k->d->sig.opts.data[i];
        const Sym *y = scope_find(k->in, o->name);
        if (!o->value || !y || y->val.kind != V_BAD || o->value->kind == A_NUM) continue;
        scope_set(c, k->in, o->name, elab(c, k->in, o->value), o->loc);
    }
}

/* ---- tensor arguments --------------------------------------------------------------------------- */

static bool bind_args(Check *c, Scope *s, Call *k) {
    const Tensors *ts = &k->d->sig.tensors;
    uint32_t next = 0;
    bool ok = true;
    k->args = NEWN(c->arena, Val, ts->n + 1);
    k->given = NEWN(c->arena, bool, ts->n + 1);
    k->at = NEWN(c->arena, Loc, ts->n + 1);
    for (uint32_t i = 0; i < k->x->call.args.n; i++) {
        const Arg *a = &k->x->call.args.data[i];
        int at = a->name ? find_tensor(k->d, a->name) : (int)next++;
        if (a->name && at < 0) continue; /* a compile-time argument */
        if (at >= (int)ts->n || k->given[at]) {
            bool again = at < (int)ts->n && a->name;
            if (again)
                check_error(c, E0408, a->loc, "'%s' is given twice in this call of '%s'", a->name,
                            k->d->name);
            else
                check_error(c, E0408, a->loc, "'%s' takes %u argument%s, and here is one more",
                            k->d->name, ts->n, ts->n == 1 ? "" : "s");
            note_signature(c, k);
            if (k->d->sig.opts.n) diag_help(c->diag, "compile-time arguments stand after ';'");
            return false;
        }
        Val v = elab(c, s, a->value);
        if (v.kind == V_TENSOR && !v.loc.line) v.loc = a->loc;
        k->args[at] = val_cheap(c, v, a->loc);
        k->given[at] = true;
        k->at[at] = a->value->loc;
        ok = ok && k->args[at].kind != V_BAD;
    }
    for (uint32_t i = 0; i < ts->n; i++)
        if (!k->given[i] && !ts->data[i].value) {
            check_error(c, E0408, k->x->loc, "'%s' needs its argument '%s'", k->d->name,
                        ts->data[i].name);
            note_signature(c, k);
            ok = false;
        }
    return ok;
}

/* The extra leading axes of argument i; -1 after an error. */
static int extra_axes(Check *c, const Call *k, uint32_t i) {
    const Tensor *t = &k->d->sig.tensors.data[i];
    if (!t->dims.given || !k->given[i]) return 0;
    Val v = val_tensor(c, k->args[i]);
    if (v.rank >= t->dims.axes.n) return v.rank - (int)t->dims.axes.n;
    check_error(c, E0402, k->at[i], "'%s' takes %s as '%s', and this is %s", k->d->name,
                dims_say(c, &t->dims), t->name, val_shape(c, &v));
    note_shape(c, &v, "the argument");
    diag_note(c->diag, t->loc, "'%s' is declared here", t->name);
    diag_help(c->diag, "more axes in front are mapped over, fewer cannot be");
    return -1;
}

static void frames_differ(Check *c, const Call *k, uint32_t a, uint32_t b) {
    const Tensors *ts = &k->d->sig.tensors;
    const char *na = ts->data[a].name, *nb = ts->data[b].name;
    check_error(c, E0404, k->x->loc,
                "'%s' is mapped over the extra axes of '%s', %s, and those of '%s', %s, do not fit",
                k->d->name, na, val_shape(c, &k->args[a]), nb, val_shape(c, &k->args[b]));
    note_shape(c, &k->args[a], arena_printf(c->arena, "'%s'", na));
    note_shape(c, &k->args[b], arena_printf(c->arena, "'%s'", nb));
    diag_note(c->diag, k->d->loc, "'%s' takes %s as '%s' and %s as '%s'", k->d->name,
              dims_say(c, &ts->data[a].dims), na, dims_say(c, &ts->data[b].dims), nb);
    diag_help(c->diag, "the axes in front must be equal, or one list the tail of the other");
}

static bool make_frame(Check *c, Call *k) {
    Frame *f = &k->frame;
    f->time = -1;
    int longest = 0, who = 0;
    for (uint32_t i = 0; i < k->d->sig.tensors.n; i++) {
        int e = extra_axes(c, k, i);
        if (e < 0) return false;
        if (e > longest) longest = e, who = (int)i;
    }
    f->n = (uint32_t)longest;
    for (uint32_t j = 0; j < f->n; j++) f->size[j] = k->args[who].dims[j];
    for (uint32_t i = 0; i < k->d->sig.tensors.n; i++) {
        int e = extra_axes(c, k, i);
        for (int j = 0; j < e; j++)
            if (!same_size(c, k->args[i].dims[j], f->size[longest - e + j])) {
                frames_differ(c, k, (uint32_t)who, i);
                return false;
            }
    }
    return true;
}

static bool find_time(Check *c, Call *k) {
    Frame *f = &k->frame;
    if (!k->along) return true;
    for (uint32_t j = 0; j < f->n; j++) {
        if (!same_size(c, f->size[j], k->along)) continue;
        if (f->time >= 0) {
            check_error(
                c, E0713, k->x->loc,
                "two extra axes of the arguments of '%s' have the size %s: which is run along?",
                k->d->name, size_text(c, k->along));
            for (uint32_t i = 0; i < k->d->sig.tensors.n; i++)
                if (k->given[i] && k->args[i].rank > k->d->sig.tensors.data[i].dims.axes.n)
                    note_shape(c, &k->args[i],
                               arena_printf(c->arena, "'%s'", k->d->sig.tensors.data[i].name));
            diag_help(
                c->diag,
                "call it in a cell or function that takes one row: there only one such axis is left");
            return false;
        }
        f->time = (int)j;
    }
    if (f->time >= 0) return true;
    check_error(c, E0706, k->x->loc, "no argument of '%s' has an extra axis %s to run along",
                k->d->name, size_text(c, k->along));
    for (uint32_t i = 0; i < k->d->sig.tensors.n; i++)
        if (k->given[i] && k->args[i].kind == V_TENSOR)
            note_shape(c, &k->args[i],
                       arena_printf(c->arena, "'%s'", k->d->sig.tensors.data[i].name));
    note_signature(c, k);
    const Tensor *t = k->d->sig.tensors.n ? &k->d->sig.tensors.data[0] : NULL;
    if (t && t->dims.axes.n)
        diag_help(c->diag, "'%s' takes %s at a step: give it one axis more, of %s, in front",
                  t->name, dims_say(c, &t->dims), size_text(c, k->along));
    return false;
}

static Val arg_inside(Check *c, const Call *k, uint32_t i) {
    const Tensor *t = &k->d->sig.tensors.data[i];
    if (!t->dims.given) return k->args[i];
    const Frame *f = &k->frame;
    Val v = val_tensor(c, k->args[i]);
    uint32_t extra = v.rank - t->dims.axes.n;
    ExprId to[MAX_RANK];
    for (uint32_t j = 0; j < extra; j++) {
        uint32_t at = f->n - extra + j;
        to[j] = (int)at == f->time ? expr_lvl(c->g, f->level) : expr_idx(c->g, f->binder[at]);
    }
    v.e = expr_subst(c, v.e, v.ax, to, extra);
    v.rank = (uint8_t)(v.rank - extra);
    memmove(v.ax, v.ax + extra, sizeof(uint32_t) * v.rank);
    memmove(v.dims, v.dims + extra, sizeof(Size) * v.rank);
    return v;
}

/* ---- dimensions --------------------------------------------------------------------------------- */

static bool size_known(Check *c, Scope *s, const char *name) {
    Loc where;
    const Sym *y = scope_find(s, name);
    if (y)
        return y->kind == SYM_VALUE &&
               (y->val.kind == V_SIZE || y->val.kind == V_NUM || y->val.kind == V_BAD);
    (void)c;
    return name_visible(c, s, name, &where);
}

/* Where a size variable of the signature got its value: the argument before. */
static void note_size(Check *c, Scope *s, const Tensor *t, const Ast *x) {
    const Sym *y = NULL;
    if (x && x->kind == A_NAME)
        for (uint32_t i = 0; i < s->syms.n; i++)
            if (s->syms.data[i].name == x->name) y = &s->syms.data[i];
    if (!y || y->val.kind != V_SIZE || !y->val.loc.line) return;
    diag_note(c->diag, y->val.loc, "'%s' is %s because of this", x->name,
              size_text(c, y->val.size));
    (void)t;
}

static void dims_differ(Check *c, Scope *s, const Tensor *t, const Val *v, const char *what, Loc at,
                        uint32_t i, Size want) {
    int64_t a, b;
    const char *of = s->owner ? arena_printf(c->arena, " of '%s'", s->owner) : "";
    check_error(c, E0403, at,
                "%s '%s'%s is declared %s, and this is %s: axis %u should be %s and is %s", what,
                t->name, of, dims_say(c, &t->dims), val_shape(c, v), i + 1, size_say(c, want),
                size_say(c, v->dims[i]));
    note_shape(c, v, "this");
    note_size(c, s, t, t->dims.axes.data[i].size);
    diag_note(c->diag, t->loc, "'%s' is declared here", t->name);
    if (size_value(c->sizes, want, &a) && size_value(c->sizes, v->dims[i], &b) && a == b)
        diag_help(
            c->diag,
            "the numbers are equal, the formulas are not: with other constants they would differ");
    else if (t->dims.axes.n == 2 && v->rank == 2 && same_size(c, want, v->dims[1 - i]))
        diag_help(c->diag, "the axes stand the other way round: w[i,j] = W[j,i]");
}

bool dims_bind(Check *c, Scope *s, const Tensor *t, const Val *v, const char *what, Loc at) {
    for (uint32_t i = 0; i < t->dims.axes.n; i++) {
        Ast *x = t->dims.axes.data[i].size;
        if (!x || x->kind != A_NAME || size_known(c, s, x->name)) continue;
        Val d = val_size(v->dims[i]);
        d.loc = at;
        scope_set(c, s, x->name, d, x->loc);
    }
    for (uint32_t i = 0; i < t->dims.axes.n; i++) {
        Ast *x = t->dims.axes.data[i].size;
        Size want = x ? elab_size(c, s, x) : v->dims[i];
        if (!want) return false;
        if (same_size(c, want, v->dims[i])) continue;
        dims_differ(c, s, t, v, what, at, i, want);
        return false;
    }
    return true;
}

static bool arg_type(Check *c, const Call *k, uint32_t i, const Val *v) {
    const Tensor *t = &k->d->sig.tensors.data[i];
    if (t->type.kind != TY_INT && t->type.kind != TY_INDEX) return true;
    if (graph_type(c->g, v->e) == T_INT) return true;
    check_error(c, E0501, k->at[i], "'%s' of '%s' takes whole numbers, and this is real", t->name,
                k->d->name);
    if (v->loc.line) diag_note(c->diag, v->loc, "it comes from here");
    diag_note(c->diag, t->loc, "'%s' is declared here", t->name);
    help_ints(c);
    return false;
}

static bool bind_inside(Check *c, Call *k) {
    const Tensors *ts = &k->d->sig.tensors;
    bool ok = true;
    for (uint32_t i = 0; i < ts->n; i++) {
        if (!k->given[i]) continue;
        Val v = arg_inside(c, k, i);
        scope_set(c, k->in, ts->data[i].name, v, ts->data[i].loc);
        if (!ts->data[i].dims.given) continue;
        ok = dims_bind(c, k->in, &ts->data[i], &v, "argument", k->at[i]) && arg_type(c, k, i, &v) &&
             ok;
    }
    if (!ok) return false;
    c->calls[c->n_calls++] =
        (CallSite){k->x->loc, k->d->name}; /* what is wrong from here on is wrong inside */
    default_opts(c, k);
    for (uint32_t i = 0; i < ts->n; i++) { /* a default: a number, in the declared shape */
        const Tensor *t = &ts->data[i];
        if (k->given[i]) continue;
        Val v = val_tensor(c, elab(c, k->in, t->value));
        for (uint32_t j = 0; v.kind != V_BAD && v.rank == 0 && j < t->dims.axes.n; j++) {
            Size d = elab_size(c, k->in, t->dims.axes.data[j].size);
            if (!d) return false;
            v.dims[j] = d;
            v.ax[j] = binder_new(c, NULL, d, t->loc);
        }
        if (v.kind == V_BAD) return false;
        if (v.rank == 0) v.rank = (uint8_t)t->dims.axes.n;
        scope_set(c, k->in, t->name, v, t->loc);
    }
    return true;
}

/* ---- results ------------------------------------------------------------------------------------ */

uint32_t outs_collect(Check *c, Scope *s, const Decl *d, Val *out) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->outs.n; i++) {
        const Tensor *t = &d->outs.data[i];
        const Sym *y = NULL;
        for (uint32_t k = 0; k < s->syms.n; k++)
            if (s->syms.data[k].name == t->name && s->syms.data[k].kind == SYM_VALUE)
                y = &s->syms.data[k];
        if (!y) {
            check_error(c, E0208, t->loc, "the result '%s' never gets a value", t->name);
            diag_help(
                c->diag,
                "assign it at the level of the body: what is bound first in a loop ends there");
            return 0;
        }
        Val v = y->val;
        if (v.kind == V_BAD) return 0;
        if (v.kind == V_TENSOR) v = val_freshen(c, v);
        if (v.kind == V_TENSOR && !v.loc.line) v.loc = y->loc;
        if (t->dims.given) {
            v = val_tensor(c, v);
            if (v.rank != t->dims.axes.n) {
                check_error(c, E0405, y->loc, "the result '%s' is declared %s, and this is %s",
                            t->name, dims_say(c, &t->dims), val_shape(c, &v));
                diag_note(c->diag, t->loc, "'%s' is declared here", t->name);
                return 0;
            }
            if (!dims_bind(c, s, t, &v, "result", y->loc)) return 0;
        }
        out[n++] = v;
    }
    return n;
}

static uint32_t run_body(Check *c, Call *k, Val *out) {
    const Decl *d = k->d;
    if (d->has_body) {
        uint32_t errors = diag_errors(c->diag);
        elab_block(c, k->in, &d->body);
        if (diag_errors(c->diag) > errors || c->work > WORK_MAX) return 0;
        return outs_collect(c, k->in, d, out);
    }
    if (!d->expr) return 0;
    out[0] = d->has_binders ? elab_equation(c, k->in, &d->binders, d->expr, d->loc)
                            : elab(c, k->in, d->expr);
    return out[0].kind != V_BAD;
}

/* A result gets the axes of the call in front. */
static Val lift_result(Check *c, const Call *k, Val v) {
    const Frame *f = &k->frame;
    if (f->n == 0) return v;
    v = val_tensor(c, v);
    if (v.rank + f->n > MAX_RANK) {
        check_error(c, E0307, k->x->loc, "a tensor has at most %d axes", MAX_RANK);
        return val_bad();
    }
    memmove(v.ax + f->n, v.ax, sizeof(uint32_t) * v.rank);
    memmove(v.dims + f->n, v.dims, sizeof(Size) * v.rank);
    for (uint32_t j = 0; j < f->n; j++) {
        v.ax[j] = f->binder[j];
        v.dims[j] = f->size[j];
    }
    v.rank = (uint8_t)(v.rank + f->n);
    return val_freshen(c, v);
}

/* ---- a cell along an axis -------------------------------------------------------------------------- */

static ExprId mask_expr(Check *c, Scope *s, Ast *x, const Call *k, const char *word) {
    Val v = val_cheap(c, val_tensor(c, elab(c, s, x)), x->loc);
    if (v.kind == V_BAD) return 0;
    if (v.rank < 1 || !same_size(c, v.dims[v.rank - 1], k->along) || v.rank > 1) {
        check_error(c, E0712, x->loc, "'%s' takes one number a step, [%s], and this is %s", word,
                    size_text(c, k->along), val_shape(c, &v));
        note_shape(c, &v, "it");
        return 0;
    }
    ExprId t = expr_lvl(c->g, k->frame.level);
    ExprId e = expr_subst(c, v.e, v.ax, &t, 1);
    return graph_type(c->g, e) == T_INT ? e : expr_fn2(c->g, F_ne, e, expr_num(c->g, 0));
}

/* A state has the hidden axes of the calls around and those its arguments bring along. */
static void base_of(const Check *c, Cell *cell) {
    memcpy(cell->base, c->ambient, sizeof cell->base);
    cell->n_base = c->n_ambient;
}

/* A result of a step: its value in the body, and the axes it has besides its own. */
typedef struct Given {
    Value body;
    uint32_t hidden[MAX_RANK + 1], n_hidden;
    uint32_t at; /* where the axis of time goes among them */
} Given;

static bool step_result(Check *c, const Call *k, uint32_t i, Val *out, Given *q) {
    *out = val_tensor(c, *out);
    const uint32_t *f = expr_free(c, out->e);
    for (uint32_t j = 1; j <= f[0]; j++) {
        bool own = false;
        for (uint32_t a = 0; a < out->rank; a++) own = own || out->ax[a] == f[j];
        if (own || q->n_hidden == MAX_RANK) continue;
        q->hidden[q->n_hidden++] = f[j];
        bool after = false; /* frame axes behind the axis of time stay behind it */
        for (uint32_t a = (uint32_t)k->frame.time + 1; a < k->frame.n; a++)
            after = after || k->frame.binder[a] == f[j];
        if (!after) q->at = q->n_hidden;
    }
    if (q->n_hidden + out->rank >= MAX_RANK) {
        check_error(
            c, E0307, k->x->loc,
            "result %u has %u axes with those of the calls around it and the one it runs along, and %d is the most",
            i + 1, q->n_hidden + out->rank + 1, MAX_RANK);
        return false;
    }
    q->body = val_value(c, *out, q->hidden, q->n_hidden,
                        k->d->outs.n > i ? k->d->outs.data[i].name : NULL, k->x->loc);
    return q->body != 0;
}

static uint32_t run_along(Check *c, Scope *s, Call *k, Val *out) {
    Ast *x = k->x;
    Cell cell = {.outer_block = c->block, .outer_region = c->region, .outer_level = c->level};
    cell.root = &cell;
    cell.streams =
        c->stream_axis && !x->call.reverse && size_has_axis(c->sizes, k->along, c->stream_axis);
    k->frame.level = c->level;
    if (c->level + 1 >= MAX_LEVELS) {
        check_error(c, E0209, x->loc, "loops and runs are nested more than %d deep", MAX_LEVELS);
        return 0;
    }
    if (x->call.where) cell.where = mask_expr(c, s, x->call.where, k, "where");
    if (x->call.restart) cell.restart = mask_expr(c, s, x->call.restart, k, "restart");
    if ((x->call.where && !cell.where) || (x->call.restart && !cell.restart)) return 0;
    Place outer = place_now(c);
    Size length = size_ground(c->sizes, k->along);
    cell.recur = graph_recur_begin(c->g, length, name_of(c->names, size_text(c, k->along)),
                                   x->call.reverse, false, c->level, x->loc);
    graph_recur_class(c->g, cell.recur, NULL, 0);
    Recur *r = graph_node(c->g, cell.recur)->recur;
    c->lvl_len[c->level] = length;
    c->cls_now[c->level] = UINT32_MAX;
    place_set(c, (Place){&r->classes.data[0].body, c->level + 1, region_new(c)});
    k->in->cell = &cell;
    uint32_t n = 0;
    if (bind_inside(c, k)) {
        base_of(c, &cell);
        n = run_body(c, k, out);
    }
    Given *given = NEWN(c->arena, Given, n + 1);
    for (uint32_t i = 0, all = n; i < all; i++)
        if (!step_result(c, k, i, &out[i], &given[i])) n = 0;
    if (n) cell_finish(c, k->in, &cell);
    place_set(c, outer);
    if (!n) return 0;
    uint32_t t = k->frame.binder[k->frame.time] = binder_new(c, NULL, k->along, x->loc);
    for (uint32_t i = 0; i < n; i++) {
        Given *q = &given[i];
        Value v = graph_recur_out(c->g, cell.recur, 0, q->body, q->at);
        note_value(c, v);
        c->value_below.data[v] = out[i].below;
        memmove(&q->hidden[q->at + 1], &q->hidden[q->at], sizeof(uint32_t) * (q->n_hidden - q->at));
        q->hidden[q->at] = t;
        out[i] = val_read(c, v, q->hidden, q->n_hidden + 1, out[i].dims, out[i].rank, out[i].loc);
    }
    graph_recur_end(c->g, cell.recur, c->block);
    cell_export(c, &cell);
    return n;
}

/* ---- the call ----------------------------------------------------------------------------------- */

static bool check_kind(Check *c, Scope *s, const Call *k) {
    bool is_cell = k->d->kind == D_CELL;
    const Ast *x = k->x;
    if (!is_cell && (x->call.along || x->call.where || x->call.restart)) {
        check_error(c, E0711, x->loc, "'%s' is a %s; only a cell is run along an axis", k->d->name,
                    k->d->kind == D_MODEL ? "model" : "function");
        note_signature(c, k);
        diag_help(
            c->diag,
            "leave 'along' out: more axes in front are mapped over; or declare it: cell %s(...)",
            k->d->name);
        return false;
    }
    if (is_cell && !x->call.along && !s->cell) {
        check_error(c, E0705, x->loc, "'%s' is a cell: say along which axis it runs", k->d->name);
        note_signature(c, k);
        diag_help(c->diag, "write %s(...) along %s", k->d->name,
                  c->stream_axis ? c->stream_axis : "T");
        return false;
    }
    if (is_cell && !x->call.along && (x->call.where || x->call.restart)) {
        check_error(c, E0712, x->loc,
                    "'where' and 'restart' belong to the call that runs along the axis");
        diag_help(c->diag,
                  "this cell is a part of the step around it, and stops and restarts with it");
        return false;
    }
    return true;
}

/* What is made inside may depend on every index its arguments depend on. */
static void ambient_of_args(Check *c, const Call *k) {
    for (uint32_t i = 0; i < k->d->sig.tensors.n; i++) {
        const Val *v = &k->args[i];
        if (!k->given[i] || v->kind != V_TENSOR) continue;
        const uint32_t *f = expr_free(c, v->e);
        for (uint32_t j = 1; j <= f[0]; j++) {
            bool known = false;
            for (uint32_t a = 0; a < v->rank; a++) known = known || v->ax[a] == f[j];
            for (uint32_t a = 0; a < c->n_ambient; a++) known = known || c->ambient[a] == f[j];
            if (!known && c->n_ambient < MAX_RANK) c->ambient[c->n_ambient++] = f[j];
        }
    }
}

static uint32_t call_inside(Check *c, Scope *s, Call *k, Val *out) {
    Frame *f = &k->frame;
    if (!make_frame(c, k) || !find_time(c, k)) return 0;
    uint32_t ambient = c->n_ambient;
    for (uint32_t j = 0; j < f->n; j++) {
        if ((int)j == f->time) continue;
        f->binder[j] = binder_new(c, NULL, f->size[j], k->x->loc);
        if (c->n_ambient == MAX_RANK) {
            check_error(c, E0307, k->x->loc, "calls are mapped over more than %d axes here",
                        MAX_RANK);
            return 0;
        }
        c->ambient[c->n_ambient++] = f->binder[j];
    }
    uint32_t n = 0;
    ambient_of_args(c, k);
    if (k->along)
        n = run_along(c, s, k, out);
    else {
        Cell child = {.root = s->cell ? s->cell->root : NULL};
        k->in->cell = s->cell;
        if (k->d->kind == D_CELL) {
            child.recur = s->cell->root->recur;
            child.where = s->cell->root->where;
            child.restart = s->cell->root->restart;
            k->in->cell = &child;
        }
        if (bind_inside(c, k)) {
            if (k->d->kind == D_CELL) base_of(c, &child);
            n = run_body(c, k, out);
        }
        if (n && k->d->kind == D_CELL) cell_finish(c, k->in, &child);
    }
    c->n_ambient = ambient;
    for (uint32_t i = 0; i < n; i++) out[i] = lift_result(c, k, out[i]);
    return n;
}

uint32_t elab_call(Check *c, Scope *s, Ast *x, Val **out) {
    Call k = {.x = x};
    if (!find_callee(c, s, &k) || !check_kind(c, s, &k)) return 0;
    if (c->n_calls == MAX_DEPTH) {
        check_error(
            c, E0209, x->loc,
            "calls are nested more than %d deep: a recursion must end by a compile-time argument",
            MAX_DEPTH);
        return 0;
    }
    if (x->call.along && !(k.along = elab_size(c, s, x->call.along))) return 0;
    k.in = scope_new(c, k.def, k.def->module, NULL, k.d->name);
    k.in->may_delay = k.d->kind == D_CELL || k.def->may_delay;
    uint32_t path = c->n_path, calls = c->n_calls, n = 0;
    if (bind_opts(c, s, &k) && bind_args(c, s, &k)) {
        if (x->call.as) path_push(c, s, x->call.as); /* the arguments have paths of their own */
        uint32_t guards = c->n_guards;
        *out = NEWN(c->arena, Val, k.d->outs.n + 1);
        n = call_inside(c, s, &k, *out);
        c->n_guards = guards;
        c->n_calls = calls;
    }
    c->n_path = path;
    return n;
}
