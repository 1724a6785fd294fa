/* A small program compiled for the tests of the runtime. */
#ifndef TESTS_RUNTIME_COMPILED_H
#define TESTS_RUNTIME_COMPILED_H

#include <string.h>

#include "codegen/codegen.h"
#include "dsl/check.h"
#include "runtime/rw.h"

/* Repeated layers with a state of their own, an embedding, a head, training. Axes B and T. */
static const char tiny_text[] = "use std\n"
                                "const V = 11, D = 5, L = 3\n"
                                "axis  T\n"
                                "cell leak(x[D]; l) -> y[D] {\n"
                                "    param keep[d:D] = 0.5 + 0.01*d + 0.1*l\n"
                                "    param mix.weight[D,D] ~ orthogonal(0.5)\n"
                                "    state s[d:D] = 0.25\n"
                                "    s[d] = s[d]*keep[d] + x[d]\n"
                                "    y[d] = x[d] + tanh(sum[j] mix.weight[d,j]*s[j])\n"
                                "}\n"
                                "model tiny(token[T]: index(V)) -> logits[T,V] along T {\n"
                                "    param emb.weight[V,D] ~ normal(1)\n"
                                "    x = embed(token, emb.weight)\n"
                                "    for l in L { x = leak(x; l) along T as blocks.{l} }\n"
                                "    logits = dense(x; m = V) as head\n"
                                "}\n"
                                "train tiny(target[T]: index(V)) {\n"
                                "    ce     = cross_entropy(logits, target)\n"
                                "    loss   = mean[b,t] ce[b,t]\n"
                                "    update = adamw(beta1 = 0.9, beta2 = 0.999, eps = 1e-8)\n"
                                "}\n";

enum { TINY_V = 11, TINY_D = 5, TINY_L = 3, TINY_PARAMS = 3 + 2 * TINY_L };

/* The entries named (ending with NULL; "init" for the parameters alone) of a text into a file for some of the
 * targets, up to a NULL; dtype: of weights and saved activations. */
static inline const char *compile_for(Arena *a, const char *text, const char *const *names,
                                      const char *const *targets, uint8_t dtype, const FileTo *to) {
    Diag *d = diag_new(a, 0);
    Program *p = check_text(a, d, "tiny.rwkv", text, strlen(text), NULL);
    FileEntry entries[8] = {{0}};
    const TargetInfo *found[4];
    uint32_t n = 0, n_targets = 0;
    if (!p) {
        diag_print(d, stdout, DIAG_PLAIN);
        return "the text is wrong";
    }
    for (; names[n]; n++) {
        const char *why = NULL;
        PlanOptions o = {.weights = dtype, .saved = dtype, .fuse = true};
        entries[n].name = names[n];
        entries[n].graph = program_graph(p, names[n], d);
        if (!entries[n].graph) return "an entry is wrong";
        if (strcmp(names[n], "init") == 0) continue;
        entries[n].plan = plan_make(a, entries[n].graph, &o, &why);
        if (!entries[n].plan) return why ? why : "no plan";
    }
    bool is_io;
    for (; targets[n_targets]; n_targets++) found[n_targets] = target_find(targets[n_targets]);
    return file_write_all(a, entries, n, found, n_targets, to, &is_io);
}

static inline const char *compile_typed(Arena *a, const char *text, const char *const *names,
                                        const char *target, uint8_t dtype, const char *path) {
    const char *const targets[] = {target, NULL};
    return compile_for(a, text, names, targets, dtype, &(FileTo){.path = path, .program = "tiny"});
}

static inline const char *compile_text(Arena *a, const char *text, const char *const *names,
                                       const char *target, const char *path) {
    return compile_typed(a, text, names, target, DT_F32, path);
}

static inline bool compile_tiny(const char *path) {
    static const char *const names[] = {"init",    "start", "step",  "forward",
                                        "prefill", "grad",  "train", NULL};
    Arena *a = arena_new();
    const char *wrong = compile_text(a, tiny_text, names, "x86-64-v3", path);
    if (wrong) printf("the program of the test: %s\n", wrong);
    arena_free(a);
    return !wrong;
}

#endif
