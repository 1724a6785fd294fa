/* What plans keep numbers as, by --dtype: the rules of compiler/plan_store.c on one text. */
#include <stdio.h>
#include <string.h>

#include "compiler/plan.h"
#include "dsl/check.h"

static const char text[] =
    "use std\n"
    "const V = 80, D = 64, N = 16, H = D//N, L = 2\n"
    "axis  T\n"
    "cell block(x[D], id[]: int) -> x[D] {\n"
    "    param gain[D] = 1\n"
    "    param shade[V] = 0\n"
    "    param wide.weight[D,D] ~ normal(0.1)\n"
    "    param keep.weight[D,D] ~ normal(0.1)\n"
    "    param odds.weight[D,D] ~ normal(0.1)\n"
    "    param exact.weight[D,D]: f32 ~ normal(0.1)\n"
    "    param back.weight[D,D] ~ normal(0.1)\n"
    "    param turn.weight[D,D] ~ normal(0.1)\n"
    "    param speed[H,N] = -1\n"
    "    normed = x/sqrt(mean[k] x[k]^2 + 1e-5)*gain\n"
    "    wide = linear(normed, wide.weight)\n"
    "    kept = split(linear(normed, keep.weight); N)\n"
    "    state S[h:H, i:N]: f32 = 0\n"
    "    S[h,i] = S[h,i]*exp(-exp(speed[h,i])) + kept[h,i]*kept[h,i]\n"
    "    sure = 1/(1.5 - sigmoid(linear(normed, odds.weight)))\n" /* small errors, large ones */
    "    part = wide*sigmoid(wide) + join(S)*sure + linear(x, exact.weight)\n"
    "    mid = x + linear(part, back.weight) + shade[id]\n"
    "    x = mid + linear(mid*mid, turn.weight)\n"
    "}\n"
    "model m(token[T]: index(V)) -> logits[T,V] along T {\n"
    "    param emb.weight[V,D] ~ normal(1)\n"
    "    param head.weight[V,D] ~ normal(1)\n"
    "    x = embed(token, emb.weight)\n"
    "    for l in L { x = block(x, token) along T as blocks.{l} }\n"
    "    logits = linear(x, head.weight)\n"
    "}\n"
    "train m(target[T]: index(V)) {\n"
    "    ce     = cross_entropy(logits, target)\n"
    "    loss   = mean[b,t] ce[b,t]\n"
    "    update = adamw()\n"
    "}\n";

static const char *const dtype_names[] = {"f32", "bf16", "f16", "i32", "none"};
enum { NONE = DTYPES };

static int failures;

static void is(const char *what, const char *name, uint8_t got, uint8_t wanted) {
    if (got == wanted) return;
    failures++;
    printf("%s %s: %s, not %s\n", what, name, dtype_names[got], dtype_names[wanted]);
}

static Plan *plan_of(Arena *a, const char *entry, uint8_t dtype) {
    Diag *d = diag_new(a, 0);
    Program *p = check_text(a, d, "m.rwkv", text, strlen(text), NULL);
    Graph *g = p ? program_graph(p, entry, d) : NULL;
    if (!g) diag_print(d, stdout, DIAG_PLAIN);
    const char *why = "the text is wrong";
    PlanOptions o = {.weights = dtype, .saved = dtype, .fuse = true};
    Plan *plan = g ? plan_make(a, g, &o, &why) : NULL;
    const char *wrong = plan ? plan_verify(plan) : why;
    if (!wrong) return plan;
    failures++;
    printf("%s: %s\n", entry, wrong);
    return NULL;
}

/* ---- looking ------------------------------------------------------------------------------------- */

static bool is_called(const Plan *p, Value v, const char *name) {
    const char *own = graph_value(p->g, v)->name;
    return own && strcmp(own, name) == 0;
}

/* Of all buffers of a role and name; NONE: there is none, or they differ. */
static uint8_t kept(const Plan *p, Role role, const char *name) {
    uint8_t d = NONE;
    for (uint32_t i = 0; i < p->bufs.n; i++) {
        const PlanBuf *b = &p->bufs.data[i];
        if (b->role != role || !is_called(p, b->value, name)) continue;
        if (d != NONE && d != b->dtype) return NONE;
        d = b->dtype;
    }
    return d;
}

static uint8_t of_value(const Plan *p, Value v) {
    return p->buf_of[v] == UINT32_MAX ? (uint8_t)NONE : p->bufs.data[p->buf_of[v]].dtype;
}

