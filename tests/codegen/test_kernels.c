/* Compiled kernels against the interpreter.
 *
 * test_kernels                      the list below and some random programs
 * test_kernels -m FILE ENTRY [-t TARGET] [-D N=V] [-B n] [-T n] [-u] [-b DTYPE] [-p] [-v] [-o OBJECT]
 * test_kernels -g FILE              a graph's text
 * test_kernels -r FIRST COUNT       random programs */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../dsl/check.h"
#include "../random/generate.h"
#include "execute.h"

typedef struct Args {
    Execute x;
    const char *model, *entry, *graph;
    Define defines[32];
    uint32_t n_defines;
    long first, count;
} Args;

static char *slurp(Arena *a, const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    Text t = text_new(a);
    char part[4096];
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) text_addn(&t, part, n);
    fclose(f);
    return t.data;
}

static int run(Arena *a, Graph *g, const Execute *x, const char *what) {
    double worst = 0;
    uint64_t hash = 0;
    const char *e = execute_graph(a, g, x, &worst, &hash);
    if (e) printf("%s: %s\n", what, e);
    else printf("%s: ok, worst %.3g, bits %016llx\n", what, worst, (unsigned long long)hash);
    return e != NULL;
}

static int model(const Args *o) {
    Arena *a = arena_new();
    Diag *d = diag_new(a, 0);
    CheckOptions check = {.defines = o->defines, .n_defines = o->n_defines};
    Program *p = check_file(a, d, o->model, &check);
    Graph *g = p ? program_graph(p, o->entry, d) : NULL;
    int bad = 1;
    if (!g) diag_print(d, stdout, DIAG_PLAIN);
    else bad = run(a, g, &o->x, o->entry);
    arena_free(a);
    return bad;
}

static int random_one(long seed, const Execute *from) {
    Arena *a = arena_new();
    Diag *d = diag_new(a, 0);
    const char *text = generate_text(a, (uint64_t)seed);
    Program *p = check_text(a, d, "random.rwkv", text, strlen(text), NULL);
    int bad = 0;
    const char *e = NULL;
    for (int k = 0; k < 2 && p && !bad; k++) {
        Graph *g = program_graph(p, k ? "grad" : "forward", d);
        if (!g) continue;
        Execute x = *from;
        x.axis_even = 1 + seed % 3;
        x.axis_odd = 1 + seed / 3 % 7;
        double worst = 0;
        uint64_t hash = 0;
        x.plan.fuse = seed % 5 != 0;
        e = execute_graph(a, g, &x, &worst, &hash);
        if (e && strstr(e, "no compiled form")) continue;
        if (e) printf("seed %ld %s: %s\n", seed, k ? "grad" : "forward", e);
        bad |= e != NULL;
    }
    if (!p) printf("seed %ld: not accepted\n", seed), bad = 1;
    arena_free(a);
    return bad;
}

static int random_many(const Args *o) {
    int bad = 0;
    for (long s = o->first; s < o->first + o->count && bad < 20; s++) {
        bad += random_one(s, &o->x);
        fflush(stdout);
    }
    printf("%ld random programs, %d wrong\n", o->count, bad);
    return bad != 0;
}

static void parse(Args *o, int n, char **v) {
    for (int i = 1; i < n; i++) {
        const char *s = v[i];
        if (!strcmp(s, "-m")) o->model = v[i + 1], o->entry = v[i + 2], i += 2;
        else if (!strcmp(s, "-g")) o->graph = v[++i];
        else if (!strcmp(s, "-r")) o->first = atol(v[i + 1]), o->count = atol(v[i + 2]), i += 2;
        else if (!strcmp(s, "-t")) o->x.target = target_find(v[++i]);
        else if (!strcmp(s, "-B")) o->x.axis_even = atol(v[++i]);
        else if (!strcmp(s, "-T")) o->x.axis_odd = atol(v[++i]);
        else if (!strcmp(s, "-e")) o->x.bar = atof(v[++i]);
        else if (!strcmp(s, "-b")) o->x.plan.weights = o->x.plan.saved = (uint8_t)(!strcmp(v[++i], "f16") ? DT_F16 : DT_BF16);
        else if (!strcmp(s, "-n")) o->x.repeat = (uint32_t)atol(v[++i]);
        else if (!strcmp(s, "-c")) o->x.only_compile = true;
        else if (!strcmp(s, "-u")) o->x.plan.fuse = false;
        else if (!strcmp(s, "-p")) o->x.pieces = true;
        else if (!strcmp(s, "-s")) o->x.small_params = true;
        else if (!strcmp(s, "-v")) o->x.verbose = true;
        else if (!strcmp(s, "-o")) o->x.keep = v[++i];
        else if (!strcmp(s, "-D")) {
            char *eq = strchr(v[++i], '=');
            *eq = 0;
            o->defines[o->n_defines++] = (Define){v[i], eq + 1};
        }
    }
}

int main(int argc, char **argv) {
    Args o = {.x = {.target = target_find("native"), .axis_even = 2, .axis_odd = 5, .seed = 1, .bar = 3e-5}};
    o.x.plan.fuse = true;
    parse(&o, argc, argv);
    if (o.model) return model(&o);
    if (o.count) return random_many(&o);
    if (o.graph) {
        Arena *a = arena_new();
        const char *e = "no such file", *text = slurp(a, o.graph);
        Graph *g = text ? graph_read(a, text, strlen(text), &e) : NULL;
        int bad = g ? run(a, g, &o.x, o.graph) : printf("%s: %s\n", o.graph, e) > 0;
        arena_free(a);
        return bad;
    }
    o.count = 60;
    return random_many(&o);
}
