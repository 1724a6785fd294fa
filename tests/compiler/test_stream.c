/* Streaming: which graphs may be run step by step; steps one after another give what a whole run
 * gives, states included; prefill gives the last row. */
#include "tests/compiler/passes.h"

#include "compiler/stream.h"

static const Axes usual = {2, 5, 3};

/* ---- graphs that stream ---------------------------------------------------------------------- */

#define HEAD "graph \"g\"\naxis B, T, P\n"

static const char *const streaming[] = {
    /* delays of depth 1 and 3, a state, rows before and after */
    HEAD
    "input %1 \"x\": int [B, T] below 4\ninput %2 \"w\": real [4, 3]\n"
    "state %3: real [B, 3] family 0 {\n member \"S\"\n}\n"
    "state %4: real [1, B, 3] family 0 {\n member \"a\"\n}\n"
    "state %5: real [3, B, 3] family 0 delay {\n member \"b\"\n}\n"
    "%10 \"e\": real [B, T, 3] = %2[%1[i0, i1], i2]\n"
    "%11: real [B, T] = sum [i2: 3] %10[i0, i1, i2]\n"
    "recur \"T\" length T {\n carry %3 -> %20: real [B, 3]\n class {\n"
    "  arg %12: real [B, 3]\n"
    "  %13: real [1, B, 3] = delay %15 init %4 -> %21: real [1, B, 3]\n"
    "  %14: real [3, B, 3] = delay %16 init %5 -> %22: real [3, B, 3]\n"
    "  %15: real [B, 3] = %10[i0, l0, i1] + %11[i0, l0]\n"
    "  %16: real [B, 3] = %12[i0, i1]*0.5 + %13[0, i0, i1]\n"
    "  %17: real [B, 3] = sum [i2: 3] %14[2 - i2, i0, i1]*real(i2) + %16[i0, i1]\n"
    "  next %16\n  out %17 axis 1 -> %18: real [B, T, 3]\n }\n}\n"
    "%19: real [B, T, 4] = sum [i3: 3] %2[i2, i3]*tanh(%18[i0, i1, i3])\n"
    "output result \"y\" %19\noutput state \"S\" %20\noutput state \"a\" %21 index 1\n"
    "output state \"b\" %22 index 2\n",
    /* layers with a family of states, a recurrence in each */
    HEAD
    "input %1 \"x\": real [B, T, 3]\n"
    "state %3: real [2, B, 3] family 1 {\n member \"l.0.S\" at 0\n member \"l.1.S\" at 1\n}\n"
    "state %4: real [2, 1, B, 3] family 1 {\n member \"l.0.x\" at 0\n member \"l.1.x\" at 1\n}\n"
    "recur \"layers\" length 2 layers {\n carry %1 -> %30: real [B, T, 3]\n class 0, 1 {\n"
    "  arg %9: real [B, T, 3]\n"
    "  %5: real [B, 3] = %3[p0, i0, i1]\n  %6: real [1, B, 3] = %4[p0, i0, i1, i2]\n"
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
    "output result \"y\" %30\noutput state \"S\" %31\noutput state \"d\" %32 index 1\n",
    /* a prefix before the text, a recurrence over both */
    HEAD "input %1 \"x\": real [B, T, 3]\ninput %2 \"image\": real [B, P, 3]\n"
         "state %3: real [B, 3] family 0 {\n member \"S\"\n}\n"
         "%10: real [B, P, 3] = %2[i0, i1, i2]*%2[i0, i1, i2]\n"
         "%11: real [B, P + T, 3] = select(i1 < P, %10[i0, i1, i2], %1[i0, i1 - P, i2])\n"
         "recur \"P + T\" length P + T {\n carry %3 -> %20: real [B, 3]\n class {\n"
         "  arg %12: real [B, 3]\n"
         "  %13: real [B, 3] = 0.5*%12[i0, i1] + %11[i0, l0, i1]\n"
         "  next %13\n  out %13 axis 1 -> %14: real [B, P + T, 3]\n }\n}\n"
         "%15: real [B, T, 3] = %14[i0, i1 + P, i2]*2.0\n"
         "output result \"y\" %15\noutput state \"S\" %20\n",
    /* positions as numbers: in a table without a batch, in a recurrence, in a value of its own */
    HEAD
    "input %1 \"x\": real [B, T, 3]\ninput %2 \"f\": real [3]\n"
    "state %3: real [B, 3] family 0 {\n member \"S\"\n}\n"
    "%10: real [T, 3] = cos(real(i0)*%2[i1])\n"
    "%11: real [B, T, 3] = %1[i0, i1, i2]*%10[i1, i2]\n"
    "recur \"T\" length T {\n carry %3 -> %20: real [B, 3]\n class {\n"
    "  arg %12: real [B, 3]\n"
    "  %13: real [B, 3] = 0.5*%12[i0, i1] + %11[i0, l0, i1]*real(l0)\n"
    "  next %13\n  out %13 axis 1 -> %14: real [B, T, 3]\n }\n}\n"
    "recur \"layers\" length 2 layers {\n carry %10 -> %40: real [T, 3]\n class 0, 1 {\n"
    "  arg %41: real [T, 3]\n  %42: real [T, 3] = %41[i0, i1] + real(l0)\n  next %42\n"
    "  out %42 axis 1 -> %43: real [T, 2, 3]\n }\n}\n"
    "%15: real [B, T, 3] = %14[i0, i1, i2] + select(i1 < 2, 10.0, %40[i1, i2]) + %43[i1, 1, i2]\n"
    "output result \"y\" %15\noutput state \"S\" %20\n",
    /* positions with a prefix */
    HEAD "input %1 \"x\": real [B, T, 3]\ninput %2 \"image\": real [B, P, 3]\n"
         "state %3: real [B, 3] family 0 {\n member \"S\"\n}\n"
         "%11: real [B, P + T, 3] = select(i1 < P, %2[i0, i1, i2], %1[i0, i1 - P, i2]*real(i1))\n"
         "recur \"P + T\" length P + T {\n carry %3 -> %20: real [B, 3]\n class {\n"
         "  arg %12: real [B, 3]\n"
         "  %13: real [B, 3] = 0.5*%12[i0, i1] + %11[i0, l0, i1]\n"
         "  next %13\n  out %13 axis 1 -> %14: real [B, P + T, 3]\n }\n}\n"
         "%15: real [B, T, 3] = %14[i0, i1 + P, i2]\n"
         "output result \"y\" %15\noutput state \"S\" %20\n",
};

