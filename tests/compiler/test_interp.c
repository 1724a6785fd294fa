/* Equations: the interpreter against a naive evaluator, on chosen and on random ones. */
#include "interp_world.h"

/* ---- the naive evaluator ----------------------------------------------------------------------- */

typedef struct Naive {
    World *w;
    int64_t idx[2 * MAX_RANK], lvl[MAX_LEVELS];
    bool f32;
} Naive;

typedef union Num {
    double r;
    int64_t i;
} Num;

static Num naive(Naive *n, ExprId e);

static double as_real(Naive *n, ExprId e) {
    Num x = naive(n, e);
    if (graph_type(n->w->g, e) == T_REAL) return x.r;
    return n->f32 ? (double)(float)x.i : (double)x.i;
}

static int64_t floored(int64_t a, int64_t b) { return (int64_t)floor((double)a / (double)b); }

static int64_t naive_int(Fn f, int64_t x, int64_t y) {
    switch (f) {
    case F_neg: return -x;
    case F_add: return x + y;
    case F_sub: return x - y;
    case F_mul: return x * y;
    case F_idiv: return floored(x, y);
    case F_imod: return x - y * floored(x, y);
    case F_eq: return x == y;
    case F_ne: return x != y;
    case F_lt: return x < y;
    case F_le: return x <= y;
    case F_gt: return x > y;
    case F_ge: return x >= y;
    case F_and: return x && y;
    case F_or: return x || y;
    case F_not: return !x;
    case F_max: return x >= y ? x : y;
    case F_min: return x <= y ? x : y;
    case F_relu: return x > 0 ? x : 0;
    case F_abs: return x < 0 ? -x : x;
    default: return x;
    }
}

static double naive_real(Fn f, double x, double y) {
    switch (f) {
    case F_neg: return -x;
    case F_add: return x + y;
    case F_sub: return x - y;
    case F_mul: return x * y;
    case F_div: return x / y;
    case F_pow: return pow(x, y);
    case F_max: return fmax(x, y);
    case F_min: return fmin(x, y);
    case F_exp: return exp(x);
    case F_log: return log(x);
    case F_tanh: return tanh(x);
    case F_sigmoid: return 1 / (1 + exp(-x));
    case F_softplus: return log1p(exp(x));
    case F_relu: return x > 0 ? x : 0;
    case F_erf: return erf(x);
    case F_sin: return sin(x);
    case F_cos: return cos(x);
    case F_sqrt: return sqrt(x);
    case F_abs: return fabs(x);
    case F_round: return nearbyint(x);
    case F_floor: return floor(x);
    default: return x;
    }
}

static int64_t naive_compare(Fn f, double x, double y) {
    switch (f) {
    case F_eq: return x == y;
    case F_ne: return x != y;
    case F_lt: return x < y;
    case F_le: return x <= y;
    case F_gt: return x > y;
    case F_ge: return x >= y;
    case F_and: return x != 0 && y != 0;
    case F_or: return x != 0 || y != 0;
    default: return x == 0;
    }
}

static Num naive_fn(Naive *n, ExprId e) {
    Graph *g = n->w->g;
    const Expr x = *graph_expr(g, e);
    ExprId a = expr_arg(g, e, 0), b = x.n_args > 1 ? expr_arg(g, e, 1) : a;
    bool ints = graph_type(g, a) == T_INT && graph_type(g, b) == T_INT && fn_info[x.fn].type != 'r';
    Num r;
    if (ints)
        r.i = naive_int((Fn)x.fn, naive(n, a).i, naive(n, b).i);
    else if (x.type == T_INT)
        r.i = naive_compare((Fn)x.fn, as_real(n, a), as_real(n, b));
    else
        r.r = naive_real((Fn)x.fn, as_real(n, a), as_real(n, b));
    if (n->f32 && x.type == T_REAL) r.r = (double)(float)r.r;
    return r;
}

