/* Random well-typed texts: every statement takes tensors that exist and makes one more. */
#include "generate.h"

#include <string.h>

enum { MAX_TENSORS = 64, MAX_AXES = 4 };

/* Sizes a text may use: constants, and the axis T (which a recurrence runs along). */
static const char *const size_names[] = {"K", "M", "N", "T"};
enum { SIZE_K, SIZE_M, SIZE_N, SIZE_T, SIZES };

typedef struct Tensor {
    char name[24];
    uint32_t rank;
    uint32_t dim[MAX_AXES];
} Tensor;

typedef struct Gen {
    uint64_t state;
    Text text, fns;
    Tensor t[MAX_TENSORS];
    uint32_t n;
    uint32_t next; /* names */
    uint32_t cells, indent;
    bool in_loop;
} Gen;

static uint32_t below(Gen *g, uint32_t n) {
    g->state = g->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(g->state >> 33) % n;
}

static bool chance(Gen *g, uint32_t percent) { return below(g, 100) < percent; }

static const char *pick_word(Gen *g, const char *const *words, uint32_t n) {
    return words[below(g, n)];
}

static const char *smooth(Gen *g) {
    static const char *const f[] = {"tanh", "sigmoid", "sin", "cos", "erf", "tanh", "silu", "gelu"};
    return pick_word(g, f, 8);
}

