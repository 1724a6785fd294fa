/* Objects linked (PTX as it is), loaded into an emulated device, and run there. */
#include "emulated.h"

#ifdef RWKVC_EMULATOR
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../emulator/emu.h"

/* What launches without the barrier show. */
typedef enum Need { IDLE, OVERLOOKED, MISSED } Need;

typedef struct Barrier {
    const char *which; /* "KERNEL:N" */
    Need need;
} Barrier;

struct Emulated {
    Arena *a;
    Emu *emu;
    EmuImage *image;
    VEC(Barrier) barriers; /* that waves came to while probing */
};

const char *emulated_open(Arena *a, const TargetInfo *t, const void *object, size_t n,
                          Emulated **out) {
    const void *code;
    size_t bytes;
    EmuOptions options = {.processor = t->cpu};
    Emulated *e = *out = arena_alloc(a, sizeof *e);
    *e = (Emulated){.a = a, .emu = emu_create(&options)};
    if (e->emu == NULL) return arena_printf(a, "no emulator for %s", t->name);
    if (t->family == FAMILY_NVIDIA) {
        code = object;
        bytes = n;
    } else {
        const char *wrong = link_shared(a, object, n, "/tmp/rwkvc-test", &code, &bytes);
        if (wrong) return wrong;
    }
    if (emu_image_load(e->emu, code, bytes, &e->image) != EMU_OK)
        return arena_str(a, emu_said(e->emu));
    return NULL;
}

void emulated_close(Emulated *e) {
    if (e && e->emu) emu_destroy(e->emu);
}

void *emulated_alloc(Emulated *e, size_t bytes) { return emu_alloc(e->emu, bytes); }
void emulated_free(Emulated *e, void *p) { emu_free(e->emu, p); }

void emulated_put(Emulated *e, void *to, const void *from, size_t bytes) {
    emu_copy(e->emu, to, from, bytes);
}

void emulated_copy(Emulated *e, void *to, const void *from, size_t bytes) {
    emu_copy(e->emu, to, from, bytes);
}

void emulated_share(Emulated *e, void *p, size_t bytes) { emu_register(e->emu, p, bytes); }
void emulated_seed(Emulated *e, uint64_t seed) { emu_set_seed(e->emu, seed); }
void emulated_beside(Emulated *e, bool is_beside) { emu_beside(e->emu, is_beside); }
char *emulated_report(Emulated *e) { return emu_report(e->emu, NULL); }

const char *emulated_launch(Emulated *e, const char *symbol, uint32_t groups, uint32_t block,
                            const uint64_t *args, uint32_t n) {
    const uint32_t grid[3] = {groups, 1, 1}, threads[3] = {block, 1, 1};
    EmuKernel *k;
    if (emu_image_kernel(e->image, symbol, &k) != EMU_OK ||
        emu_launch(e->emu, k, grid, threads, 0, args, n * sizeof *args) != EMU_OK)
        return arena_str(e->a, emu_said(e->emu));
    return NULL;
}

/* ---- barriers ------------------------------------------------------------------------------------ */

enum { MAX_BARRIERS = 256 };

typedef struct Probe {
    Emulated *e;
    EmuKernel *kernel;
    uint32_t grid[3], block[3];
    const uint64_t *args;
    uint32_t n;
    const Span *buffers;
    void **before, **after;
    uint32_t n_buffers;
} Probe;

static EmuStatus run(const Probe *p, uint64_t seed, const char *dropped) {
    emu_set_seed(p->e->emu, seed);
    emu_drop_barrier(p->e->emu, dropped);
    EmuStatus s =
        emu_launch(p->e->emu, p->kernel, p->grid, p->block, 0, p->args, p->n * sizeof *p->args);
    emu_set_seed(p->e->emu, 0);
    emu_drop_barrier(p->e->emu, NULL);
    return s;
}

static void save(const Probe *p, void **to) {
    for (uint32_t i = 0; i < p->n_buffers; i++) {
        to[i] = emu_alloc(p->e->emu, p->buffers[i].bytes);
        emu_copy(p->e->emu, to[i], p->buffers[i].p, p->buffers[i].bytes);
    }
}

static void restore(const Probe *p, void *const *from) {
    for (uint32_t i = 0; i < p->n_buffers; i++)
        emu_copy(p->e->emu, p->buffers[i].p, from[i], p->buffers[i].bytes);
}

static bool is_missed(const Probe *p, const char *which, uint64_t seed) {
    restore(p, p->before);
    if (run(p, seed, which) != EMU_OK) return true;
    for (uint32_t i = 0; i < p->n_buffers; i++)
        if (memcmp(p->buffers[i].p, p->after[i], p->buffers[i].bytes) != 0) return true;
    return false;
}

