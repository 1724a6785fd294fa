/* Random programs compiled and run, against the float64 interpreter.
 *
 * compiled TARGET [-b] [-SORDERS] [FIRST [COUNT]]: seeds FIRST .. FIRST+COUNT-1: loss, gradients and updates, of
 * some the results, and of models that stream all their entries; sequences of 1, 17 and 50, 1 to 3 samples.
 * -b: weights and saved activations in bf16; -S: on an emulated GPU under so many orders of its waves.
 *
 * How far float32 may be away differs from program to program: some divide small differences. So the
 * interpreter is run three times more with every number rounded to float32, twice with the last bits of
 * the data moved, and an output may be 8 times as far away as the farthest of these (and `bar` of its
 * largest number, which three samples may miss). Programs whose numbers jump (argmax, selects) show
 * that as noise too; when it drowns an output, this is counted, and may not happen often. */
#define _GNU_SOURCE /* syscall */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../dsl/check.h"
#include "../codegen/execute.h"
#include "generate.h"

/* What a number is off by where it is kept: of its size, of the noise, and how far data are moved. */
static const struct {
    const char *name;
    uint8_t dtype;
    double bar, noise, nudge, drown;
} kinds[] = {{"f32", DT_F32, 1e-6, 8, 0x1p-23, 1e-3}, {"bf16", DT_BF16, 2e-3, 2, 0x1p-9, 0.5}};

typedef struct Count {
    long programs, wrong, not_compiled;
    uint32_t outputs, drowned;
    const TargetInfo *target;
    int kind;
    uint32_t orders;
    double worst;
} Count;

static const char *one_entry(Arena *a, Program *p, const char *entry, uint64_t seed, Count *c) {
    static const int64_t lengths[] = {1, 17, 50};
    Graph *g = program_graph(p, entry, diag_new(a, 0));
    if (!g) return "no graph";
    Execute x = {.target = c->target, .seed = seed + 1, .orders = c->orders};
    x.bar = kinds[c->kind].bar;
    x.noise = kinds[c->kind].noise;
    x.nudge = kinds[c->kind].nudge;
    x.drown = kinds[c->kind].drown;
    x.plan.weights = x.plan.saved = kinds[c->kind].dtype;
    x.outputs = &c->outputs;
    x.drowned = &c->drowned;
    x.plan.fuse = seed % 11 != 0;
    x.axis_even = 1 + (int64_t)(seed / 3 % 3);
    x.axis_odd = lengths[seed % 3];
    double worst = 0;
    uint64_t hash = 0;
    const char *e = execute_graph(a, g, &x, &worst, &hash);
    if (e && strstr(e, "no compiled form")) return c->not_compiled++, NULL;
    if (worst > c->worst) c->worst = worst;
    return e;
}

/* Sizes of compose.c's constants that fill vectors and leave rests. */
static void large(CheckOptions *o, Define d[3], uint64_t seed) {
    static const char *const K[] = {"5", "17", "33"}, *const M[] = {"9", "3", "37"},
                             *const R[] = {"18", "6", "2"};
    d[0] = (Define){"K", K[seed % 3]};
    d[1] = (Define){"M", M[seed / 3 % 3]};
    d[2] = (Define){"R", R[seed / 9 % 3]};
    o->defines = d;
    o->n_defines = 3;
}

static const char *entries(Arena *a, uint64_t seed, Count *c, const char **entry) {
    bool stream = seed % 6 == 5;
    const char *text = stream     ? stream_text(a, seed)
                       : seed % 2 ? compose_text(a, seed)
                                  : generate_text(a, seed);
    Define d[3];
    CheckOptions o = {0};
    if (seed % 2 && seed % 5 < 2) large(&o, d, seed / 10);
    Program *p = check_text(a, diag_new(a, 0), "random.rwkv", text, strlen(text), &o);
    if (!p) return "not accepted";
    static const char *const streaming[] = {"step", "prefill", "forward"};
    const char *e = NULL;
    for (int i = 0; i < 3 && stream && !e; i++) e = one_entry(a, p, *entry = streaming[i], seed, c);
    if (stream) return e;
    bool train =
        false; /* in f32: elsewhere it has parameters twice, which only the runtime binds */
    for (uint32_t i = 0; i < program_entries(p); i++)
        train |= c->kind == 0 && strcmp(program_entry(p, i), "train") == 0;
    e = one_entry(a, p, *entry = train ? "train" : "grad", seed, c);
    if (!e && seed % 7 == 0) e = one_entry(a, p, *entry = "forward", seed, c);
    return e;
}

static void one(uint64_t seed, Count *c) {
    Arena *a = arena_new();
    const char *entry = "?", *e = entries(a, seed, c, &entry);
    if (e) printf("seed %llu, %s, %s: %s\n", (unsigned long long)seed, c->target->name, entry, e);
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
    bool bf16 = false;
    uint32_t orders = 0;
    for (; argc > 2 && argv[2][0] == '-'; argc--, argv[2] = argv[1], argv++) {
        bf16 |= strcmp(argv[2], "-b") == 0;
        if (strncmp(argv[2], "-S", 2) == 0) orders = (uint32_t)strtoul(argv[2] + 2, NULL, 10);
    }
    const TargetInfo *t = argc > 1 ? target_find(argv[1]) : NULL;
    if (!t) return fprintf(stderr, "compiled TARGET [-b] [-SORDERS] [FIRST [COUNT]]\n"), 2;
    bool elsewhere = t->family != FAMILY_X86; /* coroutines, or the emulator */
    if (!elsewhere && !machine_has(t->name)) {
        printf("SKIP: this machine is %s and cannot run code for %s\n", target_find("native")->name,
               t->name);
        return 77;
    }
    if (t->amx && syscall(SYS_arch_prctl, 0x1023, 18) != 0) { /* leave to use the tile unit */
        printf("SKIP: the system does not give this process tile registers\n");
        return 77;
    }
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 0,
             count = argc > 3 ? strtoull(argv[3], NULL, 10) : 40;
    Count c = {.target = t, .kind = bf16, .orders = orders};
    for (uint64_t s = first; s < first + count && c.wrong < 20; s++) one(s, &c);
    printf(
        "%ld random programs for %s, %s: %ld wrong, %ld not compiled; nearest to the bar %.2f; %u of %u outputs "
        "drown in noise\n",
        c.programs, t->name, kinds[bf16].name, c.wrong, c.not_compiled, c.worst / kinds[bf16].bar,
        c.drowned, c.outputs);
    return c.wrong || c.drowned > c.outputs / 50 + 2 || c.not_compiled > c.programs / 50 + 2;
}
