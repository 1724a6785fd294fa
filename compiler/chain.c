/* The chain rule through one scalar expression; see chain.h.
 *
 * Requires: operands have lower ids than what is made of them (hash-consing gives that).
 * Maintains: what flows back through an arm of a select is computed under the select's condition,
 *   products and all, so what an arm that is not taken would give (0*inf, reads outside) never
 *   arises.
 * Cost: linear in the expression for each select in it.
 *
 * The expression is walked by regions: what is evaluated whenever the region's root is. An arm of
 * a select is a region of its own; it ends at reads and at what the regions around evaluate
 * anyway, so shared parts are differentiated once and nested selects do not double the work. */
#include "chain.h"

#include <stdlib.h>
#include <string.h>

typedef struct Dag {
    Chain *c;
    Graph *g;
    ExprId *id; /* rising; all below the root */
    uint32_t n, words;
    bool *want; /* a derivative passes through to a wanted read */
    bool selects;
    uint64_t *always; /* [n][words] what is evaluated whenever this is */
    ExprId y;         /* stands for the last expression, or 0 */
} Dag;

typedef struct Ids {
    Arena *arena;
    VEC(ExprId) all;
} Ids;

static void add_id(Graph *g, ExprId e, void *user) {
    Ids *ids = user;
    (void)g;
    *PUSH(ids->arena, &ids->all) = e;
}

static int by_id(const void *a, const void *b) {
    ExprId x = *(const ExprId *)a, y = *(const ExprId *)b;
    return x < y ? -1 : x > y;
}

static uint32_t place_of(const Dag *d, ExprId e) {
    const ExprId *p = bsearch(&e, d->id, d->n, sizeof *d->id, by_id);
    return (uint32_t)(p - d->id);
}

static uint32_t operand(const Dag *d, uint32_t i, uint32_t k) {
    return place_of(d, expr_arg(d->g, d->id[i], k));
}

static bool wants(Dag *d, uint32_t i) {
    const Expr x = *graph_expr(d->g, d->id[i]);
    if (x.type != T_REAL) return false;
    switch ((ExprOp)x.op) {
    case X_READ: return d->c->wanted(d->c, x.value);
    case X_SELECT: return d->want[operand(d, i, 1)] || d->want[operand(d, i, 2)];
    case X_FN:
        for (uint32_t k = 0; k < x.n_args; k++)
            if (d->want[operand(d, i, k)] && derivative_kind((Fn)x.fn, k) != D_ZERO) return true;
        return false;
    default: return false;
    }
}

static bool in_set(const uint64_t *set, uint32_t i) { return set && set[i / 64] >> (i % 64) & 1; }

static void set_always(Dag *d, uint32_t i) {
    const Expr x = *graph_expr(d->g, d->id[i]);
    uint64_t *own = d->always + (size_t)i * d->words;
    own[i / 64] |= (uint64_t)1 << (i % 64);
    const uint64_t *arm[3] = {NULL, NULL, NULL};
    for (uint32_t k = 0; k < x.n_args; k++) {
        const uint64_t *a = d->always + (size_t)operand(d, i, k) * d->words;
        if (x.op == X_SELECT) arm[k] = a;
        for (uint32_t w = 0; w < d->words && (x.op != X_SELECT || k == 0); w++) own[w] |= a[w];
    }
    for (uint32_t w = 0; w < d->words && x.op == X_SELECT; w++) own[w] |= arm[1][w] & arm[2][w];
}

static void dag_of(Chain *c, ExprId root, ExprId y, Dag *d) {
    Ids ids = {.arena = c->scratch};
    expr_walk(c->g, root, add_id, &ids);
    qsort(ids.all.data, ids.all.n, sizeof *ids.all.data, by_id);
    *d = (Dag){.c = c, .g = c->g, .id = ids.all.data, .n = ids.all.n, .y = y};
    d->words = (d->n + 63) / 64;
    d->want = NEWN(c->scratch, bool, d->n);
    for (uint32_t i = 0; i < d->n; i++) {
        d->want[i] = wants(d, i);
        d->selects = d->selects || (d->want[i] && graph_expr(d->g, d->id[i])->op == X_SELECT);
    }
    if (!d->selects) return;
    d->always = NEWN(c->scratch, uint64_t, (size_t)d->n * d->words);
    for (uint32_t i = 0; i < d->n; i++) set_always(d, i);
}

/* What flows to argument k of the function at i when dy flows to it (or the tangent, forward). */
static ExprId through(Dag *d, uint32_t i, uint32_t k, ExprId dy) {
    const Expr x = *graph_expr(d->g, d->id[i]);
    DerivativeKind kind = derivative_kind((Fn)x.fn, k);
    if (kind == D_MISSING) d->c->missing = (Fn)x.fn;
    if (kind != D_FORMULA) return 0;
    ExprId args[2] = {expr_arg(d->g, d->id[i], 0), x.n_args > 1 ? expr_arg(d->g, d->id[i], 1) : 0};
    ExprId y = d->y && i == d->n - 1 ? d->y : d->id[i];
    return derivative_of(d->c->formulas, (Fn)x.fn, k, args, y, dy);
}

