/* Formulas of initial values: a list of nodes, operands before what uses them. */
#include "manifest.h"

typedef struct Formula {
    Writer *w;
    Text body;
    uint32_t *number; /* by ExprId: 1 + number of the node */
    uint32_t n;
} Formula;

static void operands(Formula *f, Graph *g, ExprId e) {
    for (uint32_t i = 0; i < graph_expr(g, e)->n_args; i++)
        pack_int(&f->body, (int64_t)f->number[expr_arg(g, e, i)] - 1);
}

static void leaf(Formula *f, const char *word, int64_t n) {
    pack_array(&f->body, 2);
    pack_str(&f->body, word);
    pack_int(&f->body, n);
}

static void write_node(Graph *g, ExprId e, void *user) {
    Formula *f = user;
    const Expr *x = graph_expr(g, e);
    int64_t n = 0;
    switch ((ExprOp)x->op) {
    case X_NUM:
        pack_array(&f->body, 2);
        pack_str(&f->body, "num");
        pack_real(&f->body, x->num);
        break;
    case X_INT: leaf(f, "int", x->i); break;
    case X_SIZE:
        if (!size_value(g->sizes, x->size, &n))
            f->w->error = "a first value depends on a run-time axis";
        leaf(f, "int", n);
        break;
    case X_IDX: leaf(f, "idx", x->i); break;
    case X_LVL: leaf(f, "lvl", x->i); break;
    case X_FN:
        pack_array(&f->body, 1 + (size_t)x->n_args);
        pack_str(&f->body, fn_info[x->fn].name);
        operands(f, g, e);
        break;
    case X_SELECT:
        pack_array(&f->body, 4);
        pack_str(&f->body, "select");
        operands(f, g, e);
        break;
    default: f->w->error = "a first value may not read other values"; return;
    }
    f->number[e] = ++f->n;
}

void write_formula(Writer *w, Text *t, Graph *g, ExprId e) {
    Formula f = {
        .w = w, .body = text_new(w->arena), .number = NEWN(w->arena, uint32_t, g->exprs.n + 1)};
    expr_walk(g, e, write_node, &f);
    pack_array(t, f.n);
    text_addn(t, f.body.data, f.body.n);
}