/* ---- running step by step -------------------------------------------------------------------- */

static int output_named(Graph *g, const char *name) {
    for (uint32_t i = 0; i < g->outputs.n; i++)
        if (g->outputs.data[i].name && strcmp(g->outputs.data[i].name, name) == 0) return (int)i;
    return -1;
}

/* Items of an input of the whole run for one step: position `at` of its axis 1. */
static Array slice(Arena *a, const Array *x, int64_t at) {
    Array r = {.type = x->type, .rank = (uint8_t)(x->rank - 1)};
    size_t inner = 1;
    r.dims[0] = x->dims[0];
    for (uint32_t k = 2; k < x->rank; k++) {
        r.dims[k - 1] = x->dims[k];
        inner *= (size_t)x->dims[k];
    }
    r.real = NEWN(a, double, items_of(&r) + 1);
    for (size_t b = 0; b < (size_t)x->dims[0]; b++)
        memcpy(r.real + b * inner, x->real + (b * (size_t)x->dims[1] + (size_t)at) * inner,
               inner * sizeof(double));
    return r;
}

typedef struct Run {
    Arena *a;
    Graph *whole, *step;
    Axes axes;
    Array *states; /* by number of the state */
} Run;

static Array copy_of(Arena *a, const Array *x) {
    Array r = *x;
    r.real = arena_copy(a, x->real, items_of(x) * sizeof(double) + 8);
    return r;
}

static Array start_state(Run *r, Graph *g, uint32_t i) {
    Array x = numbers(r->a, g, g->states.data[i].value, g->states.data[i].members.data[0].name, 4,
                      r->axes);
    if (x.type == T_INT) memset(x.ints, 0, items_of(&x) * sizeof *x.ints);
    return x;
}

/* Runs g with the states in r, which it leaves behind; `at`: the step, -1 for a whole run. */
static bool run_with(Run *r, Graph *g, Axes axes, int64_t at, Array *result) {
    Interp *in = interp_for(g, axes);
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const InputInfo *info = &g->inputs.data[i];
        Array *x = NEW(r->a, Array);
        if (at >= 0 && strcmp(info->name, "x") == 0) {
            int w = 0;
            while (strcmp(r->whole->inputs.data[w].name, "x") != 0) w++;
            Array all =
                numbers(r->a, r->whole, r->whole->inputs.data[w].value, "x", info->below, r->axes);
            *x = slice(r->a, &all, at);
        } else if (at < 0 && strcmp(info->name, "x") == 0) { /* a prefix of the whole input */
            Array all = numbers(r->a, g, info->value, "x", info->below, r->axes);
            *x = shape_of(r->a, g, info->value, axes);
            size_t inner = items_of(x) / (size_t)(x->dims[0] * x->dims[1]);
            for (int64_t b = 0; b < x->dims[0]; b++)
                memcpy(x->real + (size_t)(b * x->dims[1]) * inner,
                       all.real + (size_t)(b * all.dims[1]) * inner,
                       (size_t)x->dims[1] * inner * sizeof(double));
        } else {
            *x = numbers(r->a, g, info->value, info->name, info->below, axes);
        }
        bind(in, info->value, x);
    }
    for (uint32_t i = 0; i < g->states.n; i++) bind(in, g->states.data[i].value, &r->states[i]);
    const char *wrong = interp_run(in);
    if (wrong) {
        FAIL("run: %s", wrong);
        show(g);
        interp_free(in);
        return false;
    }
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        const OutputInfo *o = &g->outputs.data[i];
        Array x = copy_of(r->a, interp_get(in, o->value));
        if (o->kind == OUT_STATE)
            r->states[o->index] = x;
        else
            *result = x;
    }
    interp_free(in);
    return true;
}

