/* Operators and functions of the table: on numbers known when compiling, on sizes, on whole tensors. */
#include "check_internal.h"

#include <math.h>
#include <string.h>

bool same_size(Check *c, Size a, Size b) {
    (void)c;
    return a && a == b;
}

/* ---- shapes meet --------------------------------------------------------------------------- */

/* v with the axes ax[]: its own become the last ones of those. Ranks were compared before. */
Val val_broadcast(Check *c, Val v, const uint32_t *ax, const Size *dims, uint32_t rank) {
    ExprId to[MAX_RANK];
    for (uint32_t i = 0; i < v.rank; i++) to[i] = expr_idx(c->g, ax[rank - v.rank + i]);
    v.e = expr_subst(c, v.e, v.ax, to, v.rank);
    v.rank = (uint8_t)rank;
    for (uint32_t i = 0; i < rank; i++) {
        v.ax[i] = ax[i];
        v.dims[i] = dims[i];
    }
    return v;
}

static bool dims_agree(Check *c, const Val *a, const Val *b) { /* rank of a >= rank of b */
    for (uint32_t i = 0; i < b->rank; i++)
        if (!same_size(c, a->dims[a->rank - b->rank + i], b->dims[i])) return false;
    return true;
}

void note_shapes(Check *c, const char *what, const Val *a, const Val *b) {
    bool call = (what[0] >= 'a' && what[0] <= 'z') && strcmp(what, "and") && strcmp(what, "or");
    bool cond = strcmp(what, "select?") == 0;
    note_shape(c, a, cond ? "the value" : call ? "the first value" : "the left side");
    note_shape(c, b, cond ? "the condition" : call ? "the second value" : "the right side");
}

bool meet(Check *c, const char *what, Val *a, Val *b, Loc loc) {
    const Val *high = a->rank >= b->rank ? a : b, *low = a->rank >= b->rank ? b : a;
    if (!dims_agree(c, high, low)) {
        bool cond = strcmp(what, "select?") == 0; /* the values and the condition of a select */
        if (cond)
            check_error(c, E0401, loc, "shapes differ in 'select': %s, and the condition is %s",
                        val_shape(c, a), val_shape(c, b));
        else
            check_error(c, E0401, loc, "shapes differ in '%s': %s and %s", what, val_shape(c, a),
                        val_shape(c, b));
        note_shapes(c, what, a, b);
        const char *mend = meet_say(c, what, a, b);
        if (mend)
            diag_help(c->diag, "say with subscripts which axes meet: %s", mend);
        else
            diag_help(
                c->diag,
                "whole tensors meet when their shapes are equal, or one lacks leading axes of the other");
        return false;
    }
    uint32_t ax[MAX_RANK];
    Size dims[MAX_RANK];
    uint32_t rank = high->rank;
    memcpy(ax, high->ax, sizeof ax);
    memcpy(dims, high->dims, sizeof dims);
    Loc from = high->loc;
    *a = val_broadcast(c, *a, ax, dims, rank);
    *b = val_broadcast(c, *b, ax, dims, rank);
    a->loc = b->loc = from;
    return true;
}

/* ---- numbers known when compiling ------------------------------------------------------------ */

static double floor_mod(double a, double b) { return a - b * floor(a / b); }

