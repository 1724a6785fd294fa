/* Matrix products of a warp: D = A*B + C with A 16x16, B 16x8, C and D 16x8. Products are exact or rounded once with
 * the sum they go to, k from the lowest up: the processors do not say in which order they add.
 *
 * Where a lane has what is said here as the PTX manual says it: a lane is one of eight groups of four threads. */
#include "numeric.h"
#include "ptx.h"

enum { M = 16, N = 8, K = 16, A_AT = 4, B_AT = 8, C_AT = 10 };

typedef struct Tiles {
    float a[M][K], b[K][N], c[M][N];
    uint32_t open_row, open_column; /* of A, of B: something of it is not known */
    uint8_t open[M][N];             /* of C */
} Tiles;

/* Element e of A, of B and of C in a lane. */
static unsigned a_row(unsigned lane, unsigned e) {
    return lane / 4 + (e < 2 || (e >= 4 && e < 6) ? 0 : 8);
}
static unsigned a_column(unsigned lane, unsigned e) {
    return lane % 4 * 2 + (e & 1) + (e < 4 ? 0 : 8);
}
static unsigned b_row(unsigned lane, unsigned e) {
    return lane % 4 * 2 + (e & 1) + (e < 2 ? 0 : 8);
}
static unsigned b_column(unsigned lane) { return lane / 4; }
static unsigned c_row(unsigned lane, unsigned e) { return lane / 4 + (e < 2 ? 0 : 8); }
static unsigned c_column(unsigned lane, unsigned e) { return lane % 4 * 2 + (e & 1); }

/* Two elements a register, the lower one first. */
static float factor(const PtxLanes *x, unsigned lane, unsigned e, bool is_bfloat) {
    uint16_t bits = (uint16_t)(x->u[lane] >> (e & 1) * 16);
    return is_bfloat ? bfloat_to_float(bits) : half_to_float(bits);
}

static void gather(const PtxWarp *w, const PtxInst *in, bool is_bfloat, Tiles *t) {
    for (unsigned lane = 0; lane < PTX_LANES; lane++) {
        for (unsigned e = 0; e < 8; e++) {
            int32_t arg = in->arg[A_AT + e / 2];
            unsigned row = a_row(lane, e);
            t->a[row][a_column(lane, e)] = factor(ptx_source(w, arg), lane, e, is_bfloat);
            t->open_row |= (ptx_unknown(w, arg) >> lane & 1) << row;
        }
        for (unsigned e = 0; e < 4; e++) {
            int32_t arg = in->arg[B_AT + e / 2];
            unsigned column = b_column(lane);
            t->b[b_row(lane, e)][column] = factor(ptx_source(w, arg), lane, e, is_bfloat);
            t->open_column |= (ptx_unknown(w, arg) >> lane & 1) << column;
        }
        for (unsigned e = 0; e < 4; e++) {
            int32_t arg = in->arg[C_AT + e];
            t->c[c_row(lane, e)][c_column(lane, e)] = ptx_source(w, arg)->f[lane];
            t->open[c_row(lane, e)][c_column(lane, e)] = ptx_unknown(w, arg) >> lane & 1;
        }
    }
}

static void multiply(Tiles *t) {
    for (size_t i = 0; i < M; i++)
        for (size_t k = 0; k < K; k++)
            for (size_t j = 0; j < N; j++) t->c[i][j] = fmaf(t->a[i][k], t->b[k][j], t->c[i][j]);
}

void ptx_mma(PtxWarp *w, const PtxInst *in) {
    if (w->all != UINT32_MAX || w->ended != 0) {
        ptx_fault(w, in, -1, "lanes 0x%08x of the warp have ended or were never there",
                  ~w->all | w->ended);
        return;
    }
    if (!ptx_together(w, in, UINT32_MAX)) return;
    Tiles t;
    t.open_row = t.open_column = 0;
    gather(w, in, strstr(in->op->name, ".bf16") != NULL, &t);
    multiply(&t);
    for (unsigned e = 0; e < 4; e++) {
        PtxLanes x;
        uint32_t open = 0;
        for (unsigned lane = 0; lane < PTX_LANES; lane++) {
            unsigned i = c_row(lane, e), j = c_column(lane, e);
            float y = t.c[i][j];
            x.u[lane] = is_nan(y) ? 0x7fffffffu : bits_of(y);
            open |= (t.open[i][j] | (t.open_row >> i & 1u) | (t.open_column >> j & 1u)) << lane;
        }
        ptx_set(w, in->arg[e], false, &x, open);
    }
    w->common->worker->total.matrix_flops += 2 * M * N * K;
    ptx_part(w);
}
