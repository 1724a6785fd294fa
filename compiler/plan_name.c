/* Names of kernels, for people: what they make, and of products the parameter they read. */
#include "plan_impl.h"

typedef struct FirstParam {
    const ParamInfo *p;
    bool matrix; /* of two axes or more: it says more than a vector beside it */
} FirstParam;

static void visit_param(Walk *w, ExprId e, void *user) {
    FirstParam *f = user;
    const Expr *x = graph_expr(w->g, e);
    if (x->op != X_READ) return;
    const Node *n = graph_node(w->g, graph_value(w->g, x->value)->node);
    if (n->kind != N_PARAM) return;
    const ParamInfo *p = &w->g->params.data[n->index];
    bool matrix = graph_value(w->g, x->value)->rank - p->family >= 2;
    if (!f->p || (matrix && !f->matrix)) *f = (FirstParam){p, matrix};
}

static const char *param_of(Planner *pl, const Kernel *k) {
    FirstParam f = {NULL, false};
    for (uint32_t i = 0; i < k->members.n; i++)
        walk_expr(&pl->walk, graph_node(pl->g, k->members.data[i].node)->expr, visit_param, &f);
    return f.p && f.p->members.n ? f.p->members.data[0].name : NULL;
}

/* What it stores and the text has a name for; else what it makes inside. */
static const char *made(const Planner *pl, const Kernel *k) {
    const char *inside = NULL;
    for (uint32_t i = k->members.n; i > 0; i--) {
        const PlanMember *m = &k->members.data[i - 1];
        const char *name = graph_value(pl->g, graph_node(pl->g, m->node)->out)->name;
        if (name && (m->arg != LOCAL || m->also != LOCAL)) return name;
        if (name && !inside) inside = name;
    }
    return inside;
}

/* "att.key.weight" of "blocks.0.att.key.weight": what stands behind the number of a layer. */
static const char *behind_layer(const char *name) {
    const char *from = name;
    for (const char *s = name; *s; s++) {
        const char *end = s;
        while (*end >= '0' && *end <= '9') end++;
        if ((s == name || s[-1] == '.') && end > s && *end == '.') from = end + 1;
    }
    return from;
}

/* As a symbol may be written. */
static void add_word(Text *t, const char *name) {
    for (const char *s = behind_layer(name); *s; s++) {
        bool word =
            (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9');
        text_addn(t, word ? s : "_", 1);
    }
}

const char *plan_kernel_name(Planner *pl, const Kernel *k, uint32_t number) {
    Text t = text_new(pl->arena);
    const char *name = made(pl, k);
    if (k->kind == K_SCAN) text_add(&t, "scan_");
    const char *param = !name || k->kind == K_CONTRACT ? param_of(pl, k) : NULL;
    if (name && param) {
        add_word(&t, name);
        text_add(&t, "_");
    }
    name = param ? param : name;
    if (!name && k->kind == K_SCAN && k->carries.n)
        name = graph_value(pl->g, k->carries.data[k->carries.n - 1].arg_value)->name;
    static const char *const kind[KERNEL_KINDS] = {
        [K_ROW] = "row", [K_SCAN] = "carry", [K_CONTRACT] = "product", [K_SCATTER] = "scatter"};
    add_word(&t, name ? name : kind[k->kind]);
    text_printf(&t, "_%u", number);
    return t.data;
}
