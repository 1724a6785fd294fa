/* Matrix-product kernels by themselves: graphs from texts, made into a shared object, called on guarded
 * memory. Shared by the test and the speed program. */
#ifndef RWKVC_TEST_CONTRACT_WORLD_H
#define RWKVC_TEST_CONTRACT_WORLD_H

#include "codegen/codegen.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef void KernelFn(void *const *args, const int64_t *sizes, const int64_t *levels, void *scratch,
                      int64_t begin, int64_t end);

enum { WORLD_ARGS = 8, WORLD_LEVELS = 2 * MAX_LEVELS + 1 };

/* One product: the first equation of the graph that sums, and the equations after it. */
typedef struct Product {
    Arena *arena;
    Graph *g;
    Plan *plan;
    KernelCode code;
    KernelFn *fn;
} Product;

/* A text with %1, %2 the factors; the last equation is stored. */
static inline const char *product_read(Product *p, const char *text) {
    const char *error = NULL;
    p->arena = arena_new();
    p->g = graph_read(p->arena, text, strlen(text), &error);
    return p->g ? NULL : error;
}

static inline uint8_t store_dtype(uint8_t store) {
    return store == ST_BF16  ? DT_BF16
           : store == ST_F16 ? DT_F16
           : store == ST_INT ? DT_I32
                             : DT_F32;
}

static inline void product_arg(Product *p, Kernel *k, Value v, bool writes) {
    const ValueInfo *i = graph_value(p->g, v);
    PlanBuf *b = PUSH(p->arena, &p->plan->bufs);
    b->value = v;
    b->dtype = store_dtype(i->store);
    b->role = writes ? ROLE_OUTPUT : ROLE_INPUT;
    b->rank = i->rank;
    memcpy(b->dims, i->dims, sizeof b->dims);
    p->plan->buf_of[v] = p->plan->bufs.n - 1;
    *PUSH(p->arena, &k->arg_values) = v;
    *PUSH(p->arena, &k->arg_writes) = writes;
    *PUSH(p->arena, &k->arg_family) = 0;
}

static inline void product_index(Graph *g, ExprId e, bool *in) {
    const Expr *x = graph_expr(g, e);
    if (x->op == X_IDX) in[x->i] = true;
    for (uint32_t k = 0; k < x->n_args; k++) product_index(g, expr_arg(g, e, k), in);
}

static inline void product_axes(Product *p, PlanContract *c, const Node *n) {
    bool a[2 * MAX_RANK] = {false}, b[2 * MAX_RANK] = {false};
    c->a = expr_arg(p->g, n->expr, 0);
    c->b = expr_arg(p->g, n->expr, 1);
    product_index(p->g, c->a, a);
    product_index(p->g, c->b, b);
    uint8_t rank = graph_value(p->g, n->out)->rank;
    for (uint8_t i = 0; i < rank; i++) {
        if (a[i] && b[i])
            c->batch[c->n_batch++] = i;
        else if (a[i])
            c->m[c->n_m++] = i;
        else
            c->n[c->n_n++] = i;
    }
    for (uint8_t i = 0; i < n->n_extra; i++) c->k[c->n_k++] = (uint8_t)(rank + i);
}

/* As the planner has it: bf16 where a factor is. */
static inline void product_rounds(Product *p, PlanContract *c) {
    uint8_t a = graph_value(p->g, graph_expr(p->g, c->a)->value)->store,
            b = graph_value(p->g, graph_expr(p->g, c->b)->value)->store;
    c->operands = a == ST_BF16 || b == ST_BF16 ? DT_BF16 : DT_F32;
}

/* A plan of one kernel and one launch of it. stored: how many of the last equations are stored. */
static inline void product_plan(Product *p, const char *name, uint32_t stored) {
    Plan *plan = p->plan = NEW(p->arena, Plan);
    plan->arena = p->arena;
    plan->g = p->g;
    plan->buf_of = NEWN(p->arena, BufId, p->g->values.n);
    memset(plan->buf_of, 0xff, sizeof(BufId) * p->g->values.n);
    Kernel *k = PUSH(p->arena, &plan->kernels);
    k->kind = K_CONTRACT;
    k->name = name;
    for (uint32_t i = 0; i < p->g->inputs.n; i++)
        product_arg(p, k, p->g->inputs.data[i].value, false);
    for (uint32_t i = 0; i < p->g->top.nodes.n; i++) {
        const Node *n = graph_node(p->g, p->g->top.nodes.data[i]);
        if (n->kind != N_EQ) continue;
        if (!k->members.n) product_axes(p, &k->contract, n), product_rounds(p, &k->contract);
        PlanMember *m = PUSH(p->arena, &k->members);
        m->node = p->g->top.nodes.data[i];
        m->also = LOCAL;
    }
    for (uint32_t i = 0; i < k->members.n; i++) {
        PlanMember *m = &k->members.data[i];
        m->arg = LOCAL;
        if (i + stored < k->members.n) continue;
        m->arg = k->arg_values.n;
        product_arg(p, k, graph_node(p->g, m->node)->out, true);
    }
    Op *op = PUSH(p->arena, &plan->ops.list);
    op->kind = OP_LAUNCH;
    for (uint32_t i = 0; i < plan->bufs.n; i++) PUSH(p->arena, &op->args)->buf = i;
}