static Num naive_read(Naive *n, ExprId e) {
    Graph *g = n->w->g;
    const Expr x = *graph_expr(g, e);
    const int64_t *dims = n->w->dims[x.value];
    int64_t at = 0;
    for (uint32_t i = 0; i < x.n_args; i++) {
        int64_t s = naive(n, expr_arg(g, e, i)).i;
        CHECK(s >= 0 && s < dims[i], "the test itself reads outside");
        at = at * dims[i] + s;
    }
    Num r;
    memcpy(&r, n->w->data[x.value] + at, sizeof r);
    if (n->f32 && x.type == T_REAL) r.r = (double)(float)r.r;
    return r;
}

static Num naive(Naive *n, ExprId e) {
    Graph *g = n->w->g;
    const Expr x = *graph_expr(g, e);
    Num r = {.i = 0};
    switch ((ExprOp)x.op) {
    case X_NUM: r.r = n->f32 ? (double)(float)x.num : x.num; return r;
    case X_INT: r.i = x.i; return r;
    case X_SIZE: CHECK(!interp_size(n->w->in, x.size, &r.i), "size"); return r;
    case X_IDX: r.i = n->idx[x.i]; return r;
    case X_LVL:
    case X_POS: r.i = n->lvl[x.i]; return r;
    case X_READ: return naive_read(n, e);
    case X_FN: return naive_fn(n, e);
    case X_SELECT: {
        ExprId arm = expr_arg(g, e, naive(n, expr_arg(g, e, 0)).i ? 1 : 2);
        if (x.type == T_REAL)
            r.r = as_real(n, arm);
        else
            r = naive(n, arm);
        return r;
    }
    default: return r;
    }
}

static void step(Naive *n, Num *acc, Num x, Red red, bool ints, int64_t place, int64_t *best,
                 Num *top) {
    bool first = place == 0;
    if (red == RED_SUM && ints)
        acc->i += x.i;
    else if (red == RED_SUM)
        acc->r += x.r;
    else if (red == RED_PROD && ints)
        acc->i *= x.i;
    else if (red == RED_PROD)
        acc->r *= x.r;
    else {
        bool more = red == RED_MIN ? (ints ? x.i < top->i : x.r < top->r)
                                   : (ints ? x.i > top->i : x.r > top->r);
        if (first || more) {
            *top = x;
            *best = place;
        }
        *acc = *top;
        if (red == RED_ARGMAX) acc->i = *best;
    }
    if (n->f32 && !ints && red != RED_ARGMAX) acc->r = (double)(float)acc->r;
}

static bool advance(int64_t *idx, const int64_t *size, uint32_t from, uint32_t to) {
    for (uint32_t i = to; i-- > from;) {
        if (++idx[i] < size[i]) return true;
        idx[i] = 0;
    }
    return false;
}

static bool close_to(double a, double b, double tolerance) {
    if (a == b || (a != a && b != b)) return true;
    return fabs(a - b) <= tolerance * (1 + fabs(a) + fabs(b));
}

/* The equation that defines v: every item, or one in so many if that were too much. */
static void same_as_naive(World *w, Value v, const Array *got, double tolerance, const char *what) {
    Graph *g = w->g;
    const Node *node = graph_node(g, graph_value(g, v)->node);
    Naive n = {.w = w, .f32 = w->options.rounding == ROUND_F32};
    int64_t size[2 * MAX_RANK], at = 0;
    uint32_t rank = graph_value(g, v)->rank, all = rank + node->n_extra;
    dims_of(w, v, size);
    for (uint32_t i = 0; i < node->n_extra; i++)
        interp_size(w->in, node->extra[i], &size[rank + i]);
    int64_t points = 1;
    for (uint32_t i = 0; i < all; i++) points *= size[i];
    int64_t every = points / 60000 + 1;
    bool ints = graph_type(g, node->expr) == T_INT, out_ints = graph_value(g, v)->type == T_INT;
    do {
        if (at++ % every) continue;
        Num acc = {.i = 0}, top = {.i = 0};
        int64_t best = 0, place = 0;
        if (node->red == RED_PROD && ints) acc.i = 1;
        if (node->red == RED_PROD && !ints) acc.r = 1;
        do {
            Num x = naive(&n, node->expr);
            if (node->red == RED_NONE)
                acc = x;
            else
                step(&n, &acc, x, (Red)node->red, ints, place++, &best, &top);
        } while (advance(n.idx, size, rank, all));
        bool same =
            out_ints ? acc.i == got->ints[at - 1] : close_to(acc.r, got->real[at - 1], tolerance);
        CHECK(same, "%s: item %lld is %.17g (%lld), not %.17g (%lld)", what, (long long)at - 1,
              got->real[at - 1], (long long)got->ints[at - 1], acc.r, (long long)acc.i);
        if (!same) return;
    } while (advance(n.idx, size, 0, rank));
}

