/* Launches beside each other (compiler/plan_beside.c): the groups of a text, and that marks which are wrong are
 * found. */
#include <stdio.h>
#include <string.h>

#include "compiler/plan.h"
#include "dsl/check.h"

/* Four products of which each only leaves a number a step: one after the other they share one place. */
static const char text[] = "use std\n"
                           "const D = 256\n"
                           "axis  T\n"
                           "fn norm(x[A]) = sqrt(1 + sum[k] x[k]^2)\n"
                           "model m(x[T,D]) -> y[T,D] {\n"
                           "    param a.weight[D,D] ~ normal(0.1)\n"
                           "    param b.weight[D,D] ~ normal(0.1)\n"
                           "    param c.weight[D,D] ~ normal(0.1)\n"
                           "    param d.weight[D,D] ~ normal(0.1)\n"
                           "    s = norm(linear(x, a.weight))\n"
                           "    w = norm(linear(x, b.weight))\n"
                           "    u = norm(linear(x, c.weight))\n"
                           "    v = norm(linear(x, d.weight))\n"
                           "    y[t,k] = x[t,k]*(s[t] + w[t] + u[t] + v[t])\n"
                           "}\n"
                           "train m(target[T,D]) {\n"
                           "    loss   = mean[b,t,k] (y[b,t,k] - target[b,t,k])^2\n"
                           "    update = adamw()\n"
                           "}\n";

static int failures;

static void check(bool good, const char *what, long long n) {
    if (good) return;
    failures++;
    printf("%s: %lld\n", what, n);
}

static Plan *plan_of(Arena *a, const char *entry, const PlanBudget *budget) {
    Diag *d = diag_new(a, 0);
    Program *p = check_text(a, d, "m.rwkv", text, strlen(text), NULL);
    Graph *g = p ? program_graph(p, entry, d) : NULL;
    if (!g) diag_print(d, stdout, DIAG_PLAIN);
    const char *why = "the text is wrong";
    PlanOptions o = {.fuse = true, .budget = budget};
    Plan *plan = g ? plan_make(a, g, &o, &why) : NULL;
    const char *wrong = plan ? plan_verify(plan) : why;
    if (!wrong) return plan;
    failures++;
    printf("%s: %s\n", entry, wrong);
    return NULL;
}

static uint32_t rounds(const Plan *p) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->ops.list.n; i++) n += !p->ops.list.data[i].beside;
    return n;
}

/* An op marked as beside one whose result it reads; and at the head of a list. */
static void test_wrong_marks(Arena *a) {
    Plan *p = plan_of(a, "forward", NULL);
    if (!p) return;
    p->ops.list.data[0].beside = true;
    check(plan_verify(p) != NULL, "the first op is beside something", 0);
    p->ops.list.data[0].beside = false;
    for (uint32_t i = 1; i < p->ops.list.n; i++) {
        if (p->ops.list.data[i].beside) continue;
        p->ops.list.data[i].beside = true;
        check(plan_verify(p) != NULL, "beside an op it needs", i);
        p->ops.list.data[i].beside = false;
    }
    check(plan_verify(p) == NULL, "the marks as they were", 0);
}

/* With one sample of `steps` steps in mind: weights beside which a little more is nothing, or not. */
static uint32_t rounds_at(Arena *a, int64_t steps) {
    const int64_t axes[] = {1, steps};
    PlanBudget b = {.axes = axes};
    Plan *p = plan_of(a, "forward", &b);
    return p ? rounds(p) : 0;
}

int main(void) {
    Arena *a = arena_new();
    Plan *p = plan_of(a, "forward", NULL);
    uint32_t ops = p ? p->ops.list.n : 0;
    check(ops == 8, "launches", ops);
    check(rounds_at(a, 1) == 3, "rounds of one step", rounds_at(a, 1));
    check(rounds_at(a, 1000000) == 5, "rounds where memory is dear", rounds_at(a, 1000000));
    p = plan_of(a, "train", NULL);
    check(p && rounds(p) * 2 < p->ops.list.n, "rounds of train", p ? rounds(p) : 0);
    test_wrong_marks(a);
    arena_free(a);
    if (!failures) printf("groups of launches: good\n");
    return failures != 0;
}
