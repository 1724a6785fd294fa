/* The graph passes: a graph before and after each of them gives the same outputs. */
#include "tests/compiler/passes.h"

static const Axes usual = {2, 5, 3};

typedef struct Kinds {
    uint32_t n[N_DELAY + 1], axis_recurs, layer_loops;
} Kinds;

static void count(Graph *g, NodeId id, void *user) {
    Kinds *k = user;
    const Node *n = graph_node(g, id);
    k->n[n->kind]++;
    if (n->kind == N_RECUR) ++*(n->recur->layers ? &k->layer_loops : &k->axis_recurs);
}

static Kinds kinds_of(Graph *g) {
    Kinds k = {0};
    graph_each(g, &g->top, count, &k);
    return k;
}

/* ---- distribution ---------------------------------------------------------------------------- */

typedef struct Case {
    const char *name, *text;
    int recurs; /* along an axis, that are left; -1 any */
} Case;

static const Case distributions[] = {
    {"no cycle at all",
     "graph \"g\"\naxis B, T\n"
     "input %1 \"x\": real [B, T, 3]\n"
     "recur \"T\" length T {\n class {\n"
     "  %2: real [B, 3] = %1[i0, l0, i1]*2.0\n"
     "  %3: real [B] = sum [i1: 3] %2[i0, i1]*real(l0)\n"
     "  out %2 axis 1 -> %4: real [B, T, 3]\n"
     "  out %3 axis 0 -> %5: real [T, B]\n"
     "  out %2 axis 0 -> %6: real [T, B, 3]\n"
     " }\n}\n"
     "output result \"a\" %4\noutput result \"b\" %5\noutput result \"c\" %6\n",
     0},
    {"delays",
     "graph \"g\"\naxis B, T\n"
     "input %1 \"x\": real [B, T, 3]\n"
     "input %2 \"d0\": real [3, B, 3]\n"
     "input %3 \"e0\": real [1, B, 3]\n"
     "input %4 \"w\": real [3, 3]\n"
     "recur \"T\" length T {\n class {\n"
     "  %10: real [3, B, 3] = delay %12 init %2 -> %20: real [3, B, 3]\n"
     "  %11: real [1, B, 3] = delay %13 init %3 -> %21: real [1, B, 3]\n"
     "  %12: real [B, 3] = %1[i0, l0, i1] + 1.0\n"
     "  %13: real [B, 3] = sum [i2: 3] %4[i1, i2]*%10[2 - i2, i0, i1]\n"
     "  %14: real [B, 3] = %13[i0, i1] + %11[0, i0, i1]*%10[1, i0, i1]\n"
     "  out %14 axis 1 -> %22: real [B, T, 3]\n"
     "  out %10 axis 1 -> %23: real [3, T, B, 3]\n"
     " }\n}\n"
     "output result \"y\" %22\noutput result \"line\" %23\noutput result \"f\" %20\n"
     "output result \"h\" %21\n",
     0},
    {"two states coupled, chains beside",
     "graph \"g\"\naxis B, T\n"
     "input %1 \"x\": real [B, T, 3]\n"
     "input %2 \"p0\": real [B, 3]\ninput %3 \"q0\": real [B, 3]\ninput %4 \"r0\": real [B]\n"
     "recur \"T\" length T {\n"
     " carry %2 -> %20: real [B, 3]\n carry %3 -> %21: real [B, 3]\n carry %4 -> %22: real [B]\n"
     " class {\n"
     "  arg %10: real [B, 3]\n  arg %11: real [B, 3]\n  arg %12: real [B]\n"
     "  %13: real [B, 3] = tanh(%1[i0, l0, i1])\n"
     "  %14: real [B, 3] = 0.5*%10[i0, i1] + %11[i0, i1]*%13[i0, i1]\n"
     "  %15: real [B, 3] = 0.25*%11[i0, i1] - %14[i0, i1]*%1[i0, l0, 2 - i1]\n"
     "  %16: real [B] = sum [i1: 3] %15[i0, i1]*%10[i0, i1]\n"
     "  %17: real [B] = 0.9*%12[i0] + %16[i0]\n"
     "  %18: real [B] = exp(-%12[i0]*%12[i0])\n"
     "  next %14\n  next %15\n  next %17\n"
     "  out %18 axis 1 -> %23: real [B, T]\n"
     "  out %13 axis 1 -> %24: real [B, T, 3]\n"
     "  out %11 axis 2 -> %25: real [B, 3, T]\n"
     " }\n}\n"
     "output result \"a\" %23\noutput result \"b\" %24\noutput result \"c\" %25\n"
     "output result \"p\" %20\noutput result \"q\" %21\noutput result \"r\" %22\n",
     2},
    {"sums over the axis",
     "graph \"g\"\naxis B, T\n"
     "input %1 \"x\": real [B, T, 3]\ninput %2 \"p0\": real [3, 3]\ninput %3 \"q0\": real [B]\n"
     "input %4 \"m\": int [T] below 2\n"
     "recur \"T\" length T reverse {\n"
     " carry %2 -> %20: real [3, 3]\n carry %3 -> %21: real [B]\n class {\n"
     "  arg %10: real [3, 3]\n  arg %11: real [B]\n"
     "  %12: real [3, 3] = sum [i2: B] %1[i2, l0, i0]*%1[i2, l0, i1]\n"
     "  %13: real [3, 3] = %10[i0, i1] + %12[i0, i1]\n"
     "  %14: real [3, 3] = %13[i0, i1] - %12[i1, i0]*real(l0)\n"
     "  %15: real [B] = select(%4[l0] == 1, %11[i0] + %1[i0, l0, 0], %11[i0])\n"
     "  next %14\n  next %15\n"
     " }\n}\n"
     "output result \"p\" %20\noutput result \"q\" %21\n",
     0},
    {"carried values off any cycle",
     "graph \"g\"\naxis B, T\n"
     "input %1 \"x\": real [B, T]\ninput %2 \"p0\": real [B]\ninput %3 \"q0\": real [B]\n"
     "input %4 \"c\": real [B]\n"
     "recur \"T\" length T {\n"
     " carry %2 -> %20: real [B]\n carry %3 -> %21: real [B]\n carry %4 -> %22: real [B]\n"
     " class {\n"
     "  arg %10: real [B]\n  arg %11: real [B]\n  arg %12: real [B]\n"
     "  %13: real [B] = %1[i0, l0]*%12[i0]\n"
     "  %14: real [B] = %10[i0] + %11[i0]\n"
     "  next %13\n  next %10\n  next %12\n"
     "  out %14 axis 1 -> %23: real [B, T]\n  out %11 axis 0 -> %24: real [T, B]\n"
     "  out %12 axis 0 -> %25: real [T, B]\n"
     " }\n}\n"
     "output result \"a\" %23\noutput result \"b\" %24\noutput result \"k\" %25\n"
     "output result \"p\" %20\noutput result \"q\" %21\noutput result \"c1\" %22\n",
     0},
    {"reverse, with delays",
     "graph \"g\"\naxis B, T\n"
     "input %1 \"x\": real [B, T, 3]\ninput %2 \"d0\": real [2, B, 3]\n"
     "input %3 \"s0\": real [B, 3]\n"
     "recur \"T\" length T reverse {\n"
     " carry %3 -> %20: real [B, 3]\n class {\n"
     "  arg %10: real [B, 3]\n"
     "  %11: real [2, B, 3] = delay %12 init %2 -> %21: real [2, B, 3]\n"
     "  %12: real [B, 3] = %1[i0, l0, i1]*real(l0 + 1)\n"
     "  %13: real [B, 3] = 0.5*%10[i0, i1] + %11[1, i0, i1]\n"
     "  %14: real [2, B, 3] = delay %13 init %2 -> %22: real [2, B, 3]\n"
     "  %15: real [B, 3] = %14[0, i0, i1] - %14[1, i0, i1]\n"
     "  next %13\n"
     "  out %13 axis 1 -> %23: real [B, T, 3]\n  out %15 axis 1 -> %24: real [B, T, 3]\n"
     " }\n}\n"
     "output result \"s\" %20\noutput result \"d\" %21\noutput result \"e\" %22\n"
     "output result \"y\" %23\n"
     "output result \"z\" %24\n",
     1},
    {"a delay on a cycle",
     "graph \"g\"\naxis B, T\n"
     "input %1 \"x\": real [B, T]\ninput %2 \"d0\": real [3, B]\ninput %3 \"e0\": real [1, B]\n"
     "input %4 \"s0\": real [B]\n"
     "recur \"T\" length T {\n"
     " carry %4 -> %20: real [B]\n class {\n"
     "  arg %10: real [B]\n"
     "  %11: real [3, B] = delay %13 init %2 -> %21: real [3, B]\n"
     "  %12: real [1, B] = delay %14 init %3 -> %22: real [1, B]\n"
     "  %13: real [B] = 0.5*%11[2, i0] + %1[i0, l0] + 0.1*%12[0, i0]\n"
     "  %14: real [B] = sin(%13[i0]) + 0.3*%10[i0]\n"
     "  next %14\n"
     "  out %13 axis 1 -> %23: real [B, T]\n  out %11 axis 2 -> %24: real [3, B, T]\n"
     " }\n}\n"
     "output result \"s\" %20\noutput result \"d\" %21\noutput result \"e\" %22\n"
     "output result \"y\" %23\n"
     "output result \"z\" %24\n",
     1},
    {"a recurrence inside, hoisted",
     "graph \"g\"\naxis B, T, P\n"
     "input %1 \"x\": real [B, T, P]\ninput %2 \"s0\": real [B, 2]\ninput %3 \"u\": real [2]\n"
     "recur \"T\" length T {\n class {\n"
     "  %10: real [B, P] = %1[i0, l0, i1]*2.0\n"
     "  %11: real [B, 2] = %2[i0, i1] + %10[i0, 0]\n"
     "  recur \"P\" length P {\n"
     "   carry %11 -> %12: real [B, 2]\n   carry %2 -> %13: real [B, 2]\n   class {\n"
     "    arg %14: real [B, 2]\n    arg %15: real [B, 2]\n"
     "    %16: real [2] = %3[i0]*real(l1)\n"
     "    %17: real [B, 2] = 0.5*%14[i0, i1] + %10[i0, l1]*%16[i1] + real(l0)\n"
     "    %18: real [B, 2] = 0.5*%15[i0, i1] + 1.0\n"
     "    next %17\n    next %18\n"
     "    out %17 axis 2 -> %19: real [B, 2, P]\n    out %16 axis 0 -> %20: real [P, 2]\n"
     "   }\n  }\n"
     "  %21: real [B, 2] = %12[i0, i1] + %13[i0, i1]\n"
     "  out %19 axis 1 -> %22: real [B, T, 2, P]\n  out %21 axis 1 -> %23: real [B, T, 2]\n"
     "  out %20 axis 2 -> %24: real [P, 2, T]\n"
     " }\n}\n"
     "output result \"a\" %22\noutput result \"b\" %23\noutput result \"c\" %24\n",
     2},
    {"a recurrence inside, on the cycle",
     "graph \"g\"\naxis B, T, P\n"
     "input %1 \"x\": real [B, T, P]\ninput %2 \"s0\": real [B]\ninput %3 \"d0\": real [1, B]\n"
     "recur \"T\" length T {\n carry %2 -> %30: real [B]\n class {\n"
     "  arg %9: real [B]\n"
     "  %8: real [1, B] = delay %10 init %3\n"
     "  %10: real [B] = %1[i0, l0, 0]\n"
     "  recur \"P\" length P {\n"
     "   carry %9 -> %12: real [B]\n   class {\n"
     "    arg %14: real [B]\n"
     "    %17: real [B] = 0.5*%14[i0] + %1[i0, l0, l1] + %8[0, i0]\n"
     "    next %17\n"
     "    out %17 axis 1 -> %19: real [B, P]\n"
     "   }\n  }\n"
     "  next %12\n  out %19 axis 1 -> %22: real [B, T, P]\n"
     " }\n}\n"
     "output result \"a\" %22\noutput result \"s\" %30\n",
     2},
    {"inside a layer loop",
     "graph \"g\"\naxis B, T\n"
     "input %1 \"x\": real [B, T, 3]\ninput %2 \"s0\": real [2, B, 3]\n"
     "input %3 \"d0\": real [2, 1, B, 3]\n"
     "recur \"layers\" length 2 layers {\n carry %1 -> %30: real [B, T, 3]\n class 0, 1 {\n"
     "  arg %9: real [B, T, 3]\n"
     "  %5: real [B, 3] = %2[p0, i0, i1]\n  %6: real [1, B, 3] = %3[p0, i0, i1, i2]\n"
     "  recur \"T\" length T {\n   carry %5 -> %20: real [B, 3]\n   class {\n"
     "    arg %10: real [B, 3]\n"
     "    %11: real [1, B, 3] = delay %12 init %6 -> %21: real [1, B, 3]\n"
     "    %12: real [B, 3] = %9[i0, l1, i1]*real(l0 + 1)\n"
     "    %13: real [B, 3] = 0.5*%10[i0, i1] + %11[0, i0, i1] - %12[i0, i1]\n"
     "    next %13\n    out %13 axis 1 -> %22: real [B, T, 3]\n"
     "   }\n  }\n"
     "  %23: real [B, T, 3] = %22[i0, i1, i2] + %9[i0, i1, i2]\n"
     "  next %23\n  out %20 axis 0 -> %31: real [2, B, 3]\n"
     "  out %21 axis 0 -> %32: real [2, 1, B, 3]\n"
     " }\n}\n"
     "output result \"x\" %30\noutput result \"s\" %31\noutput result \"d\" %32\n",
     1},
    {"layers inside a cell, scatter, random",
     "graph \"g\"\naxis B, T\nrandom 1\n"
     "input %1 \"x\": real [B, T, 3]\ninput %2 \"id\": int [B, T] below 4\n"
     "recur \"T\" length T {\n class {\n"
     "  %10: real [B, 3] = %1[i0, l0, i1]*random(0, l0, i0, i1)\n"
     "  %11: real [4] = scatter [i0: B] at [%2[i0, l0]] %10[i0, 0]\n"
     "  recur \"layers\" length 3 layers {\n   carry %10 -> %12: real [B, 3]\n   class 0, 2 {\n"
     "    arg %13: real [B, 3]\n    %14: real [B, 3] = %13[i0, i1] + real(l1*p1 + l0)\n"
     "    next %14\n"
     "    out %13 axis 0 -> %15: real [2, B, 3]\n   }\n   class 1 {\n"
     "    arg %16: real [B, 3]\n    next %16\n   }\n  }\n"
     "  out %11 axis 1 -> %20: real [4, T]\n  out %12 axis 1 -> %21: real [B, T, 3]\n"
     "  out %15 axis 2 -> %22: real [2, B, T, 3]\n"
     " }\n}\n"
     "output result \"a\" %20\noutput result \"b\" %21\noutput result \"c\" %22\n",
     0},
    {"shifted reads on a cycle",
     "graph \"g\"\naxis B, T\n"
     "input %1 \"x\": real [B, T, 3]\ninput %2 \"s0\": real [B, 3]\n"
     "input %3 \"id\": int [T] below 3\n"
     "input %4 \"e\": real [3, 3]\n"
     "recur \"T\" length T {\n carry %2 -> %30: real [B, 3]\n class {\n"
     "  arg %9: real [B, 3]\n"
     "  %10: real [B, 3] = select(l0 > 0, %1[i0, l0 - 1, i1] + %9[i0, i1], 0.5*%9[i0, i1]) + %1[i0, T - 1 - l0, i1]"
     "*%9[i0, i1] + %4[%3[l0], i1]\n"
     "  next %10\n  out %10 axis 1 -> %22: real [B, T, 3]\n"
     " }\n}\n"
     "output result \"a\" %22\noutput result \"s\" %30\n",
     1},
    {"a state read out",
     "graph \"g\"\naxis B, T\n"
     "input %1 \"x\": real [B, T, 3]\ninput %2 \"s0\": real [B, 3, 3]\n"
     "recur \"T\" length T {\n carry %2 -> %30: real [B, 3, 3]\n class {\n"
     "  arg %9: real [B, 3, 3]\n"
     "  %11: real [B, 3] = exp(%1[i0, l0, i1])\n"
     "  %10: real [B, 3, 3] = 0.5*%9[i0, i1, i2] + %11[i0, i1]*%1[i0, l0, i2]\n"
     "  %12: real [B, 3] = %1[i0, l0, i1]*3.0\n"
     "  %13: real [B, 3] = sum [i2: 3] %10[i0, i1, i2]*%12[i0, i2]\n"
     "  next %10\n  out %13 axis 1 -> %22: real [B, T, 3]\n"
     " }\n}\n"
     "output result \"a\" %22\noutput result \"s\" %30\n",
     1},
};

