/* A nest of members, computed by the threads of a workgroup, or by one thread (gpu.h).
 *
 * Results are the points of the nest's axes that are not reduced. A share of threads computes each: the axis
 * in the lanes, when it is reduced, is dealt to them; their parts add up in a tree. Values of a single point
 * are computed by every thread for itself. Where such a nest also overwrites what it reads (a result in the place
 * of an operand), all threads share the sum, or all have read before one of them stores. */
#include "contract.h"
#include "gpu.h"

#include <string.h>

enum { MOST_MEMBERS = 24, MOST_AT_ONCE = 8 /* turns of a loop written out */ };

typedef struct Running {
    V value, place; /* registers; place: of the best item, RED_ARGMAX */
} Running;

typedef struct Inner {
    Work *w;
    Emit *e;
    const Nest *n;
    Box box;
    uint8_t result[MAX_AXES]; /* by axis of the box: axis of the nest */
    Val at[MAX_AXES];         /* by axis of the nest */
    Running acc[MOST_MEMBERS];
    Val made[MOST_MEMBERS];
    bool meets, meets_global; /* all threads, before one of them stores */
} Inner;

static V number(Emit *e, uint64_t n) { return LLVMConstInt(e->i32, n, false); }

static At place_of(Inner *x, const NestMember *m) {
    Emit *e = x->e;
    At at = {.width = 1};
    const Node *n = graph_node(e->g, m->node);
    e->n_idx = m->n_idx;
    for (uint32_t k = 0; k < m->n_idx; k++) {
        uint8_t a = m->axis_of[k];
        at.idx[k] = a >= GRID_AXIS ? x->w->grid[a - GRID_AXIS] : x->at[a];
        e->idx_size[k] = k < m->rank ? graph_value(e->g, n->out)->dims[k] : n->extra[k - m->rank];
    }
    return at;
}

/* ---- storing ------------------------------------------------------------------------------------------ */

static bool in_register(Inner *x, const NestMember *m) {
    const EmitLocal *l = &x->e->locals.data[x->e->local_of[graph_node(x->e->g, m->node)->out] - 1];
    return gpu_place_of(x->e, l->scope) == GPU_IN_REGISTERS;
}

static void store_with_step(Inner *x, At *at, const NestMember *m, const PlanMember *p, Val v) {
    Val subs[MAX_RANK + 1];
    for (uint32_t i = 0, k = 0; i <= m->rank; i++)
        subs[i] = i == p->also_axis ? val_int(x->w->step) : at->idx[k++];
    emit_store_arg(x->e, at, p->also, subs, v);
}

/* only: what this thread must be to store to memory, or NULL. */
static void store_member(Inner *x, const NestMember *m, At *at, Val v, V only) {
    Emit *e = x->e;
    const PlanMember *p = &e->k->members.data[m->of];
    EmitLocal *l =
        m->keep ? &e->locals.data[e->local_of[graph_node(e->g, m->node)->out] - 1] : NULL;
    if (l && in_register(x, m)) {
        emit_store_local(e, at, l, at->idx, v);
        l = NULL;
    }
    if (!l && p->arg == LOCAL && p->also == LOCAL) return;
    If guard = {0};
    if (only) guard = if_begin(e, only);
    if (l) emit_store_local(e, at, l, at->idx, v);
    if (p->arg != LOCAL) emit_store_arg(e, at, p->arg, at->idx, v);
    if (p->also != LOCAL) store_with_step(x, at, m, p, v);
    if (only) if_end(e, &guard);
}

static V both(Emit *e, V a, V b) { return a && b ? LLVMBuildAnd(e->b, a, b, "") : a ? a : b; }

/* Who stores what is computed at each point of the reduced axes; and who stores results. */
static V storer(Inner *x, bool result) {
    Emit *e = x->e;
    const Box *b = &x->box;
    if (e->gpu->point) return NULL;
    V thread = e->gpu->thread;
    if (b->solo) {
        if (!result && b->share == e->gpu->block) return NULL;
        uint32_t who = result ? 1 : b->share;
        return LLVMBuildICmp(e->b, LLVMIntULT, thread, number(e, who), "");
    }
    if (b->share == 1) return NULL;
    V first = result ? LLVMBuildICmp(e->b, LLVMIntEQ, b->lane, number(e, 0), "") : NULL;
    return both(e, b->on, first);
}

