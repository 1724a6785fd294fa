/* The scan schedule: a recurrence along an axis. At each point of the grid the carried values are copied to
 * scratch, the steps run in order, and the final values are copied out.
 *
 * A carried value is rewritten where it lies when nothing reads the old one after the nest that makes the
 * new one; otherwise it is copied at the end of the step, by way of a third place where one carried value
 * becomes another. */
#include "nest.h"

static uint32_t level_of(const Emit *e) { return e->g->nodes.data[e->k->recur].recur->level; }

static bool is_carried(const Kernel *k, Value v) {
    for (uint32_t i = 0; i < k->carries.n; i++)
        if (k->carries.data[i].arg_value == v) return true;
    return false;
}

/* ---- where carried values live -------------------------------------------------------------------- */

typedef struct Look {
    const NestMember *reader;
    Value v;
    const uint8_t *axis_of; /* of the member that makes the new value */
    bool same_point;
} Look;

static void visit_point(Graph *g, ExprId x, void *user) {
    Look *l = user;
    const Expr *p = graph_expr(g, x);
    if (p->op != X_READ || p->value != l->v) return;
    for (uint32_t a = 0; a < p->n_args; a++) {
        const Expr *s = graph_expr(g, expr_arg(g, x, a));
        bool own = s->op == X_IDX && (uint64_t)s->i < l->reader->n_idx;
        if (!own || l->reader->axis_of[s->i] != l->axis_of[a]) l->same_point = false;
    }
}

/* May the new value overwrite the old one? */
static bool in_place(Work *w, const PlanCarry *c) {
    Emit *e = w->e;
    Kernel *k = e->k;
    if (is_carried(k, c->next) || !w->nest_of[c->next]) return false;
    for (uint32_t i = k->n_again_carries; i < k->carries.n; i++) {
        const PlanCarry *o = &k->carries.data[i];
        if (o == c) continue;
        if (o->next == c->next || o->next == c->arg_value) return false; /* it is wanted twice */
    }
    uint32_t made = w->nest_of[c->next];
    for (uint32_t i = made; i < w->nests.n; i++)
        if (nest_reads(w, &w->nests.data[i], c->arg_value)) return false;
    const Nest *n = &w->nests.data[made - 1];
    const NestMember *maker = NULL;
    for (uint32_t i = 0; i < n->members.n; i++)
        if (graph_node(e->g, n->members.data[i].node)->out == c->next) maker = &n->members.data[i];
    if (!maker) return false;
    bool reads = nest_reads(w, n, c->arg_value);
    if (maker->reduces) return !reads;
    for (uint32_t i = 0; i < n->members.n; i++) {
        Look l = {&n->members.data[i], c->arg_value, maker->axis_of, true};
        expr_walk(e->g, graph_node(e->g, l.reader->node)->expr, visit_point, &l);
        if (!l.same_point) return false;
    }
    return true;
}

static void keep_next(Work *w, Value v, const uint8_t *par) {
    uint32_t number = w->nest_of[v];
    if (!number) return;
    Nest *n = &w->nests.data[number - 1];
    for (uint32_t i = 0; i < n->members.n; i++)
        if (graph_node(w->e->g, n->members.data[i].node)->out == v) n->members.data[i].keep = true;
    local_add(w, v, par);
}

static void carries_place(Work *w) {
    Kernel *k = w->e->k;
    for (uint32_t i = k->n_again_carries; i < k->carries.n; i++)
        local_add(w, k->carries.data[i].arg_value, k->carries.data[i].par);
    for (uint32_t i = k->n_again_carries; i < k->carries.n; i++) {
        const PlanCarry *c = &k->carries.data[i];
        keep_next(w, c->next, c->par);
        if (in_place(w, c)) {
            uint32_t from = w->e->local_of[c->next] - 1, to = w->e->local_of[c->arg_value] - 1;
            w->same_as[from] = to;
        }
    }
}

/* ---- steps run again --------------------------------------------------------------------------------
 *
 * A value of theirs that the backward steps read lies in a row of slots, one a step of the piece at hand.
 * Its local, and that of the result as which it is read, point at the slot of the step. A carried value has
 * one slot more: what a step makes of it is what the next step finds. */

typedef struct Window {
    uint32_t local, shift; /* slot of the step + shift */
} Window;

typedef struct Again {
    const Recur *r;
    uint32_t steps; /* of a piece, at most */
    VEC(Window) windows;
} Again;