static void check_pass(Arena *a, const char *name, Graph *g, Graph *h, const char *pass) {
    static const int64_t lengths[] = {5, 1, 2};
    if (!verified(h, pass)) return;
    for (int k = 0; k < 3; k++) {
        Axes x = usual;
        x.T = lengths[k];
        if (!agree(a, g, h, x)) {
            FAIL("%s: %s changes the outputs, T = %lld", name, pass, (long long)x.T);
            show(g);
            show(h);
            return;
        }
    }
}

static char *text_of(Graph *g) {
    Text t = text_new(g->arena);
    graph_print(g, &t);
    return t.data;
}

static void test_idempotent(const char *name, Graph *h) {
    Graph *again = graph_simplify(h);
    if (strcmp(text_of(h), text_of(again)) != 0) {
        FAIL("%s: a second simplification changes the graph", name);
        show(h);
        show(again);
    }
}

static void test_distribute(const Case *c) {
    Arena *a = arena_new();
    Graph *g = read_graph(a, c->text), *h = graph_distribute(g);
    check_pass(a, c->name, g, h, "distribute");
    Kinds k = kinds_of(h);
    if (k.n[N_DELAY] || (c->recurs >= 0 && (int)k.axis_recurs != c->recurs)) {
        FAIL("%s: %u recurrences, %u delays are left", c->name, k.axis_recurs, k.n[N_DELAY]);
        show(h);
    }
    Graph *s = graph_simplify(h);
    check_pass(a, c->name, g, s, "distribute and simplify");
    test_idempotent(c->name, s);
    Graph *t = graph_distribute(graph_simplify(g));
    check_pass(a, c->name, g, t, "simplify and distribute");
    check_pass(a, c->name, g, graph_distribute(t), "distribute twice");
    arena_free(a);
}

