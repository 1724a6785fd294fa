/* Expressions: what the builders fold and what they leave, canonical forms, simplification with ranges,
 * bounds; each held against evaluation at random points. */
#include "compiler/expr.h"

#include <stdlib.h>
#include <string.h>

static int failures;

#define FAIL(...)                                                                                  \
    (failures++, printf("%s:%d: ", __FILE__, __LINE__), printf(__VA_ARGS__), printf("\n"))

enum { N_IDX = 4, N_LEVEL = 1, N_AXES = 2 };

/* A graph with the axes T and Y % 4, an int value n[T], a real x[T]; the names n0 and x0 read them. */
typedef struct Fixture {
    Arena *arena;
    Graph *g;
    Size idx[N_IDX], level[N_LEVEL]; /* i0 < T, i1 < Y, i2 < 8, i3 < 6; l0 < T */
    const char *names[2];
    ExprId values[2];
    Value data;
} Fixture;

static Fixture fixture(void) {
    Fixture f;
    memset(&f, 0, sizeof f);
    f.arena = arena_new();
    Sizes *s = sizes_new(f.arena);
    f.g = graph_new(f.arena, names_new(f.arena), s, "test");
    f.idx[0] = f.level[0] = size_axis(s, "T", 1);
    f.idx[1] = size_axis(s, "Y", 4);
    f.idx[2] = size_num(s, 8);
    f.idx[3] = size_num(s, 6);
    Loc loc = {0, 0, 0, 0};
    f.data = graph_input(f.g, "n", T_INT, ST_DEFAULT, f.idx, 1, loc);
    f.g->inputs.data[0].below = 5;
    Value x = graph_input(f.g, "x", T_REAL, ST_DEFAULT, f.idx, 1, loc);
    ExprId i0 = expr_idx(f.g, 0);
    f.names[0] = "n0";
    f.names[1] = "x0";
    f.values[0] = expr_read(f.g, f.data, &i0, 1);
    f.values[1] = expr_read(f.g, x, &i0, 1);
    return f;
}

static Ranges ranges_of(const Fixture *f) { return (Ranges){f->idx, N_IDX, f->level, N_LEVEL}; }

static ExprId parsed(Fixture *f, const char *text) {
    const char *error;
    ExprId e = expr_parse(f->g, text, f->names, f->values, 2, &error);
    if (error) FAIL("%s: %s", text, error);
    return error ? expr_int(f->g, 0) : e;
}

static const char *printed(Fixture *f, ExprId e) {
    Text t = text_new(f->arena);
    expr_print(f->g, e, &t);
    return t.data;
}

typedef struct Pair {
    const char *text, *want;
} Pair;

/* Own indices print as i0.., the reads n0 and x0 as %1[i0] and %2[i0]. */
static void check_table(const Pair *t, size_t n, bool simplify) {
    Fixture f = fixture();
    Ranges r = ranges_of(&f);
    for (size_t i = 0; i < n; i++) {
        ExprId e = parsed(&f, t[i].text);
        Type type = graph_type(f.g, e);
        if (simplify) e = expr_simplify_int(f.g, e, &r);
        if (strcmp(printed(&f, e), t[i].want) != 0)
            FAIL("%s gives %s, expected %s", t[i].text, printed(&f, e), t[i].want);
        if (graph_type(f.g, e) != type) FAIL("%s changes its type", t[i].text);
    }
    arena_free(f.arena);
}

