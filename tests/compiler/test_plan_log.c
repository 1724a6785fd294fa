/* Every rule of fusion met once, and told. */
#include "tests/compiler/passes.h"

#include "compiler/plan_log.h"

#define INPUTS                                                                                     \
    "graph \"g\"\naxis B, T\ninput %1 \"x\": real [B, T, 256]\ninput %2 \"y\": real [B, T, 256]\n" \
    "input %3 \"z\": real [B, 256]\nparam %4: real [256, 256] family 0 lr 1.0 decay 0.0 {\n"       \
    " init formula = 0.0\n member \"w\"\n}\n"
#define PRODUCT "%5 \"p\": real [B, T, 256] = sum [i3: 256] %4[i2, i3]*%1[i0, i1, i3]\n"
#define TANH    "%5 \"a\": real [B, T, 256] = tanh(%1[i0, i1, i2])\n"
#define OUT(n)  "output result \"" #n "\" %" #n "\n"

/* A state of 3 x 3, all of it kept: %22. */
#define STATE                                                                                      \
    "graph \"g\"\naxis B, T\ninput %1 \"x\": real [B, T, 3]\ninput %2 \"s0\": real [B, 3, 3]\n"    \
    "input %3 \"w\": real [B, T, 3, 3]\n"                                                          \
    "recur \"T\" length T {\n carry %2 -> %20: real [B, 3, 3]\n class {\n"                         \
    "  arg %10: real [B, 3, 3]\n"                                                                  \
    "  %11 \"s\": real [B, 3, 3] = 0.5*%10[i0, i1, i2] + %1[i0, l0, i1]*%3[i0, l0, i2, i1]\n"      \
    "  next %11\n  out %11 axis 1 -> %22: real [B, T, 3, 3]\n }\n}\n"
#define ROWS(n, name)                                                                              \
    "%" #n " \"" name "\": real [B, T, 3] = sum [i3: 3] %22[i0, i1, i2, i3]*%1[i0, i1, i3]\n"
#define COLUMNS(n, name)                                                                           \
    "%" #n " \"" name "\": real [B, T, 3] = sum [i3: 3] %22[i0, i1, i3, i2]*%1[i0, i1, i3]\n"
#define TURNED "%33 \"b\": real [B, T, 3] = %22[i0, T - 1 - i1, i2, 0]\n"

/* Two heads of 4 x 4: what stands before, how they start, and what a step adds. */
#define HEADS(before, start, step)                                                                 \
    "graph \"g\"\naxis B, T\ninput %1 \"x\": real [B, T, 2, 4]\n"                                  \
    "input %2 \"s0\": real [B, 2, 4, 4]\ninput %3 \"z\": real [B, T, 8]\n"                         \
    "input %4 \"w\": real [8, 8]\n" before "recur \"T\" length T {\n carry " start                 \
    " -> %20: real [B, 2, 4, 4]\n class {\n"                                                       \
    "  arg %10: real [B, 2, 4, 4]\n"                                                               \
    "  %11 \"s\": real [B, 2, 4, 4] = 0.5*%10[i0, i1, i2, i3] + " step                             \
    "\n  next %11\n }\n}\n" OUT(20)
#define NORMED                                                                                     \
    "%6: real [B, T, 2] = sum [i3: 4] %1[i0, i1, i2, i3]*%1[i0, i1, i2, i3]\n"                     \
    "%7 \"k\": real [B, T, 2, 4] = %1[i0, i1, i2, i3]/sqrt(%6[i0, i1, i2] + 1)\n"
#define KEYS "%7[i0, l0, i1, i2]*%7[i0, l0, i1, i3]"
#define MIX(n, c)                                                                                  \
    "%" #n " \"m\": real [B, T, 8] = %6[i0, i1, i2] + select(i1 >= 1, %6[i0, i1 - 1, i2], " c ")\n"
#define PROJECT(n, m) "%" #n ": real [B, T, 8] = sum [i3: 8] %4[i2, i3]*%" #m "[i0, i1, i3]\n"
#define SQUASHED      "%6: real [B, T, 8] = tanh(%3[i0, i1, i2])\n"