/* ---- simplification -------------------------------------------------------------------------- */

typedef struct Simpler {
    const char *name, *text;
    uint32_t n[3];           /* equations, scatters, recurrences that are left */
    const char *has, *hasnt; /* in the text, or NULL */
} Simpler;

#define TOP "graph \"g\"\naxis B, T\ninput %1 \"x\": real [B, T, 6]\ninput %2 \"w\": real [6, 6]\n"

static const Simpler simpler[] = {
    {"a sum of a sum",
     TOP "%3: real [B, T, 6] = sum [i3: 6] %1[i0, i1, i3]*%2[i2, i3]\n"
         "%4: real [B, 6] = sum [i2: T] %3[i0, i2, i1]\n"
         "%5: real [6, B] = %4[i1, i0]\noutput result \"y\" %5\n",
     {1, 0, 0},
     "sum[i2: T, i3: 6]",
     NULL},
    {"a sum with another reader stays",
     TOP "%3: real [B, T, 6] = sum [i3: 6] %1[i0, i1, i3]*%2[i2, i3]\n"
         "%4: real [B, 6] = sum [i2: T] %3[i0, i2, i1]\n"
         "output result \"y\" %4\noutput result \"z\" %3\n",
     {2, 0, 0},
     NULL,
     NULL},
    {"a maximum of a sum stays two",
     TOP "%3: real [B, T, 6] = sum [i3: 6] %1[i0, i1, i3]*%2[i2, i3]\n"
         "%4: real [B, 6] = max [i2: T] %3[i0, i2, i1]\noutput result \"y\" %4\n",
     {2, 0, 0},
     NULL,
     NULL},
    {"a sum over a scatter",
     "graph \"g\"\naxis B, T\ninput %1 \"x\": real [B, T, 6]\ninput %2 \"id\": int [B, T] below 4\n"
     "%3: real [4, T, 6] = scatter [i0: B, i1: T, i2: 6] at [%2[i0, i1], i1, i2] %1[i0, i1, i2]\n"
     "%4: real [6, 4] = sum [i2: T] %3[i1, i2, i0]\noutput result \"y\" %4\n",
     {0, 1, 0},
     NULL,
     NULL},
    {"views",
     TOP "%3: real [B, T, 2, 3] = %1[i0, i1, i2*3 + i3]\n"
         "%4: real [B, T, 3, 2] = %3[i0, i1, i3, i2]\n"
         "%5: real [B, T, 6] = %4[i0, i1, i2%3, i2//3]\n"
         "%6: real [B, T, 6] = exp(%5[i0, i1, i2])\n"
         "%7: real [B, T] = sum [i2: 6] %5[i0, i1, i2]*%6[i0, i1, i2]\n"
         "output result \"y\" %6\noutput result \"z\" %7\n",
     {2, 0, 0},
     "%1[i0, i1, i2]*%",
     "//"},
    {"equal equations, one after a view",
     TOP
     "%3: real [B, T, 6] = exp(%1[i0, i1, i2])\n%4: real [B, T, 6] = %1[i0, i1, i2]\n"
     "%5: real [B, T, 6] = exp(%4[i0, i1, i2])\n"
     "%6: real [B, T, 6] = tanh(%3[i0, i1, i2])\n%7: real [B, T, 6] = tanh(%5[i0, i1, i2])\n"
     "output result \"a\" %6\noutput result \"b\" %7\noutput result \"c\" %5\n",
     {2, 0, 0},
     NULL,
     NULL},
    {"one reader at as many points",
     TOP
     "%3: real [B, T, 6] = exp(%1[i0, i1, i2])\n%4: real [B, T] = sum [i2: 6] %3[i0, i1, i2]\n"
     "output result \"a\" %4\n",
     {1, 0, 0},
     NULL,
     NULL},
    {"one reader at more points",
     TOP
     "%3: real [B, T, 6] = exp(%1[i0, i1, i2])\n"
     "%4: real [B, T, 6] = sum [i3: 6] %2[i2, i3]*%3[i0, i1, i3]\noutput result \"a\" %4\n",
     {2, 0, 0},
     NULL,
     NULL},
    {"one reader inside a loop",
     TOP
     "%3: real [B, T, 6] = exp(%1[i0, i1, i2])\n"
     "recur \"l\" length 2 layers {\n carry %1 -> %9: real [B, T, 6]\n class 0, 1 {\n"
     "  arg %4: real [B, T, 6]\n"
     "  %5: real [B, T, 6] = %4[i0, i1, i2] + %3[i0, i1, i2]\n  next %5\n }\n}\n"
     "output result \"a\" %9\n",
     {2, 0, 1},
     NULL,
     NULL},
    {"carried values that are constant, equal or dead",
     TOP
     "%3: real [B, T, 6] = exp(%1[i0, i1, i2])\n"
     "recur \"l\" length 2 layers {\n"
     " carry %1 -> %20: real [B, T, 6]\n carry %3 -> %21: real [B, T, 6]\n"
     " carry %1 -> %22: real [B, T, 6]\n carry %3 -> %23: real [B, T, 6]\n"
     " class 0 {\n  arg %4: real [B, T, 6]\n  arg %5: real [B, T, 6]\n  arg %6: real [B, T, 6]\n"
     "  arg %7: real [B, T, 6]\n"
     "  %8: real [B, T, 6] = sin(%4[i0, i1, i2]) + %5[i0, i1, i2]\n"
     "  %9: real [B, T, 6] = sin(%7[i0, i1, i2])\n"
     "  next %8\n  next %5\n  next %8\n  next %9\n  out %9 axis 0 -> %30: real [1, B, T, 6]\n }\n"
     " class 1 {\n  arg %10: real [B, T, 6]\n  arg %11: real [B, T, 6]\n"
     "  arg %12: real [B, T, 6]\n  arg %13: real [B, T, 6]\n"
     "  %14: real [B, T, 6] = cos(%10[i0, i1, i2]) - %12[i0, i1, i2]\n"
     "  next %14\n  next %3\n  next %14\n  next %13\n }\n}\n"
     "output result \"a\" %20\noutput result \"b\" %21\noutput result \"c\" %22\n",
     {3, 0, 1},
     NULL,
     "%13"},
    {"algebra",
     TOP
     "%3: real [B, T, 6] = -(-%1[i0, i1, i2])^2*1.0 + 0.0 + -(%2[i2, 0]/4.0) - -%2[0, i2]\n"
     "%4: real [B, T, 6] = select(not (%3[i0, i1, i2] < 0.0), "
     "max(%1[i0, i1, i2], %1[i0, i1, i2]), %1[i0, i1, i2]/-1.0*-1.0)\n"
     "output result \"a\" %3\noutput result \"b\" %4\n",
     {2, 0, 0},
     "%2[i2, 0]*0.25 + %2[0, i2]",
     "not"},
    {"conditions decided by ranges",
     TOP
     "%3: real [B, T, 6] = select(i1 < T and i2 >= 0 and i0*6 + i2 < 6*B, %1[i0, i1, i2], %2[i2, 7])\n"
     "%4: real [B, T, 6] = select(i2 < 6, %3[i0, i1, (i2 + 6)//6*6 - 6 + i2%6], 1.0) + 1.0\n"
     "output result \"b\" %4\n",
     {1, 0, 0},
     "%1[i0, i1, i2] + 1.0",
     "select"},
};

