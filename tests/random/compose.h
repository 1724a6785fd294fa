/* What the makers of statements share: the text so far, its tensors, and choices. */
#ifndef RWKVC_COMPOSE_H
#define RWKVC_COMPOSE_H

#include <string.h>

#include "generate.h"

enum { MAX_VARS = 48, MOST_AXES = 4, MAX_NAMES = 64, WORD = 24 };

/* Sizes an axis may have. R is even. */
typedef enum Dim { DK, DM, DN, DR, DT, DPT, DIMS } Dim;
static const char *const dim_text[DIMS] = {"K", "M", "N", "R", "T", "P+T"};
#define CONSTS DT /* those before are constants */

typedef struct Var {
    char name[WORD];
    uint32_t rank;
    Dim dim[MOST_AXES];
} Var;

typedef struct Gen {
    uint64_t state;
    Text body, fns;
    Var v[MAX_VARS];
    uint32_t n, next, indent;
    uint32_t loops;                /* around this statement */
    char trained[MAX_NAMES][WORD]; /* names of parameters and states outside of loops */
    uint32_t n_trained;
    bool stream; /* only what can be run step by step along T */
} Gen;

static inline uint32_t below(Gen *g, uint32_t n) {
    g->state = g->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(g->state >> 33) % n;
}

static inline bool chance(Gen *g, uint32_t percent) { return below(g, 100) < percent; }

static inline const char *pick(Gen *g, const char *const *words, uint32_t n) {
    return words[below(g, n)];
}

static inline const char *smooth(Gen *g) {
    static const char *const f[] = {"tanh", "sigmoid", "sin", "cos", "erf", "silu", "gelu", "tanh"};
    return pick(g, f, 8);
}

static inline void line(Gen *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline void line(Gen *g, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    for (uint32_t i = 0; i < g->indent; i++) text_add(&g->body, "    ");
    text_vprintf(&g->body, fmt, ap);
    text_add(&g->body, "\n");
    va_end(ap);
}

/* ---- tensors ---------------------------------------------------------------------------------- */

static inline Var *var_new(Gen *g, uint32_t rank, const Dim *dim) {
    if (g->n == MAX_VARS) g->n--;
    Var *v = &g->v[g->n++];
    memset(v, 0, sizeof *v);
    snprintf(v->name, sizeof v->name, "x%u", g->next++);
    v->rank = rank;
    for (uint32_t i = 0; i < rank; i++) v->dim[i] = dim[i];
    return v;
}

static inline Var any(Gen *g) { return g->v[below(g, g->n)]; }

/* A tensor with least..most axes; false when there is none. */
static inline bool with_axes(Gen *g, uint32_t least, uint32_t most, Var *out) {
    uint32_t from = below(g, g->n);
    for (uint32_t i = 0; i < g->n; i++) {
        *out = g->v[(from + i) % g->n];
        if (out->rank >= least && out->rank <= most) return true;
    }
    return false;
}

/* One of this rank whose first and last axes are these; DIMS: any. */
static inline bool with_dims(Gen *g, uint32_t rank, Dim first, Dim end, Var *out) {
    uint32_t from = below(g, g->n);
    for (uint32_t i = 0; i < g->n; i++) {
        *out = g->v[(from + i) % g->n];
        if (out->rank != rank || (first != DIMS && out->dim[0] != first)) continue;
        if (end == DIMS || out->dim[rank - 1] == end) return true;
    }
    return false;
}

static inline Dim last(const Var *v) { return v->dim[v->rank - 1]; }
static inline bool is_const(Dim d) { return d < CONSTS; }

/* "a0,b1": a letter an axis; "a0:K,b1:T" with the sizes. */
static inline const char *axes(char *out, size_t n, const Var *v, bool sizes) {
    out[0] = 0;
    for (uint32_t i = 0; i < v->rank; i++) {
        size_t at = strlen(out);
        snprintf(out + at, n - at, "%s%c%u%s%s", i ? "," : "", 'a' + (char)i, i, sizes ? ":" : "",
                 sizes ? dim_text[v->dim[i]] : "");
    }
    return out;
}

static inline void note_trained(Gen *g, const char *name) {
    if (g->loops || g->n_trained == MAX_NAMES) return;
    snprintf(g->trained[g->n_trained++], WORD, "%s", name);
}

/* param NAME[dims]; what follows its name is its text. */
static inline Var param(Gen *g, uint32_t rank, const Dim *dim) {
    static const char *const starts[] = {"~ uniform(-1, 1)", "~ normal(0.5)", "= 0.3",
                                         "~ trunc_normal(0.7)"};
    Var v = {.rank = rank};
    char d[64] = "";
    for (uint32_t i = 0; i < rank; i++) {
        size_t at = strlen(d);
        snprintf(d + at, sizeof d - at, "%s%s", i ? "," : "", dim_text[v.dim[i] = dim[i]]);
    }
    snprintf(v.name, sizeof v.name, "p%u", g->next++);
    line(g, "param %s[%s] %s%s%s", v.name, d, pick(g, starts, 4), chance(g, 10) ? "  lr 0.5" : "",
         chance(g, 8) ? "  frozen" : "");
    note_trained(g, v.name);
    return v;
}

static inline const char *path(Gen *g, char *out) {
    snprintf(out, WORD, "u%u", g->next++);
    return out;
}

/* A statement of those that stand in compose_more.c. */
void compose_more(Gen *g);

#endif
