/* Operations and bytes of launches, as formulas.
 *
 * requires: a plan of plan_make. cost: linear. */
#include "work.h"

const char *const work_name[WORK_PARTS] = {[WORK_WEIGHTS] = "products with parameters",
                                           [WORK_PRODUCTS] = "other products",
                                           [WORK_RECURRENCE] = "recurrences",
                                           [WORK_REST] = "rest",
                                           [WORK_GIVEN] = "read of what is given",
                                           [WORK_MADE] = "read of what was made",
                                           [WORK_WRITTEN] = "written"};

static const int64_t dtype_bytes[DTYPES] = {
    [DT_F32] = 4, [DT_BF16] = 2, [DT_F16] = 2, [DT_I32] = 4};

/* ---- how much of a value a kernel reads -------------------------------------------------------- */

enum { FORMS = 8 }; /* most different amounts of one value that are told apart */

typedef struct Amount { /* elements of one argument */
    bool whole;
    uint32_t n;
    Size form[FORMS]; /* different ones, to be added up */
} Amount;

typedef struct Reads {
    Plan *p;
    const Kernel *k;
    const Node *n;
    Walk inner;
    Amount *of; /* by argument */
} Reads;

typedef struct Inside { /* what a subscript depends on */
    uint64_t indices;
    bool steps; /* the counter of the recurrence that the kernel runs */
    bool gathers;
    int64_t steps_level;
} Inside;

static void look(Walk *w, ExprId e, void *user) {
    Inside *x = user;
    const Expr *s = graph_expr(w->g, e);
    if (s->op == X_IDX) x->indices |= UINT64_C(1) << s->i;
    if ((s->op == X_LVL || s->op == X_POS) && s->i == x->steps_level) x->steps = true;
    if (s->op == X_READ || s->op == X_RANDOM) x->gathers = true;
}

static Size index_size(const Reads *r, uint32_t i) {
    const ValueInfo *v = graph_value(r->p->g, r->n->out);
    if (r->n->kind == N_SCATTER) return r->n->extra[i];
    return i < v->rank ? v->dims[i] : r->n->extra[i - v->rank];
}

static Size steps_of(const Reads *r) { return graph_node(r->p->g, r->k->recur)->recur->length; }

/* a where it is surely not more than b. */
static Size smaller(Sizes *s, Size a, Size b) {
    return a && b && size_nonneg(s, size_sub(s, b, a)) ? a : b;
}

/* Different positions along an axis of length `dim`. What the subscript depends on is noted in one of the
 * two, by whether it gathers. */
static Size positions(Reads *r, ExprId sub, Size dim, Inside *plain, Inside *gathered) {
    Sizes *s = r->p->g->sizes;
    const Recur *scan = r->k->kind == K_SCAN ? graph_node(r->p->g, r->k->recur)->recur : NULL;
    Inside x = {.steps_level = scan ? scan->level : -1};
    walk_expr(&r->inner, sub, look, &x);
    Inside *note = x.gathers ? gathered : plain;
    note->indices |= x.indices;
    note->steps |= x.steps;
    if (x.gathers) return size_num(s, 1);
    bool one = (x.indices & (x.indices - 1)) == 0;
    if (!one || (x.indices && x.steps)) return dim;
    if (x.steps) return smaller(s, steps_of(r), dim);
    if (!x.indices) return size_num(s, 1);
    uint32_t i = 0;
    while (!(x.indices >> i & 1)) i++;
    return smaller(s, index_size(r, i), dim);
}

/* A gather is counted as if it found another row at every point. */
static Size elements(Reads *r, ExprId e, uint32_t skip) {
    Graph *g = r->p->g;
    const Expr x = *graph_expr(g, e);
    const ValueInfo v = *graph_value(g, x.value);
    Inside plain = {0}, gathered = {0};
    Size n = size_num(g->sizes, 1);
    for (uint32_t k = skip; k < x.n_args; k++)
        n = size_mul(g->sizes, n, positions(r, expr_arg(g, e, k), v.dims[k], &plain, &gathered));
    if (gathered.steps && !plain.steps) n = size_mul(g->sizes, n, steps_of(r));
    for (uint32_t i = 0; i < 64; i++)
        if ((gathered.indices & ~plain.indices) >> i & 1)
            n = size_mul(g->sizes, n, index_size(r, i));
    return n;
}

static void visit(Walk *w, ExprId e, void *user) {
    Reads *r = user;
    const Expr *x = graph_expr(w->g, e);
    if (x->op != X_READ) return;
    for (uint32_t i = 0; i < r->k->arg_values.n; i++) {
        Amount *a = &r->of[i];
        if (r->k->arg_values.data[i] != x->value || r->k->arg_writes.data[i]) continue;
        Size n = elements(r, e, r->k->arg_family.data[i]);
        for (uint32_t k = 0; k < a->n; k++)
            if (a->form[k] == n) return;
        if (a->n == FORMS || !n)
            a->whole = true;
        else
            a->form[a->n++] = n;
    }
}

static void read_members(Reads *r, Walk *w) {
    Graph *g = r->p->g;
    for (uint32_t i = 0; i < r->k->members.n; i++) {
        r->n = graph_node(g, r->k->members.data[i].node);
        walk_expr(w, r->n->expr, visit, r);
        for (uint32_t a = 0; r->n->kind == N_SCATTER && a < graph_value(g, r->n->out)->rank; a++)
            walk_expr(w, r->n->subs[a], visit, r);
    }
    for (uint32_t i = 0; i < r->k->carries.n; i++)
        r->of[r->k->carries.data[i].init_arg].whole = true;
}

/* ---- one launch --------------------------------------------------------------------------------- */