static void test_simplify(const Simpler *c) {
    Arena *a = arena_new();
    Graph *g = read_graph(a, c->text), *h = graph_simplify(g);
    check_pass(a, c->name, g, h, "simplify");
    test_idempotent(c->name, h);
    Kinds k = kinds_of(h);
    uint32_t have[3] = {k.n[N_EQ], k.n[N_SCATTER], k.n[N_RECUR]};
    const char *text = text_of(h);
    if (memcmp(have, c->n, sizeof have) != 0 || (c->has && !strstr(text, c->has)) ||
        (c->hasnt && strstr(text, c->hasnt))) {
        FAIL("%s: %u equations, %u scatters, %u recurrences are left", c->name, have[0], have[1],
             have[2]);
        show(h);
    }
    arena_free(a);
}

/* ---- random cells ---------------------------------------------------------------------------- */

/* A body of values [B, 3] (wide) and [B]; what may be read grows as nodes are made. */
typedef struct Maker {
    Graph *g;
    uint64_t seed;
    Size B, T, three, dims[2];
    Value x, gate; /* inputs [B, T, 3], int [T] */
    uint32_t level;
    Value wide[40], thin[40], delay[4];
    uint32_t n_wide, n_thin, n_delay;
    uint32_t depth[4];
} Maker;

