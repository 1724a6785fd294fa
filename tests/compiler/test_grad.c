/* Derivatives: for each case the gradient (reverse mode) in random directions is the tangent
 * (forward mode) and the central difference, before and after the passes that follow
 * differentiation.
 *
 * A case is a graph's text with some lines shortened: w N DIMS        parameter %N of these dims,
 *     random in 0.3 .. 1.3 z N DIMS        parameter %N of zeros f N DIMS        frozen parameter
 *     %N x N DIMS        real input %N k N BELOW DIMS  int input %N with numbers below BELOW loss
 *     N DIMS     the output: the sum of value %N with an odd weight for each item
 * Axes T, B, J have lengths 5, 2, 3 unless said otherwise. */
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

enum { MAX_TABLE = 16, MAX_AXES = 8 };

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

typedef struct Case {
    const char *name, *text;
    Axis axes[4]; /* default T 5, B 2, J 3 */
    int scatters; /* in the gradient after simplification: exactly so many, -1 = any */
    bool kinks;   /* no central difference: it stands at a kink */
} Case;

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

/* ---- texts --------------------------------------------------------------------------------- */

static void expand_loss(Text *t, const char *line) {
    int v = atoi(line);
    const char *dims = strchr(line, '[') + 1;
    char list[64] = "", subs[200] = "", weight[200] = "1";
    uint32_t n = 0;
    text_add(t, "%99: real [] = ");
    for (const char *s = dims; *s && *s != ']'; n++) {
        while (*s == ' ' || *s == ',') s++;
        size_t len = strcspn(s, ",]");
        snprintf(list, sizeof list, "%.*s", (int)len, s);
        text_printf(t, "%si%u: %s", n ? ", " : "sum[", n, list);
        size_t at = strlen(subs), w = strlen(weight);
        snprintf(subs + at, sizeof subs - at, "%si%u", n ? ", " : "", n);
        snprintf(weight + w, sizeof weight - w, " + %u*i%u", 3 + 4 * n, n);
        s += len;
    }
    text_printf(t, "%s%%%d[%s]*sin(real(%s))\noutput loss \"loss\" %%99\n", n ? "] " : "", v, subs,
                weight);
}

static void expand_line(Text *t, const char *line, size_t n) {
    char copy[3000];
    snprintf(copy, sizeof copy, "%.*s", (int)n, line);
    int v, below;
    const char *dims = strchr(copy, '[');
    if (sscanf(copy, "w %d", &v) == 1 || sscanf(copy, "f %d", &v) == 1 ||
        sscanf(copy, "z %d", &v) == 1)
        text_printf(t, "param %%%d: real %s %s{\ninit formula\nmember \"%s%d\"\n}\n", v, dims,
                    *copy == 'f' ? "frozen " : "", *copy == 'z' ? "0" : "w", v);
    else if (sscanf(copy, "x %d", &v) == 1)
        text_printf(t, "input %%%d \"x%d\": real %s\n", v, v, dims);
    else if (sscanf(copy, "k %d %d", &v, &below) == 2)
        text_printf(t, "input %%%d \"k%d\": int %s below %d\n", v, v, dims, below);
    else if (strncmp(copy, "loss ", 5) == 0)
        expand_loss(t, copy + 5);
    else
        text_printf(t, "%s\n", copy);
}

static Graph *graph_from(Arena *arena, const char *text, const char **error) {
    Text t = text_new(arena);
    text_add(&t, "graph \"case\"\naxis T, B, J\n");
    for (const char *s = text; *s;) {
        size_t n = strcspn(s, "\n");
        expand_line(&t, s, n);
        s += n + (s[n] == '\n');
    }
    return graph_read(arena, t.data, t.n, error);
}

static void count_scatter(Graph *g, NodeId n, void *user) {
    *(int *)user += graph_node(g, n)->kind == N_SCATTER;
}

static const Axis usual[] = {{"T", 5}, {"B", 2}, {"J", 3}, {NULL, 0}};

static void check_case(const Case *c) {
    Arena *arena = arena_new();
    const char *error = "";
    Graph *g = graph_from(arena, c->text, &error);
    if (!g)
        FAIL("%s: %s", c->name, error);
    else
        check_graph(c->name, g, c->axes[0].name ? c->axes : usual, c->kinks, 7);
    if (g && c->scatters >= 0) {
        GradError why;
        int n = 0;
        Graph *d = graph_simplify(graph_grad(graph_distribute(g), &why));
        graph_each(d, &d->top, count_scatter, &n);
        if (n != c->scatters) FAIL("%s: %d scatters, expected %d", c->name, n, c->scatters);
    }
    arena_free(arena);
}

