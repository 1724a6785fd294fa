/* Parameters and scalar operations of a graph.
 *
 * requires: a graph that graph_verify accepts; best after graph_simplify.
 * cost: linear. */
#include "report.h"

#include "edit.h"

#include <string.h>

typedef struct Flops {
    Graph *g;
    Walk walk, inner;
    FlopCount count;
    Size times;     /* how often the block at work is run */
    uint32_t along; /* recurrences along an axis around it */
} Flops;

static Size add(Graph *g, Size a, Size b) { return size_add(g->sizes, a, b); }

/* ---- one expression -------------------------------------------------------------------------- */

static void count_op(Walk *w, ExprId e, void *user) {
    const Expr *x = graph_expr(w->g, e);
    if (x->op == X_FN && x->type == T_REAL && x->fn != F_real && x->fn != F_stop)
        ++*(int64_t *)user;
}

static void note_index(Walk *w, ExprId e, void *user) {
    const Expr *x = graph_expr(w->g, e);
    if (x->op == X_IDX) *(uint64_t *)user |= UINT64_C(1) << x->i;
}

static uint64_t indices(Flops *f, ExprId e) {
    uint64_t set = 0;
    walk_expr(&f->inner, e, note_index, &set);
    return set;
}

typedef struct Product {
    Flops *f;
    uint64_t own;       /* the indices of the result */
    uint64_t factor[2]; /* of the factors, gathered into two */
    uint32_t n_factors;
    const Size *size; /* of the indices */
    bool overlaps, patches, by_param;
} Product;

static bool at_least(Graph *g, Size a, Size b) {
    return size_nonneg(g->sizes, size_sub(g->sizes, a, b));
}

/* a*o + b*r with 0 <= r < a/b, or the other way round: o and r are two parts of one axis. */
static bool is_split(Product *p, ExprId sub) {
    Graph *g = p->f->g;
    Affine a;
    if (!expr_affine(g, sub, &a)) return false;
    for (uint32_t i = 0; i < a.n; i++)
        for (uint32_t k = 0; k < a.n; k++) {
            const Expr x = *graph_expr(g, a.atom[i]), y = *graph_expr(g, a.atom[k]);
            if (x.op != X_IDX || y.op != X_IDX) return false;
            bool mixed = (p->own >> x.i & 1) && !(p->own >> y.i & 1);
            if (mixed && !at_least(g, a.coef[i], size_mul(g->sizes, a.coef[k], p->size[y.i])) &&
                !at_least(g, a.coef[k], size_mul(g->sizes, a.coef[i], p->size[x.i])))
                return false;
        }
    return true;
}

static void note_subscripts(Walk *w, ExprId e, void *user) {
    Product *p = user;
    Graph *g = w->g;
    const Expr x = *graph_expr(g, e);
    if (x.op != X_READ) return;
    uint64_t all = indices(p->f, e);
    bool param = graph_node(g, graph_value(g, x.value)->node)->kind == N_PARAM;
    p->by_param |= param && (all & p->own) && (all & ~p->own);
    uint32_t split = 0;
    for (uint32_t k = 0; k < x.n_args; k++) {
        uint64_t set = indices(p->f, expr_arg(g, e, k));
        if (!(set & p->own) || !(set & ~p->own)) continue;
        if (is_split(p, expr_arg(g, e, k)))
            split++;
        else
            p->overlaps = true;
    }
    p->patches |= split > 1; /* a kernel as wide as its stride, in two directions */
}

/* Factors of the product below guards; each counts where it reads something. */
static void note_factors(Product *p, ExprId e) {
    Graph *g = p->f->g;
    const Expr x = *graph_expr(g, e);
    bool guard = x.op == X_SELECT && is_literal(g, expr_arg(g, e, 2), 0);
    if (guard) {
        note_factors(p, expr_arg(g, e, 1));
    } else if (x.op == X_FN && x.fn == F_mul) {
        note_factors(p, expr_arg(g, e, 0));
        note_factors(p, expr_arg(g, e, 1));
    } else if (indices(p->f, e)) {
        if (p->n_factors < 2) p->factor[p->n_factors] = indices(p->f, e);
        p->n_factors++;
    }
}

