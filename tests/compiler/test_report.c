/* Operations and memory of small graphs whose formulas are known. */
#include "tests/compiler/passes.h"

#include "compiler/report.h"
#include "compiler/work.h"

static const char *const text =
    "graph \"g\"\naxis B, T\ninput %1 \"x\": real [B, T, 8]\ninput %9 \"s\": real [B, 8]\n"
    "param %2: real [8, 8] family 0 lr 1.0 decay 0.0 {\n init formula = 0.0\n member \"w\"\n}\n"
    "param %3: real [8, 3] family 0 lr 1.0 decay 0.0 frozen {\n init formula = 0.0\n"
    " member \"k\"\n}\n"
    /* linear: 8*8 products a row */
    "%4: real [B, T, 8] = sum [i3: 8] %2[i2, i3]*%1[i0, i1, i3]\n"
    /* a window of 3 rows */
    "%5: real [B, T, 8] = sum [i3: 3] %3[i2, i3]*select(i1 + i3 < T, %4[i0, i1 + i3, i2], 0.0)\n"
    /* a product without a window, over a split axis: 64 points, 2 operations each */
    "%6: real [B, T, 2] = sum [i3: 4] %5[i0, i1, i2*4 + i3]*%4[i0, i1, i2*4 + i3]\n"
    "recur \"T\" length T {\n carry %9 -> %20: real [B, 8]\n class {\n  arg %10: real [B, 8]\n"
    "  %11: real [B, 8] = tanh(%10[i0, i1])*%5[i0, l0, i1] + %6[i0, l0, 0]\n  next %11\n }\n}\n"
    /* layers count as often as they run */
    "recur \"l\" length 3 layers {\n carry %20 -> %21: real [B, 8]\n class 0, 1, 2 {\n"
    "  arg %12: real [B, 8]\n  %13: real [B, 8] = exp(%12[i0, i1])\n  next %13\n }\n}\n"
    "output result \"y\" %21\n";

static void expect(Graph *g, const char *what, Size have, const char *want) {
    const char *s = have ? size_str(g->sizes, have) : "none";
    if (strcmp(s, want) != 0) FAIL("%s: %s, not %s", what, s, want);
}

static void test_flops(Graph *g) {
    FlopCount c = graph_flops(g);
    expect(g, "linear", c.linear, "128*B*T");
    expect(g, "convolution", c.convolution, "48*B*T");
    expect(g, "recurrence", c.recurrence, "24*B*T");
    expect(g, "rest", c.rest, "16*B*T + 24*B");
    ParamCount p = graph_params(g);
    if (p.total != 88 || p.trained != 64)
        FAIL("parameters: %lld, trained %lld", (long long)p.total, (long long)p.trained);
}

static void test_texts(Graph *g) {
    Text t = text_new(g->arena);
    graph_report(g, &t);
    graph_memory(g, &t);
    static const char *const lines[] = {
        "parameters: 88, trained 64, frozen 24",
        "frozen\n",
        "linear       128*B*T",
        "inputs: 32*B*T + 32*B bytes",
        "parameters: 352 bytes",
        "needed at once",
        "72*B*T bytes",
        "40*B*T + 64*B bytes",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(t.data, lines[i])) {
            FAIL("no '%s' in\n%s", lines[i], t.data);
            return;
        }
}

typedef struct Launches {
    uint32_t n, in_layers;
    int64_t times;
} Launches;

static void count(Plan *p, const Op *o, int64_t times, uint32_t level, void *user) {
    Launches *l = user;
    (void)p;
    if (o->kind != OP_LAUNCH) return;
    l->n++;
    l->times += times;
    l->in_layers += level;
}