/* Defines y[dims] = red e, runs it, and compares it with the naive evaluator. */
static void compare(World *w, uint32_t rank, uint32_t n_extra, const int64_t *dims, Red red,
                    ExprId e, double tolerance, const char *what) {
    Value y = eq(w, rank, n_extra, dims, red, e);
    output(w, y);
    start(w, 0);
    if (run(w, y)) same_as_naive(w, y, interp_get(w->in, y), tolerance, what);
    world_free(w);
}

/* ---- equations --------------------------------------------------------------------------------- */

static void test_functions(void) {
    for (int f = 1; f < F_COUNT; f++) {
        for (int mix = 0; mix < 4; mix++) {
            World w = world_new();
            Value x = input(&w, "x", mix & 1 ? T_INT : T_REAL, 2, (int64_t[]){3, 150});
            Value z = input(&w, "z", mix & 2 ? T_INT : T_REAL, 2, (int64_t[]){3, 150});
            ExprId a = R(&w, x, I(&w, 0), I(&w, 1)), b = R(&w, z, I(&w, 0), I(&w, 1));
            if (fn_info[f].type == 'z' && mix != 3) {
                world_free(&w);
                continue;
            }
            if (fn_info[f].type == 'z') b = F(&w, F_add, F(&w, F_mul, b, b), N(&w, 1));
            if (f == F_log || f == F_sqrt || f == F_pow)
                a = F(&w, F_add, F(&w, F_mul, a, a), N(&w, 1));
            ExprId e = fn_info[f].arity == 1 ? expr_fn1(w.g, (Fn)f, a) : F(&w, (Fn)f, a, b);
            compare(&w, 2, 0, (int64_t[]){3, 150}, RED_NONE, e, 1e-15, fn_info[f].name);
        }
    }
}

static void test_ties_and_nan(void) {
    World w = world_new();
    Value x = input(&w, "x", T_REAL, 2, (int64_t[]){4, 3});
    double data[] = {1, 5, 5, NAN, 2, 3, -INFINITY, -INFINITY, -INFINITY, 1, NAN, NAN};
    w.data[x] = data;
    ExprId e = R(&w, x, I(&w, 0), I(&w, 1));
    Value top = eq(&w, 1, 1, (int64_t[]){4, 3}, RED_ARGMAX, e),
          most = eq(&w, 1, 1, (int64_t[]){4, 3}, RED_MAX, e);
    ExprId turned = R(&w, x, I(&w, 1), I(&w, 0));
    Value across = eq(&w, 1, 1, (int64_t[]){3, 4}, RED_ARGMAX, turned);
    output(&w, top);
    output(&w, most);
    output(&w, across);
    start(&w, 0);
    const double *m = run(&w, most);
    const int64_t *t = interp_get(w.in, top)->ints, *c = interp_get(w.in, across)->ints;
    CHECK(t[0] == 1 && t[1] == 0 && t[2] == 0 && t[3] == 1, "%d %d %d %d", (int)t[0], (int)t[1],
          (int)t[2], (int)t[3]);
    CHECK(m[0] == 5 && m[1] != m[1] && m[2] == -INFINITY && m[3] != m[3], "max");
    CHECK(c[0] == 1 && c[1] == 3 && c[2] == 3, "%d %d %d", (int)c[0], (int)c[1], (int)c[2]);
    world_free(&w);
}