static uint32_t pick(Maker *m, uint32_t n) {
    m->seed = m->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(m->seed >> 33) % n;
}

static ExprId counter(Maker *m) { return expr_lvl(m->g, m->level); }

/* One number at own indices i0 (batch) and `k` (0..2). */
static ExprId random_leaf(Maker *m, ExprId k) {
    Graph *g = m->g;
    ExprId b = expr_idx(g, 0), t = counter(m), subs[3] = {b, t, k};
    switch (pick(m, 8)) {
    case 0: return expr_read(g, m->x, subs, 3);
    case 1: /* one step behind, one ahead, or from the other end */
        if (pick(m, 2)) {
            subs[1] = expr_fn2(g, F_sub, t, expr_int(g, 1));
            return expr_select(g, expr_fn2(g, F_ge, t, expr_int(g, 1)), expr_read(g, m->x, subs, 3),
                               expr_num(g, 0.5));
        }
        subs[1] = expr_fn2(g, F_sub, expr_fn2(g, F_sub, expr_size(g, m->T), expr_int(g, 1)), t);
        return expr_read(g, m->x, subs, 3);
    case 2:
        if (m->n_delay) {
            uint32_t d = pick(m, m->n_delay);
            subs[0] = expr_int(g, (int64_t)pick(m, m->depth[d]));
            subs[1] = b;
            return expr_read(g, m->delay[d], subs, 3);
        }
        return expr_num(g, 0.25 * (double)pick(m, 5));
    case 3:
        if (m->n_thin) return expr_read(g, m->thin[pick(m, m->n_thin)], &b, 1);
        return expr_real(g, t);
    case 4: return expr_real(g, pick(m, 2) ? t : k);
    default:
        subs[1] = k;
        return m->n_wide ? expr_read(g, m->wide[pick(m, m->n_wide)], subs, 2) : expr_num(g, 1);
    }
}