#define BACKWARD                                                                                   \
    "graph \"g\"\naxis B, T\ninput %1 \"x\": real [B, T, 8]\ninput %2 \"s0\": real [B, 8, 8]\n"    \
    "recur \"T\" length T {\n carry %2 -> %20: real [B, 8, 8]\n class {\n"                         \
    "  arg %10: real [B, 8, 8]\n"                                                                  \
    "  %11 \"s\": real [B, 8, 8] = 0.5*%10[i0, i1, i2] + %1[i0, l0, i1]*%1[i0, l0, i2]\n"          \
    "  next %11\n  out %11 axis 1 -> %22: real [B, T, 8, 8]\n }\n}\n"                              \
    "recur \"T\" length T reverse {\n carry %2 -> %30: real [B, 8, 8]\n class {\n"                 \
    "  arg %31: real [B, 8, 8]\n"                                                                  \
    "  %32 \"d\": real [B, 8, 8] = 0.25*%31[i0, i1, i2] + %22[i0, l0, i1, i2]*%1[i0, l0, i1]\n"    \
    "  next %32\n }\n}\n" OUT(30)

typedef struct Case {
    const char *what, *text, *a, *b;
    const char *want[2]; /* pieces of what is said */
} Case;

/* A value with one reader that computes it no more often is part of that reader: these have two. */
static const Case cases[] = {
    {"row",
     INPUTS TANH "%6 \"s\": real [B, T] = sum [i2: 256] %5[i0, i1, i2]\n"
                 "%7 \"b\": real [B, T, 256] = %5[i0, i1, i2]*%6[i0, i1]\n" OUT(7),
     "a",
     "b",
     {"a and b: together, in row kernel ", "of b: they have the same rows, and it reads"}},
    {"rows",
     INPUTS TANH "%6 \"b\": real [B, T, 256] = %5[i0, T - 1 - i1, i2]*%5[i0, i1, i2]\n" OUT(6),
     "a",
     "b",
     {"a and b: apart, in row kernel ", "of b: it reads other rows"}},
    {"grid",
     INPUTS TANH "%6 \"b\": real [B, 256] = exp(%3[i0, i1])\n" OUT(5) OUT(6),
     "a",
     "b",
     {"apart", "of b: they run over different rows"}},
    {"sibling",
     INPUTS TANH "%6 \"b\": real [B, T, 256] = exp(%1[i0, i1, i2])\n" OUT(5) OUT(6),
     "a",
     "b",
     {"together", "read the same tensor"}},
    {"stranger",
     INPUTS TANH "%6 \"b\": real [B, T, 256] = exp(%2[i0, i1, i2])\n" OUT(5) OUT(6),
     "b",
     "a",
     {"b and a: apart", "of b: neither reads what the other makes"}},
    {"scratch",
     "graph \"g\"\naxis B\ninput %1 \"x\": real [B, 65536]\n"
     "%5 \"a\": real [B, 65536] = tanh(%1[i0, i1])\n%6 \"s\": real [B] = sum [i1: 65536] %5[i0, i1]\n"
     "%7 \"b\": real [B, 65536] = %5[i0, i1]*%6[i0]\n" OUT(7),
     "a",
     "s",
     {"apart", "of s: a row would need more scratch"}},
    {"points",
     "graph \"g\"\naxis B, Y, X\ninput %1 \"x\": real [B, 3, Y, X]\ninput %2 \"w\": real [8, 3]\n"
     "%5 \"a\": real [B, 3, Y, X] = tanh(%1[i0, i1, i2, i3])\n"
     "%6 \"b\": real [B, 8, Y, X] = sum [i4: 3] %2[i1, i4]*%5[i0, i4, i2, i3]\n" OUT(6),
     "a",
     "b",
     {"together", "of b: at a point of the run-time axes"}},
    {"late",
     INPUTS TANH "%6 \"s\": real [B, T] = sum [i2: 256] %5[i0, i1, i2]\n"
                 "%7 \"p\": real [B, T, 256] = sum [i3: 256] %4[i2, i3]*%2[i0, i1, i3]\n"
                 "%8 \"b\": real [B, T, 256] = %5[i0, i1, i2]*%6[i0, i1] + %7[i0, i1, i2]\n" OUT(7)
                     OUT(8),
     "a",
     "b",
     {"apart", "of b: something else that it reads"}},
    {"epilogue",
     INPUTS PRODUCT "%6 \"q\": real [B, T, 256] = tanh(%5[i0, i1, i2])\n" OUT(6),
     "q",
     "p",
     {"q and p: together, in product kernel ", "of q: it follows the product"}},
    {"readers",
     INPUTS PRODUCT "%6 \"q\": real [B, T, 256] = tanh(%5[i0, i1, i2])\n" OUT(5) OUT(6),
     "p",
     "q",
     {"apart", "of q: the product has other readers"}},
    {"shape",
     INPUTS PRODUCT "%6 \"q\": real [B, T] = tanh(%5[i0, i1, 0])\n" OUT(6),
     "p",
     "q",
     {"apart", "of q: an epilogue has exactly the axes"}},
    {"exact",
     INPUTS PRODUCT "%6 \"q\": real [B, T, 256] = tanh(%5[i0, i1, 255 - i2])\n" OUT(6),
     "p",
     "q",
     {"apart", "of q: an epilogue reads its product at its own point"}},
    {"reduces",
     INPUTS PRODUCT "%6 \"q\": real [B, T] = sum [i2: 256] tanh(%5[i0, i1, i2])\n" OUT(6),
     "p",
     "q",
     {"apart", "of q: an epilogue does not sum"}},
    {"unread",
     INPUTS PRODUCT "%6 \"q\": real [B, T, 256] = tanh(%2[i0, i1, i2])\n" OUT(5) OUT(6),
     "p",
     "q",
     {"apart", "of q: only what reads a product"}},
    {"product",
     INPUTS TANH "%6 \"p\": real [B, T, 256] = sum [i3: 256] %4[i2, i3]*%5[i0, i1, i3]\n" OUT(6),
     "a",
     "p",
     {"apart", "of p: a matrix product is a kernel of its own"}},
    {"joined before",
     INPUTS PRODUCT "%6 \"q\": real [B, T, 256] = sum [i3: 256] %4[i2, i3]*%2[i0, i1, i3]\n"
                    "%7 \"s\": real [B, T, 256] = %5[i0, i1, i2]*%6[i0, i1, i2]\n" OUT(7),
     "p",
     "s",
     {"apart", "because s has joined "}},
    {"scatter",
     "graph \"g\"\naxis B, T\ninput %1 \"x\": real [B, T]\ninput %8 \"i\": int int [B, T] below 256\n"
     "%5 \"a\": real [B, T] = tanh(%1[i0, i1])\n"
     "%6 \"b\": real [256] = scatter [i0: B, i1: T] at [%8[i0, i1]] %5[i0, i1]\n" OUT(5) OUT(6),
     "a",
     "b",
     {"apart", "of b: a scatter-add is a kernel of its own"}},
    {"recurrence",
     INPUTS PRODUCT "recur \"T\" length T {\n carry %3 -> %20: real [B, 256]\n class {\n"
                    "  arg %10 \"s\": real [B, 256]\n"
                    "  %11 \"s\": real [B, 256] = tanh(%10[i0, i1])*%5[i0, l0, i1]\n  next %11\n"
                    " }\n}\n" OUT(20),
     "p",
     "s",
     {"apart", "of s: a recurrence is a kernel of its own"}},
    {"loop",
     INPUTS TANH
     "recur \"l\" length 3 layers {\n carry %5 -> %21: real [B, T, 256]\n class 0, 1, 2 {\n"
     "  arg %12: real [B, T, 256]\n"
     "  %13 \"b\": real [B, T, 256] = exp(%12[i0, i1, i2])\n  next %13\n }\n}\n" OUT(21),
     "a",
     "b",
     {"apart, in row kernel a_0 and row kernel b_1 of layer 0..2", "a loop over layers"}},
    {"pulled",
     STATE ROWS(30, "y") OUT(30),
     "s",
     "y",
     {"s and y: together, in recurrence kernel",
      "y: it reads what the recurrence makes at its own"}},
    {"streamed",
     STATE
     "%30 \"y\": real [B, T] = sum [i2: 3, i3: 3] %3[i0, i1, i2, i3]*%3[i0, i1, i3, i2]\n" OUT(30)
         OUT(20),
     "s",
     "y",
     {"s and y: together", "y: it reads at its own step what the recurrence reads there"}},
    {"steps",
     STATE TURNED OUT(33),
     "s",
     "b",
     {"s and b: apart", "of b: it is read at other steps of the recurrence"}},
    {"others",
     STATE COLUMNS(30, "y") TURNED OUT(30) OUT(33),
     "s",
     "y",
     {"s and y: apart", "of y: what it reads of the recurrence has another reader"}},
    {"gain",
     STATE COLUMNS(
         30, "y") "%31: real [B, T, 3] = sum [i3: 3] %22[i0, i1, i3, i2]\n"
                  "%32: real [B, T, 3] = sum [i3: 3] %22[i0, i1, i3, i2]*%3[i0, i1, 0, i3]\n" OUT(
                      30) OUT(31) OUT(32),
     "s",
     "y",
     {"s and y: apart", "of y: as much would be kept for all steps"}},
    {"heads",
     STATE TURNED COLUMNS(30, "y") OUT(30) OUT(33),
     "s",
     "y",
     {"s and y: apart", "of y: it joins the heads"}},
    {"near",
     HEADS(NORMED, "%2", KEYS),
     "k",
     "s",
     {"k and s: together", "k: each of its steps stays within a head"}},
    {"early",
     HEADS(NORMED "%9: real [B, 2, 4, 4] = %7[i0, 0, i1, i2]*%7[i0, 0, i1, i3]\n", "%9", KEYS),
     "k",
     "s",
     {"k and s: apart", "of k: something reads it before the recurrence runs"}},
    {"alike",
     HEADS(SQUASHED MIX(7, "0.0") MIX(8, "1.0") PROJECT(13, 7) PROJECT(14, 8), "%2",
           "%13[i0, l0, i1*4 + i2]*%14[i0, l0, i1*4 + i3]"),
     "m",
     "s",
     {"m and s: together", "m: all heads read it alike"}},
    {"whole",
     HEADS(SQUASHED MIX(7, "0.0") PROJECT(13, 7), "%2", "%13[i0, l0, i1*4 + i2]"),
     "m",
     "s",
     {"m and s: apart", "of m: all heads of the recurrence read the whole of it"}},
    {"again", BACKWARD, "s", "d", {"s and d: together", "s: the recurrence runs again"}},
    {"behind a loop",
     INPUTS TANH
     "recur \"l\" length 3 layers {\n carry %5 -> %21: real [B, T, 256]\n class 0, 1, 2 {\n"
     "  arg %12: real [B, T, 256]\n"
     "  %13: real [B, T, 256] = exp(%12[i0, i1, i2])\n  next %13\n }\n}\n"
     "%22 \"b\": real [B, T, 256] = %21[i0, i1, i2]*%1[i0, i1, i2]\n" OUT(22),
     "a",
     "b",
     {"apart, in row kernel a_0 and row kernel b_2\n", "of b: a loop over layers"}},
};

