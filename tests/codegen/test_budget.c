/* Memory budgets: a plan that recomputes stays within its budget and gives the numbers of one that does not, to
 * the bit where no sum runs again; a budget that is too small is refused with the least that is reachable. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../dsl/check.h"
#include "execute.h"

typedef struct Case {
    const char *path, *entry, *defines;
    int64_t even, odd; /* lengths of axes by the parity of their number */
    unsigned budgets;  /* of LEAST, HALF and NEARLY */
} Case;

/* The least there is, half way, a byte too little for recomputing nothing. */
enum { LEAST = 1, HALF = 2, NEARLY = 4 };

#define SEVENTH "D=32 N=8 Rw=3 Ra=4 Rv=2 Rg=5 "
static const Case cases[] = {
    {"models/rwkv7.rwkv", "grad", SEVENTH "V=17 L=3", 2, 70, LEAST | NEARLY},
    {"models/rwkv7.rwkv", "train", SEVENTH "V=17 L=3", 3, 9, HALF},
    {"models/retinex.rwkv", "grad", "n_feat=8", 8, 8, LEAST},
    {"models/vision.rwkv", "grad", SEVENTH "L=3 V=11 E=6 A=2 EL=2 Q=2 G=2", 2, 5, LEAST},
    {"tests/codegen/drops.rwkv", "grad", "", 2, 9, LEAST | HALF | NEARLY},
};

static int failures;

#define FAIL(...)                                                                                  \
    (failures++, printf("%s:%d: ", __FILE__, __LINE__), printf(__VA_ARGS__), printf("\n"))

typedef struct World {
    Arena *a;
    const Case *c;
    Graph *g;
    int64_t axes[16];
} World;

static Graph *load(World *w) {
    Diag *d = diag_new(w->a, 0);
    Define *defines = NEWN(w->a, Define, 16);
    CheckOptions o = {.defines = defines};
    char *s = arena_str(w->a, w->c->defines);
    for (char *word = strtok(s, " "); word; word = strtok(NULL, " ")) {
        char *text = strchr(word, '=');
        *text++ = 0;
        defines[o.n_defines++] = (Define){.name = word, .text = text};
    }
    Program *p = check_file(w->a, d, w->c->path, &o);
    Graph *g = p ? program_graph(p, w->c->entry, d) : NULL;
    if (!g) {
        diag_print(d, stdout, DIAG_PLAIN);
        FAIL("%s: not accepted", w->c->path);
    }
    for (uint32_t k = 0; g && k < size_axes(g->sizes); k++)
        w->axes[k] = k % 2 ? w->c->odd : w->c->even;
    return g;
}

static int64_t total(const PlanPeak *p) { return p->outside + p->tensors; }

static PlanMemory memory_within(World *w, int64_t bytes, const char **why) {
    PlanBudget b = {.bytes = bytes, .axes = w->axes};
    PlanOptions o = {.fuse = true, .budget = &b};
    Plan *p = plan_make(w->a, w->g, &o, why);
    return p ? *p->memory : (PlanMemory){0};
}

/* Compiles within a budget (0: none) and compares with the interpreter; the bits of the outputs. */
static uint64_t execute_within(World *w, int64_t bytes) {
    PlanBudget b = {.bytes = bytes, .axes = w->axes};
    Execute x = {.target = target_find("native"),
                 .axis_even = w->c->even,
                 .axis_odd = w->c->odd,
                 .seed = 1,
                 .bar = 1e-4,
                 .small_params = true};
    x.plan = (PlanOptions){.fuse = true, .budget = bytes ? &b : NULL};
    double worst = 0;
    uint64_t bits = 0;
    const char *e = execute_graph(w->a, w->g, &x, &worst, &bits);
    if (e) FAIL("%s %s within %lld bytes: %s", w->c->path, w->c->entry, (long long)bytes, e);
    return bits;
}

static void check_budget(World *w, int64_t bytes) {
    const char *why = NULL;
    PlanMemory m = memory_within(w, bytes, &why);
    if (!total(&m.peak) || total(&m.peak) > bytes || !m.again.n) {
        FAIL("%s %s within %lld bytes: %lld, %u values recomputed (%s)", w->c->path, w->c->entry,
             (long long)bytes, (long long)total(&m.peak), m.again.n, why ? why : "no reason");
        return;
    }
    bool sums = false; /* they may run in other kernels, in another order */
    for (uint32_t i = 0; i < m.again.n; i++) sums |= m.again.data[i].red != RED_NONE;
    uint64_t bits = execute_within(w, bytes);
    if (!sums && bits != execute_within(w, 0))
        FAIL("%s %s within %lld bytes: other bits", w->c->path, w->c->entry, (long long)bytes);
}

static void check_case(const Case *c) {
    World w = {.a = arena_new(), .c = c};
    w.g = load(&w);
    const char *why = NULL, *least_is = NULL;
    PlanMemory m = w.g ? memory_within(&w, 0, &why) : (PlanMemory){0}, none = {0};
    int64_t whole = total(&m.whole), least = 0;
    for (uint32_t i = 0; i < m.again.n; i++)
        if (m.again.data[i].kind != N_EQ || m.again.data[i].red != RED_NONE)
            FAIL("%s: %s is recomputed without a budget", c->path, m.again.data[i].info.name);
    if (total(&m.peak) != whole) FAIL("%s: a plan without a budget is another one", c->path);
    if (whole) none = memory_within(&w, 1, &why);
    if (total(&none.peak)) FAIL("%s: fits into one byte", c->path);
    least_is = why ? strstr(why, "reachable is ") : NULL;
    if (least_is) least = strtoll(least_is + strlen("reachable is "), NULL, 10);
    if (least <= 0 || least >= whole)
        FAIL("%s: %lld of %lld bytes: %s", c->path, (long long)least, (long long)whole, why);
    if (least > 0) {
        if (c->budgets & NEARLY) memory_within(&w, least - 1, &why);
        if (!why) FAIL("%s: less than the least fits", c->path);
        for (int i = 0; i < 3; i++)
            if (c->budgets >> i & 1) check_budget(&w, least + (whole - 1 - least) * i / 2);
    }
    arena_free(w.a);
}

int main(void) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i]);
    return failures != 0;
}
