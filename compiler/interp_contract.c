/* Sums over products, run as matrix products.
 *
 * The factors of the product are put into two groups A and B. An axis of the result that only A
 * depends on is one of m, one that only B depends on is one of n, any other one is batch; the
 * reduced axes are k. Groups are computed by plans of their own, tile by tile, into panels [m,k] and
 * [k,n], and the panels are multiplied. Each item still is a plain sum in row-major order of k. */
#include "interp_impl.h"

#include <string.h>

enum { MAX_FACTORS = 6 };

/* Some axes of one kind, outermost first, and the part of them at hand. */
typedef struct Side {
    uint32_t n;
    uint8_t axis[MAX_AXES];
    int64_t size[MAX_AXES], extent[MAX_AXES]; /* of a full tile */
    int64_t lo[MAX_AXES], hi[MAX_AXES];
    int64_t items; /* of the part at hand */
} Side;

struct Contract {
    Machine *m;
    Plan *a, *b;
    Side batch, rows, cols, depth; /* -, m, n, k */
    int64_t ostride[MAX_AXES];
    double *out;
};

typedef struct Group {
    uint32_t n;
    ExprId factors[MAX_FACTORS];
    bool divided[MAX_FACTORS];
    uint32_t dep;
} Group;

typedef struct Product {
    Graph *g;
    Group all;
    bool negative, ok;
} Product;

/* ---- recognising ----------------------------------------------------------------------------- */

static void see_index(Graph *g, ExprId e, void *user) {
    const Expr *x = graph_expr(g, e);
    if (x->op == X_IDX && x->i < MAX_AXES) *(uint32_t *)user |= 1u << x->i;
}

static void add_factor(Product *p, ExprId e, bool divided, uint32_t depth) {
    const Expr *x = graph_expr(p->g, e);
    bool real = x->type == T_REAL && x->op == X_FN && depth < 16;
    if (real && x->fn == F_mul && !divided) {
        add_factor(p, expr_arg(p->g, e, 0), false, depth + 1);
        add_factor(p, expr_arg(p->g, e, 1), false, depth + 1);
    } else if (real && x->fn == F_div && !divided) {
        add_factor(p, expr_arg(p->g, e, 0), false, depth + 1);
        add_factor(p, expr_arg(p->g, e, 1), true, depth + 1);
    } else if (real && x->fn == F_neg) {
        p->negative = !p->negative;
        add_factor(p, expr_arg(p->g, e, 0), divided, depth + 1);
    } else if (p->all.n == MAX_FACTORS) {
        p->ok = false;
    } else {
        p->all.factors[p->all.n] = e;
        p->all.divided[p->all.n++] = divided;
    }
}

static void group_add(Group *to, const Group *from, uint32_t i, Graph *g) {
    to->factors[to->n] = from->factors[i];
    to->divided[to->n++] = from->divided[i];
    expr_walk(g, from->factors[i], see_index, &to->dep);
}

static void side_add(Side *s, uint8_t axis, int64_t size) {
    s->axis[s->n] = axis;
    s->size[s->n++] = size;
}

static double side_items(const Side *s) {
    double n = 1;
    for (uint32_t i = 0; i < s->n; i++) n *= (double)s->size[i];
    return n;
}

static void set_sides(Contract *c, const Spec *s, uint32_t a, uint32_t b) {
    c->batch.n = c->rows.n = c->cols.n = c->depth.n = 0;
    for (uint32_t i = 0; i < s->n_out; i++) {
        uint8_t axis = s->out[i];
        bool in_a = a >> axis & 1, in_b = b >> axis & 1;
        side_add(in_a == in_b ? &c->batch : in_a ? &c->rows : &c->cols, axis, s->size[axis]);
    }
    for (uint32_t i = 0; i < s->n_red; i++)
        side_add(&c->depth, s->red_axis[i], s->size[s->red_axis[i]]);
}

/* Nanoseconds: the products, and the panels as often as they are filled. */
static double contract_cost(const Contract *c, uint32_t n_a, uint32_t n_b) {
    double m = side_items(&c->rows), n = side_items(&c->cols), k = side_items(&c->depth);
    double fill = 2 + (double)(n_a + n_b), m_tiles = m / TILE_M, n_tiles = n / TILE_N;
    return side_items(&c->batch) * (m * n * k * 0.4 + fill * m * k * (n_tiles > 1 ? n_tiles : 1) +
                                    fill * n * k * (m_tiles > 1 ? m_tiles : 1) + 2000);
}

/* The division of the factors into two groups that costs least; 0 = none below `cost`. */
static uint32_t best_groups(Contract *c, const Spec *s, const Product *p, double cost) {
    uint32_t dep[MAX_FACTORS], best = 0;
    for (uint32_t i = 0; i < p->all.n; i++) {
        dep[i] = 0;
        expr_walk(p->g, p->all.factors[i], see_index, &dep[i]);
    }
    for (uint32_t set = 1; set + 1 < 1u << p->all.n; set += 2) { /* the first factor is in A */
        uint32_t a = 0, b = 0, n_a = 0;
        for (uint32_t i = 0; i < p->all.n; i++) {
            if (set >> i & 1)
                a |= dep[i];
            else
                b |= dep[i];
            n_a += set >> i & 1;
        }
        set_sides(c, s, a, b);
        if (side_items(&c->rows) < 4 || side_items(&c->cols) < 4 || side_items(&c->depth) < 4)
            continue;
        double now = contract_cost(c, n_a, p->all.n - n_a);
        if (now >= cost) continue;
        cost = now;
        best = set;
    }
    return best;
}

