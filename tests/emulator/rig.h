/* One wave, or a group of them, on a bench: tests set registers, run a few instructions of an
 * assembled text, and look at the registers. It sees the inside of the emulator. */
#ifndef TESTS_EMULATOR_RIG_H
#define TESTS_EMULATOR_RIG_H

#include "wave.h"

typedef struct Rig {
    Emu *emu;
    EmuImage *image;
    EmuKernel kernel;
    Launch launch;
    Worker worker;
    bool is_set;
    char symbol[32];
} Rig;

/* Assembles the text for a processor. Each piece of code of it is a global symbol and ends with
 * s_endpgm. */
Rig *rig_create(const char *processor, const char *assembly);
void rig_free(Rig *r);
/* Gets a piece ready: waves of all lanes with nothing known but EXEC and v0. */
void rig_set(Rig *r, const char *symbol, unsigned n_waves, uint32_t lds, uint32_t scratch);
static inline Wave *rig_wave(Rig *r) { return &r->worker.group.waves[0]; }
/* Runs to the end of all waves; false: a fault, with its text in *why. */
bool rig_run(Rig *r, const char **why);
/* A known value in a register of a wave: the same in all lanes, or one for each. */
void rig_vector(Wave *w, unsigned reg, const uint32_t *lanes);
void rig_scalar(Wave *w, unsigned reg, uint32_t x);
void rig_exec(Wave *w, uint64_t exec);

#endif
