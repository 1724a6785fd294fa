/* The affine view of int expressions: canonical sums, division by sizes, bounds, simplification.
 *
 * Requires: int arithmetic that does not overflow 64 bits where the graph is run; sizes of axes >= 1.
 * Cost: each builder looks at a bounded number of operands; expr_simplify_int visits each shared part
 * once and asks for bounds with a bounded effort. What exceeds a bound is left as it is. */
#include "expr.h"

#include <string.h>

enum {
    EFFORT = 128
}; /* operands looked at for one affine form; a canonical one has less than 40 */

/* ---- affine forms -------------------------------------------------------------------------- */

static Size num(Graph *g, int64_t n) { return size_num(g->sizes, n); }

static bool is_zero(Graph *g, Size s) {
    int64_t n;
    return size_is_num(g->sizes, s, &n) && n == 0;
}

static bool affine_constant(Graph *g, Affine *a, Size s) {
    a->konst = size_add(g->sizes, a->konst, s);
    return a->konst != 0;
}

/* a += coef*atom */
static bool affine_term(Graph *g, Affine *a, ExprId atom, Size coef) {
    if (!coef) return false;
    uint32_t at = 0;
    while (at < a->n && a->atom[at] < atom) at++;
    if (at < a->n && a->atom[at] == atom) {
        Size c = size_add(g->sizes, a->coef[at], coef);
        if (!c) return false;
        a->coef[at] = c;
        if (!is_zero(g, c)) return true;
        a->n--;
        for (; at < a->n; at++) {
            a->atom[at] = a->atom[at + 1];
            a->coef[at] = a->coef[at + 1];
        }
        return true;
    }
    if (is_zero(g, coef)) return true;
    if (a->n == AFFINE_MAX) return false;
    for (uint32_t i = a->n++; i > at; i--) {
        a->atom[i] = a->atom[i - 1];
        a->coef[i] = a->coef[i - 1];
    }
    a->atom[at] = atom;
    a->coef[at] = coef;
    return true;
}

/* a += scale*b */
static bool affine_add(Graph *g, Affine *a, const Affine *b, Size scale) {
    if (!affine_constant(g, a, size_mul(g->sizes, scale, b->konst))) return false;
    for (uint32_t i = 0; i < b->n; i++)
        if (!affine_term(g, a, b->atom[i], size_mul(g->sizes, scale, b->coef[i]))) return false;
    return true;
}

static Affine affine_zero(Graph *g) {
    Affine a;
    memset(&a, 0, sizeof a);
    a.konst = num(g, 0);
    return a;
}

typedef struct Collect {
    Graph *g;
    bool opaque; /* a product of two that vary counts as an atom */
    int effort;
} Collect;

static bool collect(Collect *c, ExprId e, Size scale, Affine *out);

static bool collect_product(Collect *c, ExprId e, Size scale, Affine *out) {
    Graph *g = c->g;
    for (uint32_t k = 0; k < 2; k++) {
        ExprId by = expr_arg(g, e, k), of = expr_arg(g, e, 1 - k);
        Affine f = affine_zero(g);
        if (!collect(c, by, num(g, 1), &f)) return false;
        if (f.n == 0) return collect(c, of, size_mul(g->sizes, scale, f.konst), out);
    }
    return c->opaque && affine_term(g, out, e, scale);
}

/* out += scale*e */
static bool collect(Collect *c, ExprId e, Size scale, Affine *out) {
    Graph *g = c->g;
    if (!scale || c->effort-- <= 0) return false;
    const Expr x = *graph_expr(g, e);
    if (x.type != T_INT) return false;
    if (x.op == X_INT) return affine_constant(g, out, size_mul(g->sizes, scale, num(g, x.i)));
    if (x.op == X_SIZE) return affine_constant(g, out, size_mul(g->sizes, scale, x.size));
    if (x.op != X_FN) return affine_term(g, out, e, scale);
    Size minus = size_mul(g->sizes, scale, num(g, -1));
    switch (x.fn) {
    case F_neg: return collect(c, expr_arg(g, e, 0), minus, out);
    case F_add:
    case F_sub:
        return collect(c, expr_arg(g, e, 0), scale, out) &&
               collect(c, expr_arg(g, e, 1), x.fn == F_add ? scale : minus, out);
    case F_mul: return collect_product(c, e, scale, out);
    default: return affine_term(g, out, e, scale);
    }
}

