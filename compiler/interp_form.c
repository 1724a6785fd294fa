/* Int expressions as affine forms with numbers for all sizes: konst + sum coef*atom. Arithmetic
 * wraps at 64 bits as the expressions do, so a form has the value of its expression always. */
#include "interp_impl.h"

#include <string.h>

static bool find_size(Known *k, Size s, int64_t *n) {
    Sizes *z = k->g->sizes;
    for (uint32_t i = 0; i < size_axes(z) && !k->error; i++)
        if (k->axes[i] == 0 && size_has_axis(z, s, size_axis_name(z, i)))
            k->error =
                arena_printf(k->g->arena, "the axis %s has no length yet", size_axis_name(z, i));
    if (!k->error && size_eval(z, s, k->axes, n)) return true;
    if (!k->error)
        k->error = arena_printf(k->g->arena, "the size %s is no whole number of 64 bits here",
                                size_str(z, s));
    *n = 1;
    return false;
}

bool known_size(Known *k, Size s, int64_t *n) {
    if (s < k->n_sizes && k->sizes[s].known) {
        *n = k->sizes[s].n;
        return true;
    }
    if (!find_size(k, s, n)) return false;
    if (!k->lasting || s >= 1u << 20) return true;
    if (s >= k->n_sizes) {
        uint32_t more = s + s / 2 + 64;
        KnownSize *grown = NEWN(k->lasting, KnownSize, more);
        if (k->n_sizes) memcpy(grown, k->sizes, k->n_sizes * sizeof *grown);
        k->sizes = grown;
        k->n_sizes = more;
    }
    k->sizes[s] = (KnownSize){*n, true};
    return true;
}

static int64_t wrap_add(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static int64_t wrap_mul(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }

void form_opaque(Form *f, ExprId e) {
    f->konst = 0;
    f->n = 1;
    f->t[0] = (FormTerm){e, 1};
}

bool form_is_opaque(const Form *f, ExprId e) {
    return f->n == 1 && f->konst == 0 && f->t[0].atom == e && f->t[0].coef == 1;
}

static void form_drop(Form *f, uint32_t at) {
    for (uint32_t i = at + 1; i < f->n; i++) f->t[i - 1] = f->t[i];
    f->n--;
}

static bool form_add_term(Form *f, ExprId atom, int64_t coef) {
    if (coef == 0) return true;
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->t[i].atom != atom) continue;
        f->t[i].coef = wrap_add(f->t[i].coef, coef);
        if (f->t[i].coef == 0) form_drop(f, i);
        return true;
    }
    if (f->n == FORM_MAX) return false;
    f->t[f->n++] = (FormTerm){atom, coef};
    return true;
}

bool form_add(Form *f, const Form *x, int64_t scale) {
    f->konst = wrap_add(f->konst, wrap_mul(x->konst, scale));
    for (uint32_t i = 0; i < x->n; i++)
        if (!form_add_term(f, x->t[i].atom, wrap_mul(x->t[i].coef, scale))) return false;
    return true;
}

/* ---- what has been found out already ---------------------------------------------------------- */

void known_begin(Known *k, Arena *scratch) {
    k->scratch = scratch;
    k->n_found = 0;
    k->cap_found = 64;
    k->found = NEWN(scratch, Found, k->cap_found);
}

static Found *found_slot(Found *table, uint32_t cap, ExprId e) {
    uint32_t at = (e * 2654435761u >> 7) & (cap - 1);
    while (table[at].e && table[at].e != e) at = (at + 1) & (cap - 1);
    return &table[at];
}

