/* Plans: buffers, launches and lifetimes.
 *
 * Requires a simplified graph (no N_DELAY). Blocks become units (plan_fuse.c); every value that leaves its
 * kernel gets a home, layer loops become ops around launches. A body's value that a layer loop stacks
 * lives in the stack itself. Carried values live in slots: after the body the new value's buffer and the
 * slot exchange their pointers, or, where the new value must stay where it is, it is copied. */
#include "plan_impl.h"

#include <string.h>

void plan_explain(Planner *pl, const char *fmt, ...) {
    if (!pl->o->explain) return;
    va_list ap;
    va_start(ap, fmt);
    Text t = text_new(pl->arena);
    text_vprintf(&t, fmt, ap);
    va_end(ap);
    pl->o->explain(pl->o->explain_user, t.data);
}

void plan_decide(Planner *pl, NodeId node, const Kernel *k, FuseRule rule) {
    if (pl->o->log)
        *PUSH(pl->o->log->arena, &pl->o->log->decisions) = (PlanDecision){node, k, (uint8_t)rule};
}

/* ---- kernels and their arguments -------------------------------------------------------------------- */

static const char *kernel_name(Planner *pl, const char *name) {
    Text t = text_new(pl->arena);
    for (const char *s = name ? name : "k"; *s; s++) {
        bool word =
            (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9');
        text_addn(&t, word ? s : "_", 1);
    }
    text_printf(&t, "_%u", pl->serial++);
    return t.data;
}

Kernel *kernel_new(Planner *pl, KernelKind kind, const char *name, uint32_t level) {
    Kernel *k = NEW(pl->arena, Kernel);
    k->kind = (uint8_t)kind;
    k->level = (uint8_t)level;
    k->name = kernel_name(pl, name);
    return k;
}

uint32_t kernel_arg(Planner *pl, Kernel *k, Value v, bool writes) {
    for (uint32_t i = 0; i < k->arg_values.n; i++)
        if (k->arg_values.data[i] == v) {
            k->arg_writes.data[i] |= writes;
            return i;
        }
    *PUSH(pl->arena, &k->arg_values) = v;
    *PUSH(pl->arena, &k->arg_writes) = writes;
    *PUSH(pl->arena, &k->arg_family) = UINT8_MAX; /* not read yet */
    return k->arg_values.n - 1;
}

bool value_in(const Kernel *k, const Graph *g, Value v) {
    for (uint32_t i = 0; i < k->members.n; i++)
        if (g->nodes.data[k->members.data[i].node].out == v) return true;
    for (uint32_t i = 0; i < k->carries.n; i++)
        if (k->carries.data[i].arg_value == v) return true;
    const Recur *r = k->again ? g->nodes.data[k->again].recur : NULL;
    for (uint32_t i = 0; r && i < r->classes.data[0].outs.n; i++)
        if (r->classes.data[0].outs.data[i].result == v) return true;
    return false;
}

typedef struct ArgWalk {
    Planner *pl;
    Kernel *k;
} ArgWalk;

/* How many leading subscripts are positions of the loops around. */
static uint8_t leading_positions(Graph *g, ExprId e) {
    const Expr *x = graph_expr(g, e);
    uint8_t n = 0;
    while (n < x->n_args && n < 4 && graph_expr(g, expr_arg(g, e, n))->op == X_POS) n++;
    return n;
}

static void visit_arg(Walk *w, ExprId e, void *user) {
    ArgWalk *u = user;
    const Expr *x = graph_expr(w->g, e);
    if (x->op != X_READ) return;
    bool inside = value_in(u->k, w->g, x->value);
    if (inside) { /* a member that is stored is read back through its argument or scratch: codegen's choice */
        return;
    }
    uint32_t a = kernel_arg(u->pl, u->k, x->value, false);
    uint8_t n = leading_positions(w->g, e);
    if (n < u->k->arg_family.data[a]) u->k->arg_family.data[a] = n;
}

void kernel_args(Planner *pl, Kernel *k) {
    ArgWalk u = {pl, k};
    Graph *g = pl->g;
    for (uint32_t i = 0; i < k->members.n; i++) {
        const Node *n = graph_node(g, k->members.data[i].node);
        walk_expr(&pl->walk, n->expr, visit_arg, &u);
        for (uint32_t a = 0; n->kind == N_SCATTER && a < graph_value(g, n->out)->rank; a++)
            walk_expr(&pl->walk, n->subs[a], visit_arg, &u);
    }
    for (uint32_t i = 0; i < k->arg_family.n; i++)
        if (k->arg_family.data[i] == UINT8_MAX || k->arg_writes.data[i]) k->arg_family.data[i] = 0;
    for (uint32_t i = 0; i < k->n_again_carries; i++)
        k->arg_family.data[k->carries.data[i].init_arg] =
            graph_node(g, k->again)->recur->carry.data[i].lead;
}

/* ---- buffers ---------------------------------------------------------------------------------------- */

static BufId buf_new(Planner *pl, Value v, Role role, uint32_t index, uint8_t family) {
    const ValueInfo *i = graph_value(pl->g, v);
    PlanBuf *b = PUSH(pl->arena, &pl->p->bufs);
    b->value = v;
    b->role = (uint8_t)role;
    b->dtype = pl->store[v];
    b->rank = i->rank;
    b->family = family;
    b->index = index;
    memcpy(b->dims, i->dims, sizeof b->dims);
    return pl->p->bufs.n - 1;
}

static Home *home_of(Planner *pl, Value v) {
    Home *h = &pl->home[v];
    if (h->buf == NOWHERE) h->buf = buf_new(pl, v, ROLE_TEMP, 0, 0);
    return h;
}

static PlanArg arg_of(Planner *pl, Value v) {
    const Home *h = home_of(pl, v);
    PlanArg a = {.buf = h->buf, .n_level = h->n_level};
    memcpy(a.level, h->level, sizeof a.level);
    return a;
}

/* ---- launches --------------------------------------------------------------------------------------- */

static Op *op_new(Planner *pl, Ops *ops, OpKind kind) {
    Op *o = PUSH(pl->arena, &ops->list);
    o->kind = (uint8_t)kind;
    return o;
}

static void op_pair(Planner *pl, Ops *ops, OpKind kind, PlanArg dst, PlanArg src) {
    Op *o = op_new(pl, ops, kind);
    *PUSH(pl->arena, &o->args) = dst;
    *PUSH(pl->arena, &o->args) = src;
}

typedef struct LevelWalk {
    Value v;
    uint8_t n;
    uint8_t level[4];
    bool found;
} LevelWalk;

static void visit_levels(Walk *w, ExprId e, void *user) {
    LevelWalk *u = user;
    const Expr *x = graph_expr(w->g, e);
    if (x->op != X_READ || x->value != u->v || u->found) return;
    for (uint8_t i = 0; i < u->n; i++)
        u->level[i] = (uint8_t)graph_expr(w->g, expr_arg(w->g, e, i))->i;
    u->found = true;
}

/* The loops that choose the member of argument i. */
static void member_levels(Planner *pl, const Kernel *k, uint32_t i, PlanArg *a) {
    LevelWalk u = {.v = k->arg_values.data[i], .n = k->arg_family.data[i]};
    for (uint32_t m = 0; u.n && m < k->members.n && !u.found; m++)
        walk_expr(&pl->walk, graph_node(pl->g, k->members.data[m].node)->expr, visit_levels, &u);
    if (!u.found && u.n == 1) { /* what a recurrence run again kept: of the loop around it */
        u.level[0] = (uint8_t)(k->level - 1);
        u.found = true;
    }
    for (uint8_t j = 0; u.found && j < u.n && a->n_level < 4; j++)
        a->level[a->n_level++] = u.level[j];
}

static void launch(Planner *pl, Ops *ops, Kernel *k) {
    if (k->kind == K_CONTRACT) k->contract.operands = product_operands(pl, k);
    *PUSH(pl->arena, &pl->p->kernels) = *k;
    Op *o = op_new(pl, ops, OP_LAUNCH);
    o->kernel = pl->p->kernels.n - 1;
    pl->p->kernels.data[o->kernel].name = plan_kernel_name(pl, k, o->kernel);
    if (pl->o->log) *PUSH(pl->o->log->arena, &pl->o->log->made) = k;
    for (uint32_t i = 0; i < k->arg_values.n; i++) {
        Value v = k->arg_values.data[i];
        PlanArg a = arg_of(pl, v);
        if (pl->master[v] != NOWHERE && kernel_reads_master(pl, k, v)) a.buf = pl->master[v];
        member_levels(pl, k, i, &a);
        *PUSH(pl->arena, &o->args) = a;
    }
}

/* ---- layer loops -------------------------------------------------------------------------------------- */

static bool plan_block(Planner *pl, Block *b, Ops *ops);

static Home slot_new(Planner *pl, Value v) {
    BufId id = buf_new(pl, v, ROLE_TEMP, 0, 0);
    pl->p->bufs.data[id].carry = true;
    return (Home){.buf = id};
}

static PlanArg whole(Home h) {
    PlanArg a = {.buf = h.buf, .n_level = h.n_level};
    memcpy(a.level, h.level, sizeof a.level);
    return a;
}

/* A stacked value of the body lives in the stack when it is made there and goes nowhere else first. */
static bool lives_in_stack(Planner *pl, const RecurClass *c, Value v) {
    const Node *n = graph_node(pl->g, graph_value(pl->g, v)->node);
    if (pl->block_of[graph_value(pl->g, v)->node] != &c->body || pl->home[v].buf != NOWHERE)
        return false;
    return n->kind == N_EQ || n->kind == N_SCATTER || (n->kind == N_RECUR && !n->recur->layers);
}

typedef struct Copies {
    VEC(PlanArg) dst;
    VEC(Value) src;
} Copies;

static void place_outs(Planner *pl, RecurClass *c, uint8_t level, Copies *later) {
    for (uint32_t i = 0; i < c->outs.n; i++) {
        const RecurOut *o = &c->outs.data[i];
        Home h = *home_of(pl, o->result);
        pl->p->bufs.data[h.buf].family = (uint8_t)(h.n_level + 1);
        if (h.n_level < 4) h.level[h.n_level++] = level;
        if (lives_in_stack(pl, c, o->body)) {
            pl->home[o->body] = h;
            continue;
        }
        *PUSH(pl->arena, &later->dst) = whole(h);
        *PUSH(pl->arena, &later->src) = o->body;
    }
}

static bool used_before(Value v, const Value *next, uint32_t i) {
    for (uint32_t k = 0; k < i; k++)
        if (next[k] == v) return true;
    return false;
}

/* The end of an iteration: copies first, then pointers change hands. */
static void carry_on(Planner *pl, Recur *r, RecurClass *c, const Home *slot, Ops *ops) {
    BufId *other = NEWN(pl->arena, BufId, r->carry.n + 1);
    for (uint32_t i = 0; i < r->carry.n; i++) {
        Value v = c->next[i];
        other[i] = NOWHERE;
        if (v == c->args[i]) continue;
        const Home h = *home_of(pl, v);
        const PlanBuf *b = &pl->p->bufs.data[h.buf];
        bool mine = pl->block_of[graph_value(pl->g, v)->node] == &c->body && h.n_level == 0 &&
                    b->role == ROLE_TEMP && !b->carry;
        if (mine && !used_before(v, c->next, i)) {
            pl->p->bufs.data[h.buf].carry = true;
            other[i] = h.buf;
            continue;
        }
        Home t = slot_new(pl, c->args[i]);
        op_pair(pl, ops, OP_COPY, whole(t), whole(h));
        other[i] = t.buf;
    }
    for (uint32_t i = 0; i < r->carry.n; i++)
        if (other[i] != NOWHERE)
            op_pair(pl, ops, OP_SWAP, whole(slot[i]), (PlanArg){.buf = other[i]});
}

/* Without slots (once): the one iteration finds what the loop starts from where it is. */
static bool plan_class(Planner *pl, Recur *r, RecurClass *c, const Home *slot, bool once,
                       Ops *ops) {
    Copies later = {0};
    for (uint32_t i = 0; i < r->carry.n; i++) pl->home[c->args[i]] = slot[i];
    place_outs(pl, c, r->level, &later);
    if (!plan_block(pl, &c->body, ops)) return false;
    for (uint32_t i = 0; i < later.src.n; i++)
        op_pair(pl, ops, OP_COPY, later.dst.data[i], arg_of(pl, later.src.data[i]));
    if (!once) {
        carry_on(pl, r, c, slot, ops);
        return true;
    }
    for (uint32_t i = 0; i < r->carry.n; i++) {
        Home h = *home_of(pl, c->next[i]);
        if (h.n_level && h.level[h.n_level - 1] == r->level)
            h.n_level--; /* its one member, out of the loop */
        if (r->carry.data[i].final) pl->home[r->carry.data[i].final] = h;
    }
    return true;
}

static bool plan_loop(Planner *pl, NodeId id, Ops *ops) {
    Recur *r = graph_node(pl->g, id)->recur;
    Home *slot = NEWN(pl->arena, Home, r->carry.n + 1);
    int64_t count = 0;
    size_is_num(pl->g->sizes, r->length, &count);
    bool once = count == 1;
    for (uint32_t i = 0; i < r->carry.n; i++) {
        if (once) {
            slot[i] = *home_of(pl, r->carry.data[i].init);
            continue;
        }
        slot[i] = slot_new(pl, r->carry.data[i].init);
        op_pair(pl, ops, OP_COPY, whole(slot[i]), arg_of(pl, r->carry.data[i].init));
        if (r->carry.data[i].final) pl->home[r->carry.data[i].final] = slot[i];
    }
    Op *o = op_new(pl, ops, OP_LOOP);
    o->count = (uint32_t)count;
    o->reverse = r->reverse;
    o->level = r->level;
    o->n_classes = r->classes.n;
    uint32_t *class_of = NEWN(pl->arena, uint32_t, count + 1),
             *pos_of = NEWN(pl->arena, uint32_t, count + 1);
    Ops *bodies = NEWN(pl->arena, Ops, r->classes.n + 1);
    o->class_of = class_of;
    o->pos_of = pos_of;
    o->bodies = bodies;
    for (uint32_t k = 0; k < r->classes.n; k++) {
        RecurClass *c = &r->classes.data[k];
        for (uint32_t i = 0; i < c->iters.n; i++) {
            class_of[c->iters.data[i]] = k;
            pos_of[c->iters.data[i]] = i;
        }
        if (!plan_class(pl, r, c, slot, once, &bodies[k])) return false;
    }
    return true;
}

static bool plan_block(Planner *pl, Block *b, Ops *ops) {
    Units units = {0};
    if (!fuse_block(pl, b, &units)) return false;
    for (uint32_t i = 0; i < units.n; i++) {
        if (units.data[i].kernel)
            launch(pl, ops, units.data[i].kernel);
        else if (!plan_loop(pl, units.data[i].recur, ops))
            return false;
    }
    return true;
}

/* ---- lifetimes ---------------------------------------------------------------------------------------- */

typedef struct Touch { /* of a buffer, within one list of ops */
    uint32_t first, last;
    uint32_t ops; /* how many of the list touch it */
    bool reads_first;
    bool local; /* one loop of the list has it for itself, and its life is set */
} Touch;

typedef struct Life {
    Planner *pl;
    uint32_t next; /* number of the next op */
    uint32_t n;    /* buffers */
} Life;

static void touch(Touch *t, uint32_t first, uint32_t last, bool read, bool local) {
    if (!t->ops) *t = (Touch){first, last, 0, read, local};
    if (last > t->last) t->last = last;
    t->local = local && t->ops == 0;
    t->ops++;
}

static void set_life(PlanBuf *b, uint32_t first, uint32_t last) {
    if (!b->dies || first < b->born) b->born = first;
    if (last > b->dies) b->dies = last;
}

static void live_ops(Life *l, Ops *ops, Touch *out);

/* A buffer that one body writes first and no other op touches lives in that body; any other lives all
 * through the loop, because the next iteration finds it as the last one left it. */
static void live_loop(Life *l, Op *o, uint32_t at, Touch *out) {
    if (o->count == 1) { /* its ops run once, in their place */
        for (uint32_t k = 0; k < o->n_classes; k++) live_ops(l, &o->bodies[k], out);
        return;
    }
    Touch **in = NEWN(l->pl->arena, Touch *, o->n_classes + 1);
    for (uint32_t k = 0; k < o->n_classes; k++) {
        in[k] = NEWN(l->pl->arena, Touch, l->n + 1);
        live_ops(l, &o->bodies[k], in[k]);
    }
    for (uint32_t b = 0; b < l->n; b++) {
        uint32_t bodies = 0, which = 0;
        for (uint32_t k = 0; k < o->n_classes; k++)
            if (in[k][b].ops) bodies++, which = k;
        if (!bodies) continue;
        PlanBuf *p = &l->pl->p->bufs.data[b];
        const Touch *t = &in[which][b];
        bool local = bodies == 1 && !t->reads_first && !p->carry && !p->family;
        if (local && !t->local) set_life(p, t->first, t->last);
        touch(&out[b], at, l->next - 1, !local, local);
    }
}

static void live_ops(Life *l, Ops *ops, Touch *out) {
    for (uint32_t i = 0; i < ops->list.n; i++) {
        Op *o = &ops->list.data[i];
        uint32_t at = o->beside ? l->next - 1 : l->next++;
        if (o->kind == OP_LOOP) {
            live_loop(l, o, at, out);
            continue;
        }
        for (uint32_t a = 0; a < o->args.n; a++) {
            bool writes = o->kind == OP_LAUNCH
                              ? l->pl->p->kernels.data[o->kernel].arg_writes.data[a]
                              : o->kind == OP_COPY && a == 0;
            touch(&out[o->args.data[a].buf], at, at, !writes, false);
        }
    }
}

static void swap_lives(Life *l, Ops *ops) {
    for (uint32_t i = 0; i < ops->list.n; i++) {
        Op *o = &ops->list.data[i];
        if (o->kind == OP_LOOP)
            for (uint32_t k = 0; k < o->n_classes; k++) swap_lives(l, &o->bodies[k]);
        if (o->kind != OP_SWAP) continue;
        PlanBuf *a = &l->pl->p->bufs.data[o->args.data[0].buf],
                *b = &l->pl->p->bufs.data[o->args.data[1].buf];
        set_life(a, b->born, b->dies);
        set_life(b, a->born, a->dies);
    }
}

static void keep(Planner *pl, Value v, uint32_t end) {
    if (!v || pl->home[v].buf == NOWHERE) return;
    PlanBuf *b = &pl->p->bufs.data[pl->home[v].buf];
    if (b->dies < end) b->dies = end;
}

void plan_lifetimes(Planner *pl) {
    Life l = {.pl = pl, .n = pl->p->bufs.n, .next = 1};
    Touch *top = NEWN(pl->arena, Touch, l.n + 1);
    live_ops(&l, &pl->p->ops, top);
    for (uint32_t b = 0; b < l.n; b++)
        if (top[b].ops && !(top[b].ops == 1 && top[b].local))
            set_life(&pl->p->bufs.data[b], top[b].first, top[b].last);
    uint32_t end = l.next;
    Graph *g = pl->g;
    for (uint32_t i = 0; i < g->outputs.n; i++) keep(pl, g->outputs.data[i].value, end);
    for (uint32_t i = 0; i < pl->p->bufs.n; i++) {
        PlanBuf *b = &pl->p->bufs.data[i];
        if (b->role == ROLE_INPUT || b->role == ROLE_PARAM || b->role == ROLE_STATE)
            b->born = 0, b->dies = end;
    }
    for (int k = 0; k < 4; k++) swap_lives(&l, &pl->p->ops); /* chains of exchanges are short */
}

/* ---- beginning ---------------------------------------------------------------------------------------- */

typedef struct Count {
    Planner *pl;
    Value *seen; /* by Value: last node that counted it */
    NodeId now;
} Count;

static void count_use(Value v, void *user) {
    Count *c = user;
    if (c->seen[v] == c->now) return;
    c->seen[v] = c->now;
    c->pl->uses[v]++;
}

static void count_block(Planner *pl, Count *c, Block *b) {
    Graph *g = pl->g;
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        NodeId id = b->nodes.data[i];
        Node *n = graph_node(g, id);
        pl->block_of[id] = b;
        c->now = id;
        if (n->kind != N_RECUR) {
            walk_uses(&pl->walk, id, count_use, c);
            continue;
        }
        for (uint32_t k = 0; k < n->recur->carry.n; k++) pl->uses[n->recur->carry.data[k].init]++;
        for (uint32_t k = 0; k < n->recur->classes.n; k++) {
            RecurClass *rc = &n->recur->classes.data[k];
            for (uint32_t j = 0; j < n->recur->carry.n; j++) pl->uses[rc->next[j]]++;
            for (uint32_t j = 0; j < rc->outs.n; j++) pl->uses[rc->outs.data[j].body]++;
            count_block(pl, c, &rc->body);
        }
    }
}