/* ---- building -------------------------------------------------------------------------------- */

/* A panel: the group over the axes of two sides, the second one innermost. */
static Spec panel_spec(const Spec *s, const Group *g, const Side *x, const Side *y, bool negative) {
    Spec p = {.n_idx = s->n_idx,
              .n_factors = g->n,
              .factors = g->factors,
              .divided = g->divided,
              .negative = negative};
    memcpy(p.size, s->size, sizeof p.size);
    for (uint32_t i = 0; i < x->n; i++) p.out[p.n_out++] = x->axis[i];
    for (uint32_t i = 0; i < y->n; i++) p.out[p.n_out++] = y->axis[i];
    int64_t stride = 1;
    for (uint32_t i = p.n_out; i-- > 0; stride *= p.size[p.out[i]]) p.ostride[p.out[i]] = stride;
    return p;
}

/* Bits of neighbours within a side. */
static uint32_t side_pairs(const Side *s) {
    uint32_t bits = 0;
    for (uint32_t i = 0; i + 1 < s->n; i++) bits |= 1u << s->axis[i];
    return bits;
}

static uint32_t contiguous(const Side *s, const int64_t *ostride) {
    uint32_t bits = 0;
    for (uint32_t i = 0; i + 1 < s->n; i++)
        if (ostride[s->axis[i]] == ostride[s->axis[i + 1]] * s->size[i + 1])
            bits |= 1u << s->axis[i];
    return bits;
}

static void side_merge(Side *s, uint32_t merged) {
    uint32_t n = 0;
    int64_t product = 1;
    for (uint32_t i = 0; i < s->n; i++) {
        product *= s->size[i];
        if (merged >> s->axis[i] & 1) continue;
        s->axis[n] = s->axis[i];
        s->size[n++] = product;
        product = 1;
    }
    s->n = n;
}

/* Tiles of at most `most` points: whole inner axes, then a part of one, then single steps. */
static void side_tile(Side *s, int64_t most) {
    for (uint32_t i = s->n; i-- > 0;) {
        s->extent[i] = s->size[i] < most ? s->size[i] : most;
        most /= s->extent[i];
    }
}

static bool make_panels(Known *k, Contract *c, const Spec *s, Group *g, bool negative, Arena *a,
                        Arena *scratch) {
    Spec sa = panel_spec(s, &g[0], &c->rows, &c->depth, negative);
    Spec sb = panel_spec(s, &g[1], &c->depth, &c->cols, false);
    uint32_t may_a = plan_mergeable(k, &sa, scratch), may_b = plan_mergeable(k, &sb, scratch);
    uint32_t both = may_a & may_b & side_pairs(&c->depth);
    uint32_t merged_a = both | (may_a & contiguous(&c->rows, s->ostride));
    uint32_t merged_b = both | (may_b & contiguous(&c->cols, s->ostride));
    c->a = loops_plan(k, &sa, merged_a, c->m, a, scratch);
    c->b = loops_plan(k, &sb, merged_b, c->m, a, scratch);
    if (!c->a || !c->b) return false;
    side_merge(&c->rows, merged_a);
    side_merge(&c->depth, both);
    side_merge(&c->cols, merged_b);
    side_tile(&c->batch, 1);
    side_tile(&c->rows, TILE_M);
    side_tile(&c->cols, TILE_N);
    side_tile(&c->depth, TILE_K);
    return true;
}

Contract *contract_make(Known *k, const Spec *s, double cost, Machine *m, Arena *a,
                        Arena *scratch) {
    if (s->red != RED_SUM || s->ints || s->scatter || s->n_factors != 1) return NULL;
    Product p = {.g = k->g, .ok = true};
    add_factor(&p, s->factors[0], false, 0);
    if (!p.ok || p.all.n < 2) return NULL;
    Contract *c = NEW(a, Contract);
    c->m = m;
    uint32_t set = best_groups(c, s, &p, cost);
    if (!set) return NULL;
    Group *g = NEWN(a, Group, 2);
    for (uint32_t i = 0; i < p.all.n; i++) group_add(&g[set >> i & 1 ? 0 : 1], &p.all, i, k->g);
    set_sides(c, s, g[0].dep, g[1].dep);
    memcpy(c->ostride, s->ostride, sizeof c->ostride);
    return make_panels(k, c, s, g, p.negative, a, scratch) ? c : NULL;
}

uint32_t contract_slots(const Contract *c) {
    return c->a->n_slots > c->b->n_slots ? c->a->n_slots : c->b->n_slots;
}

void contract_place(Contract *c) {
    plan_place(c->a);
    plan_place(c->b);
}

/* ---- the product of two panels ---------------------------------------------------------------- */

