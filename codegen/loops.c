/* Loops and bodies of a nest.
 *
 * Order: axes of the results outermost, then the axis in the lanes if it is one of them, then the reduced
 * axes with their running results in registers; a reduced axis in the lanes is innermost, and its lanes
 * are put together at the end, always in the same order. Whole groups of vectors come first, what is left
 * follows vector by vector, the last one with a mask. */
#include <string.h>

#include "gpu.h"

enum { MOST_MEMBERS = 24, MOST_VECTORS = 8 };

typedef struct Running { /* a reduction under way */
    V value, place;      /* registers; place: of the best item, RED_ARGMAX */
} Running;

typedef struct Inner {
    Work *w;
    Emit *e;
    const Nest *n;
    Val at[MAX_AXES]; /* by axis of the nest */
    V base;           /* first index of the lanes' axis */
    uint32_t vectors;
    V tail;
    Running acc[MOST_MEMBERS][MOST_VECTORS];
    Val made[MOST_MEMBERS];
    uint32_t part; /* which of the running results of a vector */
} Inner;

/* ---- lanes -------------------------------------------------------------------------------------- */

/* fn for [0, n) by `vectors` vectors of `width` lanes at a time; then singly, masked where need be. */
static void lane_loop(Inner *x, Size n, uint32_t width, uint32_t vectors, void (*fn)(Inner *x)) {
    Emit *e = x->e;
    int64_t step = (int64_t)width * vectors, fixed;
    bool known = emit_known(e, n, &fixed);
    V all = emit_size(e, n), whole = all;
    if (!known) {
        V by = emit_const(e, step);
        whole = LLVMBuildSub(e->b, all, LLVMBuildURem(e->b, all, by, ""), "");
    } else {
        whole = emit_const(e, fixed - fixed % step);
    }
    V saved = x->tail;
    if (!known || fixed >= step) {
        Loop l = loop_begin(e, emit_const(e, 0), whole, step);
        x->base = l.i;
        x->vectors = vectors;
        fn(x);
        loop_end(e, &l);
    }
    if (!known || fixed % step) {
        Loop l = loop_begin(e, whole, all, width);
        x->base = l.i;
        x->vectors = 1;
        bool full = known && fixed % width == 0;
        if (!full) x->tail = lanes_below(e, width, LLVMBuildSub(e->b, all, l.i, ""));
        fn(x);
        loop_end(e, &l);
    }
    x->tail = saved;
}

static V vector_base(Inner *x, V base, uint32_t u) {
    return u ? LLVMBuildAdd(x->e->b, base, emit_const(x->e, (int64_t)u * x->n->width), "") : base;
}

/* Indices of vector u of the lanes. */
static void set_vector(Inner *x, uint32_t u) {
    Work *w = x->w;
    const Nest *n = x->n;
    if (n->lane >= 0) x->at[n->lane] = val_lane(vector_base(x, x->base, u), n->width);
    if (n->lane == LANE_GRID) grid_vector(w, u);
    emit_fresh(x->e);
}

static At place_of(Inner *x, const NestMember *m, uint32_t width) {
    At at = {.width = width, .tail = width > 1 ? x->tail : NULL};
    const Node *n = graph_node(x->e->g, m->node);
    x->e->n_idx = m->n_idx;
    for (uint32_t k = 0; k < m->n_idx; k++) {
        uint8_t a = m->axis_of[k];
        at.idx[k] = a >= GRID_AXIS ? x->w->grid[a - GRID_AXIS] : x->at[a];
        if (width == 1) at.idx[k].stride = 0;
        x->e->idx_size[k] =
            k < m->rank ? graph_value(x->e->g, n->out)->dims[k] : n->extra[k - m->rank];
    }
    return at;
}

/* ---- storing ------------------------------------------------------------------------------------ */

static void store_with_step(Emit *e, At *at, uint32_t arg, uint32_t rank, uint32_t axis, Val step,
                            Val v) {
    Val subs[MAX_RANK + 1];
    for (uint32_t i = 0, k = 0; i <= rank; i++) subs[i] = i == axis ? step : at->idx[k++];
    emit_store_arg(e, at, arg, subs, v);
}

