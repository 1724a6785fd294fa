/* What a session has on a GPU: its memory there, a queue, pinned memory through which numbers pass, and
 * tables for its calls. */
#include <stdio.h>
#include <string.h>

#include "device.h"

/* Workgroups that may run at once on a unit: more than that wait, whatever a launch asks for. */
enum { GROUPS_A_UNIT = 16 };
static const size_t scratch_least = (size_t)64 << 20;

size_t device_scratch(const gpu *g, int64_t each, int64_t tiles) {
    if (each <= 0) return 0;
    size_t one = ((size_t)each + 63) & ~(size_t)63, all;
    size_t most = one * GROUPS_A_UNIT * (size_t)(g->units > 0 ? g->units : 1);
    if (most < scratch_least) most = scratch_least;
    if (__builtin_mul_overflow(one, (size_t)(tiles > 0 ? tiles : 1), &all) || all > most)
        all = one * (most / one > 0 ? most / one : 1);
    return all;
}

/* ---- memory -------------------------------------------------------------------------------------- */

/* "12.5 GiB" */
static const char *amount(size_t bytes, char *text, size_t cap) {
    double mib = (double)bytes / 1048576;
    snprintf(text, cap, mib < 1024 ? "%.1f MiB" : "%.1f GiB", mib < 1024 ? mib : mib / 1024);
    return text;
}

static rw_status no_room(const rw_session *s, rw_message *m) {
    gpu *g = s->gpu->g;
    char want[32], has[32], all[32];
    size_t free_bytes = 0, total = 0;
    if (g->api->room(g, &free_bytes, &total, NULL) != RW_OK) free_bytes = 0;
    size_t own = s->param_bytes + s->state_bytes + s->slot_bytes + s->arena_bytes + s->scratch;
    return rw_fail(
        m, RW_NO_MEMORY,
        "no memory on %s for a session of %s: it takes %s, %s are free there now of %s. "
        "Smaller batches or shorter sequences take less, --dtype=bf16 and, for training, "
        "--memory-budget=SIZE where the text is compiled",
        g->name, s->p->path, amount(own, want, sizeof want), amount(free_bytes, has, sizeof has),
        amount(g->memory, all, sizeof all));
}

static rw_status take_blocks(rw_session *s, rw_message *m) {
    gpu_part *p = s->gpu;
    gpu *g = p->g;
    const struct {
        uint8_t **to;
        size_t bytes;
        bool zero;
    } blocks[] = {{&p->params, s->param_bytes, true}, {&p->states, s->state_bytes, true},
                  {&p->slots, s->slot_bytes, false},  {&p->arena, s->arena_bytes, false},
                  {&p->scratch, s->scratch, false},   {&p->seed, sizeof(uint64_t), true}};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        rw_status r = g->api->take(g, blocks[i].bytes + MEMORY_ALIGN, blocks[i].to, m);
        if (r == RW_OK && blocks[i].zero)
            r = g->api->zero(g, p->queue, *blocks[i].to, blocks[i].bytes + MEMORY_ALIGN, m);
        if (r != RW_OK) return r;
    }
    s->param_base = p->params;
    s->state_base = p->states;
    s->slot_base = p->slots;
    s->arena_base = p->arena;
    return RW_OK;
}

static rw_status take_pinned(rw_session *s, rw_message *m) {
    gpu_part *p = s->gpu;
    uint8_t *seed = NULL;
    rw_status r = p->g->api->take_host(p->g, (size_t)STAGE * STAGES, &p->stage, m);
    if (r == RW_OK) r = p->g->api->take_host(p->g, s->slot_bytes + MEMORY_ALIGN, &p->slots_host, m);
    if (r == RW_OK) r = p->g->api->take_host(p->g, MEMORY_ALIGN, &seed, m);
    p->seed_host = (uint64_t *)(void *)seed;
    return r;
}

/* ---- tables -------------------------------------------------------------------------------------- */

