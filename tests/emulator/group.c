/* A group of waves: made, and run until all of them have ended. Which wave goes on, and for how long,
 * is the seed's choice; with seed 0 each runs to the next barrier in turn. */
#include "wave.h"

#include <stdlib.h>

enum { LONG_TURN = 1 << 20, MAX_QUANTUM = 7 };

/* ---- memory of a worker ---------------------------------------------------------------------- */

bool worker_init(Worker *w, Launch *l) {
    const Function *f = &l->kernel->code;
    const Family *family = l->emu->processor->family;
    *w = (Worker){.launch = l, .bad_group = UINT64_MAX};
    w->counts = calloc(f->n, sizeof *w->counts);
    w->cache = calloc(f->n, sizeof *w->cache);
    w->arena = aligned_alloc(64, (family->arena(l) + 128) & ~(size_t)63);
    if (w->counts == NULL || w->cache == NULL || w->arena == NULL) return false;
    w->group = (Group){.worker = w, .family = family, .n_waves = l->n_waves, .lds_bytes = l->lds};
    family->divide(w, w->arena);
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

static Stop stop_of(Group *g, unsigned wave) { return *g->family->stop(g, wave); }

static bool any(Group *g, Stop stop) {
    for (unsigned i = 0; i < g->n_waves; i++)
        if (stop_of(g, i) == stop) return true;
    return false;
}

/* No wave can run: the barrier opens, if all have come to it. */
static bool open_barrier(Group *g) {
    unsigned waiting = g->n_waves;
    bool has_ended = false;
    for (unsigned i = g->n_waves; i-- > 0;) {
        if (stop_of(g, i) == AT_BARRIER) waiting = i;
        has_ended |= stop_of(g, i) == ENDED;
    }
    if (waiting == g->n_waves) return false;
    if (has_ended) {
        *g->family->stop(g, waiting) = RUNNING;
        g->family->forsaken(g, waiting);
        return false;
    }
    for (unsigned i = 0; i < g->n_waves; i++) *g->family->stop(g, i) = RUNNING;
    g->family->open(g);
    return true;
}

static void run_in_order(Group *g, bool is_reversed) {
    do
        for (unsigned k = 0; k < g->n_waves; k++) {
            unsigned i = is_reversed ? g->n_waves - 1 - k : k;
            if (stop_of(g, i) == RUNNING) g->family->run(g, i, LONG_TURN);
            if (stop_of(g, i) == FAULTED) return;
        }
    while (any(g, RUNNING) || open_barrier(g));
}

/* Every now and then a wave gets a long turn, so that some run far ahead of others. */
static void run_by_chance(Group *g, uint64_t state) {
    do
        while (any(g, RUNNING)) {
            unsigned i = draw(&state, g->n_waves);
            while (stop_of(g, i) != RUNNING) i = (i + 1) % g->n_waves;
            uint32_t turn =
                draw(&state, 16) == 0 ? draw(&state, 1000) + 1 : draw(&state, MAX_QUANTUM) + 1;
            g->family->run(g, i, turn);
            if (stop_of(g, i) == FAULTED) return;
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
    g->barriers = 0;
    g->family->begin(w);
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
