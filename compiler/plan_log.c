/* Decisions told: for two values the rule that put them into one kernel, or kept them apart. */
#include "plan_log.h"

#include <string.h>

typedef struct RuleInfo {
    bool joined;
    const char *text;
} RuleInfo;

static const RuleInfo rule_info[FUSE_RULES] = {
#define RULE(name, joined, text) [R_##name] = {joined, text},
#include "fuse_rules.def"
#undef RULE
};

static const char *const kind_name[KERNEL_KINDS] = {
    [K_ROW] = "row", [K_SCAN] = "recurrence", [K_CONTRACT] = "product", [K_SCATTER] = "scatter"};

/* ---- where values are made ------------------------------------------------------------------------ */

static bool makes(const Plan *p, const Kernel *k, Value v) {
    for (uint32_t i = 0; i < k->members.n; i++)
        if (graph_node(p->g, k->members.data[i].node)->out == v) return true;
    for (uint32_t i = 0; i < k->carries.n; i++)
        if (k->carries.data[i].arg_value == v) return true;
    for (uint32_t i = 0; i < k->arg_values.n; i++)
        if (k->arg_writes.data[i] && k->arg_values.data[i] == v) return true;
    return false;
}

uint32_t plan_kernel_of(Plan *p, Value v) {
    for (uint32_t i = 0; i < p->kernels.n; i++)
        if (makes(p, &p->kernels.data[i], v)) return i;
    return UINT32_MAX;
}

typedef struct Place {
    const Op *loop;
    uint32_t cls; /* the class whose body launches it */
} Place;

static bool find_place(const Ops *ops, uint32_t kernel, Place *at) {
    for (uint32_t i = 0; i < ops->list.n; i++) {
        const Op *o = &ops->list.data[i];
        if (o->kind == OP_LAUNCH && o->kernel == kernel) return true;
        for (uint32_t k = 0; o->kind == OP_LOOP && k < o->n_classes; k++) {
            Place inner = {o, k};
            if (!find_place(&o->bodies[k], kernel, &inner)) continue;
            *at = inner.loop == o ? (Place){o, k} : inner;
            return true;
        }
    }
    return false;
}

static void print_layers(const Place *at, Text *out) {
    const Op *o = at->loop;
    const char *mark = " of layer ";
    for (uint32_t i = 0; i < o->count; i++) {
        if (o->class_of[i] != at->cls || (i > 0 && o->class_of[i - 1] == at->cls)) continue;
        uint32_t last = i;
        while (last + 1 < o->count && o->class_of[last + 1] == at->cls) last++;
        text_printf(out, "%s%u", mark, i);
        if (last > i) text_printf(out, "..%u", last);
        mark = ", ";
    }
    if (o->reverse) text_add(out, ", backward");
}

void plan_log_place(Plan *p, uint32_t kernel, Text *out) {
    Place at = {NULL, 0};
    text_printf(out, "%s kernel %s", kind_name[p->kernels.data[kernel].kind],
                p->kernels.data[kernel].name);
    if (find_place(&p->ops, kernel, &at) && at.loop) print_layers(&at, out);
}

static bool same_body(Plan *p, uint32_t a, uint32_t b) {
    Place x = {NULL, 0}, y = {NULL, 0};
    (void)find_place(&p->ops, a, &x);
    (void)find_place(&p->ops, b, &y);
    return x.loop == y.loop && x.cls == y.cls;
}

bool plan_log_meet(Plan *p, Value a, Value b) {
    return same_body(p, plan_kernel_of(p, a), plan_kernel_of(p, b));
}

bool plan_log_in_layer(Plan *p, uint32_t kernel, int64_t layer) {
    Place at = {NULL, 0};
    (void)find_place(&p->ops, kernel, &at);
    return at.loop && layer < (int64_t)at.loop->count && at.loop->class_of[layer] == at.cls;
}

/* ---- which rule ------------------------------------------------------------------------------------ */

static NodeId node_of(Plan *p, Value v) { return graph_value(p->g, v)->node; }