static uint32_t window_add(Work *w, Again *x, uint32_t local, uint32_t root, uint32_t shift) {
    w->same_as[local] = root;
    *PUSH(w->e->arena, &x->windows) = (Window){local, shift};
    return local;
}

static const PlanMember *member_of_value(const Kernel *k, const Graph *g, Value v) {
    for (uint32_t i = 0; i < k->n_again; i++)
        if (g->nodes.data[k->members.data[i].node].out == v) return &k->members.data[i];
    return NULL;
}

/* The root of the slots that hold body value v, and the shift to it. */
static uint32_t window_of(Work *w, Again *x, Value v, uint32_t *shift, const uint8_t **par) {
    Kernel *k = w->e->k;
    *shift = 0;
    for (uint32_t i = 0; i < k->n_again_carries; i++) {
        const PlanCarry *c = &k->carries.data[i];
        *shift = v == c->next;
        *par = c->par;
        if (v == c->next || v == c->arg_value) return w->e->local_of[c->arg_value] - 1;
    }
    const PlanMember *m = member_of_value(k, w->e->g, v);
    if (!m) return UINT32_MAX;
    *par = m->par;
    keep_next(w, v, m->par);
    uint32_t root = w->e->local_of[v] - 1;
    w->slots[root] = x->steps;
    return window_add(w, x, root, root, 0);
}

static void again_place(Work *w, Again *x) {
    Emit *e = w->e;
    Kernel *k = e->k;
    x->r = graph_node(e->g, k->again)->recur;
    x->steps = x->r->every;
    for (uint32_t i = 0; i < k->n_again_carries; i++) {
        const PlanCarry *c = &k->carries.data[i];
        uint32_t root = local_add(w, c->arg_value, c->par);
        w->slots[root] = x->steps + 1;
        window_add(w, x, root, root, 0);
        keep_next(w, c->next, c->par);
        window_add(w, x, e->local_of[c->next] - 1, root, 1);
    }
    const RecurClass *c = &x->r->classes.data[0];
    for (uint32_t i = 0; i < c->outs.n; i++) {
        uint32_t shift;
        const uint8_t *par = NULL;
        uint32_t root = window_of(w, x, c->outs.data[i].body, &shift, &par);
        if (root == UINT32_MAX) {
            e->error = "a result of steps run again that they do not make";
            return;
        }
        Value v = c->outs.data[i].result;
        uint32_t l = local_add(w, v, par);
        e->locals.data[l].stride[c->outs.data[i].axis] = emit_const(e, 0);
        window_add(w, x, l, root, shift);
    }
}

static void windows_at(Work *w, const Again *x, const V *base, V slot) {
    Emit *e = w->e;
    for (uint32_t i = 0; i < x->windows.n; i++) {
        const Window *at = &x->windows.data[i];
        V n = LLVMBuildAdd(e->b, slot, emit_const(e, at->shift), "");
        n = LLVMBuildMul(e->b, n, w->slot_items[w->same_as[at->local]], "");
        e->locals.data[at->local].ptr = LLVMBuildGEP2(e->b, e->f32, base[i], &n, 1, "");
    }
    emit_fresh(e);
}

/* ---- code --------------------------------------------------------------------------------------------- */

static uint32_t place_of(const Work *w, Value v) { return w->e->local_of[v] - 1; }

static bool shares(const Work *w, Value a, Value b) {
    uint32_t la = w->e->local_of[a], lb = w->e->local_of[b];
    return a == b || (la && lb && w->same_as[la - 1] == w->same_as[lb - 1]);
}

/* Reads what the kernel does not make: an argument that is the same at every step. */
static void next_from_outside(Work *w, const PlanCarry *c) {
    uint32_t a = w->e->arg_of[c->next];
    if (a)
        copy_in(w, a - 1, place_of(w, c->arg_value), c->par);
    else
        w->e->error = "a carried value comes from nowhere";
}

static void carry_on(Work *w) {
    Kernel *k = w->e->k;
    uint32_t first = k->n_again_carries;
    for (uint32_t i = first; i < k->carries.n; i++) { /* old values that others take over */
        const PlanCarry *c = &k->carries.data[i];
        if (is_carried(k, c->next) && c->next != c->arg_value)
            copy_locals(w, place_of(w, c->next), w->shadow[i] - 1, c->par);
    }
    for (uint32_t i = first; i < k->carries.n; i++) {
        const PlanCarry *c = &k->carries.data[i];
        if (shares(w, c->next, c->arg_value)) continue;
        if (is_carried(k, c->next))
            copy_locals(w, w->shadow[i] - 1, place_of(w, c->arg_value), c->par);
        else if (w->nest_of[c->next])
            copy_locals(w, place_of(w, c->next), place_of(w, c->arg_value), c->par);
        else
            next_from_outside(w, c);
    }
}