static ExprId add(Graph *g, ExprId a, ExprId b) {
    if (!a || !b) return a ? a : b;
    return expr_fn2(g, F_add, a, b);
}

static ExprId pick(Graph *g, ExprId cond, ExprId a, ExprId b) {
    if (!a && !b) return 0;
    ExprId zero = expr_num(g, 0);
    return expr_select(g, cond, a ? a : zero, b ? b : zero);
}

/* flow[j] for the reads of the region below root and for what stops it. */
static void region(Dag *d, uint32_t root, ExprId seed, const uint64_t *stop, ExprId *flow) {
    Arena *a = d->c->scratch;
    ExprId *adj = NEWN(a, ExprId, root + 1);
    adj[root] = seed;
    for (uint32_t i = root + 1; i-- > 0;) {
        const Expr x = *graph_expr(d->g, d->id[i]);
        if (!adj[i] || !d->want[i]) continue;
        if (x.op == X_READ || in_set(stop, i)) {
            flow[i] = adj[i];
        } else if (x.op == X_FN) {
            for (uint32_t k = 0; k < x.n_args; k++) {
                uint32_t j = operand(d, i, k);
                if (d->want[j]) adj[j] = add(d->g, adj[j], through(d, i, k, adj[i]));
            }
        } else {
            uint64_t *inner = NEWN(a, uint64_t, d->words);
            for (uint32_t w = 0; w < d->words; w++)
                inner[w] = (stop ? stop[w] : 0) | d->always[(size_t)root * d->words + w];
            ExprId *then = NEWN(a, ExprId, i), *other = NEWN(a, ExprId, i);
            region(d, operand(d, i, 1), adj[i], inner, then);
            region(d, operand(d, i, 2), adj[i], inner, other);
            ExprId cond = expr_arg(d->g, d->id[i], 0);
            for (uint32_t j = 0; j < i; j++)
                adj[j] = add(d->g, adj[j], pick(d->g, cond, then[j], other[j]));
        }
    }
}

void chain_backward(Chain *c, ExprId root, ExprId y, ExprId seed, Leaves *out) {
    Dag d;
    dag_of(c, root, y, &d);
    if (!d.want[d.n - 1]) return;
    ExprId *flow = NEWN(c->scratch, ExprId, d.n);
    region(&d, d.n - 1, seed, NULL, flow);
    const uint64_t *sure = d.always ? d.always + (size_t)(d.n - 1) * d.words : NULL;
    for (uint32_t i = 0; i < d.n; i++)
        if (flow[i])
            *PUSH(c->scratch, &out->all) = (Leaf){d.id[i], flow[i], sure && !in_set(sure, i)};
}

ExprId chain_forward(Chain *c, ExprId root, ExprId y) {
    Dag d;
    dag_of(c, root, y, &d);
    ExprId *tan = NEWN(c->scratch, ExprId, d.n);
    for (uint32_t i = 0; i < d.n; i++) {
        const Expr x = *graph_expr(d.g, d.id[i]);
        if (!d.want[i]) continue;
        if (x.op == X_READ)
            tan[i] = c->tangent(c, d.id[i]);
        else if (x.op == X_SELECT)
            tan[i] = pick(d.g, expr_arg(d.g, d.id[i], 0), tan[operand(&d, i, 1)],
                          tan[operand(&d, i, 2)]);
        for (uint32_t k = 0; x.op == X_FN && k < x.n_args; k++) {
            ExprId t = tan[operand(&d, i, k)];
            if (t) tan[i] = add(d.g, tan[i], through(&d, i, k, t));
        }
    }
    return tan[d.n - 1];
}

void chain_reads(Chain *c, ExprId root, Leaves *out) {
    Dag d;
    dag_of(c, root, 0, &d);
    bool *reached = NEWN(c->scratch, bool, d.n);
    reached[d.n - 1] = d.want[d.n - 1];
    for (uint32_t i = d.n; i-- > 0;) {
        const Expr x = *graph_expr(d.g, d.id[i]);
        if (!reached[i]) continue;
        if (x.op == X_READ) *PUSH(c->scratch, &out->all) = (Leaf){d.id[i], 0, false};
        uint32_t first = x.op == X_SELECT ? 1 : 0, end = x.op == X_READ ? 0 : x.n_args;
        for (uint32_t k = first; k < end; k++) {
            uint32_t j = operand(&d, i, k);
            bool passes = x.op == X_SELECT || derivative_kind((Fn)x.fn, k) != D_ZERO;
            if (d.want[j] && passes) reached[j] = true;
        }
    }
}
