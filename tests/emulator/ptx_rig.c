#include "ptx_rig.h"

#include "ptx.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_OPS = 1024 };

static bool has_run[MAX_OPS]; /* rows of the tables */

PtxRig *ptx_rig(const char *text) {
    static const char head[] = ".version 8.0\n.target sm_80\n.address_size 64\n";
    PtxRig *r = calloc(1, sizeof *r);
    EmuOptions options = {.processor = "sm_80", .max_instructions = 100000};
    size_t n = strlen(head) + strlen(text);
    char *all = malloc(n + 1);
    strcpy(all, head);
    strcat(all, text);
    r->emu = emu_create(&options);
    if (r->emu == NULL || emu_image_load(r->emu, all, n, &r->image) != EMU_OK) {
        printf("%s\n%s\n", r->emu == NULL ? "no emulator" : emu_said(r->emu), n < 3000 ? all : "");
        exit(1);
    }
    free(all);
    return r;
}

EmuStatus ptx_rig_run(PtxRig *r, const char *kernel, uint32_t blocks, uint32_t threads,
                      void *const *arguments, size_t n) {
    EmuKernel *k;
    const uint32_t grid[3] = {blocks, 1, 1}, block[3] = {threads, 1, 1};
    EmuStatus s = emu_image_kernel(r->image, kernel, &k);
    return s != EMU_OK ? s
                       : emu_launch(r->emu, k, grid, block, 0, arguments, n * sizeof *arguments);
}

static void note(const EmuKernel *k) {
    for (size_t i = 0; k->is_decoded && i < k->code.n; i++) {
        const PtxOp *op = k->ptx->inst[i].op;
        for (size_t j = 0; op != NULL && k->counts[i] > 0 && j < MAX_OPS && ptx_op_at(j) != NULL;
             j++)
            has_run[j] |= ptx_op_at(j) == op;
    }
}

void ptx_rig_free(PtxRig *r) {
    for (size_t i = 0; i < r->image->n_kernels; i++) note(&r->image->kernels[i]);
    emu_destroy(r->emu);
    free(r);
}

int ptx_rig_missing(void) {
    int n = 0;
    for (size_t j = 0; ptx_op_at(j) != NULL; j++)
        if (j >= MAX_OPS || !has_run[j]) {
            printf("%s (%s): no test runs it\n", ptx_op_at(j)->name, ptx_op_at(j)->types);
            n++;
        }
    return n;
}