static void test_reductions(void) {
    static const int64_t shapes[][4] = {
        {1, 1, 1, 1}, {5, 3, 7, 2}, {2, 200, 3, 5}, {200, 2, 3, 131}, {3, 4, 300, 1}};
    for (uint32_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        for (int red = RED_SUM; red < RED_COUNT; red++) {
            for (int ints = 0; ints < 2; ints++) {
                World w = world_new();
                const int64_t *d = shapes[s];
                Value x =
                    input(&w, "x", ints ? T_INT : T_REAL, 4, (int64_t[]){d[2], d[0], d[3], d[1]});
                ExprId e = R(&w, x, I(&w, 2), I(&w, 0), I(&w, 3), I(&w, 1));
                if (red == RED_PROD && ints) e = F(&w, F_max, F(&w, F_min, e, N(&w, 1)), N(&w, -1));
                compare(&w, 2, 2, d, (Red)red, e, 1e-13, red_name[red]);
                w = world_new(); /* all axes reduced, and in order */
                x = input(&w, "x", ints ? T_INT : T_REAL, 4, d);
                e = R(&w, x, I(&w, 0), I(&w, 1), I(&w, 2), I(&w, 3));
                if (red == RED_PROD) e = F(&w, F_add, F(&w, F_mul, e, N(&w, 0)), N(&w, 1));
                compare(&w, 0, 4, d, (Red)red, e, 1e-12, red_name[red]);
            }
        }
    }
}

static ExprId inside(World *w, ExprId e, int64_t n) {
    return F(w, F_and, F(w, F_ge, e, N(w, 0)), F(w, F_lt, e, N(w, n)));
}

