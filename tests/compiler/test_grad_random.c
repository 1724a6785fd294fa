/* Derivatives of random graphs: affine reads of all kinds, recurrences of all shapes. An argument
 * says how many of each. */
#include "grad_check.h"

/* ---- random affine reads --------------------------------------------------------------------- */

typedef struct Pick {
    Graph *g;
    uint64_t seed;
    uint32_t n; /* iteration axes */
    int64_t size[5];
} Pick;

static int64_t between(Pick *p, int64_t lo, int64_t hi) {
    return lo + (int64_t)(uniform(&p->seed) * (double)(hi - lo + 1));
}

static ExprId scaled(Graph *g, ExprId e, int64_t c) {
    return expr_fn2(g, F_mul, e, expr_int(g, c));
}

/* A subscript of a random kind and its bounds. */
static ExprId random_subscript(Pick *p, int64_t *lo, int64_t *hi) {
    Graph *g = p->g;
    int64_t konst = between(p, -2, 3);
    ExprId e = expr_int(g, konst);
    *lo = *hi = konst;
    uint32_t terms = (uint32_t)between(p, 0, 3);
    for (uint32_t k = 0; k < terms; k++) {
        uint32_t i = (uint32_t)between(p, 0, p->n - 1);
        int64_t c = between(p, -3, 3), top = p->size[i] - 1, off = between(p, 0, 2),
                by = between(p, 2, 4);
        ExprId x = expr_idx(g, i);
        int64_t kind = between(p, 0, 5), bottom = 0;
        if (kind <= 1) x = expr_fn2(g, F_add, x, expr_int(g, off));
        if (kind == 0)
            bottom = off / by, top = (top + off) / by, x = expr_fn2(g, F_idiv, x, expr_int(g, by));
        if (kind == 1) top = by - 1, x = expr_fn2(g, F_imod, x, expr_int(g, by));
        e = expr_fn2(g, F_add, e, scaled(g, x, c));
        *lo += c < 0 ? c * top : c * bottom;
        *hi += c < 0 ? c * bottom : c * top;
    }
    return e;
}

/* A parameter read at random subscripts, all inside, or cut off at both ends and guarded. */
static ExprId random_read(Pick *p) {
    Graph *g = p->g;
    uint32_t rank = (uint32_t)between(p, 1, 3), index;
    Size dims[3];
    ExprId subs[3], guard = expr_int(g, 1);
    for (uint32_t q = 0; q < rank; q++) {
        int64_t lo, hi;
        ExprId s = random_subscript(p, &lo, &hi);
        bool cut = hi - lo > 1 && between(p, 0, 3) == 0;
        if (cut) lo++, hi--;
        s = expr_fn2(g, F_add, s, expr_int(g, -lo));
        int64_t n = hi - lo + 1 + (cut ? 0 : between(p, 0, 1));
        ExprId in = expr_fn2(g, F_and, expr_fn2(g, F_ge, s, expr_int(g, 0)),
                             expr_fn2(g, F_lt, s, expr_int(g, n)));
        if (cut) guard = expr_fn2(g, F_and, guard, in);
        dims[q] = size_num(g->sizes, n);
        subs[q] = s;
    }
    Value v = graph_param(g, T_REAL, ST_DEFAULT, dims, rank, (Loc){0, 0, 0, 0}, &index);
    PUSH(g->arena, &g->params.data[index].members)->name = "w";
    ExprId e = expr_fn1(g, F_sin, expr_read(g, v, subs, rank));
    return expr_select(g, guard, e, expr_num(g, 0.5));
}