/* ---- reductions ----------------------------------------------------------------------------------------- */

static bool on_ints(const Inner *x, const NestMember *m) {
    return graph_type(x->e->g, graph_node(x->e->g, m->node)->expr) == T_INT;
}

static void start(Inner *x) {
    Emit *e = x->e;
    for (uint32_t i = 0; i < x->n->members.n; i++) {
        const NestMember *m = &x->n->members.data[i];
        if (!m->reduces) continue;
        Red red = (Red)graph_node(e->g, m->node)->red;
        bool ints = on_ints(x, m);
        Running *r = &x->acc[i];
        r->value = emit_var(e, ints ? e->i64 : e->f32, NULL);
        emit_set(e, r->value, red_start(e, red, ints));
        if (red != RED_ARGMAX) continue;
        r->place = emit_var(e, e->i64, NULL);
        emit_set(e, r->place, emit_const(e, 0));
    }
}

static void take_in(Inner *x, uint32_t i, At *at) {
    Emit *e = x->e;
    const NestMember *m = &x->n->members.data[i];
    const Node *n = graph_node(e->g, m->node);
    Red red = (Red)n->red;
    bool ints = on_ints(x, m);
    Running *r = &x->acc[i];
    V old = emit_get(e, ints ? e->i64 : e->f32, r->value);
    if (red == RED_SUM && !ints) {
        emit_set(e, r->value, emit_sum(e, at, old, n->expr).v);
        return;
    }
    Val item = emit_expr(e, at, n->expr);
    V v = ints ? emit_int_vec(e, at, item) : emit_real_vec(e, at, item);
    if (red != RED_ARGMAX) {
        emit_set(e, r->value, red_combine(e, red, old, v, ints));
        return;
    }
    V take = red_better(e, RED_MAX, old, v, ints), place = emit_get(e, e->i64, r->place);
    emit_set(e, r->value, LLVMBuildSelect(e->b, take, v, old, ""));
    emit_set(e, r->place, LLVMBuildSelect(e->b, take, red_number(e, at, n, m->rank), place, ""));
}

static void finish(Inner *x) {
    Emit *e = x->e;
    GpuTotal all[MOST_MEMBERS];
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->n->members.n; i++) {
        const NestMember *m = &x->n->members.data[i];
        if (!m->reduces) continue;
        GpuTotal *t = &all[n++];
        *t = (GpuTotal){.red = (Red)graph_node(e->g, m->node)->red, .ints = on_ints(x, m)};
        t->v = emit_get(e, t->ints ? e->i64 : e->f32, x->acc[i].value);
        if (t->red == RED_ARGMAX) t->place = emit_get(e, e->i64, x->acc[i].place);
    }
    if (!n) return;
    if (!e->gpu->point) gpu_totals(e, all, n, x->box.share);
    if (x->meets) gpu_barrier(e, x->meets_global);
    V only = storer(x, true);
    n = 0;
    for (uint32_t i = 0; i < x->n->members.n; i++) {
        const NestMember *m = &x->n->members.data[i];
        if (!m->reduces) continue;
        const GpuTotal *t = &all[n++];
        At at = place_of(x, m);
        Val v = t->place ? val_int(t->place) : t->ints ? val_int(t->v) : val_real(e, t->v);
        store_member(x, m, &at, v, only);
    }
}

/* ---- bodies ----------------------------------------------------------------------------------------------- */

static void bind(Emit *e, Value v, Val x) {
    if (!e->local_of[v]) {
        PUSH(e->arena, &e->locals)->value = v;
        e->local_of[v] = e->locals.n;
    }
    e->locals.data[e->local_of[v] - 1].bound = x;
}

