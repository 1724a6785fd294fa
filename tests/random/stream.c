/* Random models that stream, by the interpreter: fed whole, in pieces, step by step, and by prefill they
 * give the same results and leave the same states.
 *
 * stream [FIRST [COUNT]]; -p prints the text of FIRST. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../compiler/interp.h"
#include "../../dsl/check.h"
#include "generate.h"

enum { MAX_STATES = 256, MAX_VALUES = 512 };

typedef struct Run {
    Arena *a;
    uint64_t seed;
    int64_t B, T;
    Graph *start, *forward, *prefill, *step;
    Array params[MAX_VALUES]; /* of forward, by number; the other entries look theirs up by name */
    Array inputs[MAX_VALUES];
    Array states[MAX_STATES], first[MAX_STATES]; /* by number in forward */
    double *out;                                 /* of the run in progress, [B,T] */
} Run;

static double uniform(uint64_t *rng) {
    *rng = *rng * 6364136223846793005u + 1442695040888963407u;
    return (double)(*rng >> 11) / 4503599627370496.0 - 1;
}

static size_t count(const Array *x) {
    size_t n = 1;
    for (uint32_t i = 0; i < x->rank; i++) n *= (size_t)x->dims[i];
    return n;
}

static Array array_like(Run *r, const Graph *g, Interp *in, Value v) {
    const ValueInfo *info = &g->values.data[v];
    Array x = {.type = info->type, .rank = info->rank};
    for (uint32_t i = 0; i < x.rank; i++) interp_size(in, info->dims[i], &x.dims[i]);
    x.real = NEWN(r->a, double, count(&x));
    return x;
}

static Array copy(Run *r, const Array *from) {
    Array x = *from;
    x.real = NEWN(r->a, double, count(from));
    memcpy(x.real, from->real, 8 * count(from)); /* an int takes 8 bytes too */
    return x;
}

static const char *axes(Run *r, Interp *in, const Graph *g, int64_t T) {
    const char *e = NULL;
    for (uint32_t i = 0; !e && i < size_axes(g->sizes); i++) {
        const char *name = size_axis_name(g->sizes, i);
        e = interp_axis(in, name, name[0] == 'B' ? r->B : T);
    }
    return e;
}

static uint32_t state_named(const Graph *g, const StateInfo *s) {
    for (uint32_t i = 0; i < g->states.n; i++)
        if (strcmp(g->states.data[i].members.data[0].name, s->members.data[0].name) == 0) return i;
    return UINT32_MAX;
}

/* ---- data ------------------------------------------------------------------------------------------ */

static void fill(Array *x, const InputInfo *p, uint64_t *rng) {
    for (size_t k = 0, n = count(x); k < n; k++) {
        double u = uniform(rng);
        if (x->type == T_INT)
            x->ints[k] = p && p->below ? (int64_t)(fabs(u) * 0.999 * (double)p->below) : u > -0.5;
        else
            x->real[k] = u;
    }
}

static const char *make_data(Run *r) {
    Graph *g = r->forward;
    Interp *in = interp_new(g, NULL);
    uint64_t rng = r->seed ^ 0x5555;
    const char *e = axes(r, in, g, r->T);
    for (uint32_t i = 0; i < g->inputs.n && !e; i++) {
        r->inputs[i] = array_like(r, g, in, g->inputs.data[i].value);
        fill(&r->inputs[i], &g->inputs.data[i], &rng);
    }
    for (uint32_t i = 0; i < g->params.n && !e; i++) {
        r->params[i] = array_like(r, g, in, g->params.data[i].value);
        fill(&r->params[i], NULL, &rng);
    }
    for (uint32_t i = 0; i < g->states.n && !e; i++)
        r->first[i] = array_like(r, g, in, g->states.data[i].value);
    if (e) e = arena_str(r->a, e);
    interp_free(in);
    return e;
}

static const char *bind_params(Run *r, Interp *in, const Graph *g) {
    for (uint32_t i = 0; i < g->params.n; i++)
        for (uint32_t k = 0; k < r->forward->params.n; k++)
            if (strcmp(g->params.data[i].members.data[0].name,
                       r->forward->params.data[k].members.data[0].name) == 0) {
                const char *e = interp_bind(in, g->params.data[i].value, &r->params[k]);
                if (e) return e;
            }
    return NULL;
}