static void check_random(uint64_t seed) {
    Arena *arena = arena_new();
    Names *names = names_new(arena);
    Graph *g = graph_new(arena, names, sizes_new(arena), "random");
    Pick p = {.g = g, .seed = seed};
    Size dims[5];
    uint32_t rank = (uint32_t)between(&p, 1, 3);
    p.n = rank + (uint32_t)between(&p, 0, 2);
    for (uint32_t k = 0; k < p.n; k++) dims[k] = size_num(g->sizes, p.size[k] = between(&p, 1, 6));
    ExprId e = expr_fn2(g, F_mul, random_read(&p), random_read(&p)), weight = expr_int(g, 1),
           idx[5];
    Loc nowhere = {0, 0, 0, 0};
    Red red = p.n > rank ? RED_SUM : RED_NONE;
    Value v = graph_eq(g, &g->top, dims, rank, red, dims + rank, p.n - rank, e, 0, "y", nowhere);
    for (uint32_t k = 0; k < rank; k++) {
        idx[k] = expr_idx(g, k);
        weight = expr_fn2(g, F_add, weight, scaled(g, idx[k], 3 + 4 * k));
    }
    e = expr_fn2(g, F_mul, expr_read(g, v, idx, rank), expr_fn1(g, F_sin, expr_real(g, weight)));
    v = graph_eq(g, &g->top, NULL, 0, RED_SUM, dims, rank, e, 0, "loss", nowhere);
    graph_output(g, OUT_LOSS, "loss", v, 0);
    char name[40];
    snprintf(name, sizeof name, "random %u", (unsigned)seed);
    check_graph(name, g, usual, false, seed);
    arena_free(arena);
}

/* ---- random recurrences ---------------------------------------------------------------------- */

enum { MAX_SEEN = 40, DIM = 3 };

typedef struct Loop {
    Size length;
    int64_t n;      /* 0: the axis T */
    uint32_t items; /* of the class at hand */
} Loop;

/* Values of dims [3] that may be read at the present place, and the recurrences around it. */
typedef struct Gen {
    Pick p;
    Graph *g;
    Block *b;
    Value seen[MAX_SEEN];
    uint32_t n_seen, level, n_equations;
    Loop loop[4];
} Gen;

static const Loc nowhere = {0, 0, 0, 0};

static Value new_param(Gen *n, const Size *dims, uint32_t rank) {
    uint32_t index;
    Value v = graph_param(n->g, T_REAL, ST_DEFAULT, dims, rank, nowhere, &index);
    PUSH(n->g->arena, &n->g->params.data[index].members)->name = "w";
    return v;
}

/* A parameter read at the counter of one of the recurrences around, and at index 0. */
static ExprId read_by_counter(Gen *n) {
    Graph *g = n->g;
    uint32_t level = (uint32_t)between(&n->p, 0, n->level - 1);
    const Loop *l = &n->loop[level];
    ExprId t = expr_lvl(g, level), at[2] = {t, expr_idx(g, 0)}, one = expr_int(g, 1);
    Size three = size_num(g->sizes, DIM), dims[2] = {l->length, three};
    ExprId last = expr_fn2(g, F_sub, expr_size(g, l->length), one);
    int64_t kind = between(&n->p, 0, 5);
    if (kind == 1) at[0] = expr_fn2(g, F_sub, last, t);
    if (kind == 2) {
        dims[0] = size_mul(g->sizes, size_num(g->sizes, 2), l->length);
        at[0] = expr_fn2(g, F_add, scaled(g, t, 2), one);
    }
    if (kind == 3) at[0] = at[1], at[1] = t, dims[1] = dims[0], dims[0] = three;
    if (kind == 4 && l->n) at[0] = expr_pos(g, level), dims[0] = size_num(g->sizes, l->items);
    if (kind == 5) at[0] = expr_fn2(g, F_sub, t, one);
    ExprId e = expr_read(g, new_param(n, dims, 2), at, 2);
    if (kind != 5) return e;
    return expr_select(g, expr_fn2(g, F_ge, t, one), e, expr_num(g, 0.5));
}

