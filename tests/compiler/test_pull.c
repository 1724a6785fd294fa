/* The passes of the planner that move equations: readers and neighbours pulled into recurrences, values shared,
 * recurrences run again. A graph before and after has the same outputs, and what was to move has moved, or not. */
#include "tests/compiler/passes.h"

#include "compiler/plan_impl.h"

typedef struct Shape {
    uint32_t outside, inside; /* equations, of bodies of recurrences along axes the latter */
    uint32_t outs, kept;      /* results for every step; for some steps */
    uint32_t again;           /* recurrences that are run again */
    uint32_t reads;           /* equations that read input %1 */
} Shape;

typedef struct Case {
    const char *name, *text;
    Graph *(*pass)(Graph *g, PlanLog *log);
    Shape want;
} Case;

#define OUT(n) "output result \"" #n "\" %" #n "\n"

/* ---- pull ---------------------------------------------------------------------------------------------- */

#define STATE                                                                                      \
    "graph \"g\"\naxis B, T\ninput %1 \"x\": real [B, T, 3]\ninput %2 \"s0\": real [B, 3, 3]\n"    \
    "input %3 \"w\": real [B, T, 3, 3]\n"                                                          \
    "recur \"T\" length T {\n carry %2 -> %20: real [B, 3, 3]\n class {\n"                         \
    "  arg %10: real [B, 3, 3]\n"                                                                  \
    "  %11: real [B, 3, 3] = 0.5*%10[i0, i1, i2] + %1[i0, l0, i1]*%3[i0, l0, i2, i1]\n"            \
    "  next %11\n  out %11 axis 1 -> %22: real [B, T, 3, 3]\n }\n}\n"

#define HEADS                                                                                      \
    "graph \"g\"\naxis B, T\ninput %1 \"x\": real [B, T, 3]\ninput %2 \"s0\": real [B, 2, 3, 3]\n" \
    "recur \"T\" length T {\n carry %2 -> %20: real [B, 2, 3, 3]\n class {\n"                      \
    "  arg %10: real [B, 2, 3, 3]\n"                                                               \
    "  %11: real [B, 2, 3, 3] = 0.5*%10[i0, i1, i2, i3] + %1[i0, l0, i2]*%1[i0, l0, i3]\n"         \
    "  next %11\n  out %11 axis 1 -> %22: real [B, T, 2, 3, 3]\n }\n}\n"

/* ---- replay ----------------------------------------------------------------------------------------------- */

#define BACKWARD                                                                                   \
    "graph \"g\"\naxis B, T\ninput %1 \"x\": real [B, T, 8]\ninput %2 \"s0\": real [B, 8, 8]\n"    \
    "recur \"T\" length T {\n carry %2 -> %20: real [B, 8, 8]\n class {\n"                         \
    "  arg %10: real [B, 8, 8]\n"                                                                  \
    "  %11: real [B, 8, 8] = 0.5*%10[i0, i1, i2] + %1[i0, l0, i1]*%1[i0, l0, i2]\n"                \
    "  next %11\n  out %10 axis 1 -> %22: real [B, T, 8, 8]\n }\n}\n"                              \
    "recur \"T\" length T reverse {\n carry %2 -> %30: real [B, 8, 8]\n class {\n"                 \
    "  arg %31: real [B, 8, 8]\n"                                                                  \
    "  %32: real [B, 8, 8] = 0.25*%31[i0, i1, i2] + %22[i0, l0, i1, i2]*%1[i0, l0, i1]\n"          \
    "  next %32\n }\n}\n" OUT(30)

/* ---- neighbours ------------------------------------------------------------------------------------------- */