static bool collect_into(Graph *g, ExprId e, int64_t scale, bool opaque, Affine *out) {
    Collect c = {g, opaque, EFFORT};
    return collect(&c, e, num(g, scale), out);
}

static bool affine_of(Graph *g, ExprId e, bool opaque, Affine *out) {
    *out = affine_zero(g);
    return collect_into(g, e, 1, opaque, out);
}

bool expr_affine(Graph *g, ExprId e, Affine *out) { return affine_of(g, e, false, out); }

Size expr_const_size(Graph *g, ExprId e) {
    Affine a;
    return affine_of(g, e, true, &a) && a.n == 0 ? a.konst : 0;
}

static ExprId raw2(Graph *g, Fn f, ExprId a, ExprId b) {
    ExprId x[2] = {a, b};
    return expr_raw(g, X_FN, f, 0, x, 2);
}

/* coef*atom, and whether it is to be subtracted: literal coefficients below 0 are. */
static ExprId term_expr(Graph *g, ExprId atom, Size coef, bool *minus) {
    int64_t n;
    *minus = size_is_num(g->sizes, coef, &n) && n < 0;
    if (*minus) coef = num(g, -n);
    if (size_is_num(g->sizes, coef, &n) && n == 1) return atom;
    return raw2(g, F_mul, atom, expr_size(g, coef));
}

/* Terms in the order of their structure; first those added, the constant among them, then those
 * subtracted. -1*atom alone is a negation. */