static ExprId random_expr(Maker *m, ExprId k, uint32_t depth) {
    Graph *g = m->g;
    if (depth == 0) return random_leaf(m, k);
    ExprId a = random_expr(m, k, depth - 1), b = random_expr(m, k, pick(m, depth));
    switch (pick(m, 7)) {
    case 0: return expr_fn2(g, F_add, a, b);
    case 1: return expr_fn2(g, F_sub, a, b);
    case 2: return expr_fn1(g, F_tanh, expr_fn2(g, F_mul, a, b));
    case 3: return expr_fn1(g, F_sin, a);
    case 4: return expr_fn2(g, F_mul, expr_num(g, 0.5), a);
    case 5: {
        ExprId t = counter(m);
        return expr_select(g, expr_fn2(g, F_eq, expr_read(g, m->gate, &t, 1), expr_int(g, 1)), a,
                           b);
    }
    default: return expr_fn1(g, F_tanh, a);
    }
}

static void random_node(Maker *m, Block *b) {
    Graph *g = m->g;
    Loc at = {0};
    Size three = m->three;
    switch (pick(m, 4)) {
    case 0:
        m->thin[m->n_thin++] = graph_eq(g, b, m->dims, 1, RED_SUM, &three, 1,
                                        random_expr(m, expr_idx(g, 1), 2), m->level + 1, NULL, at);
        break;
    case 1: {
        ExprId subs[2] = {expr_idx(g, 0), expr_idx(g, 1)};
        ExprId e = random_expr(m, expr_idx(g, 1), 2);
        if (pick(m, 2)) subs[1] = expr_fn2(g, F_sub, expr_int(g, 2), subs[1]);
        m->wide[m->n_wide++] = graph_scatter(g, b, m->dims, 2, m->dims, 2, subs, expr_real(g, e),
                                             m->level + 1, NULL, at);
        break;
    }
    default:
        m->wide[m->n_wide++] =
            graph_eq(g, b, m->dims, 2, RED_NONE, NULL, 0,
                     expr_real(g, random_expr(m, expr_idx(g, 1), 3)), m->level + 1, NULL, at);
    }
}