static ExprId random_leaf(Gen *n) {
    Graph *g = n->g;
    Size three = size_num(g->sizes, DIM);
    int64_t kind = between(&n->p, 0, 6);
    ExprId i = expr_idx(g, 0);
    if (kind == 0 && g->params.n < 40) return expr_read(g, new_param(n, &three, 1), &i, 1);
    if (kind <= 2 && n->level && g->params.n < 40) return read_by_counter(n);
    if (kind == 3) i = expr_fn2(g, F_sub, expr_int(g, DIM - 1), i);
    return expr_read(g, n->seen[between(&n->p, 0, n->n_seen - 1)], &i, 1);
}

static void seen(Gen *n, Value v) {
    if (n->n_seen < MAX_SEEN) n->seen[n->n_seen++] = v;
}

static void random_equation(Gen *n) {
    Graph *g = n->g;
    Size three = size_num(g->sizes, DIM), square[2] = {three, three};
    ExprId e = random_leaf(n), at[2] = {expr_idx(g, 0), expr_idx(g, 1)};
    if (between(&n->p, 0, 3) == 0 && g->params.n < 40) { /* a matrix and a vector */
        ExprId w = expr_read(g, new_param(n, square, 2), at, 2);
        e = expr_fn2(g, F_mul, w,
                     expr_read(g, n->seen[between(&n->p, 0, n->n_seen - 1)], &at[1], 1));
        Value v = graph_eq(g, n->b, &three, 1, RED_SUM, &three, 1, e, n->level, NULL, nowhere);
        e = expr_read(g, v, at, 1);
    }
    e = expr_fn2(g, between(&n->p, 0, 1) ? F_mul : F_add, e, random_leaf(n));
    e = expr_fn1(g, between(&n->p, 0, 1) ? F_tanh : F_sin, e);
    if (between(&n->p, 0, 1)) e = expr_fn2(g, F_add, e, random_leaf(n));
    seen(n, graph_eq(g, n->b, &three, 1, RED_NONE, NULL, 0, e, n->level, NULL, nowhere));
}

static void random_block(Gen *n);

/* Results of dims [N, 3] or [3, N] become values of dims [3]. */
static void use_result(Gen *n, Value v, uint32_t axis, Size length) {
    Graph *g = n->g;
    Size three = size_num(g->sizes, DIM);
    ExprId at[2], t = expr_idx(g, 1),
                  weight = expr_fn1(g, F_sin, expr_real(g, expr_fn2(g, F_add, t, expr_int(g, 1))));
    at[axis] = t;
    at[1 - axis] = expr_idx(g, 0);
    ExprId e = expr_fn2(g, F_mul, expr_read(g, v, at, 2), weight);
    seen(n, graph_eq(g, n->b, &three, 1, RED_SUM, &length, 1, e, n->level, NULL, nowhere));
}

static void random_class(Gen *n, NodeId r, const uint32_t *iters, uint32_t n_iters, Value *results,
                         uint32_t *axes, uint32_t *n_results) {
    Graph *g = n->g;
    Block *outside = n->b;
    uint32_t cls = graph_recur_class(g, r, iters, n_iters), before = n->n_seen;
    const Recur *x = graph_node(g, r)->recur;
    n->loop[n->level] = (Loop){x->length, x->layers ? 5 : 0, n_iters};
    n->b = &graph_node(g, r)->recur->classes.data[cls].body;
    n->level++;
    for (uint32_t k = 0; k < x->carry.n; k++) seen(n, x->classes.data[cls].args[k]);
    random_block(n);
    uint32_t first = between(&n->p, 0, 3) ? before : 0; /* now and then a value from outside */
    for (uint32_t k = 0; k < x->carry.n; k++)
        graph_recur_next(g, r, cls, k, n->seen[between(&n->p, first, n->n_seen - 1)]);
    for (int64_t k = between(&n->p, 0, 2); k > 0; k--) {
        axes[*n_results] = (uint32_t)between(&n->p, 0, 1);
        Value v = n->seen[between(&n->p, before, n->n_seen - 1)];
        results[*n_results] = graph_recur_out(g, r, cls, v, axes[*n_results]);
        (*n_results)++;
    }
    n->level--;
    n->n_seen = before;
    n->b = outside;
}