/* C[m,n] += A[m,k] B[k,n] for 4 rows and 4 columns, k in order. */
static void product_4x4(const double *a, int64_t lda, const double *b, int64_t ldb, double *c,
                        int64_t ldc, int64_t depth) {
    double s[4][4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) s[i][j] = c[i * ldc + j];
    for (int64_t k = 0; k < depth; k++, b += ldb)
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) s[i][j] += a[i * lda + k] * b[j];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) c[i * ldc + j] = s[i][j];
}

static double product_one(const double *a, const double *b, int64_t ldb, double c, int64_t depth,
                          bool f32) {
    for (int64_t k = 0; k < depth; k++) {
        double x = a[k] * b[k * ldb];
        c = f32 ? (double)(float)(c + (double)(float)x) : c + x;
    }
    return c;
}

static void product(const double *a, const double *b, double *c, int64_t rows, int64_t cols,
                    int64_t depth, bool f32) {
    int64_t rows4 = f32 ? 0 : rows & ~(int64_t)3, cols4 = f32 ? 0 : cols & ~(int64_t)3;
    for (int64_t j = 0; j < cols4; j += 4)
        for (int64_t i = 0; i < rows4; i += 4)
            product_4x4(a + i * depth, depth, b + j, cols, c + i * cols + j, cols, depth);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = i < rows4 ? cols4 : 0; j < cols; j++)
            c[i * cols + j] = product_one(a + i * depth, b + j, cols, c[i * cols + j], depth, f32);
}

/* ---- tiles ----------------------------------------------------------------------------------- */

static void side_part(Side *s) {
    s->items = 1;
    for (uint32_t i = 0; i < s->n; i++) {
        s->hi[i] = s->lo[i] + s->extent[i] < s->size[i] ? s->lo[i] + s->extent[i] : s->size[i];
        s->items *= s->hi[i] - s->lo[i];
    }
}

static void side_begin(Side *s) {
    memset(s->lo, 0, sizeof s->lo);
    side_part(s);
}

static bool side_next(Side *s) {
    for (uint32_t i = s->n; i-- > 0;) {
        s->lo[i] += s->extent[i];
        if (s->lo[i] < s->size[i]) {
            side_part(s);
            return true;
        }
        s->lo[i] = 0;
    }
    return false;
}

static void restrict_plan(Plan *p, const Side *s, int64_t *stride) {
    for (uint32_t i = s->n; i-- > 0;) {
        p->lo[s->axis[i]] = s->lo[i];
        p->hi[s->axis[i]] = s->hi[i];
        p->ostride[s->axis[i]] = *stride;
        *stride *= s->hi[i] - s->lo[i];
    }
}

static bool fill(Plan *p, const Side *batch, const Side *outer, const Side *inner, double *panel) {
    int64_t stride = 1;
    restrict_plan(p, inner, &stride);
    restrict_plan(p, outer, &stride);
    for (uint32_t i = 0; i < batch->n; i++) p->cells[batch->axis[i]].i = batch->lo[i];
    p->out = (Cell *)panel;
    return plan_loops(p);
}

/* Where the points of a side stand in the result, in order. */
static void places(const Side *s, const int64_t *ostride, int64_t *at) {
    int64_t i[MAX_AXES];
    memcpy(i, s->lo, sizeof i);
    for (int64_t k = 0; k < s->items; k++) {
        at[k] = 0;
        for (uint32_t d = 0; d < s->n; d++) at[k] += i[d] * ostride[s->axis[d]];
        for (uint32_t d = s->n; d-- > 0;) {
            if (++i[d] < s->hi[d]) break;
            i[d] = s->lo[d];
        }
    }
}

static void put_tile(Contract *c, const double *tile) {
    int64_t row[TILE_M], col[TILE_N], base;
    places(&c->rows, c->ostride, row);
    places(&c->cols, c->ostride, col);
    places(&c->batch, c->ostride, &base);
    for (int64_t i = 0; i < c->rows.items; i++)
        for (int64_t j = 0; j < c->cols.items; j++) c->out[base + row[i] + col[j]] = *tile++;
}

static bool run_tile(Contract *c) {
    double *a = c->m->pack[0], *b = c->m->pack[1], *tile = c->m->pack[2];
    memset(tile, 0, (size_t)(c->rows.items * c->cols.items) * sizeof *tile);
    side_begin(&c->depth);
    do {
        if (!fill(c->a, &c->batch, &c->rows, &c->depth, a)) return false;
        if (!fill(c->b, &c->batch, &c->depth, &c->cols, b)) return false;
        product(a, b, tile, c->rows.items, c->cols.items, c->depth.items, c->m->f32);
    } while (side_next(&c->depth));
    put_tile(c, tile);
    return true;
}

bool contract_run(Contract *c, void *out) {
    c->out = out;
    plan_enter(c->a);
    plan_enter(c->b);
    side_begin(&c->batch);
    do {
        side_begin(&c->rows);
        do {
            side_begin(&c->cols);
            do {
                if (!run_tile(c)) return false;
            } while (side_next(&c->cols));
        } while (side_next(&c->rows));
    } while (side_next(&c->batch));
    return true;
}
