/* Random programs: checked without complaint, graphs verified and read back, gradients by reverse mode
 * equal to forward mode and to finite differences.
 *
 * run [-c] [FIRST [COUNT]]: seeds FIRST .. FIRST+COUNT-1; -c: those of compose.c. With -p prints the
 * text of FIRST. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../compiler/interp.h"
#include "../../dsl/check.h"
#include "generate.h"

typedef struct World {
    Arena *a;
    uint64_t seed, rng;
    int64_t B, T;
    const char *text;
    double *values[512], *direction[512]; /* by parameter */
    size_t n[512];
} World;

static double uniform(World *w) { /* -1 .. 1 */
    w->rng = w->rng * 6364136223846793005u + 1442695040888963407u;
    return (double)(w->rng >> 11) / 4503599627370496.0 - 1;
}

static int fail(const World *w, const char *what, const char *more) {
    printf("seed %llu: %s: %s\n", (unsigned long long)w->seed, what, more);
    return 1;
}

static bool reads_back(Arena *a, Graph *g, const char **why) {
    if ((*why = graph_verify(g))) return false;
    Text t = text_new(a), u = text_new(a);
    graph_print(g, &t);
    Graph *h = graph_read(a, t.data, t.n, why);
    if (!h) return false;
    graph_print(h, &u);
    *why = "printing what was read back differs";
    return strcmp(t.data, u.data) == 0;
}

/* ---- running ------------------------------------------------------------------------------------- */

static Array array_of(World *w, const Interp *in_, Interp *in, const Graph *g, Value v,
                      void *items) {
    (void)in_;
    Array x = {.type = g->values.data[v].type, .rank = g->values.data[v].rank};
    for (uint32_t i = 0; i < x.rank; i++) interp_size(in, g->values.data[v].dims[i], &x.dims[i]);
    if (x.type == T_REAL)
        x.real = items;
    else
        x.ints = items;
    (void)w;
    return x;
}

static size_t count_of(Interp *in, const Graph *g, Value v) {
    size_t n = 1;
    for (uint32_t i = 0; i < g->values.data[v].rank; i++) {
        int64_t k = 1;
        interp_size(in, g->values.data[v].dims[i], &k);
        n *= (size_t)k;
    }
    return n;
}

static const char *bind_inputs(World *w, Interp *in, Graph *g) {
    World fixed = *w; /* the same data in every run */
    fixed.rng = w->seed ^ 0x5555;
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        InputInfo *p = &g->inputs.data[i];
        if (strncmp(p->name, "d.", 2) == 0) continue;
        size_t n = count_of(in, g, p->value);
        Array x;
        if (graph_value(g, p->value)->type == T_INT) {
            int64_t *items = NEWN(w->a, int64_t, n);
            for (size_t k = 0; k < n; k++) {
                double u = uniform(&fixed);
                items[k] = p->below ? (int64_t)(fabs(u) * 0.999 * (double)p->below) : u > -0.5;
            }
            x = array_of(w, in, in, g, p->value, items);
        } else {
            double *items = NEWN(w->a, double, n);
            for (size_t k = 0; k < n; k++) items[k] = uniform(&fixed);
            x = array_of(w, in, in, g, p->value, items);
        }
        const char *e = interp_bind(in, p->value, &x);
        if (e) return e;
    }
    return NULL;
}

static const char *bind_params(World *w, Interp *in, Graph *g, double step) {
    for (uint32_t i = 0; i < g->params.n; i++) {
        Value v = g->params.data[i].value;
        size_t n = w->n[i] ? w->n[i] : count_of(in, g, v);
        if (!w->n[i]) {
            w->n[i] = n;
            w->values[i] = NEWN(w->a, double, n);
            w->direction[i] = NEWN(w->a, double, n);
            for (size_t k = 0; k < n; k++)
                w->values[i][k] = uniform(w), w->direction[i][k] = uniform(w);
        }
        double *items = NEWN(w->a, double, n);
        for (size_t k = 0; k < n; k++)
            items[k] = w->values[i][k] + (g->params.data[i].frozen ? 0 : step * w->direction[i][k]);
        Array x = array_of(w, in, in, g, v, items);
        const char *e = interp_bind(in, v, &x);
        if (e) return e;
        for (uint32_t k = 0; k < g->inputs.n; k++) /* the tangent's inputs */
            if (strncmp(g->inputs.data[k].name, "d.", 2) == 0 &&
                strcmp(g->inputs.data[k].name + 2, g->params.data[i].members.data[0].name) == 0) {
                Array d = array_of(w, in, in, g, g->inputs.data[k].value, w->direction[i]);
                if ((e = interp_bind(in, g->inputs.data[k].value, &d))) return e;
            }
    }
    return NULL;
}

/* Runs a graph at params + step*direction; sums the wanted outputs. */
static const char *run(World *w, Graph *g, double step, Interp **out) {
    InterpOptions o = {.seed = 7, .memory_limit = (size_t)1 << 28};
    Interp *in = *out = interp_new(g, &o);
    const char *e = NULL;
    for (uint32_t i = 0; !e && i < size_axes(g->sizes); i++) {
        const char *name = size_axis_name(g->sizes, i);
        e = interp_axis(in, name, name[0] == 'B' ? w->B : w->T);
    }
    if (!e) e = bind_inputs(w, in, g);
    if (!e) e = bind_params(w, in, g, step);
    return e ? e : interp_run(in);
}

