/* Compiled kernels against the interpreter.
 *
 * test_kernels                      the list below and some random programs
 * test_kernels -m FILE ENTRY [-t TARGET] [-D N=V] [-B n] [-T n] [-u] [-b DTYPE] [-p] [-v] [-o OBJECT]
 * test_kernels -g FILE              a graph's text
 * test_kernels -r FIRST COUNT       random programs
 * test_kernels ... -x               each barrier of each kernel left out once: is it missed?
 * test_kernels -a -t TARGET [-S n]  all of the list for one target, matrix products too; -S: on an emulated GPU
 *                                   under so many orders of its waves */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../dsl/check.h"
#include "../random/generate.h"
#include "contract_cases.h"
#include "emulated.h"
#include "execute.h"

typedef struct Args {
    Execute x;
    const char *model, *entry, *graph;
    Define defines[32];
    uint32_t n_defines;
    long first, count;
    BarrierCount barriers;
    bool all;
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
    if (e)
        printf("%s: %s\n", what, e);
    else
        printf("%s: ok, worst %.3g, bits %016llx\n", what, worst, (unsigned long long)hash);
    return e != NULL;
}

static int model(const Args *o) {
    Arena *a = arena_new();
    Diag *d = diag_new(a, 0);
    CheckOptions check = {.defines = o->defines, .n_defines = o->n_defines};
    Program *p = check_file(a, d, o->model, &check);
    Graph *g = p ? program_graph(p, o->entry, d) : NULL;
    int bad = 1;
    if (!g)
        diag_print(d, stdout, DIAG_PLAIN);
    else
        bad = run(a, g, &o->x, o->entry);
    arena_free(a);
    return bad;
}

/* ---- functions ----------------------------------------------------------------------------------- */

/* Every function at points of many sizes, with zeros, infinities and what is no number. */
static const char points[] =
    "graph \"forward\"\naxis B, T\ninput %1 \"x\": real [B, T]\ninput %2 \"y\": real [B, T]\n";

static int functions(const Execute *from) {
    static const char *const one[] = {
        "exp(X)",
        "log(X)",
        "tanh(X)",
        "sigmoid(X)",
        "softplus(X)",
        "relu(X)",
        "erf(X)",
        "sin(select(abs(X) < 1e14 or not (abs(X) < 3.39e38), X, 1.0))",
        "cos(select(abs(X) < 1e14 or not (abs(X) < 3.39e38), X, 1.0))",
        "sqrt(X)",
        "abs(X)",
        "round(X)",
        "floor(X)",
        "max(X, 0.3)",
        "min(X, Y)",
        "max(X, Y)",
        "X^1.5",
        "X^Y",
        "X^-3",
        "X^0.5",
        "X/Y",
        "X*Y",
        "2.5^Y",
        "select(X > Y or X != X, X, -X)"};
    int bad = 0;
    for (size_t i = 0; i < sizeof one / sizeof *one; i++) {
        Arena *a = arena_new();
        Text t = text_new(a);
        text_add(&t, points);
        text_add(&t, "%3: real [B, T] = ");
        for (const char *s = one[i]; *s; s++) {
            if (*s == 'X')
                text_add(&t, "%1[i0, i1]");
            else if (*s == 'Y')
                text_add(&t, "%2[i0, i1]");
            else
                text_addn(&t, s, 1);
        }
        text_add(&t, "\noutput result \"z\" %3\n");
        const char *e = NULL;
        Graph *g = graph_read(a, t.data, t.n, &e);
        Execute x = *from;
        x.per_item = true;
        x.bar = 5e-7;
        x.axis_even = 3;
        x.axis_odd = 4001;
        double worst = 0;
        uint64_t hash = 0;
        if (g) e = execute_graph(a, g, &x, &worst, &hash);
        if (e)
            printf("%s: %s\n", one[i], e);
        else if (x.verbose)
            printf("%s: worst %.3g\n", one[i], worst);
        bad += e != NULL;
        arena_free(a);
    }
    return bad;
}

/* ---- graphs -------------------------------------------------------------------------------------- */

