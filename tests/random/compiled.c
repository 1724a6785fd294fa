/* Random programs compiled and run, against the float64 interpreter.
 *
 * compiled TARGET [-v] [FIRST [COUNT]]: seeds FIRST .. FIRST+COUNT-1, their loss and gradients, and of some
 * their results; sequences of 1, 17 and 50, 1 to 3 samples.
 *
 * How far float32 may be away differs from program to program: some divide small differences. So the
 * interpreter is run three times more with every number rounded to float32, twice with the last bits of
 * the data moved, and an output may be NOISE times as far away as the farthest of these (and BAR of its
 * largest number, which three samples may miss). Programs whose numbers jump (argmax, selects) show
 * that as noise too; when it drowns an output, this is counted, and may not happen often. */
#include <stdlib.h>
#include <string.h>

#include "../../dsl/check.h"
#include "../codegen/execute.h"
#include "generate.h"

#define BAR   1e-6
#define NOISE 8

typedef struct Count {
    long programs, wrong, not_compiled;
    uint32_t outputs, drowned;
    double worst;
} Count;

static const char *one_entry(Arena *a, Program *p, const char *entry, uint64_t seed,
                             const TargetInfo *t, Count *c) {
    static const int64_t lengths[] = {1, 17, 50};
    Graph *g = program_graph(p, entry, diag_new(a, 0));
    if (!g) return "no graph";
    Execute x = {.target = t, .bar = BAR, .noise = NOISE, .seed = seed + 1};
    x.outputs = &c->outputs;
    x.drowned = &c->drowned;
    x.plan.fuse = seed % 11 != 0;
    x.axis_even = 1 + (int64_t)(seed % 3);
    x.axis_odd = lengths[seed / 3 % 3];
    double worst = 0;
    uint64_t hash = 0;
    const char *e = execute_graph(a, g, &x, &worst, &hash);
    if (e && strstr(e, "no compiled form")) return c->not_compiled++, NULL;
    if (worst > c->worst) c->worst = worst;
    return e;
}

static void one(uint64_t seed, const TargetInfo *t, Count *c) {
    Arena *a = arena_new();
    const char *text = seed % 2 ? compose_text(a, seed) : generate_text(a, seed);
    Program *p = check_text(a, diag_new(a, 0), "random.rwkv", text, strlen(text), NULL);
    const char *e = p ? one_entry(a, p, "grad", seed, t, c) : "not accepted", *entry = "grad";
    if (!e && seed % 5 == 0) e = one_entry(a, p, entry = "forward", seed, t, c);
    if (e) printf("seed %llu, %s, %s: %s\n", (unsigned long long)seed, t->name, entry, e);
    c->programs++;
    c->wrong += e != NULL;
    fflush(stdout);
    arena_free(a);
}

/* Whether this machine has the target's instructions: targets.def lists each with all before it. */
static bool machine_has(const char *name) {
    static const char *const order[] = {"x86-64-v3", "x86-64-v4", "x86-64-amx"};
    const char *best = target_find("native")->name;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        if (strcmp(order[i], name) == 0) return true;
        if (strcmp(order[i], best) == 0) return false;
    }
    return false;
}

int main(int argc, char **argv) {
    const TargetInfo *t = argc > 1 ? target_find(argv[1]) : NULL;
    if (!t) return fprintf(stderr, "compiled TARGET [FIRST [COUNT]]\n"), 2;
    bool coroutines = t->family == FAMILY_THREADS;
    if (!coroutines && !machine_has(t->name)) {
        printf("SKIP: this machine is %s and cannot run code for %s\n", target_find("native")->name,
               t->name);
        return 77;
    }
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 0,
             count = argc > 3 ? strtoull(argv[3], NULL, 10) : 40;
    Count c = {0};
    for (uint64_t s = first; s < first + count && c.wrong < 20; s++) one(s, t, &c);
    printf(
        "%ld random programs for %s, %ld wrong, %ld not compiled; nearest to the bar %.2f; %u of %u outputs "
        "drown in noise\n",
        c.programs, t->name, c.wrong, c.not_compiled, c.worst / BAR, c.drowned, c.outputs);
    return c.wrong || c.drowned > c.outputs / 50 + 2 || c.not_compiled > c.programs / 50 + 2;
}