static void test_folding(void) {
    static const Pair table[] = {
        {"1 + 2", "3"},
        {"1.5*2", "3.0"},
        {"7//2", "3"},
        {"-7//2", "-4"},
        {"-7%3", "2"},
        {"1/4", "0.25"},
        {"1/0", "1/0"},
        {"real(3)", "3.0"},
        {"real(x0)", "%2[i0]"},
        {"-(-x0)", "%2[i0]"},
        {"-(2.5)", "-2.5"},
        {"x0 + 0", "%2[i0]"},
        {"0.0 + x0", "%2[i0]"},
        {"0 - x0", "0 - %2[i0]"},
        {"x0*1", "%2[i0]"},
        {"1.0*i0", "real(i0)"},
        {"x0*0", "%2[i0]*0"},
        {"0.0*i0", "0.0*i0"},
        {"i0*0", "0"},
        {"x0/1", "%2[i0]"},
        {"x0^1", "%2[i0]"},
        {"x0^0", "%2[i0]^0"},
        {"x0 - x0", "%2[i0] - %2[i0]"},
        {"i0 - i0", "0"},
        {"n0 + n0 - 2*n0", "0"},
        {"x0 + x0", "%2[i0] + %2[i0]"},
        {"9223372036854775807 + 1", "9223372036854775807 + 1"},
        {"x0 < x0", "%2[i0] < %2[i0]"},
        {"i0 < i0", "0"},
        {"i0 + 1 > i0", "1"},
        {"T >= 1", "1"},
        {"Y > 3", "1"},
        {"Y > 4", "Y > 4"},
        {"i0 == i0 + T", "0"},
        {"not i0 < 3", "i0 >= 3"},
        {"not x0 < 3", "not %2[i0] < 3"},
        {"not x0 == 3", "%2[i0] != 3"},
        {"not not x0 < 3", "%2[i0] < 3"},
        {"not not n0", "%1[i0] != 0"},
        {"0 and x0 < 1", "0"},
        {"1 and x0 < 1", "%2[i0] < 1"},
        {"2 or x0 < 1", "1"},
        {"0 or n0", "%1[i0] != 0"},
        {"select(1, i0, x0)", "real(i0)"},
        {"select(0, x0, i0 + 1)", "real(i0 + 1)"},
        {"select(n0, i0, i0)", "i0"},
        {"select(n0, select(n0, 1, 2), select(n0, 3, 4))", "select(%1[i0], 1, 4)"},
        {"select(n0, select(n0, 1, 2.5), 3)", "select(%1[i0], 1.0, 3)"},
        {"max(i0, i0 + 1)", "i0 + 1"},
        {"min(i0, i0 + 1)", "i0"},
        {"max(x0, x0)", "max(%2[i0], %2[i0])"},
        {"max(2, 2.5)", "2.5"},
        {"relu(-3)", "0"},
        {"abs(-3)", "3"},
        {"round(i0)", "i0"},
        {"stop(x0)", "stop(%2[i0])"},
        {"(8*i0 + i2)//8", "i0 + i2//8"},
        {"(8*i0 + i2)%8", "i2%8"},
        {"(T*i1 + i0)//T", "i1 + i0//T"},
        {"(i0 + 13)//4", "(i0 + 1)//4 + 3"},
        {"i0//2//3", "i0//6"},
        {"(i0//2 + 5)//3", "(i0 + 4)//6 + 1"},
        {"i0%12%4", "i0%4"},
        {"i0%4%12", "i0%4%12"},
        {"i1//4*4 + i1%4", "i1"},
        {"(i0 + i1)//8*16 + 2*((i0 + i1)%8)", "i0*2 + i1*2"},
        {"i0//1 + i0%1", "i0"},
        {"i0//0", "i0//0"},
        {"Y//4*4", "Y"},
        {"T*i0 - i0*T", "0"},
        {"i0*i1 - i1*i0 + 1", "1"},
        {"T - 1 - i0", "{T - 1} - i0"},
        {"-(i0 + 1)", "-i0 - 1"},
        {"n0 + i1 + l0 + i0 + 1", "i0 + i1 + l0 + %1[i0] + 1"},
    };
    check_table(table, sizeof table / sizeof *table, false);
}

