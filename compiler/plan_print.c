/* --emit=plan: kernels, buffers and launches as text; and the rules of a plan checked. */
#include "plan_impl.h"

#include <string.h>

static const char *const kind_name[KERNEL_KINDS] = {"row", "scan", "contract", "scatter"};
static const char *const role_name[] = {"temp", "input", "param", "state", "output"};
static const char *const dtype_name[DTYPES] = {"f32", "bf16", "f16", "i32"};

static void print_dims(Graph *g, Text *t, const Size *d, uint32_t n) {
    text_add(t, "[");
    for (uint32_t i = 0; i < n; i++)
        text_printf(t, "%s%s", i ? ", " : "", size_str(g->sizes, d[i]));
    text_add(t, "]");
}

typedef struct Print {
    Plan *p;
    Text *t;
    const uint32_t *number; /* by Value: as the graph's text numbers them */
    Arena *scratch;
} Print;

static void print_value(const Print *x, Value v) {
    const char *name = graph_value(x->p->g, v)->name;
    text_printf(x->t, "%%%u%s%s", x->number[v], name ? " " : "", name ? name : "");
}

/* What is computed, in order. A value that nothing outside reads is "inside": in scratch. */
static void print_members(const Print *x, const Kernel *k) {
    NodeId *nodes = NEWN(x->scratch, NodeId, k->members.n + 1);
    const char **before = NEWN(x->scratch, const char *, k->members.n + 1);
    for (uint32_t i = 0; i < k->members.n; i++) {
        const PlanMember *m = &k->members.data[i];
        bool again = i < k->n_again;
        nodes[i] = m->node;
        before[i] = m->arg != LOCAL || m->also != LOCAL
                        ? again ? "    again  stores " : "    stores "
                    : again ? "    again  inside "
                            : "    inside ";
    }
    graph_print_nodes(x->p->g, nodes, k->members.n, before, x->t);
}

static void print_kernel(const Print *x, const Kernel *k) {
    Graph *g = x->p->g;
    Text *t = x->t;
    text_printf(t, "kernel %s %s ", k->name, kind_name[k->kind]);
    if (k->kind == K_CONTRACT) text_printf(t, "of %s ", dtype_name[k->contract.operands]);
    text_add(t, "grid ");
    print_dims(g, t, k->par, k->n_par);
    text_add(t, " (");
    for (uint32_t i = 0; i < k->arg_values.n; i++) {
        text_add(t, i ? ", " : "");
        text_add(t, k->arg_writes.data[i] ? "out " : "");
        print_value(x, k->arg_values.data[i]);
    }
    text_add(t, ")\n");
    for (uint32_t i = 0; i < k->carries.n; i++) {
        text_add(t, i < k->n_again_carries ? "    again  carry " : "    carry ");
        print_value(x, k->carries.data[i].arg_value);
        text_add(t, " from ");
        print_value(x, k->arg_values.data[k->carries.data[i].init_arg]);
        text_add(t, " next ");
        print_value(x, k->carries.data[i].next);
        text_add(t, "\n");
    }
    print_members(x, k);
}

static void print_arg(const PlanArg *a, Text *t) {
    text_printf(t, "b%u", a->buf);
    for (uint32_t i = 0; i < a->n_level; i++) text_printf(t, "[p%u]", a->level[i]);
}

static void print_ops(Plan *p, const Ops *ops, uint32_t indent, Text *t) {
    for (uint32_t i = 0; i < ops->list.n; i++) {
        const Op *o = &ops->list.data[i];
        for (uint32_t k = 0; k < indent; k++) text_add(t, "    ");
        if (o->kind == OP_LOOP) {
            text_printf(t, "loop p%u %u%s {\n", o->level, o->count, o->reverse ? " reverse" : "");
            for (uint32_t k = 0; k < o->n_classes; k++) {
                for (uint32_t j = 0; j < indent; j++) text_add(t, "    ");
                text_printf(t, "  class %u:", k);
                for (uint32_t j = 0; j < o->count; j++)
                    if (o->class_of[j] == k) text_printf(t, " %u", j);
                text_add(t, "\n");
                print_ops(p, &o->bodies[k], indent + 1, t);
            }
            for (uint32_t k = 0; k < indent; k++) text_add(t, "    ");
            text_add(t, "}\n");
            continue;
        }
        if (o->beside) text_add(t, "beside ");
        text_add(t, o->kind == OP_LAUNCH ? p->kernels.data[o->kernel].name
                    : o->kind == OP_COPY ? "copy"
                                         : "swap");
        text_add(t, "(");
        for (uint32_t k = 0; k < o->args.n; k++) {
            text_add(t, k ? ", " : "");
            print_arg(&o->args.data[k], t);
        }
        text_add(t, ")\n");
    }
}