static void store_member(Inner *x, const NestMember *m, At *at, Val v) {
    Emit *e = x->e;
    const PlanMember *p = &e->k->members.data[m->of];
    Value out = graph_node(e->g, m->node)->out;
    if (m->keep) emit_store_local(e, at, &e->locals.data[e->local_of[out] - 1], at->idx, v);
    if (p->arg != LOCAL) emit_store_arg(e, at, p->arg, at->idx, v);
    if (p->also != LOCAL)
        store_with_step(e, at, p->also, m->rank, p->also_axis, val_int(x->w->step), v);
}

/* ---- reductions ----------------------------------------------------------------------------------- */

static bool on_ints(const Inner *x, const NestMember *m) {
    return graph_type(x->e->g, graph_node(x->e->g, m->node)->expr) == T_INT;
}

static LLVMTypeRef lane_type(const Inner *x, LLVMTypeRef t) {
    return x->n->width > 1 ? LLVMVectorType(t, x->n->width) : t;
}

static void start(Inner *x, uint32_t vectors) {
    Emit *e = x->e;
    for (uint32_t i = 0; i < x->n->members.n; i++) {
        const NestMember *m = &x->n->members.data[i];
        if (!m->reduces) continue;
        Red red = (Red)graph_node(e->g, m->node)->red;
        bool ints = on_ints(x, m);
        LLVMTypeRef t = lane_type(x, ints ? e->i64 : e->f32), it = lane_type(x, e->i64);
        for (uint32_t u = 0; u < vectors; u++) {
            Running *r = &x->acc[i][u];
            if (!r->value) r->value = emit_var(e, t, NULL);
            emit_set(e, r->value, emit_splat(e, x->n->width, red_start(e, red, ints)));
            if (red != RED_ARGMAX) continue;
            if (!r->place) r->place = emit_var(e, it, NULL);
            emit_set(e, r->place, LLVMConstNull(it));
        }
    }
}

static void take_in(Inner *x, uint32_t i, uint32_t u, At *at) {
    Emit *e = x->e;
    const NestMember *m = &x->n->members.data[i];
    const Node *n = graph_node(e->g, m->node);
    Red red = (Red)n->red;
    bool ints = on_ints(x, m), lanes_reduced = x->n->lane >= 0 && x->n->reduced[x->n->lane];
    LLVMTypeRef t = lane_type(x, ints ? e->i64 : e->f32);
    Running *r = &x->acc[i][u * x->n->split + x->part];
    V tail = lanes_reduced ? x->tail : NULL;
    if (red == RED_SUM && !ints) {
        V old = emit_get(e, t, r->value), new = emit_sum(e, at, old, n->expr).v;
        emit_set(e, r->value, tail ? LLVMBuildSelect(e->b, tail, new, old, "") : new);
        return;
    }
    Val item = emit_expr(e, at, n->expr);
    V v = ints ? emit_int_vec(e, at, item) : emit_real_vec(e, at, item),
      old = emit_get(e, t, r->value);
    if (red != RED_ARGMAX) {
        V new = red_combine(e, red, old, v, ints);
        emit_set(e, r->value, tail ? LLVMBuildSelect(e->b, tail, new, old, "") : new);
        return;
    }
    V take = red_better(e, RED_MAX, old, v, ints);
    if (tail) take = LLVMBuildAnd(e->b, take, tail, "");
    V place = emit_get(e, lane_type(x, e->i64), r->place);
    emit_set(e, r->value, LLVMBuildSelect(e->b, take, v, old, ""));
    emit_set(e, r->place, LLVMBuildSelect(e->b, take, red_number(e, at, n, m->rank), place, ""));
}

static V upper_half(Emit *e, V v, uint32_t half) {
    V pick[64];
    for (uint32_t i = 0; i < half; i++) pick[i] = LLVMConstInt(e->i32, half + i, false);
    return LLVMBuildShuffleVector(e->b, v, v, LLVMConstVector(pick, half), "");
}

static V lower_half(Emit *e, V v, uint32_t half) {
    V pick[64];
    for (uint32_t i = 0; i < half; i++) pick[i] = LLVMConstInt(e->i32, i, false);
    return LLVMBuildShuffleVector(e->b, v, v, LLVMConstVector(pick, half), "");
}