/* The first rule of the table that `node` met at the kernel; FUSE_RULES: it was not held against it. */
static FuseRule rule_at(const PlanLog *log, NodeId node, const Kernel *made, bool product) {
    FuseRule best = FUSE_RULES;
    for (uint32_t i = 0; i < log->decisions.n; i++) {
        const PlanDecision *d = &log->decisions.data[i];
        bool here = d->kernel == made || (!d->kernel && product && d->rule == R_reduces);
        if (d->node == node && here && d->rule < best) best = (FuseRule)d->rule;
    }
    return best;
}

void plan_move_decide(PlanLog *log, Graph *g, Value v, NodeId recur, FuseRule rule) {
    const ValueInfo *i = graph_value(g, v);
    if (!log || !i->name) return;
    const char *name = arena_str(log->arena, i->name);
    *PUSH(log->arena, &log->moves) =
        (PlanMove){name, i->loc, graph_node(g, recur)->loc, (uint8_t)rule};
}

static bool same_place(const Loc *a, const Loc *b) {
    return a->file == b->file && a->line == b->line && a->col == b->col;
}

/* The first rule of the table that v met at the recurrences of kernel k; FUSE_RULES: none. */
static FuseRule move_at(Plan *p, const PlanLog *log, Value v, const Kernel *k) {
    const ValueInfo *i = graph_value(p->g, v);
    FuseRule best = FUSE_RULES;
    for (uint32_t m = 0; m < log->moves.n && i->name && k->kind == K_SCAN; m++) {
        const PlanMove *x = &log->moves.data[m];
        bool here = same_place(&x->recur, &graph_node(p->g, k->recur)->loc) ||
                    (k->again && same_place(&x->recur, &graph_node(p->g, k->again)->loc));
        if (here && same_place(&x->loc, &i->loc) && strcmp(x->name, i->name) == 0 && x->rule < best)
            best = (FuseRule)x->rule;
    }
    return best;
}

/* What `node` met last: it joined, or its search for a kernel ended. */
static const PlanDecision *last_of(const PlanLog *log, NodeId node) {
    const PlanDecision *last = NULL;
    for (uint32_t i = 0; i < log->decisions.n; i++)
        if (log->decisions.data[i].node == node) last = &log->decisions.data[i];
    return last;
}

typedef struct Reads {
    const Kernel *k;
    bool yes;
} Reads;

static void visit(Graph *g, ExprId e, void *user) {
    Reads *r = user;
    const Expr *x = graph_expr(g, e);
    for (uint32_t i = 0; x->op == X_READ && i < r->k->members.n; i++)
        r->yes |= graph_node(g, r->k->members.data[i].node)->out == x->value;
}

static bool reads_from(Plan *p, NodeId n, const Kernel *k) {
    Reads r = {k, false};
    if (graph_node(p->g, n)->expr) expr_walk(p->g, graph_node(p->g, n)->expr, visit, &r);
    return r.yes;
}

static const char *own_kernel(const Kernel *k) {
    switch (k->kind) {
    case K_SCAN:
        return "a recurrence is a kernel of its own; only what belongs to its steps joins it";
    case K_CONTRACT: return "a matrix product is a kernel of its own; only an epilogue joins it";
    case K_SCATTER: return "a scatter-add is a kernel of its own";
    default: return NULL;
    }
}

static bool is_first_member(const Kernel *k, NodeId n) {
    return k->members.n > 0 && k->members.data[0].node == n;
}

