/* Derivatives of hand-written graphs; grad_check.h says what is checked.
 *
 * A case is a graph's text with some lines shortened:
 *     w N DIMS        parameter %N of these dims, random in 0.3 .. 1.3
 *     z N DIMS        parameter %N of zeros
 *     f N DIMS        frozen parameter %N
 *     x N DIMS        real input %N
 *     k N BELOW DIMS  int input %N with numbers below BELOW
 *     loss N DIMS     the output: the sum of value %N with an odd weight for each item
 * Axes T, B, J have lengths 5, 2, 3 unless said otherwise. */
#include "grad_check.h"

typedef struct Case {
    const char *name, *text;
    Axis axes[4]; /* default T 5, B 2, J 3 */
    int scatters; /* in the gradient after simplification: exactly so many, -1 = any */
    bool stops;   /* no argmax in the gradient */
    bool kinks;   /* no central difference: it stands at a kink */
} Case;

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

typedef struct Count {
    int scatter, argmax;
} Count;

static void count_node(Graph *g, NodeId n, void *user) {
    Count *c = user;
    c->scatter += graph_node(g, n)->kind == N_SCATTER;
    c->argmax += graph_node(g, n)->red == RED_ARGMAX;
}

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
        Count n = {0, 0};
        Graph *d = graph_simplify(graph_grad(graph_distribute(g), &why));
        graph_each(d, &d->top, count_node, &n);
        if (n.scatter != c->scatters)
            FAIL("%s: %d scatters, expected %d", c->name, n.scatter, c->scatters);
        if (c->stops && n.argmax) FAIL("%s: an argmax for a max that is stopped", c->name);
    }
    arena_free(arena);
}

#include "grad_cases.h"

/* ---- the table of functions ------------------------------------------------------------------ */

static void check_text(const char *name, const char *text, bool kinks) {
    Case c = {.name = name, .text = text, .kinks = kinks};
    check_case(&c);
}

/* A row whose derivative is "-": asking for it is refused, with the function's name. */
static void check_refused(const FnInfo *x) {
    Arena *arena = arena_new();
    const char *error = "";
    char text[200];
    snprintf(text, sizeof text, "w 1 [9]\n%%2: real [9] = %s(%%1[i0])\nloss 2 [9]\n", x->name);
    Graph *g = graph_from(arena, text, &error);
    GradError why = {.text = ""};
    if (!g)
        FAIL("%s: %s", x->name, error);
    else if (graph_grad(graph_distribute(g), &why) || !strstr(why.text, x->name))
        FAIL("%s: differentiated, or refused without its name: %s", x->name, why.text);
    arena_free(arena);
}

/* Each row at positive and negative arguments, and at 0, where what is infinite counts as 0. */
static void check_functions(void) {
    static const char *const positive[] = {"log", "sqrt", "pow"};
    for (int f = F_NONE + 1; f < F_COUNT; f++) {
        const FnInfo *x = &fn_info[f];
        if (x->type == 'i' || x->type == 'z' || f == F_real || f == F_stop) continue;
        if (strcmp(x->derivative, "-") == 0) {
            check_refused(x);
            continue;
        }
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
    check_form(
        "product of matrices",
        "w 1 [T, 3]\nx 2 [4, 3]\n%3: real [T, 4] = sum[i2: 3] relu(%1[i0, i2])^2.0*%2[i1, i2]\n"
        "loss 3 [T, 4]\n",
        0, "*%1[i2, i1]\n");
    check_form("stride", "w 1 [9]\n%2: real [4] = %1[2*i0 + 1]^2.0\nloss 2 [4]\n", 0,
               "*%1[i0], 0.0)");
    check_form("large index",
               "w 1 [9]\nx 2 [3]\n%3: real [7] = sum[i1: 3] %1[i0 + i1]*%2[i1]\nloss 3 [7]\n", 1,
               "sum[i1: 3] select(");
    check_form("large index that is summed",
               "w 1 [9]\nx 2 [7]\n%3: real [3] = sum[i1: 7] %1[i0 + i1]*%2[i1]\nloss 3 [3]\n", 1,
               "sum[i1: 3] select(");
    check_form("run-time axis",
               "w 1 [T + 2]\nx 2 [T]\n%3: real [3] = sum[i1: T] %1[i0 + i1]*%2[i1]\nloss 3 [3]\n",
               1, "sum[i1: 3] select(");
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

int main(void) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i]);
    check_functions();
    check_known_values();
    check_forms();
    check_growth();
    return failures != 0;
}