/* What is kept of a carried value at some steps only. */
static void keep_some(Work *w, const PlanCarry *c) {
    Emit *e = w->e;
    V every = emit_const(e, c->every), zero = emit_const(e, 0);
    V here = LLVMBuildICmp(e->b, LLVMIntEQ, LLVMBuildURem(e->b, w->step, every, ""), zero, "");
    WorkNotes before = work_fork(w);
    Loop l = loop_begin(e, zero, LLVMBuildZExt(e->b, here, e->i64, ""), 1);
    V item = LLVMBuildUDiv(e->b, w->step, every, "");
    copy_out(w, place_of(w, c->arg_value), c->kept, c->par, c->kept_axis, val_int(item));
    loop_end(e, &l);
    work_join(w, before);
    emit_fresh(e);
}

/* Every step begins here. */
static void set_step(Work *w, V step) {
    Emit *e = w->e;
    work_sync(w);
    w->step = step;
    e->lvl[level_of(e)] = e->pos[level_of(e)] = val_int(step);
}

static void one_step(Work *w) {
    Kernel *k = w->e->k;
    for (uint32_t i = k->n_again_carries; i < k->carries.n; i++) {
        const PlanCarry *c = &k->carries.data[i];
        if (c->also != LOCAL)
            copy_out(w, place_of(w, c->arg_value), c->also, c->par, c->also_axis, val_int(w->step));
        if (c->kept != LOCAL) keep_some(w, c);
    }
    for (uint32_t i = w->n_again_nests; i < w->nests.n; i++) nest_emit(w, &w->nests.data[i]);
    carry_on(w);
}

/* ---- what the next steps will touch -----------------------------------------------------------------
 *
 * A step reads and writes a short run of numbers in each of many tensors, far from those of the step before:
 * nothing in the machine foresees that, so the lines of a later step are asked for now. */

enum { STEPS_AHEAD = 3, LINE = 64, MOST_LINES = 8 };

typedef struct Ahead {
    Work *w;
    const PlanMember *m;
    V step; /* the later step */
    VEC(ExprId) seen;
} Ahead;

static void ask_for(Emit *e, V ptr, V offset, uint8_t dtype, int64_t items, bool writes) {
    uint32_t bytes = dtype == DT_BF16 || dtype == DT_F16 ? 2 : 4;
    int64_t lines = (items * bytes + LINE - 1) / LINE;
    LLVMTypeRef i8 = LLVMInt8TypeInContext(e->c);
    offset = LLVMBuildMul(e->b, offset, emit_const(e, bytes), "");
    for (int64_t i = 0; i < lines && i < MOST_LINES; i++) {
        V at = LLVMBuildAdd(e->b, offset, emit_const(e, i * LINE), "");
        V args[4] = {LLVMBuildGEP2(e->b, i8, ptr, &at, 1, ""), LLVMConstInt(e->i32, writes, false),
                     LLVMConstInt(e->i32, 3, false), LLVMConstInt(e->i32, 1, false)};
        emit_intrinsic(e, "llvm.prefetch", &e->ptr, 1, args, 4);
    }
}

/* Indices of the member at the first of its numbers in this point. */
static At first_number(Ahead *a) {
    At at = {.width = 1};
    Work *w = a->w;
    const Node *n = graph_node(w->e->g, a->m->node);
    uint32_t rank = graph_value(w->e->g, n->out)->rank;
    w->e->n_idx = rank + n->n_extra;
    for (uint32_t k = 0; k < rank + n->n_extra; k++) {
        at.idx[k] = val_int(emit_const(w->e, 0));
        w->e->idx_size[k] = k < rank ? graph_value(w->e->g, n->out)->dims[k] : n->extra[k - rank];
    }
    for (uint32_t j = 0; j < w->n_par; j++) at.idx[a->m->par[j]] = w->grid[j];
    return at;
}

/* How many numbers follow each other: the size of the index that moves the last subscript by one. */
static int64_t run_of(Emit *e, ExprId last) {
    Affine x;
    int64_t one, n = 1;
    if (!expr_affine(e->g, last, &x)) return 1;
    for (uint32_t i = 0; i < x.n; i++) {
        const Expr *k = graph_expr(e->g, x.atom[i]);
        if (k->op != X_IDX || !size_is_num(e->g->sizes, x.coef[i], &one) || one != 1) continue;
        if (!size_is_num(e->g->sizes, size_ground(e->g->sizes, e->idx_size[k->i]), &n)) n = 1;
    }
    return n;
}

