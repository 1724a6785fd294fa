/* Expressions to instructions: see the top of interp_impl.h. */
#include "interp_impl.h"

#include <string.h>

bool gen_is_vec(Opd o) { return (o & OPD_VEC) != 0; }

uint32_t gen_dep(const Gen *g, Opd o) {
    return gen_is_vec(o) ? g->reg_dep.data[o & ~OPD_VEC] : g->cell_dep.data[o];
}

static void fail(Gen *g, const char *text) {
    if (!g->k->error) g->k->error = text;
}

/* The axis in whose cell an index counts; an axis merged into the next one is no more. */
static bool is_merged(const Gen *g, uint32_t axis) { return (g->merged >> axis & 1) != 0; }

static uint8_t depth_of(const Gen *g, uint32_t dep) {
    uint8_t depth = 0;
    for (uint32_t a = 0; a < MAX_AXES; a++)
        if ((dep >> a & 1) && g->place[a] > depth) depth = g->place[a];
    return depth;
}

/* ---- operands and instructions --------------------------------------------------------------- */

static Opd new_cell(Gen *g, uint32_t dep) {
    *PUSH(g->a, &g->cells) = (Cell){.i = 0};
    *PUSH(g->a, &g->cell_dep) = dep;
    return g->cells.n - 1;
}

static Opd const_int(Gen *g, int64_t v) {
    Opd o = new_cell(g, 0);
    g->cells.data[o].i = v;
    return o;
}

static Opd const_real(Gen *g, double v) {
    Opd o = new_cell(g, 0);
    g->cells.data[o].r = g->f32 ? (double)(float)v : v;
    return o;
}

/* Appends x, which depends on the axes of dep, and answers its result. */
static Opd emit(Gen *g, Instr x, uint32_t dep) {
    dep |= g->ctx.data[x.ctx].dep;
    x.depth = depth_of(g, dep);
    if (x.op == OP_CHECK || x.op == OP_CHECKV) {
        *PUSH(g->a, &g->instr) = x;
        return 0;
    }
    if (x.vec) {
        x.d = g->reg_dep.n;
        *PUSH(g->a, &g->reg_dep) = dep;
    } else {
        x.d = new_cell(g, dep);
    }
    *PUSH(g->a, &g->instr) = x;
    if (g->instr.n > MAX_INSTR) fail(g, "an equation is too large");
    return x.d | (x.vec ? OPD_VEC : 0);
}

void gen_begin(Gen *g) {
    for (uint32_t i = 0; i < CELL_FREE; i++) new_cell(g, i < MAX_AXES ? 1u << i : 0);
    Ctx *root = PUSH(g->a, &g->ctx);
    root->on = true;
    g->memo_cap = 64;
    g->memo_head = NEWN(g->a, uint32_t, g->memo_cap);
    PUSH(g->a, &g->memo); /* 0 = end of a chain */
}

/* ---- memo ------------------------------------------------------------------------------------ */

static uint32_t memo_slot(const Gen *g, ExprId e) {
    return (e * 2654435761u >> 8) & (g->memo_cap - 1);
}

static void memo_put(Gen *g, ExprId e, uint32_t ctx, Opd opd) {
    if (g->memo.n > g->memo_cap * 2) {
        g->memo_cap *= 4;
        g->memo_head = NEWN(g->a, uint32_t, g->memo_cap);
        for (uint32_t i = 1; i < g->memo.n; i++) {
            uint32_t *head = &g->memo_head[memo_slot(g, g->memo.data[i].e)];
            g->memo.data[i].next = *head;
            *head = i;
        }
    }
    uint32_t *head = &g->memo_head[memo_slot(g, e)];
    *PUSH(g->a, &g->memo) = (Memo){e, ctx, opd, *head};
    *head = g->memo.n - 1;
}

