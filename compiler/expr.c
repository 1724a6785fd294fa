/* Expressions: hash-consing, the builders with their folding, mapping and walking.
 *
 * Folding loses nothing: a folded expression has the value the unfolded one has, bit for bit in
 * float64, whenever the unfolded one has a value at all, and its type. The one exception is
 * x + 0 = x for real x, which turns -0 + 0 = +0 into -0. In particular x*0 stays for real x (NaN,
 * infinities), and comparisons of reals are not turned around (NaN). */
#include "expr.h"

#include <string.h>

/* ---- hash-consing -------------------------------------------------------------------------- */

static uint64_t bits_of(const Expr *e) {
    uint64_t b;
    memcpy(&b, &e->num, sizeof b);
    return b;
}

static uint64_t expr_hash(const Expr *e, const ExprId *args) {
    uint64_t h = hash_mix((uint64_t)e->op << 8 | e->fn, bits_of(e));
    for (uint32_t i = 0; i < e->n_args; i++) h = hash_mix(h, args[i]);
    return h ^ (h >> 29);
}

static void table_grow(Graph *g) {
    uint32_t cap = g->expr_table_cap ? g->expr_table_cap * 2 : 256;
    uint32_t *table = NEWN(g->arena, uint32_t, cap);
    for (uint32_t i = 1; i < g->exprs.n; i++) {
        const Expr *e = &g->exprs.data[i];
        uint32_t at = (uint32_t)expr_hash(e, g->args.data + e->args) & (cap - 1);
        while (table[at]) at = (at + 1) & (cap - 1);
        table[at] = i;
    }
    g->expr_table = table;
    g->expr_table_cap = cap;
}

static Type arithmetic_type(Graph *g, const ExprId *args, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (graph_type(g, args[i]) == T_REAL) return T_REAL;
    return T_INT;
}

static Type type_of(Graph *g, const Expr *e, const ExprId *args) {
    switch ((ExprOp)e->op) {
    case X_NUM:
    case X_RANDOM: return T_REAL;
    case X_READ: return (Type)g->values.data[e->value].type;
    case X_SELECT: return arithmetic_type(g, args + 1, 2);
    case X_FN:
        switch (fn_info[e->fn].type) {
        case 'r': return T_REAL;
        case 's': return arithmetic_type(g, args, e->n_args);
        default: return T_INT;
        }
    default: return T_INT;
    }
}

static bool same_expr(Graph *g, const Expr *a, const Expr *b, const ExprId *args) {
    return a->op == b->op && a->fn == b->fn && a->n_args == b->n_args && bits_of(a) == bits_of(b) &&
           (a->n_args == 0 || memcmp(g->args.data + a->args, args, sizeof *args * a->n_args) == 0);
}

ExprId expr_raw(Graph *g, ExprOp op, Fn fn, uint64_t bits, const ExprId *args, uint32_t n) {
    Expr x;
    memset(&x, 0, sizeof x);
    x.op = (uint8_t)op;
    x.fn = (uint8_t)fn;
    x.n_args = (uint16_t)n;
    if (op == X_READ || op == X_SIZE)
        x.value = (Value)bits;
    else
        memcpy(&x.num, &bits, sizeof bits);
    if (g->exprs.n * 2 >= g->expr_table_cap) table_grow(g);
    uint32_t at = (uint32_t)expr_hash(&x, args) & (g->expr_table_cap - 1);
    for (; g->expr_table[at]; at = (at + 1) & (g->expr_table_cap - 1))
        if (same_expr(g, &g->exprs.data[g->expr_table[at]], &x, args)) return g->expr_table[at];
    x.type = (uint8_t)type_of(g, &x, args);
    x.args = g->args.n;
    for (uint32_t i = 0; i < n; i++) *PUSH(g->arena, &g->args) = args[i];
    *PUSH(g->arena, &g->exprs) = x;
    return g->expr_table[at] = g->exprs.n - 1;
}

Type graph_type(Graph *g, ExprId e) { return (Type)g->exprs.data[e].type; }