/* Equations before it, and what its steps add. */
#define SCAN(before, r)                                                                            \
    "graph \"g\"\naxis B, T\ninput %1 \"x\": real [B, T, 2, 4]\n"                                  \
    "input %2 \"s0\": real [B, 2, 4, 4]\ninput %3 \"z\": real [B, T, 8]\n"                         \
    "input %4 \"w\": real [8, 8]\ninput %5 \"m\": real [3, 8]\n" before                            \
    "recur \"T\" length T {\n carry %2 -> %20: real [B, 2, 4, 4]\n class {\n"                      \
    "  arg %10: real [B, 2, 4, 4]\n"                                                               \
    "  %11: real [B, 2, 4, 4] = 0.5*%10[i0, i1, i2, i3] + " r "\n"                                 \
    "  %12: real [B, 2, 4] = sum [i3: 4] %11[i0, i1, i2, i3]*%1[i0, l0, i1, i3]\n"                 \
    "  next %11\n  out %12 axis 1 -> %22: real [B, T, 2, 4]\n }\n}\n"

#define OWN       "%1[i0, l0, i1, i2]*%1[i0, l0, i1, i3]"
#define ROW(n, m) "%" #n ": real [B, T, 8] = sum [i3: 8] %4[i2, i3]*%" #m "[i0, i1, i3]\n"
#define SPLIT(n)  "%" #n "[i0, l0, i1*4 + i2]"
#define LATER(n, k)                                                                                \
    "%" #n ": real [B, T, 8] = %6[i0, i1, i2] + (select(i1 >= 1, %6[i0, i1 - 1, i2], 0.0) - "      \
    "%6[i0, i1, i2])*%5[" #k ", i2]\n"

/* Every head reads all of what these make. */
#define MIXED                                                                                      \
    SCAN("%6: real [B, T, 8] = tanh(%3[i0, i1, i2])\n" LATER(7, 0) LATER(8, 1) ROW(13, 7)          \
             ROW(14, 8),                                                                           \
         SPLIT(13) "*" SPLIT(14))

/* Rows of length one before it, the mean of a head taken off behind it. */
#define NORMED                                                                                     \
    SCAN("%6: real [B, T, 2] = sum [i3: 4] %1[i0, i1, i2, i3]*%1[i0, i1, i2, i3]\n"                \
         "%7: real [B, T, 2, 4] = %1[i0, i1, i2, i3]/sqrt(%6[i0, i1, i2] + 1)\n",                  \
         "%7[i0, l0, i1, i2]*%7[i0, l0, i1, i3]")                                                  \
    "%30: real [B, T, 2] = sum [i3: 4] %22[i0, i1, i2, i3]\n"                                      \
    "%31: real [B, T, 2, 4] = %22[i0, i1, i2, i3] - %30[i0, i1, i2]/4\n"

#define WIDE(d, n)                                                                                 \
    "graph \"g\"\naxis B, T\ninput %1 \"x\": real [B, T, " d "]\n"                                 \
    "input %2 \"s0\": real [B, 2, " n ", 4]\ninput %4 \"w\": real [" d ", " d "]\n"                \
    "%6: real [B, T, " d "] = sum [i3: " d "] %4[i2, i3]*%1[i0, i1, i3]\n"                         \
    "recur \"T\" length T {\n carry %2 -> %20: real [B, 2, " n ", 4]\n class {\n"                  \
    "  arg %10: real [B, 2, " n ", 4]\n"                                                           \
    "  %11: real [B, 2, " n ", 4] = 0.5*%10[i0, i1, i2, i3] + %6[i0, l0, i1*" n " + i2]\n"         \
    "  next %11\n }\n}\n" OUT(20)

/* ---- sharing ---------------------------------------------------------------------------------------------- */

#define PICTURE                                                                                    \
    "graph \"g\"\naxis B, T, P\ninput %1 \"x\": real [B, 3, T, P]\n"                               \
    "input %2 \"y\": real [B, 3, T, P]\n"
#define SUM     "%1[i0, i2, i1//P, i1%P] + %2[i0, i2, i1//P, i1%P]"
#define BY_ROWS "%3: real [B, T*P, 3] = " SUM "\n%4: real [B, T*P, 3] = exp(" SUM ")"