/* Why `late`, which stands later, is not in the kernel of the other one. */
static const char *why_apart(Plan *p, const PlanLog *log, Value late, uint32_t its, uint32_t other,
                             const char **joined) {
    const Kernel *k = &p->kernels.data[its], *o = &p->kernels.data[other];
    NodeId n = node_of(p, late);
    *joined = NULL;
    if (o->kind == K_CONTRACT && k->kind == K_ROW && !reads_from(p, n, o))
        return rule_info[R_unread].text;
    FuseRule r = rule_at(log, n, log->made.data[other], o->kind == K_CONTRACT);
    if (r != FUSE_RULES && !rule_info[r].joined) return rule_info[r].text;
    if (own_kernel(k) && (is_first_member(k, n) || k->kind == K_SCAN)) return own_kernel(k);
    if (!is_first_member(k, n)) {
        const PlanDecision *d = last_of(log, n);
        if (d && rule_info[d->rule].joined) *joined = k->name;
        if (*joined) return rule_info[d->rule].text;
    }
    if (own_kernel(o)) return own_kernel(o);
    const PlanDecision *d = last_of(log, n);
    return d ? rule_info[d->rule].text : rule_info[R_stranger].text;
}

/* The one in the block's order that found the other's kernel there already. */
static bool stands_later(Plan *p, Value a, Value b) {
    uint32_t x = plan_kernel_of(p, a), y = plan_kernel_of(p, b);
    return x != y ? x > y : node_of(p, a) > node_of(p, b);
}

/* Both are made by the steps of one recurrence: how the values came there that did not begin there. */
static void tell_steps(Plan *p, const PlanLog *log, const Value *v, uint32_t kernel,
                       const char *const *name, Text *out) {
    text_add(out, "    because both belong to the steps of one recurrence\n");
    for (int i = 0; i < 2; i++) {
        FuseRule r = move_at(p, log, v[i], &p->kernels.data[kernel]);
        if (r != FUSE_RULES && rule_info[r].joined)
            text_printf(out, "    %s: %s\n", name[i], rule_info[r].text);
    }
}

static void tell_together(Plan *p, const PlanLog *log, Value late, uint32_t kernel,
                          const char *name, Text *out) {
    FuseRule r = rule_at(log, node_of(p, late), log->made.data[kernel], false);
    text_add(out, "    because ");
    if (r != FUSE_RULES && rule_info[r].joined)
        text_printf(out, "of %s: %s\n", name, rule_info[r].text);
    else
        text_add(out, "both are what the kernel was made for\n");
}

/* Why the steps of the recurrence of this kernel do not make v, if that was looked at. */
static bool tell_kept_out(Plan *p, const PlanLog *log, Value v, uint32_t kernel, const char *name,
                          Text *out) {
    FuseRule r = move_at(p, log, v, &p->kernels.data[kernel]);
    if (r == FUSE_RULES || rule_info[r].joined) return false;
    text_printf(out, "    because of %s: %s\n", name, rule_info[r].text);
    return true;
}

void plan_log_tell(Plan *p, const PlanLog *log, Value a, Value b, const char *name_a,
                   const char *name_b, Text *out) {
    uint32_t x = plan_kernel_of(p, a), y = plan_kernel_of(p, b);
    if (x == y) {
        text_printf(out, "%s and %s: together, in ", name_a, name_b);
        plan_log_place(p, x, out);
        text_add(out, "\n");
        bool swap = stands_later(p, a, b);
        if (p->kernels.data[x].kind == K_SCAN)
            tell_steps(p, log, (Value[]){a, b}, x, (const char *[]){name_a, name_b}, out);
        else
            tell_together(p, log, swap ? a : b, x, swap ? name_a : name_b, out);
        return;
    }
    text_printf(out, "%s and %s: apart, in ", name_a, name_b);
    plan_log_place(p, x, out);
    text_add(out, " and ");
    plan_log_place(p, y, out);
    text_add(out, "\n");
    if (!same_body(p, x, y)) {
        text_printf(out, "    because %s\n", rule_info[R_loop].text);
        return;
    }
    if (tell_kept_out(p, log, a, y, name_a, out) || tell_kept_out(p, log, b, x, name_b, out))
        return;
    bool swap = stands_later(p, a, b);
    const char *joined, *why = why_apart(p, log, swap ? a : b, swap ? x : y, swap ? y : x, &joined);
    const char *name = swap ? name_a : name_b;
    if (joined)
        text_printf(out, "    because %s has joined %s before: %s\n", name, joined, why);
    else
        text_printf(out, "    because of %s: %s\n", name, why);
}