int expr_compare(Graph *g, ExprId a, ExprId b) {
    while (a != b) {
        const Expr x = *graph_expr(g, a), y = *graph_expr(g, b);
        if (x.op != y.op) return x.op < y.op ? -1 : 1;
        if (x.fn != y.fn) return x.fn < y.fn ? -1 : 1;
        if (x.op != X_NUM && x.op != X_READ && x.op != X_SIZE && x.i != y.i)
            return x.i < y.i ? -1 : 1;
        if (bits_of(&x) != bits_of(&y)) return bits_of(&x) < bits_of(&y) ? -1 : 1;
        if (x.n_args != y.n_args) return x.n_args < y.n_args ? -1 : 1;
        uint32_t k = 0; /* equal operands have equal ids, so the first two ids that differ decide */
        while (k < x.n_args && g->args.data[x.args + k] == g->args.data[y.args + k]) k++;
        if (k == x.n_args) return 0;
        a = g->args.data[x.args + k];
        b = g->args.data[y.args + k];
    }
    return 0;
}

/* ---- leaves -------------------------------------------------------------------------------- */

ExprId expr_num(Graph *g, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return expr_raw(g, X_NUM, F_NONE, bits, NULL, 0);
}

ExprId expr_int(Graph *g, int64_t v) { return expr_raw(g, X_INT, F_NONE, (uint64_t)v, NULL, 0); }

ExprId expr_size(Graph *g, Size s) {
    int64_t n;
    if (size_is_num(g->sizes, s, &n)) return expr_int(g, n);
    return expr_raw(g, X_SIZE, F_NONE, s, NULL, 0);
}

ExprId expr_idx(Graph *g, uint32_t k) { return expr_raw(g, X_IDX, F_NONE, k, NULL, 0); }
ExprId expr_lvl(Graph *g, uint32_t level) { return expr_raw(g, X_LVL, F_NONE, level, NULL, 0); }
ExprId expr_pos(Graph *g, uint32_t level) { return expr_raw(g, X_POS, F_NONE, level, NULL, 0); }

ExprId expr_read(Graph *g, Value v, const ExprId *subs, uint32_t n) {
    return expr_raw(g, X_READ, F_NONE, v, subs, n);
}

ExprId expr_random(Graph *g, uint32_t place, const ExprId *args, uint32_t n) {
    return expr_raw(g, X_RANDOM, F_NONE, place, args, n);
}

bool expr_is_int(Graph *g, ExprId e, int64_t *v) {
    const Expr *x = graph_expr(g, e);
    if (x->op != X_INT) return false;
    *v = x->i;
    return true;
}

bool expr_is_num(Graph *g, ExprId e, double *v) {
    const Expr *x = graph_expr(g, e);
    if (x->op != X_NUM) return false;
    *v = x->num;
    return true;
}

/* The value of a literal of either type, if a double holds it exactly. */
static bool literal(Graph *g, ExprId e, double *v) {
    int64_t i;
    if (expr_is_num(g, e, v)) return true;
    if (!expr_is_int(g, e, &i) || i > (int64_t)1 << 53 || i < -((int64_t)1 << 53)) return false;
    *v = (double)i;
    return true;
}

static bool is_literal(Graph *g, ExprId e, double v) {
    double x;
    return literal(g, e, &x) && x == v;
}

/* ---- folding ------------------------------------------------------------------------------- */

ExprId expr_real(Graph *g, ExprId e) {
    return graph_type(g, e) == T_REAL ? e : expr_fn(g, F_real, &e);
}

static ExprId as_type(Graph *g, ExprId e, Type t) { return t == T_REAL ? expr_real(g, e) : e; }

static bool is_comparison(Fn f) { return f >= F_eq && f <= F_ge; }

/* Is e 0 or 1 by its making? */
static bool is_truth(Graph *g, ExprId e) {
    const Expr *x = graph_expr(g, e);
    if (x->op == X_INT) return x->i == 0 || x->i == 1;
    return x->op == X_FN &&
           (is_comparison((Fn)x->fn) || x->fn == F_and || x->fn == F_or || x->fn == F_not);
}

static ExprId truth(Graph *g, ExprId e) {
    return is_truth(g, e) ? e : expr_fn2(g, F_ne, e, expr_int(g, 0));
}

static bool compare_numbers(Fn f, double a, double b) {
    switch (f) {
    case F_eq: return a == b;
    case F_ne: return a != b;
    case F_lt: return a < b;
    case F_le: return a <= b;
    case F_gt: return a > b;
    default: return a >= b;
    }
}

static ExprId fold_comparison(Graph *g, Fn f, const ExprId *x) {
    double a, b;
    if (literal(g, x[0], &a) && literal(g, x[1], &b)) return expr_int(g, compare_numbers(f, a, b));
    if (graph_type(g, x[0]) != T_INT || graph_type(g, x[1]) != T_INT) return 0;
    int known = affine_compare(g, f, x[0], x[1]);
    return known < 0 ? 0 : expr_int(g, known);
}

