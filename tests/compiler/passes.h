/* What the tests of the graph passes share: evaluating a graph on numbers that depend on names
 * only, and comparing two graphs output by output. */
#ifndef RWKVC_TESTS_PASSES_H
#define RWKVC_TESTS_PASSES_H

#include "compiler/graph.h"
#include "compiler/interp.h"
#include "compiler/size.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define FAIL(...)                                                                                  \
    (failures++, printf("%s:%d: ", __FILE__, __LINE__), printf(__VA_ARGS__), printf("\n"))

enum { MAX_OUT = 16 };

typedef struct Axes {
    int64_t B, T, P;
} Axes;

typedef struct Results {
    Interp *in;
    uint32_t n;
    Array out[MAX_OUT];
    const char *name[MAX_OUT];
} Results;

/* A number in -1 .. 1 for item i of the tensor of that name. */
static inline double number_of(const char *name, size_t i) {
    uint64_t h = hash_mix(hash_bytes(name, strlen(name), 7), i + 1);
    h = hash_mix(h, 12345);
    return (double)(h >> 11) * 0x1p-52 - 1;
}

static inline size_t items_of(const Array *a) {
    size_t n = 1;
    for (uint32_t k = 0; k < a->rank; k++) n *= (size_t)a->dims[k];
    return n;
}

static inline int64_t axis_of(const char *name, Axes x) {
    return strcmp(name, "B") == 0   ? x.B
           : strcmp(name, "T") == 0 ? x.T
           : strcmp(name, "P") == 0 ? x.P
                                    : 1;
}

static inline Array shape_of(Arena *a, Graph *g, Value v, Axes axes) {
    const ValueInfo *i = graph_value(g, v);
    int64_t lengths[8];
    for (uint32_t k = 0; k < size_axes(g->sizes); k++)
        lengths[k] = axis_of(size_axis_name(g->sizes, k), axes);
    Array r = {.type = i->type, .rank = i->rank};
    for (uint32_t k = 0; k < i->rank; k++)
        if (!size_eval(g->sizes, i->dims[k], lengths, &r.dims[k])) FAIL("no number for a size");
    r.real = NEWN(a, double, items_of(&r) + 1);
    return r;
}

static inline Array numbers(Arena *a, Graph *g, Value v, const char *name, int64_t below,
                            Axes axes) {
    Array r = shape_of(a, g, v, axes);
    for (size_t i = 0; i < items_of(&r); i++) {
        if (r.type == T_INT)
            r.ints[i] = (int64_t)floor((number_of(name, i) + 1) / 2 * (double)(below ? below : 4));
        else
            r.real[i] = number_of(name, i);
    }
    return r;
}

static inline Graph *read_graph(Arena *a, const char *text) {
    const char *error = NULL;
    Graph *g = graph_read(a, text, strlen(text), &error);
    if (!g) {
        FAIL("%s\n%s", error, text);
        exit(1);
    }
    return g;
}

static inline void show(Graph *g) {
    Text t = text_new(g->arena);
    graph_print(g, &t);
    printf("%s", t.data);
}

static inline bool verified(Graph *g, const char *pass) {
    const char *wrong = graph_verify(g);
    if (!wrong) return true;
    FAIL("after %s: %s", pass, wrong);
    show(g);
    return false;
}

static inline Interp *interp_for(Graph *g, Axes axes) {
    Interp *in = interp_new(g, NULL);
    for (uint32_t k = 0; k < size_axes(g->sizes); k++) {
        const char *name = size_axis_name(g->sizes, k),
                   *wrong = interp_axis(in, name, axis_of(name, axes));
        if (wrong) FAIL("axis %s: %s", name, wrong);
    }
    return in;
}

static inline bool bind(Interp *in, Value v, const Array *a) {
    const char *wrong = interp_bind(in, v, a);
    if (wrong) FAIL("bind: %s", wrong);
    return !wrong;
}

/* Runs g; inputs and states get numbers by name. */
static inline bool evaluate(Arena *a, Graph *g, Axes axes, Results *r) {
    r->in = interp_for(g, axes);
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        Array *x = NEW(a, Array);
        *x = numbers(a, g, g->inputs.data[i].value, g->inputs.data[i].name, g->inputs.data[i].below,
                     axes);
        bind(r->in, g->inputs.data[i].value, x);
    }
    for (uint32_t i = 0; i < g->states.n; i++) {
        Array *x = NEW(a, Array);
        *x =
            numbers(a, g, g->states.data[i].value, g->states.data[i].members.data[0].name, 4, axes);
        bind(r->in, g->states.data[i].value, x);
    }
    const char *wrong = interp_run(r->in);
    if (wrong) {
        FAIL("run: %s", wrong);
        show(g);
        return false;
    }
    r->n = g->outputs.n;
    for (uint32_t i = 0; i < r->n && i < MAX_OUT; i++) {
        r->out[i] = *interp_get(r->in, g->outputs.data[i].value);
        r->name[i] = g->outputs.data[i].name;
    }
    return true;
}

static inline bool same_arrays(const Array *x, const Array *y, const char *name) {
    bool shape = x->type == y->type && x->rank == y->rank;
    for (uint32_t k = 0; shape && k < x->rank; k++) shape = x->dims[k] == y->dims[k];
    if (!shape) {
        printf("%s: shapes differ\n", name ? name : "?");
        return false;
    }
    for (size_t i = 0; i < items_of(x); i++) {
        double u = x->type == T_INT ? (double)x->ints[i] : x->real[i];
        double v = x->type == T_INT ? (double)y->ints[i] : y->real[i];
        if (fabs(u - v) > 1e-11 * (1 + fabs(u)) || (u != u) != (v != v)) {
            printf("%s: item %zu is %.17g and %.17g\n", name ? name : "?", i, u, v);
            return false;
        }
    }
    return true;
}

/* Do two graphs have the same outputs? */
static inline bool agree(Arena *a, Graph *g, Graph *h, Axes axes) {
    Results x = {0}, y = {0};
    bool ok = evaluate(a, g, axes, &x) && evaluate(a, h, axes, &y) && x.n == y.n;
    for (uint32_t i = 0; ok && i < x.n; i++) ok = same_arrays(&x.out[i], &y.out[i], x.name[i]);
    interp_free(x.in);
    interp_free(y.in);
    return ok;
}

#endif
