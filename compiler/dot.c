/* A drawing of a graph for Graphviz: a box for each value, an arrow from each value read.
 *
 * Requires: a graph that graph_verify accepts. Maintains: the graph. Cost: linear.
 * Bodies of recurrences are frames; what goes from one iteration to the next is dashed. */
#include "graph.h"

#include "text.h"

typedef struct Dot {
    Graph *g;
    Text *out;
    uint32_t *number; /* by Value */
    Value to;         /* the value whose arrows are being drawn */
    uint32_t frames;
} Dot;

static void escaped(Text *t, const char *s) {
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            text_printf(t, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            text_add(t, "?");
        else
            text_addn(t, s, 1);
    }
}

static void box(Dot *d, Value v, const char *what, const char *shape) {
    const ValueInfo *x = graph_value(d->g, v);
    text_printf(d->out, "  v%u [shape=%s, label=\"%%%u ", d->number[v], shape, d->number[v]);
    if (x->name) escaped(d->out, x->name);
    text_add(d->out, " [");
    for (uint32_t i = 0; i < x->rank; i++)
        text_printf(d->out, "%s%s", i ? ", " : "", size_str(d->g->sizes, x->dims[i]));
    text_printf(d->out, "]%s%s\"];\n", *what ? "\\n" : "", what);
}

static void arrow(Dot *d, Value from, Value to, const char *style) {
    text_printf(d->out, "  v%u -> v%u%s;\n", d->number[from], d->number[to], style);
}

static void arrow_of_read(Graph *g, ExprId e, void *user) {
    Dot *d = user;
    if (graph_expr(g, e)->op == X_READ) arrow(d, graph_expr(g, e)->value, d->to, "");
}

static const char dashed[] = " [style=dashed, constraint=false]";

static void draw_block(Dot *d, const Block *b);

static void draw_class(Dot *d, const Recur *r, const RecurClass *c) {
    text_printf(d->out, "  subgraph cluster%u {\n  label=\"", d->frames++);
    escaped(d->out, r->axis ? r->axis : "");
    text_printf(d->out, " %s%s", size_str(d->g->sizes, r->length), r->reverse ? " reverse" : "");
    if (c->iters.n) text_printf(d->out, " (%u of them)", c->iters.n);
    text_add(d->out, "\";\n");
    for (uint32_t k = 0; k < r->carry.n; k++) box(d, c->args[k], "on entry", "house");
    draw_block(d, &c->body);
    text_add(d->out, "  }\n");
    for (uint32_t k = 0; k < r->carry.n; k++) {
        arrow(d, r->carry.data[k].init, c->args[k], "");
        arrow(d, c->next[k], c->args[k], dashed);
        arrow(d, c->next[k], r->carry.data[k].final, "");
    }
    for (uint32_t i = 0; i < c->outs.n; i++) {
        box(d, c->outs.data[i].result, "of each iteration", "box");
        arrow(d, c->outs.data[i].body, c->outs.data[i].result, "");
    }
}

static void draw_delays(Dot *d, const Block *b) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        const Node *n = graph_node(d->g, b->nodes.data[i]);
        if (n->kind != N_DELAY || !n->final) continue;
        box(d, n->final, "at the end", "box");
        arrow(d, n->out, n->final, "");
    }
}

static void draw_recur(Dot *d, const Recur *r) {
    for (uint32_t k = 0; k < r->carry.n; k++) box(d, r->carry.data[k].final, "at the end", "box");
    for (uint32_t c = 0; c < r->classes.n; c++) {
        draw_class(d, r, &r->classes.data[c]);
        draw_delays(d, &r->classes.data[c].body);
    }
}

static void draw_node(Dot *d, const Node *n) {
    Graph *g = d->g;
    d->to = n->out;
    switch (n->kind) {
    case N_INPUT: box(d, n->out, "input", "ellipse"); break;
    case N_PARAM: box(d, n->out, "param", "ellipse"); break;
    case N_STATE: box(d, n->out, "state", "ellipse"); break;
    case N_EQ:
        box(d, n->out, red_name[n->red], "box");
        expr_walk(g, n->expr, arrow_of_read, d);
        break;
    case N_SCATTER:
        box(d, n->out, "scatter", "box");
        expr_walk(g, n->expr, arrow_of_read, d);
        for (uint32_t k = 0; k < graph_value(g, n->out)->rank; k++)
            expr_walk(g, n->subs[k], arrow_of_read, d);
        break;
    case N_DELAY:
        box(d, n->out, "delay", "box");
        arrow(d, n->init, n->out, "");
        arrow(d, n->source, n->out, dashed);
        break;
    case N_RECUR: draw_recur(d, n->recur); break;
    default: break;
    }
}

static void draw_block(Dot *d, const Block *b) {
    for (uint32_t i = 0; i < b->nodes.n; i++) draw_node(d, graph_node(d->g, b->nodes.data[i]));
}

void graph_dot(Graph *g, Text *out) {
    Arena *scratch = arena_new();
    Dot d = {.g = g, .out = out, .number = graph_numbers(g, scratch)};
    text_add(out, "digraph \"");
    escaped(out, g->entry);
    text_add(out, "\" {\n  rankdir=TB;\n  node [fontname=\"monospace\"];\n");
    draw_block(&d, &g->top);
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        const OutputInfo *o = &g->outputs.data[i];
        text_printf(out, "  o%u [shape=plaintext, label=\"%s ", i, output_kind_name[o->kind]);
        escaped(out, o->name ? o->name : "");
        text_printf(out, "\"];\n  v%u -> o%u;\n", d.number[o->value], i);
    }
    text_add(out, "}\n");
    arena_free(scratch);
}