/* All vectors and lanes of a reduced axis as one number. */
static V across_lanes(Inner *x, uint32_t i, Red red, bool ints) {
    Emit *e = x->e;
    LLVMTypeRef t = lane_type(x, ints ? e->i64 : e->f32), it = lane_type(x, e->i64);
    bool places = red == RED_ARGMAX;
    V v = emit_get(e, t, x->acc[i][0].value),
      at = places ? emit_get(e, it, x->acc[i][0].place) : NULL;
    for (uint32_t u = 1; u < x->n->unroll; u++) {
        V o = emit_get(e, t, x->acc[i][u].value);
        if (places)
            red_places(e, ints, &v, &at, o, emit_get(e, it, x->acc[i][u].place));
        else
            v = red_combine(e, red, v, o, ints);
    }
    for (uint32_t half = x->n->width / 2; half; half /= 2) {
        V hi = upper_half(e, v, half), lo = lower_half(e, v, half);
        if (places) {
            V ihi = upper_half(e, at, half), ilo = lower_half(e, at, half);
            red_places(e, ints, &lo, &ilo, hi, ihi);
            at = ilo;
        } else {
            lo = red_combine(e, red, lo, hi, ints);
        }
        v = lo;
    }
    V out = places ? at : v;
    return LLVMBuildExtractElement(e->b, out, LLVMConstInt(e->i32, 0, false), "");
}

static Val as_result(Inner *x, V v, bool ints) {
    if (!ints) return val_real(x->e, v);
    if (LLVMGetTypeKind(LLVMTypeOf(v)) != LLVMVectorTypeKind) return val_int(v);
    return (Val){.v = v, .kind = VAL_IVEC, .vec = true, .align = 1};
}

/* The running results of vector u as one. */
static V result_of(Inner *x, uint32_t i, uint32_t u, Red red, bool ints) {
    Emit *e = x->e;
    LLVMTypeRef t = lane_type(x, ints ? e->i64 : e->f32), it = lane_type(x, e->i64);
    Running *r = &x->acc[i][u * x->n->split];
    V v = emit_get(e, t, r->value), at = red == RED_ARGMAX ? emit_get(e, it, r->place) : NULL;
    for (uint32_t k = 1; k < x->n->split; k++) {
        V o = emit_get(e, t, r[k].value);
        if (at)
            red_places(e, ints, &v, &at, o, emit_get(e, it, r[k].place));
        else
            v = red_combine(e, red, v, o, ints);
    }
    return at ? at : v;
}

static void finish(Inner *x) {
    Emit *e = x->e;
    bool across = x->n->lane >= 0 && x->n->reduced[x->n->lane];
    for (uint32_t i = 0; i < x->n->members.n; i++) {
        const NestMember *m = &x->n->members.data[i];
        if (!m->reduces) continue;
        Red red = (Red)graph_node(e->g, m->node)->red;
        bool ints = on_ints(x, m), places = red == RED_ARGMAX;
        if (across) {
            V v = across_lanes(x, i, red, ints);
            At at = place_of(x, m, 1);
            store_member(x, m, &at, as_result(x, v, ints || places));
            continue;
        }
        for (uint32_t u = 0; u < x->vectors; u++) {
            set_vector(x, u);
            V v = result_of(x, i, u, red, ints);
            At at = place_of(x, m, x->n->width);
            store_member(x, m, &at, as_result(x, v, ints || places));
        }
    }
}

/* ---- bodies --------------------------------------------------------------------------------------- */

static void bind(Emit *e, Value v, Val x) {
    if (!e->local_of[v]) {
        PUSH(e->arena, &e->locals)->value = v;
        e->local_of[v] = e->locals.n;
    }
    e->locals.data[e->local_of[v] - 1].bound = x;
}