#include "grad_cases.h"

/* ---- the table of functions ------------------------------------------------------------------ */

static void check_text(const char *name, const char *text, bool kinks) {
    Case c = {.name = name, .text = text, .kinks = kinks};
    check_case(&c);
}

/* Each row at positive and negative arguments, and at 0, where what is infinite counts as 0. */
static void check_functions(void) {
    static const char *const positive[] = {"log", "sqrt", "pow"};
    for (int f = F_NONE + 1; f < F_COUNT; f++) {
        const FnInfo *x = &fn_info[f];
        if (x->type == 'i' || x->type == 'z' || f == F_real || f == F_stop) continue;
        bool signs = true;
        for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
            signs = signs && strcmp(positive[i], x->name) != 0;
        for (int k = 0; k < 3; k++) {
            const char *table[3][2] = {
                {"%1[i0]", "%2[i0]"}, {"-%1[i0]", "%2[i0]"}, {"%3[i0]", "%2[i0]"}};
            const char *a = table[k][0], *b = table[k][1];
            char call[100], text[300];
            if (k == 1 && !signs) continue;
            if (x->arity == 1 && x->spelling)
                snprintf(call, sizeof call, "%s(%s)", x->spelling, a);
            else if (x->arity == 1)
                snprintf(call, sizeof call, "%s(%s)", x->name, a);
            else if (x->spelling)
                snprintf(call, sizeof call, "(%s)%s(%s)", a, x->spelling, b);
            else
                snprintf(call, sizeof call, "%s(%s, %s)", x->name, a, b);
            snprintf(text, sizeof text,
                     "w 1 [9]\nw 2 [9]\nz 3 [9]\n%%4: real [9] = %s\nloss 4 [9]\n", call);
            check_text(x->name, text, k == 2);
        }
    }
}

/* ---- values that are known ------------------------------------------------------------------- */

/* The gradient of the only parameter, at zeros, is `expected`. */
static void check_known(const char *name, const char *text, const double *expected, size_t n) {
    Arena *arena = arena_new();
    const char *error = "";
    GradError why;
    uint64_t seed = 3;
    Graph *g = graph_from(arena, text, &error), *d = g ? graph_grad(g, &why) : NULL;
    if (!d) FAIL("%s: %s", name, error);
    if (d) {
        Data data = data_of(arena, g, usual, &seed);
        Interp *in = interp_for(d, usual);
        bool ok = run(in, d, &data, name);
        const Array *a = ok ? interp_get(in, d->outputs.data[d->outputs.n - 1].value) : NULL;
        if (ok && items_of(a) != n) FAIL("%s: %zu items", name, items_of(a));
        for (size_t k = 0; ok && k < n; k++)
            if (fabs(a->real[k] - expected[k]) > 1e-15)
                FAIL("%s: item %zu is %g, expected %g", name, k, a->real[k], expected[k]);
        interp_free(in);
    }
    arena_free(arena);
}

static void check_known_values(void) {
    static const double first[] = {1, 0, 0, 0, 0, 0}, third[] = {0, 0, 1}, none[] = {0, 0, 0};
    static const double ramp[] = {0, 1, 2}, one[] = {0, 0, 0, 0, 1};
    check_known("first of equals",
                "z 1 [3, 2]\n%2: real [] = max[i0: 3, i1: 2] %1[i0, i1]\noutput loss \"l\" %2\n",
                first, 6);
    check_known("first of smallest",
                "z 1 [3, 2]\n%2: real [] = min[i0: 3, i1: 2] %1[i0, i1]\noutput loss \"l\" %2\n",
                first, 6);
    check_known("product around a zero",
                "z 1 [3]\n%2: real [] = prod[i0: 3] %1[i0] + select(i0 < 2, 1.0, 0.0)\n"
                "output loss \"l\" %2\n",
                third, 3);
    check_known("first argument of equals",
                "z 1 [3]\n%2: real [] = sum[i0: 3] max(%1[i0]*real(i0), %1[i0]*5.0)\n"
                "output loss \"l\" %2\n",
                ramp, 3);
    check_known("one point", "z 1 [T]\n%2: real [] = %1[{T - 1}]\noutput loss \"l\" %2\n", one, 5);
    check_known("nothing", "z 1 [3]\n%2: real [] = sum[i0: 3] stop(%1[i0])\noutput loss \"l\" %2\n",
                none, 3);
}

