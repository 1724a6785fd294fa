/* The check of derivatives that test_grad.c and test_grad_random.c share: the gradient (reverse
 * mode) in random directions is the tangent (forward mode) and the central difference, before and
 * after the passes that follow differentiation.
 *
 * SHOW=NAME in the environment prints the graphs of that case. */
#ifndef RWKVC_TESTS_GRAD_CHECK_H
#define RWKVC_TESTS_GRAD_CHECK_H

#include "compiler/graph.h"
#include "compiler/interp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define FAIL(...)                                                                                  \
    (failures++, printf("%s:%d: ", __FILE__, __LINE__), printf(__VA_ARGS__), printf("\n"))

/* ---- numbers ------------------------------------------------------------------------------- */

static double uniform(uint64_t *seed) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*seed >> 11) * 0x1p-53;
}

enum { MAX_TABLE = 64, MAX_AXES = 8 };

typedef struct Data {
    Array input[MAX_TABLE], param[MAX_TABLE];
} Data;

typedef struct Axis {
    const char *name;
    int64_t n;
} Axis;

static size_t items_of(const Array *a) {
    size_t n = 1;
    for (uint32_t k = 0; k < a->rank; k++) n *= (size_t)a->dims[k];
    return n;
}

static int64_t axis_length(const char *name, const Axis *axes) {
    for (; axes->name; axes++)
        if (strcmp(axes->name, name) == 0) return axes->n;
    return 1;
}

static Array array_of(Arena *arena, Graph *g, Value v, const Axis *axes) {
    const ValueInfo *x = graph_value(g, v);
    int64_t lengths[MAX_AXES];
    for (uint32_t i = 0; i < size_axes(g->sizes); i++)
        lengths[i] = axis_length(size_axis_name(g->sizes, i), axes);
    Array a = {.type = x->type, .rank = x->rank};
    for (uint32_t k = 0; k < x->rank; k++) size_eval(g->sizes, x->dims[k], lengths, &a.dims[k]);
    a.real = NEWN(arena, double, items_of(&a));
    return a;
}

/* Numbers for all inputs and parameters of g; parameters named "0..." are zeros. */
static Data data_of(Arena *arena, Graph *g, const Axis *axes, uint64_t *seed) {
    Data d;
    memset(&d, 0, sizeof d);
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const InputInfo *x = &g->inputs.data[i];
        d.input[i] = array_of(arena, g, x->value, axes);
        for (size_t k = 0; k < items_of(&d.input[i]); k++)
            if (d.input[i].type == T_INT)
                d.input[i].ints[k] = (int64_t)(uniform(seed) * (double)x->below);
            else
                d.input[i].real[k] = uniform(seed) - 0.5;
    }
    for (uint32_t i = 0; i < g->params.n; i++) {
        bool zero = g->params.data[i].members.data[0].name[0] == '0';
        d.param[i] = array_of(arena, g, g->params.data[i].value, axes);
        for (size_t k = 0; k < items_of(&d.param[i]); k++)
            d.param[i].real[k] = zero ? 0 : 0.3 + uniform(seed);
    }
    return d;
}

/* ---- running ------------------------------------------------------------------------------- */

static bool run(Interp *in, Graph *g, const Data *d, const char *what) {
    const char *error = NULL;
    for (uint32_t i = 0; i < g->inputs.n && !error; i++)
        error = interp_bind(in, g->inputs.data[i].value, &d->input[i]);
    for (uint32_t i = 0; i < g->params.n && !error; i++)
        error = interp_bind(in, g->params.data[i].value, &d->param[i]);
    if (!error) error = interp_run(in);
    if (error) FAIL("%s: %s", what, error);
    return !error;
}

static Interp *interp_for(Graph *g, const Axis *axes) {
    Interp *in = interp_new(g, NULL);
    for (uint32_t i = 0; i < size_axes(g->sizes); i++) {
        const char *name = size_axis_name(g->sizes, i);
        interp_axis(in, name, axis_length(name, axes));
    }
    return in;
}

static double output_sum(Interp *in, Graph *g, bool metric) {
    double sum = 0;
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        const OutputInfo *o = &g->outputs.data[i];
        bool is_loss = o->kind == OUT_LOSS || o->kind == OUT_PENALTY;
        bool is_metric = o->kind == OUT_METRIC && strcmp(o->name, "d.loss") == 0;
        if (metric ? is_metric : is_loss) sum += interp_get(in, o->value)->real[0];
    }
    return sum;
}

/* The product of the gradient and a direction, and the sum of the sizes of its terms. */
static double along(Interp *in, Graph *g, const Data *dir, double *scale) {
    double sum = 0;
    *scale = 1e-30;
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        const OutputInfo *o = &g->outputs.data[i];
        if (o->kind != OUT_GRAD) continue;
        const Array *a = interp_get(in, o->value), *b = &dir->param[o->index];
        if (items_of(a) != items_of(b)) FAIL("a gradient with %zu items", items_of(a));
        for (size_t k = 0; k < items_of(b); k++) {
            sum += a->real[k] * b->real[k];
            *scale += fabs(a->real[k] * b->real[k]);
        }
    }
    return sum;
}

static double loss_at(Interp *in, Graph *g, const Data *d, const Data *dir, double h,
                      const char *what) {
    for (uint32_t i = 0; i < g->params.n; i++)
        for (size_t k = 0; k < items_of(&d->param[i]); k++)
            d->param[i].real[k] += h * dir->param[i].real[k];
    double y = run(in, g, d, what) ? output_sum(in, g, false) : NAN;
    for (uint32_t i = 0; i < g->params.n; i++)
        for (size_t k = 0; k < items_of(&d->param[i]); k++)
            d->param[i].real[k] -= h * dir->param[i].real[k];
    return y;
}