/* One buffer, or two: a short one and the master. */
static void param_buffers(Planner *pl, uint32_t i) {
    const ParamInfo *p = &pl->g->params.data[i];
    pl->home[p->value].buf = buf_new(pl, p->value, ROLE_PARAM, i, p->family);
    uint8_t d = pl->store[p->value];
    if ((d != DT_BF16 && d != DT_F16) || !param_is_updated(pl->g, i)) return;
    pl->master[p->value] = buf_new(pl, p->value, ROLE_PARAM, i, p->family);
    pl->p->bufs.data[pl->master[p->value]].dtype = DT_F32;
}

static void outside_values(Planner *pl) {
    Graph *g = pl->g;
    for (uint32_t i = 0; i < g->inputs.n; i++)
        pl->home[g->inputs.data[i].value].buf =
            buf_new(pl, g->inputs.data[i].value, ROLE_INPUT, i, 0);
    for (uint32_t i = 0; i < g->params.n; i++) param_buffers(pl, i);
    for (uint32_t i = 0; i < g->states.n; i++)
        if (g->states.data[i].value)
            pl->home[g->states.data[i].value].buf =
                buf_new(pl, g->states.data[i].value, ROLE_STATE, i, g->states.data[i].family);
}

static void group_ops(Planner *pl) {
    const Sizes *s = pl->g->sizes;
    int64_t *usual = NEWN(pl->arena, int64_t, size_axes(s) + 1);
    plan_usual_axes(s, usual);
    plan_beside(pl, pl->o->budget && pl->o->budget->axes ? pl->o->budget->axes : usual);
}