/* Reads with strides, offsets, quotients and guards on every side. */
static void test_reads(void) {
    World w = world_new();
    Value x = input(&w, "x", T_REAL, 1, (int64_t[]){400});
    compare(&w, 1, 0, (int64_t[]){190}, RED_NONE,
            R(&w, x, F(&w, F_add, F(&w, F_mul, I(&w, 0), N(&w, 2)), N(&w, 5))), 0, "2*i+5");
    w = world_new();
    x = input(&w, "x", T_REAL, 1, (int64_t[]){400});
    compare(&w, 1, 0, (int64_t[]){400}, RED_NONE, R(&w, x, F(&w, F_sub, N(&w, 399), I(&w, 0))), 0,
            "399-i");
    w = world_new(); /* join: x[k//J, k%J] */
    x = input(&w, "x", T_REAL, 2, (int64_t[]){30, 9});
    ExprId q = F(&w, F_idiv, I(&w, 0), N(&w, 9)), r = F(&w, F_imod, I(&w, 0), N(&w, 9));
    compare(&w, 1, 0, (int64_t[]){270}, RED_NONE, R(&w, x, q, r), 0, "join");
    w = world_new(); /* transposed */
    x = input(&w, "x", T_REAL, 2, (int64_t[]){9, 30});
    q = F(&w, F_idiv, I(&w, 0), N(&w, 9)), r = F(&w, F_imod, I(&w, 0), N(&w, 9));
    compare(&w, 1, 0, (int64_t[]){270}, RED_NONE, R(&w, x, r, q), 0, "join transposed");
    w = world_new(); /* descending quotients */
    x = input(&w, "x", T_REAL, 2, (int64_t[]){7, 40});
    ExprId down = F(&w, F_sub, N(&w, 100), F(&w, F_mul, N(&w, 3), I(&w, 0)));
    q = F(&w, F_add, F(&w, F_idiv, down, N(&w, 7)), N(&w, 20));
    r = F(&w, F_imod, down, N(&w, 7));
    compare(&w, 1, 0, (int64_t[]){70}, RED_NONE, R(&w, x, r, q), 0, "descending");
    w = world_new(); /* concatenation along an outer axis: the condition is one for all lanes */
    x = input(&w, "x", T_REAL, 2, (int64_t[]){3, 150});
    Value z = input(&w, "z", T_REAL, 2, (int64_t[]){2, 150});
    ExprId c = F(&w, F_lt, I(&w, 0), N(&w, 3)), e = R(&w, x, I(&w, 0), I(&w, 1));
    e = expr_select(w.g, c, e, R(&w, z, F(&w, F_sub, I(&w, 0), N(&w, 3)), I(&w, 1)));
    compare(&w, 2, 0, (int64_t[]){5, 150}, RED_NONE, e, 0, "concatenation");
    w = world_new(); /* the data keep reads that are affine inside */
    x = input(&w, "x", T_REAL, 1, (int64_t[]){9});
    Value m = input(&w, "m", T_INT, 1, (int64_t[]){9});
    int64_t keep[9] = {0, 0, 1, 0, 1, 1, 0, 1, 0};
    w.data[m] = (double *)(void *)keep;
    e = expr_select(w.g, F(&w, F_eq, R(&w, m, I(&w, 0)), N(&w, 1)),
                    R(&w, x, F(&w, F_sub, I(&w, 0), N(&w, 2))), N(&w, 8));
    compare(&w, 1, 0, (int64_t[]){9}, RED_NONE, e, 0, "guarded by data");
    for (int64_t shift = -3; shift <= 3; shift++) {
        for (int kind = 0; kind < 4; kind++) {
            w = world_new();
            x = input(&w, "x", T_REAL, 2, (int64_t[]){6, 140});
            Value d = input(&w, "d", T_INT, 1, (int64_t[]){150});
            ExprId at = F(&w, F_add, I(&w, 1), N(&w, shift * 40)),
                   row = F(&w, F_sub, I(&w, 0), N(&w, shift));
            if (kind == 1) at = F(&w, F_sub, N(&w, 100 + shift * 40), I(&w, 1));
            if (kind == 2) at = F(&w, F_add, F(&w, F_mul, N(&w, 3), I(&w, 1)), N(&w, shift * 40));
            if (kind == 3)
                at = F(&w, F_add, I(&w, 1), F(&w, F_mul, R(&w, d, I(&w, 1)), N(&w, shift * 9)));
            c = F(&w, F_and, inside(&w, at, 140), inside(&w, row, 6));
            e = expr_select(w.g, c, F(&w, F_mul, R(&w, x, row, at), expr_num(w.g, 2)),
                            expr_num(w.g, -1));
            compare(&w, 2, 0, (int64_t[]){7, 150}, RED_NONE, e, 0, "guarded read");
        }
    }
}

/* Selects in selects, with reads that are inside only where the conditions say. */
static void test_selects(void) {
    for (int64_t n = 1; n < 300; n = n * 3 + 1) {
        World w = world_new();
        Value x = input(&w, "x", T_REAL, 1, (int64_t[]){n}),
              z = input(&w, "z", T_REAL, 1, (int64_t[]){n});
        Value m = input(&w, "m", T_INT, 1, (int64_t[]){2 * n});
        ExprId i = I(&w, 0), first = F(&w, F_lt, i, N(&w, n)), last = F(&w, F_sub, i, N(&w, n));
        ExprId odd = F(&w, F_gt, R(&w, m, i), N(&w, 1)), xs = R(&w, x, i), zs = R(&w, z, last);
        ExprId gathered = R(&w, x, F(&w, F_imod, R(&w, m, i), N(&w, n)));
        ExprId a =
            expr_select(w.g, odd, F(&w, F_add, xs, gathered),
                        expr_select(w.g, F(&w, F_eq, i, N(&w, n / 2)), xs, expr_num(w.g, 7)));
        ExprId b = expr_select(
            w.g, odd, expr_num(w.g, 3),
            expr_select(w.g, F(&w, F_gt, zs, expr_num(w.g, 0)), expr_fn1(w.g, F_sqrt, zs), zs));
        ExprId e = expr_select(w.g, first, a, b);
        ExprId both = F(&w, F_mul, e,
                        expr_select(w.g, odd, expr_num(w.g, 0.5), expr_select(w.g, first, xs, zs)));
        compare(&w, 1, 0, (int64_t[]){2 * n}, RED_NONE, both, 0, "selects");
        w = world_new();
        x = input(&w, "x", T_REAL, 1, (int64_t[]){n});
        ExprId at = F(&w, F_sub, F(&w, F_add, I(&w, 1), I(&w, 0)), N(&w, 2));
        e = expr_select(w.g, F(&w, F_eq, at, F(&w, F_mul, I(&w, 0), N(&w, 2))), R(&w, x, I(&w, 1)),
                        N(&w, 0));
        compare(&w, 1, 1, (int64_t[]){9, n}, RED_SUM, e, 0, "one-point guard");
    }
}