static void body(Inner *x, uint32_t u) {
    Emit *e = x->e;
    const Nest *n = x->n;
    set_vector(x, u);
    for (uint32_t i = 0; i < n->members.n; i++) {
        const NestMember *m = &n->members.data[i];
        if (i && memcmp(m->axis_of, n->members.data[i - 1].axis_of, sizeof m->axis_of) != 0)
            emit_fresh(e);
        At at = place_of(x, m, n->width);
        if (m->reduces) {
            take_in(x, i, u, &at);
            continue;
        }
        Val v = emit_expr(e, &at, graph_node(e->g, m->node)->expr);
        if (graph_type(e->g, graph_node(e->g, m->node)->expr) == T_INT && v.kind == VAL_BOOL)
            v = as_result(x, emit_int_vec(e, &at, v), true);
        x->made[i] = v;
        bind(e, graph_node(e->g, m->node)->out, v);
    }
    for (uint32_t i = 0; i < n->members.n; i++) {
        const NestMember *m = &n->members.data[i];
        if (m->reduces) continue;
        At at = place_of(x, m, n->width);
        bind(e, graph_node(e->g, m->node)->out, (Val){0});
        store_member(x, m, &at, x->made[i]);
    }
}

static void all_vectors(Inner *x);

/* The innermost reduced loop: each of the running results of a vector takes its turn. */
static void split_loop(Inner *x, uint32_t a) {
    Emit *e = x->e;
    V n = emit_size(e, x->n->size[a]), split = emit_const(e, x->n->split);
    V whole = LLVMBuildSub(e->b, n, LLVMBuildURem(e->b, n, split, ""), "");
    Loop l = loop_begin(e, emit_const(e, 0), whole, x->n->split);
    for (x->part = 0; x->part < x->n->split; x->part++) {
        x->at[a] = val_int(LLVMBuildAdd(e->b, l.i, emit_const(e, x->part), ""));
        all_vectors(x);
    }
    x->part = 0;
    loop_end(e, &l);
    l = loop_begin(e, whole, n, 1);
    x->at[a] = val_int(l.i);
    all_vectors(x);
    loop_end(e, &l);
}

static bool is_last_reduced(const Nest *n, uint32_t a) {
    for (uint32_t b = a + 1; b < n->n; b++)
        if (n->reduced[b]) return false;
    return true;
}

static void all_vectors(Inner *x) {
    for (uint32_t u = 0; u < x->vectors; u++) body(x, u);
}

static void reduced_loops(Inner *x, uint32_t a) {
    const Nest *n = x->n;
    while (a < n->n && (!n->reduced[a] || (int)a == n->lane)) a++;
    if (a < n->n && n->split > 1 && is_last_reduced(n, a)) {
        split_loop(x, a);
    } else if (a < n->n) {
        Loop l = loop_begin(x->e, emit_const(x->e, 0), emit_size(x->e, n->size[a]), 1);
        x->at[a] = val_int(l.i);
        reduced_loops(x, a + 1);
        loop_end(x->e, &l);
    } else if (n->lane >= 0 && n->reduced[n->lane]) {
        lane_loop(x, n->size[n->lane], n->width, n->unroll, all_vectors);
    } else {
        all_vectors(x);
    }
}

static void inner(Inner *x) {
    uint32_t vectors = x->n->lane >= 0 && x->n->reduced[x->n->lane] ? x->n->unroll : x->vectors;
    uint32_t saved = x->vectors;
    start(x, vectors * x->n->split);
    reduced_loops(x, 0);
    x->vectors = saved;
    finish(x);
}

static void result_loops(Inner *x, uint32_t a) {
    const Nest *n = x->n;
    while (a < n->n && (n->reduced[a] || (int)a == n->lane)) a++;
    if (a < n->n) {
        Loop l = loop_begin(x->e, emit_const(x->e, 0), emit_size(x->e, n->size[a]), 1);
        x->at[a] = val_int(l.i);
        result_loops(x, a + 1);
        loop_end(x->e, &l);
    } else if (n->lane >= 0 && !n->reduced[n->lane]) {
        lane_loop(x, n->size[n->lane], n->width, n->unroll, inner);
    } else {
        x->vectors = n->lane == LANE_GRID ? x->w->vectors : 1;
        x->tail = n->lane == LANE_GRID ? x->w->tail : NULL;
        inner(x);
    }
}

void nest_emit(Work *w, const Nest *n) {
    if (w->e->gpu) {
        gpu_nest(w, n);
        return;
    }
    Inner *x = NEW(w->e->arena, Inner);
    x->w = w;
    x->e = w->e;
    x->n = n;
    result_loops(x, 0);
}