static Value factor(const Plan *p, const Kernel *k, int which) {
    ExprId e = which ? k->contract.b : k->contract.a;
    return graph_expr(p->g, e)->value;
}

static Value result(const Plan *p, const Kernel *k) {
    return graph_node(p->g, k->members.data[0].node)->out;
}

/* The first product with this parameter: the one of the forward pass. */
static const Kernel *product_with(const Plan *p, const char *param) {
    for (uint32_t i = 0; i < p->kernels.n; i++) {
        const Kernel *k = &p->kernels.data[i];
        if (k->kind != K_CONTRACT) continue;
        for (int f = 0; f < 2; f++)
            if (is_called(p, factor(p, k, f), param)) return k;
    }
    failures++;
    printf("no product with %s\n", param);
    return &p->kernels.data[0];
}

static const Kernel *product_making(const Plan *p, const char *name) {
    for (uint32_t i = 0; i < p->kernels.n; i++)
        if (p->kernels.data[i].kind == K_CONTRACT &&
            is_called(p, result(p, &p->kernels.data[i]), name))
            return &p->kernels.data[i];
    failures++;
    printf("no product makes %s\n", name);
    return &p->kernels.data[0];
}

static const Op *find_launch(const Ops *ops, uint32_t kernel) {
    for (uint32_t i = 0; i < ops->list.n; i++) {
        const Op *o = &ops->list.data[i];
        if (o->kind == OP_LAUNCH && o->kernel == kernel) return o;
        for (uint32_t c = 0; o->kind == OP_LOOP && c < o->n_classes; c++) {
            const Op *in = find_launch(&o->bodies[c], kernel);
            if (in) return in;
        }
    }
    return NULL;
}

/* ---- what is wanted ------------------------------------------------------------------------------ */

static void check_params(const Plan *p, uint8_t d) {
    static const char *const matrices[] = {"emb.weight",  "head.weight", "wide.weight",
                                           "keep.weight", "odds.weight", "back.weight",
                                           "turn.weight"};
    static const char *const others[] = {"gain", "shade", "speed", "exact.weight"};
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++)
        is("param", matrices[i], kept(p, ROLE_PARAM, matrices[i]), d);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        is("param", others[i], kept(p, ROLE_PARAM, others[i]), DT_F32);
}

static void check_products(const Plan *p, uint8_t d) {
    uint8_t rounded = d == DT_BF16 ? DT_BF16 : DT_F32;
    is("operands of", "wide.weight", product_with(p, "wide.weight")->contract.operands, rounded);
    is("operands of", "exact.weight", product_with(p, "exact.weight")->contract.operands, DT_F32);
}

static void check_grad(uint8_t d) {
    Arena *a = arena_new();
    Plan *p = plan_of(a, "grad", d);
    if (p) {
        check_params(p, d);
        check_products(p, d);
        is("saved", "normed", kept(p, ROLE_TEMP, "normed"), d);
        is("operand", "part", kept(p, ROLE_TEMP, "part"), d);
        is("residual stream and its gradient", "x", kept(p, ROLE_TEMP, "x"), DT_F32);
        is("residual stream", "mid", kept(p, ROLE_TEMP, "mid"), DT_F32);
        is("state", "S", kept(p, ROLE_TEMP, "S"), DT_F32);
        is("saved product", "wide", of_value(p, result(p, product_with(p, "wide.weight"))), d);
        is("read by steps", "keep", of_value(p, result(p, product_with(p, "keep.weight"))), DT_F32);
        is("divided by", "odds", of_value(p, result(p, product_with(p, "odds.weight"))), DT_F32);
        is("gradient", "d.back.weight", kept(p, ROLE_OUTPUT, "d.back.weight"), DT_F32);
        const Kernel *k = product_making(p, "d.wide.weight");
        uint8_t of[2] = {of_value(p, factor(p, k, 0)), of_value(p, factor(p, k, 1))};
        int saved = is_called(p, factor(p, k, 0), "normed") ? 0 : 1;
        is("factor", "normed", of[saved], d);
        /* gradients leave the range of f16 */
        is("factor", "d.wide", of[!saved], d == DT_F16 ? (uint8_t)DT_F32 : d);
        is("operands of", "d.wide.weight", k->contract.operands, d == DT_BF16 ? DT_BF16 : DT_F32);
    }
    arena_free(a);
}