/* Elements of the member that an argument is. */
static Size member_size(Graph *g, const Kernel *k, uint32_t i) {
    const ValueInfo *v = graph_value(g, k->arg_values.data[i]);
    uint32_t skip = k->arg_family.data[i] < v->rank ? k->arg_family.data[i] : v->rank;
    return sizes_product(g, v->dims + skip, v->rank - skip);
}

static void add(Graph *g, Size *to, Size n, int64_t each) {
    *to = size_add(g->sizes, *to, size_mul(g->sizes, n, size_num(g->sizes, each)));
}

static void add_bytes(const Reads *r, const Op *o, uint32_t i, Work *w) {
    const Plan *p = r->p;
    const Kernel *k = r->k;
    const Amount *a = &r->of[i];
    Sizes *s = p->g->sizes;
    const PlanBuf *b = &p->bufs.data[o->args.data[i].buf];
    Size whole = member_size(p->g, k, i), n = size_num(s, 0);
    for (uint32_t f = 0; f < a->n; f++) n = size_add(s, n, a->form[f]);
    bool all = a->whole || k->arg_writes.data[i] || !n || size_nonneg(s, size_sub(s, n, whole));
    bool given = b->role == ROLE_PARAM || b->role == ROLE_STATE || b->role == ROLE_INPUT;
    WorkPart part = k->arg_writes.data[i] ? WORK_WRITTEN : given ? WORK_GIVEN : WORK_MADE;
    add(p->g, &w->of[part], all ? whole : n, dtype_bytes[b->dtype]);
}

static void add_operations(Reads *r, Flops *f, Work *w) {
    Graph *g = r->p->g;
    bool along = r->k->kind == K_SCAN;
    Size times = along ? steps_of(r) : size_num(g->sizes, 1);
    f->count = flops_none(g);
    for (uint32_t i = 0; i < r->k->members.n; i++)
        flops_node(f, graph_node(g, r->k->members.data[i].node), times, along);
    Size products = size_add(g->sizes, f->count.linear, f->count.convolution);
    w->of[WORK_WEIGHTS] = f->count.weights;
    w->of[WORK_PRODUCTS] = size_sub(g->sizes, products, f->count.weights);
    w->of[WORK_RECURRENCE] = f->count.recurrence;
    w->of[WORK_REST] = f->count.rest;
}

Work work_none(Graph *g) {
    Work w;
    for (int i = 0; i < WORK_PARTS; i++) w.of[i] = size_num(g->sizes, 0);
    return w;
}

void work_add(Graph *g, Work *to, const Work *w, int64_t times) {
    for (int i = 0; i < WORK_PARTS; i++) add(g, &to->of[i], w->of[i], times);
}

/* Both buffers of a copy have the bytes of what the loops around chose. */
Work copy_work(Plan *p, const Op *o) {
    Work w = work_none(p->g);
    const PlanArg *from = &o->args.data[1];
    const PlanBuf *b = &p->bufs.data[from->buf];
    Size n = sizes_product(p->g, b->dims + from->n_level, (uint32_t)b->rank - from->n_level);
    bool given = b->role == ROLE_PARAM || b->role == ROLE_STATE || b->role == ROLE_INPUT;
    add(p->g, &w.of[given ? WORK_GIVEN : WORK_MADE], n, dtype_bytes[b->dtype]);
    add(p->g, &w.of[WORK_WRITTEN], n, dtype_bytes[b->dtype]);
    return w;
}

/* ---- all launches ------------------------------------------------------------------------------- */

static void each(Plan *p, const Ops *ops, int64_t times, uint32_t level, LaunchFn *fn, void *user) {
    for (uint32_t i = 0; i < ops->list.n; i++) {
        const Op *o = &ops->list.data[i];
        if (o->kind == OP_LAUNCH || o->kind == OP_COPY) fn(p, o, times, level, user);
        for (uint32_t k = 0; o->kind == OP_LOOP && k < o->n_classes; k++) {
            int64_t rounds = 0;
            for (uint32_t n = 0; n < o->count; n++) rounds += o->class_of[n] == k;
            each(p, &o->bodies[k], times * rounds, level + 1, fn, user);
        }
    }
}

void plan_each(Plan *p, LaunchFn *fn, void *user) { each(p, &p->ops, 1, 0, fn, user); }

typedef struct Count {
    Reads reads;
    Walk walk;
    Flops flops;
    Arena *scratch;
    PlanWork work;
} Count;

static void count(Plan *p, const Op *o, int64_t times, uint32_t level, void *user) {
    Count *c = user;
    Work w = work_none(p->g);
    (void)level;
    if (o->kind == OP_LAUNCH) {
        Reads *r = &c->reads;
        r->k = &p->kernels.data[o->kernel];
        r->of = NEWN(c->scratch, Amount, r->k->arg_values.n + 1);
        read_members(r, &c->walk);
        add_operations(r, &c->flops, &w);
        for (uint32_t i = 0; i < r->k->arg_values.n; i++) add_bytes(r, o, i, &w);
        c->work.kernel[o->kernel] = w;
    } else {
        w = copy_work(p, o);
    }
    work_add(p->g, &c->work.whole, &w, times);
}

PlanWork plan_work(Plan *p) {
    Arena *scratch = arena_new();
    Count c = {.reads = {.p = p, .inner = walk_new(p->g, scratch)},
               .walk = walk_new(p->g, scratch),
               .flops = flops_new(p->g, scratch),
               .scratch = scratch};
    c.work.kernel = NEWN(p->arena, Work, p->kernels.n + 1);
    c.work.whole = work_none(p->g);
    plan_each(p, count, &c);
    arena_free(scratch);
    return c.work;
}
