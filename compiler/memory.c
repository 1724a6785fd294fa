/* Lifetimes of values and the bytes needed at once, as formulas in the run-time axes.
 *
 * requires: a graph that graph_verify accepts.
 * cost: (nodes of a block)*(uses in it); sums of formulas at every node.
 *
 * A value lives from the node that defines it to the last node that uses it; outputs live to the
 * end. What a recurrence leaves behind lives from its start, its body needs what lives at once
 * in one iteration on top. Values from outside (inputs, parameters, states) are counted apart. */
#include "edit.h"
#include "report.h"

#include <string.h>

enum { MAX_PEAKS = 8 };

typedef struct Life {
    uint32_t born, dies;
    const Block *block; /* that defines it */
} Life;

typedef struct Peaks {
    uint32_t n;
    Size size[MAX_PEAKS]; /* none is provably at most another */
    bool open;            /* some formula was too large or there were too many */
} Peaks;

typedef struct Memory {
    Graph *g;
    Text *out;
    Arena *scratch;
    Walk walk;
    Life *life; /* by value */
    const Block *block;
    uint32_t now;
} Memory;

static Size bytes_of(Graph *g, Value v) {
    uint8_t store = graph_value(g, v)->store;
    int64_t item = store == ST_BF16 || store == ST_F16 ? 2 : 4;
    return size_mul(g->sizes, value_size(g, v), size_num(g->sizes, item));
}

/* ---- peaks ----------------------------------------------------------------------------------- */

static bool at_most(Graph *g, Size a, Size b) {
    return size_nonneg(g->sizes, size_sub(g->sizes, b, a));
}

static void peak_add(Graph *g, Peaks *p, Size s) {
    if (!s) {
        p->open = true;
        return;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n; i++)
        if (at_most(g, s, p->size[i])) return;
    for (uint32_t i = 0; i < p->n; i++)
        if (!at_most(g, p->size[i], s)) p->size[n++] = p->size[i];
    p->n = n;
    if (n == MAX_PEAKS)
        p->open = true;
    else
        p->size[p->n++] = s;
}

/* ---- lifetimes ------------------------------------------------------------------------------- */

static void use(Value v, void *user) {
    Memory *m = user;
    if (m->life[v].block == m->block && m->life[v].dies < m->now) m->life[v].dies = m->now;
}

static void define(Value v, void *user) {
    Memory *m = user;
    if (v) m->life[v] = (Life){m->now, m->now, m->block};
}

static bool from_outside(const Node *n) {
    return n->kind == N_INPUT || n->kind == N_PARAM || n->kind == N_STATE || n->kind == N_ARG;
}

static void find_lives(Memory *m, const Block *b) {
    m->block = b;
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        m->now = i;
        if (!from_outside(graph_node(m->g, b->nodes.data[i])))
            walk_defs(m->g, b->nodes.data[i], define, m);
    }
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        m->now = i;
        walk_uses(&m->walk, b->nodes.data[i], use, m);
    }
}

/* ---- the table ------------------------------------------------------------------------------- */

static void print_value(Memory *m, Value v, uint32_t end, uint32_t depth) {
    Graph *g = m->g;
    const ValueInfo *x = graph_value(g, v);
    Text shape = text_new(m->scratch);
    text_add(&shape, "[");
    for (uint32_t k = 0; k < x->rank; k++)
        text_printf(&shape, k ? ", %s" : "%s", size_str(g->sizes, x->dims[k]));
    text_add(&shape, "]");
    Size bytes = bytes_of(g, v);
    Life l = m->life[v];
    text_printf(m->out, "%*s%4u %-24s %-28s %-24s to ", (int)(2 * depth), "", l.born,
                x->name ? x->name : "-", shape.data,
                bytes ? size_str(g->sizes, bytes) : "more than 2^53");
    text_printf(m->out, l.dies >= end ? "the end\n" : "%u\n", l.dies);
}

typedef struct Row {
    Memory *m;
    uint32_t end, depth;
    Size live;
} Row;

static void row_value(Value v, void *user) {
    Row *r = user;
    if (v && r->m->life[v].block) print_value(r->m, v, r->end, r->depth);
}

static void add_live(Value v, void *user) {
    Row *r = user;
    Life l = v ? r->m->life[v] : (Life){0};
    if (l.block && l.born <= r->m->now && l.dies >= r->m->now)
        r->live = size_add(r->m->g->sizes, r->live, bytes_of(r->m->g, v));
}

