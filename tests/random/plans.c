/* Plans of random programs keep their rules, fused or not. plans [FIRST [COUNT]]. */
#include <stdlib.h>
#include <string.h>

#include "../../compiler/plan.h"
#include "../../dsl/check.h"
#include "generate.h"

static unsigned not_compiled(const char *why) {
    return why && strstr(why, "no compiled form") != NULL; /* a recurrence in another one's cycle */
}

/* 0 fine, 1 wrong; counts what has no plan. */
static int one_plan(Arena *a, Graph *g, bool fuse, unsigned long long seed, unsigned *without) {
    const char *why = NULL;
    PlanOptions o = {.fuse = fuse};
    Plan *p = plan_make(a, g, &o, &why);
    if (!p && not_compiled(why)) return ++*without, 0;
    const char *wrong = p ? plan_verify(p) : "no plan and no reason";
    if (wrong) printf("seed %llu%s: %s\n", seed, fuse ? "" : ", not fused", wrong);
    return wrong != NULL;
}

static int one(unsigned long long seed, unsigned *without) {
    Arena *a = arena_new();
    const char *text = seed % 3 == 0   ? generate_text(a, seed)
                       : seed % 3 == 1 ? compose_text(a, seed)
                                       : stream_text(a, seed);
    Diag *d = diag_new(a, 0);
    Program *p = check_text(a, d, "random.rwkv", text, strlen(text), NULL);
    int bad = 0;
    if (!p) bad = 1, printf("seed %llu: not accepted\n", seed);
    for (uint32_t i = 0; p && i < program_entries(p); i++) {
        const char *entry = program_entry(p, i);
        if (strcmp(entry, "init") == 0) continue; /* it is not planned */
        Graph *g = program_graph(p, entry, d);
        if (!g) bad++, printf("seed %llu: no graph of %s\n", seed, entry);
        if (g) bad += one_plan(a, g, true, seed, without) + one_plan(a, g, false, seed, without);
    }
    arena_free(a);
    return bad;
}

int main(int argc, char **argv) {
    unsigned long long first = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    unsigned long long count = argc > 2 ? strtoull(argv[2], NULL, 10) : 200, bad = 0;
    unsigned without = 0;
    for (unsigned long long s = first; s < first + count && bad < 20; s++)
        bad += one(s, &without) != 0;
    printf("plans of %llu programs, %llu wrong, %u entries without\n", count, bad, without);
    return bad != 0 || without > count / 50 + 2;
}