ExprId expr_from_affine(Graph *g, const Affine *a) {
    uint32_t order[AFFINE_MAX];
    for (uint32_t i = 0; i < a->n; i++) {
        uint32_t at = i;
        for (; at > 0 && expr_compare(g, a->atom[i], a->atom[order[at - 1]]) < 0; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    int64_t n = 0;
    bool is_num = size_is_num(g->sizes, a->konst, &n);
    ExprId sum = 0;
    for (int subtract = 0; subtract < 2; subtract++) {
        for (uint32_t i = 0; i < a->n; i++) {
            bool minus;
            ExprId t = term_expr(g, a->atom[order[i]], a->coef[order[i]], &minus);
            if (minus != (subtract == 1)) continue;
            if (sum)
                sum = raw2(g, minus ? F_sub : F_add, sum, t);
            else
                sum = minus ? expr_raw(g, X_FN, F_neg, 0, &t, 1) : t;
        }
        if (subtract == 0 && (!is_num || n > 0)) {
            ExprId k = expr_size(g, a->konst);
            sum = sum ? raw2(g, F_add, sum, k) : k;
        }
        if (subtract == 1 && is_num && n < 0)
            sum = sum ? raw2(g, F_sub, sum, expr_int(g, -n)) : expr_int(g, n);
    }
    return sum ? sum : expr_int(g, 0);
}

/* ---- builders ------------------------------------------------------------------------------ */

static bool is_fn(Graph *g, ExprId e, Fn f) {
    const Expr *x = graph_expr(g, e);
    return x->op == X_FN && x->fn == f;
}

/* c*N*(x//N) + c*(x%N) is c*x; x//N and x%N come back together when views are composed. */
static void join_division(Graph *g, Affine *a) {
    for (uint32_t i = 0; i < a->n; i++) {
        if (!is_fn(g, a->atom[i], F_imod)) continue;
        ExprId x = expr_arg(g, a->atom[i], 0), by = expr_arg(g, a->atom[i], 1);
        Size n = expr_const_size(g, by), want = n ? size_mul(g->sizes, a->coef[i], n) : 0;
        for (uint32_t k = 0; want && k < a->n; k++) {
            if (a->coef[k] != want || !is_fn(g, a->atom[k], F_idiv)) continue;
            if (expr_arg(g, a->atom[k], 0) != x || expr_arg(g, a->atom[k], 1) != by) continue;
            Affine b = affine_zero(g), rest = *a;
            Size c = a->coef[i], zero = num(g, 0);
            if (!affine_term(g, &rest, a->atom[i], size_sub(g->sizes, zero, c)) ||
                !affine_term(g, &rest, a->atom[k], size_sub(g->sizes, zero, want)) ||
                !collect_into(g, x, 1, true, &b) || !affine_add(g, &rest, &b, c))
                return;
            *a = rest;
            i = UINT32_MAX; /* from the start again: the form has become smaller */
            break;
        }
    }
}

static ExprId from_joined(Graph *g, Affine *a) {
    join_division(g, a);
    return expr_from_affine(g, a);
}

ExprId affine_sum(Graph *g, Fn f, ExprId a, ExprId b) {
    Affine s;
    if (!affine_of(g, a, true, &s) || !collect_into(g, b, f == F_add ? 1 : -1, true, &s)) return 0;
    return from_joined(g, &s);
}

ExprId affine_negative(Graph *g, ExprId a) {
    Affine s = affine_zero(g);
    return collect_into(g, a, -1, true, &s) ? from_joined(g, &s) : 0;
}

ExprId affine_product(Graph *g, ExprId a, ExprId b) {
    Affine x, y;
    bool ok = affine_of(g, a, true, &x) && affine_of(g, b, true, &y);
    if (ok && (x.n == 0 || y.n == 0)) {
        Affine s = affine_zero(g);
        ok = x.n == 0 ? affine_add(g, &s, &y, x.konst) : affine_add(g, &s, &x, y.konst);
        if (ok) return from_joined(g, &s);
    }
    return expr_compare(g, a, b) <= 0 ? 0 : raw2(g, F_mul, b, a);
}

/* s/n when that is exact as a formula. */
static Size exact_quotient(Graph *g, Size s, Size n) {
    Size q = size_floordiv(g->sizes, s, n);
    return q && size_mul(g->sizes, q, n) == s ? q : 0;
}

/* a = n*quot + rest as forms; every whole multiple of n goes into quot. */
static bool split_multiples(Graph *g, const Affine *a, Size n, Affine *quot, Affine *rest) {
    *quot = *rest = affine_zero(g);
    Size q = size_floordiv(g->sizes, a->konst, n), r = q ? size_mod(g->sizes, a->konst, n) : 0;
    int64_t v;
    if (!q || !r || !size_is_num(g->sizes, r, &v)) q = num(g, 0), r = a->konst;
    quot->konst = q;
    rest->konst = r;
    for (uint32_t i = 0; i < a->n; i++) {
        q = exact_quotient(g, a->coef[i], n);
        if (!(q ? affine_term(g, quot, a->atom[i], q)
                : affine_term(g, rest, a->atom[i], a->coef[i])))
            return false;
    }
    return true;
}

/* (x//m + k)//n = (x + k*m)//(m*n); (x % m) % n = x % n when n divides m. */
static ExprId divide_nested(Graph *g, Fn f, const Affine *rest, Size n) {
    if (rest->n != 1 || !is_fn(g, rest->atom[0], f)) return 0;
    int64_t one;
    if (!size_is_num(g->sizes, rest->coef[0], &one) || one != 1) return 0;
    ExprId x = expr_arg(g, rest->atom[0], 0);
    Size m = expr_const_size(g, expr_arg(g, rest->atom[0], 1));
    if (!m || !size_positive(g->sizes, m)) return 0;
    if (f == F_imod) {
        ExprId y[2] = {x, expr_size(g, n)};
        return is_zero(g, rest->konst) && exact_quotient(g, m, n) ? expr_fn(g, F_imod, y) : 0;
    }
    Size by = size_mul(g->sizes, m, n), add = size_mul(g->sizes, rest->konst, m);
    if (!by || !add) return 0;
    return expr_fn2(g, F_idiv, expr_fn2(g, F_add, x, expr_size(g, add)), expr_size(g, by));
}

ExprId affine_divide(Graph *g, Fn f, ExprId a, ExprId b) {
    Affine x, quot, rest;
    Size n = expr_const_size(g, b);
    if (!n || !size_positive(g->sizes, n) || !affine_of(g, a, true, &x)) return 0;
    if (!split_multiples(g, &x, n, &quot, &rest)) return 0;
    if (rest.n == 0) {
        Size whole = size_floordiv(g->sizes, rest.konst, n),
             left = size_mod(g->sizes, rest.konst, n);
        if (!whole || !left) return 0;
        if (f == F_imod) return expr_size(g, left);
        return affine_constant(g, &quot, whole) ? from_joined(g, &quot) : 0;
    }
    ExprId part = divide_nested(g, f, &rest, n);
    if (!part) part = raw2(g, f, expr_from_affine(g, &rest), expr_size(g, n));
    if (f == F_imod || (quot.n == 0 && is_zero(g, quot.konst))) return part;
    return expr_fn2(g, F_add, expr_from_affine(g, &quot), part);
}

/* Is `d f 0` true (1), false (0) or open (-1) for lo <= d <= hi? A bound of 0 is unknown. */
static int decide(Graph *g, Fn f, Size lo, Size hi) {
    Sizes *s = g->sizes;
    bool above = lo && size_positive(s, lo),
         below = hi && size_positive(s, size_sub(s, num(g, 0), hi));
    bool not_below = above || (lo && size_nonneg(s, lo));
    bool not_above = below || (hi && size_nonneg(s, size_sub(s, num(g, 0), hi)));
    bool zero = lo && hi && is_zero(g, lo) && is_zero(g, hi);
    switch (f) {
    case F_eq: return zero ? 1 : above || below ? 0 : -1;
    case F_ne: return zero ? 0 : above || below ? 1 : -1;
    case F_lt: return below ? 1 : not_below ? 0 : -1;
    case F_ge: return not_below ? 1 : below ? 0 : -1;
    case F_gt: return above ? 1 : not_above ? 0 : -1;
    case F_le: return not_above ? 1 : above ? 0 : -1;
    default: return -1;
    }
}

int affine_compare(Graph *g, Fn f, ExprId a, ExprId b) {
    Affine d;
    if (!affine_of(g, a, true, &d) || !collect_into(g, b, -1, true, &d) || d.n) return -1;
    return decide(g, f, d.konst, d.konst);
}

/* ---- bounds -------------------------------------------------------------------------------- */

typedef struct Bounds {
    Graph *g;
    const Ranges *r;
    int effort; /* expressions still to be looked at */
} Bounds;

typedef struct Interval {
    Size lo, hi; /* 0: unknown */
} Interval;

static Interval bounds_of(Bounds *b, ExprId e);

static bool at_least(Graph *g, Size a, Size b) {
    return a && b && size_nonneg(g->sizes, size_sub(g->sizes, a, b));
}

/* The larger (smaller) of two where one is provably so; else `other`. */
static Size larger(Graph *g, Size a, Size b, Size other) {
    return at_least(g, a, b) ? a : at_least(g, b, a) ? b : other;
}

static Size smaller(Graph *g, Size a, Size b, Size other) {
    return at_least(g, a, b) ? b : at_least(g, b, a) ? a : other;
}

static Interval up_to(Graph *g, Size n) {
    return (Interval){num(g, 0), n ? size_sub(g->sizes, n, num(g, 1)) : 0};
}

static Interval affine_bounds(Bounds *b, const Affine *a) {
    Sizes *s = b->g->sizes;
    Interval sum = {a->konst, a->konst};
    for (uint32_t i = 0; i < a->n; i++) {
        Interval x = bounds_of(b, a->atom[i]);
        if (size_nonneg(s, size_sub(s, num(b->g, 0), a->coef[i]))) {
            Size lo = x.lo;
            x.lo = x.hi;
            x.hi = lo;
        } else if (!size_nonneg(s, a->coef[i])) {
            return (Interval){0, 0};
        }
        sum.lo = size_add(s, sum.lo, size_mul(s, a->coef[i], x.lo));
        sum.hi = size_add(s, sum.hi, size_mul(s, a->coef[i], x.hi));
    }
    return sum;
}

static Interval divide_bounds(Bounds *b, Fn f, ExprId e) {
    Graph *g = b->g;
    Interval x = bounds_of(b, expr_arg(g, e, 0)), none = {0, 0};
    Size n = expr_const_size(g, expr_arg(g, e, 1));
    if (!n || !size_positive(g->sizes, n)) return none;
    if (f == F_idiv)
        return (Interval){x.lo ? size_floordiv(g->sizes, x.lo, n) : 0,
                          x.hi ? size_floordiv(g->sizes, x.hi, n) : 0};
    Interval r = up_to(g, n);
    if (!at_least(g, x.lo, num(g, 0))) return r;
    if (at_least(g, r.hi, x.hi)) return x;
    return r;
}

static Interval pick_bounds(Bounds *b, Fn f, Interval x, Interval y) {
    Graph *g = b->g;
    if (f == F_max)
        return (Interval){larger(g, x.lo, y.lo, x.lo ? x.lo : y.lo), larger(g, x.hi, y.hi, 0)};
    return (Interval){smaller(g, x.lo, y.lo, 0), smaller(g, x.hi, y.hi, x.hi ? x.hi : y.hi)};
}

static Interval product_bounds(Bounds *b, Interval x, Interval y) {
    Size zero = num(b->g, 0);
    if (!at_least(b->g, x.lo, zero) || !at_least(b->g, y.lo, zero)) return (Interval){0, 0};
    return (Interval){size_mul(b->g->sizes, x.lo, y.lo), size_mul(b->g->sizes, x.hi, y.hi)};
}

static Interval fn_bounds(Bounds *b, ExprId e) {
    Graph *g = b->g;
    const Expr x = *graph_expr(g, e);
    Interval none = {0, 0}, p = none, q = none, zero = {num(g, 0), num(g, 0)};
    switch (x.fn) {
    case F_idiv:
    case F_imod: return divide_bounds(b, (Fn)x.fn, e);
    case F_max:
    case F_min:
    case F_mul:
        p = bounds_of(b, expr_arg(g, e, 0));
        q = bounds_of(b, expr_arg(g, e, 1));
        return x.fn == F_mul ? product_bounds(b, p, q) : pick_bounds(b, (Fn)x.fn, p, q);
    case F_relu: return pick_bounds(b, F_max, bounds_of(b, expr_arg(g, e, 0)), zero);
    case F_abs:
        p = bounds_of(b, expr_arg(g, e, 0));
        return (Interval){zero.lo, at_least(g, p.lo, zero.lo) ? p.hi : 0};
    case F_round:
    case F_floor:
    case F_stop: return bounds_of(b, expr_arg(g, e, 0));
    default: return fn_info[x.fn].type == 'i' ? up_to(g, num(g, 2)) : none; /* a truth value */
    }
}

static Interval atom_bounds(Bounds *b, ExprId e) {
    Graph *g = b->g;
    const Expr x = *graph_expr(g, e);
    Interval none = {0, 0};
    switch ((ExprOp)x.op) {
    case X_IDX: return x.i < b->r->n_idx && b->r->idx[x.i] ? up_to(g, b->r->idx[x.i]) : none;
    case X_LVL:
    case X_POS: return x.i < b->r->n_level && b->r->level[x.i] ? up_to(g, b->r->level[x.i]) : none;
    case X_FN: return fn_bounds(b, e);
    case X_SELECT: {
        Interval p = bounds_of(b, expr_arg(g, e, 1)), q = bounds_of(b, expr_arg(g, e, 2));
        return (Interval){smaller(g, p.lo, q.lo, 0), larger(g, p.hi, q.hi, 0)};
    }
    case X_READ: {
        const Node *n = graph_node(g, graph_value(g, x.value)->node);
        if (n->kind != N_INPUT) return none;
        int64_t below = g->inputs.data[n->index].below; /* what the input promises */
        return below > 0 ? up_to(g, num(g, below)) : none;
    }
    default: return none;
    }
}

static Interval bounds_of(Bounds *b, ExprId e) {
    Interval none = {0, 0};
    if (b->effort-- <= 0 || graph_type(b->g, e) != T_INT) return none;
    Affine a;
    if (!affine_of(b->g, e, true, &a)) return none;
    if (a.n == 1 && a.atom[0] == e) return atom_bounds(b, e);
    return affine_bounds(b, &a);
}

void expr_bounds(Graph *g, ExprId e, const Ranges *r, Size *lo, Size *hi) {
    Bounds b = {g, r, EFFORT};
    Interval x = bounds_of(&b, e);
    *lo = x.lo;
    *hi = x.hi;
}

/* ---- simplification ------------------------------------------------------------------------ */

static Interval form_bounds(Graph *g, const Affine *a, const Ranges *r) {
    Bounds b = {g, r, EFFORT};
    return affine_bounds(&b, a);
}

/* floor(rest/n) if it is one number over all of rest's range. */
static Size constant_quotient(Graph *g, const Affine *rest, Size n, const Ranges *r) {
    Interval x = form_bounds(g, rest, r);
    Sizes *s = g->sizes;
    if (!x.lo || !x.hi) return 0;
    Size k = size_floordiv(s, x.lo, n);
    Size last = size_sub(s, size_mul(s, n, size_add(s, k, num(g, 1))), num(g, 1)); /* n*k + n - 1 */
    return at_least(g, last, x.hi) ? k : 0;
}

static ExprId simplify_division(Graph *g, Fn f, ExprId a, Size n, const Ranges *r, int depth);

/* (c*h + l) // (c*m) = h//m and (c*h + l) % (c*m) = c*(h % m) + l when 0 <= l < c. */
static ExprId divide_by_factor(Graph *g, Fn f, const Affine *x, Size n, const Ranges *r,
                               int depth) {
    for (uint32_t i = 0; i < x->n; i++) {
        Size c = x->coef[i], m = size_positive(g->sizes, c) ? exact_quotient(g, n, c) : 0;
        Affine high, low;
        if (!m || c == num(g, 1) || !size_positive(g->sizes, m)) continue;
        if (!split_multiples(g, x, c, &high, &low)) continue;
        Size k = constant_quotient(g, &low, c, r);
        if (!k || !affine_constant(g, &high, k)) continue;
        ExprId part = simplify_division(g, f, from_joined(g, &high), m, r, depth);
        if (f == F_idiv) return part;
        Size back = size_mul(g->sizes, k, c);
        if (!back || !affine_constant(g, &low, size_sub(g->sizes, num(g, 0), back))) continue;
        part = expr_fn2(g, F_mul, part, expr_size(g, c));
        return expr_fn2(g, F_add, part, from_joined(g, &low));
    }
    return 0;
}

static ExprId simplify_division(Graph *g, Fn f, ExprId a, Size n, const Ranges *r, int depth) {
    Affine x, quot, rest;
    ExprId plain = expr_fn2(g, f, a, expr_size(g, n));
    if (depth <= 0 || !affine_of(g, a, true, &x) || !split_multiples(g, &x, n, &quot, &rest))
        return plain;
    if (rest.n == 0) return plain;
    Size k = constant_quotient(g, &rest, n, r);
    if (k && f == F_idiv && affine_constant(g, &quot, k)) return from_joined(g, &quot);
    if (k && f == F_imod) {
        Size back = size_mul(g->sizes, k, n);
        if (back && affine_constant(g, &rest, size_sub(g->sizes, num(g, 0), back)))
            return from_joined(g, &rest);
        return plain;
    }
    ExprId part = divide_by_factor(g, f, &rest, n, r, depth - 1);
    if (!part) return plain;
    return f == F_idiv ? expr_fn2(g, F_add, from_joined(g, &quot), part) : part;
}

/* a - b, or false. */
static bool difference(Graph *g, ExprId a, ExprId b, Affine *d) {
    return affine_of(g, a, true, d) && collect_into(g, b, -1, true, d);
}

static ExprId simplify_fn(Graph *g, Fn f, const ExprId *x, const Ranges *r) {
    Affine d;
    if (f == F_idiv || f == F_imod) {
        Size n = expr_const_size(g, x[1]);
        return n && size_positive(g->sizes, n) ? simplify_division(g, f, x[0], n, r, 4)
                                               : expr_fn(g, f, x);
    }
    if (f == F_relu || f == F_abs) {
        if (!affine_of(g, x[0], true, &d)) return expr_fn(g, f, x);
        Interval b = form_bounds(g, &d, r);
        if (decide(g, F_ge, b.lo, b.hi) == 1) return x[0];
        if (decide(g, F_le, b.lo, b.hi) == 1)
            return f == F_relu ? expr_int(g, 0) : expr_fn1(g, F_neg, x[0]);
        return expr_fn(g, f, x);
    }
    if (!difference(g, x[0], x[1], &d)) return expr_fn(g, f, x);
    Interval b = form_bounds(g, &d, r);
    int known = decide(g, f == F_max || f == F_min ? F_ge : f, b.lo, b.hi);
    if (f != F_max && f != F_min) return known < 0 ? expr_fn(g, f, x) : expr_int(g, known);
    if (known < 0 && decide(g, F_le, b.lo, b.hi) == 1) known = 0;
    return known < 0 ? expr_fn(g, f, x) : (f == F_max) == (known == 1) ? x[0] : x[1];
}

static ExprId simplify_node(ExprMap *m, ExprId e, const ExprId *args) {
    Graph *g = m->src;
    const Expr x = *graph_expr(g, e);
    if (x.op == X_SELECT) return expr_select(g, args[0], args[1], args[2]);
    if (x.op != X_FN) return 0;
    for (uint32_t k = 0; k < x.n_args; k++)
        if (graph_type(g, args[k]) != T_INT) return expr_fn(g, (Fn)x.fn, args);
    switch (x.fn) {
    case F_idiv:
    case F_imod:
    case F_eq:
    case F_ne:
    case F_lt:
    case F_le:
    case F_gt:
    case F_ge:
    case F_max:
    case F_min:
    case F_relu:
    case F_abs: return simplify_fn(g, (Fn)x.fn, args, m->user);
    default: return expr_fn(g, (Fn)x.fn, args);
    }
}

ExprId expr_simplify_int(Graph *g, ExprId e, const Ranges *r) {
    if (graph_expr(g, e)->n_args == 0) return e;
    Arena *scratch = arena_new();
    Ranges ranges = *r;
    ExprMap m = {.src = g, .dst = g, .node = simplify_node, .user = &ranges};
    expr_map_begin(&m, scratch);
    e = expr_map(&m, e);
    arena_free(scratch);
    return e;
}