/* ---- forms that are known -------------------------------------------------------------------- */

/* The gradient sums over `summed` axes, no more than subscripts leave open, and holds `part`. */
static void check_form(const char *name, const char *text, uint32_t summed, const char *part) {
    Arena *arena = arena_new();
    const char *error = "";
    GradError why;
    Graph *g = graph_from(arena, text, &error), *d = g ? graph_grad(g, &why) : NULL;
    if (!d) FAIL("%s: %s", name, error);
    if (d) {
        d = graph_simplify(d);
        Text t = text_new(arena);
        graph_print(d, &t);
        Value v = d->outputs.data[d->outputs.n - 1].value;
        bool good = graph_node(d, graph_value(d, v)->node)->n_extra == summed;
        if (!good || !strstr(t.data, part))
            FAIL("%s: expected %u axes summed and '%s' in\n%s", name, summed, part, t.data);
    }
    arena_free(arena);
}

static void check_forms(void) {
    check_form("split",
               "w 1 [12]\nx 2 [3, 4]\n%3: real [3, 4] = %1[i0*4 + i1]*%2[i0, i1]\nloss 3 [3, 4]\n",
               0, "%1[i0//4, i0%4]");
    check_form("join",
               "w 1 [3, 4]\nx 2 [12]\n%3: real [12] = %1[i0//4, i0 % 4]*%2[i0]\nloss 3 [12]\n", 0,
               "%1[i0*4 + i1]");
    check_form("join three",
               "w 1 [2, 3, 2]\nx 2 [12]\n%3: real [12] = %1[i0//6, i0//2 % 3, i0 % 2]*%2[i0]\n"
               "loss 3 [12]\n",
               0, "%1[i0*6 + i1*2 + i2]");
    check_form("patches",
               "w 1 [6]\nx 2 [2]\n%3: real [3] = sum[i1: 2] %1[2*i0 + i1]*%2[i1]\nloss 3 [3]\n", 0,
               "%1[i0%2]");
    check_form("stride", "w 1 [9]\n%2: real [4] = %1[2*i0 + 1]^2.0\nloss 2 [4]\n", 0,
               "*%1[i0], 0.0)");
    check_form("large index",
               "w 1 [9]\nx 2 [3]\n%3: real [7] = sum[i1: 3] %1[i0 + i1]*%2[i1]\nloss 3 [7]\n", 1,
               "sum[i1: 3] select(");
    check_form("large index that is summed",
               "w 1 [9]\nx 2 [7]\n%3: real [3] = sum[i1: 7] %1[i0 + i1]*%2[i1]\nloss 3 [3]\n", 1,
               "sum[i1: 3] select(");
    check_form(
        "run-time axis",
        "w 1 [T + 2]\nx 2 [T]\n%3: real [3] = sum[i1: T] %1[i0 + i1]*%2[i1]\nloss 3 [3]\n", 1,
        "sum[i1: 3] select(");
}

/* Nested selects over a shared part: the work grows with the depth, not with its power. */
static void check_growth(void) {
    Arena *arena = arena_new();
    const char *error = "";
    GradError why;
    Text t = text_new(arena);
    text_add(&t, "w 1 [T]\n%2: real [T] = let t0 = %1[i0]");
    for (int k = 0; k < 24; k++)
        text_printf(&t, "; t%d = select(t%d < %d.0, sin(t%d), cos(t%d))", k + 1, k, k, k, k);
    text_add(&t, " in t24\nloss 2 [T]\n");
    Graph *g = graph_from(arena, t.data, &error);
    if (!g) FAIL("growth: %s", error);
    Graph *d = g ? graph_grad(g, &why) : NULL;
    if (d && d->exprs.n > 1000) FAIL("growth: %u expressions", d->exprs.n);
    arena_free(arena);
}

/* ---- random affine reads --------------------------------------------------------------------- */

typedef struct Pick {
    Graph *g;
    uint64_t seed;
    uint32_t n; /* iteration axes */
    int64_t size[5];
} Pick;

static int64_t between(Pick *p, int64_t lo, int64_t hi) {
    return lo + (int64_t)(uniform(&p->seed) * (double)(hi - lo + 1));
}

static ExprId scaled(Graph *g, ExprId e, int64_t c) {
    return expr_fn2(g, F_mul, e, expr_int(g, c));
}

