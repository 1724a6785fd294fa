/* Launches: what the kernel and the processor take is checked, arguments are laid out, groups are
 * given to workers. Groups do not depend on each other, so that the number of workers changes nothing;
 * where they meet in atomic operations there is one worker. */
#include "wave.h"

#include <fenv.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_BLOCK = 1024, MAX_WORKERS = 64, MAX_KERNARG = 65536 };

/* ---- checks ---------------------------------------------------------------------------------- */

static bool refuse(Emu *emu, const EmuKernel *k, const char *what) {
    emu_say(emu, "kernel %s: %s", k->name, what);
    return false;
}

static bool check_sizes(Emu *emu, const EmuKernel *k, const Launch *l) {
    char text[200];
    const uint32_t *b = l->block, *want = k->info.block;
    for (unsigned d = 0; d < 3; d++)
        if (l->grid[d] == 0 || b[d] == 0)
            return refuse(emu, k, "a launch without blocks or work-items");
    uint64_t threads = (uint64_t)b[0] * b[1] * b[2],
             most = k->info.max_block ? k->info.max_block : MAX_BLOCK;
    if (b[0] > MAX_BLOCK || b[1] > MAX_BLOCK || b[2] > MAX_BLOCK || threads > most) {
        snprintf(text, sizeof text, "blocks of %u x %u x %u; it takes up to %u work-items", b[0],
                 b[1], b[2], (unsigned)most);
        return refuse(emu, k, text);
    }
    if (want[0] != 0 && (want[0] != b[0] || want[1] != b[1] || want[2] != b[2])) {
        snprintf(text, sizeof text, "blocks of %u x %u x %u; it was made for %u x %u x %u", b[0],
                 b[1], b[2], want[0], want[1], want[2]);
        return refuse(emu, k, text);
    }
    uint32_t local = emu->processor->max_local;
    if ((uint64_t)k->info.lds + l->lds > local) {
        snprintf(text, sizeof text, "%u bytes of local memory and %u more; there are %u",
                 k->info.lds, l->lds, local);
        return refuse(emu, k, text);
    }
    return true;
}

static bool check_arguments(Emu *emu, const EmuKernel *k, size_t bytes) {
    char text[200];
    size_t need = 0;
    for (size_t i = 0; i < k->info.n_arguments; i++) {
        const EmuArgument *a = &k->arguments[i];
        if (!a->is_hidden && (size_t)a->offset + a->size > need) need = (size_t)a->offset + a->size;
    }
    if (bytes < need || bytes > MAX_KERNARG) {
        snprintf(text, sizeof text, "%zu bytes of arguments; it has %zu", bytes, need);
        return refuse(emu, k, text);
    }
    return true;
}

/* ---- arguments ------------------------------------------------------------------------------- */

static void put(uint8_t *to, uint32_t offset, uint32_t size, uint64_t x) {
    memcpy(to + offset, &x, size < 8 ? size : 8);
}

/* The arguments that the runtime fills. */
static void put_hidden(Launch *l, const char *kind, const EmuArgument *a) {
    static const char *const names[] = {"hidden_block_count_", "hidden_group_size_",
                                        "hidden_remainder_"};
    for (unsigned n = 0; n < 3; n++) {
        size_t length = strlen(names[n]);
        if (strncmp(kind, names[n], length) != 0) continue;
        unsigned d = (unsigned)(kind[length] - 'x') % 3;
        put(l->kernarg, a->offset, a->size, n == 0 ? l->grid[d] : n == 1 ? l->block[d] : 0);
    }
    if (strcmp(kind, "hidden_grid_dims") == 0)
        put(l->kernarg, a->offset, a->size, l->grid[2] > 1 ? 3 : l->grid[1] > 1 ? 2 : 1);
    if (strcmp(kind, "hidden_dynamic_lds_size") == 0)
        put(l->kernarg, a->offset, a->size, l->lds - l->kernel->info.lds);
}

