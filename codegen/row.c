/* The row schedule: members at each point of the grid, nest by nest. Contractions that no other schedule
 * takes come here too: their grid is their batch axes. */
#include "nest.h"

static void all_nests(Work *w) {
    for (uint32_t i = 0; i < w->nests.n; i++) nest_emit(w, &w->nests.data[i]);
}

const char *row_emit(Emit *e) {
    Work *w = work_new(e, e->k->par, e->k->n_par);
    nests_make(w);
    lanes_choose(w);
    locals_place(w);
    grid_emit(w, all_nests);
    return e->error;
}
