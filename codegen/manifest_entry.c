/* One entry in the manifest: what it is given, its buffers, kernels, ops and outputs. */
#include "../compiler/work.h"
#include "manifest.h"

typedef struct EntryWriter {
    Writer *w;
    Text *t;
    uint32_t e;
    Plan *p;
    Graph *g; /* of the plan: it has nodes that the graph it was made from has not */
    PlanWork work;
} EntryWriter;

static void write_sizes(EntryWriter *x, const Size *dims, uint32_t n) {
    pack_array(x->t, n);
    for (uint32_t i = 0; i < n; i++) pack_int(x->t, write_size(x->w, x->g->sizes, dims[i]));
}

/* ---- inputs ------------------------------------------------------------------------------------- */

static void write_inputs(EntryWriter *x) {
    pack_array(x->t, x->g->inputs.n);
    for (uint32_t i = 0; i < x->g->inputs.n; i++) {
        const InputInfo *in = &x->g->inputs.data[i];
        const ValueInfo *v = graph_value(x->g, in->value);
        BufId b = x->p->buf_of[in->value];
        pack_array(x->t, 5);
        pack_str(x->t, in->name);
        pack_int(x->t,
                 b == UINT32_MAX ? v->type == T_INT ? DT_I32 : DT_F32 : x->p->bufs.data[b].dtype);
        write_sizes(x, v->dims, v->rank);
        pack_int(x->t, in->below);
        pack_bool(x->t, in->scalar);
    }
}

/* ---- buffers ------------------------------------------------------------------------------------ */

static uint32_t index_of(EntryWriter *x, const PlanBuf *b) {
    if (b->role == ROLE_PARAM) return x->w->param_of[x->e][b->index];
    if (b->role == ROLE_STATE) return x->w->state_of[x->e][b->index];
    return b->role == ROLE_TEMP ? 0 : b->index;
}

static void write_buffers(EntryWriter *x) {
    BufId *place = NEWN(x->w->arena, BufId, x->p->bufs.n + 1);
    for (uint32_t i = 0; i < x->p->bufs.n; i++) place[i] = UINT32_MAX;
    for (uint32_t i = 0; i < x->g->outputs.n; i++) {
        BufId b = x->p->buf_of[x->g->outputs.data[i].value];
        if (b != UINT32_MAX && place[b] == UINT32_MAX)
            place[b] = plan_output_place(x->p, &x->g->outputs.data[i]);
    }
    pack_array(x->t, x->p->bufs.n);
    for (uint32_t i = 0; i < x->p->bufs.n; i++) {
        const PlanBuf *b = &x->p->bufs.data[i];
        pack_array(x->t, 9);
        pack_int(x->t, b->role);
        pack_int(x->t, index_of(x, b));
        pack_int(x->t, b->dtype);
        pack_int(x->t, b->family);
        pack_bool(x->t, b->carry);
        pack_int(x->t, b->born);
        pack_int(x->t, b->dies);
        pack_int(x->t, place[i] == UINT32_MAX ? -1 : (int64_t)place[i]);
        write_sizes(x, b->dims, b->rank);
    }
}

/* ---- work --------------------------------------------------------------------------------------- */

_Static_assert((int)WORK_PARTS == (int)RW_FILE_WORKS, "the file has as many parts as the plan");

static void write_work(EntryWriter *x, const Work *w) {
    pack_array(x->t, WORK_PARTS);
    for (int i = 0; i < WORK_PARTS; i++) pack_int(x->t, write_count(x->w, x->g->sizes, w->of[i]));
}

/* ---- kernels and ops ---------------------------------------------------------------------------- */

static void write_kernels(EntryWriter *x) {
    const KernelCode *codes = x->w->entries[x->e].codes;
    pack_array(x->t, x->p->kernels.n);
    for (uint32_t i = 0; i < x->p->kernels.n; i++) {
        const Kernel *k = &x->p->kernels.data[i];
        const KernelCode *c = &codes[i];
        pack_array(x->t, 10);
        pack_str(x->t, c->symbol);
        pack_str(x->t, k->name);
        pack_int(x->t, write_size(x->w, x->g->sizes, c->grid));
        pack_int(x->t, write_size(x->w, x->g->sizes, c->scratch));
        write_sizes(x, c->sizes.data, c->sizes.n);
        pack_array(x->t, k->arg_writes.n);
        for (uint32_t a = 0; a < k->arg_writes.n; a++) pack_bool(x->t, k->arg_writes.data[a]);
        write_work(x, &x->work.kernel[i]);
        pack_int(x->t, c->block);
        pack_int(x->t, c->local);
        pack_int(x->t, c->levels);
    }
}