static Peaks memory_block(Memory *m, const Block *b, uint32_t depth);

/* Peaks of one iteration, over all classes. */
static Peaks memory_recur(Memory *m, const Recur *r, uint32_t depth) {
    Graph *g = m->g;
    Peaks all = {0};
    text_printf(m->out, "%*s     a recurrence along %s, %s iterations:\n", (int)(2 * depth), "",
                r->axis ? r->axis : "an axis", size_str(g->sizes, r->length));
    for (uint32_t c = 0; c < r->classes.n; c++) {
        const RecurClass *x = &r->classes.data[c];
        const uint32_t end = x->body.nodes.n;
        find_lives(m, &x->body);
        m->now = end;
        for (uint32_t k = 0; k < r->carry.n; k++) use(x->next[k], m);
        for (uint32_t o = 0; o < x->outs.n; o++) use(x->outs.data[o].body, m);
        Peaks p = memory_block(m, &x->body, depth + 1);
        for (uint32_t i = 0; i < p.n; i++) peak_add(g, &all, p.size[i]);
        all.open |= p.open;
    }
    return all;
}

static Peaks memory_block(Memory *m, const Block *b, uint32_t depth) {
    Graph *g = m->g;
    Peaks peaks = {0};
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        NodeId id = b->nodes.data[i];
        const Node n = *graph_node(g, id);
        if (from_outside(&n)) continue;
        Row r = {.m = m, .end = b->nodes.n, .depth = depth, .live = size_num(g->sizes, 0)};
        walk_defs(g, id, row_value, &r);
        Peaks inner = {0};
        if (n.kind == N_RECUR) inner = memory_recur(m, n.recur, depth);
        m->now = i;
        for (uint32_t k = 0; k < b->nodes.n; k++) walk_defs(g, b->nodes.data[k], add_live, &r);
        for (uint32_t k = 0; k < inner.n; k++)
            peak_add(g, &peaks, size_add(g->sizes, r.live, inner.size[k]));
        if (!inner.n) peak_add(g, &peaks, r.live);
        peaks.open |= inner.open;
    }
    return peaks;
}

static void print_total(Memory *m, const char *what, Size s) {
    text_printf(m->out, "%s: %s bytes\n", what, s ? size_str(m->g->sizes, s) : "more than 2^53");
}

static void print_outside(Memory *m) {
    Graph *g = m->g;
    Size zero = size_num(g->sizes, 0), inputs = zero, params = zero, states = zero;
    for (uint32_t i = 0; i < g->inputs.n; i++)
        inputs = size_add(g->sizes, inputs, bytes_of(g, g->inputs.data[i].value));
    for (uint32_t i = 0; i < g->params.n; i++)
        params = size_add(g->sizes, params, bytes_of(g, g->params.data[i].value));
    for (uint32_t i = 0; i < g->states.n; i++)
        if (g->states.data[i].value)
            states = size_add(g->sizes, states, bytes_of(g, g->states.data[i].value));
    print_total(m, "inputs", inputs);
    print_total(m, "parameters", params);
    print_total(m, "states", states);
}

void graph_memory(Graph *g, Text *out) {
    Memory m = {.g = g, .out = out, .scratch = arena_new()};
    m.walk = walk_new(g, m.scratch);
    m.life = NEWN(m.scratch, Life, g->values.n);
    find_lives(&m, &g->top);
    m.now = g->top.nodes.n;
    for (uint32_t i = 0; i < g->outputs.n; i++) use(g->outputs.data[i].value, &m);
    for (uint32_t i = 0; i < g->states.n; i++) use(g->states.data[i].start, &m);
    text_printf(out, "%s: one line a value: node, name, shape, bytes, last node that needs it\n",
                g->entry);
    Peaks p = memory_block(&m, &g->top, 0);
    print_outside(&m);
    text_add(out,
             p.n > 1 ? "needed at once, at most the largest of\n" : "needed at once, at most\n");
    for (uint32_t i = 0; i < p.n; i++)
        text_printf(out, "  %s bytes\n", size_str(g->sizes, p.size[i]));
    if (p.open) text_add(out, "  and what is too large for a formula\n");
    arena_free(m.scratch);
}