double fold_number(Fn f, const double *x) {
    switch (f) {
    case F_neg: return -x[0];
    case F_add: return x[0] + x[1];
    case F_sub: return x[0] - x[1];
    case F_mul: return x[0] * x[1];
    case F_div: return x[0] / x[1];
    case F_pow: return pow(x[0], x[1]);
    case F_idiv: return floor(x[0] / x[1]);
    case F_imod: return floor_mod(x[0], x[1]);
    case F_eq: return x[0] == x[1];
    case F_ne: return x[0] != x[1];
    case F_lt: return x[0] < x[1];
    case F_le: return x[0] <= x[1];
    case F_gt: return x[0] > x[1];
    case F_ge: return x[0] >= x[1];
    case F_and: return x[0] != 0 && x[1] != 0;
    case F_or: return x[0] != 0 || x[1] != 0;
    case F_not: return x[0] == 0;
    case F_max: return x[0] >= x[1] ? x[0] : x[1];
    case F_min: return x[0] <= x[1] ? x[0] : x[1];
    case F_exp: return exp(x[0]);
    case F_log: return log(x[0]);
    case F_tanh: return tanh(x[0]);
    case F_sigmoid: return 1 / (1 + exp(-x[0]));
    case F_softplus: return x[0] > 30 ? x[0] + log1p(exp(-x[0])) : log1p(exp(x[0]));
    case F_relu: return x[0] > 0 ? x[0] : 0;
    case F_erf: return erf(x[0]);
    case F_sin: return sin(x[0]);
    case F_cos: return cos(x[0]);
    case F_sqrt: return sqrt(x[0]);
    case F_abs: return fabs(x[0]);
    case F_round: return nearbyint(x[0]);
    case F_floor: return floor(x[0]);
    case F_real:
    case F_stop: return x[0];
    case F_NONE:
    case F_COUNT: break;
    }
    return NAN;
}

static bool whole(const Val *v) { return v->kind == V_SIZE || (v->kind == V_NUM && v->is_int); }

static ExprId const_expr(Check *c, const Val *v) { return val_tensor(c, *v).e; }

/* + - * // % of whole numbers, one of them a formula: a formula. */
static Size size_op(Check *c, Fn f, const Val *a, const Val *b) {
    Size x = a->kind == V_SIZE ? a->size : size_num(c->sizes, (int64_t)a->num);
    Size y = b->kind == V_SIZE ? b->size : size_num(c->sizes, (int64_t)b->num);
    switch (f) {
    case F_add: return size_add(c->sizes, x, y);
    case F_sub: return size_sub(c->sizes, x, y);
    case F_mul: return size_mul(c->sizes, x, y);
    case F_idiv: return size_floordiv(c->sizes, x, y);
    case F_imod: return size_mod(c->sizes, x, y);
    default: return 0;
    }
}

static bool makes_size(Fn f) {
    return f == F_add || f == F_sub || f == F_mul || f == F_idiv || f == F_imod;
}

/* "D = 64", "2.5": a number known when compiling, for people. */
static const char *const_say(Check *c, const Val *v) {
    return v->kind == V_SIZE ? size_say(c, v->size) : arena_printf(c->arena, "%.10g", v->num);
}

static void whole_wanted(Check *c, Fn f, Loc loc) {
    check_error(c, E0501, loc, "'%s' takes whole numbers, and this is real", fn_info[f].spelling);
    diag_help(c->diag, f == F_idiv ? "'/' is the quotient of reals, floor(x/n) its whole part"
                                   : "for reals it is x - n*floor(x/n)");
}

/* "1/0 is no finite number: L - 1 = 0" */
static void not_finite(Check *c, Fn f, const Val *a, const double *x, uint32_t n, Loc loc) {
    Text t = text_new(c->arena);
    if (n > 1 && !fn_is_call(f))
        text_printf(&t, "%.10g%s%.10g", x[0], fn_info[f].spelling, x[1]);
    else if (n > 1)
        text_printf(&t, "%s(%.10g, %.10g)", fn_info[f].name, x[0], x[1]);
    else
        text_printf(&t, "%s(%.10g)", fn_info[f].name, x[0]);
    text_add(&t, " is no finite number");
    for (uint32_t i = 0, shown = 0; i < n; i++) {
        int64_t k;
        if (a[i].kind == V_SIZE && !size_is_num(c->sizes, a[i].size, &k))
            text_printf(&t, "%s%s", shown++ ? ", " : ": ", size_say(c, a[i].size));
    }
    check_error(c, E0306, loc, "%s", t.data);
    if (f == F_div) diag_help(c->diag, "keep the divisor away from 0: x/max(1, L - 1)");
}

