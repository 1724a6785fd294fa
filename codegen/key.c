/* The key of a kernel: its members with values named by role, their expressions with operands by place. */
#include "key.h"

typedef struct Key {
    const Emit *e;
    Text t;
    uint32_t *role;   /* by Value: 1 + argument, or 1<<20 + member, 1<<21 + carry */
    uint32_t *number; /* by ExprId: place in the walk at hand + 1 */
    uint32_t *order;
    uint32_t n;
} Key;

static void put(Key *k, const char *what, uint64_t n) {
    text_printf(&k->t, "%s%llx ", what, (unsigned long long)n);
}

static void dims(Key *k, const Size *s, uint32_t n) {
    put(k, "d", n);
    for (uint32_t i = 0; i < n; i++) put(k, "", size_ground(k->e->g->sizes, s[i]));
}

static void visit(Graph *g, ExprId x, void *user) {
    Key *k = user;
    const Expr p = *graph_expr(g, x);
    k->order[k->n] = x;
    k->number[x] = ++k->n;
    put(k, "x", (uint64_t)p.op << 16 | (uint64_t)p.fn << 8 | p.type);
    if (p.op == X_READ)
        put(k, "v", k->role[p.value]);
    else if (p.op == X_SIZE)
        put(k, "s", size_ground(g->sizes, p.size));
    else
        put(k, "i", (uint64_t)p.i); /* the bits of a number too */
    for (uint32_t a = 0; a < p.n_args; a++) put(k, "", k->number[expr_arg(g, x, a)]);
}

static void expression(Key *k, ExprId x) {
    expr_walk(k->e->g, x, visit, k);
    while (k->n) k->number[k->order[--k->n]] = 0;
    text_add(&k->t, ";");
}

static void member(Key *k, const PlanMember *m) {
    Graph *g = k->e->g;
    const Node *n = graph_node(g, m->node);
    const ValueInfo *v = graph_value(g, n->out);
    put(k, "n", (uint64_t)n->kind << 16 | (uint64_t)n->red << 8 | v->type);
    dims(k, v->dims, v->rank);
    dims(k, n->extra, n->n_extra);
    put(k, "a", m->arg);
    put(k, "o", m->also);
    put(k, "", m->also_axis);
    for (uint32_t j = 0; j < k->e->k->n_par; j++) put(k, "", m->par[j]);
    expression(k, n->expr);
    for (uint32_t a = 0; n->kind == N_SCATTER && a < v->rank; a++) expression(k, n->subs[a]);
}

static void carry(Key *k, const PlanCarry *c) {
    const ValueInfo *v = graph_value(k->e->g, c->arg_value);
    put(k, "c", v->type);
    dims(k, v->dims, v->rank);
    put(k, "r", k->role[c->next]);
    put(k, "", c->init_arg);
    put(k, "", c->final_arg);
    put(k, "", c->also);
    put(k, "", c->also_axis);
    put(k, "", c->kept);
    put(k, "", (uint64_t)c->every << 8 | c->kept_axis);
    for (uint32_t j = 0; j < k->e->k->n_par; j++) put(k, "", c->par[j]);
}

/* Which value of the steps run again stands behind each of their results. */
static void again(Key *k) {
    const Kernel *p = k->e->k;
    const Recur *r = graph_node(k->e->g, p->again)->recur;
    const RecurClass *c = &r->classes.data[0];
    put(k, "A", (uint64_t)p->n_again << 32 | (uint64_t)p->n_again_carries << 16 | r->every);
    for (uint32_t i = 0; i < p->n_again_carries; i++) put(k, "", r->carry.data[i].lead);
    for (uint32_t i = 0; i < c->outs.n; i++) {
        put(k, "", k->role[c->outs.data[i].body]);
        k->role[c->outs.data[i].result] |= 0x40000000u + ((i + 1) << 10);
    }
}

static void contract(Key *k, const PlanContract *c) {
    expression(k, c->a);
    expression(k, c->b);
    put(k, "q", c->operands);
    const struct {
        uint8_t n;
        const uint8_t *axis;
    } part[4] = {{c->n_batch, c->batch}, {c->n_m, c->m}, {c->n_n, c->n}, {c->n_k, c->k}};
    for (uint32_t i = 0; i < 4; i++) {
        put(k, "p", part[i].n);
        for (uint32_t j = 0; j < part[i].n; j++) put(k, "", part[i].axis[j]);
    }
}

static void roles(Key *k) {
    const Kernel *p = k->e->k;
    for (uint32_t i = 0; i < p->arg_values.n; i++) k->role[p->arg_values.data[i]] = i + 1;
    for (uint32_t i = 0; i < p->members.n; i++)
        k->role[graph_node(k->e->g, p->members.data[i].node)->out] |= (1u << 20) * (i + 1);
    for (uint32_t i = 0; i < p->carries.n; i++)
        k->role[p->carries.data[i].arg_value] |= 0x80000000u + ((i + 1) << 10);
}

Text kernel_key(Arena *a, const Emit *e) {
    const Kernel *p = e->k;
    Key k = {.e = e, .t = text_new(a)};
    k.role = NEWN(a, uint32_t, e->g->values.n + 1);
    k.number = NEWN(a, uint32_t, e->g->exprs.n + 1);
    k.order = NEWN(a, uint32_t, e->g->exprs.n + 1);
    roles(&k);
    put(&k, "k", p->kind);
    put(&k, "l", p->level);
    dims(&k, p->par, p->n_par);
    for (uint32_t i = 0; i < p->arg_values.n; i++) {
        const EmitArg *arg = &e->args[i];
        const ValueInfo *v = graph_value(e->g, arg->value);
        put(&k, "g",
            (uint64_t)arg->dtype << 16 | (uint64_t)arg->drop << 8 | (uint64_t)arg->writes << 1 |
                (v->type == T_INT));
        put(&k, "", arg->scope);
        dims(&k, v->dims + arg->drop,
             v->rank - arg->drop); /* the number of layers is no part of it */
    }
    if (p->kind == K_SCAN) {
        const Recur *r = graph_node(e->g, p->recur)->recur;
        put(&k, "R", (uint64_t)r->level << 1 | r->reverse);
        dims(&k, &r->length, 1);
        if (p->again) again(&k);
    }
    for (uint32_t i = 0; i < p->carries.n; i++) carry(&k, &p->carries.data[i]);
    for (uint32_t i = 0; i < p->members.n; i++) member(&k, &p->members.data[i]);
    if (p->kind == K_CONTRACT) contract(&k, &p->contract);
    return k.t;
}