static void line(Gen *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void line(Gen *g, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    for (uint32_t i = 0; i < g->indent; i++) text_add(&g->text, "    ");
    text_vprintf(&g->text, fmt, ap);
    text_add(&g->text, "\n");
    va_end(ap);
}

static Tensor *tensor_new(Gen *g, uint32_t rank, const uint32_t *dim) {
    if (g->n == MAX_TENSORS) g->n--;
    Tensor *t = &g->t[g->n++];
    memset(t, 0, sizeof *t);
    snprintf(t->name, sizeof t->name, "x%u", g->next++);
    t->rank = rank;
    for (uint32_t i = 0; i < rank; i++) t->dim[i] = dim[i];
    return t;
}

static Tensor *any(Gen *g) { return &g->t[below(g, g->n)]; }

static Tensor *with_axes(Gen *g, uint32_t least) {
    for (int k = 0; k < 20; k++) {
        Tensor *t = any(g);
        if (t->rank >= least) return t;
    }
    for (uint32_t i = 0; i < g->n; i++)
        if (g->t[i].rank >= least) return &g->t[i];
    return NULL;
}

/* "[i0,i1]" over axes, or with one subscript replaced. */
static const char *subs(char *out, uint32_t rank, uint32_t at, const char *sub) {
    strcpy(out, rank ? "[" : "");
    for (uint32_t i = 0; i < rank; i++) {
        char one[64];
        if (sub && i == at)
            snprintf(one, sizeof one, "%s%s", i ? "," : "", sub);
        else
            snprintf(one, sizeof one, "%si%u", i ? "," : "", i);
        strcat(out, one);
    }
    strcat(out, rank ? "]" : "");
    return out;
}

/* ---- statements ------------------------------------------------------------------------------------ */

static void make_pointwise(Gen *g) {
    Tensor a = *any(g), b = *any(g);
    bool tail = a.rank >= b.rank;
    for (uint32_t i = 0; tail && i < b.rank; i++) tail = a.dim[a.rank - b.rank + i] == b.dim[i];
    Tensor *y = tensor_new(g, a.rank, a.dim);
    static const char *const forms[] = {"%s = %s(%s*%s)", "%s = %s(%s - 0.5*%s)",
                                        "%s = %s(max(%s, %s))", "%s = %s(%s/(2 + cos(%s)))",
                                        "%s = %s(min(%s, 0.5*%s + 0.1))"};
    uint32_t k = below(g, 5);
    if (!tail) b = a;
    char buf[256];
    const char *f = smooth(g);
    switch (k) {
    case 0: snprintf(buf, sizeof buf, "%s = %s(%s*%s)", y->name, f, a.name, b.name); break;
    case 1: snprintf(buf, sizeof buf, "%s = %s(%s - 0.5*%s)", y->name, f, a.name, b.name); break;
    case 2:
        snprintf(buf, sizeof buf, "%s = %s(max(%s, %s + 0.37))", y->name, f, a.name, b.name);
        break;
    case 3:
        snprintf(buf, sizeof buf, "%s = %s(%s/(2 + cos(%s)))", y->name, f, a.name, b.name);
        break;
    default:
        snprintf(buf, sizeof buf, "%s = %s(select(%s > 0.11, %s^2, sqrt(abs(%s) + 0.2)))", y->name,
                 f, a.name, b.name, a.name);
        break;
    }
    (void)forms;
    line(g, "%s", buf);
}

static void make_param(Gen *g) {
    uint32_t dim[3] = {0}, rank = below(g, 3) + 1;
    for (uint32_t i = 0; i < rank; i++) dim[i] = below(g, 3);
    Tensor *p = tensor_new(g, rank, dim);
    char d[64] = "";
    for (uint32_t i = 0; i < rank; i++)
        snprintf(d + strlen(d), sizeof d - strlen(d), "%s%s", i ? "," : "", size_names[dim[i]]);
    line(g, "param %s[%s] ~ uniform(-1, 1)%s", p->name, d, chance(g, 15) ? " frozen" : "");
}

/* y[i,j] = read with one subscript shifted, mirrored, strided ... */
static void make_read(Gen *g) {
    Tensor *pa = with_axes(g, 1);
    if (!pa) return;
    Tensor a = *pa;
    uint32_t at = below(g, a.rank);
    const char *size = size_names[a.dim[at]];
    char s[64], left[128] = "", right[160], i[8];
    snprintf(i, sizeof i, "i%u", at);
    const char *range = "";
    char rangebuf[64] = "";
    switch (below(g, 6)) {
    case 0:
        snprintf(s, sizeof s, "%s - %u else %s", i, 1 + below(g, 3), chance(g, 50) ? "0" : "0.3");
        break;
    case 1: snprintf(s, sizeof s, "%s - 1 - %s", size, i); break;
    case 2: snprintf(s, sizeof s, "2*%s + 1 else 0.25", i); break;
    case 3:
        snprintf(s, sizeof s, "%s//2", i), snprintf(rangebuf, sizeof rangebuf, ":2*%s", size);
        break;
    case 4: snprintf(s, sizeof s, "3*%s - 2 else 0", i); break;
    default: snprintf(s, sizeof s, "2*%s else -0.1", i); break;
    }
    if (rangebuf[0]) {
        /* a doubled axis has no name: sum it away at once */
        Tensor *y = tensor_new(g, a.rank - 1, a.dim);
        for (uint32_t k = at; k + 1 < a.rank; k++) y->dim[k] = a.dim[k + 1];
        for (uint32_t k = 0, first = 1; k < a.rank; k++)
            if (k != at)
                snprintf(left + strlen(left), sizeof left - strlen(left), "%si%u", first ? "" : ",",
                         k),
                    first = 0;
        subs(right, a.rank, at, s);
        line(g, "%s%s%s%s = mean[%s:2*%s] %s%s*cos(0.7*%s)", y->name, left[0] ? "[" : "", left,
             left[0] ? "]" : "", i, size, a.name, right, i);
        return;
    }
    /* an else belongs to the whole read and stands last: read through a name that holds the axis last */
    Tensor *y = tensor_new(g, a.rank, a.dim);
    for (uint32_t k = 0; k < a.rank; k++)
        snprintf(left + strlen(left), sizeof left - strlen(left), "%si%u:%s", k ? "," : "", k,
                 size_names[a.dim[k]]);
    char plain[64], other[32] = "";
    strcpy(plain, s);
    char *e = strstr(plain, " else");
    if (e) snprintf(other, sizeof other, "%s", e), *e = 0;
    subs(right, a.rank, at, plain);
    if (other[0]) right[strlen(right) - 1] = 0, strcat(right, other), strcat(right, "]");
    line(g, "%s[%s] = %s%s*(1 + 0.1*i%u/%s)", y->name, left, a.name, right, at, size);
    (void)range;
}

static void make_transpose(Gen *g) {
    Tensor *pa = with_axes(g, 2);
    if (!pa) return;
    Tensor a = *pa;
    uint32_t dim[MAX_AXES];
    char left[64] = "", right[64] = "";
    for (uint32_t k = 0; k < a.rank; k++) {
        uint32_t from = a.rank - 1 - k;
        dim[k] = a.dim[from];
        snprintf(left + strlen(left), sizeof left - strlen(left), "%si%u", k ? "," : "", from);
        snprintf(right + strlen(right), sizeof right - strlen(right), "%si%u", k ? "," : "", k);
    }
    Tensor *y = tensor_new(g, a.rank, dim);
    line(g, "%s[%s] = %s(%s[%s])", y->name, left, smooth(g), a.name, right);
}

static void make_reduce(Gen *g) {
    Tensor *pa = with_axes(g, 1);
    if (!pa) return;
    Tensor a = *pa;
    uint32_t at = below(g, a.rank), dim[MAX_AXES];
    char left[64] = "", right[64];
    for (uint32_t k = 0, n = 0; k < a.rank; k++) {
        if (k == at) continue;
        snprintf(left + strlen(left), sizeof left - strlen(left), "%si%u", n ? "," : "", k);
        dim[n++] = a.dim[k];
    }
    Tensor *y = tensor_new(g, a.rank - 1, dim);
    static const char *const reds[] = {"sum", "mean", "max", "min", "prod", "mean"};
    const char *red = pick_word(g, reds, 6);
    subs(right, a.rank, 0, NULL);
    bool prod = strcmp(red, "prod") == 0;
    line(g, "%s%s%s%s = tanh(%s[i%u] %s%s%s%s)", y->name, left[0] ? "[" : "", left,
         left[0] ? "]" : "", red, at, prod ? "(1 + 0.3*" : "", a.name, right, prod ? ")" : "");
}

static void make_contract(Gen *g) {
    Tensor *pa = with_axes(g, 1);
    if (!pa) return;
    Tensor a = *pa;
    uint32_t last = a.dim[a.rank - 1], out = below(g, 3);
    if (last == SIZE_T) return;
    uint32_t dim[MAX_AXES];
    memcpy(dim, a.dim, sizeof dim);
    uint32_t w[2] = {out, last};
    Tensor p = *tensor_new(g, 2, w);
    line(g, "param %s[%s,%s] ~ uniform(-1, 1)", p.name, size_names[out], size_names[last]);
    dim[a.rank - 1] = out;
    Tensor *y = tensor_new(g, a.rank, dim);
    if (chance(g, 50))
        line(g, "%s = tanh(linear(%s, %s))", y->name, a.name, p.name);
    else
        line(g, "%s = softmax(linear(%s, %s))", y->name, a.name, p.name);
}

static void make_gather(Gen *g) {
    uint32_t w[2] = {SIZE_M, below(g, 3)};
    Tensor p = *tensor_new(g, 2, w);
    line(g, "param %s[%s,%s] ~ uniform(-1, 1)", p.name, size_names[w[0]], size_names[w[1]]);
    uint32_t dim[2] = {SIZE_T, w[1]};
    Tensor *y = tensor_new(g, 2, dim);
    switch (below(g, 3)) {
    case 0: line(g, "%s = embed(id, %s)", y->name, p.name); break;
    case 1:
        line(g, "%s[t,k] = %s[id[t], k]*%s[(id[t] + 1) %% M, k]", y->name, p.name, p.name);
        break;
    default: line(g, "%s[t,k] = %s[id[t] - 1, k else 0.2]", y->name, p.name); break;
    }
}

static void make_concat(Gen *g) {
    Tensor *pa = with_axes(g, 1), *pb = with_axes(g, 1);
    if (!pa || !pb) return;
    Tensor a = *pa, b = *pb;
    if (a.rank != 1 || b.rank != 1) return;
    uint32_t dim[1] = {a.dim[0]};
    Tensor *y = tensor_new(g, 1, dim);
    const char *A = size_names[a.dim[0]], *B = size_names[b.dim[0]];
    line(g, "%s_c[c:%s+%s] = select(c < %s, %s[c], %s[c-%s])", y->name, A, B, A, a.name, b.name, A);
    line(g, "%s[c:%s] = %s_c[c+%s-1 else 0.1] + %s_c[c]", y->name, A, y->name, B, y->name);
}

/* ---- cells ----------------------------------------------------------------------------------------- */

/* A cell on a vector [K] (and a second one), written to the text of functions. */
static void write_cell(Gen *g, uint32_t id) {
    Text *f = &g->fns;
    bool two = chance(g, 50), matrix = chance(g, 40), delay = chance(g, 60), deep = chance(g, 30),
         weight = chance(g, 50);
    text_printf(f, "cell step%u(x[C], y[C]) -> o[C] {\n", id);
    if (weight) text_add(f, "    param W[C,C] ~ uniform(-1, 1)\n");
    text_add(f, "    param mu[C] ~ uniform(-1, 1)\n");
    text_add(f, delay ? "    z = tanh(x + (prev(x) - x)*mu)\n" : "    z = tanh(x*mu)\n");
    if (deep) text_printf(f, "    q[c] = sum[j:3] mu[c]*cos(0.5*j)*prev(y, 2-j)[c]\n    z += q\n");
    if (matrix) {
        text_printf(f, "    state S[i:C, j:C] = %s\n", chance(g, 50) ? "0" : "0.1*(i + 1)/(j + 2)");
        text_add(f, "    d = sigmoid(z)\n"
                    "    S[i,j] = S[i,j]*d[j] - (sum[m] S[i,m]*z[m])*z[j]*0.1 + y[i]*z[j]\n"
                    "    u[i] = tanh(sum[j] S[i,j]*z[j])\n");
    } else {
        text_printf(f, "    state h[C] = %s\n", chance(g, 50) ? "0" : "0.2");
        text_add(f, weight ? "    h = tanh(linear(h, W) + z)\n"
                           : "    h = 0.8*h + sin(z + y)*(1 - 0.5*h)\n");
        text_add(f, "    u = h\n");
    }
    if (two)
        text_add(f, "    state n[C] = 0.5\n    n = 0.9*n + 0.1*u^2\n    u = u/sqrt(n + 0.1)\n");
    if (chance(g, 30))
        text_add(f, "    u = u + 0.3*prev(u)\n"); /* a delay inside the recurrence's results */
    text_add(f, "    o = tanh(u)\n}\n");
}

static Tensor *sequence(Gen *g, uint32_t dim) {
    uint32_t d[2] = {SIZE_T, dim};
    for (uint32_t i = 0; i < g->n; i++) {
        Tensor *t = &g->t[(i + g->next) % g->n];
        if (t->rank == 2 && t->dim[0] == d[0] && t->dim[1] == d[1]) return t;
    }
    return NULL;
}

static void make_cell(Gen *g) {
    uint32_t dim = below(g, 3);
    Tensor *pa = sequence(g, dim);
    if (!pa) return;
    Tensor a = *pa;
    uint32_t id = g->cells++;
    write_cell(g, id);
    Tensor *y = tensor_new(g, 2, a.dim);
    static const char *const tails[] = {"", "", " where keep", " restart fresh",
                                        " where keep restart fresh"};
    const char *tail = pick_word(g, tails, 5);
    line(g, "%s = step%u(%s, %s) along %sT%s as c%u%s", y->name, id, a.name,
         chance(g, 50) ? a.name : "base_of_all", chance(g, 30) ? "reverse " : "", tail, id,
         g->in_loop ? "_{l}" : "");
    /* the second argument must fit: use a itself where it does not */
    char *bad = strstr(g->text.data + (g->text.n > 200 ? g->text.n - 200 : 0), "base_of_all");
    if (bad) {
        const char *name = dim == SIZE_K ? "x0" : a.name;
        char rest[160];
        strcpy(rest, bad + strlen("base_of_all"));
        g->text.n = (size_t)(bad - g->text.data);
        g->text.data[g->text.n] = 0;
        text_add(&g->text, name);
        text_add(&g->text, rest);
    }
}

/* ---- layer loops ------------------------------------------------------------------------------------ */

static void statement(Gen *g, bool loops);

static void make_loop(Gen *g) {
    Tensor *pa = with_axes(g, 1);
    if (!pa || g->in_loop) return;
    Tensor a = *pa;
    uint32_t outer = g->n;
    uint32_t count = 1 + below(g, 3);
    line(g, "for l in %u as layers%u.{l} {", count, g->next++);
    g->indent++;
    g->in_loop = true;
    for (uint32_t k = 0, n = 1 + below(g, 3); k < n; k++) statement(g, false);
    char d[64] = "";
    for (uint32_t i = 0; i < a.rank; i++)
        snprintf(d + strlen(d), sizeof d - strlen(d), "%s%s", i ? "," : "", size_names[a.dim[i]]);
    bool t = false;
    for (uint32_t i = 0; i < a.rank; i++) t = t || a.dim[i] == SIZE_T;
    if (!t)
        line(g, "param w%u[%s] ~ uniform(-1, 1)", g->next, d);
    else
        line(g, "w%u = cos(%s)", g->next, a.name);
    const char *how = pick_word(g, (const char *const[]){"l == 0", "l % 2 == 0", "l < 2"}, 3);
    if (chance(g, 60))
        line(g, "if %s { %s = tanh(%s + w%u) } else { %s = %s*w%u*(1 + l)/3 }", how, a.name, a.name,
             g->next, a.name, a.name, g->next);
    else
        line(g, "%s = tanh(%s*w%u + l/4)", a.name, a.name, g->next);
    g->next++;
    g->indent--;
    g->in_loop = false;
    line(g, "}");
    g->n = outer; /* names of the body are gone */
}

static void statement(Gen *g, bool loops) {
    switch (below(g, loops ? 13 : 11)) {
    case 0:
    case 1: make_pointwise(g); break;
    case 2: make_param(g); break;
    case 3:
    case 4: make_read(g); break;
    case 5: make_transpose(g); break;
    case 6: make_reduce(g); break;
    case 7: make_contract(g); break;
    case 8: make_gather(g); break;
    case 9: make_concat(g); break;
    case 10:
    case 11: make_cell(g); break;
    default: make_loop(g); break;
    }
}

static void write_loss(Gen *g) {
    Text *t = &g->text;
    text_add(t, "train random() {\n");
    text_add(t, "    loss = 0.5*(mean[b] out[b])");
    text_add(t, chance(g, 40) ? " + 0.1*(mean[b] out[b]^2)\n" : "\n");
    if (chance(g, 40)) text_add(t, "    penalty = 0.2*(max[b] out[b])^2\n");
    text_add(t, "}\n");
}

const char *generate_text(Arena *a, uint64_t seed) {
    Gen g = {.state = seed * 0x9e3779b97f4a7c15u + 12345, .text = text_new(a), .fns = text_new(a)};
    for (int i = 0; i < 3; i++) below(&g, 2);
    Text all = text_new(a);
    text_printf(&all, "use std\nconst K = %u, M = %u, N = %u\naxis T\n", 2 + below(&g, 3),
                2 + below(&g, 3), 1 + below(&g, 3));
    g.indent = 1;
    uint32_t d[2] = {SIZE_T, SIZE_K};
    tensor_new(&g, 2, d);
    make_param(&g);
    for (uint32_t k = 0, n = 2 + below(&g, 8); k < n; k++) statement(&g, true);
    text_add(&g.text, "    out = ");
    for (uint32_t i = 0, n = 0; i < g.n; i++) {
        Tensor *t = &g.t[i];
        if (t->rank == 2 && g.t[i].dim[0] == SIZE_T && i == 0 && g.n > 3 && chance(&g, 50))
            continue;
        char s[64];
        text_printf(&g.text, "%s", n++ ? " + " : "");
        if (t->rank == 0)
            text_printf(&g.text, "%s", t->name);
        else {
            text_add(&g.text, "(mean[");
            for (uint32_t k = 0; k < t->rank; k++) text_printf(&g.text, "%si%u", k ? "," : "", k);
            text_printf(&g.text, "] %s%s*cos(%u + i0))", t->name, subs(s, t->rank, 0, NULL), i);
        }
    }
    text_add(&g.text, "\n}\n");
    text_add(&all, g.fns.data);
    text_add(&all,
             "model random(x0[T,K], id[T]: index(M), keep[T]: int, fresh[T]: int) -> out[] {\n");
    text_add(&all, g.text.data);
    g.text = all;
    write_loss(&g);
    return g.text.data;
}
