/* The passes of the planner: a graph, and the same with readers pulled into recurrences (pull.c,
 * neighbour.c), with values read where they are kept (share.c), with recurrences run again (replay.c), and with
 * values of layers recomputed (recompute.c), have the same outputs.
 * Every entry of every model at small sizes, and random programs.
 *
 * test_again [FIRST COUNT]: random programs of these seeds only. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/cut.h"
#include "compiler/interp.h"
#include "compiler/plan_impl.h"
#include "dsl/check.h"
#include "tests/random/generate.h"

static const double BAR = 1e-12;

typedef struct Case {
    const char *path; /* or NULL */
    const char *text;
    const char *defines; /* "V=11 D=16" */
    int64_t T, side;     /* steps; height and width of pictures */
    bool learns; /* something is kept for a backward loop of layers, and can be recomputed */
} Case;

/* Two loops one in the other; what the inner one leaves is recomputed with it. */
static const char nested[] =
    "use std\nconst V = 7, D = 4, L = 3, M = 2\naxis T\n"
    "model nest(token[T]: index(V)) -> logits[T,V] {\n"
    "    param emb.weight[V,D] ~ normal(1)\n"
    "    x = embed(token, emb.weight)\n"
    "    for l in L as blocks.{l} {\n"
    "        for m in M as inner.{m} { x += tanh(dense(x; m = D) as a)*sigmoid(dense(x; m = D) as b) }\n"
    "        x = layer_norm(x) as ln\n"
    "    }\n"
    "    logits = linear(x, emb.weight)\n"
    "}\n"
    "train nest(target[T]: index(V)) { ce = cross_entropy(logits, target);  loss = mean[b,t] ce[b,t] }\n";

#define SEVENTH "V=11 D=16 N=8 L=3 Rw=3 Ra=4 Rv=2 Rg=5"
static const Case cases[] = {
    {"models/rwkv7.rwkv", NULL, SEVENTH, 70, 0, true},
    {"models/rwkv4.rwkv", NULL, "V=11 D=6 L=3", 9, 0, true},
    {"models/rwkv5.rwkv", NULL, "V=11 D=16 N=8 L=2 F=9", 70, 0, true},
    {"models/rwkv6.rwkv", NULL, "V=11 D=16 N=8 L=2 F=9 R=3 Rd=4", 70, 0, true},
    {"models/rwkv7a.rwkv", NULL, SEVENTH " M=3", 9, 0, true},
    {"models/reverse.rwkv", NULL, "", 5, 0, true},
    {"models/revtrain.rwkv", NULL, "", 5, 0, true},
    {"models/retinex.rwkv", NULL, "n_feat=8", 0, 8, true},
    {"models/vision.rwkv", NULL, "D=16 N=8 L=2 V=11 E=6 A=2 EL=2 Q=2 G=2 Rw=3 Ra=4 Rv=2 Rg=5", 5, 0,
     true},
    {"models/variants/both_ways.rwkv", NULL, SEVENTH, 9, 0, true},
    {"models/variants/gated.rwkv", NULL, SEVENTH, 9, 0, true},
    {"models/variants/initial_state.rwkv", NULL, SEVENTH, 9, 0, true},
    {"models/variants/rotary.rwkv", NULL, SEVENTH, 9, 0, true},
    {"models/variants/static_decay.rwkv", NULL, SEVENTH, 9, 0, true},
    {"tests/codegen/drops.rwkv", NULL, "", 6, 0, true},
    {NULL, nested, "", 6, 0, true},
};

static int failures;

#define FAIL(...)                                                                                  \
    (failures++, printf("%s:%d: ", __FILE__, __LINE__), printf(__VA_ARGS__), printf("\n"))

/* ---- running --------------------------------------------------------------------------------------- */

typedef struct Run {
    Arena *a;
    const char *what; /* "rwkv7.rwkv grad" */
    const int64_t *axes;
    Interp *in;
} Run;

static double number_of(uint64_t table, uint64_t index, size_t i) {
    uint64_t h = hash_mix(hash_mix(hash_mix(7, table), index), i + 1);
    return (double)(hash_mix(h, 12345) >> 11) * 0x1p-52 - 1; /* -1 .. 1 */
}