/* ---- one case ------------------------------------------------------------------------------ */

/* Everything that is made of a graph: the gradient plain and simplified, the tangent. */
typedef struct Made {
    Graph *g, *grad, *small, *tangent;
    Interp *run, *run_grad, *run_small, *run_tangent;
} Made;

static bool verified(const char *name, const char *what, Graph *g) {
    const char *error = g ? graph_verify(g) : "no graph";
    if (error) FAIL("%s: %s: %s", name, what, error);
    if (error && g && getenv("SHOW")) {
        Text t = text_new(g->arena);
        graph_print(g, &t);
        puts(t.data);
    }
    return !error;
}

static void show(const char *name, const char *what, Graph *g) {
    const char *which = getenv("SHOW");
    if (!which || strcmp(which, name) != 0) return;
    Text t = text_new(g->arena);
    graph_print(g, &t);
    printf("---- %s: %s\n%s", name, what, t.data);
}

static bool make_all(const char *name, Graph *g, const Axis *axes, Made *m) {
    GradError why = {.text = "?"};
    memset(m, 0, sizeof *m);
    m->g = g;
    show(name, "graph", g);
    Graph *flat = graph_distribute(g);
    m->grad = graph_grad(flat, &why);
    if (!m->grad) FAIL("%s: %s", name, why.text);
    if (!m->grad || !verified(name, "gradient", m->grad)) return false;
    show(name, "gradient", m->grad);
    m->small = graph_grad(graph_simplify(flat), &why);
    if (!m->small || !verified(name, "gradient of the simplified graph", m->small)) return false;
    m->small = graph_simplify(graph_distribute(m->small));
    if (!verified(name, "simplified gradient", m->small)) return false;
    show(name, "simplified gradient", m->small);
    m->tangent = graph_tangent(g, &why);
    if (!m->tangent || !verified(name, "tangent", m->tangent)) return false;
    m->run = interp_for(m->g, axes);
    m->run_grad = interp_for(m->grad, axes);
    m->run_small = interp_for(m->small, axes);
    m->run_tangent = interp_for(m->tangent, axes);
    return true;
}

static void made_free(Made *m) {
    if (m->run) interp_free(m->run);
    if (m->run_grad) interp_free(m->run_grad);
    if (m->run_small) interp_free(m->run_small);
    if (m->run_tangent) interp_free(m->run_tangent);
}

static void compare(const char *name, const char *what, double a, double b, double scale,
                    double limit) {
    if (!(fabs(a - b) <= limit * scale))
        FAIL("%s: gradient %.17g, %s %.17g (terms %.3g)", name, a, what, b, scale);
}

/* only: the parameter that moves, or all when it is none of them. */
static void check_direction(const char *name, Made *m, const Data *d, uint32_t only, bool kinks,
                            Arena *arena, const Axis *axes, uint64_t *seed) {
    Data dir, both = *d;
    memset(&dir, 0, sizeof dir);
    uint32_t at = m->g->inputs.n;
    for (uint32_t i = 0; i < m->g->params.n; i++) {
        const ParamInfo *p = &m->g->params.data[i];
        dir.param[i] = array_of(arena, m->g, p->value, axes);
        bool still = p->frozen || (only < m->g->params.n && only != i);
        for (size_t k = 0; k < items_of(&dir.param[i]); k++)
            dir.param[i].real[k] = still ? 0 : 2 * uniform(seed) - 1;
        if (!p->frozen) both.input[at++] = dir.param[i];
    }
    if (!run(m->run_tangent, m->tangent, &both, name)) return;
    double scale, scale2, a = along(m->run_grad, m->grad, &dir, &scale);
    double a2 = along(m->run_small, m->small, &dir, &scale2),
           t = output_sum(m->run_tangent, m->tangent, true);
    compare(name, "tangent", a, t, scale + fabs(t), 1e-9);
    compare(name, "after simplification", a, a2, scale, 1e-9);
    if (kinks) return;
    const double h = 1e-4;
    double far =
        loss_at(m->run, m->g, d, &dir, 2 * h, name) - loss_at(m->run, m->g, d, &dir, -2 * h, name);
    double near =
        loss_at(m->run, m->g, d, &dir, h, name) - loss_at(m->run, m->g, d, &dir, -h, name);
    double fd = (8 * near - far) / (12 * h), size = fabs(output_sum(m->run_grad, m->grad, false));
    if (fabs(near / (2 * h) - fd) > 1e-4 * scale) return; /* too curved for a difference to tell */
    compare(name, "difference", a, fd, scale + 0.01 * size + 1e-3, 1e-6);
}

static void check_graph(const char *name, Graph *g, const Axis *axes, bool kinks, uint64_t seed) {
    Arena *arena = arena_new();
    Made m;
    if (verified(name, "graph", g) && make_all(name, g, axes, &m)) {
        Data d = data_of(arena, g, axes, &seed);
        bool ok = run(m.run_grad, m.grad, &d, name) && run(m.run_small, m.small, &d, name);
        uint32_t n = g->params.n > 1 ? g->params.n : 0; /* each alone, then all together */
        for (uint32_t k = 0; k <= n && ok; k++)
            check_direction(name, &m, &d, k < n ? k : UINT32_MAX, kinks, arena, axes, &seed);
    }
    made_free(&m);
    arena_free(arena);
}

static const Axis usual[] = {{"T", 5}, {"B", 2}, {"J", 3}, {NULL, 0}};

#endif