/* One class, or two that share the iterations at random. */
static void random_recurrence(Gen *n) {
    Graph *g = n->g;
    bool layers = between(&n->p, 0, 1), reverse = between(&n->p, 0, 2) == 0;
    Size length = layers ? size_num(g->sizes, 5) : size_axis(g->sizes, "T", 1);
    const char *axis = layers ? "layers" : "T";
    NodeId r = graph_recur_begin(g, length, axis, reverse, layers, n->level, nowhere);
    for (int64_t k = between(&n->p, 1, 3); k > 0; k--)
        graph_recur_carry(g, r, n->seen[between(&n->p, 0, n->n_seen - 1)], NULL);
    Value results[4];
    uint32_t axes[4], n_results = 0, iters[2][5], count[2] = {0, 0};
    for (uint32_t l = 0; l < 5; l++) {
        int64_t c = between(&n->p, 0, 1);
        iters[c][count[c]++] = l;
    }
    bool two = layers && count[0] && count[1];
    static const uint32_t all[] = {0, 1, 2, 3, 4};
    if (!layers)
        random_class(n, r, NULL, 0, results, axes, &n_results);
    else if (!two)
        random_class(n, r, all, 5, results, axes, &n_results);
    for (uint32_t c = 0; c < 2 && two; c++)
        random_class(n, r, iters[c], count[c], results, axes, &n_results);
    graph_recur_end(g, r, n->b);
    const Recur *x = graph_node(g, r)->recur;
    for (uint32_t k = 0; k < x->carry.n; k++) seen(n, x->carry.data[k].final);
    for (uint32_t k = 0; k < n_results; k++)
        use_result(n, results[k], axes[k], graph_value(g, results[k])->dims[axes[k]]);
}

static void random_block(Gen *n) {
    for (int64_t k = between(&n->p, 1, 3); k > 0; k--) {
        bool deep = n->level == 0 || between(&n->p, 0, (int64_t)(4 * n->level)) == 0;
        if (deep && n->level < 3 && n->n_equations < 30) random_recurrence(n);
        random_equation(n);
        n->n_equations++;
    }
}

static void check_random_recurrence(uint64_t seed) {
    Arena *arena = arena_new();
    Graph *g = graph_new(arena, names_new(arena), sizes_new(arena), "random");
    Gen n = {.g = g, .b = &g->top, .p = {.g = g, .seed = seed * 77777}};
    Size three = size_num(g->sizes, DIM);
    seen(&n, new_param(&n, &three, 1));
    random_block(&n);
    ExprId i = expr_idx(g, 0), e = expr_num(g, 0);
    for (uint32_t k = n.n_seen > 4 ? n.n_seen - 4 : 0; k < n.n_seen; k++)
        e = expr_fn2(g, F_add, e, expr_read(g, n.seen[k], &i, 1));
    e = expr_fn2(g, F_mul, e, expr_fn1(g, F_cos, expr_real(g, i)));
    graph_output(g, OUT_LOSS, "loss",
                 graph_eq(g, &g->top, NULL, 0, RED_SUM, &three, 1, e, 0, "loss", nowhere), 0);
    char name[40];
    snprintf(name, sizeof name, "recurrence %u", (unsigned)seed);
    Axis axes[] = {{"T", 1 + (int64_t)(seed % 5)}, {NULL, 0}};
    check_graph(name, g, axes, false, seed);
    arena_free(arena);
}

int main(int argc, char **argv) {
    unsigned many = argc > 1 ? (unsigned)atoi(argv[1]) : 150;
    for (unsigned k = 0; k < many; k++) check_random(k + 1);
    for (unsigned k = 0; k < many; k++) check_random_recurrence(k + 1);
    return failures != 0;
}