/* What the entry `start` says, once for each sample where it lacks the batch. */
static const char *first_states(Run *r) {
    Interp *in = interp_new(r->start, NULL);
    const char *e = axes(r, in, r->start, r->T);
    if (!e) e = bind_params(r, in, r->start);
    if (!e) e = interp_run(in);
    for (uint32_t i = 0; i < r->start->outputs.n && !e; i++) {
        const OutputInfo *o = &r->start->outputs.data[i];
        if (o->kind != OUT_STATE) continue;
        uint32_t k = state_named(r->forward, &r->start->states.data[o->index]);
        if (k == UINT32_MAX) continue;
        const Array *from = interp_get(in, o->value);
        Array *to = &r->first[k];
        size_t outer = 1, n = count(from);
        bool same = from->rank == to->rank;
        for (uint32_t d = 0; d < r->forward->states.data[k].family; d++)
            outer *= (size_t)to->dims[d];
        size_t each = n / outer, times = same ? 1 : count(to) / n;
        for (size_t x = 0; x < outer; x++)
            for (size_t b = 0; b < times; b++)
                memcpy(to->real + (x * times + b) * each, from->real + x * each, 8 * each);
    }
    if (e) e = arena_str(r->a, e);
    interp_free(in);
    return e;
}

/* ---- runs ------------------------------------------------------------------------------------------ */

/* Positions from .. from+n of an input that has the axis, [B,T,..]; without the axis for a step. */
static Array part(Run *r, const Array *x, int64_t from, int64_t n, bool step) {
    Array y = *x;
    size_t row = count(x) / (size_t)(r->B * r->T);
    y.dims[1] = n;
    if (step) {
        y.rank--;
        for (uint32_t i = 1; i < y.rank; i++) y.dims[i] = x->dims[i + 1];
    }
    y.real = NEWN(r->a, double, (size_t)(r->B * n) * row);
    for (int64_t b = 0; b < r->B; b++)
        memcpy(y.real + (size_t)(b * n) * row, x->real + (size_t)(b * r->T + from) * row,
               8 * (size_t)n * row);
    return y;
}

static const char *bind_all(Run *r, Interp *in, Graph *g, int64_t from, int64_t n, bool step) {
    const char *e = bind_params(r, in, g);
    for (uint32_t i = 0; i < g->inputs.n && !e; i++)
        for (uint32_t k = 0; k < r->forward->inputs.n; k++)
            if (strcmp(g->inputs.data[i].name, r->forward->inputs.data[k].name) == 0) {
                Array x = part(r, &r->inputs[k], from, n, step);
                e = interp_bind(in, g->inputs.data[i].value, &x);
            }
    for (uint32_t i = 0; i < g->states.n && !e; i++) {
        uint32_t k = state_named(r->forward, &g->states.data[i]);
        if (k == UINT32_MAX) return "a state that forward has not";
        if (g->states.data[i].value) e = interp_bind(in, g->states.data[i].value, &r->states[k]);
    }
    return e;
}

/* Runs positions from .. from+n, results to r->out, states to r->states. */
static const char *run(Run *r, Graph *g, int64_t from, int64_t n) {
    bool step = g == r->step, last = step || g == r->prefill;
    InterpOptions o = {.seed = 7, .memory_limit = (size_t)1 << 28};
    Interp *in = interp_new(g, &o);
    const char *e = axes(r, in, g, n);
    if (!e) e = bind_all(r, in, g, from, n, step);
    if (!e) e = interp_run(in);
    for (uint32_t i = 0; i < g->outputs.n && !e; i++) {
        const OutputInfo *p = &g->outputs.data[i];
        const Array *x = interp_get(in, p->value);
        if (p->kind == OUT_STATE)
            r->states[state_named(r->forward, &g->states.data[p->index])] = copy(r, x);
        else
            for (int64_t b = 0; b < r->B; b++)
                for (int64_t t = last ? n - 1 : 0; t < n; t++)
                    r->out[b * r->T + from + t] = x->real[last ? b : b * n + t];
    }
    if (e) e = arena_str(r->a, e);
    interp_free(in);
    return e;
}

