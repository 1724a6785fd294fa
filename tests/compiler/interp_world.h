/* What the tests of the interpreter share: a graph to build in, inputs with made-up numbers, running. */
#ifndef RWKVC_TEST_INTERP_WORLD_H
#define RWKVC_TEST_INTERP_WORLD_H

#include "compiler/interp.h"
#include "compiler/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline int failures(int add) { /* the count, in one place */
    static int n;
    return n += add;
}

#define CHECK(ok, ...)                                                                             \
    do {                                                                                           \
        if (!(ok)) {                                                                               \
            printf("%s:%d: %s: ", __FILE__, __LINE__, #ok);                                        \
            printf(__VA_ARGS__);                                                                   \
            printf("\n");                                                                          \
            failures(1);                                                                           \
        }                                                                                          \
    } while (0)

static const Loc loc = {1, 7, 1, 1};

/* ---- a graph to build in ---------------------------------------------------------------------- */

typedef struct World {
    Arena *a;
    Graph *g;
    Interp *in;
    InterpOptions options;
    double *data[200]; /* what is bound, by Value */
    int64_t dims[200][MAX_RANK];
} World;

static inline World world_new(void) {
    World w = {.a = arena_new()};
    w.g = graph_new(w.a, names_new(w.a), sizes_new(w.a), "forward");
    return w;
}

static inline void world_free(World *w) {
    interp_free(w->in);
    arena_free(w->a);
}

static inline Size num(World *w, int64_t n) { return size_num(w->g->sizes, n); }

/* An input of these dims with numbers from a small generator. */
static inline Value input(World *w, const char *name, Type type, uint32_t rank,
                          const int64_t *dims) {
    Size s[MAX_RANK];
    for (uint32_t i = 0; i < rank; i++) s[i] = num(w, dims[i]);
    return graph_input(w->g, name, type, ST_DEFAULT, s, rank, loc);
}

static inline Array array_of(World *w, Value v, const int64_t *dims) {
    const ValueInfo *info = graph_value(w->g, v);
    Array a = {.type = info->type, .rank = info->rank};
    int64_t n = 1;
    for (uint32_t i = 0; i < info->rank; i++) n *= a.dims[i] = dims[i];
    a.real = NEWN(w->a, double, n);
    for (int64_t i = 0; i < n; i++) {
        double x = random_end(random_next(random_begin(v, 1), i));
        if (info->type == T_INT)
            a.ints[i] = (int64_t)(x * 7) - 1;
        else
            a.real[i] = x * 4 - 2;
    }
    return a;
}

static inline void dims_of(World *w, Value v, int64_t *dims) {
    for (uint32_t i = 0; i < graph_value(w->g, v)->rank; i++)
        CHECK(interp_size(w->in, graph_value(w->g, v)->dims[i], &dims[i]) == NULL, "no size");
}

/* Makes the interpreter (axes by name T = t) and binds all inputs that are not bound yet. */
static inline void start(World *w, int64_t t) {
    w->in = interp_new(w->g, &w->options);
    if (t) CHECK(interp_axis(w->in, "T", t) == NULL, "axis");
    for (uint32_t i = 0; i < w->g->inputs.n; i++) {
        Value v = w->g->inputs.data[i].value;
        int64_t dims[MAX_RANK] = {0};
        dims_of(w, v, dims);
        memcpy(w->dims[v], dims, sizeof dims);
        Array a = array_of(w, v, dims);
        if (w->data[v]) a.real = w->data[v];
        w->data[v] = a.real;
        const char *error = interp_bind(w->in, v, &a);
        CHECK(!error, "%s", error);
    }
}

static inline const double *run(World *w, Value out) {
    const char *error = interp_run(w->in);
    CHECK(!error, "%s", error);
    const Array *a = error ? NULL : interp_get(w->in, out);
    return a ? a->real : NULL;
}

static inline void output(World *w, Value v) { graph_output(w->g, OUT_RESULT, "y", v, 0); }

/* ---- shorthand for expressions ----------------------------------------------------------------- */

static inline ExprId I(World *w, uint32_t k) { return expr_idx(w->g, k); }
static inline ExprId N(World *w, int64_t v) { return expr_int(w->g, v); }
static inline ExprId F(World *w, Fn f, ExprId a, ExprId b) { return expr_fn2(w->g, f, a, b); }

static inline ExprId R(World *w, Value v, ...) {
    ExprId s[MAX_RANK];
    uint32_t rank = graph_value(w->g, v)->rank;
    va_list ap;
    va_start(ap, v);
    for (uint32_t i = 0; i < rank; i++) s[i] = va_arg(ap, ExprId);
    va_end(ap);
    return expr_read(w->g, v, s, rank);
}

static inline Value eq(World *w, uint32_t rank, uint32_t n_extra, const int64_t *dims, Red red,
                       ExprId e) {
    Size s[2 * MAX_RANK];
    for (uint32_t i = 0; i < rank + n_extra; i++) s[i] = num(w, dims[i]);
    return graph_eq(w->g, &w->g->top, s, rank, red, s + rank, n_extra, e, 0, "y", loc);
}

#endif