static uint32_t count_launches(const Ops *ops, bool inside) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < ops->list.n; i++) {
        const Op *o = &ops->list.data[i];
        if (o->kind != OP_LOOP)
            n++;
        else if (inside) {
            uint32_t most = 0;
            for (uint32_t k = 0; k < o->n_classes; k++) {
                uint32_t m = count_launches(&o->bodies[k], inside);
                if (m > most) most = m;
            }
            n += most;
        }
    }
    return n;
}

void plan_print(Plan *p, Text *out) {
    Print x = {.p = p, .t = out, .scratch = arena_new()};
    x.number = graph_numbers(p->g, x.scratch);
    text_printf(out, "plan of %s: %u kernels, %u ops, loops at one iteration\n", p->g->entry,
                p->kernels.n, count_launches(&p->ops, true));
    for (uint32_t i = 0; i < p->bufs.n; i++) {
        const PlanBuf *b = &p->bufs.data[i];
        text_printf(out, "buffer b%u %s %s ", i, role_name[b->role], dtype_name[b->dtype]);
        print_dims(p->g, out, b->dims, b->rank);
        text_printf(out, " family %u lives %u..%u%s  ", b->family, b->born, b->dies,
                    b->carry ? " carried" : "");
        print_value(&x, b->value);
        text_add(out, "\n");
    }
    for (uint32_t i = 0; i < p->kernels.n; i++) print_kernel(&x, &p->kernels.data[i]);
    print_ops(p, &p->ops, 0, out);
    arena_free(x.scratch);
}

/* ---- verification ------------------------------------------------------------------------------------- */

typedef struct Written { /* by buffer: something has been put there */
    bool *yes;
    uint32_t n;
} Written;

/* around: a bit for each level of the loops around */
static const char *verify_ops(Plan *p, const Ops *ops, uint64_t around, Written *w) {
    for (uint32_t i = 0; i < ops->list.n; i++) {
        const Op *o = &ops->list.data[i];
        if (o->kind == OP_LOOP) {
            for (uint32_t k = 0; k < o->n_classes; k++) {
                const char *e = verify_ops(p, &o->bodies[k], around | 1ull << o->level, w);
                if (e) return e;
            }
            continue;
        }
        const Kernel *k = o->kind == OP_LAUNCH ? &p->kernels.data[o->kernel] : NULL;
        if (k && k->arg_values.n != o->args.n)
            return "a launch with another number of arguments than its kernel";
        for (uint32_t a = 0; a < o->args.n; a++) {
            BufId b = o->args.data[a].buf;
            if (b >= p->bufs.n) return "an argument without a buffer";
            bool reads = k ? !k->arg_writes.data[a] : o->kind == OP_COPY ? a == 1 : true;
            if (reads && !w->yes[b])
                return arena_printf(p->arena, "buffer b%u is read before it is written (%s)", b,
                                    k ? k->name : "copy");
            if (o->args.data[a].n_level > p->bufs.data[b].rank)
                return "more members chosen than axes";
            for (uint8_t j = 0; j < o->args.data[a].n_level; j++)
                if (!(around >> o->args.data[a].level[j] & 1))
                    return arena_printf(p->arena,
                                        "a member of b%u is chosen by no loop around (%s)", b,
                                        k ? k->name : "copy");
        }
        for (uint32_t a = 0; a < o->args.n; a++)
            if (k ? k->arg_writes.data[a] : o->kind == OP_COPY && a == 0)
                w->yes[o->args.data[a].buf] = true;
    }
    return NULL;
}

static const char *verify_kernel(Plan *p, const Kernel *k) {
    Graph *g = p->g;
    for (uint32_t i = 0; i < k->members.n; i++) {
        const ValueInfo *v = graph_value(g, graph_node(g, k->members.data[i].node)->out);
        for (uint32_t j = 0; j < k->n_par && k->kind != K_CONTRACT; j++) {
            if (k->members.data[i].par[j] >= v->rank) return "a grid axis that a member lacks";
            if (v->dims[k->members.data[i].par[j]] != k->par[j])
                return "a grid axis of another length";
        }
        if (k->members.data[i].arg != LOCAL && k->members.data[i].arg >= k->arg_values.n)
            return "a member stored nowhere";
    }
    return k->members.n ? NULL : "a kernel without members";
}

const char *plan_verify(Plan *p) {
    Written w = {NEWN(p->arena, bool, p->bufs.n + 1), p->bufs.n};
    for (uint32_t i = 0; i < p->bufs.n; i++) {
        uint8_t r = p->bufs.data[i].role;
        w.yes[i] = r == ROLE_INPUT || r == ROLE_PARAM || r == ROLE_STATE;
    }
    for (uint32_t i = 0; i < p->kernels.n; i++) {
        const char *e = verify_kernel(p, &p->kernels.data[i]);
        if (e) return arena_printf(p->arena, "kernel %s: %s", p->kernels.data[i].name, e);
    }
    const char *why = verify_ops(p, &p->ops, 0, &w);
    return why ? why : plan_verify_beside(p);
}