/* The last position of a whole result [B, T, ...]. */
static bool same_row(Run *r, const Array *whole, const Array *row, int64_t at, const char *what) {
    Array x = slice(r->a, whole, at);
    return same_arrays(&x, row, what);
}

static void check_states(Run *r, const Array *want, const char *what) {
    for (uint32_t i = 0; i < r->whole->states.n; i++)
        if (!same_arrays(&want[i], &r->states[i], r->whole->states.data[i].members.data[0].name))
            FAIL("%s: state %u differs", what, i);
}

static void reset(Run *r) {
    for (uint32_t i = 0; i < r->whole->states.n; i++) r->states[i] = start_state(r, r->whole, i);
}

/* whole(T) against whole(1), step, step ... */
static void check_steps(Arena *a, int which, Graph *whole, Graph *step) {
    Run r = {.a = a, .whole = whole, .step = step, .axes = usual, .states = NEWN(a, Array, 8)};
    Array all = {0}, row = {0}, want[8];
    if (whole->states.n != step->states.n) {
        FAIL("graph %d: %u and %u states", which, whole->states.n, step->states.n);
        return;
    }
    reset(&r);
    if (!run_with(&r, whole, usual, -1, &all)) return;
    memcpy(want, r.states, sizeof want);
    reset(&r);
    Axes first = usual;
    first.T = 1;
    if (!run_with(&r, whole, first, -1, &row)) return;
    Array one = slice(a, &row, 0);
    bool ok = same_row(&r, &all, &one, 0, "first");
    for (int64_t t = 1; ok && t < usual.T; t++)
        ok = run_with(&r, step, usual, t, &row) && same_row(&r, &all, &row, t, "step");
    if (!ok) {
        FAIL("graph %d: step by step is not the whole", which);
        show(whole);
        show(step);
        return;
    }
    check_states(&r, want, "after steps");
}

typedef struct HasAxis {
    const char *axis;
    bool found;
} HasAxis;

static void check_no_axis(Graph *g, NodeId id, void *user) {
    HasAxis *h = user;
    const Node *n = graph_node(g, id);
    if (n->kind == N_RECUR) return;
    for (uint32_t k = 0; k < graph_value(g, n->out)->rank; k++)
        h->found |= size_has_axis(g->sizes, graph_value(g, n->out)->dims[k], h->axis);
}

static void test_streaming(int which) {
    Arena *a = arena_new();
    Graph *g = read_graph(a, streaming[which]);
    StreamError why;
    if (!graph_streams(g, "T", &why)) {
        FAIL("graph %d: %s", which, why.text);
        return;
    }
    Graph *step = graph_step(g, "T"), *whole = graph_position(g, "T");
    if (!verified(step, "step") || !verified(whole, "position")) return;
    HasAxis h = {"T", false};
    graph_each(step, &step->top, check_no_axis, &h);
    if (h.found || output_named(step, "y") < 0) {
        FAIL("graph %d: T is still there", which);
        show(step);
    }
    check_steps(a, which, whole, step);
    Graph *finished = graph_simplify(graph_distribute(whole)),
          *quick = graph_simplify(graph_distribute(step));
    if (verified(finished, "distribute") && verified(quick, "simplify"))
        check_steps(a, which, finished, quick);
    for (uint32_t i = 0; i < quick->inputs.n; i++)
        if (strcmp(quick->inputs.data[i].name, "image") == 0)
            FAIL("graph %d: the prefix is still an input of a step", which);
    Graph *prefill = graph_simplify(graph_prefill(finished, "T"));
    Run r = {.a = a, .whole = whole, .axes = usual, .states = NEWN(a, Array, 8)};
    Array all = {0}, last = {0}, want[8];
    reset(&r);
    if (!verified(prefill, "prefill") || !run_with(&r, whole, usual, -1, &all)) return;
    memcpy(want, r.states, sizeof want);
    reset(&r);
    if (!run_with(&r, prefill, usual, -1, &last) ||
        !same_row(&r, &all, &last, usual.T - 1, "prefill")) {
        FAIL("graph %d: prefill", which);
        show(prefill);
    }
    check_states(&r, want, "after prefill");
    arena_free(a);
}