static bool has_step(Emit *e, ExprId read) {
    for (uint32_t k = 0; k < graph_expr(e->g, read)->n_args; k++) {
        const Expr *s = graph_expr(e->g, expr_arg(e->g, read, k));
        if (s->op == X_LVL && s->i == (int64_t)level_of(e)) return true;
    }
    return false;
}

/* An address that memory decides: a later step's must not be read, it may not be there. */
static bool looks_up(Graph *g, ExprId e) {
    ExprOp op = (ExprOp)graph_expr(g, e)->op;
    if (op == X_READ || op == X_RANDOM || op == X_SELECT) return true;
    for (uint32_t k = 0; k < graph_expr(g, e)->n_args; k++)
        if (looks_up(g, expr_arg(g, e, k))) return true;
    return false;
}

static void ask_for_read(Graph *g, ExprId x, void *user) {
    Ahead *a = user;
    Emit *e = a->w->e;
    const Expr r = *graph_expr(g, x);
    if (r.op != X_READ || !e->arg_of[r.value] || e->local_of[r.value] || !has_step(e, x)) return;
    for (uint32_t i = 0; i < a->seen.n; i++)
        if (a->seen.data[i] == x) return;
    *PUSH(e->arena, &a->seen) = x;
    uint32_t arg = e->arg_of[r.value] - 1;
    At at = first_number(a);
    V offset = emit_const(e, 0);
    for (uint32_t k = e->args[arg].drop; k < r.n_args; k++) {
        if (looks_up(g, expr_arg(g, x, k))) return;
        Val v = emit_expr(e, &at, expr_arg(g, x, k));
        if (v.kind != VAL_INT) return;
        V by = LLVMBuildMul(e->b, v.v, emit_arg_stride(e, arg, k), "");
        offset = LLVMBuildAdd(e->b, offset, by, "");
    }
    int64_t run = run_of(e, expr_arg(g, x, r.n_args - 1u));
    ask_for(e, e->args[arg].ptr, offset, e->args[arg].dtype, run, false);
}

static void ask_for_out(Ahead *a) {
    Emit *e = a->w->e;
    const PlanMember *m = a->m;
    if (m->also == LOCAL) return;
    const ValueInfo *v = graph_value(e->g, graph_node(e->g, m->node)->out);
    At at = first_number(a);
    V offset = emit_const(e, 0);
    for (uint32_t i = 0, k = 0; i <= v->rank; i++) {
        V sub = i == m->also_axis ? a->step : at.idx[k++].v;
        offset = LLVMBuildAdd(e->b, offset,
                              LLVMBuildMul(e->b, sub, emit_arg_stride(e, m->also, i), ""), "");
    }
    int64_t run = 1;
    if (v->rank && m->also_axis < v->rank)
        size_is_num(e->g->sizes, size_ground(e->g->sizes, v->dims[v->rank - 1]), &run);
    ask_for(e, e->args[m->also].ptr, offset, e->args[m->also].dtype, run, true);
}

/* Of the members first..last-1; forward or backward. */
static void ask_ahead(Work *w, uint32_t first, uint32_t last, bool backward) {
    Emit *e = w->e;
    if (w->grid_lane) return; /* neighbours in the grid are neighbours in memory */
    if (e->gpu) return;       /* other waves run while one waits */
    V now = w->step, by = emit_const(e, STEPS_AHEAD);
    Ahead a = {.w = w};
    a.step = backward ? LLVMBuildSub(e->b, now, by, "") : LLVMBuildAdd(e->b, now, by, "");
    Val old = e->lvl[level_of(e)];
    e->lvl[level_of(e)] = e->pos[level_of(e)] = val_int(a.step);
    emit_fresh(e);
    for (uint32_t i = first; i < last; i++) {
        a.m = &e->k->members.data[i];
        expr_walk(e->g, graph_node(e->g, a.m->node)->expr, ask_for_read, &a);
        ask_for_out(&a);
        emit_fresh(e);
    }
    e->lvl[level_of(e)] = e->pos[level_of(e)] = old;
}

/* ---- steps ------------------------------------------------------------------------------------------ */

static void begin(Work *w) {
    Kernel *k = w->e->k;
    for (uint32_t i = k->n_again_carries; i < k->carries.n; i++) {
        const PlanCarry *c = &k->carries.data[i];
        copy_in(w, c->init_arg, place_of(w, c->arg_value), c->par);
    }
}