static void test_convolutions(void) {
    for (int stride = 1; stride <= 3; stride++) {
        for (int pad = 0; pad <= 2; pad++) {
            int64_t K = 5, M = 6, Y = 12, X = 17, P = 3, OY = (Y + 2 * pad - P) / stride + 1,
                    OX = (X + 2 * pad - P) / stride + 1;
            World w = world_new();
            Value x = input(&w, "x", T_REAL, 3, (int64_t[]){K, Y, X}),
                  k = input(&w, "k", T_REAL, 4, (int64_t[]){M, K, P, P});
            ExprId i = F(&w, F_add, F(&w, F_mul, I(&w, 1), N(&w, stride)),
                         F(&w, F_sub, I(&w, 4), N(&w, pad)));
            ExprId j = F(&w, F_add, F(&w, F_mul, I(&w, 2), N(&w, stride)),
                         F(&w, F_sub, I(&w, 5), N(&w, pad)));
            ExprId c = F(&w, F_and, inside(&w, i, Y), inside(&w, j, X));
            ExprId e = F(&w, F_mul, R(&w, k, I(&w, 0), I(&w, 3), I(&w, 4), I(&w, 5)),
                         expr_select(w.g, c, R(&w, x, I(&w, 3), i, j), N(&w, 0)));
            compare(&w, 3, 3, (int64_t[]){M, OY, OX, K, P, P}, RED_SUM, e, 1e-14, "convolution");
            /* the adjoint of its input: a divisibility guard */
            w = world_new();
            Value d = input(&w, "d", T_REAL, 3, (int64_t[]){M, OY, OX});
            k = input(&w, "k", T_REAL, 4, (int64_t[]){M, K, P, P});
            i = F(&w, F_sub, F(&w, F_add, I(&w, 1), N(&w, pad)), I(&w, 4));
            j = F(&w, F_sub, F(&w, F_add, I(&w, 2), N(&w, pad)), I(&w, 5));
            ExprId qi = F(&w, F_idiv, i, N(&w, stride)), qj = F(&w, F_idiv, j, N(&w, stride));
            c = F(&w, F_and, F(&w, F_eq, F(&w, F_imod, i, N(&w, stride)), N(&w, 0)),
                  inside(&w, qi, OY));
            c = F(&w, F_and, c,
                  F(&w, F_and, F(&w, F_eq, F(&w, F_imod, j, N(&w, stride)), N(&w, 0)),
                    inside(&w, qj, OX)));
            e = expr_select(w.g, c,
                            F(&w, F_mul, R(&w, k, I(&w, 3), I(&w, 0), I(&w, 4), I(&w, 5)),
                              R(&w, d, I(&w, 3), qi, qj)),
                            N(&w, 0));
            compare(&w, 3, 3, (int64_t[]){K, Y, X, M, P, P}, RED_SUM, e, 1e-14,
                    "adjoint of a convolution");
        }
    }
}