/* A subscript of a random kind and its bounds. */
static ExprId random_subscript(Pick *p, int64_t *lo, int64_t *hi) {
    Graph *g = p->g;
    int64_t konst = between(p, -2, 3);
    ExprId e = expr_int(g, konst);
    *lo = *hi = konst;
    uint32_t terms = (uint32_t)between(p, 0, 3);
    for (uint32_t k = 0; k < terms; k++) {
        uint32_t i = (uint32_t)between(p, 0, p->n - 1);
        int64_t c = between(p, -3, 3), top = p->size[i] - 1, off = between(p, 0, 2),
                by = between(p, 2, 4);
        ExprId x = expr_idx(g, i);
        int64_t kind = between(p, 0, 5), bottom = 0;
        if (kind <= 1) x = expr_fn2(g, F_add, x, expr_int(g, off));
        if (kind == 0)
            bottom = off / by, top = (top + off) / by, x = expr_fn2(g, F_idiv, x, expr_int(g, by));
        if (kind == 1) top = by - 1, x = expr_fn2(g, F_imod, x, expr_int(g, by));
        e = expr_fn2(g, F_add, e, scaled(g, x, c));
        *lo += c < 0 ? c * top : c * bottom;
        *hi += c < 0 ? c * bottom : c * top;
    }
    return e;
}

/* A parameter read at random subscripts, all inside, or cut off at both ends and guarded. */
static ExprId random_read(Pick *p) {
    Graph *g = p->g;
    uint32_t rank = (uint32_t)between(p, 1, 3), index;
    Size dims[3];
    ExprId subs[3], guard = expr_int(g, 1);
    for (uint32_t q = 0; q < rank; q++) {
        int64_t lo, hi;
        ExprId s = random_subscript(p, &lo, &hi);
        bool cut = hi - lo > 1 && between(p, 0, 3) == 0;
        if (cut) lo++, hi--;
        s = expr_fn2(g, F_add, s, expr_int(g, -lo));
        int64_t n = hi - lo + 1 + (cut ? 0 : between(p, 0, 1));
        ExprId in = expr_fn2(g, F_and, expr_fn2(g, F_ge, s, expr_int(g, 0)),
                             expr_fn2(g, F_lt, s, expr_int(g, n)));
        if (cut) guard = expr_fn2(g, F_and, guard, in);
        dims[q] = size_num(g->sizes, n);
        subs[q] = s;
    }
    Value v = graph_param(g, T_REAL, ST_DEFAULT, dims, rank, (Loc){0, 0, 0, 0}, &index);
    PUSH(g->arena, &g->params.data[index].members)->name = "w";
    ExprId e = expr_fn1(g, F_sin, expr_read(g, v, subs, rank));
    return expr_select(g, guard, e, expr_num(g, 0.5));
}

static void check_random(uint64_t seed) {
    Arena *arena = arena_new();
    Names *names = names_new(arena);
    Graph *g = graph_new(arena, names, sizes_new(arena), "random");
    Pick p = {.g = g, .seed = seed};
    Size dims[5];
    uint32_t rank = (uint32_t)between(&p, 1, 3);
    p.n = rank + (uint32_t)between(&p, 0, 2);
    for (uint32_t k = 0; k < p.n; k++) dims[k] = size_num(g->sizes, p.size[k] = between(&p, 1, 6));
    ExprId e = expr_fn2(g, F_mul, random_read(&p), random_read(&p)), weight = expr_int(g, 1),
           idx[5];
    Loc nowhere = {0, 0, 0, 0};
    Red red = p.n > rank ? RED_SUM : RED_NONE;
    Value v = graph_eq(g, &g->top, dims, rank, red, dims + rank, p.n - rank, e, 0, "y", nowhere);
    for (uint32_t k = 0; k < rank; k++) {
        idx[k] = expr_idx(g, k);
        weight = expr_fn2(g, F_add, weight, scaled(g, idx[k], 3 + 4 * k));
    }
    e = expr_fn2(g, F_mul, expr_read(g, v, idx, rank), expr_fn1(g, F_sin, expr_real(g, weight)));
    v = graph_eq(g, &g->top, NULL, 0, RED_SUM, dims, rank, e, 0, "loss", nowhere);
    graph_output(g, OUT_LOSS, "loss", v, 0);
    char name[40];
    snprintf(name, sizeof name, "random %u", (unsigned)seed);
    check_graph(name, g, usual, false, seed);
    arena_free(arena);
}

int main(int argc, char **argv) {
    unsigned many = argc > 1 ? (unsigned)atoi(argv[1]) : 150;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i]);
    check_functions();
    check_known_values();
    check_forms();
    check_growth();
    for (unsigned k = 0; k < many; k++) check_random(k + 1);
    return failures != 0;
}