static void end(Work *w) {
    Kernel *k = w->e->k;
    work_sync(w);
    for (uint32_t i = k->n_again_carries; i < k->carries.n; i++) {
        const PlanCarry *c = &k->carries.data[i];
        if (c->final_arg != LOCAL)
            copy_out(w, place_of(w, c->arg_value), c->final_arg, c->par, -1, (Val){0});
    }
}

static void all_steps(Work *w) {
    Emit *e = w->e;
    const Recur *r = graph_node(e->g, e->k->recur)->recur;
    begin(w);
    V n = emit_size(e, r->length);
    Loop l = loop_begin(e, emit_const(e, 0), n, 1);
    V step = l.i;
    if (r->reverse) step = LLVMBuildSub(e->b, LLVMBuildSub(e->b, n, emit_const(e, 1), ""), l.i, "");
    set_step(w, step);
    ask_ahead(w, 0, e->k->members.n, r->reverse);
    one_step(w);
    loop_end(e, &l);
    end(w);
}

/* Steps first..last-1 again, from what was kept before them, then backward. */
static void one_piece(Work *w, const Again *x, const V *base, V piece, V first, V last) {
    Emit *e = w->e;
    Kernel *k = e->k;
    work_sync(w);
    windows_at(w, x, base, emit_const(e, 0));
    for (uint32_t i = 0; i < k->n_again_carries; i++) {
        const PlanCarry *c = &k->carries.data[i];
        copy_in_item(w, c->init_arg, x->r->carry.data[i].lead, val_int(piece),
                     place_of(w, c->arg_value), c->par);
    }
    Loop l = loop_begin(e, first, last, 1);
    windows_at(w, x, base, LLVMBuildSub(e->b, l.i, first, ""));
    set_step(w, l.i);
    for (uint32_t i = 0; i < w->n_again_nests; i++) nest_emit(w, &w->nests.data[i]);
    loop_end(e, &l);
    V n = LLVMBuildSub(e->b, last, first, "");
    l = loop_begin(e, emit_const(e, 0), n, 1);
    V slot = LLVMBuildSub(e->b, LLVMBuildSub(e->b, n, emit_const(e, 1), ""), l.i, "");
    windows_at(w, x, base, slot);
    set_step(w, LLVMBuildAdd(e->b, first, slot, ""));
    ask_ahead(w, k->n_again, k->members.n, true);
    one_step(w);
    loop_end(e, &l);
}

static void all_pieces(Work *w) {
    Emit *e = w->e;
    Again *x = w->again;
    const Recur *r = graph_node(e->g, e->k->recur)->recur;
    begin(w);
    V n = emit_size(e, r->length), by = emit_const(e, x->steps), one = emit_const(e, 1);
    V pieces = LLVMBuildAdd(e->b, n, emit_const(e, (int64_t)x->steps - 1), "");
    pieces = LLVMBuildUDiv(e->b, pieces, by, "");
    Loop l = loop_begin(e, emit_const(e, 0), pieces, 1);
    V piece = LLVMBuildSub(e->b, LLVMBuildSub(e->b, pieces, one, ""), l.i, "");
    V first = LLVMBuildMul(e->b, piece, by, ""), last = LLVMBuildAdd(e->b, first, by, "");
    last = LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, last, n, ""), last, n, "");
    one_piece(w, x, w->window_base, piece, first, last);
    loop_end(e, &l);
    end(w);
}

/* Places for old values that become those of another carry. */
static void shadows_add(Work *w) {
    Emit *e = w->e;
    Kernel *k = e->k;
    w->shadow = NEWN(e->arena, uint32_t, k->carries.n + 1);
    for (uint32_t i = k->n_again_carries; i < k->carries.n; i++) {
        const PlanCarry *c = &k->carries.data[i];
        if (is_carried(k, c->next) && c->next != c->arg_value)
            w->shadow[i] = local_more(w, c->arg_value, c->par) + 1;
    }
}

const char *scan_emit(Emit *e) {
    Work *w = work_new(e, e->k->par, e->k->n_par);
    Again again = {0};
    nests_make(w);
    if (e->k->again) again_place(w, &again);
    carries_place(w);
    shadows_add(w);
    lanes_choose(w);
    locals_place(w);
    w->again = &again;
    w->window_base = NEWN(e->arena, V, again.windows.n + 1);
    for (uint32_t i = 0; i < again.windows.n; i++)
        w->window_base[i] = e->locals.data[again.windows.data[i].local].ptr;
    grid_emit(w, e->k->again ? all_pieces : all_steps);
    return e->error;
}