static bool fold_sizes(Check *c, Fn f, const Val *a, uint32_t n, Loc loc, Val *out) {
    if (n == 1 && f == F_neg && a[0].kind == V_SIZE) {
        Val zero = val_num(0, true);
        *out = val_size(size_op(c, F_sub, &zero, &a[0]));
        return true;
    }
    if (n != 2 || !makes_size(f) || (a[0].kind != V_SIZE && a[1].kind != V_SIZE)) return false;
    if (!whole(&a[0]) || !whole(&a[1]) || a[0].sym || a[1].sym) return false;
    Size s = size_op(c, f, &a[0], &a[1]);
    double zero = 1;
    if (f == F_idiv || f == F_imod) val_number(c, &a[1], &zero);
    if (zero == 0)
        check_error(c, E0306, loc, "division by zero: '%s' by %s", fn_info[f].spelling,
                    const_say(c, &a[1]));
    else if (!s || !size_ground(c->sizes, s)) {
        if (s)
            check_error(c, E0306, loc, "%s is beyond 2^53, and too large for a size",
                        size_text(c, s));
        else
            check_error(c, E0306, loc, "this is beyond 2^53, or has too many terms for a size");
        s = 0;
    }
    *out = val_size(s);
    out->loc = loc;
    return true;
}

static Val fold_consts(Check *c, Fn f, const Val *a, uint32_t n, Loc loc) {
    double x[2] = {0, 0};
    bool ints = true;
    ExprId sym = 0, args[2];
    for (uint32_t i = 0; i < n; i++) {
        val_number(c, &a[i], &x[i]);
        ints = ints && whole(&a[i]);
        if (a[i].kind == V_NUM && a[i].sym) sym = 1;
    }
    char type = fn_info[f].type;
    if (type == 'z' && !ints) return whole_wanted(c, f, loc), val_bad();
    Val r = val_num(fold_number(f, x), type == 'i' || type == 'z' || (type == 's' && ints));
    if (r.is_int && fabs(r.num) > MOST_WHOLE) r.is_int = false;
    if (!isfinite(r.num)) {
        not_finite(c, f, a, x, n, loc);
        return val_bad();
    }
    r.loc = loc;
    if (sym) {
        for (uint32_t i = 0; i < n; i++) args[i] = const_expr(c, &a[i]);
        r.sym = expr_fn(c->g, f, args);
    }
    return r;
}

/* ---- functions of the table ------------------------------------------------------------------- */

static bool check_ints(Check *c, Fn f, const Val *a, uint32_t n, Loc loc) {
    if (fn_info[f].type != 'z') return true;
    for (uint32_t i = 0; i < n; i++)
        if (graph_type(c->g, a[i].e) != T_INT) {
            whole_wanted(c, f, loc);
            return false;
        }
    return true;
}

Val apply_fn(Check *c, Fn f, const Val *args, uint32_t n, Loc loc) {
    Val a[2], out;
    bool consts = true;
    for (uint32_t i = 0; i < n; i++) {
        a[i] = args[i];
        if (a[i].kind == V_BAD) return val_bad();
        consts = consts && val_is_const(c, &a[i]);
    }
    if (fold_sizes(c, f, a, n, loc, &out)) return out;
    if (consts) return fold_consts(c, f, a, n, loc);
    for (uint32_t i = 0; i < n; i++) a[i] = val_tensor(c, a[i]);
    const char *what = fn_is_call(f) ? fn_info[f].name : fn_info[f].spelling;
    if (n == 2 && !meet(c, what, &a[0], &a[1], loc)) return val_bad();
    if (!check_ints(c, f, a, n, loc)) return val_bad();
    Val r = a[0];
    ExprId e[2] = {a[0].e, n == 2 ? a[1].e : 0};
    r.e = expr_fn(c->g, f, e);
    r.below = f == F_stop ? a[0].below : 0;
    if (!r.loc.line) r.loc = loc;
    return r;
}