static Fn opposite(Fn f) {
    switch (f) {
    case F_eq: return F_ne;
    case F_ne: return F_eq;
    case F_lt: return F_ge;
    case F_le: return F_gt;
    case F_gt: return F_le;
    case F_ge: return F_lt;
    default: return F_NONE;
    }
}

static ExprId fold_not(Graph *g, ExprId a) {
    double v;
    if (literal(g, a, &v)) return expr_int(g, v == 0);
    const Expr x = *graph_expr(g, a);
    if (x.op != X_FN) return 0;
    ExprId p = expr_arg(g, a, 0);
    if (x.fn == F_not) return truth(g, p);
    if (!is_comparison((Fn)x.fn)) return 0;
    ExprId q = expr_arg(g, a, 1);
    bool ints = graph_type(g, p) == T_INT && graph_type(g, q) == T_INT;
    if (ints || x.fn == F_eq || x.fn == F_ne) return expr_fn2(g, opposite((Fn)x.fn), p, q);
    return 0;
}

static ExprId fold_logic(Graph *g, Fn f, const ExprId *x) {
    bool absorbing = f == F_or; /* the truth value that decides alone */
    for (int k = 0; k < 2; k++) {
        double v;
        if (!literal(g, x[k], &v)) continue;
        return (v != 0) == absorbing ? expr_int(g, absorbing) : truth(g, x[1 - k]);
    }
    return x[0] == x[1] ? truth(g, x[0]) : 0;
}

static ExprId fold_int_pick(Graph *g, Fn f, const ExprId *x) {
    if (x[0] == x[1]) return x[0];
    int known = affine_compare(g, F_ge, x[0], x[1]);
    if (known < 0) return 0;
    return (f == F_max) == (known == 1) ? x[0] : x[1];
}

static ExprId fold_ints(Graph *g, Fn f, const ExprId *x) {
    int64_t v;
    switch (f) {
    case F_neg: return affine_negative(g, x[0]);
    case F_add:
    case F_sub: return affine_sum(g, f, x[0], x[1]);
    case F_mul: return affine_product(g, x[0], x[1]);
    case F_idiv:
    case F_imod: return affine_divide(g, f, x[0], x[1]);
    case F_max:
    case F_min: return fold_int_pick(g, f, x);
    case F_relu: return expr_is_int(g, x[0], &v) ? expr_int(g, v > 0 ? v : 0) : 0;
    case F_abs: return expr_is_int(g, x[0], &v) && v != INT64_MIN ? expr_int(g, v < 0 ? -v : v) : 0;
    case F_round:
    case F_floor:
    case F_stop: return x[0];
    default: return 0;
    }
}

/* Arithmetic with a real result on literals. */
static ExprId fold_literals(Graph *g, Fn f, const ExprId *x) {
    double a, b = 0;
    if (!literal(g, x[0], &a) || (fn_info[f].arity == 2 && !literal(g, x[1], &b))) return 0;
    switch (f) {
    case F_neg: return expr_num(g, -a);
    case F_real:
    case F_stop: return expr_num(g, a);
    case F_add: return expr_num(g, a + b);
    case F_sub: return expr_num(g, a - b);
    case F_mul: return expr_num(g, a * b);
    case F_div: return b != 0 ? expr_num(g, a / b) : 0;
    case F_max: return a == a && b == b ? expr_num(g, a >= b ? a : b) : 0;
    case F_min: return a == a && b == b ? expr_num(g, a <= b ? a : b) : 0;
    default: return 0;
    }
}

static ExprId fold_reals(Graph *g, Fn f, const ExprId *x) {
    ExprId e = fold_literals(g, f, x);
    if (e) return e;
    switch (f) {
    case F_neg: {
        const Expr a = *graph_expr(g, x[0]);
        return a.op == X_FN && a.fn == F_neg ? expr_arg(g, x[0], 0) : 0;
    }
    case F_add:
        if (is_literal(g, x[1], 0)) return expr_real(g, x[0]);
        return is_literal(g, x[0], 0) ? expr_real(g, x[1]) : 0;
    case F_sub: return is_literal(g, x[1], 0) ? expr_real(g, x[0]) : 0;
    case F_mul:
        if (is_literal(g, x[1], 1)) return expr_real(g, x[0]);
        return is_literal(g, x[0], 1) ? expr_real(g, x[1]) : 0;
    case F_div:
    case F_pow: return is_literal(g, x[1], 1) ? expr_real(g, x[0]) : 0;
    case F_real: return graph_type(g, x[0]) == T_REAL ? x[0] : 0;
    default: return 0;
    }
}