static void test_contractions(void) {
    static const int64_t shapes[][4] = {
        {1, 70, 300, 131}, {3, 65, 9, 270}, {2, 5, 4, 4}, {1, 4, 129, 600}, {2, 67, 1, 90}};
    for (uint32_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        for (int kind = 0; kind < 4; kind++) {
            int64_t B = shapes[s][0], M = shapes[s][1], Nn = shapes[s][2], K = shapes[s][3];
            World w = world_new();
            if (kind == 3) w.options.rounding = ROUND_F32;
            Value x = input(&w, "x", T_REAL, 3, (int64_t[]){B, M, K}),
                  y = input(&w, "y", T_REAL, 2, (int64_t[]){Nn, K});
            Value z = input(&w, "z", T_REAL, 2, (int64_t[]){K, Nn});
            ExprId a = R(&w, x, I(&w, 0), I(&w, 1), I(&w, 3));
            ExprId b = kind ? R(&w, y, I(&w, 2), I(&w, 3)) : R(&w, z, I(&w, 3), I(&w, 2));
            if (kind == 2)
                a = expr_fn1(
                    w.g, F_neg,
                    F(&w, F_div, F(&w, F_mul, a, expr_fn1(w.g, F_exp, a)), expr_num(w.g, 8)));
            compare(&w, 3, 1, (int64_t[]){B, M, Nn, K}, RED_SUM, F(&w, F_mul, a, b),
                    kind == 2 ? 1e-13 : 0, "contraction");
        }
    }
    World w = world_new(); /* more reduced axes than fit a tile, and merged ones */
    Value x = input(&w, "x", T_REAL, 4, (int64_t[]){3, 50, 8, 6}),
          y = input(&w, "y", T_REAL, 4, (int64_t[]){3, 50, 5, 7});
    ExprId a = R(&w, x, I(&w, 4), I(&w, 5), I(&w, 0), I(&w, 1)),
           b = R(&w, y, I(&w, 4), I(&w, 5), I(&w, 2), I(&w, 3));
    compare(&w, 4, 2, (int64_t[]){8, 6, 5, 7, 3, 50}, RED_SUM, F(&w, F_mul, a, b), 0,
            "outer products summed");
}

/* ---- random expressions against the naive evaluator --------------------------------------------- */

typedef struct Dice {
    uint64_t h;
} Dice;
static uint32_t roll(Dice *d, uint32_t n) {
    return (uint32_t)((d->h = random_mix(d->h)) >> 33) % n;
}

typedef struct Some {
    World *w;
    Dice dice;
    uint32_t n_idx;
    int64_t size[5];
    Value real[3], ints;
} Some;

static ExprId some_int(Some *s, int depth) {
    World *w = s->w;
    static const Fn two[] = {F_add, F_sub, F_add, F_max, F_min};
    static const Fn compare_fn[] = {F_lt, F_le, F_eq, F_ge, F_gt, F_ne};
    switch (depth <= 0 ? roll(&s->dice, 3) : roll(&s->dice, 9)) {
    case 0: return N(w, (int64_t)roll(&s->dice, 9) - 4);
    case 1:
    case 2: return I(w, roll(&s->dice, s->n_idx));
    case 3: return F(w, F_mul, some_int(s, depth - 1), N(w, (int64_t)roll(&s->dice, 7) - 3));
    case 4:
        return F(w, roll(&s->dice, 2) ? F_idiv : F_imod, some_int(s, depth - 1),
                 N(w, 1 + roll(&s->dice, 5)));
    case 5:
        return F(w, compare_fn[roll(&s->dice, 6)], some_int(s, depth - 1), some_int(s, depth - 1));
    case 6: {
        ExprId at = F(w, F_imod, some_int(s, depth - 1), N(w, 11));
        return R(w, s->ints, at);
    }
    default: return F(w, two[roll(&s->dice, 5)], some_int(s, depth - 1), some_int(s, depth - 1));
    }
}