static void test_simplify(void) {
    static const Pair table[] = {
        {"(8*i0 + i2)//8", "i0"},
        {"(8*i0 + i2)%8", "i2"},
        {"(T*i1 + i0)//T", "i1"},
        {"(T*i1 + i0)%T", "i0"},
        {"i0//T", "0"},
        {"(i0 + 1)//T", "(i0 + 1)//T"},
        {"(i2 - 8)//8", "-1"},
        {"(i2 - 8)%8", "i2"},
        {"i0*T//T", "i0"},
        {"(48*i0 + 6*i2 + i3)//6", "i0*8 + i2"},
        {"(48*i0 + 6*i2 + i3)//48", "i0"},
        {"(48*i0 + 6*i2 + i3)//6%8", "i2"},
        {"(6*i2 + i3)//12", "i2//2"},
        {"(6*i2 + i3)%12", "i3 + i2%2*6"},
        {"(2*i0 + 1)//2", "i0"},
        {"(2*i0 + i3%2)//4", "i0//2"},
        {"i2 < 8", "1"},
        {"i2 >= 8", "0"},
        {"i2 < 7", "i2 < 7"},
        {"i0 + l0 >= 0", "1"},
        {"i0 < T and i0 >= 0", "1"},
        {"i0 - 1 >= 0", "i0 - 1 >= 0"},
        {"T - 1 - i0 < T", "1"},
        {"i1 == Y", "0"},
        {"i1 - i0 == Y", "0"},
        {"n0 < 5", "1"},
        {"n0 >= 4", "%1[i0] >= 4"},
        {"select(i2 < 8, x0, 0)", "%2[i0]"},
        {"select(i0 < 0 or i0 >= T, 0, x0*2)", "%2[i0]*2"},
        {"max(i2 - 8, 0)", "0"},
        {"min(i0, T - 1)", "i0"},
        {"relu(i0)", "i0"},
        {"abs(i2 - 7)", "7 - i2"},
        {"x0 + select(i2//8 == 0, i2, 5)", "%2[i0] + i2"},
    };
    check_table(table, sizeof table / sizeof *table, true);
}

/* ---- random int expressions ---------------------------------------------------------------- */

typedef struct Point {
    int64_t axes[N_AXES], idx[N_IDX], level;
} Point;

static uint64_t next(uint64_t *seed) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static int64_t below(uint64_t *seed, int64_t n) { return (int64_t)(next(seed) % (uint64_t)n); }

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t evaluate(Graph *g, ExprId e, const Point *p);

static int64_t evaluate_fn(Graph *g, ExprId e, const Point *p) {
    const Expr x = *graph_expr(g, e);
    int64_t a = evaluate(g, expr_arg(g, e, 0), p);
    int64_t b = x.n_args > 1 ? evaluate(g, expr_arg(g, e, 1), p) : 0;
    switch (x.fn) {
    case F_neg: return -a;
    case F_add: return a + b;
    case F_sub: return a - b;
    case F_mul: return a * b;
    case F_idiv: return floor_div(a, b);
    case F_imod: return a - b * floor_div(a, b);
    case F_eq: return a == b;
    case F_ne: return a != b;
    case F_lt: return a < b;
    case F_le: return a <= b;
    case F_gt: return a > b;
    case F_ge: return a >= b;
    case F_and: return a && b;
    case F_or: return a || b;
    case F_not: return !a;
    case F_max: return a > b ? a : b;
    case F_min: return a < b ? a : b;
    case F_relu: return a > 0 ? a : 0;
    case F_abs: return a < 0 ? -a : a;
    default: FAIL("function %s", fn_info[x.fn].name); return 0;
    }
}

static int64_t evaluate(Graph *g, ExprId e, const Point *p) {
    const Expr x = *graph_expr(g, e);
    int64_t n = 0;
    switch ((ExprOp)x.op) {
    case X_INT: return x.i;
    case X_SIZE:
        if (!size_eval(g->sizes, x.size, p->axes, &n)) FAIL("size %s", size_str(g->sizes, x.size));
        return n;
    case X_IDX: return p->idx[x.i];
    case X_LVL: return p->level;
    case X_READ: return (evaluate(g, expr_arg(g, e, 0), p) * 7 + 3) % 5; /* n[], below 5 */
    case X_FN: return evaluate_fn(g, e, p);
    case X_SELECT: return evaluate(g, expr_arg(g, e, evaluate(g, expr_arg(g, e, 0), p) ? 1 : 2), p);
    default: FAIL("kind %d", x.op); return 0;
    }
}