/* In the first graph only the recurrence needs all rows: what follows it is made for one. */
static void test_prefill_head(void) {
    Arena *a = arena_new();
    Graph *g = graph_distribute(read_graph(a, streaming[0]));
    Graph *p = graph_simplify(graph_prefill(g, "T"));
    const ValueInfo *y = graph_value(p, p->outputs.data[0].value);
    const Node *n = graph_node(p, y->node);
    if (y->rank != 2 || n->kind != N_EQ || n->red != RED_SUM) {
        FAIL("the head of prefill is computed for all rows");
        show(p);
    }
    arena_free(a);
}

/* ---- graphs that do not ---------------------------------------------------------------------- */

typedef struct Refused {
    const char *text, *why;
} Refused;

static const Refused refused[] = {
    {HEAD
     "input %1 \"x\": real [B, T]\n"
     "%2 \"y\": real [B, T] = select(i1 + 1 < T, %1[i0, i1 + 1], 0.0)\noutput result \"y\" %2\n",
     "'y' reads 'x' 1 step ahead of its own position along T"},
    {HEAD
     "input %1 \"x\": real [B, T]\n%2 \"y\": real [B, T] = select(i1 >= 2, %1[i0, i1 - 2], 0.0)\n"
     "output result \"y\" %2\n",
     "'y' reads 'x' 2 steps behind its own position along T; in a cell, prev does that"},
    {HEAD
     "input %1 \"x\": real [B, T]\n%2 \"y\": real [B, T] = %1[i0, T - 1 - i1]\n"
     "output result \"y\" %2\n",
     "'y' reads 'x' at another position along T than its own"},
    {HEAD
     "input %1 \"x\": real [B, T]\n%2 \"m\": real [B] = sum [i1: T] %1[i0, i1]\n"
     "output result \"y\" %2\n",
     "'m' needs all positions of T (sum over it)"},
    {HEAD
     "input %1 \"x\": real [B, T]\n%2 \"last\": real [B] = %1[i0, T - 1]\noutput result \"y\" %2\n",
     "'last' has no axis T but reads 'x' across it"},
    {HEAD
     "input %1 \"x\": real [B, T]\n%2 \"y\": real [B, T] = %1[i0, i1]/real(T)\n"
     "output result \"y\" %2\n",
     "'y' depends on the length T of the whole sequence"},
    {HEAD
     "input %1 \"x\": real [B, T]\n%2 \"y\": real [B, T, T] = %1[i0, i1]*%1[i0, i2]\n"
     "output result \"y\" %2\n",
     "'y' has more of T in its shape than one position a step"},
    {HEAD
     "input %1 \"x\": real [B, T]\ninput %2 \"s\": real [B]\n"
     "recur \"T\" length T reverse {\n carry %2 -> %9: real [B]\n class {\n  arg %3: real [B]\n"
     "  %4: real [B] = %3[i0] + %1[i0, l0]\n  next %4\n  out %4 axis 1 -> %5: real [B, T]\n }\n}\n"
     "output result \"y\" %5\n",
     "a cell runs in reverse along T: its first step needs the last position"},
    {HEAD
     "input %1 \"x\": real [B, T]\ninput %2 \"s\": real [B]\n"
     "recur \"T\" length T {\n carry %2 -> %9 \"end\": real [B]\n class {\n  arg %3: real [B]\n"
     "  %4: real [B] = %3[i0] + %1[i0, l0]\n  next %4\n }\n}\n"
     "%5 \"y\": real [B, T] = %1[i0, i1]*%9[i0]\noutput result \"y\" %5\n",
     "'y' reads 'end', which is known only at the end of T"},
    {HEAD "input %1 \"x\": real [B, T]\ninput %2 \"s\": real [B]\n"
          "recur \"T\" length T {\n carry %2 -> %9: real [B]\n class {\n  arg %3: real [B]\n"
          "  %4 \"y\": real [B] = %3[i0] + select(l0 + 1 < T, %1[i0, l0 + 1], 0.0)\n  next %4\n"
          "  out %4 axis 1 -> %5: real [B, T]\n }\n}\noutput result \"y\" %5\n",
     "'y' reads 'x' 1 step ahead of its own position along T"},
};

static void test_refused(const Refused *r) {
    Arena *a = arena_new();
    Graph *g = read_graph(a, r->text);
    StreamError why;
    if (graph_streams(g, "T", &why))
        FAIL("streams, but: %s", r->why);
    else if (strcmp(why.text, r->why) != 0)
        FAIL("refused because\n  %s, not because\n  %s", why.text, r->why);
    arena_free(a);
}

int main(void) {
    for (int i = 0; i < (int)(sizeof streaming / sizeof *streaming); i++) test_streaming(i);
    test_prefill_head();
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) test_refused(&refused[i]);
    return failures != 0;
}
