#include "rig.h"

#include "assemble.h"

#include <stdio.h>
#include <stdlib.h>

static void stop(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

Rig *rig_create(const char *processor, const char *assembly) {
    Rig *r = calloc(1, sizeof *r);
    EmuOptions options = {.processor = processor, .max_instructions = 1000000};
    size_t bytes;
    uint8_t *code = code_from_assembly(processor, assembly, &bytes);
    r->emu = emu_create(&options);
    if (r->emu == NULL) stop(processor, "there is no emulator for it");
    if (emu_image_load(r->emu, code, bytes, &r->image) != EMU_OK) stop("image", emu_said(r->emu));
    free(code);
    return r;
}

static void release(Rig *r) {
    if (!r->is_set) return;
    worker_release(&r->worker);
    function_release(&r->kernel.code);
    r->is_set = false;
}

void rig_free(Rig *r) {
    release(r);
    emu_destroy(r->emu);
    free(r);
}

static uint64_t end_of(const Rig *r, uint64_t value) {
    uint64_t end = r->image->memory_bytes;
    for (size_t i = 0; i < r->image->n_symbols; i++)
        if (r->image->symbols[i].value > value && r->image->symbols[i].value < end)
            end = r->image->symbols[i].value;
    return end;
}

void rig_set(Rig *r, const char *symbol, unsigned n_waves, uint32_t lds, uint32_t scratch) {
    Symbol s;
    bool is_same = r->is_set && strcmp(r->symbol, symbol) == 0 && r->launch.n_waves == n_waves &&
                   r->launch.lds == lds && r->kernel.info.scratch == scratch;
    if (is_same) { /* what was decoded is good for another run */
        r->worker.bad_group = UINT64_MAX;
        group_begin(&r->worker, 0);
        return;
    }
    release(r);
    snprintf(r->symbol, sizeof r->symbol, "%s", symbol);
    if (!image_find(r->image, symbol, &s)) stop(symbol, "is not in the assembly");
    bool is_gfx11 = r->emu->processor->is_gfx11;
    r->kernel = (EmuKernel){.image = r->image,
                            .name = r->symbol,
                            .next_vector = 256,
                            .next_agpr = is_gfx11 ? 0 : 256,
                            .rsrc1 = 0xf0u << 12 | 1u << 21 | 1u << 23};
    r->kernel.info = (EmuKernelInfo){.name = r->symbol, .lds = lds, .scratch = scratch};
    r->kernel.entry = (uint64_t)(uintptr_t)r->image->memory + s.value;
    r->kernel.code_bytes = end_of(r, s.value) - s.value;
    unsigned lanes = r->emu->processor->lanes;
    r->launch = (Launch){.emu = r->emu,
                         .kernel = &r->kernel,
                         .grid = {1, 1, 1},
                         .block = {n_waves * lanes, 1, 1},
                         .threads = n_waves * lanes,
                         .n_waves = n_waves,
                         .lds = lds,
                         .dropped = UINT32_MAX,
                         .n_groups = 1};
    if (!function_decode(r->emu, &r->kernel, &r->kernel.code) ||
        !worker_init(&r->worker, &r->launch))
        stop(symbol, "no memory");
    r->is_set = true;
    group_begin(&r->worker, 0);
}

bool rig_run(Rig *r, const char **why) {
    group_finish(&r->worker);
    *why = r->worker.fault;
    return r->worker.bad_group == UINT64_MAX;
}

void rig_vector(Wave *w, unsigned reg, const uint32_t *lanes) {
    memcpy(w->v[reg].u, lanes, w->n * sizeof *lanes);
    w->doubt[reg] = 0;
}

void rig_scalar(Wave *w, unsigned reg, uint32_t x) {
    w->s[reg] = x;
    w->s_unknown[reg] = 0;
}

void rig_exec(Wave *w, uint64_t exec) {
    rig_scalar(w, S_EXEC, (uint32_t)exec);
    rig_scalar(w, S_EXEC + 1, (uint32_t)(exec >> 32));
    wave_exec_changed(w);
}
