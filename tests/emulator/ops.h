/* The tables of operations, each ended by a row without a name. */
#ifndef EMU_OPS_H
#define EMU_OPS_H

#include "inst.h"

extern const Op ops_int[], ops_float[], ops_wide[], ops_compare[], ops_salu[], ops_control[],
    ops_cross[], ops_memory[], ops_lds[], ops_matrix[];

/* What gfx11 calls otherwise. */
typedef struct Alias {
    const char *name, *means;
} Alias;
extern const Alias aliases[];

#endif