static Graph *share(Graph *g, PlanLog *log) {
    (void)log;
    return graph_share(g);
}

static const Case cases[] = {
    {"pull: a reader of the state at its step",
     STATE "%30: real [B, T, 3] = sum [i3: 3] %22[i0, i1, i2, i3]*%1[i0, i1, i3]\n" OUT(30) OUT(20),
     graph_pull,
     {.inside = 2, .outs = 1, .reads = 2}},
    {"pull: all readers or none",
     STATE "%30: real [B, T, 3] = sum [i3: 3] %22[i0, i1, i2, i3]*%1[i0, i1, i3]\n"
           "%31: real [B, 3] = sum [i2: T] %22[i0, i2, i1, 0]\n" OUT(30) OUT(31),
     graph_pull,
     {.outside = 2, .inside = 1, .outs = 1, .reads = 2}},
    {"pull: two readers that make less together",
     STATE "%30: real [B, T, 3] = sum [i3: 3] %22[i0, i1, i2, i3]\n"
           "%31: real [B, T, 3] = sum [i3: 3] %22[i0, i1, i3, i2]\n" OUT(30) OUT(31),
     graph_pull,
     {.inside = 3, .outs = 2, .reads = 1}},
    {"pull: readers that make as much stay",
     STATE "%30: real [B, T, 3, 3] = exp(%22[i0, i1, i2, i3])\n" OUT(30),
     graph_pull,
     {.outside = 1, .inside = 1, .outs = 1, .reads = 1}},
    {"pull: a reader of other steps stays",
     STATE "%30: real [B, T, 3] = sum [i3: 3] %22[i0, T - 1 - i1, i2, i3]*%1[i0, i1, i3]\n" OUT(30),
     graph_pull,
     {.outside = 1, .inside = 1, .outs = 1, .reads = 2}},
    {"pull: heads side by side",
     HEADS
     "%30: real [B, T, 6] = sum [i3: 3] %22[i0, i1, i2//3, i2%3, i3]*%1[i0, i1, i3]\n" OUT(30),
     graph_pull,
     {.outside = 1, .inside = 2, .outs = 1, .reads = 2}},
    {"pull: what is streamed through and much larger",
     STATE "%30: real [B, T] = sum [i2: 3, i3: 3] %3[i0, i1, i2, i3]*%3[i0, i1, i3, i2]\n" OUT(30)
         OUT(20),
     graph_pull,
     {.inside = 2, .outs = 1, .reads = 1}},
    {"pull: what is not much larger is streamed twice",
     STATE "%30: real [B, T, 3] = sum [i3: 3] %3[i0, i1, i2, i3]*%3[i0, i1, i3, i2]\n" OUT(30)
         OUT(20),
     graph_pull,
     {.outside = 1, .inside = 1, .reads = 1}},
    {"replay: the states of all steps",
     BACKWARD,
     graph_replay,
     {.outside = 1, .inside = 3, .outs = 1, .kept = 1, .again = 1, .reads = 3}},
    {"replay: not where another reads them",
     BACKWARD "%40: real [B, 8] = sum [i2: T] %22[i0, i2, i1, 0]\n" OUT(40),
     graph_replay,
     {.outside = 1, .inside = 2, .outs = 1, .reads = 2}},
    {"neighbours: before and behind, within a head",
     NORMED OUT(31),
     graph_neighbours,
     {.inside = 6, .outs = 1, .reads = 3}},
    {"neighbours: a sum over heads stays",
     SCAN("", OWN) "%30: real [B, T] = sum [i2: 2, i3: 4] %22[i0, i1, i2, i3]\n" OUT(30),
     graph_neighbours,
     {.outside = 1, .inside = 2, .outs = 1, .reads = 2}},
    {"neighbours: a small product", WIDE("32", "16"), graph_neighbours, {.inside = 2, .reads = 1}},
    {"neighbours: a matrix product stays",
     WIDE("64", "32"),
     graph_neighbours,
     {.outside = 1, .inside = 1, .reads = 1}},
    {"neighbours: what all heads read alike, two for one", /* tanh alone is left */
     MIXED OUT(22),
     graph_neighbours,
     {.outside = 1, .inside = 6, .outs = 1, .reads = 1}},
    {"neighbours: one for one is no gain",
     SCAN("%6: real [B, T, 8] = tanh(%3[i0, i1, i2])\n" LATER(7, 0) ROW(13, 7), SPLIT(13)) OUT(22),
     graph_neighbours,
     {.outside = 2, .inside = 3, .outs = 1, .reads = 1}},
    {"neighbours: not what others read too",
     MIXED OUT(22) OUT(7) OUT(8),
     graph_neighbours,
     {.outside = 3, .inside = 4, .outs = 1, .reads = 1}},
    {"share: a sum seen in another shape that is kept for the row before",
     PICTURE BY_ROWS " - select(i1 >= 1, %3[i0, i1 - 1, i2], 0.0)\n" OUT(4),
     share,
     {.outside = 2, .reads = 1}},
    {"share: not where no other place is read",
     PICTURE BY_ROWS "\n" OUT(3) OUT(4),
     share,
     {.outside = 2, .reads = 2}},
    {"share: not where the indices are others",
     PICTURE "%3: real [B, T*P, 3] = " SUM "\n%4: real [B, P*T, 2] = exp(" SUM
             ") - select(i1 >= 1, %3[i0, i1 - 1, i2], 0.0)\n" OUT(4),
     share,
     {.outside = 2, .reads = 2}},
};