static void write_arg(EntryWriter *x, const PlanArg *a) {
    pack_array(x->t, 1 + (size_t)a->n_level);
    pack_int(x->t, a->buf);
    for (uint32_t i = 0; i < a->n_level; i++) pack_int(x->t, a->level[i]);
}

static void write_ops(EntryWriter *x, const Ops *ops);

static void write_loop(EntryWriter *x, const Op *o) {
    pack_array(x->t, 6);
    pack_int(x->t, RW_OP_LOOP);
    pack_int(x->t, o->level);
    pack_bool(x->t, o->reverse);
    pack_array(x->t, o->count);
    for (uint32_t i = 0; i < o->count; i++) pack_int(x->t, o->class_of[i]);
    pack_array(x->t, o->count);
    for (uint32_t i = 0; i < o->count; i++) pack_int(x->t, o->pos_of[i]);
    pack_array(x->t, o->n_classes);
    for (uint32_t i = 0; i < o->n_classes; i++) write_ops(x, &o->bodies[i]);
}

static void write_op(EntryWriter *x, const Op *o) {
    switch ((OpKind)o->kind) {
    case OP_LOOP: write_loop(x, o); return;
    case OP_LAUNCH:
        pack_array(x->t, 4);
        pack_int(x->t, RW_OP_LAUNCH);
        pack_int(x->t, o->kernel);
        pack_array(x->t, o->args.n);
        for (uint32_t i = 0; i < o->args.n; i++) write_arg(x, &o->args.data[i]);
        pack_bool(x->t, o->beside);
        return;
    case OP_COPY:
    case OP_SWAP:
        pack_array(x->t, 4);
        pack_int(x->t, o->kind == OP_COPY ? RW_OP_COPY : RW_OP_SWAP);
        write_arg(x, &o->args.data[0]);
        write_arg(x, &o->args.data[1]);
        pack_bool(x->t, o->beside);
        return;
    }
}

static void write_ops(EntryWriter *x, const Ops *ops) {
    pack_array(x->t, ops->list.n);
    for (uint32_t i = 0; i < ops->list.n; i++) write_op(x, &ops->list.data[i]);
}

/* ---- outputs ------------------------------------------------------------------------------------ */

static uint32_t output_index(EntryWriter *x, const OutputInfo *o) {
    switch ((OutputKind)o->kind) {
    case OUT_GRAD:
    case OUT_PARAM: return x->w->param_of[x->e][o->index];
    case OUT_STATE:
    case OUT_OPT: return x->w->state_of[x->e][o->index];
    default: return 0;
    }
}

static void write_outputs(EntryWriter *x) {
    pack_array(x->t, x->g->outputs.n);
    for (uint32_t i = 0; i < x->g->outputs.n; i++) {
        const OutputInfo *o = &x->g->outputs.data[i];
        BufId b = x->p->buf_of[o->value];
        if (b == UINT32_MAX) x->w->error = "an output has no memory in the plan";
        if (output_index(x, o) == UINT32_MAX)
            x->w->error = "an output leads on a state that is no input";
        pack_array(x->t, 4);
        pack_str(x->t, output_kind_name[o->kind]);
        pack_str(x->t, o->name ? o->name : "");
        pack_int(x->t, b);
        pack_int(x->t, output_index(x, o));
    }
}

static void find_random(Graph *g, ExprId e, void *user) {
    if (graph_expr(g, e)->op == X_RANDOM) *(bool *)user = true;
}

static bool uses_random(EntryWriter *x) {
    bool found = false;
    for (uint32_t k = 0; k < x->p->kernels.n; k++)
        for (uint32_t i = 0; i < x->p->kernels.data[k].members.n; i++) {
            const Node *n = graph_node(x->g, x->p->kernels.data[k].members.data[i].node);
            expr_walk(x->g, n->expr, find_random, &found);
        }
    return found;
}

void write_entry(Writer *w, Text *t, uint32_t entry) {
    Plan *p = w->entries[entry].plan;
    EntryWriter x = {.w = w, .t = t, .e = entry, .p = p, .g = p->g};
    x.work = plan_work(p);
    pack_map(t, 8);
    pack_str(t, "name");
    pack_str(t, w->entries[entry].name);
    pack_str(t, "random");
    pack_bool(t, uses_random(&x));
    pack_str(t, "inputs");
    write_inputs(&x);
    pack_str(t, "buffers");
    write_buffers(&x);
    pack_str(t, "kernels");
    write_kernels(&x);
    pack_str(t, "ops");
    write_ops(&x, &p->ops);
    pack_str(t, "outputs");
    write_outputs(&x);
    pack_str(t, "work");
    write_work(&x, &x.work.whole);
}
