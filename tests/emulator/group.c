/* A group of waves: made, and run until all of them have ended. Which wave goes on, and for how long,
 * is the seed's choice; with seed 0 each runs to the next barrier in turn. */
#include "wave.h"

#include <stdlib.h>

enum { LONG_TURN = 1 << 20, MAX_QUANTUM = 7 };

/* ---- memory of a worker ---------------------------------------------------------------------- */

static size_t padded(size_t n) { return (n + 63) & ~(size_t)63; }

bool worker_init(Worker *w, Launch *l) {
    const Function *f = &l->kernel->code;
    unsigned lanes = l->emu->processor->lanes;
    size_t scratch = padded((size_t)lanes * l->kernel->info.scratch);
    size_t words = padded(((size_t)l->lds + 3) / 4 * sizeof(uint64_t));
    size_t registers = padded(N_VECTORS * sizeof(Lanes));
    size_t of_wave = padded(sizeof(Wave)) + 2 * registers + 2 * scratch;
    size_t bytes = l->n_waves * of_wave + 2 * padded(l->lds) + words;
    *w = (Worker){.launch = l, .bad_group = UINT64_MAX};
    w->counts = calloc(f->n, sizeof *w->counts);
    w->cache = calloc(f->n, sizeof *w->cache);
    w->arena = aligned_alloc(64, padded(bytes + 64));
    if (w->counts == NULL || w->cache == NULL || w->arena == NULL) return false;
    uint8_t *p = w->arena;
    Group *g = &w->group;
    g->worker = w;
    g->n_waves = l->n_waves;
    g->waves = (Wave *)(void *)p;
    p += padded(l->n_waves * sizeof(Wave));
    for (unsigned i = 0; i < l->n_waves; i++) {
        Wave *v = &g->waves[i];
        v->v = (Lanes *)(void *)p;
        v->unknown = (Lanes *)(void *)(p + registers);
        v->scratch = p + 2 * registers;
        v->scratch_known = v->scratch + scratch;
        p += 2 * registers + 2 * scratch;
    }
    g->lds_bytes = l->lds;
    g->lds = p;
    g->lds_known = p + padded(l->lds);
    g->written = (uint64_t *)(void *)(p + 2 * padded(l->lds));
    return true;
}

void worker_release(Worker *w) {
    free(w->counts);
    free(w->cache);
    free(w->arena);
}

/* ---- chance ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint32_t draw(uint64_t *state, uint32_t n) {
    *state += 0x9e3779b97f4a7c15u;
    return (uint32_t)((mix(*state) >> 32) * n >> 32);
}

/* ---- turns ----------------------------------------------------------------------------------- */

static void run_wave(Wave *w, uint64_t turn) {
    uint64_t *counts = w->group->worker->counts;
    uint64_t left = turn;
    while (left > 0 && w->stop == RUNNING) {
        const Inst *in = w->at++;
        counts[in->index]++;
        in->exec(w, in);
        left--;
    }
    w->executed += turn - left;
    uint64_t most = w->group->worker->launch->emu->options.max_instructions;
    if (w->executed > most && w->stop == RUNNING)
        wave_fault(w, w->at, -1, "it has run %llu instructions: no end is in sight",
                   (unsigned long long)w->executed);
}

static bool any(const Group *g, Stop stop) {
    for (unsigned i = 0; i < g->n_waves; i++)
        if (g->waves[i].stop == stop) return true;
    return false;
}

/* No wave can run: the barrier opens, if all have come to it. */
static bool open_barrier(Group *g) {
    Wave *waiting = NULL;
    bool has_ended = false;
    for (unsigned i = 0; i < g->n_waves; i++) {
        if (g->waves[i].stop == AT_BARRIER && waiting == NULL) waiting = &g->waves[i];
        has_ended |= g->waves[i].stop == ENDED;
    }
    if (waiting == NULL) return false;
    if (has_ended) {
        waiting->stop = RUNNING;
        wave_fault(waiting, waiting->at - 1, -1,
                   "it waits at a barrier, but another wave of the group has ended");
        return false;
    }
    for (unsigned i = 0; i < g->n_waves; i++) g->waves[i].stop = RUNNING;
    race_barrier(g);
    return true;
}

static void run_in_order(Group *g, bool is_reversed) {
    do
        for (unsigned k = 0; k < g->n_waves; k++) {
            Wave *w = &g->waves[is_reversed ? g->n_waves - 1 - k : k];
            if (w->stop == RUNNING) run_wave(w, LONG_TURN);
            if (w->stop == FAULTED) return;
        }
    while (any(g, RUNNING) || open_barrier(g));
}

/* Every now and then a wave gets a long turn, so that some run far ahead of others. */
static void run_by_chance(Group *g, uint64_t state) {
    do
        while (any(g, RUNNING)) {
            unsigned i = draw(&state, g->n_waves);
            while (g->waves[i].stop != RUNNING) i = (i + 1) % g->n_waves;
            uint32_t turn =
                draw(&state, 16) == 0 ? draw(&state, 1000) + 1 : draw(&state, MAX_QUANTUM) + 1;
            run_wave(&g->waves[i], turn);
            if (g->waves[i].stop == FAULTED) return;
        }
    while (open_barrier(g));
}

/* All that a group has before its first instruction. */
void group_begin(Worker *w, uint64_t index) {
    const Launch *l = w->launch;
    Group *g = &w->group;
    g->index = index;
    g->id[0] = (uint32_t)(index % l->grid[0]);
    g->id[1] = (uint32_t)(index / l->grid[0] % l->grid[1]);
    g->id[2] = (uint32_t)(index / l->grid[0] / l->grid[1]);
    memset(g->lds, 0xa5, g->lds_bytes);
    memset(g->lds_known, 0, g->lds_bytes);
    race_clear(g);
    g->raced.in = NULL;
    g->barriers = 0;
    for (unsigned i = 0; i < g->n_waves; i++) wave_init(&g->waves[i], l, g, i);
}

void group_finish(Worker *w) {
    const Launch *l = w->launch;
    Group *g = &w->group;
    if (l->seed <= 1 || g->n_waves == 1)
        run_in_order(g, l->seed == 1);
    else
        run_by_chance(g, mix(l->seed) ^ mix(g->index + 1));
    w->total.groups++;
    w->total.waves += g->n_waves;
    if (any(g, FAULTED)) w->bad_group = g->index;
}