static ExprId some_cond(Some *s, int depth) {
    static const Fn compare_fn[] = {F_lt, F_le, F_eq, F_ge, F_gt, F_ne};
    if (depth > 0 && roll(&s->dice, 3) == 0)
        return F(s->w, roll(&s->dice, 3) ? F_and : F_or, some_cond(s, depth - 1),
                 some_cond(s, depth - 1));
    return F(s->w, compare_fn[roll(&s->dice, 6)], some_int(s, 2), some_int(s, 1));
}

/* A read of a value of 6 x 10, guarded, or made sure by a remainder. */
static ExprId some_read(Some *s) {
    World *w = s->w;
    Value v = s->real[roll(&s->dice, 3)];
    ExprId a = some_int(s, 2), b = some_int(s, 2);
    if (roll(&s->dice, 2)) return R(w, v, F(w, F_imod, a, N(w, 6)), F(w, F_imod, b, N(w, 10)));
    ExprId c = F(w, F_and, inside(w, a, 6), inside(w, b, 10));
    return expr_select(w->g, c, R(w, v, a, b), expr_num(w->g, 0.25));
}

static ExprId some_real(Some *s, int depth) {
    World *w = s->w;
    static const Fn two[] = {F_add, F_sub, F_mul, F_max, F_min};
    static const Fn one[] = {F_tanh, F_neg, F_relu, F_abs, F_floor, F_stop, F_sigmoid, F_round};
    switch (depth <= 0 ? roll(&s->dice, 3) : roll(&s->dice, 8)) {
    case 0: return some_read(s);
    case 1:
        return R(w, s->real[roll(&s->dice, 3)],
                 F(w, F_imod, I(w, roll(&s->dice, s->n_idx)), N(w, 6)), N(w, 3));
    case 2: return expr_real(w->g, some_int(s, 2));
    case 3: return expr_fn1(w->g, one[roll(&s->dice, 8)], some_real(s, depth - 1));
    case 4:
        return expr_select(w->g, some_cond(s, 1), some_real(s, depth - 1), some_real(s, depth - 1));
    default: return F(w, two[roll(&s->dice, 5)], some_real(s, depth - 1), some_real(s, depth - 1));
    }
}

static void test_random_equations(uint32_t from, uint32_t to) {
    for (uint32_t seed = from; seed < to; seed++) {
        World w = world_new();
        Some s = {.w = &w, .dice = {seed}};
        if (seed % 5 == 4) w.options.rounding = ROUND_F32;
        for (int i = 0; i < 3; i++) s.real[i] = input(&w, "x", T_REAL, 2, (int64_t[]){6, 10});
        s.ints = input(&w, "k", T_INT, 1, (int64_t[]){11});
        uint32_t rank = 1 + roll(&s.dice, 3), extra = roll(&s.dice, 3);
        s.n_idx = rank + extra;
        for (uint32_t i = 0; i < s.n_idx; i++)
            s.size[i] = roll(&s.dice, 4) ? 1 + roll(&s.dice, 8) : 140;
        while (s.n_idx > 2 && s.size[0] * s.size[1] * s.size[2] > 3000)
            s.size[roll(&s.dice, 3)] = 3;
        Red red = extra ? (Red)(1 + roll(&s.dice, RED_COUNT - 1)) : RED_NONE;
        ExprId e = some_real(&s, 4);
        char what[64];
        snprintf(what, sizeof what, "random equation %u", seed);
        compare(&w, rank, extra, s.size, red, e, w.options.rounding ? 3e-7 : 1e-12, what);
        if (failures(0)) return;
    }
}

int main(int argc, char **argv) {
    uint32_t more = argc > 1 ? (uint32_t)atoi(argv[1]) : 0;
    test_functions();
    test_ties_and_nan();
    test_reductions();
    test_reads();
    test_selects();
    test_convolutions();
    test_contractions();
    test_random_equations(0, more ? more : 600);
    if (failures(0)) printf("%d failed\n", failures(0));
    return failures(0) ? 1 : 0;
}