static ExprId raw_fn(Graph *g, Fn fn, ExprId a, ExprId b) {
    ExprId x[2] = {a, b};
    return expr_raw(g, X_FN, fn, 0, x, (uint32_t)fn_info[fn].arity);
}

static ExprId random_divisor(Fixture *f, uint64_t *seed) {
    Sizes *s = f->g->sizes;
    switch (below(seed, 6)) {
    case 0: return expr_size(f->g, f->idx[0]);
    case 1: return expr_size(f->g, f->idx[1]);
    case 2: return expr_size(f->g, size_floordiv(s, f->idx[1], size_num(s, 4)));
    case 3: return expr_size(f->g, size_mul(s, f->idx[0], size_num(s, 1 + below(seed, 4))));
    default: return expr_int(f->g, 1 + below(seed, 9));
    }
}

static ExprId random_leaf(Fixture *f, uint64_t *seed) {
    int64_t k = below(seed, 10);
    if (k < 6) return expr_idx(f->g, (uint32_t)below(seed, N_IDX));
    if (k == 6) return expr_lvl(f->g, 0);
    if (k == 7) return f->values[0];
    if (k == 8) return random_divisor(f, seed);
    return expr_int(f->g, below(seed, 21) - 10);
}

static ExprId random_expr(Fixture *f, uint64_t *seed, int depth) {
    static const Fn any[] = {F_eq, F_ne,  F_lt,  F_le,  F_gt,  F_ge,   F_and,
                             F_or, F_not, F_max, F_min, F_neg, F_relu, F_abs};
    if (depth == 0) return random_leaf(f, seed);
    int64_t k = below(seed, 20);
    ExprId a = random_expr(f, seed, depth - 1);
    if (k < 5) return raw_fn(f->g, k & 1 ? F_idiv : F_imod, a, random_divisor(f, seed));
    if (k < 8)
        return raw_fn(f->g, F_mul, a, k == 5 ? random_leaf(f, seed) : random_divisor(f, seed));
    ExprId b = random_expr(f, seed, depth - 1);
    if (k < 12) return raw_fn(f->g, F_add, a, b);
    if (k < 15) return raw_fn(f->g, F_sub, a, b);
    if (k < 19) return raw_fn(f->g, any[below(seed, 14)], a, b);
    ExprId x[3] = {random_expr(f, seed, depth - 1), a, b};
    return expr_raw(f->g, X_SELECT, F_NONE, 0, x, 3);
}

static ExprId refold(ExprMap *m, ExprId e, const ExprId *args) {
    const Expr *x = graph_expr(m->src, e);
    if (x->op == X_SELECT) return expr_select(m->dst, args[0], args[1], args[2]);
    return x->op == X_FN ? expr_fn(m->dst, (Fn)x->fn, args) : 0;
}

static Point random_point(uint64_t *seed) {
    Point p;
    p.axes[0] = 1 + below(seed, 6);
    p.axes[1] = 4 * (1 + below(seed, 3));
    p.idx[0] = below(seed, p.axes[0]);
    p.idx[1] = below(seed, p.axes[1]);
    p.idx[2] = below(seed, 8);
    p.idx[3] = below(seed, 6);
    p.level = below(seed, p.axes[0]);
    return p;
}

static void check_random(Fixture *f, uint64_t *seed) {
    Graph *g = f->g;
    Ranges r = ranges_of(f);
    ExprId raw = random_expr(f, seed, 1 + (int)below(seed, 5));
    ExprMap m = {.src = g, .dst = g, .node = refold};
    expr_map_begin(&m, f->arena);
    ExprId folded = expr_map(&m, raw), simple = expr_simplify_int(g, raw, &r),
           again = expr_simplify_int(g, folded, &r);
    Size lo, hi;
    expr_bounds(g, raw, &r, &lo, &hi);
    for (int k = 0; k < 12; k++) {
        Point p = random_point(seed);
        int64_t want = evaluate(g, raw, &p), a = 0, b = 0;
        if (evaluate(g, folded, &p) != want)
            FAIL("%s folds to %s", printed(f, raw), printed(f, folded));
        if (evaluate(g, simple, &p) != want || evaluate(g, again, &p) != want)
            FAIL("%s simplifies to %s or %s", printed(f, raw), printed(f, simple),
                 printed(f, again));
        bool low = lo && size_eval(g->sizes, lo, p.axes, &a),
             high = hi && size_eval(g->sizes, hi, p.axes, &b);
        if ((low && want < a) || (high && want > b))
            FAIL("%s = %lld is outside of %s .. %s", printed(f, raw), (long long)want,
                 size_str(g->sizes, lo), size_str(g->sizes, hi));
        if (failures > 5) return;
    }
}