static void graph_tables(rw_session *s) {
    gpu_part *p = s->gpu;
    p->graphs = POOL_NEW(&s->pool, graph, GRAPHS * (s->p->n_entries + 1u));
    for (uint32_t i = 0; i < s->p->n_entries; i++)
        for (int k = 0; k < GRAPHS && s->entries[i].is_wanted && !s->pool.is_out; k++) {
            graph *x = &p->graphs[i * GRAPHS + (uint32_t)k];
            x->axes = POOL_NEW(&s->pool, int64_t, s->p->n_axes + 1u);
            x->base = POOL_NEW(&s->pool, uint8_t *, s->entries[i].e->n_buffers + 1u);
            x->last = POOL_NEW(&s->pool, uint8_t *, s->entries[i].e->n_buffers + 1u);
        }
}

static void argument_tables(rw_session *s) {
    size_t most = 0;
    for (uint32_t i = 0; i < s->p->n_entries; i++)
        for (uint32_t k = 0; k < s->p->entries[i].n_kernels; k++) {
            const kernel *x = &s->p->entries[i].kernels[k];
            size_t n = (size_t)x->n_args + x->n_sizes + 2 * (size_t)x->levels + 3;
            most = n > most ? n : most;
        }
    s->gpu->args = POOL_NEW(&s->pool, void *, most + 1);
    s->gpu->values = POOL_NEW(&s->pool, int64_t, most + 1);
    for (size_t i = 0; i < most && !s->pool.is_out; i++) s->gpu->args[i] = &s->gpu->values[i];
}

rw_status device_take(rw_session *s, rw_message *m) {
    gpu *g = s->c->gpu;
    s->gpu = POOL_NEW(&s->pool, gpu_part, 1);
    if (s->gpu == NULL)
        return rw_fail(m, RW_NO_MEMORY, "no memory for a session of %s", s->p->path);
    s->gpu->g = g;
    s->gpu->has_graphs = g->has_graphs;
    graph_tables(s);
    argument_tables(s);
    if (s->pool.is_out)
        return rw_fail(m, RW_NO_MEMORY, "no memory for a session of %s", s->p->path);
    rw_status r = g->api->enter(g, m);
    if (r == RW_OK) r = g->api->queue_make(g, &s->gpu->queue, m);
    if (r != RW_OK) return r;
    r = take_blocks(s, m);
    if (r == RW_NO_MEMORY) return no_room(s, m);
    return r == RW_OK ? take_pinned(s, m) : r;
}

void device_give(rw_session *s) {
    gpu_part *p = s->gpu;
    if (p == NULL) return;
    gpu *g = p->g;
    const gpu_api *api = g->api;
    (void)api->enter(g, NULL);
    if (p->queue != NULL) (void)api->wait(g, p->queue, NULL);
    for (size_t i = 0; p->graphs != NULL && i < (size_t)GRAPHS * s->p->n_entries; i++)
        if (p->graphs[i].recorded != NULL) api->graph_drop(g, p->graphs[i].recorded);
    for (unsigned i = 0; i < MARKS; i++)
        if (p->marks[i] != NULL) api->mark_drop(g, p->marks[i]);
    for (unsigned i = 0; i < SIDES; i++) {
        if (p->side_mark[i] != NULL) api->mark_drop(g, p->side_mark[i]);
        if (p->side[i] != NULL) api->queue_drop(g, p->side[i]);
    }
    if (p->fork != NULL) api->mark_drop(g, p->fork);
    uint8_t *const blocks[] = {p->params, p->states, p->slots, p->arena, p->scratch, p->seed};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (blocks[i] != NULL) api->give(g, blocks[i]);
    uint8_t *const pinned[] = {p->stage, p->slots_host, (uint8_t *)p->seed_host};
    for (size_t i = 0; i < sizeof pinned / sizeof *pinned; i++)
        if (pinned[i] != NULL) api->give_host(g, pinned[i]);
    if (p->queue != NULL) api->queue_drop(g, p->queue);
    const rw_alloc *a = &s->c->alloc;
    for (size_t i = 0; i < p->n_mirrors; i++) memory_give(a, &p->mirrors[i].block);
    if (p->mirrors != NULL) a->fn(a->user, p->mirrors, p->cap_mirrors * sizeof *p->mirrors, 0);
    s->gpu = NULL;
}