static void body(Inner *x) {
    Emit *e = x->e;
    const Nest *n = x->n;
    emit_fresh(e);
    for (uint32_t i = 0; i < n->members.n; i++) {
        const NestMember *m = &n->members.data[i];
        if (i && memcmp(m->axis_of, n->members.data[i - 1].axis_of, sizeof m->axis_of) != 0)
            emit_fresh(e);
        At at = place_of(x, m);
        if (m->reduces) {
            take_in(x, i, &at);
            continue;
        }
        Val v = emit_expr(e, &at, graph_node(e->g, m->node)->expr);
        if (graph_type(e->g, graph_node(e->g, m->node)->expr) == T_INT && v.kind == VAL_BOOL)
            v = val_int(emit_int_vec(e, &at, v));
        x->made[i] = v;
        bind(e, graph_node(e->g, m->node)->out, v);
    }
    V only = NULL;
    bool asked = false;
    for (uint32_t i = 0; i < n->members.n; i++) {
        const NestMember *m = &n->members.data[i];
        if (m->reduces) continue;
        if (!asked) only = storer(x, false);
        if (!asked && x->meets) gpu_barrier(e, x->meets_global);
        asked = true;
        At at = place_of(x, m);
        bind(e, graph_node(e->g, m->node)->out, (Val){0});
        store_member(x, m, &at, x->made[i], only);
    }
}

/* The largest divisor of so many turns that is written out: their loads are under way together. */
static uint32_t at_once(const Inner *x, int64_t turns) {
    uint32_t most = x->n->members.n > 8 ? 2 : x->n->members.n > 4 ? 4 : MOST_AT_ONCE;
    for (uint32_t n = most; n > 1; n--)
        if (turns % n == 0) return n;
    return 1;
}

static bool fixed(Inner *x, uint32_t a, int64_t *n) {
    Sizes *s = x->e->g->sizes;
    return size_is_num(s, size_ground(s, x->n->size[a]), n);
}

/* body for the items from, from + step, ... of axis a. */
static void turns(Inner *x, uint32_t a, V from, uint32_t step) {
    Emit *e = x->e;
    int64_t n;
    bool known = fixed(x, a, &n) && n % step == 0;
    uint32_t each = known ? at_once(x, n / step) : 1;
    Loop l = loop_begin(e, from, emit_size(e, x->n->size[a]), (int64_t)step * each);
    for (uint32_t i = 0; i < each; i++) {
        V at = i ? LLVMBuildAdd(e->b, l.i, emit_const(e, (int64_t)i * step), "") : l.i;
        x->at[a] = val_int(at);
        body(x);
    }
    loop_end(e, &l);
}

/* Every item of axis a by its number: columns in registers have no other addresses. What one needs is not
 * loaded long before. */
static void written_out(Inner *x, uint32_t a) {
    Emit *e = x->e;
    int64_t n = 1;
    fixed(x, a, &n);
    for (int64_t i = 0; i < n; i++) {
        x->at[a] = val_const(e, i);
        body(x);
        if (i % MOST_AT_ONCE == MOST_AT_ONCE - 1) gpu_call(e, "rwkvc.keep.order", NULL, 0);
    }
}

static uint32_t next_reduced(const Nest *n, uint32_t a) {
    while (a < n->n && (!n->reduced[a] || (int)a == n->lane)) a++;
    return a;
}

static void reduced_loops(Inner *x, uint32_t a) {
    Emit *e = x->e;
    const Nest *n = x->n;
    a = next_reduced(n, a);
    bool lanes = n->lane >= 0 && n->reduced[n->lane];
    if (a < n->n && !lanes && next_reduced(n, a + 1) == n->n) {
        if (n->columns)
            written_out(x, a);
        else
            turns(x, a, emit_const(e, 0), 1);
    } else if (a < n->n) {
        Loop l = loop_begin(e, emit_const(e, 0), emit_size(e, n->size[a]), 1);
        x->at[a] = val_int(l.i);
        reduced_loops(x, a + 1);
        loop_end(e, &l);
    } else if (lanes) {
        bool dealt = !e->gpu->point && x->box.share > 1;
        V from = dealt ? LLVMBuildZExt(e->b, x->box.lane, e->i64, "") : emit_const(e, 0);
        turns(x, (uint32_t)n->lane, from, dealt ? x->box.share : 1);
    } else {
        body(x);
    }
}

/* ---- what is touched ---------------------------------------------------------------------------------------- */

typedef struct Touch {
    Inner *x;
    bool clash, note;
    uint8_t *how; /* by scope, or NULL */
} Touch;

static void touch(Touch *t, uint32_t scope, uint8_t how) {
    if (t->how)
        t->how[scope] |= how;
    else if (t->note)
        gpu_note(t->x->e, scope, how);
    else
        t->clash = t->clash || gpu_clashes(t->x->e, scope, how);
}

