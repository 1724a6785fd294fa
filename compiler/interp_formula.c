/* Formulas of initial values: expressions over indices and counters, without reads. */
#include "interp_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *interp_fill_formula(Arena *a, Graph *g, ExprId e, const int64_t *dims, uint32_t rank,
                                const int64_t *levels, double *out) {
    int64_t *axes =
        NEWN(a, int64_t, size_axes(g->sizes) + 1); /* none is set: formulas know no run-time axis */
    Known k = {.g = g, .axes = axes, .n_idx = rank};
    Spec s = {.n_idx = rank, .n_factors = 1, .factors = &e};
    Machine m = {.g = g};
    int64_t stride = 1;
    for (uint32_t i = rank; i-- > 0; stride *= dims[i]) {
        s.size[i] = k.size[i] = dims[i];
        s.ostride[i] = stride;
    }
    for (uint32_t i = 0; i < rank; i++)
        if (dims[i] > 1) s.out[s.n_out++] = (uint8_t)i;
    memcpy(m.lvl, levels ? levels : m.lvl, sizeof m.lvl);
    memcpy(m.pos, m.lvl, sizeof m.pos);
    Arena *scratch = arena_new();
    known_begin(&k, scratch);
    uint32_t merged = plan_mergeable(&k, &s, scratch);
    Plan *p = k.error ? NULL : loops_plan(&k, &s, merged, &m, scratch, scratch);
    const char *error = p ? NULL : k.error;
    if (p && p->n_reads) error = "an initial value cannot read other values";
    if (!error) {
        m.scratch = malloc((size_t)p->n_slots * LANES * sizeof(Cell));
        if (!m.scratch) error = "no memory for an initial value";
    }
    if (!error) {
        plan_place(p);
        if (!plan_run(p, out)) error = "an initial value divides an int by 0";
    }
    free(m.scratch);
    arena_free(scratch);
    return error ? arena_str(a, error) : NULL;
}

double interp_eval_formula(Graph *g, ExprId e, const int64_t *idx, const int64_t *levels) {
    double out = NAN;
    int64_t *axes = calloc(size_axes(g->sizes) + 1u, sizeof *axes);
    Known k = {.g = g, .axes = axes};
    Spec s = {.n_factors = 1, .factors = &e};
    Machine m = {.g = g};
    Arena *scratch = arena_new();
    memcpy(m.lvl, levels ? levels : m.lvl, sizeof m.lvl);
    memcpy(m.pos, m.lvl, sizeof m.pos);
    known_begin(&k, scratch);
    Plan *p = axes ? loops_plan(&k, &s, 0, &m, scratch, scratch) : NULL;
    if (p && p->n_reads == 0) {
        m.scratch = arena_alloc(scratch, (size_t)p->n_slots * LANES * sizeof(Cell));
        plan_place(p);
        for (uint32_t i = 0; idx && i < MAX_RANK; i++) p->cells[i].i = idx[i];
        if (!plan_run(p, &out)) out = NAN;
    }
    arena_free(scratch);
    free(axes);
    return out;
}