/* The entry of e, new ones empty. Valid until the next call. */
static Found *found(Known *k, ExprId e) {
    if (k->n_found * 2 >= k->cap_found) {
        uint32_t cap = k->cap_found * 2;
        Found *table = NEWN(k->scratch, Found, cap);
        for (uint32_t i = 0; i < k->cap_found; i++)
            if (k->found[i].e) *found_slot(table, cap, k->found[i].e) = k->found[i];
        k->found = table;
        k->cap_found = cap;
    }
    Found *f = found_slot(k->found, k->cap_found, e);
    if (!f->e) k->n_found++;
    f->e = e;
    return f;
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static bool atom_bounds(Known *k, ExprId e, int64_t *lo, int64_t *hi);

static bool expr_range(Known *k, ExprId e, int64_t *lo, int64_t *hi) {
    if (k->depth >= MAX_DEPTH) return false;
    Form f;
    form_of(k, e, &f);
    return form_bounds(k, &f, lo, hi);
}

static bool divisor(Known *k, ExprId e, int64_t *c) {
    const Expr *x = graph_expr(k->g, e);
    if (x->op == X_INT)
        *c = x->i;
    else if (x->op != X_SIZE || !known_size(k, x->size, c))
        return false;
    return *c > 0;
}

static bool fn_bounds(Known *k, ExprId e, int64_t *lo, int64_t *hi) {
    Fn fn = (Fn)graph_expr(k->g, e)->fn;
    int64_t c, lo2, hi2;
    switch (fn) {
    case F_idiv:
        if (!divisor(k, expr_arg(k->g, e, 1), &c) || !expr_range(k, expr_arg(k->g, e, 0), lo, hi))
            return false;
        *lo = floor_div(*lo, c);
        *hi = floor_div(*hi, c);
        return true;
    case F_imod:
        if (!divisor(k, expr_arg(k->g, e, 1), &c)) return false;
        *lo = 0;
        *hi = c - 1;
        return true;
    case F_max:
    case F_min:
        if (!expr_range(k, expr_arg(k->g, e, 0), lo, hi) ||
            !expr_range(k, expr_arg(k->g, e, 1), &lo2, &hi2))
            return false;
        *lo = (fn == F_max) == (*lo > lo2) ? *lo : lo2;
        *hi = (fn == F_max) == (*hi > hi2) ? *hi : hi2;
        return true;
    default:
        *lo = 0;
        *hi = 1;
        return (fn >= F_eq && fn <= F_ge) || fn == F_and || fn == F_or || fn == F_not;
    }
}

static bool counter_bounds(int64_t n, int64_t *lo, int64_t *hi) {
    *lo = 0;
    *hi = n - 1;
    return n > 0;
}

static bool find_bounds(Known *k, ExprId e, int64_t *lo, int64_t *hi) {
    const Expr *x = graph_expr(k->g, e);
    int64_t lo2, hi2;
    switch ((ExprOp)x->op) {
    case X_IDX: return counter_bounds((uint64_t)x->i < k->n_idx ? k->size[x->i] : 0, lo, hi);
    case X_POS: return counter_bounds((uint64_t)x->i < MAX_LEVELS ? k->pos_len[x->i] : 0, lo, hi);
    case X_LVL: return counter_bounds((uint64_t)x->i < MAX_LEVELS ? k->level_len[x->i] : 0, lo, hi);
    case X_READ: return counter_bounds(k->below ? k->below[x->value] : 0, lo, hi);
    case X_FN: {
        k->depth++;
        bool ok = fn_bounds(k, e, lo, hi);
        k->depth--;
        return ok;
    }
    case X_SELECT: {
        k->depth++;
        bool ok = expr_range(k, expr_arg(k->g, e, 1), lo, hi) &&
                  expr_range(k, expr_arg(k->g, e, 2), &lo2, &hi2);
        k->depth--;
        if (!ok) return false;
        if (lo2 < *lo) *lo = lo2;
        if (hi2 > *hi) *hi = hi2;
        return true;
    }
    default: return false;
    }
}

static bool atom_bounds(Known *k, ExprId e, int64_t *lo, int64_t *hi) {
    const Found *f = found(k, e);
    if (!f->tried) {
        int64_t a = 0, b = 0;
        bool bounded = find_bounds(k, e, &a, &b);
        Found *now = found(k, e);
        now->tried = true;
        now->bounded = bounded;
        now->lo = a;
        now->hi = b;
        f = now;
    }
    *lo = f->lo;
    *hi = f->hi;
    return f->bounded;
}

bool form_bounds(Known *k, const Form *f, int64_t *lo, int64_t *hi) {
    const __int128 far = (__int128)1 << 62;
    __int128 low = f->konst, high = f->konst;
    for (uint32_t i = 0; i < f->n; i++) {
        int64_t a, b;
        if (!atom_bounds(k, f->t[i].atom, &a, &b)) return false;
        __int128 c = f->t[i].coef;
        low += c > 0 ? c * a : c * b;
        high += c > 0 ? c * b : c * a;
        if (low < -far || high > far) return false;
    }
    *lo = (int64_t)low;
    *hi = (int64_t)high;
    return low >= -far && high <= far;
}

/* ---- // and % -------------------------------------------------------------------------------- */

/* f = c*q + r with 0 <= r < c by the bounds of r. Forms that come near 64 bits are left alone. */
static bool form_split(Known *k, const Form *f, int64_t c, Form *q, Form *r) {
    int64_t lo, hi;
    if (!form_bounds(k, f, &lo, &hi)) return false;
    q->n = r->n = 0;
    q->konst = floor_div(f->konst, c);
    r->konst = floor_mod(f->konst, c);
    for (uint32_t i = 0; i < f->n; i++) {
        bool whole = f->t[i].coef % c == 0;
        form_add_term(whole ? q : r, f->t[i].atom, whole ? f->t[i].coef / c : f->t[i].coef);
    }
    if (!form_bounds(k, r, &lo, &hi) || floor_div(lo, c) != floor_div(hi, c)) return false;
    q->konst += floor_div(lo, c);
    r->konst -= floor_div(lo, c) * c;
    return true;
}

static bool form_divided(Known *k, ExprId e, Form *f) {
    int64_t c;
    if (!divisor(k, expr_arg(k->g, e, 1), &c)) return false;
    Form x, q, r;
    form_of(k, expr_arg(k->g, e, 0), &x);
    if (!form_split(k, &x, c, &q, &r)) return false;
    *f = graph_expr(k->g, e)->fn == F_idiv ? q : r;
    return true;
}

static bool form_product(Known *k, ExprId e, Form *f) {
    Form a, b;
    form_of(k, expr_arg(k->g, e, 0), &a);
    form_of(k, expr_arg(k->g, e, 1), &b);
    if (a.n && b.n) return false;
    f->konst = 0;
    f->n = 0;
    return a.n ? form_add(f, &a, b.konst) : form_add(f, &b, a.konst);
}

static bool form_fn(Known *k, ExprId e, Form *f) {
    Fn fn = (Fn)graph_expr(k->g, e)->fn;
    Form x;
    switch (fn) {
    case F_add:
    case F_sub:
        form_of(k, expr_arg(k->g, e, 0), f);
        form_of(k, expr_arg(k->g, e, 1), &x);
        return form_add(f, &x, fn == F_add ? 1 : -1);
    case F_neg:
        form_of(k, expr_arg(k->g, e, 0), &x);
        f->konst = 0;
        f->n = 0;
        return form_add(f, &x, -1);
    case F_mul: return form_product(k, e, f);
    case F_idiv:
    case F_imod: return form_divided(k, e, f);
    default: return false;
    }
}

static void find_form(Known *k, ExprId e, Form *f) {
    k->depth++;
    bool ok = k->depth < MAX_DEPTH && form_fn(k, e, f);
    k->depth--;
    if (!ok) form_opaque(f, e);
}

/* Forms of functions are kept: a chain of quotients asks for the same ones again and again. */
static void form_of_fn(Known *k, ExprId e, Form *f) {
    const Found *seen = found(k, e);
    if (!seen->form) {
        find_form(k, e, f);
        Form *copy = arena_alloc(k->scratch, offsetof(Form, t) + f->n * sizeof f->t[0]);
        copy->konst = f->konst;
        copy->n = f->n;
        memcpy(copy->t, f->t, f->n * sizeof f->t[0]);
        found(k, e)->form = copy;
        return;
    }
    f->konst = seen->form->konst;
    f->n = seen->form->n;
    memcpy(f->t, seen->form->t, f->n * sizeof f->t[0]);
}

void form_of(Known *k, ExprId e, Form *f) {
    const Expr *x = graph_expr(k->g, e);
    f->konst = 0;
    f->n = 0;
    switch ((ExprOp)x->op) {
    case X_INT: f->konst = x->i; return;
    case X_SIZE: known_size(k, x->size, &f->konst); return;
    case X_IDX:
        if ((uint64_t)x->i < k->n_idx && k->size[x->i] == 1) return;
        break;
    case X_FN:
        if (x->type != T_INT) break;
        form_of_fn(k, e, f);
        return;
    default: break;
    }
    form_opaque(f, e);
}

/* ---- joining --------------------------------------------------------------------------------- */

static bool is_fn(Known *k, ExprId e, Fn fn) {
    const Expr *x = graph_expr(k->g, e);
    return x->op == X_FN && x->fn == fn;
}

static bool join_one(Known *k, Form *f) {
    for (uint32_t i = 0; i < f->n; i++) {
        if (!is_fn(k, f->t[i].atom, F_idiv)) continue;
        for (uint32_t j = 0; j < f->n; j++) {
            ExprId d = f->t[i].atom, m = f->t[j].atom;
            int64_t c;
            if (!is_fn(k, m, F_imod) || expr_arg(k->g, d, 0) != expr_arg(k->g, m, 0) ||
                expr_arg(k->g, d, 1) != expr_arg(k->g, m, 1) ||
                !divisor(k, expr_arg(k->g, d, 1), &c) || f->t[i].coef != wrap_mul(f->t[j].coef, c))
                continue;
            Form joined = *f, x;
            form_drop(&joined, i > j ? i : j);
            form_drop(&joined, i > j ? j : i);
            form_of(k, expr_arg(k->g, m, 0), &x);
            if (!form_add(&joined, &x, f->t[j].coef)) continue;
            *f = joined;
            return true;
        }
    }
    return false;
}

void form_join(Known *k, Form *f) {
    while (join_one(k, f)) {
    }
}
