/* PTX for tests: text in, kernels run by hand, and what of the tables has run. */
#ifndef TESTS_EMULATOR_PTX_RIG_H
#define TESTS_EMULATOR_PTX_RIG_H

#include "emu.h"

typedef struct PtxRig {
    Emu *emu;
    EmuImage *image;
} PtxRig;

/* A device with this text, which needs no head. Stops the program if it cannot be loaded. */
PtxRig *ptx_rig(const char *text);
/* A block of so many threads; arguments: addresses. */
EmuStatus ptx_rig_run(PtxRig *r, const char *kernel, uint32_t blocks, uint32_t threads,
                      void *const *arguments, size_t n);
/* Notes which rows of the tables ran. */
void ptx_rig_free(PtxRig *r);
/* Says which never did, and how many. */
int ptx_rig_missing(void);

/* The parts of the test: how many of each were wrong. */
int ptx_test_rows(void);
int ptx_test_memory(void);
int ptx_test_warps(void);
int ptx_test_mma(void);
int ptx_test_checks(void);

#endif