static void test_random(void) {
    uint64_t seed = 1;
    for (int round = 0; round < 40 && failures < 5; round++) {
        Fixture f = fixture();
        for (int i = 0; i < 100 && failures < 5; i++) check_random(&f, &seed);
        arena_free(f.arena);
    }
}

/* Sums of the same terms in any order and grouping are one expression. */
static void test_canonical(void) {
    static const char *const terms[] = {"i0", "T*i1", "3", "-i2", "T", "n0", "2*l0", "Y//4*i3"};
    uint64_t seed = 7;
    Fixture f = fixture();
    ExprId first = 0;
    for (int round = 0; round < 200; round++) {
        ExprId part[8];
        uint32_t n = 8;
        for (uint32_t i = 0; i < n; i++) part[i] = parsed(&f, terms[i]);
        while (n > 1) {
            uint32_t i = (uint32_t)below(&seed, n), k = (uint32_t)below(&seed, n - 1);
            ExprId a = part[i];
            part[i] = part[--n];
            part[k] = expr_fn2(f.g, F_add, part[k], a);
        }
        if (!first) first = part[0];
        if (part[0] != first) FAIL("%s is not %s", printed(&f, part[0]), printed(&f, first));
    }
    Affine a;
    if (!expr_affine(f.g, first, &a) || a.n != 6) FAIL("not affine: %s", printed(&f, first));
    if (expr_from_affine(f.g, &a) != first) FAIL("another form: %s", printed(&f, first));
    if (expr_affine(f.g, parsed(&f, "i0*i1 + 1"), &a))
        FAIL("a product of indices counts as affine");
    arena_free(f.arena);
}

/* ---- mapping, walking, large expressions --------------------------------------------------- */

static void count_visit(Graph *g, ExprId e, void *user) {
    (void)g;
    (void)e;
    ++*(int *)user;
}

static ExprId swap_indices(ExprMap *m, ExprId e, const ExprId *subs) {
    (void)subs;
    const Expr *x = graph_expr(m->src, e);
    ++*(int *)m->user;
    return x->op == X_IDX && x->i < 2 ? expr_idx(m->dst, 1 - (uint32_t)x->i) : 0;
}

static void test_map(void) {
    Fixture f = fixture();
    int calls = 0, visits = 0;
    ExprMap m = {.src = f.g, .dst = f.g, .leaf = swap_indices, .user = &calls};
    expr_map_begin(&m, f.arena);
    ExprId e = expr_map(&m, parsed(&f, "x0*(i0 - i1) + n0*(i0 - i1)"));
    if (calls != 4) FAIL("%d calls", calls); /* i0 i1 x n */
    if (strcmp(printed(&f, e), "%2[i1]*(i1 - i0) + %1[i1]*(i1 - i0)") != 0)
        FAIL("%s", printed(&f, e));
    expr_walk(f.g, e, count_visit, &visits);
    if (visits != 8) FAIL("%d visits", visits); /* i1 i0 i1-i0 n x x*() n*() sum */
    arena_free(f.arena);
}