/* The operand of e if it was computed for at least the lanes of ctx. */
static bool memo_get(const Gen *g, ExprId e, uint32_t ctx, Opd *opd) {
    for (uint32_t i = g->memo_head[memo_slot(g, e)]; i; i = g->memo.data[i].next) {
        const Memo *m = &g->memo.data[i];
        if (m->e != e) continue;
        uint32_t c = ctx;
        while (c != m->ctx && c != 0) c = g->ctx.data[c].parent;
        if (c != m->ctx) continue;
        *opd = m->opd;
        return true;
    }
    return false;
}

/* ---- affine forms ---------------------------------------------------------------------------- */

typedef struct Lin {
    int64_t konst, lane;
    uint32_t terms, n_terms, n_vterms, dep;
} Lin;

static uint32_t next_axis(const Spec *s, uint32_t axis) {
    for (uint32_t i = 0; i + 1 < s->n_out; i++)
        if (s->out[i] == axis) return s->out[i + 1];
    for (uint32_t i = 0; i + 1 < s->n_red; i++)
        if (s->red_axis[i] == axis) return s->red_axis[i + 1];
    return NO_AXIS;
}

/* Dry: notes which neighbouring axes this form does not use as one. */
static void note_axes(Gen *g, const Form *f) {
    int64_t coef[MAX_AXES] = {0};
    for (uint32_t i = 0; i < f->n; i++) {
        const Expr *x = graph_expr(g->g, f->t[i].atom);
        if (x->op == X_IDX && x->i < MAX_AXES) coef[x->i] = f->t[i].coef;
    }
    for (uint32_t a = 0; a < g->spec->n_idx; a++) {
        uint32_t b = next_axis(g->spec, a);
        if (b != NO_AXIS && (uint64_t)coef[a] != (uint64_t)coef[b] * (uint64_t)g->spec->size[b])
            g->apart |= 1u << a;
    }
}

static Lin lin_of(Gen *g, const Form *f, uint32_t ctx) {
    Lin l = {.konst = f->konst};
    Term cell[FORM_MAX], vec[FORM_MAX];
    if (g->dry) note_axes(g, f);
    for (uint32_t i = 0; i < f->n; i++) {
        const Expr *x = graph_expr(g->g, f->t[i].atom);
        Opd at;
        if (x->op == X_IDX) {
            if (is_merged(g, (uint32_t)x->i)) continue;
            at = (Opd)x->i;
            if (at == g->lane) l.lane = f->t[i].coef;
        } else {
            at = gen_value(g, f->t[i].atom, false, ctx);
        }
        Term t = {at, f->t[i].coef};
        if (gen_is_vec(at))
            vec[l.n_vterms++] = t;
        else
            cell[l.n_terms++] = t;
        l.dep |= gen_dep(g, at);
    }
    l.terms = g->terms.n;
    for (uint32_t i = 0; i < l.n_terms; i++) *PUSH(g->a, &g->terms) = cell[i];
    for (uint32_t i = 0; i < l.n_vterms; i++) *PUSH(g->a, &g->terms) = vec[i];
    return l;
}

static Instr lin_instr(OpCode op, const Lin *l, uint32_t ctx) {
    return (Instr){.op = (uint8_t)op,
                   .ctx = ctx,
                   .konst = l->konst,
                   .lane = l->lane,
                   .terms = l->terms,
                   .n_terms = (uint16_t)l->n_terms,
                   .n_vterms = (uint16_t)l->n_vterms,
                   .vec = l->lane != 0 || l->n_vterms != 0};
}

static Opd gen_form(Gen *g, const Form *f, uint32_t ctx) {
    if (f->n == 0) return const_int(g, f->konst);
    Lin l = lin_of(g, f, ctx);
    bool alone = l.konst == 0 && l.lane == 0 && l.n_terms + l.n_vterms == 1;
    if (alone && g->terms.data[l.terms].coef == 1) return g->terms.data[l.terms].at;
    return emit(g, lin_instr(OP_AFF, &l, ctx), l.dep);
}

/* ---- reads ----------------------------------------------------------------------------------- */