/* An inner run over three positions, from a value of the body; `twice`: it may also read the
 * counter around. */
static void random_inner(Maker *m, Block *b) {
    Graph *g = m->g;
    Loc at = {0};
    uint32_t level = m->level, n_wide = m->n_wide, n_thin = m->n_thin;
    if (!m->n_wide) return;
    NodeId r = graph_recur_begin(g, m->three, "J", pick(m, 2), false, level + 1, at);
    graph_recur_carry(g, r, m->wide[pick(m, m->n_wide)], "inner");
    graph_recur_class(g, r, NULL, 0);
    RecurClass *c = &graph_node(g, r)->recur->classes.data[0];
    m->wide[m->n_wide++] = c->args[0];
    ExprId e = random_expr(m, expr_idx(g, 1), 2), j = expr_lvl(g, level + 1);
    e = expr_fn1(g, F_tanh, expr_fn2(g, F_add, e, expr_real(g, j)));
    Value v =
        graph_eq(g, &c->body, m->dims, 2, RED_NONE, NULL, 0, expr_real(g, e), level + 2, NULL, at);
    m->wide[m->n_wide++] = v;
    ExprId f = random_expr(m, expr_idx(g, 1), 2);
    Value w =
        graph_eq(g, &c->body, m->dims, 2, RED_NONE, NULL, 0, expr_real(g, f), level + 2, NULL, at);
    graph_recur_next(g, r, 0, 0, pick(m, 2) ? v : w);
    Value stacked = graph_recur_out(g, r, 0, w, 1 + pick(m, 2));
    graph_recur_end(g, r, b);
    m->n_wide = n_wide;
    m->n_thin = n_thin;
    m->wide[m->n_wide++] = graph_node(g, r)->recur->carry.data[0].final;
    ExprId subs[3] = {expr_idx(g, 0), expr_int(g, 1), expr_idx(g, 1)};
    m->wide[m->n_wide++] = graph_eq(g, b, m->dims, 2, RED_NONE, NULL, 0,
                                    expr_read(g, stacked, subs, 3), level + 1, NULL, at);
}

static Value real_input(Graph *g, const char *name, const Size *dims, uint32_t rank) {
    return graph_input(g, name, T_REAL, ST_DEFAULT, dims, rank, (Loc){0});
}

static void start_maker(Maker *m, Arena *a, uint64_t seed) {
    Names *names = names_new(a);
    Sizes *sizes = sizes_new(a);
    *m = (Maker){.g = graph_new(a, names, sizes, "random"), .seed = seed * 77 + 5};
    m->B = size_axis(sizes, "B", 1);
    m->T = size_axis(sizes, "T", 1);
    m->three = size_num(sizes, 3);
    m->dims[0] = m->B;
    m->dims[1] = m->three;
    Size x[3] = {m->B, m->T, m->three};
    m->x = real_input(m->g, "x", x, 3);
    m->gate = graph_input(m->g, "gate", T_INT, ST_DEFAULT, &m->T, 1, (Loc){0});
    m->g->inputs.data[1].below = 2;
}