#define HEAD "graph \"forward\"\naxis B, T\n"
static const char *const graphs[] = {
    /* every reduction, along lanes and across them, of reals and of ints */
    HEAD
    "input %1 \"x\": real [B, T, 37]\n%2: real [B, T] = sum[i2: 37] %1[i0, i1, i2]\n"
    "%3: real [B, T] = prod[i2: 37] %1[i0, i1, i2]*1.7\n%4: real [B, T] = max[i2: 37] %1[i0, i1, i2]\n"
    "%5: real [37] = min[i1: B, i2: T] %1[i1, i2, i0]\n%6: int [B, T] = argmax[i2: 37] floor(%1[i0, i1, i2]*3)\n"
    "%7: int [37] = argmax[i1: B, i2: T] %1[i1, i2, i0]\n%8: int [B, 37] = sum[i2: T] %1[i0, i2, i1] > 0\n"
    "%9: int [T] = max[i1: B, i2: 37] i2*i0 - i1\n%10: real [] = sum[i0: B, i1: T, i2: 37] %1[i0, i1, i2]\n"
    "%11: int [] = argmax[i0: B, i1: T, i2: 37] %1[i0, i1, i2]\n"
    "%12: int [B, T] = argmax[i2: 37] (i2*7 + i1)%5\noutput result \"a\" %2\noutput result \"b\" %3\n"
    "output result \"c\" %4\noutput result \"d\" %5\noutput result \"e\" %6\noutput result \"f\" %7\n"
    "output result \"g\" %8\noutput result \"h\" %9\noutput result \"i\" %10\noutput result \"j\" %11\n"
    "output result \"k\" %12\n",
    /* shifts guarded by what lies in the lanes, strides, quotients, transposes, gathers */
    HEAD
    "input %1 \"x\": real [B, T, 48]\ninput %2 \"n\": int int [B, T] below 48\n"
    "%3: real [B, T, 48] = select(i2 >= 1, %1[i0, i1, i2 - 1], 0.5) + select(i2 + 2 < 48, %1[i0, i1, i2 + 2], 0.0)\n"
    "%4: real [B, T, 24] = %1[i0, i1, i2*2] - %1[i0, i1, i2*2 + 1]\n%5: real [T, 48, B] = %1[i2, i0, i1]\n"
    "%6: real [B, T, 3, 16] = %3[i0, i1, i2*16 + i3]*%1[i0, i1, %2[i0, i1]]\n"
    "%7: real [B, T, 48] = %6[i0, i1, i2//16, i2%16] + %6[i0, i1, i2%3, i2//3]\n"
    "%8: real [B, T] = %1[i0, i1, %2[i0, i1]//2] + real(%2[i0, i1]%7)\n"
    "%9: real [B, T, 48] = select(%1[i0, i1, i2] > 0, %1[i0, i1, (i2*5 + 1)%48], %1[i0, i1, 47 - i2])\n"
    "%10: int [B, T] = (%2[i0, i1] - 20)//(%2[i0, i1] - 60)*100 + (%2[i0, i1] - 20)%(61 - %2[i0, i1])\n"
    "output result \"a\" %3\noutput result \"b\" %4\noutput result \"c\" %5\noutput result \"d\" %7\n"
    "output result \"e\" %8\noutput result \"f\" %9\noutput result \"g\" %10\n",
    /* random numbers; scatters with and without a grid */
    HEAD
    "random 2\ninput %1 \"x\": real [B, T, 21]\ninput %2 \"n\": int int [B, T] below 13\n"
    "%3: real [B, T, 21] = random(0, i0, i1, i2) + random(1, i2*i1)\n"
    "%4: real [13, 21] = scatter [i0: B, i1: T, i2: 21] at [%2[i0, i1], i2] %1[i0, i1, i2]\n"
    "%5: real [13] = scatter [i0: B, i1: T, i2: 21] at [%2[i0, i1]] %1[i0, i1, i2]\n"
    "%6: real [21, 13] = scatter [i0: T, i1: B, i2: 21] at [i2, (%2[i1, i0] + i2)%13] %1[i1, i0, i2]*2\n"
    "output result \"a\" %3\noutput result \"b\" %4\noutput result \"c\" %5\noutput result \"d\" %6\n",
    /* carried values that change places, and one read away from its own point */
    HEAD
    "input %1 \"x\": real [B, T, 20]\n%2: real [B, 20] = 0.25\n%3: real [B, 20] = 0.5*i1\n"
    "recur \"T\" length T {\n    carry \"a\" %2 -> %4 \"a\": real [B, 20]\n"
    "    carry \"b\" %3 -> %5 \"b\": real [B, 20]\n    carry \"c\" %3 -> %6 \"c\": real [B, 20]\n"
    "    class {\n        arg %7 \"a\": real [B, 20]\n"
    "        arg %8 \"b\": real [B, 20]\n        arg %9 \"c\": real [B, 20]\n"
    "        %10: real [B, 20] = 0.5*%7[i0, 19 - i1] + %1[i0, l0, i1]*%9[i0, i1]\n"
    "        next %8\n        next %10\n        next %7\n        out %10 axis 1 -> %11: real [B, T, 20]\n"
    "        out %9 axis 2 -> %12: real [B, 20, T]\n    }\n}\n"
    "output result \"a\" %4\noutput result \"b\" %5\n"
    "output result \"c\" %6\noutput result \"d\" %11\noutput result \"e\" %12\n",
};

static int fixed_graphs(const Execute *from) {
    static const struct {
        int64_t B, T;
        bool fuse;
    } shapes[] = {{2, 5, true}, {1, 1, true}, {3, 70, true}, {2, 19, false}};
    int bad = 0;
    for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++)
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
            Arena *a = arena_new();
            const char *e = NULL;
            Graph *g = graph_read(a, graphs[i], strlen(graphs[i]), &e);
            Execute x = *from;
            x.axis_even = shapes[k].B;
            x.axis_odd = shapes[k].T;
            x.plan.fuse = shapes[k].fuse;
            double worst = 0;
            uint64_t hash = 0;
            if (g) e = execute_graph(a, g, &x, &worst, &hash);
            if (e) printf("graph %zu, shape %zu: %s\n", i, k, e);
            bad += e != NULL;
            arena_free(a);
        }
    return bad;
}