static bool make_kernarg(Launch *l, const void *arguments, size_t bytes) {
    const EmuKernel *k = l->kernel;
    size_t n = bytes > k->info.kernarg ? bytes : k->info.kernarg;
    for (size_t i = 0; i < k->info.n_arguments; i++) {
        size_t end = (size_t)k->arguments[i].offset + k->arguments[i].size;
        if (end > n) n = end;
    }
    l->kernarg_bytes = (uint32_t)n;
    l->kernarg = aligned_alloc(64, (n + 64) & ~(size_t)63);
    if (l->kernarg == NULL) return false;
    memset(l->kernarg, 0, (n + 64) & ~(size_t)63);
    if (bytes > 0) memcpy(l->kernarg, arguments, bytes);
    for (size_t i = 0; i < k->info.n_arguments; i++)
        if (k->arguments[i].is_hidden) put_hidden(l, k->kinds[i], &k->arguments[i]);
    Buffer b = {.base = l->kernarg, .bytes = n, .is_read_only = true};
    return buffers_add(&l->emu->buffers, b);
}

/* The packet of the queue, as far as kernels look at it. */
static bool make_packet(Launch *l) {
    for (unsigned d = 0; d < 3; d++) {
        put(l->packet, 4 + 2 * d, 2, l->block[d]);
        put(l->packet, 12 + 4 * d, 4, (uint64_t)l->grid[d] * l->block[d]);
    }
    put(l->packet, 24, 4, l->kernel->info.scratch);
    put(l->packet, 28, 4, l->lds);
    put(l->packet, 32, 8, l->kernel->descriptor);
    put(l->packet, 40, 8, (uint64_t)(uintptr_t)l->kernarg);
    Buffer b = {.base = l->packet, .bytes = sizeof l->packet, .is_read_only = true};
    return buffers_add(&l->emu->buffers, b);
}

/* ---- workers --------------------------------------------------------------------------------- */

/* With a seed the groups come in another order too: 1, from the last to the first; else every index once, from a
 * start and by a step that has no factor in common with their number. */
static uint64_t group_at(const Launch *l, uint64_t i) {
    if (l->seed == 0) return i;
    if (l->seed == 1 || l->n_groups < 3) return l->n_groups - 1 - i;
    uint64_t step = l->seed * 2 + 1, a, b;
    do {
        step = (step + 1) % l->n_groups;
        if (step == 0) step = 1;
        for (a = step, b = l->n_groups; b != 0;) {
            uint64_t t = a % b;
            a = b;
            b = t;
        }
    } while (a != 1);
    return (l->seed % l->n_groups + (uint64_t)((unsigned __int128)i * step % l->n_groups)) %
           l->n_groups;
}

static void *work(void *argument) {
    Worker *w = argument;
    Launch *l = w->launch;
    for (;;) {
        uint64_t i = atomic_fetch_add(&l->next, 1);
        if (i >= l->n_groups || i > atomic_load(&l->first_bad)) return NULL;
        group_begin(w, group_at(l, i));
        group_finish(w);
        if (w->bad_group == UINT64_MAX) continue;
        w->bad_group = i; /* the earliest in the order of work is reported, whoever ran it */
        uint64_t first = atomic_load(&l->first_bad);
        while (i < first && !atomic_compare_exchange_weak(&l->first_bad, &first, i)) {
        }
        return NULL;
    }
}

static void add_counts(EmuKernel *k, const Worker *w) {
    for (size_t i = 0; i < k->code.n; i++) k->counts[i] += w->counts[i];
    EmuCounts *t = &k->total;
    const EmuCounts *c = &w->total;
    t->groups += c->groups;
    t->waves += c->waves;
    t->bytes_loaded += c->bytes_loaded;
    t->bytes_stored += c->bytes_stored;
    t->lds_cycles += c->lds_cycles;
    t->lds_conflicts += c->lds_conflicts;
    t->matrix_flops += c->matrix_flops;
    t->races += c->races;
}