/* From the first wave to the last and from the last to the first: one of them has to show it. */
static Need need_of(const Probe *p, const char *which) {
    if (is_missed(p, which, 0) || is_missed(p, which, 1)) return MISSED;
    for (uint64_t seed = 2; seed < 5; seed++)
        if (is_missed(p, which, seed)) return OVERLOOKED;
    return IDLE;
}

static Barrier *barrier_of(Emulated *e, const char *symbol, unsigned k) {
    const char *which = arena_printf(e->a, "%s:%u", symbol, k);
    for (uint32_t i = 0; i < e->barriers.n; i++)
        if (strcmp(e->barriers.data[i].which, which) == 0) return &e->barriers.data[i];
    Barrier *b = PUSH(e->a, &e->barriers);
    *b = (Barrier){.which = which};
    return b;
}

const char *emulated_probe(Emulated *e, const char *symbol, uint32_t groups, uint32_t block,
                           const uint64_t *args, uint32_t n, const Span *buffers,
                           uint32_t n_buffers) {
    Probe p = {.e = e,
               .grid = {groups, 1, 1},
               .block = {block, 1, 1},
               .args = args,
               .n = n,
               .buffers = buffers,
               .n_buffers = n_buffers};
    p.before = NEWN(e->a, void *, n_buffers + 1);
    p.after = NEWN(e->a, void *, n_buffers + 1);
    uint64_t was[MAX_BARRIERS] = {0}, came[MAX_BARRIERS] = {0};
    if (emu_image_kernel(e->image, symbol, &p.kernel) != EMU_OK)
        return arena_str(e->a, emu_said(e->emu));
    emu_kernel_barriers(p.kernel, was, MAX_BARRIERS);
    save(&p, p.before);
    if (run(&p, 0, NULL) != EMU_OK) return arena_str(e->a, emu_said(e->emu));
    save(&p, p.after);
    unsigned n_barriers = emu_kernel_barriers(p.kernel, came, MAX_BARRIERS);
    for (unsigned k = 0; k < n_barriers && k < MAX_BARRIERS; k++) {
        Barrier *b = came[k] > was[k] ? barrier_of(e, symbol, k) : NULL;
        Need need = b && b->need != MISSED ? need_of(&p, b->which) : IDLE;
        if (b && need > b->need) b->need = need;
    }
    restore(&p, p.after);
    for (uint32_t i = 0; i < n_buffers; i++) {
        emu_free(e->emu, p.before[i]);
        emu_free(e->emu, p.after[i]);
    }
    return NULL;
}

void emulated_barriers(Emulated *e, BarrierCount *c) {
    for (uint32_t i = 0; i < e->barriers.n; i++) {
        const Barrier *b = &e->barriers.data[i];
        c->missed += b->need == MISSED;
        c->idle += b->need == IDLE;
        c->overlooked += b->need == OVERLOOKED;
        if (b->need == OVERLOOKED) fprintf(stderr, "%s is overlooked\n", b->which);
    }
}

#else

const char *emulated_probe(Emulated *e, const char *symbol, uint32_t groups, uint32_t block,
                           const uint64_t *args, uint32_t n, const Span *buffers,
                           uint32_t n_buffers) {
    (void)buffers, (void)n_buffers;
    return emulated_launch(e, symbol, groups, block, args, n);
}

void emulated_barriers(Emulated *e, BarrierCount *c) { (void)e, (void)c; }

const char *emulated_open(Arena *a, const TargetInfo *t, const void *object, size_t n,
                          Emulated **out) {
    (void)object, (void)n;
    *out = NULL;
    return arena_printf(a, "there is no emulator for %s in this build", t->name);
}

void emulated_close(Emulated *e) { (void)e; }

void *emulated_alloc(Emulated *e, size_t bytes) {
    (void)e, (void)bytes;
    return NULL;
}

void emulated_free(Emulated *e, void *p) { (void)e, (void)p; }

void emulated_put(Emulated *e, void *to, const void *from, size_t bytes) {
    (void)e, (void)to, (void)from, (void)bytes;
}

void emulated_copy(Emulated *e, void *to, const void *from, size_t bytes) {
    (void)e, (void)to, (void)from, (void)bytes;
}

void emulated_share(Emulated *e, void *p, size_t bytes) { (void)e, (void)p, (void)bytes; }
void emulated_seed(Emulated *e, uint64_t seed) { (void)e, (void)seed; }
void emulated_beside(Emulated *e, bool is_beside) { (void)e, (void)is_beside; }

char *emulated_report(Emulated *e) {
    (void)e;
    return NULL;
}

const char *emulated_launch(Emulated *e, const char *symbol, uint32_t groups, uint32_t block,
                            const uint64_t *args, uint32_t n) {
    (void)e, (void)symbol, (void)groups, (void)block, (void)args, (void)n;
    return "no emulator";
}
#endif