static void test_large(void) {
    Fixture f = fixture();
    ExprId chain = f.values[1], twice = f.values[1];
    for (int i = 0; i < 100000; i++)
        chain = expr_fn2(f.g, F_add, chain, expr_fn1(f.g, F_exp, expr_int(f.g, i)));
    for (int i = 0; i < 64; i++) twice = expr_fn2(f.g, F_mul, twice, twice);
    ExprId ends[2] = {chain, twice};
    for (int k = 0; k < 2; k++) {
        int visits = 0, calls = 0;
        ExprMap m = {.src = f.g, .dst = f.g, .leaf = swap_indices, .user = &calls};
        expr_map_begin(&m, f.arena);
        if (expr_map(&m, ends[k]) == ends[k] || calls != 2)
            FAIL("the map is the same, or %d calls", calls);
        expr_walk(f.g, ends[k], count_visit, &visits);
        if (visits < 64) FAIL("%d visits", visits);
        if (strlen(printed(&f, ends[k])) > (k ? 4000 : 5000000)) FAIL("a text without end");
    }
    ExprId ints = f.values[0];
    for (int i = 0; i < 20000; i++) {
        ExprId k = expr_int(f.g, i), nth = expr_read(f.g, f.data, &k, 1);
        ints = expr_fn2(f.g, F_add, ints, nth);
    }
    Ranges r = ranges_of(&f);
    Size lo, hi;
    expr_bounds(f.g, ints, &r, &lo, &hi);
    (void)expr_simplify_int(f.g, ints, &r);
    arena_free(f.arena);
}

/* ---- texts --------------------------------------------------------------------------------- */

static void test_derivatives(void) {
    static const char *const names[] = {"x0", "x1", "y", "dy"};
    Fixture f = fixture();
    ExprId values[4];
    for (uint32_t i = 0; i < 4; i++) {
        ExprId k = expr_int(f.g, i);
        values[i] = expr_read(f.g, 2, &k, 1);
    }
    for (int fn = F_NONE + 1; fn < F_COUNT; fn++) {
        char text[400], *part = text;
        snprintf(text, sizeof text, "%s", fn_info[fn].derivative);
        for (int k = 0; k < fn_info[fn].arity; k++) {
            const char *error;
            char *end = strchr(part, ';');
            if (!end != (k + 1 == fn_info[fn].arity))
                FAIL("%s: not one derivative an argument", fn_info[fn].name);
            if (end) *end = 0;
            if (strcmp(part, "-") != 0 && !expr_parse(f.g, part, names, values, 4, &error))
                FAIL("%s: %s", fn_info[fn].name, error);
            part = end ? end + 1 : part;
        }
    }
    arena_free(f.arena);
}

static void test_wrong(void) {
    static const Pair table[] = {
        {"1 +", "line 1: expected an expression, found the end"},
        {"foo", "line 1: 'foo' is not known here"},
        {"exp(1, 2)", "line 1: 'exp' takes 1 operands, found 2"},
        {"select(1, 2)", "line 1: 'select' takes 3 operands, found 2"},
        {"(1", "line 1: expected ')', found the end"},
        {"1 2", "line 1: expected the end, found a number"},
        {"1 < 2 < 3", "line 1: comparisons do not chain"},
        {"%1[0]", "line 1: expected a number of at most 0, found a larger one"},
        {"1.2.3", "line 1: '1.2.3' is no number"},
        {"99999999999999999999", "line 1: '99999999999999999999' is no number"},
        {"\"a", "line 1: a string does not end, or an escape is none of \\\" \\\\ \\x01..\\xff"},
        {"$", "line 1: '$'"},
        {"{1//0}", "line 1: this size is none (division by 0, or too large)"},
    };
    Fixture f = fixture();
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *error = NULL;
        ExprId e = expr_parse(f.g, table[i].text, f.names, f.values, 2, &error);
        if (e || !error)
            FAIL("%s is taken", table[i].text);
        else if (strncmp(error, table[i].want, strlen(table[i].want)) != 0 &&
                 table[i].text[0] != '$')
            FAIL("%s: %s", table[i].text, error);
    }
    arena_free(f.arena);
}

int main(void) {
    test_folding();
    test_simplify();
    test_canonical();
    test_random();
    test_map();
    test_large();
    test_derivatives();
    test_wrong();
    return failures != 0;
}