static Size *kind_of(Flops *f, const Node *n) {
    if (f->along) return &f->count.recurrence;
    if (n->kind != N_EQ || n->red != RED_SUM) return &f->count.rest;
    const ValueInfo v = *graph_value(f->g, n->out);
    Size size[2 * MAX_RANK];
    memcpy(size, v.dims, v.rank * sizeof *size);
    memcpy(size + v.rank, n->extra, n->n_extra * sizeof *size);
    Product p = {.f = f, .own = (UINT64_C(1) << v.rank) - 1, .size = size};
    note_factors(&p, n->expr);
    walk_expr(&f->walk, n->expr, note_subscripts, &p);
    uint64_t a = p.factor[0], b = p.factor[1];
    if (p.n_factors != 2 || !(a & b & ~p.own)) return &f->count.rest;
    if (p.overlaps || p.patches) return &f->count.convolution;
    bool matrix = (a & ~b & p.own) && (b & ~a & p.own);
    return matrix || p.by_param ? &f->count.linear : &f->count.rest;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void count_node(Flops *f, const Node *n) {
    Graph *g = f->g;
    int64_t ops = n->red != RED_NONE || n->kind == N_SCATTER;
    walk_expr(&f->walk, n->expr, count_op, &ops);
    Size points = sizes_product(g, n->extra, n->n_extra);
    if (n->kind == N_EQ) points = size_mul(g->sizes, points, value_size(g, n->out));
    points = size_mul(g->sizes, points, f->times);
    Size *kind = kind_of(f, n);
    bool product = kind == &f->count.convolution || kind == &f->count.linear;
    int64_t main = product && ops >= 2 ? 2 : ops;
    *kind = add(g, *kind, size_mul(g->sizes, points, size_num(g->sizes, main)));
    f->count.rest =
        add(g, f->count.rest, size_mul(g->sizes, points, size_num(g->sizes, ops - main)));
}

static void count_block(Flops *f, const Block *b) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        const Node n = *graph_node(f->g, b->nodes.data[i]);
        if (n.kind == N_EQ || n.kind == N_SCATTER) count_node(f, &n);
        if (n.kind != N_RECUR) continue;
        Size times = f->times;
        f->along += !n.recur->layers;
        for (uint32_t c = 0; c < n.recur->classes.n; c++) {
            const RecurClass *x = &n.recur->classes.data[c];
            Size rounds = x->iters.n ? size_num(f->g->sizes, x->iters.n) : n.recur->length;
            f->times = size_mul(f->g->sizes, times, rounds);
            count_block(f, &x->body);
        }
        f->along -= !n.recur->layers;
        f->times = times;
    }
}

FlopCount graph_flops(Graph *g) {
    Arena *scratch = arena_new();
    Size zero = size_num(g->sizes, 0);
    Flops f = {.g = g, .walk = walk_new(g, scratch), .inner = walk_new(g, scratch)};
    f.count = (FlopCount){zero, zero, zero, zero, zero};
    f.times = size_num(g->sizes, 1);
    count_block(&f, &g->top);
    f.count.total = add(g, add(g, f.count.convolution, f.count.linear),
                        add(g, f.count.recurrence, f.count.rest));
    arena_free(scratch);
    return f.count;
}

/* ---- parameters ------------------------------------------------------------------------------ */

static int64_t numbers_in(Graph *g, const ParamInfo *p) {
    int64_t n = 0;
    return size_value(g->sizes, value_size(g, p->value), &n) ? n : 0;
}

ParamCount graph_params(Graph *g) {
    ParamCount c = {0, 0};
    for (uint32_t i = 0; i < g->params.n; i++) {
        int64_t n = numbers_in(g, &g->params.data[i]);
        c.total += n;
        c.trained += g->params.data[i].frozen ? 0 : n;
    }
    return c;
}

static const char *shape_of(Graph *g, const ParamInfo *p) {
    const ValueInfo *v = graph_value(g, p->value);
    Text t = text_new(g->arena);
    text_add(&t, "[");
    for (uint32_t k = p->family; k < v->rank; k++)
        text_printf(&t, k > p->family ? ", %s" : "%s", size_str(g->sizes, v->dims[k]));
    text_add(&t, "]");
    return t.data;
}

static void report_params(Graph *g, Text *out) {
    text_printf(out, "  %-48s %6s  %-20s %14s\n", "parameter", "times", "shape", "numbers");
    for (uint32_t i = 0; i < g->params.n; i++) {
        const ParamInfo *p = &g->params.data[i];
        const char *name = p->members.n ? p->members.data[0].name : "";
        text_printf(out, "  %-48s %6u  %-20s %14lld%s\n", name, p->members.n, shape_of(g, p),
                    (long long)numbers_in(g, p), p->frozen ? "  frozen" : "");
    }
    ParamCount c = graph_params(g);
    text_printf(out, "  parameters: %lld, trained %lld, frozen %lld\n", (long long)c.total,
                (long long)c.trained, (long long)(c.total - c.trained));
}

static void report_line(Graph *g, Text *out, const char *what, Size s) {
    text_printf(out, "    %-12s %s\n", what, s ? size_str(g->sizes, s) : "more than 2^53");
}

void graph_report(Graph *g, Text *out) {
    text_printf(out, "%s\n", g->entry);
    report_params(g, out);
    FlopCount c = graph_flops(g);
    text_add(out, "  scalar operations of one run (a multiply-add counts 2)\n");
    report_line(g, out, "convolution", c.convolution);
    report_line(g, out, "linear", c.linear);
    report_line(g, out, "recurrence", c.recurrence);
    report_line(g, out, "rest", c.rest);
    report_line(g, out, "total", c.total);
}