/* ---- matrix products ------------------------------------------------------------------------------ */

static int products(const Execute *from) {
    int bad = 0;
    for (int i = 0; i < CASES; i++)
        for (int k = 0; k < 6 && cases[i].axes[k][0]; k++) {
            Arena *a = arena_new();
            const char *e = NULL;
            Graph *g = graph_read(a, cases[i].text, strlen(cases[i].text), &e);
            Execute x = *from;
            x.axis_even = cases[i].axes[k][0];
            x.axis_odd = cases[i].axes[k][1];
            /* Matrix instructions round both factors. */
            bool rounds = from->target->family != FAMILY_X86 && strstr(cases[i].text, "bf16");
            if (rounds) x.bar = 4e-3;
            double worst = 0;
            uint64_t hash = 0;
            if (g) e = execute_graph(a, g, &x, &worst, &hash);
            if (e) printf("product %d, axes %d: %s\n", i, k, e);
            if (x.verbose) printf("product %d, axes %d: worst %.3g\n", i, k, worst);
            bad += e != NULL;
            arena_free(a);
        }
    return bad;
}

/* ---- programs ------------------------------------------------------------------------------------ */

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

static int whole_list(Args *o) {
    int bad = functions(&o->x) + fixed_graphs(&o->x) + products(&o->x);
    o->first = 80;
    o->count = 20;
    return bad + random_many(o) != 0;
}

static void parse(Args *o, int n, char **v) {
    for (int i = 1; i < n; i++) {
        const char *s = v[i];
        if (!strcmp(s, "-m"))
            o->model = v[i + 1], o->entry = v[i + 2], i += 2;
        else if (!strcmp(s, "-g"))
            o->graph = v[++i];
        else if (!strcmp(s, "-r"))
            o->first = atol(v[i + 1]), o->count = atol(v[i + 2]), i += 2;
        else if (!strcmp(s, "-t"))
            o->x.target = target_find(v[++i]);
        else if (!strcmp(s, "-B"))
            o->x.axis_even = atol(v[++i]);
        else if (!strcmp(s, "-T"))
            o->x.axis_odd = atol(v[++i]);
        else if (!strcmp(s, "-e"))
            o->x.bar = atof(v[++i]);
        else if (!strcmp(s, "-b"))
            o->x.plan.weights = o->x.plan.saved =
                (uint8_t)(!strcmp(v[++i], "f16") ? DT_F16 : DT_BF16);
        else if (!strcmp(s, "-n"))
            o->x.repeat = (uint32_t)atol(v[++i]);
        else if (!strcmp(s, "-a"))
            o->all = true;
        else if (!strcmp(s, "-c"))
            o->x.only_compile = true;
        else if (!strcmp(s, "-u"))
            o->x.plan.fuse = false;
        else if (!strcmp(s, "-p"))
            o->x.pieces = true;
        else if (!strcmp(s, "-s"))
            o->x.small_params = true;
        else if (!strcmp(s, "-S"))
            o->x.orders = (uint32_t)atol(v[++i]);
        else if (!strcmp(s, "-x"))
            o->x.barriers = &o->barriers;
        else if (!strcmp(s, "-v"))
            o->x.verbose = true;
        else if (!strcmp(s, "-o"))
            o->x.keep = v[++i];
        else if (!strcmp(s, "-D")) {
            char *eq = strchr(v[++i], '=');
            *eq = 0;
            o->defines[o->n_defines++] = (Define){v[i], eq + 1};
        }
    }
}

static int run_asked(Args *o) {
    if (o->model) return model(o);
    if (o->all) return whole_list(o);
    if (o->count) return random_many(o);
    Arena *a = arena_new();
    const char *e = "no such file", *text = slurp(a, o->graph);
    Graph *g = text ? graph_read(a, text, strlen(text), &e) : NULL;
    int bad = g ? run(a, g, &o->x, o->graph) : printf("%s: %s\n", o->graph, e) > 0;
    arena_free(a);
    return bad;
}

int main(int argc, char **argv) {
    Args o = {.x = {.target = target_find("native"),
                    .axis_even = 2,
                    .axis_odd = 5,
                    .seed = 1,
                    .bar = 3e-5}};
    o.x.plan.fuse = true;
    parse(&o, argc, argv);
    if (o.model || o.all || o.count || o.graph) {
        int bad = run_asked(&o);
        const BarrierCount *b = o.x.barriers;
        if (b)
            printf("barriers: %u missed, %u idle, %u overlooked\n", b->missed, b->idle,
                   b->overlooked);
        return bad != 0 || (b && (b->overlooked > 0 || b->missed < b->idle));
    }
    const char *const names[] = {"x86-64-v3", "native"};
    int bad = 0;
    for (int i = 0; i < 2; i++) {
        o.x.target = target_find(names[i]);
        bad += functions(&o.x) + fixed_graphs(&o.x);
        o.first = 40 * i;
        o.count = 40;
        bad += random_many(&o);
    }
    return bad != 0;
}