/* The next value of that name that a kernel makes, after v; 0: none. */
static Value named(Plan *p, const char *name, Value v) {
    while (++v < p->g->values.n) {
        const char *n = graph_value(p->g, v)->name;
        if (n && strcmp(n, name) == 0 && plan_kernel_of(p, v) != UINT32_MAX) return v;
    }
    return 0;
}

/* What is told of all pairs of these names: copies of an equation keep its name. */
static void tell_all(Plan *p, const PlanLog *log, const Case *c, Text *t) {
    for (Value x = named(p, c->a, 0); x; x = named(p, c->a, x))
        for (Value y = named(p, c->b, 0); y; y = named(p, c->b, y))
            plan_log_tell(p, log, x, y, c->a, c->b, t);
}

static void run(const Case *c, uint64_t *rules) {
    Arena *a = arena_new();
    Graph *g = read_graph(a, c->text);
    const char *why = NULL;
    PlanLog log = {.arena = a};
    PlanOptions o = {.fuse = true, .log = &log};
    Plan *p = plan_make(a, g, &o, &why);
    Text t = text_new(a);
    if (p) tell_all(p, &log, c, &t);
    if (!t.n) FAIL("%s: %s", c->what, p ? "a value without a kernel" : why);
    for (int i = 0; i < 2 && t.n; i++)
        if (!strstr(t.data, c->want[i])) FAIL("%s: no '%s' in:\n%s", c->what, c->want[i], t.data);
    for (uint32_t i = 0; i < log.decisions.n; i++)
        *rules |= UINT64_C(1) << log.decisions.data[i].rule;
    for (uint32_t i = 0; i < log.moves.n; i++) *rules |= UINT64_C(1) << log.moves.data[i].rule;
    arena_free(a);
}

int main(void) {
    uint64_t rules = UINT64_C(1) << R_unread; /* is told, not decided */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) run(&cases[i], &rules);
    for (int r = 0; r < FUSE_RULES; r++)
        if (!(rules >> r & 1)) FAIL("rule %d was never met", r);
    return failures != 0;
}