ExprId expr_fn(Graph *g, Fn f, const ExprId *args) {
    uint32_t n = (uint32_t)fn_info[f].arity;
    ExprId e = 0, x[2] = {args[0], n > 1 ? args[1] : 0};
    char type = fn_info[f].type;
    if (is_comparison(f))
        e = fold_comparison(g, f, x);
    else if (f == F_not)
        e = fold_not(g, x[0]);
    else if (f == F_and || f == F_or)
        e = fold_logic(g, f, x);
    else if ((type == 's' || type == 'z') && arithmetic_type(g, x, n) == T_INT)
        e = fold_ints(g, f, x);
    else if (type != 'z')
        e = fold_reals(g, f, x);
    return e ? e : expr_raw(g, X_FN, f, 0, x, n);
}

ExprId expr_fn1(Graph *g, Fn f, ExprId a) { return expr_fn(g, f, &a); }

ExprId expr_fn2(Graph *g, Fn f, ExprId a, ExprId b) {
    ExprId x[2] = {a, b};
    return expr_fn(g, f, x);
}

ExprId expr_select(Graph *g, ExprId cond, ExprId a, ExprId b) {
    Type t = graph_type(g, a) == T_INT && graph_type(g, b) == T_INT ? T_INT : T_REAL;
    double v;
    if (literal(g, cond, &v)) return as_type(g, v != 0 ? a : b, t);
    /* An arm that asks the same again has its answer. */
    if (graph_expr(g, a)->op == X_SELECT && expr_arg(g, a, 0) == cond) a = expr_arg(g, a, 1);
    if (graph_expr(g, b)->op == X_SELECT && expr_arg(g, b, 0) == cond) b = expr_arg(g, b, 2);
    Type now = graph_type(g, a) == T_INT && graph_type(g, b) == T_INT ? T_INT : T_REAL;
    if (a == b) return as_type(g, a, t);
    ExprId x[3] = {cond, now == t ? a : expr_real(g, a), b};
    return expr_raw(g, X_SELECT, F_NONE, 0, x, 3);
}

/* ---- mapping ------------------------------------------------------------------------------- */

static uint32_t memo_place(const uint32_t *memo, uint32_t cap, uint32_t key) {
    uint32_t at = (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 40) & (cap - 1);
    while (memo[2 * at] && memo[2 * at] != key) at = (at + 1) & (cap - 1);
    return at;
}

static ExprId memo_get(const ExprMap *m, ExprId e) {
    return m->memo[2 * memo_place(m->memo, m->memo_cap, e) + 1];
}

static void memo_put(ExprMap *m, ExprId e, ExprId result) {
    if (m->memo_n * 2 >= m->memo_cap) {
        uint32_t cap = m->memo_cap * 2;
        uint32_t *memo = NEWN(m->scratch, uint32_t, 2 * (size_t)cap);
        for (uint32_t i = 0; i < m->memo_cap; i++) {
            if (!m->memo[2 * i]) continue;
            uint32_t at = memo_place(memo, cap, m->memo[2 * i]);
            memo[2 * at] = m->memo[2 * i];
            memo[2 * at + 1] = m->memo[2 * i + 1];
        }
        m->memo = memo;
        m->memo_cap = cap;
    }
    uint32_t at = memo_place(m->memo, m->memo_cap, e);
    m->memo_n += m->memo[2 * at] == 0;
    m->memo[2 * at] = e;
    m->memo[2 * at + 1] = result;
}

void expr_map_begin(ExprMap *m, Arena *scratch) {
    m->scratch = scratch;
    m->memo_n = 0;
    m->memo_cap = 32;
    m->memo = NEWN(scratch, uint32_t, 2 * m->memo_cap);
    memset(&m->stack, 0, sizeof m->stack);
}

static ExprId map_leaf(ExprMap *m, ExprId e) {
    const Expr x = *graph_expr(m->src, e);
    bool named = x.op == X_IDX || x.op == X_LVL || x.op == X_POS;
    ExprId r = named && m->leaf ? m->leaf(m, e, NULL) : 0;
    if (r) return r;
    return m->src == m->dst ? e : expr_raw(m->dst, (ExprOp)x.op, F_NONE, bits_of(&x), NULL, 0);
}