/* Every node a kernel of its own, and none that another one would take into its body. */
static const char *const apart =
    "graph \"g\"\naxis B, T\ninput %1 \"x\": real [B, T, 8]\ninput %9 \"s\": real [B, 8]\n"
    "param %2: real [8, 8] family 0 lr 1.0 decay 0.0 {\n init formula = 0.0\n member \"w\"\n}\n"
    "param %3: real [8, 3] family 0 lr 1.0 decay 0.0 frozen {\n init formula = 0.0\n"
    " member \"k\"\n}\n"
    "%4: real [B, T, 8] = sum [i3: 8] %2[i2, i3]*%1[i0, i1, i3]\n"
    "%5: real [B, T, 8] = sum [i3: 3] %3[i2, i3]*select(i1 + i3 < T, %4[i0, i1 + i3, i2], 0.0)\n"
    "%6: real [8, 8] = sum [i2: B, i3: T] %4[i2, i3, i0]*%5[i2, i3, i1]\n"
    "recur \"T\" length T {\n carry %9 -> %20: real [B, 8]\n class {\n  arg %10: real [B, 8]\n"
    "  %11: real [B, 8] = tanh(%10[i0, i1])*%1[i0, l0, i1]\n  next %11\n }\n}\n"
    "recur \"l\" length 3 layers {\n carry %20 -> %21: real [B, 8]\n class 0, 1, 2 {\n"
    "  arg %12: real [B, 8]\n  %13: real [B, 8] = exp(%12[i0, i1])\n  next %13\n }\n}\n"
    "output result \"y\" %21\noutput result \"g\" %6\n";

static void test_work(Arena *a) {
    const char *why = NULL;
    PlanOptions o = {.fuse = false};
    Plan *p = plan_make(a, read_graph(a, apart), &o, &why);
    if (!p) {
        FAIL("no plan: %s", why);
        return;
    }
    Work w = plan_work(p).whole;
    static const char *const want[WORK_PARTS] = {
        /* 8 and 3 terms for each of 8 columns; %6: 8*8 results of B*T terms */
        [WORK_WEIGHTS] = "176*B*T",
        [WORK_PRODUCTS] = "128*B*T",
        [WORK_RECURRENCE] = "16*B*T",
        [WORK_REST] = "24*B",
        /* x twice, both parameters, the first state of the scan */
        [WORK_GIVEN] = "64*B*T + 32*B + 352",
        /* %4 by two, %5 by one; the layers' input, and the copy of it */
        [WORK_MADE] = "96*B*T + 128*B",
        /* 8 and 8 columns, %6; the last state of the scan, one a layer, the copy */
        [WORK_WRITTEN] = "64*B*T + 160*B + 256"};
    for (int i = 0; i < WORK_PARTS; i++) expect(p->g, work_name[i], w.of[i], want[i]);
    Launches l = {0};
    plan_each(p, count, &l);
    if (l.n != 5 || l.times != 7 || l.in_layers != 1)
        FAIL("%u launches, %lld in all, %u in layers", l.n, (long long)l.times, l.in_layers);
}

/* A gather reads the rows it finds, not the table; a slice is a slice. */
static void test_reads(Arena *a) {
    Graph *g = read_graph(a, "graph \"r\"\naxis T\ninput %1 \"token\": int int [T] below 1000\n"
                             "param %2: real [1000, 8] family 0 lr 1.0 decay 0.0 {\n"
                             " init formula = 0.0\n member \"w\"\n}\n"
                             "%3: real [T, 8] = %2[%1[i0], i1]\n"
                             "%4: real [8] = %3[T - 1, i0]*%3[0, i0]\n"
                             "output result \"y\" %4\n");
    const char *why = NULL;
    PlanOptions o = {.fuse = false};
    Plan *p = plan_make(a, g, &o, &why);
    if (!p) {
        FAIL("no plan: %s", why);
        return;
    }
    Work w = plan_work(p).whole;
    expect(p->g, "given", w.of[WORK_GIVEN], "36*T");
    expect(p->g, "made", w.of[WORK_MADE], "32"); /* one row: the two may be the same */
    expect(p->g, "written", w.of[WORK_WRITTEN], "32*T + 32");
}

int main(void) {
    Arena *a = arena_new();
    Graph *g = read_graph(a, text);
    test_flops(g);
    test_texts(g);
    test_work(a);
    test_reads(a);
    arena_free(a);
    return failures != 0;
}