static uint32_t read_number(Gen *g, Value v) {
    for (uint32_t i = 0; i < g->reads.n; i++)
        if (g->reads.data[i] == v) return i;
    *PUSH(g->a, &g->reads) = v;
    return g->reads.n - 1;
}

/* Is f inside 0..n-1? Emits the check where it is not certain. */
static bool gen_check(Gen *g, const Form *f, int64_t n, uint32_t read, uint32_t axis,
                      uint32_t ctx) {
    int64_t lo, hi;
    if (form_bounds(g->k, f, &lo, &hi) && lo >= 0 && hi < n) return true;
    Lin l = lin_of(g, f, ctx);
    Instr x = lin_instr(OP_CHECK, &l, ctx);
    if (l.n_vterms) {
        Instr sum = lin_instr(OP_AFF, &l, ctx);
        x = (Instr){.op = OP_CHECKV, .ctx = ctx, .a = emit(g, sum, l.dep), .vec = true};
    }
    x.masked = true;
    x.read = read;
    x.axis = (uint8_t)axis;
    x.bound = n;
    emit(g, x, l.dep);
    return false;
}

/* The place of subs in a C-ordered array of dims, with the checks it needs. */
static Lin gen_place(Gen *g, Value v, const ExprId *subs, uint32_t read, uint32_t ctx,
                     bool *proved) {
    Form total = {0}, *f = NEWN(g->a, Form, MAX_RANK); /* not on the stack: reads nest */
    int64_t dims[MAX_RANK], stride = 1;
    const ValueInfo *info = graph_value(g->g, v);
    uint32_t rank = info->rank;
    *proved = true;
    for (uint32_t i = 0; i < rank; i++) {
        if (!known_size(g->k, info->dims[i], &dims[i])) dims[i] = 1;
        form_of(g->k, subs[i], &f[i]);
        if (!gen_check(g, &f[i], dims[i], read, i, ctx)) *proved = false;
    }
    bool whole = true;
    for (uint32_t i = rank; i-- > 0; stride *= dims[i])
        whole = whole && form_add(&total, &f[i], stride);
    if (!whole) { /* more atoms than a form holds: each subscript is one */
        total = (Form){0};
        stride = 1;
        for (uint32_t i = rank; i-- > 0; stride *= dims[i]) {
            form_opaque(&f[i], subs[i]);
            form_add(&total, &f[i], stride);
        }
    }
    form_join(g->k, &total);
    return lin_of(g, &total, ctx);
}

static Opd gen_read(Gen *g, ExprId e, uint32_t ctx) {
    const Expr *x = graph_expr(g->g, e);
    uint32_t read = read_number(g, x->value);
    bool proved;
    Lin l = gen_place(g, x->value, g->g->args.data + x->args, read, ctx, &proved);
    Instr load = lin_instr(OP_LOAD, &l, ctx);
    if (l.n_vterms) {
        Instr sum = lin_instr(OP_AFF, &l, ctx);
        load = (Instr){.op = OP_GATHER, .ctx = ctx, .a = emit(g, sum, l.dep), .vec = true};
    }
    load.read = read;
    load.masked = !proved;
    load.real = x->type == T_REAL;
    return emit(g, load, l.dep);
}

Opd gen_address(Gen *g) {
    bool proved;
    Lin l = gen_place(g, g->spec->scatter, g->spec->subs, UINT32_MAX, 0, &proved);
    return emit(g, lin_instr(OP_AFF, &l, 0), l.dep);
}

/* ---- functions ------------------------------------------------------------------------------- */

static Opd emit_fn(Gen *g, Fn fn, bool ints, bool real, Opd a, Opd b, uint32_t ctx) {
    bool two = fn_info[fn].arity > 1;
    Instr x = {.op = OP_FN,
               .fn = (uint8_t)fn,
               .ctx = ctx,
               .ints = ints,
               .real = real,
               .a = a,
               .b = two ? b : a};
    x.vec = gen_is_vec(x.a) || gen_is_vec(x.b);
    x.masked = fn == F_idiv || fn == F_imod;
    return emit(g, x, gen_dep(g, x.a) | gen_dep(g, x.b));
}

