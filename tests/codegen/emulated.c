/* Objects linked, loaded into an emulated device, and run there. */
#include "emulated.h"

#ifdef RWKVC_EMULATOR
#include "../emulator/emu.h"

struct Emulated {
    Arena *a;
    Emu *emu;
    EmuImage *image;
};

const char *emulated_open(Arena *a, const TargetInfo *t, const void *object, size_t n,
                          Emulated **out) {
    const void *code;
    size_t bytes;
    EmuOptions options = {.processor = t->cpu};
    Emulated *e = *out = arena_alloc(a, sizeof *e);
    *e = (Emulated){.a = a, .emu = emu_create(&options)};
    if (e->emu == NULL) return arena_printf(a, "no emulator for %s", t->name);
    const char *wrong = link_shared(a, object, n, "/tmp/rwkvc-test", &code, &bytes);
    if (wrong) return wrong;
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

#else

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
