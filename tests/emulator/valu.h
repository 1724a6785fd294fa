/* A vector instruction on its way: operands fetched, results not yet written. */
#ifndef EMU_VALU_H
#define EMU_VALU_H

#include "wave.h"

typedef struct Work {
    Valu x;
    uint64_t lanes; /* that are written */
    bool is_open;   /* some results are not known: which bits stands in open */
    Lanes in[8];    /* sources that had to be made: low and high words of each */
    Lanes open_in[8];
    Lanes out[2], mask;
    Lanes open[2];
    uint64_t open_mask;
} Work;

/* The word `half` of source k with all its modifiers, or which of its bits are not known. The array
 * is the register itself or out. */
const Lanes *valu_source(Wave *w, const Inst *in, unsigned k, unsigned half, bool want_unknown,
                         Lanes *out);
/* Fills open, open_mask from what is not known of the sources. */
void valu_spread(Wave *w, const Inst *in, Work *k);
void valu_commit(Wave *w, const Inst *in, Work *k);
bool is_wide(char type);

#endif