static bool near(double a, double b) {
    return a == b || fabs(a - b) <= 1e-12 * (1 + fabs(a) + fabs(b));
}

/* Pieces of `each` positions and then ever longer ones (0: whole, -1: by step, -2: prefill), against the
 * whole run. */
static const char *fed(Run *r, int64_t each, const double *want, const Array *states) {
    memcpy(r->states, r->first, sizeof r->states);
    r->out = NEWN(r->a, double, (size_t)(r->B * r->T));
    const char *e = NULL;
    for (int64_t at = 0; at < r->T && !e;) {
        int64_t n = each == -1 ? 1 : each <= 0 || at + each > r->T ? r->T - at : each + at;
        if (at + n > r->T) n = r->T - at;
        e = run(r, each == -1 ? r->step : each == -2 ? r->prefill : r->forward, at, n);
        at += n;
    }
    if (e || !want) return e;
    for (int64_t i = 0; i < r->B * r->T; i++)
        if (!near(want[i], r->out[i]) && (each != -2 || i % r->T == r->T - 1))
            return arena_printf(r->a, "pieces of %lld: result %lld is %.15g, whole %.15g",
                                (long long)each, (long long)i, r->out[i], want[i]);
    for (uint32_t i = 0; i < r->forward->states.n; i++)
        for (size_t k = 0, n = count(&states[i]); k < n; k++)
            if (states[i].type == T_INT ? states[i].ints[k] != r->states[i].ints[k]
                                        : !near(states[i].real[k], r->states[i].real[k]))
                return arena_printf(r->a, "pieces of %lld: state %s[%zu] differs", (long long)each,
                                    r->forward->states.data[i].members.data[0].name, k);
    return NULL;
}

static const char *compare(Run *r) {
    const char *e = make_data(r);
    if (!e) e = first_states(r);
    if (!e) e = fed(r, 0, NULL, NULL);
    if (e) return e;
    const double *want = r->out;
    Array states[MAX_STATES];
    memcpy(states, r->states, sizeof states);
    static const int64_t pieces[] = {1, 2, 5, -1, -2};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces && !e; i++)
        e = fed(r, pieces[i], want, states);
    return e;
}

static int one(uint64_t seed) {
    Arena *a = arena_new();
    Diag *d = diag_new(a, 0);
    const char *text = stream_text(a, seed), *e = "not accepted";
    Program *p = check_text(a, d, "random.rwkv", text, strlen(text), NULL);
    Run *r = NEW(a, Run);
    *r = (Run){.a = a, .seed = seed, .B = 1 + (int64_t)(seed % 2), .T = 1 + (int64_t)(seed % 9)};
    if (p && (r->start = program_graph(p, "start", d)) &&
        (r->forward = program_graph(p, "forward", d)) &&
        (r->prefill = program_graph(p, "prefill", d)) && (r->step = program_graph(p, "step", d)))
        e = r->forward->states.n > MAX_STATES ? "too many states" : compare(r);
    else
        diag_print(d, stdout, DIAG_PLAIN);
    if (e) printf("seed %llu: %s\n", (unsigned long long)seed, e);
    arena_free(a);
    return e != NULL;
}

int main(int argc, char **argv) {
    bool print = argc > 1 && strcmp(argv[1], "-p") == 0;
    if (print) argc--, argv++;
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 0,
             n = argc > 2 ? strtoull(argv[2], NULL, 10) : 200, bad = 0;
    if (print) {
        Arena *a = arena_new();
        fputs(stream_text(a, first), stdout);
        arena_free(a);
        return 0;
    }
    for (uint64_t s = first; s < first + n && bad < 20; s++) {
        bad += (uint64_t)one(s);
        fflush(stdout);
    }
    printf("%llu random models that stream, %llu wrong\n", (unsigned long long)n,
           (unsigned long long)bad);
    return bad != 0;
}