static Array tensor(Run *r, Graph *g, Value v, uint32_t table, uint32_t index) {
    const ValueInfo *x = graph_value(g, v);
    Array t = {.type = x->type, .rank = x->rank};
    size_t n = 1;
    for (uint32_t k = 0; k < x->rank; k++) {
        if (!size_eval(g->sizes, x->dims[k], r->axes, &t.dims[k])) FAIL("%s: a size", r->what);
        n *= (size_t)t.dims[k];
    }
    t.real = NEWN(r->a, double, n + 1);
    bool scalar = table == 0 && g->inputs.data[index].scalar;
    bool squares = table == 2 && g->states.data[index].optimizer; /* roots of them are taken */
    int64_t below = table == 0 ? g->inputs.data[index].below : 0;
    for (size_t i = 0; i < n; i++) {
        double u = number_of(table, index, i);
        if (t.type == T_INT)
            t.ints[i] = (int64_t)floor((u + 1) / 2 * (double)(below ? below : 4));
        else
            t.real[i] = scalar ? 2 + u : squares ? 1 + u / 2 : table == 1 ? 0.3 * u : u;
    }
    return t;
}

static void bind(Run *r, Graph *g, Value v, uint32_t table, uint32_t index) {
    Array *t = NEW(r->a, Array);
    if (!v) return;
    *t = tensor(r, g, v, table, index);
    const char *wrong = interp_bind(r->in, v, t);
    if (wrong) FAIL("%s: %s", r->what, wrong);
}

static bool evaluate(Run *r, Graph *g) {
    r->in = interp_new(g, NULL);
    for (uint32_t k = 0; k < size_axes(g->sizes); k++)
        interp_axis(r->in, size_axis_name(g->sizes, k), r->axes[k]);
    for (uint32_t i = 0; i < g->inputs.n; i++) bind(r, g, g->inputs.data[i].value, 0, i);
    for (uint32_t i = 0; i < g->params.n; i++) bind(r, g, g->params.data[i].value, 1, i);
    for (uint32_t i = 0; i < g->states.n; i++) bind(r, g, g->states.data[i].value, 2, i);
    const char *wrong = interp_run(r->in);
    if (wrong) FAIL("%s: %s", r->what, wrong);
    return !wrong;
}

/* ---- comparing -------------------------------------------------------------------------------------- */

static size_t items_of(const Array *x) {
    size_t n = 1;
    for (uint32_t k = 0; k < x->rank; k++) n *= (size_t)x->dims[k];
    return n;
}

static double item(const Array *x, size_t i) {
    return x->type == T_INT ? (double)x->ints[i] : x->real[i];
}

/* The largest difference, relative to the largest number of the tensor. */
static double difference(const Array *x, const Array *y) {
    double top = 0, worst = 0;
    if (x->rank != y->rank || items_of(x) != items_of(y)) return INFINITY;
    for (size_t i = 0; i < items_of(x); i++) {
        if (!isfinite(item(x, i))) return INFINITY; /* such numbers would hide differences */
        top = fmax(top, fabs(item(x, i)));
    }
    for (size_t i = 0; i < items_of(x); i++) {
        double u = item(x, i), v = item(y, i);
        if (u == v) continue;
        double e = fabs(u - v) / (1e-3 + top);
        if (!(e <= worst)) worst = e; /* NaN too */
    }
    return worst;
}

/* bar: of the largest difference of an output. */
static void compare(Run *x, Graph *g, Graph *h, double bar, const char *pass) {
    const char *wrong = graph_verify(h);
    Run y = *x;
    if (wrong) {
        FAIL("%s after %s: %s", x->what, pass, wrong);
        return;
    }
    if (evaluate(&y, h)) {
        double worst = 0;
        for (uint32_t i = 0; i < g->outputs.n; i++) {
            double e = difference(interp_get(x->in, g->outputs.data[i].value),
                                  interp_get(y.in, h->outputs.data[i].value));
            if (!(e <= worst)) worst = e;
        }
        if (!(worst <= bar)) FAIL("%s after %s: differs by %g", x->what, pass, worst);
    }
    interp_free(y.in);
}

/* ---- graphs ------------------------------------------------------------------------------------------- */

/* Some of all choices, the first, the last and some between, compared with h to the bit. Returns how many
 * there are. */
static uint32_t check_recompute(Run *r, Graph *h) {
    RecomputeChoices c = {0};
    Run x = *r;
    recompute_choices(r->a, h, r->axes, &c);
    bool runs = evaluate(&x, h);
    for (uint32_t i = 0; runs && i < c.n; i++) {
        bool falls = i == 0 ||
                     (c.data[i].bytes < c.data[i - 1].bytes && c.data[i].work > c.data[i - 1].work);
        if (!falls) FAIL("%s: choice %u costs more and saves nothing", r->what, i);
        if (i % 6 && i + 1 < c.n) continue;
        RecomputeList list = {0};
        RecomputeRule rule = {r->axes, c.data[i].rate, false};
        Graph *k = graph_recompute(r->a, graph_clone(h, h->entry), &rule, &list);
        if (!list.n != !i) FAIL("%s: %u values in choice %u", r->what, list.n, i);
        compare(&x, h, k, 0, arena_printf(r->a, "recompute (choice %u)", i));
    }
    interp_free(x.in);
    return c.n;
}