/* e with operands that have been mapped. */
static ExprId map_node(ExprMap *m, ExprId e) {
    const Expr x = *graph_expr(m->src, e);
    if (x.n_args == 0 && x.op != X_READ && x.op != X_RANDOM) return map_leaf(m, e);
    ExprId args[MAX_ARGS];
    bool same = m->src == m->dst;
    for (uint32_t k = 0; k < x.n_args; k++) {
        ExprId old = expr_arg(m->src, e, k);
        args[k] = memo_get(m, old);
        same = same && args[k] == old;
    }
    ExprId r = 0;
    if (x.op == X_READ && m->leaf) r = m->leaf(m, e, args);
    if (x.op != X_READ && m->node) r = m->node(m, e, args);
    if (r) return r;
    if (same) return e;
    switch ((ExprOp)x.op) {
    case X_FN: return expr_fn(m->dst, (Fn)x.fn, args);
    case X_SELECT: return expr_select(m->dst, args[0], args[1], args[2]);
    default: return expr_raw(m->dst, (ExprOp)x.op, F_NONE, bits_of(&x), args, x.n_args);
    }
}

ExprId expr_map(ExprMap *m, ExprId e) {
    uint32_t base = m->stack.n; /* leaf() may map other expressions meanwhile */
    *PUSH(m->scratch, &m->stack) = e;
    while (m->stack.n > base) {
        ExprId at = m->stack.data[m->stack.n - 1];
        uint32_t before = m->stack.n;
        if (!memo_get(m, at)) {
            const Expr x = *graph_expr(m->src, at);
            for (uint32_t k = x.n_args; k-- > 0;) {
                ExprId a = m->src->args.data[x.args + k];
                if (!memo_get(m, a)) *PUSH(m->scratch, &m->stack) = a;
            }
            if (m->stack.n > before) continue;
            ExprId r = map_node(m, at);
            memo_put(m, at, r);
        }
        m->stack.n--;
    }
    return memo_get(m, e);
}

/* ---- walking ------------------------------------------------------------------------------- */

/* Seen expressions and the path to the present one; small walks need no memory of their own. */
typedef struct Walk {
    Arena *arena; /* made when the first tables are too small */
    uint32_t *set, n, cap;
    VEC(uint32_t) stack;
    uint32_t first_set[128], first_stack[64];
} Walk;

/* Adds e; false if it was there. */
static bool walk_add(Walk *w, ExprId e) {
    if (w->n * 2 >= w->cap) {
        if (!w->arena) w->arena = arena_new();
        uint32_t cap = w->cap * 4, *old = w->set, old_cap = w->cap;
        w->set = NEWN(w->arena, uint32_t, cap);
        w->cap = cap;
        w->n = 0;
        for (uint32_t i = 0; i < old_cap; i++)
            if (old[i]) walk_add(w, old[i]);
    }
    uint32_t at = (uint32_t)((e * UINT64_C(0x9e3779b97f4a7c15)) >> 40) & (w->cap - 1);
    while (w->set[at] && w->set[at] != e) at = (at + 1) & (w->cap - 1);
    if (w->set[at]) return false;
    w->set[at] = e;
    w->n++;
    return true;
}

static void walk_push(Walk *w, uint32_t item) {
    if (w->stack.n == w->stack.cap && !w->arena) w->arena = arena_new();
    *PUSH(w->arena, &w->stack) = item;
}

/* The stack holds an expression twice: before its operands were pushed (LEAVE clear) and after. */
void expr_walk(Graph *g, ExprId e, void (*fn)(Graph *g, ExprId e, void *user), void *user) {
    static const uint32_t LEAVE = (uint32_t)1 << 31;
    Walk w;
    memset(&w, 0, sizeof w);
    w.set = w.first_set;
    w.cap = sizeof w.first_set / sizeof *w.first_set;
    w.stack.data = w.first_stack;
    w.stack.cap = sizeof w.first_stack / sizeof *w.first_stack;
    walk_push(&w, e);
    while (w.stack.n) {
        uint32_t top = w.stack.data[--w.stack.n];
        if (top & LEAVE) {
            fn(g, top & ~LEAVE, user);
            continue;
        }
        if (!walk_add(&w, top)) continue;
        walk_push(&w, top | LEAVE);
        const Expr x = *graph_expr(g, top);
        for (uint32_t k = x.n_args; k-- > 0;) walk_push(&w, g->args.data[x.args + k]);
    }
    if (w.arena) arena_free(w.arena);
}
