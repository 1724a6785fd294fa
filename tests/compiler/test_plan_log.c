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

static Value named(Plan *p, const char *name) {
    for (Value v = 1; v < p->g->values.n; v++) {
        const char *n = graph_value(p->g, v)->name;
        if (n && strcmp(n, name) == 0 && plan_kernel_of(p, v) != UINT32_MAX) return v;
    }
    return 0;
}

static void run(const Case *c, uint64_t *rules) {
    Arena *a = arena_new();
    Graph *g = read_graph(a, c->text);
    const char *why = NULL;
    PlanLog log = {.arena = a};
    PlanOptions o = {.fuse = true, .log = &log};
    Plan *p = plan_make(a, g, &o, &why);
    Value x = p ? named(p, c->a) : 0, y = p ? named(p, c->b) : 0;
    Text t = text_new(a);
    if (!p || !x || !y)
        FAIL("%s: %s", c->what, p ? "a value without a kernel" : why);
    else
        plan_log_tell(p, &log, x, y, c->a, c->b, &t);
    for (int i = 0; i < 2 && p && x && y; i++)
        if (!strstr(t.data, c->want[i])) FAIL("%s: no '%s' in:\n%s", c->what, c->want[i], t.data);
    for (uint32_t i = 0; i < log.decisions.n; i++)
        *rules |= UINT64_C(1) << log.decisions.data[i].rule;
    arena_free(a);
}

int main(void) {
    uint64_t rules = UINT64_C(1) << R_unread; /* is told, not decided */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) run(&cases[i], &rules);
    for (int r = 0; r < FUSE_RULES; r++)
        if (!(rules >> r & 1)) FAIL("rule %d was never met", r);
    return failures != 0;
}