/* ---- counting --------------------------------------------------------------------------------------------- */

typedef struct Counter {
    Shape s;
    bool reads;
} Counter;

static void note_read(Graph *g, ExprId e, void *user) {
    Counter *c = user;
    const Expr *x = graph_expr(g, e);
    c->reads |= x->op == X_READ && x->value == g->inputs.data[0].value;
}

static void count(Graph *g, NodeId id, void *user) {
    Counter *c = user;
    const Node *n = graph_node(g, id);
    if (n->kind == N_EQ) {
        ++*(n->level ? &c->s.inside : &c->s.outside);
        c->reads = false;
        expr_walk(g, n->expr, note_read, c);
        c->s.reads += c->reads;
    }
    if (n->kind != N_RECUR) return;
    c->s.again += n->recur->every > 0;
    const RecurClass *k = &n->recur->classes.data[0];
    for (uint32_t i = 0; i < k->outs.n; i++) ++*(k->outs.data[i].every ? &c->s.kept : &c->s.outs);
}

static void check_case(const Case *c) {
    Arena *a = arena_new();
    Graph *g = read_graph(a, c->text);
    if (verified(g, c->name)) {
        Graph *h = c->pass(graph_clone(g, g->entry), NULL);
        Counter k = {0};
        graph_each(h, &h->top, count, &k);
        const Shape *s = &k.s, *w = &c->want;
        if (memcmp(s, w, sizeof *s) != 0) {
            FAIL(
                "%s: %u equations outside, %u inside, %u and %u results, %u run again, %u read x; wanted "
                "%u, %u, %u and %u, %u, %u",
                c->name, s->outside, s->inside, s->outs, s->kept, s->again, s->reads, w->outside,
                w->inside, w->outs, w->kept, w->again, w->reads);
            show(h);
        }
        static const Axes lengths[] = {{2, 5, 3}, {1, 1, 1}, {1, 70, 2}};
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths && verified(h, c->name); i++)
            if (!agree(a, g, h, lengths[i])) FAIL("%s: other numbers", c->name);
    }
    arena_free(a);
}

int main(void) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i]);
    return failures != 0;
}
