/* Reading the derivatives of functions.def: expressions over x0 x1 y dy, one an argument.
 *
 * Requires: the strings of the table. Maintains: literals beside reals are real.
 * Cost: a string is read once; each use copies a few expressions. */
#include "derivative.h"

#include <string.h>

enum { NAMES = 4, MAX_TEXT = 160 };

struct Derivatives {
    Graph *g, *formulas; /* formulas over placeholders live in a graph of their own */
    Arena *scratch;
    ExprId read[F_COUNT][2];
    ExprId names[NAMES]; /* what x0 x1 y dy stand for in the present use */
};

/* The text of argument k, to the next ';' or the end. */
static const char *text_of(Fn f, uint32_t k, size_t *n) {
    const char *s = fn_info[f].derivative;
    for (; k && (s = strchr(s, ';')) != NULL; k--) s++;
    if (!s) s = "-";
    s += strspn(s, " ");
    *n = strcspn(s, ";");
    return s;
}

DerivativeKind derivative_kind(Fn f, uint32_t k) {
    size_t n;
    const char *s = text_of(f, k, &n);
    if (n != 1) return D_FORMULA;
    return *s == '0' ? D_ZERO : *s == '-' ? D_MISSING : D_FORMULA;
}

Derivatives *derivatives_new(Graph *g, Arena *scratch) {
    Derivatives *d = NEW(scratch, Derivatives);
    d->g = g;
    d->scratch = scratch;
    d->formulas = graph_new(scratch, g->names, g->sizes, "derivatives");
    return d;
}

/* A placeholder is a random number of its own place: a real leaf that nothing folds. */
static ExprId read_formula(Derivatives *d, Fn f, uint32_t k) {
    static const char *const names[NAMES] = {"x0", "x1", "y", "dy"};
    ExprId values[NAMES];
    char text[MAX_TEXT];
    size_t n;
    const char *s = text_of(f, k, &n), *error;
    if (n >= sizeof text) return 0;
    memcpy(text, s, n);
    text[n] = '\0';
    for (uint32_t i = 0; i < NAMES; i++) values[i] = expr_random(d->formulas, i, NULL, 0);
    return expr_parse(d->formulas, text, names, values, NAMES, &error);
}

static ExprId real_literal(Graph *g, ExprId e) {
    return graph_expr(g, e)->op == X_INT ? expr_real(g, e) : e;
}

static ExprId put_node(ExprMap *m, ExprId e, const ExprId *args) {
    const Derivatives *d = m->user;
    const Expr x = *graph_expr(m->src, e);
    if (x.op == X_RANDOM) return d->names[x.i];
    if (x.op == X_SELECT)
        return expr_select(m->dst, args[0], real_literal(m->dst, args[1]),
                           real_literal(m->dst, args[2]));
    if (fn_info[x.fn].type != 's' && fn_info[x.fn].type != 'r') return 0;
    ExprId real[2] = {0, 0};
    for (uint32_t k = 0; k < x.n_args; k++) real[k] = real_literal(m->dst, args[k]);
    return expr_fn(m->dst, (Fn)x.fn, real);
}

ExprId derivative_of(Derivatives *d, Fn f, uint32_t k, const ExprId *x, ExprId y, ExprId dy) {
    if (!d->read[f][k]) d->read[f][k] = read_formula(d, f, k);
    if (!d->read[f][k]) return 0;
    const ExprId names[NAMES] = {x[0], x[1], y, dy};
    memcpy(d->names, names, sizeof names);
    Arena *scratch = arena_new();
    ExprMap m = {.src = d->formulas, .dst = d->g, .node = put_node, .user = d};
    expr_map_begin(&m, scratch);
    ExprId e = expr_map(&m, d->read[f][k]);
    arena_free(scratch);
    return e;
}
