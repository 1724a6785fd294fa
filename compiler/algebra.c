/* Algebra on real expressions beyond what the builders fold. Each rule gives the same float64 for
 * every argument (the sign of a NaN aside); sums and products are never regrouped.
 *
 *   x + -y = x - y     -x + y = y - x     x - -y = x + y      (the same to IEEE arithmetic)
 *   -x * -y = x*y      -x / -y = x/y      x * -1 = -x         (signs multiply)
 *   x / c = x * (1/c)                                          (c a power of two, 1/c normal)
 *   x^2 = x*x          x^0 = 1                                 (pow is correctly rounded for these)
 *   max(x, x) = x      min(x, x) = x
 *   stop(stop x) = stop x
 *   sqrt of a literal >= 0                                     (correctly rounded everywhere)
 *   select(not c, a, b) = select(c, b, a) */
#include "simplify.h"

#include <math.h>

static bool is_negated(Graph *g, ExprId e, ExprId *of) {
    const Expr *x = graph_expr(g, e);
    if (x->op != X_FN || x->fn != F_neg) return false;
    *of = expr_arg(g, e, 0);
    return true;
}

/* c = 2^k with 1/c a normal number */
static bool power_of_two(Graph *g, ExprId e, double *inverse) {
    const Expr *x = graph_expr(g, e);
    double v = x->op == X_NUM ? x->num : x->op == X_INT ? (double)x->i : 0;
    int k;
    if (!(v > 0) || isinf(v) || frexp(v, &k) != 0.5 || k < -1000 || k > 1000) return false;
    *inverse = 1 / v;
    return true;
}

static ExprId binary(Graph *g, Fn f, ExprId a, ExprId b) {
    ExprId x = 0, y = 0;
    double inverse;
    bool nx = is_negated(g, a, &x), ny = is_negated(g, b, &y);
    switch (f) {
    case F_add:
        if (ny) return expr_fn2(g, F_sub, a, y);
        return nx ? expr_fn2(g, F_sub, b, x) : 0;
    case F_sub: return ny ? expr_fn2(g, F_add, a, y) : 0;
    case F_mul:
        if (nx && ny) return expr_fn2(g, F_mul, x, y);
        if (is_literal(g, b, -1)) return expr_fn1(g, F_neg, expr_real(g, a));
        return is_literal(g, a, -1) ? expr_fn1(g, F_neg, expr_real(g, b)) : 0;
    case F_div:
        if (nx && ny) return expr_fn2(g, F_div, x, y);
        return power_of_two(g, b, &inverse) ? expr_fn2(g, F_mul, a, expr_num(g, inverse)) : 0;
    case F_pow:
        if (is_literal(g, b, 0)) return expr_num(g, 1);
        return is_literal(g, b, 2) ? expr_fn2(g, F_mul, expr_real(g, a), expr_real(g, a)) : 0;
    case F_max:
    case F_min: return a == b ? a : 0;
    default: return 0;
    }
}

static ExprId unary(Graph *g, Fn f, ExprId a) {
    const Expr *x = graph_expr(g, a);
    if (f == F_stop && x->op == X_FN && x->fn == F_stop) return a;
    if (f == F_sqrt && x->op == X_NUM && x->num >= 0) return expr_num(g, sqrt(x->num));
    return 0;
}

ExprId simplify_algebra(Graph *g, ExprId e) {
    for (int again = 0; again < 4; again++) {
        const Expr x = *graph_expr(g, e);
        ExprId r = 0;
        if (x.op == X_SELECT) {
            const Expr c = *graph_expr(g, expr_arg(g, e, 0));
            if (c.op == X_FN && c.fn == F_not)
                r = expr_select(g, expr_arg(g, expr_arg(g, e, 0), 0), expr_arg(g, e, 2),
                                expr_arg(g, e, 1));
        } else if (x.op == X_FN && graph_type(g, e) == T_REAL) {
            if (x.n_args == 2)
                r = binary(g, (Fn)x.fn, expr_arg(g, e, 0), expr_arg(g, e, 1));
            else if (x.n_args == 1)
                r = unary(g, (Fn)x.fn, expr_arg(g, e, 0));
        }
        if (!r) return e;
        e = r;
    }
    return e;
}
