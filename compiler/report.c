/* Parameters and scalar operations of a graph.
 *
 * requires: a graph that graph_verify accepts; best after graph_simplify.
 * cost: linear. */
#include "report.h"

#include "work.h"

typedef struct Blocks {
    Flops flops;
    Size times;     /* how often the block at work is run */
    uint32_t along; /* recurrences along an axis around it */
} Blocks;

static void count_block(Blocks *x, const Block *b) {
    Graph *g = x->flops.g;
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        const Node n = *graph_node(g, b->nodes.data[i]);
        if (n.kind == N_EQ || n.kind == N_SCATTER)
            flops_node(&x->flops, &n, x->times, x->along > 0);
        if (n.kind != N_RECUR) continue;
        Size times = x->times;
        x->along += !n.recur->layers;
        for (uint32_t c = 0; c < n.recur->classes.n; c++) {
            const RecurClass *k = &n.recur->classes.data[c];
            Size rounds = k->iters.n ? size_num(g->sizes, k->iters.n) : n.recur->length;
            x->times = size_mul(g->sizes, times, rounds);
            count_block(x, &k->body);
        }
        x->along -= !n.recur->layers;
        x->times = times;
    }
}

FlopCount graph_flops(Graph *g) {
    Arena *scratch = arena_new();
    Blocks x = {.flops = flops_new(g, scratch), .times = size_num(g->sizes, 1)};
    count_block(&x, &g->top);
    FlopCount *c = &x.flops.count;
    c->total = size_add(g->sizes, size_add(g->sizes, c->convolution, c->linear),
                        size_add(g->sizes, c->recurrence, c->rest));
    arena_free(scratch);
    return *c;
}

/* ---- parameters ------------------------------------------------------------------------------ */

static int64_t numbers_in(Graph *g, const ParamInfo *p) {
    int64_t n = 0;
    return size_value(g->sizes, value_size(g, p->value), &n) ? n : 0;
}

ParamCount graph_params(Graph *g) {
    ParamCount c = {0, 0};
    for (uint32_t i = 0; i < g->params.n; i++) {
        int64_t n = numbers_in(g, &g->params.data[i]);
        c.total += n;
        c.trained += g->params.data[i].frozen ? 0 : n;
    }
    return c;
}

static const char *shape_of(Graph *g, const ParamInfo *p) {
    const ValueInfo *v = graph_value(g, p->value);
    Text t = text_new(g->arena);
    text_add(&t, "[");
    for (uint32_t k = p->family; k < v->rank; k++)
        text_printf(&t, k > p->family ? ", %s" : "%s", size_str(g->sizes, v->dims[k]));
    text_add(&t, "]");
    return t.data;
}

static void report_params(Graph *g, Text *out) {
    text_printf(out, "  %-48s %6s  %-20s %14s\n", "parameter", "times", "shape", "numbers");
    for (uint32_t i = 0; i < g->params.n; i++) {
        const ParamInfo *p = &g->params.data[i];
        const char *name = p->members.n ? p->members.data[0].name : "";
        text_printf(out, "  %-48s %6u  %-20s %14lld%s\n", name, p->members.n, shape_of(g, p),
                    (long long)numbers_in(g, p), p->frozen ? "  frozen" : "");
    }
    ParamCount c = graph_params(g);
    text_printf(out, "  parameters: %lld, trained %lld, frozen %lld\n", (long long)c.total,
                (long long)c.trained, (long long)(c.total - c.trained));
}

static void report_line(Graph *g, Text *out, const char *what, Size s) {
    text_printf(out, "    %-12s %s\n", what, s ? size_str(g->sizes, s) : "more than 2^53");
}

void graph_report(Graph *g, Text *out) {
    text_printf(out, "%s\n", g->entry);
    report_params(g, out);
    FlopCount c = graph_flops(g);
    text_add(out, "  scalar operations of one run (a multiply-add counts 2)\n");
    report_line(g, out, "convolution", c.convolution);
    report_line(g, out, "linear", c.linear);
    report_line(g, out, "recurrence", c.recurrence);
    report_line(g, out, "rest", c.rest);
    report_line(g, out, "total", c.total);
}
