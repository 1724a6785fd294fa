/* The lane layouts of matrix instructions: every element of every operand in one place, or in as many as the
 * table says; the factors agree about terms; no index is larger than the instruction. */
#include <stdio.h>
#include <string.h>

#include "../../codegen/gpu_contract.h"

static int failed(const MmaUnit *u, const char *what) {
    printf("%s: %s\n", u->intrinsic, what);
    return 1;
}

/* Every element of an operand, rows x cols by the axes named, is held as often as all others. */
static int covers(const MmaUnit *u, const char *text, const char *axes, uint32_t rows,
                  uint32_t cols) {
    static uint32_t seen[64][64];
    MmaLayout l;
    mma_layout(text, &l);
    memset(seen, 0, sizeof seen);
    for (uint32_t lane = 0; lane < 1u << l.n_lane; lane++)
        for (uint32_t e = 0; e < 1u << l.n_elem; e++) {
            uint32_t at[2] = {0, 0};
            for (uint32_t b = 0; b < l.n_lane; b++)
                if (l.lane[b].axis != '-' && lane >> b & 1)
                    at[l.lane[b].axis == axes[1]] += 1u << l.lane[b].bit;
            for (uint32_t b = 0; b < l.n_elem; b++)
                if (e >> b & 1) at[l.elem[b].axis == axes[1]] += 1u << l.elem[b].bit;
            if (at[0] >= rows || at[1] >= cols) return failed(u, "an element that is none");
            seen[at[0]][at[1]]++;
        }
    uint32_t times = (1u << (l.n_lane + l.n_elem)) / (rows * cols);
    for (uint32_t i = 0; i < rows; i++)
        for (uint32_t j = 0; j < cols; j++)
            if (seen[i][j] != times) return failed(u, "an element that is nowhere, or twice");
    return 0;
}

/* The bits of a term stand in the same places in both factors. */
static int agree(const MmaUnit *u) {
    MmaLayout a, b;
    mma_layout(u->a, &a);
    mma_layout(u->b, &b);
    if (a.n_lane != b.n_lane) return failed(u, "factors in waves of other sizes");
    for (uint32_t i = 0; i < a.n_lane; i++)
        if ((a.lane[i].axis == 'k') != (b.lane[i].axis == 'k') ||
            (a.lane[i].axis == 'k' && a.lane[i].bit != b.lane[i].bit))
            return failed(u, "terms in other lanes");
    uint32_t n[2] = {0, 0}, bit[2][8];
    for (uint32_t i = 0; i < a.n_elem; i++)
        if (a.elem[i].axis == 'k') bit[0][n[0]++] = a.elem[i].bit;
    for (uint32_t i = 0; i < b.n_elem; i++)
        if (b.elem[i].axis == 'k') bit[1][n[1]++] = b.elem[i].bit;
    if (n[0] != n[1] || memcmp(bit[0], bit[1], n[0] * sizeof *bit[0]) != 0)
        return failed(u, "terms in other elements");
    return 0;
}

int main(void) {
    int bad = 0;
    uint32_t n = 0;
    for (const MmaUnit *u; (u = mma_unit(n)); n++)
        bad += covers(u, u->a, "ik", u->m, u->k) + covers(u, u->b, "jk", u->n, u->k) +
               covers(u, u->d, "ij", u->m, u->n) + agree(u);
    printf("%u instructions, %d wrong\n", n, bad);
    return bad || !n;
}