static void random_delays(Maker *m, NodeId r) {
    Graph *g = m->g;
    uint32_t n = pick(m, 3);
    for (uint32_t k = 0; k < n; k++) {
        Size dims[3] = {size_num(g->sizes, 1 + pick(m, 3)), m->B, m->three};
        int64_t depth = 1;
        size_is_num(g->sizes, dims[0], &depth);
        Value init = real_input(g, k ? "d1" : "d0", dims, 3);
        m->depth[k] = (uint32_t)depth;
        m->delay[k] = graph_delay(g, r, 0, 0, init, (uint32_t)depth, NULL, (Loc){0});
        if (pick(m, 2)) graph_delay_final(g, m->delay[k]);
        m->n_delay++;
    }
}

static void random_outputs(Maker *m, NodeId r) {
    Graph *g = m->g;
    const RecurClass *c = &graph_node(g, r)->recur->classes.data[0];
    for (uint32_t o = 0; o < c->outs.n; o++)
        graph_output(g, OUT_RESULT, "out", c->outs.data[o].result, 0);
    const Recur *recur = graph_node(g, r)->recur;
    for (uint32_t k = 0; k < recur->carry.n; k++)
        graph_output(g, OUT_RESULT, "final", recur->carry.data[k].final, 0);
    for (uint32_t k = 0; k < m->n_delay; k++) {
        Value f = graph_node(g, graph_value(g, m->delay[k])->node)->final;
        if (f) graph_output(g, OUT_RESULT, "line", f, 0);
    }
}

static Graph *random_cell(Arena *a, uint64_t seed) {
    static const char *const start[] = {"s0", "s1", "s2"};
    Maker m;
    start_maker(&m, a, seed);
    Graph *g = m.g;
    NodeId r = graph_recur_begin(g, m.T, "T", pick(&m, 2), false, 0, (Loc){0});
    uint32_t n_carry = pick(&m, 4), n_nodes = 3 + pick(&m, 6);
    for (uint32_t k = 0; k < n_carry; k++)
        graph_recur_carry(g, r, real_input(g, start[k], m.dims, 2), start[k]);
    graph_recur_class(g, r, NULL, 0);
    RecurClass *c = &graph_node(g, r)->recur->classes.data[0];
    for (uint32_t k = 0; k < n_carry; k++) m.wide[m.n_wide++] = c->args[k];
    random_delays(&m, r);
    for (uint32_t k = 0; k < n_nodes; k++) random_node(&m, &c->body);
    if (pick(&m, 2)) random_inner(&m, &c->body);
    random_node(&m, &c->body);
    while (m.n_wide <= n_carry) random_node(&m, &c->body);
    for (uint32_t k = 0; k < n_carry; k++) {
        Value next = m.wide[pick(&m, m.n_wide)];
        if (pick(&m, 3) == 0) { /* something that only adds up */
            ExprId subs[2] = {expr_idx(g, 0), expr_idx(g, 1)};
            ExprId e =
                expr_fn2(g, F_add, expr_read(g, c->args[k], subs, 2), expr_read(g, next, subs, 2));
            next = graph_eq(g, &c->body, m.dims, 2, RED_NONE, NULL, 0, e, 1, NULL, (Loc){0});
        }
        graph_recur_next(g, r, 0, k, next);
    }
    for (uint32_t k = 0; k < m.n_delay; k++)
        graph_node(g, graph_value(g, m.delay[k])->node)->source = m.wide[pick(&m, m.n_wide)];
    for (uint32_t k = 0; k < 3; k++)
        graph_recur_out(g, r, 0, m.wide[pick(&m, m.n_wide)], pick(&m, 3));
    if (m.n_thin) graph_recur_out(g, r, 0, m.thin[pick(&m, m.n_thin)], pick(&m, 2));
    graph_recur_end(g, r, &g->top);
    random_outputs(&m, r);
    return g;
}

static void test_random(uint64_t seed) {
    Arena *a = arena_new();
    char name[40];
    snprintf(name, sizeof name, "random %llu", (unsigned long long)seed);
    Graph *g = random_cell(a, seed);
    if (verified(g, name)) {
        Graph *h = graph_distribute(g), *s = graph_simplify(h),
              *t = graph_distribute(graph_simplify(g));
        check_pass(a, name, g, h, "distribute");
        check_pass(a, name, g, s, "distribute and simplify");
        check_pass(a, name, g, t, "simplify and distribute");
        test_idempotent(name, s);
        if (kinds_of(h).n[N_DELAY]) FAIL("%s: delays are left", name);
    }
    arena_free(a);
}

int main(int argc, char **argv) {
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 150;
    for (size_t i = 0; i < sizeof distributions / sizeof *distributions; i++)
        test_distribute(&distributions[i]);
    for (size_t i = 0; i < sizeof simpler / sizeof *simpler; i++) test_simplify(&simpler[i]);
    for (uint64_t seed = 0; seed < n && failures < 3; seed++) test_random(seed);
    return failures != 0;
}