/* x//c and x%c for x affine and c > 0 known. */
static bool gen_divlin(Gen *g, ExprId e, uint32_t ctx, Opd *out) {
    const Expr *x = graph_expr(g->g, e);
    const Expr *by = graph_expr(g->g, expr_arg(g->g, e, 1));
    int64_t c = by->i;
    if (by->op != X_INT && (by->op != X_SIZE || !known_size(g->k, by->size, &c))) return false;
    if (c <= 0) return false;
    Form f;
    form_of(g->k, expr_arg(g->g, e, 0), &f);
    Lin l = lin_of(g, &f, ctx);
    if (l.n_vterms) return false;
    Instr div = lin_instr(OP_DIVLIN, &l, ctx);
    div.fn = x->fn;
    div.bound = c;
    *out = emit(g, div, l.dep);
    return true;
}

static Opd gen_fn(Gen *g, ExprId e, uint32_t ctx) {
    const Expr *x = graph_expr(g->g, e);
    Fn fn = (Fn)x->fn;
    ExprId arg[2] = {expr_arg(g->g, e, 0),
                     x->n_args > 1 ? expr_arg(g->g, e, 1) : expr_arg(g->g, e, 0)};
    bool real = x->type == T_REAL;
    bool ints = graph_type(g->g, arg[0]) == T_INT && graph_type(g->g, arg[1]) == T_INT;
    Opd out;
    if (fn == F_real || fn == F_stop) return gen_value(g, arg[0], real, ctx);
    if ((fn == F_idiv || fn == F_imod) && gen_divlin(g, e, ctx, &out)) return out;
    if (fn_info[fn].type == 'r') ints = false;
    Opd a = gen_value(g, arg[0], !ints, ctx);
    Opd b = x->n_args > 1 ? gen_value(g, arg[1], !ints, ctx) : a;
    return emit_fn(g, fn, ints, real, a, b, ctx);
}

static Opd gen_random(Gen *g, ExprId e, uint32_t ctx) {
    const Expr *x = graph_expr(g->g, e);
    Instr r = {.op = OP_RANDOM, .ctx = ctx, .real = true, .konst = x->i, .n_terms = x->n_args};
    uint32_t dep = 0;
    Term arg[64];
    if (x->n_args > 64) {
        fail(g, "random has too many arguments");
        return const_real(g, 0);
    }
    for (uint32_t i = 0; i < x->n_args; i++) {
        Opd o = gen_value(g, expr_arg(g->g, e, i), false, ctx);
        arg[i] = (Term){o, 1};
        dep |= gen_dep(g, o);
        r.vec = r.vec || gen_is_vec(o);
    }
    r.terms = g->terms.n;
    for (uint32_t i = 0; i < r.n_terms; i++) *PUSH(g->a, &g->terms) = arg[i];
    return emit(g, r, dep);
}

/* ---- select ---------------------------------------------------------------------------------- */

/* A new context inside parent; x says how it comes about. */
static uint32_t emit_ctx(Gen *g, Instr x, uint32_t parent, uint32_t dep, bool own_lanes) {
    Ctx *c = PUSH(g->a, &g->ctx);
    uint32_t id = g->ctx.n - 1;
    c->parent = parent;
    c->dep = dep | g->ctx.data[parent].dep;
    c->lanes = own_lanes ? id : g->ctx.data[parent].lanes;
    if (own_lanes) c->own = NEWN(g->a, uint8_t, LANES);
    x.d = id;
    x.depth = depth_of(g, c->dep);
    *PUSH(g->a, &g->instr) = x;
    if (g->instr.n > MAX_INSTR) fail(g, "an equation is too large");
    return id;
}

static Fn turned(Fn f) {
    switch (f) {
    case F_lt: return F_gt;
    case F_le: return F_ge;
    case F_gt: return F_lt;
    case F_ge: return F_le;
    default: return f;
    }
}

