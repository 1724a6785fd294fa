/* Banks of local memory. */
#ifndef EMU_BANKS_H
#define EMU_BANKS_H

#include "emu.h"

/* Counts the cycles of one access: `words` words from `at` on, of these lanes out of n. */
void banks_count(EmuCounts *c, const uint32_t *at, uint64_t lanes, unsigned n, unsigned words);

#endif