static void visit_read(Graph *g, ExprId id, void *user) {
    Touch *t = user;
    Emit *e = t->x->e;
    const Expr *p = graph_expr(g, id);
    if (p->op != X_READ) return;
    uint32_t l = e->local_of[p->value], a = e->arg_of[p->value];
    if (l && e->locals.data[l - 1].ptr)
        touch(t, e->locals.data[l - 1].scope, TOUCH_READ);
    else if (a)
        touch(t, e->args[a - 1].scope, TOUCH_READ);
}

static void touch_each(Touch *t) {
    Emit *e = t->x->e;
    for (uint32_t i = 0; i < t->x->n->members.n; i++) {
        const NestMember *m = &t->x->n->members.data[i];
        const Node *n = graph_node(e->g, m->node);
        const PlanMember *p = &e->k->members.data[m->of];
        expr_walk(e->g, n->expr, visit_read, t);
        if (m->keep) touch(t, e->locals.data[e->local_of[n->out] - 1].scope, TOUCH_WRITE);
        if (p->arg != LOCAL) touch(t, e->args[p->arg].scope, TOUCH_WRITE);
        if (p->also != LOCAL) touch(t, e->args[p->also].scope, TOUCH_WRITE);
    }
}

static void touch_all(Inner *x, bool note) {
    Touch t = {x, false, note, NULL};
    touch_each(&t);
    if (!note) gpu_meet_if(x->e, t.clash);
}

/* Does the nest write memory that it reads? */
static bool overwrites(Inner *x, bool *global) {
    Emit *e = x->e;
    Touch t = {.x = x};
    uint32_t n = e->n_fixed_scopes + e->locals.n;
    t.how = NEWN(e->arena, uint8_t, n + 1);
    touch_each(&t);
    bool any = false;
    for (uint32_t s = 0; s < n; s++) {
        if (t.how[s] != (TOUCH_READ | TOUCH_WRITE) || gpu_place_of(e, s) == GPU_IN_REGISTERS)
            continue;
        any = true;
        *global = *global || gpu_place_of(e, s) == GPU_IN_GLOBAL;
    }
    return any;
}

/* The axis in the lanes last: neighbours are neighbouring threads. */
static void set_box(Inner *x) {
    const Nest *n = x->n;
    Box *b = &x->box;
    b->w = x->w;
    b->share = x->e->gpu->point ? 1 : gpu_share(x->w, n);
    for (uint32_t a = 0; a < n->n; a++)
        if (!n->reduced[a] && (int)a != n->lane) {
            x->result[b->n] = (uint8_t)a;
            b->size[b->n++] = n->size[a];
        }
    if (n->lane >= 0 && !n->reduced[n->lane]) {
        x->result[b->n] = (uint8_t)n->lane;
        b->size[b->n++] = n->size[n->lane];
    }
    const Gpu *g = x->e->gpu;
    for (uint32_t i = 0; i < b->n; i++) {
        if (x->result[i] + 1u != n->cut) continue;
        int64_t size = 0;
        fixed(x, x->result[i], &size);
        b->size[i] = size_num(x->e->g->sizes, size / g->heads);
    }
    bool solo = !g->point && !g->slice && box_is_one(x->e, b->size, b->n);
    if (!solo || b->share == g->block || !overwrites(x, &x->meets_global)) return;
    x->meets = b->share == 1;
    if (!x->meets) b->share = g->block;
}

/* Index i of the box, as an index of the nest. */
static Val in_part(Inner *x, uint32_t i) {
    Emit *e = x->e;
    Val at = x->box.idx[i];
    int64_t size = 0;
    if (x->result[i] + 1u != x->n->cut) return at;
    fixed(x, x->result[i], &size);
    V first = LLVMBuildMul(e->b, e->gpu->head, emit_const(e, size / e->gpu->heads), "");
    return val_int(LLVMBuildAdd(e->b, first, at.v, ""));
}

void gpu_nest(Work *w, const Nest *n) {
    Inner *x = NEW(w->e->arena, Inner);
    x->w = w;
    x->e = w->e;
    x->n = n;
    touch_all(x, false);
    set_box(x);
    box_begin(&x->box);
    for (uint32_t i = 0; i < x->box.n; i++) x->at[x->result[i]] = in_part(x, i);
    start(x);
    reduced_loops(x, 0);
    emit_fresh(x->e);
    finish(x);
    box_end(&x->box);
    touch_all(x, true);
}