static uint32_t check_graph(Arena *a, Graph *g, const char *what, const int64_t *axes) {
    Run r = {.a = a, .what = what, .axes = axes};
    uint32_t choices = 0;
    if (evaluate(&r, g)) {
        Graph *h = graph_pull(graph_clone(g, g->entry), NULL);
        compare(&r, g, h, BAR, "pull");
        h = graph_replay(h, NULL);
        compare(&r, g, h, BAR, "replay");
        h = graph_pull(h, NULL);
        compare(&r, g, h, BAR, "pull, replay and pull");
        choices = check_recompute(&r, h);
        h = graph_share(graph_clone(h, h->entry));
        compare(&r, g, h, BAR, "share");
        compare(&r, g, graph_neighbours(h, NULL), BAR, "neighbours");
    }
    interp_free(r.in);
    return choices;
}

static Program *load(Arena *a, Diag *d, const Case *c) {
    Define *defines = NEWN(a, Define, 16);
    CheckOptions o = {.defines = defines};
    char *s = arena_str(a, c->defines);
    for (char *word = strtok(s, " "); word; word = strtok(NULL, " ")) {
        char *text = strchr(word, '=');
        *text++ = 0;
        defines[o.n_defines++] = (Define){.name = word, .text = text};
    }
    if (!c->path) return check_text(a, d, "test.rwkv", c->text, strlen(c->text), &o);
    return check_file(a, d, c->path, &o);
}

static void check_case(const Case *c) {
    Arena *a = arena_new();
    Diag *d = diag_new(a, 0);
    Program *p = load(a, d, c);
    if (!p) {
        diag_print(d, stdout, DIAG_PLAIN);
        FAIL("%s: not accepted", c->path);
    }
    for (uint32_t i = 0; p && i < program_entries(p); i++) {
        const char *entry = program_entry(p, i);
        Graph *g = strcmp(entry, "init") ? program_graph(p, entry, d) : NULL;
        if (!g) continue;
        int64_t axes[16];
        for (uint32_t k = 0; k < size_axes(g->sizes); k++) {
            const char *name = size_axis_name(g->sizes, k);
            axes[k] = strcmp(name, "B") == 0 ? 2 : strcmp(name, "T") == 0 ? c->T : c->side;
        }
        const char *what = arena_printf(a, "%s %s", c->path ? c->path : "a text", entry);
        uint32_t choices = check_graph(a, g, what, axes);
        if (c->learns && strcmp(entry, "grad") == 0 && choices < 3)
            FAIL("%s: only %u choices", what, choices);
    }
    arena_free(a);
}

static void check_random(uint64_t seed) {
    Arena *a = arena_new();
    Diag *d = diag_new(a, 0);
    const char *text = seed % 2 ? compose_text(a, seed) : generate_text(a, seed);
    Program *p = check_text(a, d, "random.rwkv", text, strlen(text), NULL);
    Graph *g = p ? program_graph(p, "grad", d) : NULL;
    int64_t axes[16];
    for (uint32_t k = 0; g && k < size_axes(g->sizes); k++)
        axes[k] = strcmp(size_axis_name(g->sizes, k), "B") ? 4 : 2;
    int before = failures;
    if (g) check_graph(a, g, "grad", axes);
    if (failures > before) printf("that was the random program %llu\n", (unsigned long long)seed);
    arena_free(a);
}

/* ---- cuts ------------------------------------------------------------------------------------------------ */

static void check_cuts(void) {
    Arena *a = arena_new();
    /* source -> 2 -> 3 -> sink and source -> 4 -> 3, with the least cut before 3, and the same amount after */
    static const CutEdge edges[] = {{CUT_SOURCE, 2, 9}, {2, 3, 3}, {CUT_SOURCE, 4, 9},
                                    {4, 3, 2},          {3, 5, 5}, {5, CUT_SINK, CUT_NEVER}};
    const bool *s = cut_least(a, 6, edges, 6);
    if (!s || s[2] || s[3] || s[4] || !s[5]) FAIL("the least cut is not the one nearest the sink");
    static const CutEdge whole[] = {{CUT_SOURCE, 2, CUT_NEVER}, {2, CUT_SINK, CUT_NEVER}};
    if (cut_least(a, 3, whole, 2)) FAIL("an edge was cut that must not be");
    arena_free(a);
}

int main(int argc, char **argv) {
    uint64_t first = argc > 2 ? strtoull(argv[1], NULL, 10) : 0;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 60;
    check_cuts();
    for (size_t i = 0; argc <= 2 && i < sizeof cases / sizeof *cases; i++) check_case(&cases[i]);
    for (uint64_t s = first; s < first + count && failures < 20; s++) check_random(s);
    return failures != 0;
}