/* One token at a time everything but matrices is exact; a stretch of them rounds operands alone. */
static void check_inference(uint8_t d) {
    Arena *a = arena_new();
    Plan *step = plan_of(a, "step", d), *forward = plan_of(a, "forward", d);
    for (uint32_t i = 0; step && i < step->bufs.n; i++)
        if (step->bufs.data[i].role == ROLE_TEMP && step->bufs.data[i].dtype != DT_I32)
            is("temporary of", "step", step->bufs.data[i].dtype, DT_F32);
    if (step) check_params(step, d);
    if (forward) {
        check_params(forward, d);
        check_products(forward, d);
        is("operand", "normed", kept(forward, ROLE_TEMP, "normed"), d);
        is("operand", "part", kept(forward, ROLE_TEMP, "part"), d);
        is("not only", "wide",
           of_value(forward, result(forward, product_with(forward, "wide.weight"))), DT_F32);
        is("residual stream", "x", kept(forward, ROLE_TEMP, "x"), DT_F32);
    }
    arena_free(a);
}

/* The kernel that makes the new master reads the old one, and writes the short copy too. */
static void check_update(const Plan *p, uint32_t output, uint8_t d) {
    Graph *g = p->g;
    const char *name = g->outputs.data[output].name;
    uint32_t index = g->outputs.data[output].index, reads = 0, writes = 0, copies = 0;
    for (uint32_t i = 0; i < p->kernels.n; i++) {
        const Kernel *k = &p->kernels.data[i];
        const Op *o = find_launch(&p->ops, i);
        bool makes = false;
        for (uint32_t j = 0; j < k->arg_values.n; j++)
            makes = makes || (k->arg_writes.data[j] &&
                              k->arg_values.data[j] == g->outputs.data[output].value);
        for (uint32_t j = 0; makes && j < k->arg_values.n; j++) {
            const PlanBuf *b = &p->bufs.data[o->args.data[j].buf];
            if (b->role == ROLE_PARAM && b->index == index && b->dtype == DT_F32) reads++;
            for (uint32_t q = 0; q < g->outputs.n; q++)
                if (g->outputs.data[q].kind == OUT_PARAM && g->outputs.data[q].index == index &&
                    g->outputs.data[q].value == k->arg_values.data[j]) {
                    writes += b->dtype == DT_F32;
                    copies += b->dtype == d;
                }
        }
    }
    if (reads == 1 && writes == 1 && copies == 1) return;
    failures++;
    printf("update of %s: %u masters read, %u written, %u copies\n", name, reads, writes, copies);
}

static void check_train(uint8_t d) {
    Arena *a = arena_new();
    Plan *p = plan_of(a, "train", d);
    uint32_t masters = 0, copies = 0, short_outputs = 0;
    for (uint32_t i = 0; p && i < p->bufs.n; i++) {
        const PlanBuf *b = &p->bufs.data[i];
        masters += b->role == ROLE_PARAM && b->dtype == DT_F32;
        copies += b->role == ROLE_PARAM && b->dtype == d;
        if (b->role == ROLE_TEMP && b->born == b->dies) {
            failures++;
            printf("train: buffer %u is written and never read\n", i);
        }
    }
    for (uint32_t i = 0; p && i < p->g->outputs.n; i++) {
        const OutputInfo *o = &p->g->outputs.data[i];
        if (o->kind != OUT_PARAM) continue;
        short_outputs += of_value(p, o->value) == d;
        bool is_short = kept(p, ROLE_PARAM,
                             graph_value(p->g, p->g->params.data[o->index].value)->name) != DT_F32;
        if (of_value(p, o->value) == DT_F32 && is_short) check_update(p, i, d);
    }
    if (p && (masters != 11 || copies != 7 || short_outputs != 7)) {
        failures++;
        printf("train: %u masters, %u copies, %u of them written\n", masters, copies,
               short_outputs);
    }
    arena_free(a);
}

int main(void) {
    static const uint8_t dtypes[] = {DT_F32, DT_BF16, DT_F16};
    for (size_t i = 0; i < sizeof dtypes; i++) {
        check_grad(dtypes[i]);
        check_inference(dtypes[i]);
        if (dtypes[i] != DT_F32) check_train(dtypes[i]);
    }
    if (failures) printf("%d failures\n", failures);
    return failures != 0;
}