static bool form_moves(Gen *g, const Form *f) {
    for (uint32_t i = 0; i < f->n; i++) {
        const Expr *x = graph_expr(g->g, f->t[i].atom);
        if (x->op == X_IDX && (Opd)x->i == g->lane) return true;
    }
    return false;
}

/* A comparison of ints with the lane on one side, affinely: a range of lanes. */
static bool gen_range(Gen *g, ExprId cond, uint32_t parent, uint32_t *out) {
    const Expr *x = graph_expr(g->g, cond);
    if (x->op != X_FN || x->fn < F_eq || x->fn > F_ge || x->fn == F_ne) return false;
    Fn fn = (Fn)x->fn;
    ExprId p = expr_arg(g->g, cond, 0), q = expr_arg(g->g, cond, 1);
    if (graph_type(g->g, p) != T_INT || graph_type(g->g, q) != T_INT) return false;
    Form a, b;
    int64_t lo, hi;
    form_of(g->k, p, &a);
    form_of(g->k, q, &b);
    if (!form_moves(g, &a)) {
        Form t = a;
        a = b;
        b = t;
        fn = turned(fn);
        if (!form_moves(g, &a)) return false;
    } else if (form_moves(g, &b)) {
        if (!form_add(&a, &b, -1) || !form_bounds(g->k, &a, &lo, &hi)) return false;
        b = (Form){0};
    }
    Opd right = gen_form(g, &b, parent);
    Lin l = lin_of(g, &a, parent);
    if (l.lane == 0 || l.n_vterms || gen_is_vec(right)) return false;
    Instr r = lin_instr(OP_RANGE, &l, 0);
    r.fn = (uint8_t)fn;
    r.a = right;
    r.b = parent;
    *out = emit_ctx(g, r, parent, l.dep | gen_dep(g, right), true);
    return true;
}

/* The lanes of parent for which cond holds. */
static uint32_t gen_then(Gen *g, ExprId cond, uint32_t parent) {
    const Expr *x = graph_expr(g->g, cond);
    if (x->op == X_FN && x->fn == F_and && g->k->depth < MAX_DEPTH) {
        g->k->depth++;
        uint32_t first = gen_then(g, expr_arg(g->g, cond, 0), parent);
        /* `and` is not lazy, but its second side has no effect where the first is 0 */
        uint32_t both = gen_then(g, expr_arg(g->g, cond, 1), first);
        g->k->depth--;
        return both;
    }
    uint32_t out;
    if (gen_range(g, cond, parent, &out)) return out;
    Opd c = gen_value(g, cond, false, parent);
    if (graph_type(g->g, cond) == T_REAL)
        c = emit_fn(g, F_ne, false, false, c, const_real(g, 0), parent);
    Instr i = {.op = gen_is_vec(c) ? OP_MASK : OP_COND, .a = c, .b = parent};
    return emit_ctx(g, i, parent, gen_dep(g, c), gen_is_vec(c));
}

static Arms *arms_of(Gen *g, ExprId cond, uint32_t parent) {
    for (uint32_t i = 0; i < g->arms.n; i++)
        if (g->arms.data[i].cond == cond && g->arms.data[i].parent == parent)
            return &g->arms.data[i];
    uint32_t then = gen_then(g, cond, parent);
    Arms *a = PUSH(g->a, &g->arms);
    *a = (Arms){cond, parent, then, 0};
    return a;
}

static uint32_t gen_else(Gen *g, Arms *arms) {
    if (arms->otherwise) return arms->otherwise;
    uint32_t at = (uint32_t)(arms - g->arms.data), parent = arms->parent, then = arms->then;
    bool own = g->ctx.data[then].lanes != g->ctx.data[parent].lanes;
    Instr i = {.op = OP_ELSE, .read = then, .b = parent};
    uint32_t id = emit_ctx(g, i, parent, g->ctx.data[then].dep, own);
    g->arms.data[at].otherwise = id;
    return id;
}

static bool is_literal(Gen *g, ExprId e) {
    uint8_t op = graph_expr(g->g, e)->op;
    return op == X_NUM || op == X_INT || op == X_SIZE;
}

