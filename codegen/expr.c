/* Expressions to IR.
 *
 * Requires: emit_fresh whenever the builder moves to where earlier code does not dominate, or the place
 * changes. Maintains: the lazy arms of X_SELECT (a branch where the condition is the same in every lane,
 * else masks); int indices as base and stride as long as they are one. Cost: linear in the distinct
 * expressions below the root. */
#include <math.h>

#include "emit_impl.h"

typedef struct Memo {
    Val *val;        /* by ExprId */
    uint32_t *round; /* by ExprId: val holds if it equals now */
    uint32_t now;
    Arena *arena;
    VEC(ExprId) journal; /* set since emit_fresh, in order */
} Memo;

Memo *memo_new(Arena *a, const Graph *g) {
    Memo *m = NEW(a, Memo);
    m->val = NEWN(a, Val, g->exprs.n + 1);
    m->round = NEWN(a, uint32_t, g->exprs.n + 1);
    m->now = 1;
    m->arena = a;
    return m;
}

void emit_fresh(Emit *e) {
    e->memo->now++;
    e->memo->journal.n = 0;
}

static void memo_undo(Memo *m, uint32_t mark) {
    while (m->journal.n > mark) m->round[m->journal.data[--m->journal.n]] = 0;
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool is_vector(V v) { return LLVMGetTypeKind(LLVMTypeOf(v)) == LLVMVectorTypeKind; }

Val val_real(Emit *e, V v) {
    (void)e;
    return (Val){.v = v, .kind = VAL_REAL, .vec = is_vector(v)};
}

static Val val_bool(V v) { return (Val){.v = v, .kind = VAL_BOOL, .vec = is_vector(v)}; }

bool val_fixed(Val v, int64_t *n) {
    if (v.kind != VAL_INT || v.stride || !LLVMIsAConstantInt(v.v)) return false;
    *n = (int64_t)LLVMConstIntGetSExtValue(v.v);
    return true;
}

Val val_int(V v) {
    Val r = {.v = v, .kind = VAL_INT, .align = 1};
    int64_t n;
    if (val_fixed(r, &n))
        r.align = n > INT32_MAX || n < -INT32_MAX ? 1 : (uint32_t)(n < 0 ? -n : n);
    return r;
}

Val val_const(Emit *e, int64_t n) { return val_int(emit_const(e, n)); }

Val val_lane(V base, uint32_t align) {
    Val r = val_int(base);
    if (r.align == 1 && !LLVMIsAConstantInt(base)) r.align = align;
    r.stride = 1;
    return r;
}

static Val val_ivec(V v) { return (Val){.v = v, .kind = VAL_IVEC, .vec = true, .align = 1}; }

/* Zero is a multiple of all: 0 takes part as the neutral element. */
static uint32_t gcd(uint32_t a, uint32_t b) {
    while (b) {
        uint32_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

static V lanes_times(Emit *e, uint32_t width, int64_t stride) {
    V *n = NEWN(e->arena, V, width);
    for (uint32_t i = 0; i < width; i++) n[i] = emit_const(e, (int64_t)i * stride);
    return LLVMConstVector(n, width);
}

V emit_int_vec(Emit *e, At *at, Val v) {
    if (v.kind == VAL_IVEC) return v.v;
    if (v.kind == VAL_BOOL) {
        V b = at->width > 1 && !v.vec ? emit_splat(e, at->width, v.v) : v.v;
        return LLVMBuildZExt(e->b, b, at->width > 1 ? LLVMVectorType(e->i64, at->width) : e->i64,
                             "");
    }
    if (at->width == 1) return v.v;
    V s = emit_splat(e, at->width, v.v);
    return v.stride ? LLVMBuildAdd(e->b, s, lanes_times(e, at->width, v.stride), "") : s;
}

/* An int as scalar where it is the same in all lanes, else as a vector. */
static V int_either(Emit *e, At *at, Val v) {
    if (v.kind == VAL_INT && !v.stride) return v.v;
    if (v.kind == VAL_BOOL && !v.vec) return LLVMBuildZExt(e->b, v.v, e->i64, "");
    return emit_int_vec(e, at, v);
}

static Val int_of(Emit *e, At *at, Val v) {
    if (v.kind != VAL_BOOL) return v;
    V i = int_either(e, at, v);
    return v.vec ? val_ivec(i) : val_int(i);
}

V emit_real(Emit *e, At *at, Val v) {
    if (v.kind == VAL_REAL) return v.v;
    V i = int_either(e, at, v);
    LLVMTypeRef t = is_vector(i) ? LLVMVectorType(e->f32, at->width) : e->f32;
    return LLVMBuildSIToFP(e->b, i, t, "");
}

V emit_real_vec(Emit *e, At *at, Val v) {
    V r = emit_real(e, at, v);
    return is_vector(r) ? r : emit_splat(e, at->width, r);
}

static V zero_like(V v) { return LLVMConstNull(LLVMTypeOf(v)); }

V emit_bool(Emit *e, At *at, Val v) {
    if (v.kind == VAL_BOOL) return v.v;
    if (v.kind == VAL_REAL) return LLVMBuildFCmp(e->b, LLVMRealUNE, v.v, zero_like(v.v), "");
    V i = int_either(e, at, v);
    return LLVMBuildICmp(e->b, LLVMIntNE, i, zero_like(i), "");
}

/* Both scalars, or both vectors. */
static void same_shape(Emit *e, uint32_t width, V *a, V *b) {
    if (is_vector(*a) == is_vector(*b)) return;
    if (is_vector(*a))
        *b = emit_splat(e, width, *b);
    else
        *a = emit_splat(e, width, *a);
}

/* ---- ints ------------------------------------------------------------------------------------- */

static Val int_result(V v) { return is_vector(v) ? val_ivec(v) : val_int(v); }

static bool plain_ints(Val a, Val b) { return a.kind == VAL_INT && b.kind == VAL_INT; }

Val val_add(Emit *e, At *at, Val a, Val b) {
    if (plain_ints(a, b)) {
        Val r = val_int(LLVMBuildAdd(e->b, a.v, b.v, ""));
        if (!LLVMIsAConstantInt(r.v)) r.align = gcd(a.align, b.align);
        r.stride = a.stride + b.stride;
        return r;
    }
    V x = int_either(e, at, a), y = int_either(e, at, b);
    same_shape(e, at->width, &x, &y);
    return int_result(LLVMBuildAdd(e->b, x, y, ""));
}

Val val_sub(Emit *e, At *at, Val a, Val b) {
    if (plain_ints(a, b)) {
        Val r = val_int(LLVMBuildSub(e->b, a.v, b.v, ""));
        if (!LLVMIsAConstantInt(r.v)) r.align = gcd(a.align, b.align);
        r.stride = a.stride - b.stride;
        return r;
    }
    V x = int_either(e, at, a), y = int_either(e, at, b);
    same_shape(e, at->width, &x, &y);
    return int_result(LLVMBuildSub(e->b, x, y, ""));
}

static uint32_t align_product(uint32_t a, uint32_t b) {
    uint64_t p = (uint64_t)a * b;
    return p <= INT32_MAX ? (uint32_t)p : a;
}

Val val_mul(Emit *e, At *at, Val a, Val b) {
    int64_t n;
    if (plain_ints(a, b) && !val_fixed(b, &n) && (val_fixed(a, &n) || (!b.stride && a.stride))) {
        Val t = a;
        a = b;
        b = t;
    }
    bool fixed = plain_ints(a, b) && val_fixed(b, &n);
    if (fixed || (plain_ints(a, b) && !a.stride && !b.stride)) {
        Val r = val_int(LLVMBuildMul(e->b, a.v, b.v, ""));
        if (!LLVMIsAConstantInt(r.v)) r.align = align_product(a.align, b.align);
        r.stride = fixed ? a.stride * n : 0;
        return r;
    }
    V x = int_either(e, at, a), y = int_either(e, at, b);
    same_shape(e, at->width, &x, &y);
    return int_result(LLVMBuildMul(e->b, x, y, ""));
}

typedef struct Quotient {
    V div, mod;
} Quotient;

/* Floor division of scalars or vectors; zero as divisor gives something, and nothing traps. */
static Quotient floor_divide(Emit *e, V x, V d, bool positive) {
    V zero = zero_like(d), minus_one = LLVMConstAllOnes(LLVMTypeOf(d)), minus = NULL, by = d;
    if (!positive) {
        minus = LLVMBuildICmp(e->b, LLVMIntEQ, d, minus_one, "");
        V bad = LLVMBuildOr(e->b, minus, LLVMBuildICmp(e->b, LLVMIntEQ, d, zero, ""), "");
        by = LLVMBuildSelect(e->b, bad, LLVMBuildSub(e->b, zero, minus_one, ""), d, "");
    }
    V q = LLVMBuildSDiv(e->b, x, by, ""), r = LLVMBuildSRem(e->b, x, by, "");
    V sign = LLVMBuildICmp(e->b, LLVMIntSLT, LLVMBuildXor(e->b, r, by, ""), zero, "");
    V low = LLVMBuildAnd(e->b, sign, LLVMBuildICmp(e->b, LLVMIntNE, r, zero, ""), "");
    q = LLVMBuildAdd(e->b, q, LLVMBuildSExt(e->b, low, LLVMTypeOf(q), ""), "");
    r = LLVMBuildAdd(e->b, r, LLVMBuildSelect(e->b, low, by, zero, ""), "");
    if (minus) q = LLVMBuildSelect(e->b, minus, LLVMBuildSub(e->b, zero, x, ""), q, "");
    return (Quotient){q, r};
}

/* x // n or x % n where whole vectors fall between two multiples, or the stride is one. */
static bool lane_divide(Emit *e, At *at, Val x, int64_t n, bool rest, bool nonneg, Val *out) {
    if (x.kind != VAL_INT || n <= 0) return false;
    int64_t span = x.stride * at->width;
    bool within = x.stride > 0 && n % span == 0 && x.align % (uint64_t)span == 0;
    if (x.stride && !within && x.stride % n) return false;
    V d = emit_const(e, n);
    Quotient q = nonneg
                     ? (Quotient){LLVMBuildUDiv(e->b, x.v, d, ""), LLVMBuildURem(e->b, x.v, d, "")}
                     : floor_divide(e, x.v, d, true);
    *out = val_int(rest ? q.mod : q.div);
    if (rest && !LLVMIsAConstantInt(out->v))
        out->align = gcd(x.align, (uint32_t)(n <= INT32_MAX ? n : 1));
    if (within)
        out->stride = rest ? x.stride : 0;
    else
        out->stride = rest ? 0 : x.stride / n;
    return true;
}

static bool never_negative(Emit *e, ExprId x) {
    Ranges r = {.idx = e->idx_size, .n_idx = e->n_idx};
    Size lo = 0, hi = 0;
    expr_bounds(e->g, x, &r, &lo, &hi);
    return lo && size_nonneg(e->g->sizes, lo);
}

static Val int_divide(Emit *e, At *at, const ExprId *args, Val x, Val d, bool rest) {
    int64_t n;
    Val out;
    if (val_fixed(d, &n) && lane_divide(e, at, x, n, rest, never_negative(e, args[0]), &out))
        return out;
    bool positive = (val_fixed(d, &n) && n > 0) || graph_expr(e->g, args[1])->op == X_SIZE;
    V a = int_either(e, at, x), b = int_either(e, at, d);
    same_shape(e, at->width, &a, &b);
    Quotient q = floor_divide(e, a, b, positive);
    return int_result(rest ? q.mod : q.div);
}

static Val int_choose(Emit *e, At *at, LLVMIntPredicate keep, Val x, Val y) {
    V a = int_either(e, at, x), b = int_either(e, at, y);
    same_shape(e, at->width, &a, &b);
    return int_result(LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, keep, a, b, ""), a, b, ""));
}

static Val int_fn(Emit *e, At *at, Fn f, const ExprId *args, Val x, Val y) {
    Val zero = val_const(e, 0);
    switch (f) {
    case F_neg: return val_sub(e, at, zero, x);
    case F_add: return val_add(e, at, x, y);
    case F_sub: return val_sub(e, at, x, y);
    case F_mul: return val_mul(e, at, x, y);
    case F_idiv: return int_divide(e, at, args, x, y, false);
    case F_imod: return int_divide(e, at, args, x, y, true);
    case F_max: return int_choose(e, at, LLVMIntSGE, x, y);
    case F_min: return int_choose(e, at, LLVMIntSLE, x, y);
    case F_relu: return int_choose(e, at, LLVMIntSGT, x, zero);
    case F_abs: return int_choose(e, at, LLVMIntSGE, x, val_sub(e, at, zero, x));
    default: return x; /* round floor stop */
    }
}

/* ---- conditions --------------------------------------------------------------------------------- */

static Val compare(Emit *e, At *at, Fn f, Val x, Val y, bool ints) {
    static const LLVMIntPredicate on_int[] = {LLVMIntEQ,  LLVMIntNE,  LLVMIntSLT,
                                              LLVMIntSLE, LLVMIntSGT, LLVMIntSGE};
    static const LLVMRealPredicate on_real[] = {LLVMRealOEQ, LLVMRealUNE, LLVMRealOLT,
                                                LLVMRealOLE, LLVMRealOGT, LLVMRealOGE};
    V a = ints ? int_either(e, at, x) : emit_real(e, at, x),
      b = ints ? int_either(e, at, y) : emit_real(e, at, y);
    same_shape(e, at->width, &a, &b);
    int which = (int)f - (int)F_eq;
    if (ints) return val_bool(LLVMBuildICmp(e->b, on_int[which], a, b, ""));
    return val_bool(LLVMBuildFCmp(e->b, on_real[which], a, b, ""));
}

static Val truth_fn(Emit *e, At *at, Fn f, Val x, Val y) {
    V a = emit_bool(e, at, x);
    if (f == F_not) return val_bool(LLVMBuildNot(e->b, a, ""));
    V b = emit_bool(e, at, y);
    same_shape(e, at->width, &a, &b);
    return val_bool(f == F_and ? LLVMBuildAnd(e->b, a, b, "") : LLVMBuildOr(e->b, a, b, ""));
}

/* ---- reals -------------------------------------------------------------------------------------- */

static V fused(Emit *e, V x, V y, V z) {
    V a[3] = {x, y, z};
    LLVMTypeRef t = LLVMTypeOf(z);
    return emit_intrinsic(e, "llvm.fma", &t, 1, a, 3);
}

static bool is_product(Emit *e, ExprId x) {
    const Expr *p = graph_expr(e->g, x);
    return p->op == X_FN && p->fn == F_mul && p->type == T_REAL &&
           e->memo->round[x] != e->memo->now;
}

enum { MOST_FACTORS = 12 };

typedef struct Product {
    ExprId factor[MOST_FACTORS];
    uint32_t n;
    bool minus;
} Product;

static void add_factors(Emit *e, ExprId x, Product *p) {
    const Expr *q = graph_expr(e->g, x);
    bool open = q->op == X_FN && q->type == T_REAL && e->memo->round[x] != e->memo->now;
    if (open && q->fn == F_neg) {
        p->minus = !p->minus;
        add_factors(e, expr_arg(e->g, x, 0), p);
    } else if (open && q->fn == F_mul && p->n + 2 < MOST_FACTORS) {
        ExprId second = expr_arg(e->g, x, 1);
        add_factors(e, expr_arg(e->g, x, 0), p);
        add_factors(e, second, p);
    } else {
        p->factor[p->n++] = x;
    }
}

static V times(Emit *e, At *at, V a, V b) {
    if (!a || !b) return a ? a : b;
    same_shape(e, at->width, &a, &b);
    return LLVMBuildFMul(e->b, a, b, "");
}

/* A product as two factors (the second may be NULL): what all lanes share is multiplied once. */
static void two_factors(Emit *e, At *at, ExprId x, bool minus, V *first, V *second) {
    Product p = {.minus = minus};
    V shared = NULL, rest = NULL, last = NULL;
    add_factors(e, x, &p);
    for (uint32_t i = 0; i < p.n; i++) {
        V v = emit_real(e, at, emit_expr(e, at, p.factor[i]));
        if (at->width > 1 && !is_vector(v)) {
            shared = times(e, at, shared, v);
            continue;
        }
        rest = times(e, at, rest, last);
        last = v;
    }
    *first = times(e, at, shared, rest);
    *second = last;
    if (!*first) {
        *first = last;
        *second = NULL;
    }
    if (p.minus) *first = LLVMBuildFNeg(e->b, *first, "");
}

static V fused_product(Emit *e, At *at, ExprId product, bool minus, V z) {
    V x, y;
    two_factors(e, at, product, minus, &x, &y);
    same_shape(e, at->width, &x, &z);
    if (!y) return LLVMBuildFAdd(e->b, x, z, "");
    same_shape(e, at->width, &x, &y);
    same_shape(e, at->width, &x, &z);
    same_shape(e, at->width, &y, &z);
    return fused(e, x, y, z);
}

/* z + x*y, or z - x*y, or x*y - z */
static Val product_sum(Emit *e, At *at, ExprId product, ExprId other, bool minus_product,
                       bool minus_other) {
    V z = emit_real(e, at, emit_expr(e, at, other));
    if (minus_other) z = LLVMBuildFNeg(e->b, z, "");
    return val_real(e, fused_product(e, at, product, minus_product, z));
}

static Val sum_of(Emit *e, At *at, Fn f, const ExprId *args) {
    if (is_product(e, args[1])) return product_sum(e, at, args[1], args[0], f == F_sub, false);
    if (is_product(e, args[0])) return product_sum(e, at, args[0], args[1], false, f == F_sub);
    V a = emit_real(e, at, emit_expr(e, at, args[0])),
      b = emit_real(e, at, emit_expr(e, at, args[1]));
    same_shape(e, at->width, &a, &b);
    return val_real(e, f == F_sub ? LLVMBuildFSub(e->b, a, b, "") : LLVMBuildFAdd(e->b, a, b, ""));
}

Val emit_sum(Emit *e, At *at, V acc, ExprId x) {
    const Expr *p = graph_expr(e->g, x);
    bool minus =
        p->op == X_FN && p->fn == F_neg && p->type == T_REAL && is_product(e, expr_arg(e->g, x, 0));
    if (minus || is_product(e, x)) return val_real(e, fused_product(e, at, x, false, acc));
    V v = emit_real(e, at, emit_expr(e, at, x));
    same_shape(e, at->width, &v, &acc);
    return val_real(e, LLVMBuildFAdd(e->b, acc, v, ""));
}

/* A divisor that all lanes share is inverted once: 1 ulp for a division a vector. */
static Val divide(Emit *e, At *at, V a, V b) {
    if (is_vector(a) && !is_vector(b)) {
        V r = emit_quotient(e, emit_f32(e, 1), b);
        return val_real(e, LLVMBuildFMul(e->b, a, emit_splat(e, at->width, r), ""));
    }
    same_shape(e, at->width, &a, &b);
    return val_real(e, emit_quotient(e, a, b));
}

/* Exponents small enough that products stay exact to 2 ulp; negative ones invert first, so that nothing
 * overflows which the result does not. */
static bool whole_exponent(Emit *e, ExprId x, int64_t *n) {
    const Expr *p = graph_expr(e->g, x);
    if (p->op == X_INT)
        *n = p->i;
    else if (p->op == X_NUM && p->num == floor(p->num) && fabs(p->num) <= 4)
        *n = (int64_t)p->num;
    else
        return false;
    return *n >= -4 && *n <= 4;
}

static V power(Emit *e, V x, int64_t n) {
    V one = emit_f32(e, 1);
    if (is_vector(x)) one = emit_splat(e, LLVMGetVectorSize(LLVMTypeOf(x)), one);
    if (n < 0) x = emit_quotient(e, one, x);
    if (n < 0) n = -n;
    if (n <= 1) return n ? x : one;
    V square = LLVMBuildFMul(e->b, x, x, "");
    return n == 2 ? square : LLVMBuildFMul(e->b, square, n == 3 ? x : square, "");
}

static bool is_number(V v) {
    return LLVMIsAConstantFP(v) || LLVMIsAConstantDataVector(v) || LLVMIsAConstantAggregateZero(v);
}

/* x if (x OP y or x is no number) else y */
static Val real_choose(Emit *e, At *at, bool max, V x, V y) {
    same_shape(e, at->width, &x, &y);
    V keep;
    if (is_number(y)) {
        keep = LLVMBuildFCmp(e->b, max ? LLVMRealUGE : LLVMRealULE, x, y, "");
    } else {
        V bad = LLVMBuildFCmp(e->b, LLVMRealUNO, x, x, "");
        keep = LLVMBuildOr(e->b, LLVMBuildFCmp(e->b, max ? LLVMRealOGE : LLVMRealOLE, x, y, ""),
                           bad, "");
    }
    return val_real(e, LLVMBuildSelect(e->b, keep, x, y, ""));
}

static Val real_fn(Emit *e, At *at, Fn f, ExprId id, const ExprId *args) {
    int64_t n;
    if (f == F_add || f == F_sub) return sum_of(e, at, f, args);
    if (f == F_mul) {
        V a, b;
        two_factors(e, at, id, false, &a, &b);
        return val_real(e, times(e, at, a, b));
    }
    V x = emit_real(e, at, emit_expr(e, at, args[0]));
    if (f == F_pow && whole_exponent(e, args[1], &n)) return val_real(e, power(e, x, n));
    V y = fn_info[f].arity == 2 ? emit_real(e, at, emit_expr(e, at, args[1])) : NULL;
    switch (f) {
    case F_neg: return val_real(e, LLVMBuildFNeg(e->b, x, ""));
    case F_div: return divide(e, at, x, y);
    case F_max: return real_choose(e, at, true, x, y);
    case F_min: return real_choose(e, at, false, x, y);
    case F_relu: {
        V zero = zero_like(x), keep = LLVMBuildFCmp(e->b, LLVMRealUGT, x, zero, "");
        return val_real(e, LLVMBuildSelect(e->b, keep, x, zero, ""));
    }
    case F_real:
    case F_stop: return val_real(e, x);
    default: break;
    }
    if (y) same_shape(e, at->width, &x, &y);
    return val_real(e, math_fn(e, f, x, y));
}

static Val emit_fn(Emit *e, At *at, ExprId x) {
    const Expr *p = graph_expr(e->g, x);
    Fn f = (Fn)p->fn;
    ExprId args[2] = {expr_arg(e->g, x, 0), fn_info[f].arity == 2 ? expr_arg(e->g, x, 1) : 0};
    bool real = p->type == T_REAL;
    if (real) return real_fn(e, at, f, x, args);
    Val a = emit_expr(e, at, args[0]), b = args[1] ? emit_expr(e, at, args[1]) : (Val){0};
    if (f == F_and || f == F_or || f == F_not) return truth_fn(e, at, f, a, b);
    if (f >= F_eq && f <= F_ge) {
        bool ints = graph_type(e->g, args[0]) == T_INT && graph_type(e->g, args[1]) == T_INT;
        return compare(e, at, f, ints ? int_of(e, at, a) : a, ints ? int_of(e, at, b) : b, ints);
    }
    a = int_of(e, at, a);
    if (args[1]) b = int_of(e, at, b);
    return int_fn(e, at, f, args, a, b);
}

/* ---- choices ------------------------------------------------------------------------------------ */

typedef struct Cost {
    uint32_t reads, work;
} Cost;

static void add_cost(Graph *g, ExprId x, void *user) {
    Cost *c = user;
    const Expr *p = graph_expr(g, x);
    c->reads += p->op == X_READ || p->op == X_SELECT || p->op == X_RANDOM;
    if (p->op == X_FN) c->work += p->fn == F_idiv || p->fn == F_imod || p->fn >= F_exp ? 8 : 1;
}

/* May it be evaluated where it is not wanted, for less than a branch costs? */
static bool is_cheap(Emit *e, ExprId x) {
    Cost c = {0};
    expr_walk(e->g, x, add_cost, &c);
    return c.reads == 0 && c.work <= 6;
}

static Val as_type(Emit *e, At *at, Val v, uint8_t type) {
    if (type == T_REAL) return val_real(e, emit_real(e, at, v));
    return int_of(e, at, v);
}

static V shaped(Emit *e, At *at, Val v, bool vec) {
    if (v.kind == VAL_REAL) return vec ? emit_real_vec(e, at, v) : v.v;
    return vec ? emit_int_vec(e, at, v) : v.v;
}

static bool varies(Val v) { return v.vec || (v.kind == VAL_INT && v.stride); }

static Val of_shape(Emit *e, V v) {
    LLVMTypeRef t = LLVMTypeOf(v);
    if (LLVMGetTypeKind(t) == LLVMVectorTypeKind) t = LLVMGetElementType(t);
    return t == e->f32 ? val_real(e, v) : int_result(v);
}

static Val merge(Emit *e, At *at, V cond, Val a, Val b) {
    bool vec = is_vector(cond) || varies(a) || varies(b);
    V x = shaped(e, at, a, vec), y = shaped(e, at, b, vec);
    if (vec && !is_vector(cond) && at->width > 1) cond = emit_splat(e, at->width, cond);
    return of_shape(e, LLVMBuildSelect(e->b, cond, x, y, ""));
}

/* An arm under a mask or in a block of its own: what it computes is not known outside. */
static Val emit_arm(Emit *e, At *at, ExprId x, uint8_t type) {
    uint32_t mark = e->memo->journal.n;
    Val v = as_type(e, at, emit_expr(e, at, x), type);
    memo_undo(e->memo, mark);
    return v;
}

static Val branch(Emit *e, At *at, V cond, ExprId a, ExprId b, uint8_t type) {
    LLVMBasicBlockRef then = LLVMAppendBasicBlockInContext(e->c, e->fn, "then");
    LLVMBasicBlockRef other = LLVMAppendBasicBlockInContext(e->c, e->fn, "else");
    LLVMBasicBlockRef join = LLVMAppendBasicBlockInContext(e->c, e->fn, "join");
    LLVMBuildCondBr(e->b, cond, then, other);
    LLVMPositionBuilderAtEnd(e->b, then);
    Val x = emit_arm(e, at, a, type);
    then = LLVMGetInsertBlock(e->b);
    LLVMPositionBuilderAtEnd(e->b, other);
    Val y = emit_arm(e, at, b, type);
    other = LLVMGetInsertBlock(e->b);
    bool vec = varies(x) || varies(y);
    V q = shaped(e, at, y, vec);
    LLVMBuildBr(e->b, join);
    LLVMPositionBuilderAtEnd(e->b, then);
    V p = shaped(e, at, x, vec);
    LLVMBuildBr(e->b, join);
    LLVMPositionBuilderAtEnd(e->b, join);
    V phi = LLVMBuildPhi(e->b, LLVMTypeOf(p), "");
    LLVMAddIncoming(phi, &p, &then, 1);
    LLVMAddIncoming(phi, &q, &other, 1);
    return of_shape(e, phi);
}

static Val masked_arm(Emit *e, At *at, V cond, ExprId x, uint8_t type) {
    V saved = at->mask;
    at->mask = saved ? LLVMBuildAnd(e->b, saved, cond, "") : cond;
    Val v = emit_arm(e, at, x, type);
    at->mask = saved;
    return v;
}

static Val emit_select(Emit *e, At *at, ExprId x) {
    const Expr p = *graph_expr(e->g, x);
    V cond = emit_bool(e, at, emit_expr(e, at, expr_arg(e->g, x, 0)));
    ExprId a = expr_arg(e->g, x, 1), b = expr_arg(e->g, x, 2);
    if (LLVMIsAConstantInt(cond))
        return as_type(e, at, emit_expr(e, at, LLVMConstIntGetZExtValue(cond) ? a : b), p.type);
    if (is_cheap(e, a) && is_cheap(e, b)) {
        Val u = as_type(e, at, emit_expr(e, at, a), p.type),
            v = as_type(e, at, emit_expr(e, at, b), p.type);
        return merge(e, at, cond, u, v);
    }
    if (!is_vector(cond)) return branch(e, at, cond, a, b, p.type);
    Val u = masked_arm(e, at, cond, a, p.type);
    Val v = masked_arm(e, at, LLVMBuildNot(e->b, cond, ""), b, p.type);
    return merge(e, at, cond, u, v);
}

/* ---- random (compiler/random.h) ------------------------------------------------------------------ */

static V bits(Emit *e, V like, uint64_t n) {
    V c = LLVMConstInt(e->i64, n, false);
    if (!is_vector(like)) return c;
    uint32_t width = LLVMGetVectorSize(LLVMTypeOf(like));
    V *all = NEWN(e->arena, V, width);
    for (uint32_t i = 0; i < width; i++) all[i] = c;
    return LLVMConstVector(all, width);
}

static V mix_step(Emit *e, V x, unsigned shift, uint64_t factor) {
    V y = LLVMBuildXor(e->b, x, LLVMBuildLShr(e->b, x, bits(e, x, shift), ""), "");
    return factor ? LLVMBuildMul(e->b, y, bits(e, x, factor), "") : y;
}

static V mix(Emit *e, V x) {
    x = LLVMBuildAdd(e->b, x, bits(e, x, 0x9e3779b97f4a7c15u), "");
    x = mix_step(e, x, 30, 0xbf58476d1ce4e5b9u);
    x = mix_step(e, x, 27, 0x94d049bb133111ebu);
    return mix_step(e, x, 31, 0);
}

static V seed_begin(Emit *e, int64_t place) {
    LLVMBasicBlockRef back = emit_entry_begin(e);
    V index = emit_const(e, 2 * MAX_LEVELS);
    V from = e->seed_p;
    if (!from) from = LLVMBuildGEP2(e->b, e->i64, e->levels_p, &index, 1, "");
    V h = mix(e, LLVMBuildLoad2(e->b, e->i64, from, "seed"));
    h = mix(e, LLVMBuildXor(e->b, h, bits(e, h, (uint64_t)place), ""));
    emit_entry_end(e, back);
    return h;
}

static Val emit_random(Emit *e, At *at, ExprId x) {
    const Expr p = *graph_expr(e->g, x);
    V h = seed_begin(e, p.i);
    for (uint32_t i = 0; i < p.n_args; i++) {
        Val a = int_of(e, at, emit_expr(e, at, expr_arg(e->g, x, i)));
        V n = int_either(e, at, a);
        same_shape(e, at->width, &h, &n);
        h = mix(e, LLVMBuildXor(e->b, h, n, ""));
    }
    bool vec = is_vector(h);
    V top = LLVMBuildLShr(e->b, h, bits(e, h, 40), "");
    top = LLVMBuildTrunc(e->b, top, vec ? LLVMVectorType(e->i32, at->width) : e->i32, "");
    V f = LLVMBuildSIToFP(e->b, top, vec ? LLVMVectorType(e->f32, at->width) : e->f32, "");
    V scale = emit_f32(e, 0x1p-24);
    return val_real(e, LLVMBuildFMul(e->b, f, vec ? emit_splat(e, at->width, scale) : scale, ""));
}

/* ---- all ------------------------------------------------------------------------------------------ */

static Val emit_value(Emit *e, At *at, ExprId x) {
    const Expr p = *graph_expr(e->g, x);
    Val subs[MAX_RANK];
    switch (p.op) {
    case X_NUM: return val_real(e, emit_f32(e, p.num));
    case X_INT: return val_const(e, p.i);
    case X_SIZE: return val_int(emit_size(e, p.size));
    case X_IDX: return at->idx[p.i];
    case X_LVL: return e->lvl[p.i];
    case X_POS: return e->pos[p.i];
    case X_READ:
        for (uint32_t i = 0; i < p.n_args; i++)
            subs[i] = int_of(e, at, emit_expr(e, at, expr_arg(e->g, x, i)));
        return emit_read(e, at, p.value, subs);
    case X_SELECT: return emit_select(e, at, x);
    case X_RANDOM: return emit_random(e, at, x);
    default: return emit_fn(e, at, x);
    }
}

Val emit_expr(Emit *e, At *at, ExprId x) {
    Memo *m = e->memo;
    if (m->round[x] == m->now) return m->val[x];
    Val v = emit_value(e, at, x);
    m->val[x] = v;
    m->round[x] = m->now;
    *PUSH(m->arena, &m->journal) = x;
    return v;
}