Plan *plan_graph(Arena *a, Graph *g, const PlanOptions *o, const char **why) {
    Arena *scratch = arena_new();
    g = graph_split_sums(graph_neighbours(graph_share(g), o->log));
    graph_outs_apart(g);
    g = graph_add_copies(g, o);
    Planner pl = {.arena = a, .g = g, .o = o, .walk = walk_new(g, scratch)};
    pl.p = NEW(a, Plan);
    pl.p->arena = a;
    pl.p->g = g;
    pl.home = NEWN(a, Home, g->values.n + 1);
    pl.uses = NEWN(a, uint32_t, g->values.n + 1);
    pl.block_of = NEWN(a, Block *, g->nodes.n + 1);
    pl.master = NEWN(a, BufId, g->values.n + 1);
    for (uint32_t i = 0; i < g->values.n; i++) pl.home[i].buf = pl.master[i] = NOWHERE;
    stores_choose(&pl);
    Count c = {.pl = &pl, .seen = NEWN(a, Value, g->values.n + 1)};
    count_block(&pl, &c, &g->top);
    for (uint32_t i = 0; i < g->outputs.n; i++) pl.uses[g->outputs.data[i].value]++;
    outside_values(&pl);
    bool ok = plan_block(&pl, &g->top, &pl.p->ops);
    for (uint32_t i = 0; ok && i < g->outputs.n; i++) {
        const Home *h = home_of(&pl, g->outputs.data[i].value);
        PlanBuf *b = &pl.p->bufs.data[h->buf];
        if (b->role == ROLE_TEMP) b->role = ROLE_OUTPUT, b->index = i;
    }
    if (ok) plan_lifetimes(&pl);
    if (ok && o->fuse) {
        plan_reuse(&pl);
        plan_lifetimes(&pl);
    }
    pl.p->buf_of = NEWN(a, BufId, g->values.n + 1);
    for (uint32_t i = 0; i < g->values.n; i++) pl.p->buf_of[i] = pl.home[i].buf;
    if (ok && o->fuse) group_ops(&pl);
    arena_free(scratch);
    *why = pl.why;
    return ok ? pl.p : NULL;
}