static Opd gen_select(Gen *g, ExprId e, uint32_t ctx) {
    bool real = graph_type(g->g, e) == T_REAL;
    ExprId yes = expr_arg(g->g, e, 1), no = expr_arg(g->g, e, 2);
    Arms *arms = arms_of(g, expr_arg(g->g, e, 0), ctx);
    uint32_t then = arms->then;
    uint32_t otherwise = is_literal(g, no) ? ctx : gen_else(g, arms);
    Opd a = gen_value(g, yes, real, is_literal(g, yes) ? ctx : then);
    Opd b = gen_value(g, no, real, otherwise);
    Instr s = {.op = OP_SELECT, .ctx = ctx, .a = a, .b = b, .read = then};
    s.vec = gen_is_vec(a) || gen_is_vec(b) || g->ctx.data[then].lanes != g->ctx.data[ctx].lanes;
    return emit(g, s, gen_dep(g, a) | gen_dep(g, b) | g->ctx.data[then].dep);
}

/* ---- expressions ----------------------------------------------------------------------------- */

static Opd gen_int(Gen *g, ExprId e, uint32_t ctx, bool *done) {
    Form f;
    form_of(g->k, e, &f);
    *done = !form_is_opaque(&f, e) || graph_expr(g->g, e)->op == X_IDX;
    return *done ? gen_form(g, &f, ctx) : 0;
}

static Opd gen_node(Gen *g, ExprId e, uint32_t ctx) {
    const Expr *x = graph_expr(g->g, e);
    bool done = false;
    if (x->type == T_INT) {
        Opd o = gen_int(g, e, ctx, &done);
        if (done) return o;
    }
    switch ((ExprOp)x->op) {
    case X_NUM: return const_real(g, x->num);
    case X_LVL: return (Opd)(CELL_LVL + x->i);
    case X_POS: return (Opd)(CELL_POS + x->i);
    case X_READ: return gen_read(g, e, ctx);
    case X_FN: return gen_fn(g, e, ctx);
    case X_SELECT: return gen_select(g, e, ctx);
    case X_RANDOM: return gen_random(g, e, ctx);
    default: fail(g, "an expression of an unknown kind"); return const_int(g, 0);
    }
}

Opd gen_value(Gen *g, ExprId e, bool real, uint32_t ctx) {
    Opd o;
    bool convert = real && graph_type(g->g, e) == T_INT;
    uint32_t at = ctx;
    if (is_literal(g, e)) at = 0;
    if (!memo_get(g, e, at, &o)) {
        if (g->k->depth >= MAX_DEPTH || g->k->error) {
            fail(g, "an expression is nested too deeply");
            return 0;
        }
        g->k->depth++;
        o = gen_node(g, e, at);
        g->k->depth--;
        memo_put(g, e, at, o);
    }
    if (!convert) return o;
    if (is_literal(g, e)) return const_real(g, (double)g->cells.data[o].i);
    return emit_fn(g, F_real, true, true, o, o, ctx);
}

Opd gen_product(Gen *g) {
    const Spec *s = g->spec;
    bool ints = s->ints || (s->red == RED_ARGMAX && graph_type(g->g, s->factors[0]) == T_INT);
    if (s->red == RED_ARGMAX) ints = graph_type(g->g, s->factors[0]) == T_INT;
    Opd o = 0;
    for (uint32_t i = 0; i < s->n_factors; i++) {
        Opd x = gen_value(g, s->factors[i], !ints, 0);
        if (i == 0 && s->divided && s->divided[0]) o = const_real(g, 1);
        if (i == 0 && !(s->divided && s->divided[0]))
            o = x;
        else
            o = emit_fn(g, s->divided && s->divided[i] ? F_div : F_mul, ints, !ints, o, x, 0);
    }
    if (s->n_factors == 0) o = const_real(g, 1);
    return s->negative ? emit_fn(g, F_neg, ints, !ints, o, o, 0) : o;
}
