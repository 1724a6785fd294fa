/* The program of types.c, compiled. */
#include "compiled.h"

static const char text[] = "use std\n"
                           "const V = 90, D = 64, L = 2\n"
                           "axis  T\n"
                           "cell block(x[D]) -> x[D] {\n"
                           "    param gain[D] = 1\n"
                           "    param in.weight[D,D] ~ orthogonal(1)\n"
                           "    param out.weight[D,D] ~ orthogonal(1)\n"
                           "    x += linear(tanh(linear(x*gain, in.weight)), out.weight)\n"
                           "}\n"
                           "model m(token[T]: index(V)) -> logits[T,V] along T {\n"
                           "    param emb.weight[V,D] ~ normal(1)\n"
                           "    param head.weight[V,D] ~ normal(1)\n"
                           "    x = embed(token, emb.weight)\n"
                           "    for l in L { x = block(x) along T as blocks.{l} }\n"
                           "    logits = linear(x, head.weight)\n"
                           "}\n"
                           "train m(target[T]: index(V)) {\n"
                           "    ce     = cross_entropy(logits, target)\n"
                           "    loss   = mean[b,t] ce[b,t]\n"
                           "    update = adamw() clip 1\n"
                           "}\n";

bool types_compile(const char *target, uint8_t dtype, const char *path);

bool types_compile(const char *target, uint8_t dtype, const char *path) {
    static const char *const names[] = {"init", "grad", "train", NULL};
    Arena *a = arena_new();
    const char *wrong = compile_typed(a, text, names, target, dtype, path);
    if (wrong) printf("the program of the test: %s\n", wrong);
    arena_free(a);
    return !wrong;
}
