/* Operations and memory of small graphs whose formulas are known. */
#include "tests/compiler/passes.h"

#include "compiler/report.h"

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

int main(void) {
    Arena *a = arena_new();
    Graph *g = read_graph(a, text);
    test_flops(g);
    test_texts(g);
    arena_free(a);
    return failures != 0;
}