static inline int64_t product_size(const Product *p, Size s, const int64_t *axes) {
    int64_t n = -1;
    return size_eval(p->g->sizes, s, axes, &n) ? n : -1;
}

static inline const char *image_open(const void *image, size_t n, const char *path, void **so) {
    FILE *f = fopen(path, "wb");
    if (!f) return "no temporary file";
    bool ok = fwrite(image, 1, n, f) == n;
    if (fclose(f) || !ok) return "no temporary file";
    *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    return *so ? NULL : dlerror();
}

/* Compiles products for a target into one shared object and finds their functions. It stays loaded;
 * their symbols live in a. */
static inline const char *products_make(Arena *a, Product *p, uint32_t n, const TargetInfo *t) {
    Codegen *cg = codegen_new(a, t);
    const char *error = NULL;
    for (uint32_t i = 0; i < n && !error; i++) error = codegen_add(cg, p[i].plan, &p[i].code);
    const void *object = NULL, *image = NULL;
    size_t bytes = 0;
    void *so = NULL;
    if (!error) error = codegen_object(cg, "", 1, &object, &bytes);
    char dir[] = "/tmp/contract.XXXXXX", path[64];
    if (!error && !mkdtemp(dir)) error = "no temporary folder";
    if (!error) {
        snprintf(path, sizeof path, "%s/k.so", dir);
        error = link_shared(a, object, bytes, path, &image, &bytes);
        if (!error) error = image_open(image, bytes, path, &so);
        unlink(path);
        rmdir(dir);
    }
    for (uint32_t i = 0; i < n && !error; i++) {
        void *f = dlsym(so, p[i].code.symbol);
        if (!f) error = "a symbol is missing";
        memcpy(&p[i].fn, &f, sizeof f);
    }
    if (error) fprintf(stderr, "%s: %s\n", t->name, error);
    codegen_free(cg);
    return error;
}

/* ---- memory ---------------------------------------------------------------------------------------- */

/* `bytes` and `slack` more, then a page that cannot be touched. 64-byte aligned, filled with `fill`. */
static inline void *guarded(size_t bytes, size_t slack, int fill) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), used = (bytes + slack + 63) / 64 * 64;
    size_t pages = (used + page - 1) / page * page;
    char *p = mmap(NULL, pages + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + pages, page, PROT_NONE)) abort();
    memset(p, fill, pages);
    return p + pages - used;
}

static inline void guarded_free(void *q, size_t bytes, size_t slack) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), used = (bytes + slack + 63) / 64 * 64;
    size_t pages = (used + page - 1) / page * page;
    munmap((char *)q - (pages - used), pages + page);
}

static inline float real_of(const void *p, size_t i, uint8_t dtype) {
    if (dtype == DT_F32) return ((const float *)p)[i];
    uint16_t h = ((const uint16_t *)p)[i];
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, 4);
    if (dtype == DT_BF16) return f;
    uint32_t exponent = h >> 10 & 31, fraction = h & 1023; /* no infinities here */
    float x = (float)fraction / 1024.0f + (exponent ? 1.0f : 0.0f);
    for (uint32_t e = exponent ? exponent : 1; e < 15; e++) x /= 2;
    return h >> 15 ? -x : x;
}

/* A number in [-1, 1) that all of f32, bf16 and f16 hold: 7 bits after the point. */
static inline float number_of(uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((int)(*seed >> 56) - 128) / 128.0f;
}

static inline void put_real(void *p, size_t i, uint8_t dtype, float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if (dtype == DT_F32)
        memcpy((char *)p + 4 * i, &x, 4);
    else if (dtype == DT_BF16)
        ((uint16_t *)p)[i] = (uint16_t)(bits >> 16);
    else
        ((uint16_t *)p)[i] =
            (uint16_t)(x == 0 ? 0
                              : (bits >> 16 & 0x8000) | (((bits >> 13) & 0x3ffff) - (112u << 10)));
}

#endif