static EmuStatus run(Launch *l) {
    Worker *workers = NULL;
    pthread_t threads[MAX_WORKERS];
    unsigned n = l->emu->options.threads, made = 0, started = 0;
    if (n > MAX_WORKERS) n = MAX_WORKERS;
    if (n > l->n_groups) n = (unsigned)l->n_groups;
    if (l->kernel->code.has_global_atomics) n = 1;
    EmuStatus status = EMU_OK;
    workers = calloc(n, sizeof *workers);
    if (workers == NULL) return EMU_NO_MEMORY;
    for (; made < n && status == EMU_OK; made++)
        if (!worker_init(&workers[made], l)) status = EMU_NO_MEMORY;
    if (status == EMU_OK) {
        for (started = 1; started < n; started++)
            if (pthread_create(&threads[started], NULL, work, &workers[started]) != 0) break;
        work(&workers[0]);
    }
    for (unsigned i = 1; i < started; i++) pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < made; i++) {
        if (status == EMU_OK || status == EMU_FAULT) add_counts(l->kernel, &workers[i]);
        if (workers[i].bad_group != UINT64_MAX && workers[i].bad_group == l->first_bad) {
            emu_say(l->emu, "%s", workers[i].fault);
            status = EMU_FAULT;
        }
        worker_release(&workers[i]);
    }
    free(workers);
    return status;
}

static bool prepare(Emu *emu, EmuKernel *k) {
    if (k->is_decoded) return true;
    const Family *family = emu->processor->family;
    if (!family->decode(k)) return false;
    k->counts = calloc(k->code.n, sizeof *k->counts);
    if (k->counts == NULL) {
        family->release(k);
        return false;
    }
    k->is_decoded = true;
    return true;
}

EmuStatus emu_launch_check(Emu *emu, const EmuKernel *k, const uint32_t grid[3],
                           const uint32_t block[3], uint32_t lds, size_t bytes) {
    Launch l = {.emu = emu, .lds = lds};
    memcpy(l.grid, grid, sizeof l.grid);
    memcpy(l.block, block, sizeof l.block);
    bool good = check_sizes(emu, k, &l) && check_arguments(emu, k, bytes);
    return good ? EMU_OK : EMU_BAD_LAUNCH;
}

EmuStatus emu_launch(Emu *emu, EmuKernel *k, const uint32_t grid[3], const uint32_t block[3],
                     uint32_t lds, const void *arguments, size_t bytes) {
    Launch l = {.emu = emu,
                .kernel = k,
                .lds = lds,
                .seed = emu->options.seed,
                .dropped = UINT32_MAX,
                .first_bad = UINT64_MAX};
    if (emu->drop_kernel != NULL && strcmp(emu->drop_kernel, k->name) == 0)
        l.dropped = emu->drop_index;
    memcpy(l.grid, grid, sizeof l.grid);
    memcpy(l.block, block, sizeof l.block);
    EmuStatus status = emu_launch_check(emu, k, grid, block, lds, bytes);
    if (status != EMU_OK) return status;
    unsigned lanes = emu->processor->lanes;
    l.lds += k->info.lds;
    l.threads = block[0] * block[1] * block[2];
    l.n_waves = (l.threads + lanes - 1) / lanes;
    l.n_groups = (uint64_t)grid[0] * grid[1] * grid[2];
    status = EMU_NO_MEMORY;
    if (prepare(emu, k) && make_kernarg(&l, arguments, bytes)) {
        if (make_packet(&l)) {
            if (!emu->is_beside || emu->has_met) emu->round = emu->launches;
            emu->has_met = false;
            l.round = emu->round;
            l.number = emu->launches++ - emu->round;
            k->total.launches++;
            fenv_t was; /* how the host rounds, and whether it has subnormals, is not for kernels */
            fegetenv(&was);
            fesetenv(FE_DFL_ENV);
            status = run(&l);
            fesetenv(&was);
            buffers_remove(&emu->buffers, l.packet);
        }
        buffers_remove(&emu->buffers, l.kernarg);
    }
    free(l.kernarg);
    return status;
}
