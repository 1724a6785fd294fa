/* A device: its processor, its options, what it has to say. */
#include "wave.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const Processor processors[] = {
    {"gfx942", "", &family_amd, 64, 65536, false, 0x4c, 102},
    {"gfx1100", "+wavefrontsize32", &family_amd, 32, 65536, true, 0x41, 106},
    {"sm_80", "", &family_nvidia, 32, 49152, false, 80, 0},
    {"sm_90", "", &family_nvidia, 32, 49152, false, 90, 0},
};

const Processor *processor_of(const char *name) {
    for (size_t i = 0; i < sizeof processors / sizeof *processors; i++)
        if (strcmp(processors[i].name, name) == 0) return &processors[i];
    return NULL;
}

void emu_say(Emu *emu, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(emu->said, sizeof emu->said, format, args);
    va_end(args);
}

/* "KERNEL:N" */
bool emu_drop_barrier(Emu *emu, const char *text) {
    const char *colon = text == NULL ? NULL : strrchr(text, ':');
    free(emu->drop_kernel);
    emu->drop_kernel = NULL;
    if (colon == NULL) return text == NULL;
    emu->drop_kernel = malloc((size_t)(colon - text) + 1);
    if (emu->drop_kernel == NULL) return false;
    memcpy(emu->drop_kernel, text, (size_t)(colon - text));
    emu->drop_kernel[colon - text] = '\0';
    emu->drop_index = (unsigned)strtoul(colon + 1, NULL, 10);
    return true;
}

Emu *emu_create(const EmuOptions *options) {
    const Processor *p = processor_of(options->processor);
    Emu *emu = p == NULL ? NULL : calloc(1, sizeof *emu);
    if (emu == NULL) return NULL;
    emu->processor = p;
    emu->options = *options;
    emu->options.processor = p->name;
    if (emu->options.threads == 0) emu->options.threads = 1;
    if (emu->options.max_instructions == 0) emu->options.max_instructions = (uint64_t)1 << 32;
    bool is_amd = p->family == &family_amd;
    emu->disassembler = is_amd ? disassembler_create(p) : NULL;
    emu->ops = is_amd ? ops_index() : NULL;
    if ((is_amd && (emu->disassembler == NULL || emu->ops == NULL)) ||
        !emu_drop_barrier(emu, options->drop_barrier)) {
        emu_destroy(emu);
        return NULL;
    }
    return emu;
}

void emu_destroy(Emu *emu) {
    if (emu == NULL) return;
    while (emu->first != NULL) emu_image_free(emu->first);
    buffers_release(&emu->buffers);
    disassembler_destroy(emu->disassembler);
    ops_index_free(emu->ops);
    free(emu->drop_kernel);
    free(emu);
}

const char *emu_processor(const Emu *emu) { return emu->processor->name; }
unsigned emu_wave_size(const Emu *emu) { return emu->processor->lanes; }
void emu_set_seed(Emu *emu, uint64_t seed) { emu->options.seed = seed; }

void emu_beside(Emu *emu, bool is_beside) {
    emu->is_beside = is_beside;
    emu->has_met |= !is_beside;
}

const char *emu_said(const Emu *emu) { return emu->said; }