static double output(Interp *in, const Graph *g, OutputKind kind, const char *name) {
    for (uint32_t i = 0; i < g->outputs.n; i++)
        if (g->outputs.data[i].kind == kind &&
            (!name || strcmp(g->outputs.data[i].name, name) == 0)) {
            const Array *x = interp_get(in, g->outputs.data[i].value);
            return x ? x->real[0] : NAN;
        }
    return 0;
}

static const char *total(World *w, Graph *g, double step, double *out) {
    Interp *in;
    const char *e = run(w, g, step, &in);
    if (e)
        e = arena_str(w->a, e);
    else
        *out = output(in, g, OUT_LOSS, NULL) + output(in, g, OUT_PENALTY, NULL);
    interp_free(in);
    return e;
}

static const char *reverse(World *w, Graph *g, double *out) {
    Interp *in;
    const char *e = run(w, g, 0, &in);
    if (e) e = arena_str(w->a, e);
    *out = 0;
    for (uint32_t i = 0; !e && i < g->outputs.n; i++) {
        const OutputInfo *o = &g->outputs.data[i];
        if (o->kind != OUT_GRAD) continue;
        const Array *x = interp_get(in, o->value);
        for (size_t k = 0; x && k < w->n[o->index]; k++)
            *out += x->real[k] * w->direction[o->index][k];
    }
    interp_free(in);
    return e;
}

static bool near(double a, double b, double bar) {
    return fabs(a - b) <= bar * (1 + fabs(a) + fabs(b));
}

/* A kink (max, select, abs) between the two points spoils a difference: smaller steps meet fewer. */
static bool differences_agree(World *w, Graph *g, double d, const char **why) {
    double best = INFINITY;
    for (double h = 1e-3; h > 1e-7; h *= 0.1) {
        double up, down;
        if ((*why = total(w, g, h, &up)) || (*why = total(w, g, -h, &down))) return false;
        double e = fabs((up - down) / (2 * h) - d) / (1 + fabs(d));
        if (e < best) best = e;
        if (best < 1e-6) return true;
    }
    *why = arena_printf(w->a, "differences are %.3g away from %.12g", best, d);
    return best < 1e-5;
}

static int gradients(World *w, Program *p, Diag *d) {
    const char *why;
    GradError ge = {0};
    Graph *g = program_graph_stage(p, "grad", "graph", d), *r = program_graph(p, "grad", d);
    if (!g || !r) {
        diag_print(d, stdout, DIAG_PLAIN);
        return fail(w, "no graph", w->text);
    }
    if (!reads_back(w->a, g, &why)) return fail(w, "graph", why);
    if (!reads_back(w->a, r, &why)) return fail(w, "grad", why);
    Graph *t = graph_tangent(g, &ge);
    if (!t) return fail(w, "tangent", ge.text ? ge.text : "?");
    if ((why = graph_verify(t))) return fail(w, "tangent", why);
    double rev, fwd;
    if ((why = reverse(w, r, &rev))) return fail(w, "reverse", why);
    Interp *in;
    if ((why = run(w, t, 0, &in))) return fail(w, "forward mode", why);
    fwd = output(in, t, OUT_METRIC, "d.loss");
    interp_free(in);
    if (!near(rev, fwd, 1e-9))
        return fail(w, "gradient", arena_printf(w->a, "reverse %.15g, forward %.15g", rev, fwd));
    if (!differences_agree(w, g, rev, &why)) return fail(w, "gradient", why);
    return 0;
}

typedef const char *Maker(Arena *a, uint64_t seed);

static int one(Maker *make, uint64_t seed) {
    World *w = calloc(1, sizeof *w);
    if (!w) return 1;
    w->a = arena_new();
    w->seed = seed;
    w->rng = seed + 99;
    w->B = 1 + (int64_t)(seed % 2);
    w->T = 1 + (int64_t)(seed / 2 % 6);
    w->text = make(w->a, seed);
    Diag *d = diag_new(w->a, 0);
    Program *p = check_text(w->a, d, "random.rwkv", w->text, strlen(w->text), NULL);
    int bad;
    if (!p) {
        diag_print(d, stdout, DIAG_PLAIN);
        bad = fail(w, "not accepted", "");
    } else {
        bad = gradients(w, p, d);
    }
    arena_free(w->a);
    free(w);
    return bad;
}

int main(int argc, char **argv) {
    Maker *make = generate_text;
    bool print = false;
    for (; argc > 1 && argv[1][0] == '-'; argc--, argv++) {
        if (strcmp(argv[1], "-c") == 0) make = compose_text;
        print = print || strcmp(argv[1], "-p") == 0;
    }
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 0,
             count = argc > 2 ? strtoull(argv[2], NULL, 10) : 200, bad = 0;
    if (print) {
        Arena *a = arena_new();
        fputs(make(a, first), stdout);
        arena_free(a);
        return 0;
    }
    for (uint64_t s = first; s < first + count && bad < 20; s++) {
        bad += (uint64_t)one(make, s);
        fflush(stdout);
    }
    printf("%llu random programs, %llu wrong\n", (unsigned long long)count,
           (unsigned long long)bad);
    return bad != 0;
}
